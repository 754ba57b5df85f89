"""`/downloads`: a file as it is, whole or a part of it."""

from __future__ import annotations

import asyncio
import os
from email.utils import formatdate
from functools import partial
from urllib.parse import quote

from aiohttp import web

from limpet.aside import close_aside
from limpet.web.call import Call, Refused, Route

CHUNK = 1 << 18
"""Bytes that are read at a time."""
WRITE_TIME = 30.0
"""Seconds that a client may take no byte before it is cut off."""


async def get_download(call: Call) -> web.StreamResponse:
    path = call.request.match_info["path"]
    descriptor = await asyncio.to_thread(call.fleet.store(call.printer).open, path)
    try:
        return await _send(call.request, descriptor, path.rpartition("/")[2])
    finally:
        close_aside(partial(os.close, descriptor))


async def _send(request: web.Request, descriptor: int, name: str) -> web.StreamResponse:
    status = os.fstat(descriptor)
    tag, modified = f'"{status.st_mtime_ns:x}-{status.st_size:x}"', formatdate(status.st_mtime, usegmt=True)
    part = _range(request, status.st_size, (tag, modified))
    at, end = part or (0, status.st_size)
    partial = {"Content-Range": f"bytes {at}-{end - 1}/{status.st_size}"} if part else {}
    response = web.StreamResponse(
        status=206 if partial else 200,
        headers={
            **partial,
            "Content-Type": "text/plain",
            "Content-Disposition": f"attachment; filename=\"{quote(name)}\"; filename*=UTF-8''{quote(name)}",
            "ETag": tag,
            "Last-Modified": modified,
            "Accept-Ranges": "bytes",
        },
    )
    response.content_length = end - at
    await response.prepare(request)
    while at < end and request.method != "HEAD":
        chunk = await asyncio.to_thread(os.pread, descriptor, min(CHUNK, end - at), at)
        try:
            async with asyncio.timeout(WRITE_TIME):
                await response.write(chunk)
        except (TimeoutError, ConnectionError):
            chunk = b""
        if not chunk:
            # The file was cut short, or the client reads no more: an end as it should be would be a lie.
            if request.transport is not None:
                request.transport.abort()
            break
        at += len(chunk)
    return response


def _range(request: web.Request, size: int, same: tuple[str, str]) -> tuple[int, int] | None:
    """First byte and end of the part that is asked for, if one is.

    `same` are the words of a client that has a part of this very file already.
    """
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked == slice(None, None, 1) or request.headers.get("If-Range", same[0]) not in same:
        return None
    start = asked.start or 0
    at = max(0, start + size) if start < 0 else start
    end = size if asked.stop is None else min(asked.stop, size)
    if at >= end:
        raise Refused(416, f"The file has {size} bytes")
    return at, end


ROUTES = (
    Route(
        "GET",
        "/downloads/files/local/{path:.+}",
        "FILES_DOWNLOAD",
        get_download,
        "The content of a file",
        {200: (str,), 206: (str,)},
        media_type="text/plain",
        refusals=(404, 409, 416),
    ),
)
