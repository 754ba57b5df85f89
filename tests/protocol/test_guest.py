"""The port that another program takes for a printer, in bytes; the printer behind it is told by events."""

from __future__ import annotations

import random
from collections import deque
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet.protocol.commands import Command, number_line
from limpet.protocol.events import Acknowledged, CommandAcknowledged, Event, LineReceived, ResendRequested, SessionEnded
from limpet.protocol.guest import MAX_ANSWERS, MAX_LINE, MAX_SENT, MAX_UNSENT, GuestPort
from limpet.protocol.replies import events_of
from tests.protocol.test_lossy_wire import QUIRKS, at_once, bad
from tests.protocol.wire import Wire


def opened() -> GuestPort:
    port = GuestPort(count(1))
    port.begin()
    return port


def heard(port: GuestPort) -> str:
    """All that the guest has to read."""
    said = b""
    while data := port.data_to_send():
        port.sent(len(data))
        said += data
    return said.decode()


def commands(port: GuestPort) -> list[str]:
    """All that is to be sent to the printer now."""
    taken = []
    while command := port.next_command():
        taken.append(command.text)
    return taken


def one(port: GuestPort) -> Command:
    command = port.next_command()
    assert command is not None
    return command


def says(port: GuestPort, line: str, *tags: int | None) -> None:
    """The printer says a line, which acknowledges the commands with these tags."""
    port.handle_event(LineReceived(line))
    acknowledged = [CommandAcknowledged("", tag) for tag in tags]
    for event in events_of(line):
        port.handle_event(event)
        while acknowledged and isinstance(event, Acknowledged | ResendRequested):
            port.handle_event(acknowledged.pop(0))


# -- the guest's lines --


def test_a_command_has_its_ok_when_the_printer_has_acknowledged_it_and_not_before() -> None:
    port = opened()
    port.receive_data(b"G28\n")
    assert one(port) == Command("G28", 1)
    assert heard(port) == ""
    says(port, "ok", 1)
    assert heard(port) == "ok\n"


