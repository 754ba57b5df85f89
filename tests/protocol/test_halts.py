"""A firmware that has stopped for safety, and what it says of the reason."""

from __future__ import annotations

import pytest

from limpet.protocol.events import (
    BootReported,
    ErrorReported,
    FirmwareHalted,
    PrinterRestarted,
    SessionEnded,
    SessionOpened,
)
from limpet.protocol.replies import events_of
from limpet.protocol.session import WHY_TIME, Session
from tests.protocol.test_session import HELLO, after, end_of, events

ASKED = b"STATUS\n"
HOW_TO_GO_ON = (
    "// Once the underlying issue is corrected, use the\n"
    '// "FIRMWARE_RESTART" command to reset the firmware, reload the\n'
    "// config, and restart the host software.\n"
)
STARTING = (
    b"// Printer is not ready\n// The klippy host software is attempting to connect.  Please\n"
    b"// retry in a few moments.\n// Klipper state: Not ready\n!! Printer is not ready\nok\n"
)


def refusal(reason: str, ends: str = "Printer is shutdown") -> bytes:
    """What Klipper answers to everything but questions."""
    first = reason.partition("\n")[0]
    return f"// {reason}\n{HOW_TO_GO_ON}// {ends}\n!! {first}\nok\n".encode()


def asked_for_its_state() -> Session:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.data_to_send()
    session.receive_data(b"ok\n", 0.0)
    session.data_to_send()
    session.receive_data(b"ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.13.0\n", 0.0)
    assert session.data_to_send() == ASKED
    assert SessionOpened("Klipper") not in events(session)
    return session


def with_klipper() -> Session:
    """A session with a Klipper that is ready."""
    session = asked_for_its_state()
    session.receive_data(b"// Klipper state: Ready\nok\n", 0.0)
    assert SessionOpened("Klipper") in events(session)
    session.data_to_send()
    session.receive_data(b"ok B:20 /0 T0:20 /0\n", 0.0)
    assert session.ready
    return session


def halt_of(session: Session) -> str:
    (end,) = [event for event in events(session) if isinstance(event, SessionEnded)]
    assert end.code == "firmware_halted"
    return end.detail


# -- Klipper, whose questions are answered by a host that lives on --

REASONS = [
    "Heater extruder not heating at expected rate",
    "MCU 'mcu' shutdown: ADC out of range",
    "Lost communication with MCU 'mcu'",
    "mcu 'mcu': Unable to connect",
    "TMC 'stepper_x' reports error: DRV_STATUS: 80190001",
]


@pytest.mark.parametrize("reason", REASONS)
def test_klipper_that_is_shut_down_never_opens_a_session_and_tells_why(reason: str) -> None:
    session = asked_for_its_state()
    session.receive_data(refusal(reason), 0.1)
    assert halt_of(session) == reason


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("ends", ["Printer is shutdown", "Error configuring printer", "Printer is halted"])
def test_a_line_that_klipper_refuses_for_being_shut_down_is_a_halt_with_its_reason(reason: str, ends: str) -> None:
    session = with_klipper()
    session.send("G1 X1", 0.0)
    session.receive_data(refusal(reason, ends), 0.1)
    assert halt_of(session) == reason


@pytest.mark.parametrize("reason", REASONS)
def test_klipper_that_shuts_down_is_asked_why_and_given_no_other_line(reason: str) -> None:
    session = with_klipper()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"// Klipper state: Shutdown\nok\n", 1.0)
    assert session.data_to_send() == ASKED
    assert not session.ready
    session.receive_data(refusal(reason), 1.5)
    assert halt_of(session) == reason
    assert session.data_to_send() == b""


def test_the_reason_may_come_unasked_before_or_after_the_word_of_the_shutdown() -> None:
    lines = [b"// Klipper state: Shutdown\n", b"!! Heater extruder not heating at expected rate\n"]
    for order in (lines, lines[::-1]):
        session = with_klipper()
        session.receive_data(b"".join(order), 1.0)
        assert halt_of(session) == "Heater extruder not heating at expected rate"


def test_a_reason_that_does_not_come_is_not_waited_for_long() -> None:
    session = with_klipper()
    session.receive_data(b"// Klipper state: Shutdown\n", 1.0)
    after(session, 0.9 + WHY_TIME)
    assert end_of(session) is None
    after(session, 1.0 + WHY_TIME)
    assert halt_of(session) == "Klipper state: Shutdown"
    assert session.deadline is None


