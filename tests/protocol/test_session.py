from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.protocol.events import Event, LineReceived, LineSent, PrinterRestarted, SessionEnded, SessionOpened
from limpet.protocol.patience import SILENCE, TIMES_ASKED
from limpet.protocol.session import GREETING_TIME, MAX_LINE, Session
from limpet.protocol.stream import MAX_RESENDS
from limpet.protocol.window import HISTORY, LEAST_CAUTION, RECEIVE_BUFFER, Flow

HELLO = b"\nN0 M110 N0*125\n"
M115 = b"N1 M115*39\n"
M105 = b"N2 M105*37\n"


def events(session: Session) -> list[Event]:
    found = []
    while event := session.next_event():
        found.append(event)
    return found


def end_of(session: Session) -> str | None:
    ends = [event.code for event in events(session) if isinstance(event, SessionEnded)]
    return ends[0] if ends else None


def greeted(window: int | None = None) -> Session:
    """A session with a Marlin that has just opened and has had its first M105 answered, at 0 s."""
    session = Session(0.0, flow=Flow(window))
    session.handle_timer(0.0)
    assert session.data_to_send() == HELLO
    session.receive_data(b"ok\n", 0.0)
    assert session.data_to_send() == M115
    session.receive_data(b"FIRMWARE_NAME:Marlin 2.1.2\nok\n", 0.0)
    assert SessionOpened("Marlin 2.1.2") in events(session)
    assert session.data_to_send() == M105
    session.receive_data(b"ok T:20 /0\n", 0.0)
    events(session)
    return session


def after(session: Session, now: float) -> bytes:
    """What has been written when the clock has gone on to `now`, deadline by deadline."""
    written = session.data_to_send()
    while session.deadline is not None and session.deadline <= now:
        session.handle_timer(session.deadline)
        written += session.data_to_send()
    return written


# -- the greeting --


def test_a_session_opens_when_the_printer_has_answered_our_own_questions() -> None:
    assert greeted().ready


def test_the_hello_is_said_again_each_second_until_it_is_answered() -> None:
    session = Session(0.0)
    assert after(session, 3.5) == 4 * HELLO


def test_a_banner_is_answered_with_a_hello_at_once() -> None:
    session = Session(0.0)
    after(session, 0.4)
    session.receive_data(b"start\n", 0.5)
    assert after(session, 0.5) == HELLO


def test_a_board_that_boots_for_8_s_without_a_word_is_found_right_after() -> None:
    session = Session(0.0)
    after(session, 8.0)
    session.receive_data(b"ok\n", 8.01)
    session.receive_data(b"FIRMWARE_NAME:Marlin\nok\n", 8.02)
    assert session.deadline is not None
    after(session, 8.5)
    assert SessionOpened("Marlin") in events(session)


def test_a_banner_gives_a_slow_board_more_time() -> None:
    session = Session(0.0)
    after(session, 14.0)
    session.receive_data(b"start\n", 14.0)
    after(session, GREETING_TIME + 5)
    assert end_of(session) is None


def test_late_answers_to_earlier_hellos_are_waited_for() -> None:
    session = Session(0.0)
    after(session, 2.5)  # Three hellos, while the board was booting with its buffer open.
    session.receive_data(b"ok\n", 3.0)
    session.receive_data(b"ok\nok\n", 3.01)
    session.receive_data(b"FIRMWARE_NAME:Marlin\n", 3.02)
    assert SessionOpened("Marlin") not in events(session)
    session.receive_data(b"ok\n", 3.03)
    assert SessionOpened("Marlin") in events(session)


@pytest.mark.parametrize("time_between", [0.001, 0.2])
def test_repetier_which_says_ok_before_it_answers_opens_too(time_between: float) -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"ok\n", 0.01)
    session.receive_data(b"ok 1\n", 0.02)
    session.receive_data(b"FIRMWARE_NAME:Repetier_1.0.4\n", 0.02 + time_between)
    assert SessionOpened("Repetier_1.0.4") in events(session)
    assert session.firmware.family == "Repetier"


def test_silence_is_no_answer() -> None:
    session = Session(0.0)
    after(session, GREETING_TIME)
    assert end_of(session) == "no_answer"
    assert session.deadline is None


def test_unreadable_bytes_are_a_wrong_baudrate_and_that_is_told_soon() -> None:
    session = Session(0.0)
    session.receive_data(bytes(range(0x80, 0xC0)), 0.1)
    after(session, 4.0)
    assert end_of(session) == "wrong_baudrate"