def test_number_checksum_and_comment_stay_here() -> None:
    port = opened()
    port.receive_data(number_line(1, "G1 X1") + b"G1 X2 ; right\nM105*33\n")
    assert commands(port) == ["G1 X1", "G1 X2", "M105"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_come_in_pieces_of_any_size_and_with_any_end(end: bytes) -> None:
    port = opened()
    for byte in b"G28" + end + b" M105 " + end + end:
        port.receive_data(bytes([byte]))
    assert commands(port) == ["G28", "M105"]


def test_text_is_utf_8_and_its_checksum_is_over_the_bytes() -> None:
    port = opened()
    port.receive_data(number_line(1, "M117 60 °C") + b"M117 \xb0C\n")
    assert commands(port) == ["M117 60 °C", "M117 \xb0C"]


def test_blank_lines_and_comments_are_no_commands() -> None:
    port = opened()
    port.receive_data(b"\n  \n; only words\n")
    assert commands(port) == []
    assert heard(port) == ""


def test_a_line_without_a_command_is_answered_and_not_sent() -> None:
    port = opened()
    port.receive_data(number_line(1, ""))
    assert commands(port) == []
    assert heard(port) == "ok\n"


BAD_LINES = {
    b"N2 G28*18\n": "Error:Line Number is not Last Line Number+1, Last Line: 0\nResend: 1\nok\n",
    b"N1 G28*99\n": "Error:checksum mismatch, Last Line: 0\nResend: 1\nok\n",
    b"N1 G28\n": "Error:No Checksum with line number, Last Line: 0\nResend: 1\nok\n",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_asked_for_again(line: bytes) -> None:
    port = opened()
    port.receive_data(line)
    assert heard(port) == BAD_LINES[line]
    assert commands(port) == []
    port.receive_data(number_line(1, "G28"))
    assert commands(port) == ["G28"]


def test_what_stands_behind_a_bad_line_is_complained_about_once_and_without_a_number_obeyed() -> None:
    port = opened()
    port.receive_data(b"N1 G28*99\n" + number_line(2, "G1 X2") + b"M112\n" + b"N3 G1")
    assert heard(port).count("Resend") == 1
    assert commands(port) == ["M112"]
    port.receive_data(b" X3*20\n")  # the rest of a line is no command
    assert commands(port) == []


def test_m110_numbers_the_lines_of_the_guest_and_is_not_for_our_printer() -> None:
    port = opened()
    port.receive_data(b"N0 M110 N0*125\n" + number_line(1, "G28") + b"M110 N100\n" + number_line(101, "M105"))
    assert commands(port) == ["G28", "M105"]
    assert heard(port) == "ok\n"
    says(port, "ok", 1)
    assert heard(port) == "ok\nok\n"


def test_answers_come_in_the_order_of_the_lines() -> None:
    port = opened()
    port.receive_data(b"G28\nN9 G29*99\nM110 N0\nM114\n")
    assert commands(port) == ["G28", "M114"]
    assert heard(port) == ""
    says(port, "ok", 1)
    assert heard(port).splitlines()[0] == "ok"
    says(port, "X:0 Y:0 Z:0", None)
    says(port, "ok", 2)
    assert heard(port) == "X:0 Y:0 Z:0\nok\n"


# -- what waits --


def test_only_a_few_commands_wait_in_our_queue() -> None:
    port = opened()
    port.receive_data(b"".join(b"G1 X%d\n" % x for x in range(10)))
    assert len(commands(port)) == MAX_SENT
    says(port, "ok", 1)
    assert commands(port) == [f"G1 X{MAX_SENT}"]


def test_an_m112_goes_before_all_that_waits_here() -> None:
    port = opened()
    port.receive_data(b"".join(b"G1 X%d\n" % x for x in range(10)))
    commands(port)
    port.receive_data(b"M112\n")
    assert commands(port) == ["M112"]


def test_a_guest_that_is_ahead_of_the_printer_is_not_read() -> None:
    port = opened()
    taken = 0
    while port.wants_data:
        port.receive_data(b"G1 X1\n" * 100)
        taken += 100
        assert taken < 1000
    assert len(commands(port)) == MAX_SENT
    tags, done = deque(range(1, MAX_SENT + 1)), 0
    while tags:
        says(port, "ok", tags.popleft())
        done += 1
        while command := port.next_command():
            assert command.tag is not None
            tags.append(command.tag)
    assert done == taken
    assert port.wants_data


def test_a_line_without_an_end_does_not_grow_and_is_no_command() -> None:
    port = opened()
    for _ in range(1000):
        assert port.wants_data
        port.receive_data(b"G1" * 500)
    port.receive_data(b"\nM105\n")
    assert heard(port) == f"Error:a line has at most {MAX_LINE} bytes\nok\n"
    assert commands(port) == ["M105"]


@pytest.mark.parametrize("line", [b"N7 G28*99\n", b"M110\n", b"G28\n"])
def test_a_guest_that_does_not_read_is_obeyed_no_more_and_loses_nothing_but_chatter(line: bytes) -> None:
    port = opened()
    tags: list[int] = []
    for _ in range(10_000):
        if port.wants_data:
            port.receive_data(line)
        while command := port.next_command():
            assert command.tag is not None
            tags.append(command.tag)
            says(port, "ok", command.tag)
        says(port, "T:21.30 /0.00 B:21.30 /0.00 @:0 B@:0")
    said = heard(port)
    assert len(said) < MAX_UNSENT + 100 * MAX_ANSWERS
    assert said.count("ok\n") >= len(tags)
    # It reads again, and everything goes on.
    port.receive_data(b"\n" if port.wants_data else b"")
    says(port, "echo:here")
    assert "echo:here\n" in heard(port)


# -- what the printer says --


@pytest.mark.parametrize(
    "line",
    ["T:21.3 /0.0", "echo:busy: processing", "//action:pause", "Error:MAXTEMP off", "start", "FIRMWARE_NAME:Marlin"],
)
def test_what_the_printer_says_is_passed_on(line: str) -> None:
    port = opened()
    says(port, line)
    assert heard(port) == f"{line}\n"


@pytest.mark.parametrize(
    "line",
    [
        "ok",
        "okok",
        "ok N12 P15 B3",
        "ok 12",
        "wait",
        "Resend: 12",
        "rs N12 Expected checksum 3",
        "okResend: 12",
        "skip 12",
        "Error:checksum mismatch, Last Line: 11",
        "Error:Line Number is not Last Line Number+1, Last Line: 11",
        "\x80\xffok",
        "okx",
        "Resend: 15y",
    ],
)
def test_what_is_about_our_own_line_stays_here(line: str) -> None:
    port = opened()
    port.receive_data(b"G28\n")
    commands(port)
    says(port, line, None)
    says(port, line)
    says(port, "echo:end")
    assert heard(port) == "echo:end\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("ok T:21.3 /0.0", "ok T:21.3 /0.0"),
        ("ok N12 P15 B3", "ok"),
        ("ok 12", "ok"),
        ("ok N12 P15 B3 T:21.3 /0.0", "ok T:21.3 /0.0"),
        ("ok B:60.0 /60.0", "ok B:60.0 /60.0"),
        ("T:21.3 /0.0ok", "T:21.3 /0.0\nok"),
        ("File deleted:look.gcook", "ok File deleted:look.gco"),
    ],
)
def test_an_answer_that_rides_on_the_ok_goes_along(line: str, answer: str) -> None:
    port = opened()
    port.receive_data(b"M105\n")
    commands(port)
    says(port, line, 1)
    assert heard(port) == f"{answer}\n"


