"""`/downloads/thumbs`: the pictures that slicers put into files; also where a plugin of OctoPrint has them.

Source: OctoPrint 2.0; the plugin "Slicer Thumbnails".
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from limpet.errors import NotFound
from limpet.storage.names import TYPES
from limpet.web.api.files import PLUGIN
from limpet.web.call import Call, Route

_MEDIA = {"png": "image/png", "jpg": "image/jpeg"}


async def get_thumbnail(call: Call) -> web.StreamResponse:
    return await _told(call, [call.request.match_info["path"]], call.request.query.get("size"))


async def get_of_plugin(call: Call) -> web.StreamResponse:
    """There the name of the picture is that of the file, but for its ending."""
    stem = call.request.match_info["path"]
    return await _told(call, [f"{stem}.{extension}" for extension in TYPES])


async def _told(call: Call, paths: list[str], size: str | None = None) -> web.Response:
    store = call.fleet.store(call.printer)
    for path in paths:
        try:
            thumbnail, content = await asyncio.to_thread(store.thumbnail, path, size)
        except NotFound:
            continue
        return web.Response(body=content, content_type=_MEDIA[thumbnail.kind])
    raise NotFound()


ROUTES = (
    Route(
        "GET",
        "/downloads/thumbs/local/{path:.+}",
        "FILES_DOWNLOAD",
        get_thumbnail,
        "A picture in a file: the one of this `size` (`220x124`), else the largest",
        {200: (str,)},
        media_type="image/png",
        refusals=(404, 409),
        query=("size",),
    ),
    Route(
        "GET",
        f"/{PLUGIN}{{path:.+}}.png",
        "FILES_DOWNLOAD",
        get_of_plugin,
        "The largest picture in a file, as the plugin for PrusaSlicer's pictures has it",
        {200: (str,)},
        media_type="image/png",
        refusals=(404, 409),
    ),
)