def test_a_sensor_board_is_not_a_printer() -> None:
    session, now = Session(0.0), 0.0
    while session.deadline is not None:
        session.receive_data(b"Sensor node starting v1.2\nok T 21.3\n", now)
        now += 0.5
        after(session, now)
        assert now < 60
    assert end_of(session) == "not_a_printer"


def test_a_printer_without_a_firmware_name_proves_itself_by_asking_for_a_damaged_line() -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"ok\n", 0.0)
    assert session.data_to_send() == HELLO + M115
    session.receive_data(b"ok\n", 0.0)
    damaged = after(session, 3.1)
    assert damaged == b"N2 M105*36\n"
    session.receive_data(b"Error:Wrong checksum\nResend: 2\nok\n", 3.2)
    assert SessionOpened("") in events(session)
    assert after(session, 3.2) == b"N2 M29*26\n", "it may be writing to its card, for a host that is gone"


def test_a_damaged_hello_does_not_stop_the_greeting() -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"Error:checksum mismatch, Last Line: 0\nResend: 1\nok\n", 0.0)
    session.receive_data(b"FIRMWARE_NAME:Marlin\nok\n", 0.1)
    after(session, 1.0)
    assert SessionOpened("Marlin") in events(session)


# -- sending --


def test_a_command_is_numbered_and_waits_for_its_ok() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    assert session.data_to_send() == b"N3 G1 X1*98\n"
    assert not session.ready
    session.receive_data(b"ok\n", 0.1)
    assert session.idle


def test_what_the_caller_does_wrong_raises() -> None:
    session = greeted()
    with pytest.raises(ValueError, match="one line"):
        session.send("G1\nM112", 0.0)
    with pytest.raises(ValueError, match="no command"):
        session.send("; nothing", 0.0)
    session.send("G1", 0.0)
    with pytest.raises(RuntimeError, match="cannot take"):
        session.send("G1", 0.0)


def test_with_a_window_several_lines_are_in_flight() -> None:
    session = greeted(window=3)
    for x in range(3):
        session.send(f"G1 X{x}", 0.0)
    assert not session.ready
    assert session.data_to_send().count(b"\n") == 3
    session.receive_data(b"ok N4 P15 B3\n", 0.1)  # Lines 3 and 4 have been taken.
    session.send("G1 X3", 0.1)
    session.send("G1 X4", 0.1)
    assert not session.ready


def test_an_ok_for_nothing_is_not_counted() -> None:
    session = greeted()
    session.receive_data(b"ok\nok\n", 0.1)
    session.send("G1 X1", 0.2)
    assert not session.ready


# -- resend --


def test_a_line_that_was_asked_for_is_sent_again_after_the_ok_that_goes_with_it() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"Error:checksum mismatch, Last Line: 2\nResend: 3\n", 0.1)
    assert session.data_to_send() == b""
    session.receive_data(b"ok\n", 0.1)
    assert session.data_to_send() == b"N3 G1 X1*98\n"
    assert not session.ready
    session.receive_data(b"ok\n", 0.2)
    assert session.idle


def test_firmware_that_never_says_ok_after_a_resend_is_obeyed_after_half_a_second() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"Resend: 3\n", 0.1)
    assert after(session, 0.59) == b""
    assert after(session, 0.61) == b"N3 G1 X1*98\n"


def test_a_request_that_is_said_again_and_again_does_not_put_off_the_answer() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    for tenths in range(1, 7):
        session.receive_data(b"Resend: 3\n", tenths / 10)
    assert after(session, 0.61) == b"N3 G1 X1*98\n"


def test_a_resend_of_several_lines_goes_back_exactly() -> None:
    session = greeted(window=4)
    for x in range(4):
        session.send(f"G1 X{x}", 0.0)
    first = session.data_to_send()
    session.receive_data(b"ok\nResend: 4\nok\n", 0.1)
    again = session.data_to_send()
    for _ in range(3):
        session.receive_data(b"ok\n", 0.2)
        again += session.data_to_send()
    assert again == first.partition(b"\n")[2]
    assert session.idle


def test_after_a_fault_there_is_one_line_at_a_time_for_a_while() -> None:
    session = greeted(window=4)
    for x in range(4):
        session.send(f"G1 X{x}", 0.0)
    session.receive_data(b"ok\nResend: 4\nok\n", 0.1)
    sent, in_flight = 4, []
    for acknowledged in range(2, LEAST_CAUTION + 20):
        session.receive_data(b"ok\n", 0.2)
        while session.ready:
            session.send("G1 Y1", 0.2)
            sent += 1
        in_flight.append(sent - acknowledged)
    assert set(in_flight[3 : LEAST_CAUTION - 10]) == {1}
    assert in_flight[-1] == 4