def test_klipper_that_starts_is_greeted_until_it_is_ready() -> None:
    session, now = asked_for_its_state(), 0.0
    for _ in range(20):
        now += 0.1
        session.receive_data(STARTING, now)
        assert session.data_to_send() == b""
        now += 0.2
        assert after(session, now) == HELLO
        session.receive_data(b"ok\n", now)
        session.receive_data(b"ok FIRMWARE_NAME:Klipper\n", now)
        assert session.data_to_send().endswith(ASKED)
    assert not [event for event in events(session) if isinstance(event, SessionOpened | SessionEnded)]
    session.receive_data(b"// Klipper state: Ready\nok\n", now)
    assert SessionOpened("Klipper") in events(session)


def test_klipper_that_never_gets_ready_is_told_with_its_words() -> None:
    session, now = asked_for_its_state(), 0.0
    while session.deadline is not None:
        session.receive_data(STARTING, now)
        now = session.deadline
        session.handle_timer(now)
        session.receive_data(b"ok\n", now)
        session.receive_data(b"ok FIRMWARE_NAME:Klipper\n", now)
        session.data_to_send()
    assert SessionEnded("firmware_error", "Printer is not ready") in events(session)
    assert now <= 31.0


def test_klipper_that_says_nothing_of_its_state_is_taken_at_its_name() -> None:
    session = asked_for_its_state()
    after(session, 3.1)
    assert SessionOpened("Klipper") in events(session)


@pytest.mark.parametrize("said", [b"// Klipper state: Disconnect\n", STARTING])
def test_klipper_that_is_restarted_has_lost_what_was_under_way(said: bytes) -> None:
    session = with_klipper()
    session.send("G1 X1", 1.0)
    session.receive_data(said, 1.0)
    (restart,) = [event for event in events(session) if isinstance(event, PrinterRestarted)]
    assert restart.lost_commands == 1
    assert not session.ready


# -- other firmware --


@pytest.mark.parametrize(
    "fault",
    [
        "heating fault on heater 1, temperature rising too slowly",
        "Heating fault on heater 1, temperature excursion exceeded 15.0\xb0C",
        "Temperature reading fault on heater 0: short-circuit in sensor",
        "Heater 1 fault: temperature excursion exceeded 15.0\xb0C (target 210.0\xb0C, actual 190.1\xb0C)",
        "Heater 12 fault: failed to read sensor: sensor open circuit",
        "MINTEMP or MAXTEMP triggered on T. Check your temperature sensors!",
        "Temperature runaway on T (delta temp 20.3), HALT asserted, TURN POWER OFF - reset or M999 required",
        "Temperature took too long to be reached on B, HALT asserted, TURN POWER OFF - reset or M999 required",
    ],
)
def test_a_heater_fault_is_a_halt_with_its_words(fault: str) -> None:
    assert events_of(f"Error: {fault}") == (FirmwareHalted(fault),)


# -- what is no halt --


@pytest.mark.parametrize(
    "line",
    [
        "echo:Printer is shutdown",
        "echo: Heater extruder not heating at expected rate",
        '// Unknown command:"PRINTER IS SHUTDOWN"',
        "// ECHO Shutdown due to M112 command",
        "// Klipper state: Ready",
        "// Klipper state: Not ready",
        "// Printer is not ready - not all commands available.",
        "// Printer is shutdown for the night",
        "// heater_bed: verify_heater says not heating at expected rate",
        "// remember: thermal runaway of last week, mintemp",
        "File opened:printer is shutdown.gcode Size:350",
        "Thermal Runaway.gcode 1234",
        "Current file: Printer halted.gco",
        "echo:Heater 1 fault",
        "Emergency stop button is on the left",
    ],
)  # fmt: skip
def test_words_of_a_person_and_names_of_files_halt_nothing(line: str) -> None:
    assert not [event for event in events_of(line) if isinstance(event, FirmwareHalted | BootReported)]


@pytest.mark.parametrize(
    "message",
    [
        "Malformed command 'RESPOND MSG=\"printer halted'",
        "Error on 'M117 thermal runaway': missing S",
        'M98: File "0:/macros/system stopped.g" not found',
        "Unable to parse move 'G1 X1 printer is shutdown'",
        "M570: Heater 1 allowed excursion 15.0C, fault trigger time 5.0s",
        "Filament error on extruder 1: no filament",
        "Must home axis first: 10.000 10.000 0.000 [0.000]",
    ],
)
@pytest.mark.parametrize("prefix", ["!! ", "Error: "])
def test_a_complaint_about_a_line_or_a_file_with_such_words_is_a_complaint(prefix: str, message: str) -> None:
    assert events_of(prefix + message) == (ErrorReported(message, refuses=prefix == "!! "),)
