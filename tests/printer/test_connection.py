"""A printer that is connected to, lost, waited for and let go of: VIRTUAL and printers on real pseudo-terminals."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import BadRequest, Conflict
from limpet.printer.connection import Target
from limpet.printer.printer import MAX_QUEUED, MAX_UNREAD, Printer, Subscription
from limpet.printer.state import ConnectionFailed, Snapshot, State, StateChanged
from limpet.protocol import session
from limpet.protocol.events import LineReceived
from limpet.transports.ports import PortList
from limpet.transports.urls import VIRTUAL
from tests.printer.rig import (
    QUICK,
    answered,
    at_most,
    connected,
    device_at,
    eventually,
    failed,
    garbage,
    nothing_left,
    one_printer,
    operational,
    passed,
    ports_of,
    printer_at,
    sensor,
    sent,
)

TO_VIRTUAL: dict[str, Any] = {"port": VIRTUAL, "baudrate": 115200}
GENTLE = replace(QUICK, greeting=5.0)


@pytest.fixture
async def printer() -> AsyncIterator[Printer]:
    """A printer that knows VIRTUAL alone; after the test nothing of it is left."""
    async with nothing_left(), one_printer() as printer:
        yield printer


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "printer"


async def states(events: Subscription) -> list[State]:
    """The states that have been passed since the subscription, which ends."""
    events.close()
    return [event.state async for event, _ in events if isinstance(event, StateChanged)]


def failure(now: Snapshot) -> ConnectionFailed:
    assert now.failure is not None
    return now.failure


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


@pytest.mark.parametrize(
    ("says", "code"), [(bytes, "no_answer"), (sensor, "not_a_printer"), (garbage(), "wrong_baudrate")]
)
async def test_what_is_no_printer_is_told_by_what_it_says(link: Path, says: Any, code: str) -> None:
    patience = replace(QUICK, greeting=0.3, wrong_rate=0.3)
    async with device_at(link, says), nothing_left(), one_printer(link, patience=patience) as printer:
        printer.connect(Target(port=str(link), baudrate=9600))
        now = await failed(printer, code)
        assert str(link) in failure(now).fault.message
        assert now.port is None


async def test_a_port_that_is_not_there_is_told(printer: Printer) -> None:
    printer.connect(Target(port="/dev/ttyACM9", baudrate=115200))
    now = await failed(printer, "port_missing")
    assert "/dev/ttyACM9" in failure(now).fault.message
    assert not failure(now).waiting


HOLD = """
import fcntl, os, sys
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(port, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(port: Path) -> Iterator[int]:
    """Another process has the port for itself; its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid


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


async def open_never(*_: object) -> Any:
    await asyncio.Event().wait()


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


# -- losing a printer and taking it up again --


async def test_an_unplugged_printer_is_told_within_a_second_and_taken_up_when_it_is_back(link: Path) -> None:
    patience = replace(QUICK, pause=30.0, longest_pause=30.0)  # It need not be waited out.
    async with printer_at(link, returns_after=0.3), one_printer(link, patience=patience) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        with at_most(1.0):
            printer.send("!!DEBUG:drop_connection")
            now = await failed(printer, "unplugged")
        assert (failure(now).waiting, now.port) == (True, None)
        assert failure(now).traffic
        now = await operational(printer)
        assert (now.port, now.baudrate, now.failure) == (str(link), 115200, None)


async def test_a_detected_printer_is_taken_up_again_without_another_detection(link: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    async with printer_at(link, baudrate=250000, returns_after=0.1), one_printer(link) as printer:
        await connected(printer)
        events = printer.subscribe()
        async with printer_at(other, baudrate=250000):
            printer.send("!!DEBUG:drop_connection")
            await failed(printer, "unplugged")
            await operational(printer)
        assert State.DETECTING not in await states(events)


class Usb:
    """A made-up /sys and /dev with one USB printer, which is plugged in as now this, now that tty."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        self.interface = self.sys / "devices/usb1/1-1/1-1:1.0"
        (self.interface / "driver").mkdir(parents=True)
        (self.sys / "class/tty").mkdir(parents=True)
        self.dev.mkdir()
        (self.interface / "bInterfaceNumber").write_text("00\n")
        facts = {"idVendor": "2c99", "idProduct": "0002", "product": "MK3", "manufacturer": "Prusa", "serial": "CZ1"}
        for name, text in facts.items():
            (self.interface.parent / name).write_text(text + "\n")

    def plug(self, name: str, behind: Path) -> None:
        tty = self.interface / "tty" / name
        tty.mkdir(parents=True)
        (tty / "device").symlink_to(self.interface)
        (self.sys / "class/tty" / name).symlink_to(tty)
        (self.dev / name).symlink_to(behind)

    def unplug(self, name: str) -> None:
        (self.sys / "class/tty" / name).unlink()
        (self.dev / name).unlink()

    def ports(self) -> PortList:
        return PortList(virtual=False, sys_root=self.sys, dev_root=self.dev)


async def test_a_printer_is_taken_up_again_under_another_device_name(tmp_path: Path) -> None:
    usb = Usb(tmp_path)
    async with one_printer(ports=usb.ports()) as printer:
        async with printer_at(tmp_path / "first"):
            usb.plug("ttyACM0", tmp_path / "first")
            now = await connected(printer, port=str(usb.dev / "ttyACM0"), baudrate=115200)
            assert now.port == str(usb.dev / "ttyACM0")
        usb.unplug("ttyACM0")
        await failed(printer, "unplugged")
        async with printer_at(tmp_path / "second"):
            usb.plug("ttyACM1", tmp_path / "second")
            assert (await operational(printer)).port == str(usb.dev / "ttyACM1")
            await printer.disconnect()


async def test_a_printer_that_is_to_be_left_alone_once_lost_is_left_alone(link: Path) -> None:
    async with printer_at(link, returns_after=0.1), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200, faithful=False)
        events = printer.subscribe()
        printer.send("!!DEBUG:drop_connection")
        assert not failure(await failed(printer, "unplugged")).waiting
        await eventually(link.exists)
        await asyncio.sleep(4 * QUICK.look)
        assert await states(events) == [State.OFFLINE_AFTER_ERROR]


