"""How the web face is put on the network."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from limpet.errors import LimpetError

SHUTDOWN_TIME = 0.5
"""Seconds that requests under way are given when the server ends."""
IDLE_TIME = 75.0
"""Seconds after which a client is sent away that has sent nothing, half a header, or no further request."""


def runner_of(app: web.Application) -> web.AppRunner:
    """The limits that hold before a request reaches the application."""
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIME,
        handle_signals=False,
        keepalive_timeout=IDLE_TIME,
        # A body of 64 KB could unfold to 64 MB, for somebody without a key as well.
        auto_decompress=False,
    )


async def listen(runner: web.AppRunner, host: str, port: int) -> None:
    """Answer at this address from now on. Raises LimpetError."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        why = error.strerror or str(error)
        raise LimpetError(
            f"cannot listen on {host}, port {port}: {why}; choose another with --port or --host"
        ) from None


def _is_our_fault(record: logging.LogRecord) -> bool:
    """What strangers send must not fill the log with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)
