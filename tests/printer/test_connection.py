"""How a connection is made, fails, is replaced and is ended: VIRTUAL, and printers on real pseudo-terminals."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limpet.printer.connection import Target
from limpet.printer.printer import Printer
from limpet.printer.state import Snapshot, State
from limpet.settings import Reset
from limpet.transports.ports import PortList
from limpet.transports.urls import VIRTUAL
from tests.printer.rig import (
    QUICK,
    TO_VIRTUAL,
    answered,
    at_most,
    connected,
    device_at,
    eventually,
    failed,
    failure,
    garbage,
    held,
    nothing_left,
    one_printer,
    open_never,
    openers,
    operational,
    passed,
    ports_of,
    printer_at,
    sensor,
    sent,
    states,
)

GENTLE = replace(QUICK, greeting=5.0)


# -- connecting --


async def test_it_passes_from_opening_over_connecting_to_operational(printer: Printer) -> None:
    events = printer.subscribe()
    now = await connected(printer, profile="_default", **TO_VIRTUAL)
    assert (now.port, now.baudrate, now.profile) == (VIRTUAL, 115200, "_default")
    await passed(events, State.OPENING, State.CONNECTING, State.OPERATIONAL)
    await printer.disconnect()
    assert printer.snapshot == Snapshot()


async def test_a_printer_on_a_device_is_connected_to(link: Path) -> None:
    async with printer_at(link, baudrate=250000), nothing_left(), one_printer(link) as printer:
        now = await connected(printer, port=str(link), baudrate=250000)
        assert (now.port, now.baudrate) == (str(link), 250000)
        assert now.firmware is not None
        assert "Marlin" in now.firmware


async def test_it_asks_for_temperatures_where_the_firmware_can_report_them(printer: Printer) -> None:
    events = printer.subscribe()
    await connected(printer, **TO_VIRTUAL)
    await eventually(lambda: {"tool0", "bed"} <= set(printer.snapshot.temperatures))
    assert printer.snapshot.temperatures["tool0"] == (pytest.approx(21.3, abs=1), 0.0)
    assert printer.snapshot.capabilities["AUTOREPORT_TEMP"] is True
    lines = await sent(events)
    assert lines.count("M155 S2") == 1


async def test_it_does_not_ask_for_reports_where_the_firmware_has_none() -> None:
    async with one_printer(autoreport=False) as printer:
        events = printer.subscribe()
        await connected(printer, **TO_VIRTUAL)
        await answered(printer)
        assert "M155" not in await sent(events)


async def test_after_a_reconnect_it_asks_for_temperatures_again(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.connect(Target(**TO_VIRTUAL))
    assert (printer.snapshot.temperatures, printer.snapshot.capabilities) == ({}, {})
    await operational(printer)
    await answered(printer)
    assert "M155 S2" in await sent(events)


# -- attempts that fail --


async def test_a_wrong_rate_is_told(link: Path) -> None:
    async with printer_at(link, baudrate=250000, boot_time=0.1), nothing_left(), one_printer(link) as printer:
        printer.connect(Target(port=str(link), baudrate=115200))
        now = await failed(printer, "wrong_baudrate")
        assert "115200" in failure(now).fault.message
        assert not failure(now).waiting


def complaint() -> bytes:
    return b"Error:EEPROM version mismatch\r\n"


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (bytes, "no_answer"),
        (sensor, "not_a_printer"),
        (garbage(), "wrong_baudrate"),
        (complaint, "firmware_error"),
    ],
)
async def test_what_is_no_printer_is_told_by_what_it_says(link: Path, says: Any, code: str) -> None:
    patience = replace(QUICK, greeting=0.3, wrong_rate=0.3)
    async with device_at(link, says), nothing_left(), one_printer(link, patience=patience) as printer:
        printer.connect(Target(port=str(link), baudrate=9600))
        now = await failed(printer, code)
        assert str(link) in failure(now).fault.message
        assert any(line.startswith(">") for line in failure(now).traffic)
        assert any(line.startswith("<") for line in failure(now).traffic) is (says is not bytes)
        assert now.port is None


async def test_a_port_that_is_not_there_is_told(printer: Printer) -> None:
    printer.connect(Target(port="/dev/ttyACM9", baudrate=115200))
    now = await failed(printer, "port_missing")
    assert "/dev/ttyACM9" in failure(now).fault.message
    assert not failure(now).waiting


@pytest.mark.parametrize("baudrate", [115200, None])
async def test_a_port_that_another_program_holds_is_told_with_its_name_and_number(
    link: Path, baudrate: int | None
) -> None:
    async with device_at(link), one_printer(link) as printer:
        with held(link) as pid:
            printer.connect(Target(port=str(link), baudrate=baudrate))
            message = failure(await failed(printer, "port_busy")).fault.message
            assert f"({pid})" in message
            assert "python" in message


async def open_broken(*_: object) -> Any:
    raise OSError("the driver is mad")


@pytest.mark.parametrize("baudrate", [115200, None])
async def test_a_port_that_never_opens_is_given_up(baudrate: int | None) -> None:
    patience = replace(QUICK, opening=0.1)
    printer = Printer("one", ports_of(), {VIRTUAL: open_never}, patience=patience)
    async with nothing_left():
        printer.connect(Target(port=VIRTUAL, baudrate=baudrate))
        await failed(printer, "timeout" if baudrate else "no_printer_found")


@pytest.mark.parametrize("baudrate", [115200, None])
async def test_an_exception_that_nobody_has_foreseen_ends_an_attempt_and_is_logged(
    baudrate: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    printer = Printer("one", ports_of(), {VIRTUAL: open_broken}, patience=QUICK)
    async with nothing_left():
        printer.connect(Target(port=VIRTUAL, baudrate=baudrate))
        now = await failed(printer, "internal_error" if baudrate else "no_printer_found")
        assert "the driver is mad" in failure(now).fault.message
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


async def test_an_exception_outside_of_an_attempt_ends_the_connection_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look(_: PortList) -> Any:
        raise PermissionError("no looking")

    async with nothing_left(), one_printer() as printer:
        await connected(printer, **TO_VIRTUAL)
        monkeypatch.setattr(PortList, "look", look)
        printer.send("!!DEBUG:drop_connection")
        await failed(printer, "internal_error")
        assert any(record.exc_info for record in caplog.records)
        monkeypatch.undo()
        await connected(printer, **TO_VIRTUAL)


# -- disconnecting and connecting at any moment --


async def test_a_disconnect_from_every_state_frees_everything_within_a_second(link: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    async with device_at(silent), printer_at(link), one_printer(silent, link, patience=GENTLE) as printer:
        at_link = Target(port=str(link), baudrate=115200)
        for state, target in (
            (State.OFFLINE, None),
            (State.OPENING, at_link),
            (State.DETECTING, Target(baudrate=9600)),
            (State.CONNECTING, Target(port=str(silent), baudrate=9600)),
            (State.OPERATIONAL, at_link),
            (State.OFFLINE_AFTER_ERROR, Target(port="/dev/ttyACM9", baudrate=9600, patient=True)),
        ):
            async with nothing_left():
                if target is not None:
                    printer.connect(target)
                await eventually(lambda state=state: printer.snapshot.state is state)  # type: ignore[misc]
                with at_most(1.0):
                    await printer.disconnect()
                assert printer.snapshot.state is State.OFFLINE


async def test_a_disconnect_frees_the_port_before_it_returns(link: Path) -> None:
    async with printer_at(link), one_printer(link) as first, one_printer(link) as second:
        for printer in (first, second):
            await connected(printer, port=str(link), baudrate=115200)
            await printer.disconnect()


async def test_a_disconnect_of_what_is_offline_is_nothing(printer: Printer) -> None:
    events = printer.subscribe()
    await printer.disconnect()
    assert await states(events) == []


async def test_a_link_that_is_let_go_of_cannot_speak_any_more() -> None:
    links: list[asyncio.Protocol] = []

    async def opener(path: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset) -> Any:
        links.append(receiver)
        return await openers()[VIRTUAL](path, baudrate, receiver, reset)

    async with nothing_left():
        printer = Printer("one", ports_of(), {VIRTUAL: opener}, patience=QUICK)
        await connected(printer, **TO_VIRTUAL)
        printer.connect(Target())
        events = printer.subscribe()
        links[0].data_received(b"start\nT:99 /0 B:99 /0\n")
        assert printer.snapshot.state is State.DETECTING
        events.close()
        assert [event async for event, _ in events] == []
        await printer.disconnect()


async def test_a_disconnect_does_not_wait_for_what_hangs() -> None:
    release = asyncio.Event()

    async def open_stubbornly(*_: object) -> Any:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise OSError("too late")

    printer = Printer("one", ports_of(), {VIRTUAL: open_stubbornly}, patience=GENTLE)
    async with nothing_left():
        printer.connect(Target(**TO_VIRTUAL))
        await asyncio.sleep(0)
        with at_most(1.2):
            await printer.disconnect()
        assert printer.snapshot.state is State.OFFLINE
        release.set()
    assert printer.snapshot == Snapshot()


async def test_a_disconnect_that_is_itself_cancelled_is_still_a_disconnect(link: Path) -> None:
    async with printer_at(link), nothing_left(), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        task = asyncio.create_task(printer.disconnect())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert printer.snapshot.state is State.OFFLINE


async def test_a_connect_replaces_the_attempt_that_is_under_way(link: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    async with device_at(silent), printer_at(link), one_printer(silent, link, patience=GENTLE) as printer:
        printer.connect(Target(port=str(silent), baudrate=9600))
        await eventually(lambda: printer.snapshot.state is State.CONNECTING)
        events = printer.subscribe()
        now = await connected(printer, port=str(link), baudrate=115200)
        assert now.port == str(link)
        await passed(events, State.OPENING, State.CONNECTING, State.OPERATIONAL)


async def test_a_connect_while_connected_opens_the_same_port_anew(link: Path) -> None:
    async with printer_at(link), one_printer(link) as printer:
        for _ in range(2):
            events = printer.subscribe()
            printer.connect(Target(port=str(link), baudrate=115200))
            await operational(printer)
            await passed(events, State.OPENING, State.CONNECTING, State.OPERATIONAL)


async def test_no_wish_is_logged_as_an_error(printer: Printer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await connected(printer, **TO_VIRTUAL)
            await printer.disconnect()
    assert {record.levelname for record in caplog.records if record.name.startswith("limpet")} == {"INFO"}