async def test_a_disconnect_ends_the_wait_for_a_lost_printer(link: Path) -> None:
    async with nothing_left(), one_printer(link) as printer:
        async with printer_at(link):
            await connected(printer, port=str(link), baudrate=115200)
        await failed(printer, "unplugged")
        await printer.disconnect()
        assert (printer.snapshot.state, failure(printer.snapshot).fault.code) == (State.OFFLINE, "unplugged")
        async with printer_at(link):
            await asyncio.sleep(4 * QUICK.look)
            assert printer.snapshot.state is State.OFFLINE


async def test_a_preferred_port_that_is_not_plugged_in_is_waited_for(link: Path) -> None:
    async with one_printer(link) as printer:
        printer.connect(Target(port=str(link), baudrate=115200, awaits_port=True))
        assert failure(await failed(printer, "port_missing")).waiting
        # It appears, but is no use yet: for a moment udev, or a modem manager, has it for itself.
        async with device_at(link):
            with held(link):
                await failed(printer, "port_busy")
                assert failure(printer.snapshot).waiting
        async with printer_at(link):
            await operational(printer)
            await printer.disconnect()


async def test_a_printer_wanted_at_startup_is_tried_until_it_answers(link: Path) -> None:
    patience = replace(QUICK, greeting=0.1)
    async with one_printer(link, patience=patience) as printer:
        async with device_at(link):
            printer.connect(Target(port=str(link), baudrate=115200, patient=True))
            assert failure(await failed(printer, "no_answer")).waiting
        async with printer_at(link):
            await operational(printer)
            await printer.disconnect()


async def test_a_halted_firmware_is_told_and_not_taken_up_again(link: Path) -> None:
    async with printer_at(link), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200, patient=True)
        events = printer.subscribe()
        printer.send("!!DEBUG:trigger_fatal_error_marlin")
        now = await failed(printer, "firmware_halted")
        assert "Thermal Runaway" in failure(now).fault.message
        assert not failure(now).waiting
        await asyncio.sleep(4 * QUICK.look)
        assert await states(events) == [State.OFFLINE_AFTER_ERROR]


async def test_a_firmware_that_is_halted_when_it_is_asked_is_left_alone_too(link: Path) -> None:
    def halted() -> bytes:
        return b"Error:Printer halted. kill() called!\n"

    async with device_at(link, halted), one_printer(link) as printer:
        printer.connect(Target(port=str(link), baudrate=115200, patient=True))
        assert not failure(await failed(printer, "firmware_halted")).waiting


