"""Who asks: by an API key, as OctoPrint's clients send them, or by the cookie of a session; and who he is."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Callable, Container, Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Struct

from limpet.appkeys import AppRequests
from limpet.errors import SettingsError
from limpet.keys import Key, KeyStore
from limpet.limits import Delays, RateLimit
from limpet.permissions import ADMIN, ADMINS, GUESTS, USERS, permits
from limpet.records import Records
from limpet.sessions import LONGEST_TIME, Remembered, Session, Sessions, mark_of
from limpet.users import User, UserStore
from limpet.web.call import Refused
from limpet.web.proxies import Proxies, is_secure, prefix_of

log = logging.getLogger(__name__)

FORBIDDEN = (
    "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
)
_HOST = re.compile(r"(?:[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,9})?", re.ASCII)
FORGED = "CSRF validation failed"
KEY_NAME = "_api"
"""OctoPrint's name for whoever comes with a key that is no user's."""
MAX_HASHING = 8
"""Passwords that wait to be checked; each takes 16 MiB and a processor for a while."""
MAX_SETUP_TRIES = 10
NOT_KEPT = "nobody who is logged in now will be remembered after the next start"
_NO_PROXIES = Proxies()
SAFE = ("GET", "HEAD", "OPTIONS")


class Caller(Struct, frozen=True, kw_only=True):
    """Who a request is from: a user, a key that is no user's, or a guest; and how he came, by a key or a session."""

    name: str | None
    permissions: frozenset[str]
    groups: tuple[str, ...]
    user: User | None = None
    key: Key | None = None
    session: Session | None = None

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.permissions

    def permits(self, permission: str) -> bool:
        """Whether he may do what needs `permission`; ADMIN may do everything."""
        return permits(self.permissions, permission)


GUEST = Caller(name=None, permissions=frozenset(), groups=(GUESTS,))


class Access:
    """All that decides who may do what; one for the whole server.

    `setup_code` is what whoever sets up the first user has to know. `clock` gives seconds.
    """

    def __init__(
        self,
        keys: KeyStore,
        users: UserStore,
        *,
        setup_code: str | None = None,
        origins: Iterable[str] = (),
        proxies: Proxies = _NO_PROXIES,
        clock: Callable[[], float] = time.monotonic,
        remembered: Path | None = None,
    ) -> None:
        """`remembered` is the file of those who are to be known again after the next start."""
        self.keys = keys
        self.users = users
        self.sessions = Sessions()
        self.app_requests = AppRequests()
        self.app_limit = RateLimit((3, 60.0), (5, 600.0), (10, 3600.0))
        self.origins = frozenset(origins)
        self.proxies = proxies
        self.now = clock
        self._setup_code = setup_code
        self._setup_tries = 0
        self._delays = Delays()
        self._hashing = asyncio.Semaphore(1)
        self._waiting = 0
        self._remembered = Records(remembered, Remembered, unique=("token",), loss=NOT_KEPT) if remembered else None
        self._remembering = asyncio.Lock()
        if self._remembered is not None:
            self._remembered.refresh(lambda kept: self.sessions.recall(kept, self.now(), time.time()))
        self._kept = self.sessions.remembered()

    # -- who it is --

    def caller_of(self, request: web.BaseRequest) -> Caller | None:
        """Whoever has sent this with a valid key or session; None for everybody else.

        A key goes before the cookie, and a wrong one is not made good by a cookie.
        """
        text = key_text(request)
        if text is not None:
            key = self.keys.check(text)
            return self._caller_of_key(key) if key else None
        if "Cookie" in request.headers:
            session = self.sessions.by_token(request.cookies.get(cookie_name("session", request), ""), self.now())
            return self._caller_of(session)
        return None

    def caller_of_session(self, name: str, ticket: str) -> Caller | None:
        """Who the push socket is for, by the `name` and `session` that a login has answered with.

        It ends with the session, the key or the user: ask again from time to time.
        """
        session = self.sessions.by_ticket(ticket, self.now())
        if session is None or session.name != name:
            return None
        return self._caller_of(session)

    def _caller_of(self, session: Session | None) -> Caller | None:
        """While the key is valid, or the user there with the password that he had."""
        if session is None:
            return None
        if session.key is not None:
            key = self.keys.find(session.key)
            caller = self._caller_of_key(key) if key else None
        else:
            user = self.users.get(session.user or "")
            valid = user is not None and user.active and mark_of(user.password) == session.password
            caller = self.caller_of_user(user, session=session) if user and valid else None
        if caller is None:
            self.sessions.close(session)
        return caller

    def _caller_of_key(self, key: Key) -> Caller | None:
        if key.user is None:
            groups = (ADMINS, USERS) if ADMIN in key.permissions else ()
            return Caller(name=KEY_NAME, permissions=frozenset(key.permissions), groups=groups, key=key)
        user = self.users.get(key.user)
        # What is left of a user who has been removed is not for the next one of that name.
        valid = user is not None and user.active and user.created <= key.created
        return self.caller_of_user(user, key=key) if user and valid else None

    def caller_of_user(self, user: User, *, key: Key | None = None, session: Session | None = None) -> Caller:
        """A user who has come by a key or a session of his."""
        permissions = self.users.permissions_of(user)
        return Caller(name=user.name, permissions=permissions, groups=user.groups, user=user, key=key, session=session)

    async def remember(self) -> None:
        """Keep who is to be known again after the next start, if that has changed; what is in the way of that is told
        in the log."""
        async with self._remembering:
            kept = self.sessions.remembered()
            if self._remembered is None or kept == self._kept:
                return
            try:
                await asyncio.to_thread(self._remembered.write, kept)
                self._kept = kept
            except SettingsError as error:
                log.warning("%s: %s", NOT_KEPT, error)

    # -- passwords --

    async def verified(self, address: str, name: str, password: str) -> User | None:
        """The user with this password. Raises Refused (429) for whoever has guessed too often, or while many do."""
        if self._waiting >= MAX_HASHING:
            raise Refused(429, "Too many are logging in right now; try again in a moment", {"Retry-After": "2"})
        wait = self._delays.wait(address, name, self.now())
        if wait > 0:
            seconds = int(wait) + 1
            text = f"Too many wrong passwords; try again in {seconds} s"
            raise Refused(429, text, {"Retry-After": str(seconds)})
        self._waiting += 1
        try:
            async with self._hashing:
                user = await asyncio.to_thread(self.users.verify, name, password)
        finally:
            self._waiting -= 1
        if user is not None:
            self._delays.succeeded(address, name)
        return user

    # -- the first user --

    @property
    def needs_setup(self) -> bool:
        """Whether the first user can be set up with the code."""
        return self._setup_code is not None and not self.users.any()

    def check_setup_code(self, code: str) -> None:
        """Raises Refused. After some wrong codes no code is right any more."""
        if self._setup_tries >= MAX_SETUP_TRIES:
            raise Refused(429, "Too many wrong codes; restart Limpet to get a new one")
        given = re.sub(r"[\s-]", "", code).upper().encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, (self._setup_code or "").replace("-", "").encode()):
            self._setup_tries += 1
            raise Refused(403, "The code is wrong; Limpet prints it in its terminal when it starts")

    def end_setup(self) -> None:
        self._setup_code = None