def test_of_an_answer_to_somebody_else_only_the_report_is_passed_on() -> None:
    port = opened()
    says(port, "ok T:21.3 /0.0", None)
    says(port, "ok T:21.4 /0.0")
    assert heard(port) == "T:21.3 /0.0\nT:21.4 /0.0\n"


def test_a_request_for_a_later_line_is_the_ok_of_the_one_before() -> None:
    port = opened()
    port.receive_data(b"M117\n")
    commands(port)
    says(port, "Resend: 13", 1)
    says(port, "ok")
    assert heard(port) == "ok\n"


def test_one_ok_of_the_printer_may_be_several_of_the_guest() -> None:
    port = opened()
    port.receive_data(b"G1 X1\nG1 X2\n")
    commands(port)
    says(port, "ok N13 P1 B1", 1, None, 2)
    assert heard(port) == "ok\nok\n"


def test_control_characters_are_not_passed_on() -> None:
    port = opened()
    says(port, "echo:\x1b[2J\ttab \x07°")
    assert heard(port) == "echo:\\x1b[2J tab \\x07°\n"


# -- a printer that is not there, and guests that come and go --


def test_a_command_that_is_not_taken_is_an_error_and_an_ok() -> None:
    port = opened()
    port.receive_data(b"G28\n")
    port.refuse(one(port), "The printer is not operational")
    assert heard(port) == "Error:The printer is not operational\nok\n"


def test_what_a_lost_printer_has_not_acknowledged_is_an_error_and_an_ok() -> None:
    port = opened()
    port.receive_data(b"G28\nG29\nG1\nG2\nG3\n")
    commands(port)
    says(port, "ok", 1)
    port.lose_printer("unplugged")
    assert heard(port) == "ok\n" + "Error:unplugged\nok\n" * 4
    says(port, "ok", 2)
    assert heard(port) == ""
    assert commands(port) == []


def test_a_print_does_not_go_on_at_a_printer_that_was_lost() -> None:
    port = opened()
    port.receive_data(number_line(1, "G28"))
    port.lose_printer("unplugged")
    heard(port)
    port.receive_data(number_line(2, "G1 X1"))
    assert commands(port) == []
    assert heard(port) == "Error:unplugged; begin anew with M110\nok\n"
    port.receive_data(b"M105\n" + number_line(3, "M112"))
    assert commands(port) == ["M112", "M105"]
    port.receive_data(b"N0 M110 N0*125\n" + number_line(1, "G28"))
    assert commands(port) == ["G28"]


def test_a_new_guest_starts_at_line_1_and_hears_nothing_of_the_one_before() -> None:
    port = opened()
    port.receive_data(number_line(1, "M105") + number_line(2, "G28") + b"G1 X")
    commands(port)
    says(port, "echo:unread")
    port.end()
    port.begin()
    port.receive_data(number_line(1, "M114"))
    says(port, "ok T:21.3 /0.0", 1)
    says(port, "ok", 2)
    assert heard(port) == "T:21.3 /0.0\n"
    assert commands(port) == ["M114"]
    says(port, "ok", 3)
    assert heard(port) == "ok\n"