def test_requests_that_were_on_their_way_already_are_answered_once() -> None:
    session = greeted(window=4)
    for x in range(4):
        session.send(f"G1 X{x}", 0.0)
    session.data_to_send()
    complaint = b"Error:Line Number is not Last Line Number+1, Last Line: 2\nResend: 3\nok\n"
    session.receive_data(complaint, 0.1)  # Line 3 was lost, and line 4 told it so,
    assert session.data_to_send() == b"N3 G1 X0*99\n"
    session.receive_data(complaint, 0.11)  # as do lines 5 and 6.
    session.receive_data(complaint, 0.12)
    assert session.data_to_send() == b""
    session.receive_data(b"ok\n", 0.2)
    assert session.data_to_send() == b"N4 G1 X1*101\n"


def test_a_guess_that_was_wrong_does_not_double_the_lines_after_it() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    assert after(session, 0.5).count(b"N3 ") == 2  # It was merely slow:
    session.receive_data(b"ok\n", 0.6)
    session.send("G1 X2", 0.6)
    assert session.data_to_send() == b"N4 G1 X2*102\n"
    session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 3\nResend: 4\nok\n", 0.61)
    assert session.data_to_send() == b""
    assert not session.ready
    session.receive_data(b"ok\n", 0.62)
    assert session.idle


def test_firmware_that_shows_its_room_gets_several_lines_at_once_as_far_as_they_fit() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.receive_data(b"ok N3 P15 B3\n", 0.1)
    session.data_to_send()
    for x in range(5):
        if session.ready:
            session.send(f"G1 X{x}", 0.1)
    assert session.data_to_send().count(b"\n") == 4
    session.receive_data(b"ok N7 P15 B3\n", 0.2)
    while session.ready:
        session.send("G1 X100.123 Y100.123 E12.34567 F3000", 0.2)
    oldest, *waiting = session.data_to_send().splitlines(keepends=True)
    assert RECEIVE_BUFFER - len(oldest) < sum(map(len, waiting)) <= RECEIVE_BUFFER


def test_a_complaint_whose_resend_was_lost_is_enough() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"Error:checksum mismatch, Last Line: 2\nok\n", 0.1)
    assert session.data_to_send() == b"N3 G1 X1*98\n"


def test_a_complaint_that_names_the_last_good_line_is_enough_even_without_an_ok() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"Error:checksum mismatch, Last Line: 2\n", 0.1)
    assert after(session, 0.7) == b"N3 G1 X1*98\n"


def test_a_lost_ok_does_not_double_a_line() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    assert after(session, 0.5) == b"N3 G1 X1*98\n"
    session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 3\nResend: 4\nok\n", 0.6)
    assert session.idle
    assert session.data_to_send() == b""


def test_a_line_that_repetier_skips_although_it_is_new_is_not_taken_for_executed() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"ok 3\n", 0.1)  # For noise; line 3 was damaged, and the request for it was lost.
    session.send("G1 X2", 0.1)
    session.data_to_send()
    session.receive_data(b"skip 4\nok\n", 0.2)
    assert not session.ready
    session.receive_data(b"Resend:3\nok\n", 0.3)
    assert session.data_to_send() == b"N3 G1 X1*98\n"


def test_a_line_that_repetier_skips_the_second_time_has_been_executed() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    assert after(session, 0.5).count(b"N3 ") == 2
    session.receive_data(b"skip 3\nok\n", 0.6)
    assert session.idle


def test_a_line_that_repetier_skips_each_time_is_not_taken_for_executed() -> None:
    """It has restarted without a word, and waits for line 1: the one request for that was lost."""
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"skip 3\nok\n", 0.1)
    assert after(session, 0.5).count(b"N3 ") == 1
    session.receive_data(b"skip 3\nok\n", 0.6)
    assert not session.ready
    session.receive_data(b"Resend:3\nok\n", 1.0)
    session.data_to_send()
    assert after(session, 2.0).count(b"N3 ") >= 1
    session.receive_data(b"skip 3\nok\n", 2.1)
    assert session.idle


