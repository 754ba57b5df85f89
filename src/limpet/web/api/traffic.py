"""`/api/limpet/traffic`: what the printer and we say to each other, as it is said. For looking on only."""

from __future__ import annotations

import asyncio
import socket
import time

from aiohttp import web

from limpet.errors import Conflict
from limpet.printer.subscription import Subscription
from limpet.protocol.events import LineReceived, LineSent
from limpet.protocol.replies import printable
from limpet.web.call import Call, Route

MAX_TAPS = 20
"""Who may listen to one printer at once."""
MAX_LINE = 2048
"""Characters of a line that are shown."""
WRITE_TIME = 10.0
"""Seconds that a listener may take no byte before it is cut off."""
LOOK_TIME = 1.0
"""Seconds between two looks whether the listener and its key are still there."""
PERMISSION = "MONITOR_TERMINAL"

Taps = dict[str, set[Subscription]]
TAPS = web.AppKey("taps", Taps)
"""Who listens to which printer."""


async def get_traffic(call: Call) -> web.StreamResponse:
    # nginx would keep the lines to itself until it has a few thousand bytes.
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    taps = call.request.app[TAPS].setdefault(call.printer.id, set())
    if len(taps) >= MAX_TAPS:
        raise Conflict(f"{MAX_TAPS} programs listen to this printer already")
    if call.request.method == "HEAD":
        return response
    before = "".join(_shown(*line) for line in call.printer.recent)
    events = call.printer.subscribe()
    taps.add(events)
    watcher = asyncio.create_task(_watch(call, events))
    try:
        await response.prepare(call.request)
        _notice_when_it_vanishes(call.request)
        await _write(response, before)
        async for event, _ in events:
            match event:
                case LineSent(line=line):
                    await _write(response, _shown(time.time(), f"> {line}"))
                case LineReceived(line=line):
                    await _write(response, _shown(time.time(), f"< {line}"))
        if events.fell_behind:
            _cut_off(call.request)
    except (ConnectionError, TimeoutError):
        _cut_off(call.request)
    finally:
        watcher.cancel()
        events.close()
        taps.discard(events)
    return response


async def close_taps(app: web.Application) -> None:
    """The server ends: so do they, at once."""
    for taps in app[TAPS].values():
        for events in tuple(taps):
            events.close()


def _shown(at: float, line: str) -> str:
    return f"{at:.3f} {printable(line)[:MAX_LINE]}\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_TIME):
        await response.write(text.encode())


async def _watch(call: Call, events: Subscription) -> None:
    """Ends a tap whose listener has gone, or may listen no more; a printer that is off says nothing to notice it by."""
    while (transport := call.request.transport) is not None and not transport.is_closing():
        caller = call.access.caller_of(call.request)
        if caller is None or not caller.permits(PERMISSION):
            break
        await asyncio.sleep(LOOK_TIME)
    events.close()


def _cut_off(request: web.Request) -> None:
    """Without the end that a whole answer has, so that the listener knows that lines are missing."""
    if request.transport is not None:
        request.transport.abort()


def _notice_when_it_vanishes(request: web.Request) -> None:
    connection = request.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        for name, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}.items():
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


ROUTES = (
    Route(
        "GET",
        "/api/limpet/traffic",
        PERMISSION,
        get_traffic,
        "The lines on the wire, as they come, without an end",
        {200: (str,)},
        media_type="text/plain",
        refusals=(409,),
        goes_on="It ends when the listener leaves.",
    ),
)