def key_text(request: web.BaseRequest) -> str | None:
    """The key that the request carries, valid or not.

    Looked for in `X-Api-Key`, then `Authorization: Bearer`, then `?apikey=`. Other kinds of authorization belong
    to a proxy in front of us and do not disturb.
    """
    text = request.headers.get("X-Api-Key")
    if text is None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        text = token.strip() if scheme.lower() == "bearer" else request.query.get("apikey")
    return text


# -- cookies, and what other pages can make a browser do --


def base_of(request: web.BaseRequest) -> str:
    """The address that the client knows us by: `http://host:port`, with a path behind some proxies."""
    return f"{'https' if is_secure(request) else 'http'}://{_host(request)}{prefix_of(request)}"


def _host(request: web.BaseRequest) -> str:
    # aiohttp's own asks the resolver when there is no such header, and waits for it.
    host = request.headers.get("Host", "")
    return host if _HOST.fullmatch(host) else "localhost"


def cookie_name(kind: str, request: web.BaseRequest) -> str:
    """Browsers keep cookies per host, whatever the port: so it is in the name, as OctoPrint's clients expect it."""
    _, colon, port = _host(request).rpartition(":")
    # The end of an IPv6 address is no port.
    if not (colon and port.isascii() and port.isdigit()):
        port = "443" if is_secure(request) else "80"
    return f"{kind}_P{port[:5]}"


def give_cookies(response: web.Response, request: web.Request, text: str, session: Session) -> None:
    """The session's own, which no script can read, and the one for `X-CSRF-Token`, which ours has to."""
    age = int(LONGEST_TIME) if session.remembered else None
    secure = is_secure(request) or None
    name = cookie_name("session", request)
    response.set_cookie(name, text, max_age=age, httponly=True, samesite="Lax", secure=secure)
    for name in _csrf_names(request):
        response.set_cookie(name, session.csrf, max_age=age, samesite="Lax", secure=secure)


def take_cookies(response: web.Response, request: web.Request) -> None:
    response.del_cookie(cookie_name("session", request), httponly=True, samesite="Lax")
    for name in _csrf_names(request):
        response.del_cookie(name, samesite="Lax")


def _csrf_names(request: web.Request) -> list[str]:
    name = cookie_name("csrf_token", request)
    printer = request.match_info.get("printer")
    root = prefix_of(request) + (f"/p/{printer}" if printer else "")
    # OctoPrint's own client library puts the path below which it works into the name.
    return [name, f"{name}_R{root.replace('/', '|')}"] if root else [name]


def check_not_forged(request: web.BaseRequest, caller: Caller) -> None:
    """Raises Refused for a change that a session's cookie alone asks for: any page can have a browser send it."""
    if caller.session is None or request.method in SAFE:
        return
    token = request.headers.get("X-CSRF-Token", "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(token, caller.session.csrf.encode()):
        raise Refused(400, FORGED)


def check_own_page(request: web.BaseRequest, origins: Container[str]) -> None:
    """Raises Refused for what a page from elsewhere has a browser send, while there is no session to prove it by."""
    origin = request.headers.get("Origin")
    if origin is None or origin in origins:
        return
    # Hosts alone: a proxy in front of us may hide the port.
    if _host_of(origin) is None or _host_of(origin) != _host_of(f"//{_host(request)}"):
        raise Refused(400, FORGED)


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def iso_time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