def test_the_ok_of_a_line_that_repetier_has_had_for_long_is_not_that_of_the_next() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    assert after(session, 0.5).count(b"N3 ") == 2
    session.receive_data(b"ok 3\n", 0.6)
    session.send("G1 X2", 0.6)
    session.receive_data(b"skip 3\nok\n", 0.7)
    assert not session.ready


def test_a_request_for_a_line_that_was_never_sent_is_taken_for_damage() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"Resend: 77\nok\n", 0.1)
    assert session.data_to_send() == b"N3 G1 X1*98\n"
    assert end_of(session) is None


def test_a_printer_that_insists_on_a_line_that_is_not_there_is_given_up() -> None:
    session = greeted()
    for _ in range(6):
        session.receive_data(b"Resend: 77\nok\n", 0.1)
    assert end_of(session) == "resend_loop"


def test_a_resend_loop_ends() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    for n in range(MAX_RESENDS):
        session.receive_data(b"Resend: 3\nok\n", 0.1 * n)
    assert end_of(session) is None
    session.receive_data(b"Resend: 3\nok\n", 9.0)
    assert end_of(session) == "resend_loop"


def test_the_history_is_bounded() -> None:
    session = greeted()
    for x in range(HISTORY + 10):
        session.send(f"G1 X{x}", 1.0)
        session.receive_data(b"ok\n", 1.0)
    session.data_to_send()
    session.receive_data(b"Resend: 5\nok\n", 1.0)
    assert session.data_to_send() == b""
    session.receive_data(b"Resend: 200\nok\n", 1.0)
    assert session.data_to_send().startswith(b"N200 ")


# -- time --


def test_a_lost_question_is_asked_again_soon_and_later_each_time() -> None:
    session = greeted()
    session.send("M114", 0.0)
    assert after(session, 0.3).count(b"M114") == 1
    assert after(session, 0.5).count(b"M114") == 1
    assert after(session, 1.1).count(b"M114") == 0
    assert after(session, 1.3).count(b"M114") == 1


def test_a_printer_that_takes_its_time_is_given_it() -> None:
    session, now = greeted(), 0.0
    for _ in range(20):
        session.send("G1 X1", now)
        session.data_to_send()
        now += 0.8
        session.receive_data(b"ok\n", now)
    session.send("G1 X1", now)
    assert after(session, now + 0.8).count(b"G1 X1") == 1


def test_an_emergency_stop_goes_out_bare_however_it_is_written() -> None:
    session = greeted()
    session.send_urgent("m112 P1", 0.0)
    assert session.data_to_send().startswith(b"M112\n")


def test_a_printer_of_slow_moves_is_asked_again_before_it_is_given_up() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"ok\n", 14.0)
    session.send("M105", 14.0)
    assert after(session, 14.0 + SILENCE - 0.1).count(b"M105") == TIMES_ASKED
    after(session, 14.0 + SILENCE + 0.1)
    assert end_of(session) == "timeout"


def test_a_late_ok_does_not_keep_a_printer_of_slow_moves_from_being_asked_again() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.receive_data(b"echo:busy: processing\nok\n", 14.0)
    session.send("G1 X2", 14.0)
    now = 14.0 + SILENCE / TIMES_ASKED
    after(session, now)  # It is written again, and the answer says that it has arrived.
    session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 4\nResend: 5\nok\n", now)
    session.send("G1 X3", now)
    session.data_to_send()
    session.receive_data(b"ok\n", now + 1.0)
    assert after(session, now + 1.0 + SILENCE / 2).count(b"G1 X3") >= 1


def test_a_line_that_was_lost_is_asked_for_at_once_after_one_that_was_written_again() -> None:
    session = greeted(4)
    for command in ("G1 X1", "G1 X2", "G1 X3", "G1 X4"):
        session.send(command, 0.0)
    after(session, 1.1)  # The first is written again, and has been lost as those behind it.
    session.receive_data(b"ok\n", 1.1)
    session.send("G1 X5", 1.1)
    session.data_to_send()
    session.receive_data(b"Error:Line Number is not Last Line Number+1, Last Line: 3\nResend: 4\nok\n", 1.2)
    assert b"N4 G1 X2" in session.data_to_send()


def test_what_has_arrived_behind_a_guess_is_asked_for_at_once_when_it_gets_lost() -> None:
    session = greeted(4)
    for command in ("G1 X1", "G1 X2", "G1 X3", "G1 X4"):
        session.send(command, 0.0)
    after(session, 1.1)  # The first is written again, although all have arrived.
    refusal = b"Error:Line Number is not Last Line Number+1, Last Line: 6\nResend: 7\nok\n"
    session.receive_data(refusal, 1.2)
    session.send("G1 X5", 1.2)
    session.data_to_send()
    session.receive_data(refusal.replace(b"Line Number is not Last Line Number+1", b"checksum mismatch"), 1.3)
    assert b"N7 G1 X5" in session.data_to_send()


