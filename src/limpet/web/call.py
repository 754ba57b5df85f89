"""What a handler is given, and how routes are written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import HttpVersion11, web

from limpet.errors import BadRequest
from limpet.fleet import Fleet
from limpet.printer.printer import Printer
from limpet.web.complaints import in_words

if TYPE_CHECKING:
    from limpet.web.auth import Access, Caller
    from limpet.web.dialect import Before2

T = TypeVar("T", bound=msgspec.Struct)

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""What every answer has that has none of its own."""
BODY_TIME = 10.0
"""Seconds for a JSON body to arrive."""
PIECE = 1 << 16
"""Bytes of a body that are worked on at a time, so that a print's next line need not wait for long."""
PIECE_TIME = 30.0
"""Seconds in which at least something of an upload has to arrive."""
NOT_JSON = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
SIGNED_IN = "SIGNED_IN"
"""In the place of a permission: any valid key or session will do, and the handler looks at whose it is."""
BROKEN = "The browser (or proxy) sent a request that this server could not understand."


class Refused(Exception):
    """A request that HTTP itself has a status for; `text` is the `error` of the answer."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: to which printer, by whom, in which dialect."""

    request: web.Request
    fleet: Fleet
    printer: Printer
    caller: Caller
    access: Access
    dialect: Before2

    @property
    def prefix(self) -> str:
        """What is before `/api` in the path of the request: empty, or `/p/<id>`."""
        id = self.request.match_info.get("printer")
        return "" if id is None else f"/p/{id}"

    @property
    def address(self) -> str:
        """The address of whoever asks."""
        return self.access.proxies.address_of(self.request)

    async def json(self) -> Any:
        """The body, as OctoPrint takes it: any JSON in UTF-8, -16 or -32, with or without a byte order mark."""
        content_type = self.request.content_type
        if content_type != "application/json" and not (
            content_type.startswith("application/") and content_type.endswith("+json")
        ):
            raise Refused(415, NOT_JSON)
        body = await self.body()
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, BROKEN) from None

    async def read(self, kind: type[T]) -> T:
        """The JSON body as a Struct of this kind. Raises BadRequest, which names what does not fit."""
        try:
            return msgspec.convert(content := await self.json(), kind)
        except msgspec.ValidationError as error:
            raise BadRequest(in_words(error, content)) from None

    async def body(self) -> bytes:
        """All of it, whatever it is."""
        try:
            async with asyncio.timeout(BODY_TIME):
                await self._invite()
                return await self.request.read()
        except TimeoutError:
            raise Refused(408, f"The body did not arrive within {BODY_TIME:.0f} s") from None
        except (web.RequestPayloadError, ConnectionError):
            # Broken chunks, or a client that went away in the middle.
            raise Refused(400, BROKEN) from None

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """A body of at most `limit` bytes, as it arrives."""
        too_large = Refused(413, f"The body is larger than {limit} bytes.")
        if (self.request.content_length or 0) > limit:
            raise too_large
        await self._invite()
        while True:
            try:
                async with asyncio.timeout(PIECE_TIME):
                    piece = await self.request.content.read(PIECE)
            except TimeoutError:
                raise Refused(408, f"Nothing more of the body arrived within {PIECE_TIME:.0f} s") from None
            except (web.RequestPayloadError, ConnectionError):
                raise Refused(400, BROKEN) from None
            if not piece:
                return
            limit -= len(piece)
            if limit < 0:
                raise too_large
            yield piece
            # A fast client has the next piece ready: others have their turn in between.
            await asyncio.sleep(0)

    async def _invite(self) -> None:
        """A client that asks before it sends a large body is told to: not before it is known who asks for what."""
        request = self.request
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # What aiohttp counts is the answer, which has not begun.
            request.writer.output_size = 0


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """A handler at a method and path, and what the API description says of it; `{name}` in a path is any text.

    `permission` is what it needs: one of OctoPrint's names, SIGNED_IN, or None for a route that is open to everybody.
    `responses` maps each status to the types that its body may have (none: no body), and that body is of `media_type`;
    `body` is a JSON schema, of a body of `body_type`, and `form` one of the same as a form; `query` are parameters that
    are read; `refusals` are statuses of refusals besides 403 and those that a route with a body has. `goes_on` says why
    an answer cannot be asked for and read to its end.
    """

    method: str
    path: str
    permission: str | None
    handler: Handler
    summary: str
    responses: dict[int, tuple[Any, ...]]
    body: dict[str, Any] | None = None
    media_type: str = "application/json"
    refusals: tuple[int, ...] = ()
    goes_on: str = ""
    body_type: str = "application/json"
    form: dict[str, Any] | None = None
    query: tuple[str, ...] = ()


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema of a body that `Call.read` takes; its fields are plain values."""
    schema: dict[str, Any] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return schema


def answer(content: object, status: int = 200) -> web.Response:
    """A JSON answer. OctoPrint's has no charset either."""
    return web.Response(body=msgspec.json.encode(content), status=status, headers={"Content-Type": "application/json"})


def done() -> web.Response:
    """204, empty; with the content type that OctoPrint's has."""
    return web.Response(status=204, headers={"Content-Type": "text/plain"})