def test_a_guest_that_comes_again_and_again_has_no_more_commands_waiting() -> None:
    port = opened()
    sent = []
    for _ in range(10):
        port.receive_data(b"G28\nG28\nG28\n")
        sent += commands(port)
        port.end()
        port.begin()
    assert len(sent) == MAX_SENT


def test_what_a_guest_has_written_before_it_left_is_carried_out() -> None:
    port = opened()
    port.receive_data(b"".join(b"G1 X%d\n" % x for x in range(50)))
    port.end()
    sent: list[str] = []
    while command := port.next_command():
        sent.append(command.text)
        says(port, "ok", command.tag)
    assert sent == [f"G1 X{x}" for x in range(50)]
    assert heard(port) == ""


def test_nothing_is_kept_to_be_said_while_nobody_listens() -> None:
    port = GuestPort(count(1))
    says(port, "echo:anybody there?")
    assert heard(port) == ""


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.binary(max_size=200)
        | st.sampled_from(
            [b"\n", b"N1 G28*18\n", b"M112\n", b"G28\n" * 100, b"N", b"M110 N-1\n", b"*\n", b"N\xb2 G1*1\n"]
        )
    )
)
def test_no_bytes_of_a_guest_raise(pieces: list[bytes]) -> None:
    port = opened()
    for piece in pieces:
        if port.wants_data:
            port.receive_data(piece)
        while command := port.next_command():
            assert command.text
            assert command.text.strip() == command.text
            says(port, "ok", command.tag)
    heard(port)


# -- all of it: a guest, this port, a session, a bad wire and a printer --


class Guest:
    """A program that prints as Printrun does: numbered, one line at a time, again from where it is asked to."""

    def __init__(self, port: GuestPort, lines: list[str]) -> None:
        self._port = port
        self._lines = ["M110 N0", *lines]
        self._next = 0
        self.oks: list[int] = []
        self._waits = False

    @property
    def done(self) -> bool:
        return self._next == len(self._lines) and not self._waits

    def turn(self) -> None:
        for line in heard(self._port).splitlines():
            if line.startswith("Resend:"):
                self._next = int(line.partition(":")[2])
            elif line.startswith("ok"):
                assert self._waits, "an ok that was not asked for"
                self._waits = False
                self.oks.append(self._next - 1)
        if not self._waits and self._next < len(self._lines) and self._port.wants_data:
            self._port.receive_data(number_line(self._next, self._lines[self._next]))
            self._next += 1
            self._waits = True


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_print_through_the_port_arrives_whole_between_other_commands_over_a_bad_wire(quirk: str) -> None:
    noise = random.Random(5)
    wire = Wire(
        at_once(**QUIRKS[quirk]),
        to_printer=bad(noise, corrupted=0.02, dropped=0.02),
        to_host=bad(noise, corrupted=0.02, dropped=0.02, doubled=0.02),
    )
    wire.run(until=lambda: wire.session.idle)
    port = opened()
    lines, others = [f"G1 X{x}" for x in range(300)], deque(f"M117 {n}" for n in range(100))
    guest = Guest(port, lines)
    told = len(wire.events)
    waiting: deque[Command] = deque()

    def over() -> bool:
        """One turn of the event loop."""
        nonlocal told
        events: list[Event] = wire.events[told:]
        told = len(wire.events)
        for event in events:
            port.handle_event(event)
        guest.turn()
        while command := port.next_command():
            waiting.append(command)
        if not waiting and others and noise.random() < 0.3:
            waiting.append(Command(others.popleft()))
        if wire.session.ready and waiting:
            command = waiting.popleft()
            wire.session.send(command.text, wire.now, command.tag)
        return guest.done or bool(wire.seen(SessionEnded))

    wire.run(until=over)
    assert guest.oks == list(range(301)), "\n".join(wire.traffic()[-20:])
    wire.run_for(60.0)  # The last one may have been acknowledged by an ok that the wire had doubled.
    assert [command for command in wire.printer.accepted if command.startswith("G1 ")] == lines
