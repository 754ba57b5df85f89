"""Whom the push socket is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpet.keys import KeyStore
from limpet.sessions import LONGEST_TIME, Session
from limpet.users import UserStore
from limpet.web.auth import Access

PASSWORD = "correct horse"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(tmp_path: Path, clock: Clock) -> Access:
    users = UserStore(tmp_path / "users.json")
    users.add("bob", PASSWORD, groups=("users",))
    return Access(KeyStore(tmp_path / "keys.json", extra_key="extra"), users, clock=clock)


def session_of(access: Access, key: str, name: str) -> Session:
    found = access.keys.check(key)
    assert found is not None
    return access.sessions.of_key(found.hash, name, access.now())


def test_the_session_of_a_key_is_the_keys_and_ends_with_it(access: Access) -> None:
    session = session_of(access, access.keys.add("panel", ("STATUS",)), "_api")

    caller = access.caller_of_session("_api", session.ticket)

    assert caller is not None
    assert caller.permits("STATUS")
    assert not caller.permits("CONNECTION")
    access.keys.revoke("panel")
    assert access.caller_of_session("_api", session.ticket) is None
    assert len(access.sessions) == 0


def test_the_session_of_a_users_key_is_the_users_and_ends_with_him(access: Access) -> None:
    session = session_of(access, access.keys.add_for_user("bob"), "bob")

    caller = access.caller_of_session("bob", session.ticket)

    assert caller is not None
    assert caller.name == "bob"
    assert caller.permits("PRINT")
    access.users.change("bob", active=False)
    assert access.caller_of_session("bob", session.ticket) is None


def test_the_key_of_the_environment_has_a_session_as_well(access: Access) -> None:
    session = session_of(access, "extra", "_api")

    caller = access.caller_of_session("_api", session.ticket)

    assert caller is not None
    assert caller.is_admin


def test_the_session_of_a_password_ends_with_the_password(access: Access) -> None:
    user = access.users.verify("bob", PASSWORD)
    assert user is not None
    _, session = access.sessions.open("bob", user.password, 0.0)
    assert access.caller_of_session("bob", session.ticket) is not None

    access.users.set_password("bob", "another horse")

    assert access.caller_of_session("bob", session.ticket) is None


def test_name_and_session_belong_together(access: Access) -> None:
    session = session_of(access, "extra", "_api")

    for name, ticket in (("bob", session.ticket), ("", session.ticket), ("_api", ""), ("_api", session.csrf)):
        assert access.caller_of_session(name, ticket) is None


def test_a_session_does_not_last_for_ever(access: Access, clock: Clock) -> None:
    session = session_of(access, "extra", "_api")
    clock.now = LONGEST_TIME

    assert access.caller_of_session("_api", session.ticket) is None
