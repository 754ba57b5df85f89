"""Which command the printer has acknowledged: told once for each, in order, whatever happens to the line."""

from __future__ import annotations

import random
from collections import deque

import pytest

from limpet.protocol.events import Acknowledged, CommandAcknowledged, Event, LineReceived, LineSent, SessionEnded
from limpet.protocol.session import Session
from limpet.protocol.window import Flow
from tests.protocol.test_lossy_wire import COMMANDS, QUIRKS, at_once, bad
from tests.protocol.test_session import events, greeted
from tests.protocol.wire import Wire


def acknowledged(session: Session) -> list[tuple[str, int | None]]:
    return [(event.command, event.tag) for event in events(session) if isinstance(event, CommandAcknowledged)]


def asked(window: int, *commands: str) -> Session:
    """An open session that has written these commands, tagged 1, 2 ...; they are lines 3, 4 ..."""
    session = greeted(window)
    for tag, command in enumerate(commands, 1):
        session.send(command, 1.0, tag)
    assert session.data_to_send()
    assert acknowledged(session) == []
    return session


def test_an_ok_acknowledges_the_command_with_its_tag() -> None:
    session = asked(1, "G28")
    session.receive_data(b"ok\n", 2.0)
    assert acknowledged(session) == [("G28", 1)]


def test_it_is_told_after_the_line_that_says_so_and_before_what_is_written_next() -> None:
    session = asked(1, "M105")
    session.receive_data(b"ok T:20 /0\n", 2.0)
    session.send("G28", 2.0)
    told = [type(event) for event in events(session)]
    assert told[:3] == [LineReceived, Acknowledged, CommandAcknowledged]
    assert told[-1] is LineSent


def test_the_sessions_own_lines_have_no_tag() -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"ok\n", 0.0)
    session.receive_data(b"FIRMWARE_NAME:Marlin\nok\n", 0.0)
    session.receive_data(b"ok T:20 /0\n", 0.0)
    assert acknowledged(session) == [("M115", None), ("M105", None)]


def test_an_ok_with_a_number_acknowledges_all_up_to_it() -> None:
    session = asked(3, "G1 X1", "G1 X2", "G1 X3")
    session.receive_data(b"ok N4 P10 B3\n", 2.0)
    assert acknowledged(session) == [("G1 X1", 1), ("G1 X2", 2)]
    session.receive_data(b"ok N5 P10 B3\n", 2.0)
    assert acknowledged(session) == [("G1 X3", 3)]


def test_an_ok_that_nobody_waits_for_acknowledges_nothing() -> None:
    session = asked(1, "G28")
    session.receive_data(b"ok\nok\n", 2.0)
    assert acknowledged(session) == [("G28", 1)]


def test_a_resend_acknowledges_all_below_its_number_and_its_ok_nothing() -> None:
    session = asked(3, "G1 X1", "G1 X2", "G1 X3")
    session.receive_data(b"Error:checksum mismatch, Last Line: 3\nResend: 4\nok\n", 2.0)
    assert acknowledged(session) == [("G1 X1", 1)]
    session.receive_data(b"ok\nok\n", 3.0)
    assert acknowledged(session) == [("G1 X2", 2), ("G1 X3", 3)]


def test_a_lost_ok_comes_with_the_request_for_the_line_after_it() -> None:
    session = asked(1, "M117")
    session.handle_timer(2.5)  # It is written again.
    session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 3\nResend: 4\nok\n", 2.5)
    assert acknowledged(session) == [("M117", 1)]


def test_what_is_asked_for_again_after_its_ok_is_told_once() -> None:
    session = asked(1, "G28")
    session.receive_data(b"ok\n", 2.0)
    session.receive_data(b"Resend: 3\nok\n", 2.0)
    session.receive_data(b"ok\n", 2.0)
    assert acknowledged(session) == [("G28", 1)]


def test_a_line_that_is_freed_by_hand_counts_as_acknowledged() -> None:
    session = asked(1, "G28")
    session.repair(2.0)
    assert acknowledged(session) == [("G28", 1)]


@pytest.mark.parametrize("end", [b"start\n", b"Error:Printer halted. kill() called!\n"])
def test_what_a_printer_has_not_acknowledged_before_its_end_is_not_told(end: bytes) -> None:
    session = asked(2, "G28", "G29")
    session.receive_data(end + b"ok\nok\nok\n", 2.0)
    assert not {"G28", "G29"} & {command for command, _ in acknowledged(session)}


@pytest.mark.parametrize("quirk", QUIRKS)
@pytest.mark.parametrize("window", [1, 4])
def test_every_command_is_told_once_and_in_order_over_a_bad_wire(quirk: str, window: int) -> None:
    noise = random.Random(11)
    wire = Wire(
        at_once(rx_buffer=0, **QUIRKS[quirk]),
        to_printer=bad(noise, corrupted=0.02, dropped=0.02),
        to_host=bad(noise, corrupted=0.02, dropped=0.02, doubled=0.02),
    )
    wire.session = Session(0.0, flow=Flow(window))
    waiting = deque(COMMANDS[:300])
    source = iter(lambda: waiting.popleft() if waiting else None, None)
    wire.run(source, until=lambda: bool(wire.seen(SessionEnded)) or (wire.session.idle and not waiting))
    wire.run_for(60.0)
    assert not wire.seen(SessionEnded), "\n".join(wire.traffic()[-20:])
    told: list[Event] = wire.seen(CommandAcknowledged)
    moves = [event.command for event in told if isinstance(event, CommandAcknowledged)]
    assert [command for command in moves if command.startswith("G1 ")] == COMMANDS[:300]
