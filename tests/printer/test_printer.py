"""Verbs in, snapshot and events out: commands, and those who listen."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from limpet.errors import BadRequest, Conflict
from limpet.printer.connection import Target
from limpet.printer.print import SelectedFile
from limpet.printer.printer import MAX_QUEUED, MAX_RECENT, Printer
from limpet.printer.state import FileDeselected, FileSelected, State, StateChanged
from limpet.printer.subscription import MAX_UNREAD
from limpet.protocol.events import CommandAcknowledged, LineReceived
from limpet.transports.urls import OPENERS, VIRTUAL
from tests.printer.rig import (
    QUICK,
    TO_VIRTUAL,
    answered,
    at_most,
    connected,
    eventually,
    open_never,
    ports_of,
    printer_at,
    sent,
)

# -- commands --


FILE = SelectedFile(origin="local", path="a.gcode", name="a.gcode", display="a.gcode")


async def test_a_file_is_selected_while_the_printer_is_operational_and_forgotten_with_it(printer: Printer) -> None:
    with pytest.raises(Conflict):
        printer.select(FILE)
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.select(FILE)
    assert printer.snapshot.selected == FILE
    printer.select(None)
    assert printer.snapshot.selected is None
    printer.select(FILE)
    await printer.disconnect()
    assert printer.snapshot.selected is None
    events.close()
    assert [event async for event, _ in events if isinstance(event, FileSelected | FileDeselected)] == [
        FileSelected(FILE),
        FileDeselected(),
        FileSelected(FILE),
    ]


async def test_temperatures_are_kept_with_their_times(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    await eventually(lambda: printer.temperature_history)
    at, heaters = printer.temperature_history[-1]
    assert abs(at - time.time()) < 10
    assert heaters == printer.snapshot.temperatures


@pytest.mark.parametrize("command", ["M110 N500", "M110 N-5", "m110", "N7 M110 N100*115"])
async def test_line_numbers_of_somebody_else_do_not_come_between(printer: Printer, command: str) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send(command, "M117 there", "M117 and there")
    await answered(printer)
    sent_lines = await sent(events)
    assert not any("M110" in line.upper() for line in sent_lines)
    figures = printer.figures()
    assert figures is not None
    assert figures.resends == 0


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


async def test_a_tag_comes_back_with_the_acknowledgement(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("M117 one", tag=next(printer.tags))
    printer.send("M117 two", tag=next(printer.tags))
    await answered(printer)
    events.close()
    told = [event async for event, _ in events if isinstance(event, CommandAcknowledged)]
    assert [event for event in told if event.tag] == [
        CommandAcknowledged("M117 one", 1),
        CommandAcknowledged("M117 two", 2),
    ]


@pytest.mark.parametrize("stop", ["M112", "N1 M112*32", "M112 ; now"])
async def test_an_m112_goes_out_at_once_whatever_waits(printer: Printer, stop: str) -> None:
    await connected(printer, **TO_VIRTUAL)
    await answered(printer)
    events = printer.subscribe()
    printer.send("G4 P50", *["M117 waits"] * (MAX_QUEUED - 1))
    printer.send("M117 waits")
    printer.send(stop)
    await eventually(lambda: printer.snapshot.state is not State.OPERATIONAL)
    lines = (await sent(events)).splitlines()
    assert "G4 P50" in lines[0]
    assert lines[1] == "M112"
    assert "M112*" in lines[2]
    assert len(lines) == 3


async def test_an_m112_and_nothing_else_goes_to_a_printer_that_is_still_greeted(tmp_path: Path) -> None:
    port = tmp_path / "printer"
    async with printer_at(port, boot_time=60.0):
        printer = Printer("one", ports_of(port), OPENERS, patience=replace(QUICK, greeting=30.0))
        with pytest.raises(Conflict):
            printer.send("M112")
        printer.connect(Target(port=str(port), baudrate=115200))
        await eventually(lambda: printer.snapshot.state is State.CONNECTING)
        for commands in (("M117 waits",), ("M112", "M117 waits")):
            with pytest.raises(Conflict):
                printer.send(*commands)
        printer.send("M112")
        assert printer.recent[-1][1] == "> M112"
        await printer.disconnect()


async def test_the_last_lines_on_the_wire_are_kept_with_their_times(printer: Printer) -> None:
    before = time.time()
    await connected(printer, **TO_VIRTUAL)
    for number in range(MAX_RECENT):
        printer.send(f"M118 line {number}")
    await answered(printer)
    times = [at for at, _ in printer.recent]
    assert len(times) == MAX_RECENT
    assert before <= times[0]
    assert times == sorted(times)
    assert printer.recent[-2][1] == "< answered"


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