def test_wait_tells_that_a_line_was_lost() -> None:
    session = greeted()
    session.send("G28", 0.0)
    session.data_to_send()
    session.receive_data(b"wait\n", 0.1)
    assert session.data_to_send() == b""  # The two have just crossed.
    session.receive_data(b"wait\n", 1.1)
    assert session.data_to_send().startswith(b"N3 G28")


def test_busy_holds_the_fire_for_as_long_as_it_lasts() -> None:
    session = greeted()
    session.send("G28", 0.0)
    session.data_to_send()
    for seconds in range(2, 200, 2):
        assert after(session, seconds) == b""
        session.receive_data(b"echo:busy: processing\n", float(seconds))
    session.receive_data(b"ok\n", 200.0)
    assert session.idle


def test_a_printer_that_falls_silent_is_given_up() -> None:
    session = greeted()
    session.send("M114", 100.0)
    after(session, 100.0 + 2 * SILENCE)
    assert end_of(session) == "timeout"


def test_a_printer_that_talks_but_never_acknowledges_is_given_up() -> None:
    session = greeted()
    session.send("M114", 0.0)
    now = 0.0
    while session.deadline is not None:
        now += 2.0
        session.receive_data(b"T:20 /0\n", now)
        after(session, now)
        assert now < 3600
    assert end_of(session) == "timeout"


def test_a_slow_move_is_not_silence() -> None:
    session = greeted()
    session.send("G1 X200 F60", 0.0)
    after(session, 100.0)
    assert end_of(session) is None


def test_an_idle_line_is_asked_for_temperatures() -> None:
    session = greeted()
    assert after(session, 4.9) == b""
    assert after(session, 5.1) == b"N3 M105*36\n"


def test_a_printer_that_reports_by_itself_is_asked_less_often() -> None:
    session = greeted()
    asked_at = []
    for seconds in range(1, 31):
        session.receive_data(b" T:20 /0 B:20 /0\n", float(seconds))
        if after(session, float(seconds)):
            asked_at.append(seconds)
            session.receive_data(b"ok T:20 /0\n", float(seconds))
    assert asked_at == [10, 20, 30]


def test_too_early_a_timer_does_nothing() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.handle_timer(0.3)
    assert session.data_to_send() == b""


def test_repair_frees_a_stuck_line() -> None:
    session = greeted()
    session.repair(0.0)  # Nothing is stuck: nothing happens.
    session.send("G1 X1", 0.0)
    session.repair(0.1)
    assert session.idle


# -- resets and halts --


def test_a_reset_starts_a_new_greeting() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.data_to_send()
    session.receive_data(b"start\n", 1.0)
    assert PrinterRestarted("start", 1) in events(session)
    assert not session.ready
    assert after(session, 1.3) == HELLO
    session.receive_data(b"ok\n", 1.4)
    assert session.data_to_send() == M115
    session.receive_data(b"FIRMWARE_NAME:Marlin\nok\n", 1.5)
    assert SessionOpened("Marlin") in events(session)
    session.receive_data(b"ok T:20 /0\n", 1.5)
    assert session.ready


@pytest.mark.parametrize("complaint", [b"Error:Line Number is not Last Line Number+1, Last Line: 0\n", b""])
def test_a_printer_that_counts_from_1_again_has_restarted_and_nothing_is_done_twice(complaint: bytes) -> None:
    session = greeted()
    for command in ("G28", "M104 S200", "G1 X1"):
        session.send(command, 0.0)
        session.data_to_send()
        session.receive_data(b"ok\n", 0.1)
    session.send("G1 X2", 1.0)
    session.data_to_send()
    session.receive_data(complaint + b"Resend: 1\nok\n", 1.0)
    if not complaint:
        assert session.data_to_send() == b"N6 G1 X2*100\n"  # The number may be damaged.
        session.receive_data(b"Resend: 1\nok\n", 1.1)
    assert PrinterRestarted("it counts its lines from 1 again", 1) in events(session)
    assert after(session, 1.4) == HELLO


