"""Programs that ask for a key and wait until somebody says yes. Pure: `now` is any steady clock, in seconds.

Source: the page "Application Keys" of OctoPrint's documentation, and what OctoPrint 1.11.8 does.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

POLL_TIME = 5.0
"""Seconds after which a request is dropped that nobody asks about."""
LONGEST_TIME = 600.0
"""Seconds after which every request is dropped."""
MAX_PENDING = 20


@dataclass(frozen=True, slots=True)
class Grant:
    """The key that an app is to get: that of a user, or one with permissions of its own."""

    user: str | None = None
    permissions: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class AppRequest:
    """`user_token` names it to who decides; what the app itself is told is kept as a hash."""

    app: str
    user: str | None
    address: str
    user_token: str
    asked: float
    polled: float
    grant: Grant | None = None
    denied: bool = False


class AppRequests:
    """Those that are waited for, at most MAX_PENDING of them."""

    def __init__(self) -> None:
        self._requests: dict[str, AppRequest] = {}

    def ask(self, app: str, user: str | None, address: str, now: float) -> tuple[str, AppRequest] | None:
        """The token that the app polls with, and the request; None when too many wait already."""
        self._drop(now)
        if len(self._requests) >= MAX_PENDING:
            return None
        token = secrets.token_urlsafe(32)
        request = AppRequest(
            app=app, user=user, address=address, user_token=secrets.token_hex(4).upper(), asked=now, polled=now
        )
        self._requests[_hash(token)] = request
        return token, request

    def poll(self, token: str, now: float) -> AppRequest | None:
        """What has become of it: None for no such request. One that is decided is handed out once."""
        self._drop(now)
        digest = _hash(token)
        request = self._requests.get(digest)
        if request is None:
            return None
        request.polled = now
        if request.denied or request.grant:
            del self._requests[digest]
        return None if request.denied else request

    def decide(self, user_token: str, grant: Grant | None, now: float) -> bool:
        """Say yes (with a grant) or no (with none); whether there is such a request that is not decided yet."""
        request = self.find(user_token, now)
        if request is None:
            return False
        request.grant, request.denied = grant, grant is None
        return True

    def find(self, user_token: str, now: float) -> AppRequest | None:
        """The undecided request that has this name."""
        return next((each for each in self.pending(now) if each.user_token == user_token), None)

    def pending(self, now: float) -> list[AppRequest]:
        """Those that nobody has decided yet, oldest first."""
        self._drop(now)
        return [request for request in self._requests.values() if not request.denied and request.grant is None]

    def _drop(self, now: float) -> None:
        self._requests = {
            digest: request
            for digest, request in self._requests.items()
            if now - request.polled < POLL_TIME and now - request.asked < LONGEST_TIME
        }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
