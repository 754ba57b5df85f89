"""`/api/version` and `/api/server`: who answers."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from limpet import __version__
from limpet.web.call import Call, Route, answer

OCTOPRINT_VERSION = "1.11.0"
"""The version whose API this is. Clients compare it, and octorest reads each part of it as a number."""


class Version(Struct, frozen=True, kw_only=True):
    """Slicers ask for this first, and want `text` to start with "OctoPrint"."""

    api: str = "0.1"
    server: str = OCTOPRINT_VERSION
    text: str = f"OctoPrint (Limpet {__version__})"


class Server(Struct, frozen=True, kw_only=True):
    """There is no safe mode: nothing is loaded that could be left out."""

    version: str = OCTOPRINT_VERSION
    safemode: str | None = None


async def get_version(_: Call) -> web.StreamResponse:
    return answer(Version())


async def get_server(_: Call) -> web.StreamResponse:
    return answer(Server())


ROUTES = (
    Route("GET", "/api/version", "STATUS", get_version, "Versions of the API and the server", {200: (Version,)}),
    Route("GET", "/api/server", "STATUS", get_server, "The server", {200: (Server,)}),
)