def test_what_a_printer_goes_on_asking_another_host_for_does_not_end_the_greeting() -> None:
    session = Session(0.0)
    session.handle_timer(0.0)
    session.receive_data(b"Resend:5\nok\n" * 20, 0.01)
    assert end_of(session) is None
    after(session, 5.0)
    session.receive_data(b"ok\n", 5.0)
    session.receive_data(b"FIRMWARE_NAME:Repetier_1.0.4\nok\n", 5.01)
    after(session, 9.0)
    assert SessionOpened("Repetier_1.0.4") in events(session)


def test_a_request_whose_number_was_cut_to_1_is_no_restart() -> None:
    session = greeted()
    session.send("G28", 0.0)
    session.receive_data(b"ok\n", 0.1)
    session.send("M104 S200", 0.2)
    session.data_to_send()
    session.receive_data(b"Resend: 1\nok\n", 0.3)
    assert session.data_to_send().startswith(b"N4 M104")
    session.receive_data(b"ok\n", 0.4)
    assert session.idle
    assert not [event for event in events(session) if isinstance(event, PrinterRestarted)]


def test_a_halt_ends_the_session_and_nothing_more_is_sent() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.receive_data(b"Error:Printer halted. kill() called!\nok\n", 0.1)
    assert events(session)[-1] == SessionEnded("firmware_halted", "Printer halted. kill() called!")
    assert session.data_to_send() == b""
    assert not session.ready
    assert session.deadline is None


# -- bytes --


def test_noise_around_a_line_does_not_hide_it() -> None:
    session = greeted()
    session.send("G1 X1", 0.0)
    session.receive_data(b"\x80\xffok\xfe\r\n", 0.1)
    assert session.idle


def test_a_line_without_an_end_is_cut() -> None:
    session = greeted()
    session.receive_data(b"x" * (10 * MAX_LINE), 0.1)
    session.receive_data(b"y" * (10 * MAX_LINE) + b"\n", 0.1)
    lines = [event.line for event in events(session) if isinstance(event, LineReceived)]
    assert max(map(len, lines)) == MAX_LINE
    assert sum(map(len, lines)) == 20 * MAX_LINE


def test_blank_lines_are_nothing() -> None:
    session = Session(0.0)
    session.receive_data(b"\r\n\n\r\n  \n", 0.1)
    assert not any(isinstance(event, LineReceived) for event in events(session))


def test_unreadable_bytes_are_counted() -> None:
    session = greeted()
    before = session.figures.unreadable_bytes
    session.receive_data(b"\x00\x80ok\n", 0.1)
    assert session.figures.unreadable_bytes - before == 2


def test_what_was_not_to_be_read_before_the_printer_was_known_is_no_fault_of_the_line() -> None:
    session = Session(0.0)
    # The second time because the board has restarted.
    for now, counted in ((0.0, 0), (20.0, 2)):
        session.receive_data(b"\x80\xff\xfe" * 20 + b"\n", now)
        after(session, now + 2)
        session.receive_data(b"ok\n", now + 2)
        session.receive_data(b"FIRMWARE_NAME:Marlin 2.1.2\nok\n", now + 2)
        after(session, now + 3)
        assert SessionOpened("Marlin 2.1.2") in events(session)
        assert session.figures.unreadable_bytes == counted
        session.receive_data(b"ok T:20 /0\n\x80\xff\n", now + 3)
        assert session.figures.unreadable_bytes == counted + 2
        session.receive_data(b"start\n", 20.0)


_SAYINGS = st.sampled_from(
    b"ok|ok N3|ok 2|Resend: 1|Resend: 3|rs 0|start|wait|busy: x|Error:checksum, Last Line: 2|T:1 /2||\xff\xfe".split(
        b"|"
    )
).map(lambda line: line + b"\n")


@given(st.lists(st.tuples(_SAYINGS | st.binary(max_size=30), st.floats(0, 30), st.booleans())))
def test_no_printer_can_make_a_session_raise_or_write_without_end(sayings: list[tuple[bytes, float, bool]]) -> None:
    session, now = Session(0.0), 0.0
    for data, pause, command in sayings:
        now += pause
        for _ in range(10):
            session.handle_timer(now)
        # A deadline that stays in the past would keep whoever waits for it awake for ever.
        assert session.deadline is None or session.deadline > now
        if command and session.ready:
            session.send("G1 X1", now)
        session.receive_data(data, now)
        assert len(session.data_to_send()) < 200
        sent = [event for event in events(session) if isinstance(event, LineSent)]
        assert len(sent) < 10
        assert session.deadline is None or session.deadline < now + 3600 * 24 * 2
