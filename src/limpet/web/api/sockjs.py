"""`/sockjs`: the push, as OctoPrint's clients open it. Anybody may; what is told depends on who one says one is.

A web page of another origin may not, unless the settings allow it: it would at least learn that we are there.
"""

from __future__ import annotations

import hashlib
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from limpet import __version__
from limpet.fleet import Fleet
from limpet.web.api.groups import ALL_PERMISSIONS, PermissionInfo
from limpet.web.api.server import OCTOPRINT_VERSION
from limpet.web.auth import check_own_page
from limpet.web.call import Call, Refused, Route, answer, done
from limpet.web.push import Push, TooManyReaders
from limpet.web.sockjs import Sessions, poll, serve_websocket, stream, texts

PUSH = web.AppKey("push", Push)
SESSIONS = web.AppKey("sessions", Sessions)

WELCOME = "Welcome to SockJS!\n"
NO_UPGRADE = 'Can "Upgrade" only to "WebSocket".'
NO_SESSION = "There is no such session."
NO_PAYLOAD = "Payload expected."
NO_JSON = "Broken JSON encoding."
TOO_MANY = "Too many clients listen already."
FOREIGN = "Web pages of another origin may not listen here; the setting server.cors_origins names those that may."


class Info(Struct, frozen=True, kw_only=True):
    """What a SockJS client asks for first."""

    websocket: bool = True
    cookie_needed: bool = False
    origins: tuple[str, ...] = ("*:*",)
    entropy: int


class Connected(Struct, frozen=True, kw_only=True):
    """The first message. A client that sees another hash than before knows that it has to ask for things anew."""

    version: str = OCTOPRINT_VERSION
    display_version: str = f"{OCTOPRINT_VERSION} (Limpet {__version__})"
    branch: str = "HEAD"
    python_version: str = platform.python_version()
    plugin_hash: str
    config_hash: str
    debug: bool = False
    safe_mode: None = None
    online: bool = True
    permissions: list[PermissionInfo]


def connected(fleet: Fleet) -> Connected:
    return Connected(
        plugin_hash=_digest(__version__.encode()),
        config_hash=_digest(msgspec.json.encode(fleet.settings)),
        permissions=ALL_PERMISSIONS.permissions,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


async def close(app: web.Application) -> None:
    """The server ends: so do they, at once."""
    app[SESSIONS].close()
    app[PUSH].close()


async def get_welcome(_: Call) -> web.StreamResponse:
    return web.Response(text=WELCOME)


async def get_info(_: Call) -> web.StreamResponse:
    return answer(Info(entropy=secrets.randbits(32)))


async def get_raw(call: Call) -> web.StreamResponse:
    return await _websocket(call, framed=False)


async def get_framed(call: Call) -> web.StreamResponse:
    return await _websocket(call, framed=True)


async def _websocket(call: Call, *, framed: bool) -> web.StreamResponse:
    _check_origin(call)
    if not web.WebSocketResponse().can_prepare(call.request):
        raise Refused(400, NO_UPGRADE)
    with _limited():
        reader = call.request.app[PUSH].open(call.printer, call.address)
    return await serve_websocket(call.request, reader, framed=framed)


async def post_xhr(call: Call) -> web.StreamResponse:
    _check_origin(call)
    sessions = call.request.app[SESSIONS]
    with _limited(), sessions.receiving(call.printer, _id(call), call.request, call.address) as session:
        return await poll(session)


async def post_xhr_streaming(call: Call) -> web.StreamResponse:
    _check_origin(call)
    sessions = call.request.app[SESSIONS]
    with _limited(), sessions.receiving(call.printer, _id(call), call.request, call.address) as session:
        return await stream(call.request, session)


async def post_xhr_send(call: Call) -> web.StreamResponse:
    _check_origin(call)
    session = call.request.app[SESSIONS].get(call.printer, _id(call))
    if session is None:
        raise Refused(404, NO_SESSION)
    body = await call.body()
    if not body:
        raise Refused(400, NO_PAYLOAD)
    try:
        for text in texts(body):
            session.reader.receive(text)
    except ValueError:
        raise Refused(400, NO_JSON) from None
    return done()


def _id(call: Call) -> str:
    return call.request.match_info["session"]


@contextmanager
def _limited() -> Iterator[None]:
    try:
        yield
    except TooManyReaders:
        raise Refused(503, TOO_MANY) from None


def _check_origin(call: Call) -> None:
    """A browser says which page asks; a program does not, and may."""
    if "*" not in call.access.origins:
        try:
            check_own_page(call.request, call.access.origins)
        except Refused:
            raise Refused(403, FOREIGN) from None


_SESSION = "/sockjs/{server:[^/.]{1,64}}/{session:[^/.]{1,64}}"
_MESSAGES: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Messages, each of them JSON in a text",
}
_SOCKET = "A websocket: OpenAPI cannot say what goes over it, docs/api-push.md does."
_STREAM = "Whoever asks waits for messages."
_OPEN = None

ROUTES = (
    Route("GET", "/sockjs", _OPEN, get_welcome, "That SockJS is spoken here", {200: (str,)}, media_type="text/plain"),
    Route("GET", "/sockjs/", _OPEN, get_welcome, "That SockJS is spoken here", {200: (str,)}, media_type="text/plain"),
    Route("GET", "/sockjs/info", _OPEN, get_info, "What a SockJS client asks for first", {200: (Info,)}),
    Route(
        "GET",
        "/sockjs/websocket",
        _OPEN,
        get_raw,
        "The push over a bare websocket",
        {101: ()},
        refusals=(400, 503),
        goes_on=_SOCKET,
    ),
    Route(
        "GET",
        f"{_SESSION}/websocket",
        _OPEN,
        get_framed,
        "The push over a websocket in SockJS's frames",
        {101: ()},
        refusals=(400, 503),
        goes_on=_SOCKET,
    ),
    Route(
        "POST",
        f"{_SESSION}/xhr_streaming",
        _OPEN,
        post_xhr_streaming,
        "Frames of the push, one after the other",
        {200: (str,)},
        media_type="application/javascript",
        refusals=(503,),
        goes_on=_STREAM,
    ),
    Route(
        "POST",
        f"{_SESSION}/xhr",
        _OPEN,
        post_xhr,
        "The next frame of the push",
        {200: (str,)},
        media_type="application/javascript",
        refusals=(503,),
        goes_on=_STREAM,
    ),
    Route(
        "POST",
        f"{_SESSION}/xhr_send",
        _OPEN,
        post_xhr_send,
        "Messages to the push, from a client without a websocket",
        {204: ()},
        body=_MESSAGES,
        refusals=(404,),
    ),
)
