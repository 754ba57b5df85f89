"""What a session does before it speaks, when nothing is said any more, and what it counts meanwhile."""

from __future__ import annotations

import pytest

from limpet.protocol.events import SessionEnded, SessionOpened
from limpet.protocol.figures import SAMPLES, Figures
from limpet.protocol.patience import SILENCE
from limpet.protocol.session import Session
from tests.protocol.test_session import HELLO, after, end_of, events, greeted

REPORT = b" T:20 /0 B:20 /0\n"


# -- listening before the first word --


def test_nothing_is_said_while_a_boot_loader_may_be_listening() -> None:
    session = Session(0.0, listening=1.2)
    assert after(session, 1.19) == b""
    assert after(session, 1.21) == HELLO


@pytest.mark.parametrize("line", [b"start\n", b"echo: Free Memory: 2000\n", b"T:20 /0\n"])
def test_a_line_that_can_be_read_ends_the_listening_for_a_boot_loader_does_not_talk(line: bytes) -> None:
    session = Session(0.0, listening=1.2)
    after(session, 0.5)
    session.receive_data(line, 0.5)
    assert after(session, 0.5) == HELLO


def test_noise_tells_that_the_rate_is_wrong_before_a_word_was_said() -> None:
    session = Session(0.0, wrong_rate_time=0.2, listening=1.2)
    session.receive_data(b"\xf3\x80\x01\xfe" * 5, 0.4)
    assert after(session, 0.7) == b""
    assert end_of(session) == "wrong_baudrate"


def test_noise_after_a_long_silence_is_judged_within_the_time_for_a_wrong_rate() -> None:
    session = Session(0.0, wrong_rate_time=0.2)
    after(session, 5.05)
    session.receive_data(b"\xf3\x80\x01\xfe" * 5, 5.05)
    after(session, 5.26)
    assert end_of(session) == "wrong_baudrate"


def test_a_gps_receiver_is_never_written_to() -> None:
    session = Session(0.0, listening=0.25)
    session.receive_data(b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", 0.1)
    assert after(session, 30.0) == b""
    ended = [event for event in events(session) if isinstance(event, SessionEnded)]
    assert [end.code for end in ended] == ["not_a_printer"]
    assert "NMEA" in ended[0].detail


def test_text_settles_the_rate_so_that_whoever_speaks_is_given_more_time() -> None:
    def ends_at(says: bytes) -> float:
        session = Session(0.0, greeting_time=0.2, settled_time=12.0)
        session.receive_data(says, 0.1)
        while session.deadline is not None:
            now = session.deadline
            session.handle_timer(now)
        return now

    assert ends_at(b"x") == pytest.approx(0.2)
    assert ends_at(b"echo: some text that nobody knows, but that is long enough to be no accident\n") == 12.0
    assert ends_at(b" T:20.0 /0.0\n") == 12.0


def test_a_firmware_that_answers_with_errors_alone_is_told_as_such() -> None:
    session = Session(0.0)
    session.receive_data(b"Error:EEPROM version mismatch\n", 0.5)
    after(session, 20.0)
    ended = [event for event in events(session) if isinstance(event, SessionEnded)]
    assert [(end.code, end.detail) for end in ended] == [("firmware_error", "EEPROM version mismatch")]


def test_a_firmware_name_in_passing_proves_nothing() -> None:
    session = Session(0.0)
    for half in range(1, 40):
        session.receive_data(b"start\nok\nok T:21.3 /0.0\nFIRMWARE_NAME:none yet\n", half / 2)
        after(session, half / 2)
        session.receive_data(b"FIRMWARE_NAME:none yet\nok\n", half / 2 + 0.1)
        after(session, half / 2 + 0.1)
    assert not [event for event in events(session) if isinstance(event, SessionOpened)]


def test_a_printer_that_had_been_asked_for_its_name_by_another_host_proves_itself_otherwise() -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"FIRMWARE_NAME:Marlin 2.1.2\nok\n", 0.1)
    session.receive_data(b"FIRMWARE_NAME:Marlin 2.1.2\nok\nok\n", 0.2)
    after(session, 0.6)
    session.receive_data(b"Error:checksum mismatch, Last Line: 1\nResend: 2\nok\n", 0.7)
    assert SessionOpened("Marlin 2.1.2") in events(session)


def test_a_printer_that_has_not_understood_the_hello_is_greeted_again_and_not_flooded() -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"Error:checksum mismatch, Last Line: 4\nResend: 5\nok\n", 0.01)
    written = after(session, 0.01)
    session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 4\nResend: 5\nok\n", 0.02)
    written += after(session, 0.5)
    assert written.count(b"M115") == 1
    assert written.endswith(HELLO)
    session.receive_data(b"ok\n", 0.51)
    session.receive_data(b"FIRMWARE_NAME:Marlin 2.1.2\nok\n", 0.52)
    after(session, 1.0)
    assert SessionOpened("Marlin 2.1.2") in events(session)


# -- silence --


