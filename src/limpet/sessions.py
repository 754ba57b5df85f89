"""Who is logged in. It is in memory, and ends with the server, but for those who are to be remembered."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct

MAX_SESSIONS = 2000
MAX_OF_USER = 50
IDLE_TIME = 86400.0
"""Seconds after which a session ends that nobody uses, unless it is to be remembered."""
LONGEST_TIME = 30 * 86400.0
"""Seconds after which every session ends."""


@dataclass(slots=True, kw_only=True)
class Session:
    """Of a user who has logged in with a password, or of a key.

    `ticket` is what the push socket is told; it opens nothing else. `csrf` is what comes back with each change that
    the session's cookie asks for. `password` is `mark_of` what the user had: with another one the session is over.
    `at` is when it began, in seconds since the epoch.
    """

    name: str
    ticket: str
    csrf: str
    started: float
    used: float
    user: str | None = None
    password: str = ""
    key: str | None = None
    remembered: bool = False
    at: float = 0.0
    token: str = ""
    """The hash of the cookie's text; empty for the session of a key, which has no cookie."""


class Remembered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a session over the end of the server. Nothing in it opens anything: `token` is a hash."""

    user: str
    token: str
    csrf: str
    password: str
    at: float


class Sessions:
    """At most so many: the one that has not been used for longest makes room. `now` is any steady clock, in seconds."""

    def __init__(self) -> None:
        self._by_ticket: OrderedDict[str, Session] = OrderedDict()
        self._by_token: dict[str, Session] = {}
        self._by_key: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_ticket)

    def open(
        self, user: str, password: str, now: float, *, remembered: bool = False, at: float = 0.0
    ) -> tuple[str, Session]:
        """Starts one for a user whose password has this hash; what his cookie is to be, which cannot be had again, and
        the session."""
        text = secrets.token_hex(32)
        session = _new(user, now)
        session.user, session.password, session.token = user, mark_of(password), _hash(text)
        session.remembered, session.at = remembered, at
        self._begin(session)
        return text, session

    def remembered(self) -> tuple[Remembered, ...]:
        """What is to be kept of those that are to be remembered."""
        return tuple(
            Remembered(user=each.user, token=each.token, csrf=each.csrf, password=each.password, at=each.at)
            for each in self._by_token.values()
            if each.remembered and each.user is not None
        )

    def recall(self, kept: Iterable[Remembered], now: float, at: float) -> None:
        """Those that were kept go on; `at` is now, in seconds since the epoch."""
        for each in kept:
            # A clock that is behind what it was, as after a start without a network, makes none older.
            session = _new(each.user, now - max(0.0, at - each.at))
            session.user, session.password, session.token = each.user, each.password, each.token
            session.csrf, session.remembered, session.at = each.csrf, True, each.at
            if now - session.started < LONGEST_TIME:
                self._begin(session)

    def _begin(self, session: Session) -> None:
        mine = [each for each in self._by_ticket.values() if each.user == session.user]
        self._close_all(mine[: max(0, len(mine) - MAX_OF_USER + 1)])
        self._keep(session)
        self._by_token[session.token] = session

    def of_key(self, key: str, name: str, now: float) -> Session:
        """The session of the key with this hash; there is one at most."""
        session = self._used(self._by_key.get(key), now)
        if session is None:
            session = _new(name, now)
            session.key = key
            self._keep(session)
            self._by_key[key] = session
        return session

    def by_token(self, text: str, now: float) -> Session | None:
        """The session whose cookie this is."""
        return self._used(self._by_token.get(_hash(text)), now)

    def by_ticket(self, ticket: str, now: float) -> Session | None:
        """The session whose ticket this is."""
        return self._used(self._by_ticket.get(_hash(ticket)), now)

    def close(self, session: Session) -> None:
        self._by_ticket.pop(_hash(session.ticket), None)
        self._by_token.pop(session.token, None)
        if session.key is not None and self._by_key.get(session.key) is session:
            del self._by_key[session.key]

    def _keep(self, session: Session) -> None:
        self._close_all(list(self._by_ticket.values())[: max(0, len(self) - MAX_SESSIONS + 1)])
        self._by_ticket[_hash(session.ticket)] = session

    def _used(self, session: Session | None, now: float) -> Session | None:
        if session is None or not self._is_alive(session, now):
            return None
        session.used = now
        self._by_ticket.move_to_end(_hash(session.ticket))
        return session

    def _is_alive(self, session: Session, now: float) -> bool:
        idle = LONGEST_TIME if session.remembered else IDLE_TIME
        if now - session.used < idle and now - session.started < LONGEST_TIME:
            return True
        self.close(session)
        return False

    def _close_all(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self.close(session)


def _new(name: str, now: float) -> Session:
    ticket, csrf = secrets.token_hex(32), secrets.token_hex(32)
    return Session(name=name, ticket=ticket, csrf=csrf, started=now, used=now)


def mark_of(password: str) -> str:
    """By which it is seen that a user has another password, from the hash that is kept of it."""
    return _hash(password)


def _hash(text: str) -> str:
    # As with keys: the time that a look-up of a hash takes tells nothing about what is stored.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
