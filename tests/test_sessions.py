from __future__ import annotations

import pytest

from limpet.sessions import IDLE_TIME, LONGEST_TIME, MAX_OF_USER, MAX_SESSIONS, Sessions, mark_of

DAY = 86400.0

KEY = "0" * 64


def test_a_session_is_found_by_its_cookie_and_by_its_ticket_and_neither_is_the_other() -> None:
    sessions = Sessions()
    text, session = sessions.open("ada", "hash", 0.0)

    assert sessions.by_token(text, 1.0) is session
    assert sessions.by_ticket(session.ticket, 1.0) is session
    assert sessions.by_token(session.ticket, 1.0) is None
    assert sessions.by_ticket(text, 1.0) is None
    assert len({text, session.ticket, session.csrf}) == 3
    assert text not in repr(session) + repr(vars(sessions))


def test_no_other_text_is_a_session() -> None:
    sessions = Sessions()
    _, session = sessions.open("ada", "hash", 0.0)
    sessions.of_key(KEY, "_api", 0.0)

    for text in ("", "x", "\udcff", session.token, KEY):
        assert sessions.by_token(text, 1.0) is None
        assert sessions.by_ticket(text, 1.0) is None


def test_a_closed_session_is_gone() -> None:
    sessions = Sessions()
    text, session = sessions.open("ada", "hash", 0.0)
    sessions.close(session)
    sessions.close(session)

    assert sessions.by_token(text, 1.0) is None
    assert sessions.by_ticket(session.ticket, 1.0) is None
    assert len(sessions) == 0


def test_a_session_that_nobody_uses_ends_after_a_day() -> None:
    sessions = Sessions()
    text, _ = sessions.open("ada", "hash", 0.0)

    assert sessions.by_token(text, IDLE_TIME - 1)
    assert sessions.by_token(text, 2 * IDLE_TIME - 2)
    assert sessions.by_token(text, 3 * IDLE_TIME) is None
    assert len(sessions) == 0


def test_a_remembered_session_may_rest_and_ends_all_the_same() -> None:
    sessions = Sessions()
    text, _ = sessions.open("ada", "hash", 0.0, remembered=True)

    assert sessions.by_token(text, LONGEST_TIME - 1)
    assert sessions.by_token(text, LONGEST_TIME) is None


def test_using_it_does_not_make_a_session_eternal() -> None:
    sessions = Sessions()
    text, _ = sessions.open("ada", "hash", 0.0)

    for hour in range(30 * 24):
        assert sessions.by_token(text, hour * 3600.0)
    assert sessions.by_token(text, LONGEST_TIME) is None


def test_a_key_has_one_session_however_often_it_asks() -> None:
    sessions = Sessions()
    first = sessions.of_key(KEY, "_api", 0.0)

    assert sessions.of_key(KEY, "_api", 1.0) is first
    assert sessions.of_key("1" * 64, "_api", 1.0) is not first
    assert sessions.of_key(KEY, "_api", 1.0 + IDLE_TIME) is not first
    assert len(sessions) == 2


def test_the_session_of_a_user_that_was_used_longest_ago_makes_room_for_one_of_his() -> None:
    sessions = Sessions()
    opened = [sessions.open("ada", "hash", float(number))[0] for number in range(MAX_OF_USER)]
    other, _ = sessions.open("bob", "hash", 0.0)
    assert sessions.by_token(opened[0], 100.0)
    sessions.open("ada", "hash", 101.0)

    assert sessions.by_token(opened[1], 102.0) is None
    assert sessions.by_token(opened[0], 102.0)
    assert sessions.by_token(other, 102.0)
    assert len(sessions) == MAX_OF_USER + 1


def test_a_key_that_asks_again_keeps_its_session() -> None:
    sessions = Sessions()
    first = sessions.of_key(KEY, "_api", 0.0)
    for number in range(MAX_SESSIONS):
        sessions.open(f"user {number}", "hash", 1.0)
        assert sessions.of_key(KEY, "_api", 1.0) is first


def test_there_is_a_limit_to_the_number_of_sessions() -> None:
    sessions = Sessions()
    first, _ = sessions.open("ada", "hash", 0.0)
    for number in range(MAX_SESSIONS):
        sessions.of_key(f"{number:064}", "_api", 1.0)

    assert len(sessions) == MAX_SESSIONS
    assert sessions.by_token(first, 2.0) is None
    assert sessions.of_key(f"{MAX_SESSIONS - 1:064}", "_api", 2.0)
    assert len(sessions) == MAX_SESSIONS


def test_who_is_to_be_remembered_is_known_again_after_the_next_start() -> None:
    before, after = Sessions(), Sessions()
    before.open("ada", "hash", 0.0, at=DAY)
    text, session = before.open("ada", "hash", 0.0, remembered=True, at=DAY)
    kept = before.remembered()
    assert len(kept) == 1
    assert text not in repr(kept)
    assert "hash" not in {kept[0].password, kept[0].token}

    after.recall(kept, 5.0, 2 * DAY)
    found = after.by_token(text, 5.0)
    assert found is not None
    assert (found.user, found.csrf, found.password) == ("ada", session.csrf, mark_of("hash"))
    assert after.remembered() == kept
    assert after.by_token(text, LONGEST_TIME - DAY) is not None
    assert after.by_token(text, 5.0 + LONGEST_TIME - DAY) is None


@pytest.mark.parametrize(("at", "known"), [(LONGEST_TIME - 1, True), (LONGEST_TIME + 1, False), (-DAY, True)])
def test_nobody_is_remembered_for_longer_than_a_month_whatever_the_clock_says(at: float, known: bool) -> None:
    before, after = Sessions(), Sessions()
    text, _ = before.open("ada", "hash", 0.0, remembered=True, at=0.0)
    after.recall(before.remembered(), 0.0, at)
    assert (after.by_token(text, 0.0) is not None) is known