async def test_a_printer_that_resets_itself_is_greeted_again(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("!!DEBUG:reset")
    connecting, again = await passed(events, State.CONNECTING, State.OPERATIONAL)
    assert (failure(connecting).fault.code, failure(connecting).waiting) == ("reset", False)
    assert (connecting.port, connecting.baudrate) == (VIRTUAL, 115200)
    assert again.failure is None
    await answered(printer)
    assert (await sent(events)).count("M155 S2") == 1


async def test_a_printer_that_falls_silent_is_given_up_and_waited_for(
    printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SILENCE", 0.5)
    await connected(printer, **TO_VIRTUAL)
    printer.send("!!DEBUG:go_awol")
    assert failure(await failed(printer, "timeout")).waiting
    await operational(printer)


async def test_commands_for_a_printer_that_is_lost_are_not_for_the_next(link: Path) -> None:
    async with printer_at(link, returns_after=0.1), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        events = printer.subscribe()
        printer.send("!!DEBUG:drop_connection", "M104 S200", "M140 S60")
        await failed(printer, "unplugged")
        await operational(printer)
        await answered(printer)
        assert "M118 answered" in (lines := await sent(events))
        assert "M104" not in lines
        assert "M140" not in lines


async def test_commands_from_before_a_reset_are_not_sent_after_it(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("!!DEBUG:reset", *["M104 S200"] * 20)
    await passed(events, State.CONNECTING, State.OPERATIONAL)
    await answered(printer)
    assert "M104" not in await sent(events)


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

    async def opener(path: str, baudrate: int, receiver: asyncio.Protocol) -> Any:
        links.append(receiver)
        return await openers()[VIRTUAL](path, baudrate, receiver)

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


# -- commands --


async def test_a_command_is_sent_and_answered(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("M117 hello")
    await answered(printer)
    assert "M117 hello" in await sent(events)


@pytest.mark.parametrize("state", [State.OFFLINE, State.OPENING, State.OFFLINE_AFTER_ERROR])
async def test_a_command_is_refused_while_there_is_no_printer(state: State) -> None:
    printer = Printer("one", ports_of(), {VIRTUAL: open_never}, patience=replace(QUICK, opening=0.1))
    if state is not State.OFFLINE:
        printer.connect(Target(**TO_VIRTUAL))
    await eventually(lambda: printer.snapshot.state is state)
    with pytest.raises(Conflict):
        printer.send("M105")
    await printer.disconnect()


async def test_two_lines_in_one_are_refused_and_nothing_is_sent(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    with pytest.raises(BadRequest):
        printer.send("M117 good", "M117 first\nM117 second")
    await answered(printer)
    assert "M117" not in await sent(events)


async def test_an_empty_line_is_no_command(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("", "  ", "; only words")
    await answered(printer)
    assert "only words" not in await sent(events)


async def test_commands_that_wait_have_a_limit(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    with pytest.raises(Conflict):
        printer.send(*["M400"] * (MAX_QUEUED + 1))
    printer.send(*["M400"] * (MAX_QUEUED - 10))
    with pytest.raises(Conflict):
        printer.send(*["M400"] * 20)


async def test_a_capability_that_is_told_again_and_again_does_not_fill_the_queue(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    await answered(printer)
    events = printer.subscribe()
    printer.send(*["!!DEBUG:send Cap:AUTOREPORT_TEMP:1"] * 20)
    await answered(printer)
    await answered(printer)
    assert "M155" not in await sent(events)


async def test_a_lost_ok_can_be_repaired(printer: Printer) -> None:
    printer.repair()
    await connected(printer, **TO_VIRTUAL)
    await answered(printer)
    printer.send("!!DEBUG:dont_answer")
    printer.repair()
    with at_most(0.5):
        await answered(printer)


# -- subscribers --


async def test_a_subscriber_gets_each_event_with_the_snapshot_after_it(printer: Printer) -> None:
    events = printer.subscribe()
    await connected(printer, **TO_VIRTUAL)
    events.close()
    seen = [(event, now) async for event, now in events]
    assert all(event.state is now.state for event, now in seen if isinstance(event, StateChanged))
    assert seen[-1][1] is printer.snapshot


async def test_a_subscriber_that_does_not_read_is_cut_off_and_the_others_go_on(printer: Printer) -> None:
    lazy, eager = printer.subscribe(), printer.subscribe()
    heard: list[str] = []

    async def read() -> None:
        async for event, _ in eager:
            if isinstance(event, LineReceived):
                heard.append(event.line)

    reader = asyncio.create_task(read())
    await connected(printer, **TO_VIRTUAL)
    for number in range(MAX_UNREAD // 3 + 1):
        await eventually(lambda: len(heard) >= number)  # noqa: B023
        printer.send(f"M118 line {number}")
    await eventually(lambda: f"line {MAX_UNREAD // 3}" in heard)
    async with asyncio.timeout(1):
        assert len([event async for event in lazy]) == MAX_UNREAD
    eager.close()
    async with asyncio.timeout(1):
        await reader


async def test_a_closed_subscription_ends(printer: Printer) -> None:
    events = printer.subscribe()
    events.close()
    await connected(printer, **TO_VIRTUAL)
    assert [event async for event in events] == []


async def test_no_wish_is_logged_as_an_error(printer: Printer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await connected(printer, **TO_VIRTUAL)
            await printer.disconnect()
    assert {record.levelname for record in caplog.records if record.name.startswith("limpet")} == {"INFO"}