def reporting(session: Session, until: int, interval: int = 2) -> None:
    """The printer reports by itself and answers what it is asked."""
    for now in range(interval, until + 1, interval):
        session.receive_data(REPORT, float(now))
        if after(session, float(now)):
            session.receive_data(b"ok T:20 /0\n", float(now))


def test_reports_that_stop_coming_make_a_printer_suspect_within_seconds_and_dead_after_fifteen() -> None:
    session = greeted()
    reporting(session, until=40)
    assert after(session, 44.9) == b""
    assert b"M105" in after(session, 45.1)
    assert not session.suspect
    after(session, 46.2)
    assert session.suspect
    after(session, 40 + SILENCE - 0.1)
    assert end_of(session) is None
    after(session, 40 + SILENCE + 0.1)
    assert end_of(session) == "timeout"


def test_a_printer_that_reports_nothing_is_dead_fifteen_seconds_after_its_last_word_too() -> None:
    session = greeted()
    after(session, SILENCE - 0.1)
    assert end_of(session) is None
    after(session, SILENCE + 0.1)
    assert end_of(session) == "timeout"


def test_noise_is_no_sign_of_life() -> None:
    session = greeted()
    for tenth in range(1, 200):
        session.receive_data(b"\xf3\x80\x01\xfe\n", tenth / 10)
        after(session, tenth / 10)
    assert end_of(session) == "timeout"


def test_one_word_lifts_the_suspicion() -> None:
    session = greeted()
    after(session, 8.0)
    assert session.suspect
    session.receive_data(b"ok T:20 /0\n", 8.1)
    assert not session.suspect
    after(session, 14.0)
    assert end_of(session) is None


def test_a_host_that_has_slept_asks_before_it_buries() -> None:
    session = greeted()
    session.handle_timer(3600.0)
    assert b"M105" in session.data_to_send()
    session.handle_timer(3602.0)
    assert end_of(session) is None
    session.receive_data(b"ok T:20 /0\n", 3602.1)
    assert session.idle


@pytest.mark.parametrize("command", ["G28", "G29", "M109 S200", "M190 S60", "M600", "M0"])
def test_a_long_command_holds_the_fire(command: str) -> None:
    session = greeted()
    session.send(command, 0.0)
    after(session, 120.0)
    assert end_of(session) is None


def test_a_printer_that_was_told_to_be_silent_about_being_busy_is_not_dead_for_that() -> None:
    session = greeted()
    session.send("G28", 0.0)
    session.receive_data(b"echo:busy: processing\nok\n", 2.0)
    session.send("M113 S0", 3.0)
    session.receive_data(b"ok\n", 3.0)
    session.send("G28", 4.0)
    after(session, 60.0)
    assert end_of(session) is None


# -- a print from the printer's own card --


def test_a_print_from_the_card_is_asked_for_as_long_as_it_goes_on() -> None:
    session = greeted()
    session.receive_data(b"SD printing byte 10/1000\n", 1.0)
    assert b"M105" in after(session, 6.0)
    session.receive_data(b"ok T:20 /0\n", 6.0)
    assert b"M27" in after(session, 6.0)
    session.receive_data(b"Not SD printing\nok\n", 6.1)
    assert b"M27" not in after(session, 12.0)


# -- figures --


def test_round_trips_are_those_of_commands_that_take_no_time_of_their_own() -> None:
    session = greeted()
    assert session.figures.round_trip() == (0.0, 0.0)
    for number, (command, seconds) in enumerate([("M114", 0.25), ("G28", 30.0), ("G1 X1", 3.0), ("M114", 0.25)]):
        now = 100.0 * number
        session.receive_data(b"T:20 /0\n", now)
        after(session, now)
        if not session.idle:
            session.receive_data(b"ok T:20\n", now)
        session.send(command, now)
        session.data_to_send()
        session.receive_data(b"ok\n", now + seconds)
    half, most = session.figures.round_trip() or (None, None)
    assert half is not None
    assert most is not None
    assert 0 <= half <= most <= 0.25


def test_the_answer_to_a_line_that_was_written_twice_measures_nothing() -> None:
    session = greeted()
    before = session.figures.round_trip()
    session.send("M114", 0.0)
    after(session, 1.5)
    session.receive_data(b"ok\n", 1.6)
    assert session.figures.round_trip() == before


def test_lines_resends_and_bytes_are_counted() -> None:
    session = greeted()
    sent, heard = session.figures.lines_sent, session.figures.lines_received
    session.send("M114", 0.0)
    session.receive_data(b"Error:checksum mismatch, Last Line: 2\nResend: 3\nok\n", 0.1)
    after(session, 0.2)
    assert (session.figures.lines_sent - sent, session.figures.lines_received - heard) == (2, 3)
    assert session.figures.resends == 1


def test_the_figures_keep_the_last_round_trips_alone() -> None:
    figures = Figures(0.0)
    for _ in range(2 * SAMPLES):
        figures.answered(9.0)
    for seconds in range(SAMPLES):
        figures.answered(seconds / SAMPLES)
    half, most = figures.round_trip() or (0.0, 0.0)
    assert (half, most) == pytest.approx((0.5, 0.95), abs=0.01)
