"""SockJS: the coat that OctoPrint's push wears: frames, and sessions of clients that have no websocket.

Source: the SockJS protocol 0.3.3, and what OctoPrint 1.11.8 sends: its frames hold the messages as they are, not as
texts with JSON in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from limpet.printer.printer import Printer
from limpet.web.push import Push, Reader, nothing

OPEN = b"o"
HEARTBEAT = b"h"
GO_AWAY = b'c[3000,"Go away!"]'
STILL_OPEN = b'c[2010,"Another connection still open"]'
PRELUDE = b"h" * 2048 + b"\n"
"""Some clients show nothing of a stream before they have this many bytes."""
MAX_MESSAGE = 1 << 16
"""Bytes of a frame that a client may send."""
MAX_STREAM = 1 << 17
"""Bytes of a stream, after which the client asks for the next one: it keeps what it has read."""
PING = 25.0
"""Seconds between two pings; the answer to one is awaited for half of that."""
CLOSE_TIME = 0.2
"""Seconds for a websocket to be closed politely."""
WRITE_TIME = 10.0
"""Seconds that a client may take no byte before it is cut off."""
_TYPE = {"Content-Type": "application/javascript; charset=UTF-8"}


def frame(messages: Sequence[bytes]) -> bytes:
    """JSON texts as one frame; none of them as a sign of life."""
    return b"a[" + b",".join(messages) + b"]" if messages else HEARTBEAT


def texts(payload: str | bytes) -> list[str]:
    """The messages in what a client sends: a JSON array of texts, or one text; [] when it is JSON but neither.

    Raises ValueError when it is no JSON.
    """
    try:
        content = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if isinstance(content, str):
        return [content]
    return [text for text in content if isinstance(text, str)] if isinstance(content, list) else []


async def serve_websocket(request: web.Request, reader: Reader, *, framed: bool) -> web.WebSocketResponse:
    """Carry messages both ways until one side has had enough."""
    socket = web.WebSocketResponse(heartbeat=PING, compress=False, max_msg_size=MAX_MESSAGE, timeout=CLOSE_TIME)
    try:
        with _ends_in_time(request, reader):
            await socket.prepare(request)
            telling = asyncio.create_task(_tell(socket, reader, framed=framed))
            telling.add_done_callback(lambda _: reader.close())
            try:
                async for message in socket:
                    if message.type is web.WSMsgType.ERROR:
                        break
                    if message.type is web.WSMsgType.TEXT:
                        _hear(reader, message.data, framed=framed)
                reader.close()
                await asyncio.wait([telling])
            finally:
                telling.cancel()
    finally:
        reader.close()
    return socket


@contextmanager
def _ends_in_time(request: web.Request, reader: Reader) -> Iterator[None]:
    """When the reader is closed, the request is over soon after, whatever it waits for."""
    timers: list[asyncio.TimerHandle] = []
    loop = asyncio.get_running_loop()

    def end(at_once: bool) -> None:
        timers.append(loop.call_later(0.0 if at_once else 2 * CLOSE_TIME, _abort, request))

    reader.on_close = end
    try:
        yield
    finally:
        reader.on_close = nothing
        for timer in timers:
            timer.cancel()


def _hear(reader: Reader, data: str, *, framed: bool) -> None:
    if not framed:
        reader.receive(data)
        return
    try:
        for text in texts(data):
            reader.receive(text)
    except ValueError:
        return


async def _tell(socket: web.WebSocketResponse, reader: Reader, *, framed: bool) -> None:
    # A client that is gone, or takes nothing any more, is let go of by who has started this.
    with suppress(ConnectionError, TimeoutError):
        if framed:
            await _send(socket, OPEN)
        while (messages := await reader.next()) is not None:
            if framed and not messages:
                await _send(socket, HEARTBEAT)
            for message in messages:
                await _send(socket, frame([message]) if framed else message)
        if framed and not socket.closed:
            await _send(socket, GO_AWAY)
        await socket.close(code=WSCloseCode.GOING_AWAY)


async def _send(socket: web.WebSocketResponse, text: bytes) -> None:
    async with asyncio.timeout(WRITE_TIME):
        await socket.send_frame(text, web.WSMsgType.TEXT)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


class Session:
    """A client that fetches its messages by one request after the other."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.opened = False
        self.receiver: tuple[web.Request, asyncio.Task[Any]] | None = None
        """The request that waits for messages, and the task that serves it."""


class Sessions:
    """The sessions of all printers, each for as long as its client comes back in time."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._sessions: dict[tuple[str, str], Session] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def get(self, printer: Printer, id: str) -> Session | None:
        """The session, if it goes on."""
        session = self._sessions.get((printer.id, id))
        return None if session is None or session.reader.closed else session

    @contextmanager
    def receiving(self, printer: Printer, id: str, request: web.Request, address: str) -> Iterator[Session | None]:
        """The session, new if need be, while this request waits for its messages; None when another one does.

        Raises TooManyReaders.
        """
        key = printer.id, id
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(self._push.open(printer, address))
        if session.receiver is not None:
            before, serving = session.receiver
            if not _is_gone(before):
                yield None
                return
            # It would take a message that nobody can be given any more.
            serving.cancel()
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        receiver = session.receiver = request, _this_task()
        try:
            with _ends_in_time(request, session.reader):
                yield session
        finally:
            if session.receiver is receiver:
                session.receiver = None
                self._wait_for(key)

    def close(self) -> None:
        """The server ends."""
        for timer in self._timers.values():
            timer.cancel()

    def _wait_for(self, key: tuple[str, str]) -> None:
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._push.times.session, self._expire, key)

    def _expire(self, key: tuple[str, str]) -> None:
        del self._timers[key]
        reader = self._sessions[key].reader
        if reader.closed:
            del self._sessions[key]
        else:
            # A client that comes a little late is told that it is too late.
            reader.close()
            self._wait_for(key)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def poll(session: Session | None) -> web.Response:
    """The next frame, as soon as there is one."""
    return web.Response(body=await _next_frame(session) + b"\n", headers=_TYPE)


async def stream(request: web.Request, session: Session | None) -> web.StreamResponse:
    """One frame after the other."""
    response = web.StreamResponse(headers={**_TYPE, "X-Accel-Buffering": "no"})
    try:
        await response.prepare(request)
        await _write(response, PRELUDE)
        written = 0
        while written < MAX_STREAM:
            text = await _next_frame(session) + b"\n"
            await _write(response, text)
            written += len(text)
            if session is None or session.reader.closed:
                break
    except (ConnectionError, TimeoutError):
        _abort(request)
    return response


async def _write(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(WRITE_TIME):
        await response.write(text)


async def _next_frame(session: Session | None) -> bytes:
    if session is None:
        return STILL_OPEN
    if not session.opened:
        session.opened = True
        return OPEN
    messages = await session.reader.next()
    return GO_AWAY if messages is None else frame(messages)
