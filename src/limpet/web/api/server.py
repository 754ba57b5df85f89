"""`/api/version`, `/api/server` and `/api/system/info`: who answers, and on what machine."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

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


class SystemInfo(Struct, frozen=True, kw_only=True):
    """By OctoPrint's names, with dots in them."""

    systeminfo: dict[str, Any]


async def get_version(_: Call) -> web.StreamResponse:
    return answer(Version())


async def get_server(_: Call) -> web.StreamResponse:
    return answer(Server())


async def get_info(call: Call) -> web.StreamResponse:
    firmware = call.printer.snapshot.firmware
    return answer(
        SystemInfo(
            systeminfo={
                "octoprint.version": OCTOPRINT_VERSION,
                "octoprint.safe_mode": False,
                "limpet.version": __version__,
                "env.os.id": platform.system().lower(),
                "env.os.platform": sys.platform,
                "env.os.bits": 64 if sys.maxsize > 1 << 32 else 32,
                "env.hardware.cores": os.cpu_count(),
                "env.python.version": platform.python_version(),
                "systeminfo.generator": "systemapi",
                **({"printer.firmware": firmware} if firmware else {}),
            }
        )
    )


ROUTES = (
    Route("GET", "/api/version", "STATUS", get_version, "Versions of the API and the server", {200: (Version,)}),
    Route("GET", "/api/server", "STATUS", get_server, "The server", {200: (Server,)}),
    Route("GET", "/api/system/info", "SYSTEM", get_info, "What runs here, and on what", {200: (SystemInfo,)}),
)
