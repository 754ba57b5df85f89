"""A file is written to the printer's card (M28 to M29): what is in it is what was sent, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from limpet.protocol.events import CardFileBegun, CardFileSaved, CommandAcknowledged, SessionOpened
from limpet.protocol.session import Session
from tests.protocol.test_lossy_wire import at_once, bad
from tests.protocol.test_session import after, greeted
from tests.protocol.wire import Wire

LINES = [f"G1 X{n % 200} Y{n % 180} E{n / 100}" for n in range(500)]


def saving() -> Session:
    session = greeted()
    session.send("M28 a.gco", 1.0)
    session.receive_data(b"Writing to file: a.gco\nok\n", 1.0)
    after(session, 1.0)
    return session


def transfer(wire: Wire, lines: list[str], pause: float = 0.0) -> bytes:
    """Write these lines to A.GCO, with a pause after the first; what is in the file then."""
    wire.run(until=lambda: bool(wire.seen(SessionOpened)) and wire.session.idle)
    wire.run(iter(["M28 a.gco", lines[0]]), until=lambda: bool(wire.seen(CardFileBegun)) and done(wire, lines[0]))
    if pause:
        wire.run_for(pause)
    rest: Iterator[str] = iter([*lines[1:], "M29"])
    wire.run(rest, until=lambda: done(wire, "M29") and wire.session.idle)
    return bytes(wire.printer.card.files["A.GCO"])


def done(wire: Wire, command: str) -> bool:
    return any(isinstance(event, CommandAcknowledged) and event.command == command for event in wire.events)


def test_nothing_is_asked_while_a_file_is_written() -> None:
    session = saving()

    assert session.deadline is None
    assert after(session, 600.0) == b""


@pytest.mark.parametrize("answer", [b"Done saving file.\nok\n", b"ok\n", b"Done saving file.\n"])
def test_when_the_file_is_closed_an_idle_line_is_asked_again(answer: bytes) -> None:
    session = saving()
    session.send("M29", 2.0)
    session.receive_data(answer, 2.0)
    if b"ok" not in answer:
        # Some firmware has no ok for M29: the line is said again, and refused.
        assert b"M29" in after(session, 3.1)
        session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 4\nResend: 5\nok\n", 3.2)
    after(session, 3.3)

    assert session.idle
    assert b"M105" in after(session, 9.0)


def test_a_printer_that_restarts_writes_no_file_any_more() -> None:
    session = saving()
    session.receive_data(b"start\n", 2.0)

    assert session.deadline is not None


def test_a_file_arrives_whole_and_without_our_own_questions() -> None:
    wire = Wire(at_once())

    assert transfer(wire, LINES, pause=60.0) == "".join(f"{line}\n" for line in LINES).encode()
    assert wire.seen(CardFileSaved)


@pytest.mark.parametrize("seed", range(3))
def test_a_file_arrives_whole_over_a_bad_line(seed: int) -> None:
    noise = random.Random(seed)
    wire = Wire(
        at_once(),
        to_printer=bad(noise, corrupted=0.02, dropped=0.01, doubled=0.01),
        to_host=bad(noise, dropped=0.02, doubled=0.01),
    )

    assert transfer(wire, LINES) == "".join(f"{line}\n" for line in LINES).encode()


def test_a_printer_without_an_ok_for_the_end_of_a_file_is_understood() -> None:
    wire = Wire(at_once(broken_m29=True))

    assert transfer(wire, LINES[:20]) == "".join(f"{line}\n" for line in LINES[:20]).encode()
