"""What OctoPrint has and Limpet has not, so that clients who ask get an honest, empty answer."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from aiohttp import web
from msgspec import Struct

from limpet.errors import BadRequest
from limpet.web.call import Call, Route, answer


class TimelapseInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """There are no timelapses; `unrendered` is there when it was asked for."""

    config: dict[str, str]
    enabled: bool
    files: list[Any]
    unrendered: list[Any] | None = None


class LanguagesInfo(Struct, frozen=True, kw_only=True):
    """Language packs can be installed into OctoPrint, not into Limpet."""

    language_packs: dict[str, Any]


class LogsInfo(Struct, frozen=True, kw_only=True):
    """Limpet logs to its standard error alone; bytes of the disk that the files are on."""

    files: list[Any]
    free: int
    total: int


class StartupInfo(Struct, frozen=True, kw_only=True):
    """Nothing has gone wrong at the start: Limpet would not have started."""

    startup: dict[str, Any] = {}


class Room(Struct, frozen=True, kw_only=True):
    """Bytes of a disk."""

    free: int
    total: int


class UsageInfo(Struct, frozen=True, kw_only=True):
    """The disk of each folder: only that of the uploads grows."""

    usage: dict[str, Room]


class PluginsInfo(Struct, frozen=True, kw_only=True):
    """There are no plugins."""

    plugins: list[Any] = []


class AddressInfo(Struct, frozen=True, kw_only=True):
    """Where the request came from."""

    address: str | None
    is_lan_address: bool
    subnet: str | None


async def get_timelapse(call: Call) -> web.StreamResponse:
    unrendered: list[Any] | None = [] if call.request.query.get("unrendered") in ("true", "1", "yes") else None
    return answer(TimelapseInfo(config={"type": "off"}, enabled=False, files=[], unrendered=unrendered))


async def get_languages(_: Call) -> web.StreamResponse:
    core = {"display": "Core", "identifier": "_core", "languages": []}
    return answer(LanguagesInfo(language_packs={"_core": core}))


async def get_slicing(_: Call) -> web.StreamResponse:
    return answer({})


async def get_logs(call: Call) -> web.StreamResponse:
    free, total = await asyncio.to_thread(call.fleet.store(call.printer).space)
    return answer(LogsInfo(files=[], free=free, total=total))


async def get_wizard(_: Call) -> web.StreamResponse:
    return answer({})


async def get_startup(_: Call) -> web.StreamResponse:
    return answer(StartupInfo())


async def get_usage(call: Call) -> web.StreamResponse:
    free, total = await asyncio.to_thread(call.fleet.store(call.printer).space)
    return answer(UsageInfo(usage={"uploads": Room(free=free, total=total)}))


async def get_plugins(_: Call) -> web.StreamResponse:
    return answer(PluginsInfo())


async def post_test(call: Call) -> web.StreamResponse:
    body = await call.json()
    if not isinstance(body, dict) or body.get("command") != "address":
        raise BadRequest("command is invalid; there is: address")
    try:
        address = ipaddress.ip_address(call.address)
    except ValueError:
        return answer(AddressInfo(address=None, is_lan_address=False, subnet=None))
    subnet = f"{address}/8" if address.is_loopback and address.version == 4 else None
    return answer(AddressInfo(address=str(address), is_lan_address=address.is_private, subnet=subnet))


ROUTES = (
    Route("GET", "/api/languages", "SETTINGS", get_languages, "No language packs", {200: (LanguagesInfo,)}),
    Route("GET", "/api/logs", "ADMIN", get_logs, "No log files", {200: (LogsInfo,)}),
    Route("GET", "/api/setup/wizard", "ADMIN", get_wizard, "Nothing to be set up", {200: (dict[str, Any],)}),
    Route("GET", "/api/slicing", "SLICE", get_slicing, "No slicers", {200: (dict[str, Any],)}),
    Route("GET", "/api/system/startup", "SYSTEM", get_startup, "No faults at the start", {200: (StartupInfo,)}),
    Route(
        "GET", "/api/system/usage", "SYSTEM", get_usage, "The room on the disk", {200: (UsageInfo,)}, refusals=(409,)
    ),
    Route("GET", "/api/timelapse", "TIMELAPSE_LIST", get_timelapse, "No timelapses", {200: (TimelapseInfo,)}),
    Route("GET", "/plugin/logging/logs", "ADMIN", get_logs, "No log files", {200: (LogsInfo,)}),
    Route(
        "GET",
        "/plugin/pluginmanager/plugins",
        "PLUGIN_PLUGINMANAGER_LIST",
        get_plugins,
        "No plugins",
        {200: (PluginsInfo,)},
    ),
    Route(
        "POST",
        "/api/util/test",
        "ADMIN",
        post_test,
        "Where the request comes from",
        {200: (AddressInfo,)},
        body={
            "type": "object",
            "required": ["command"],
            "properties": {"command": {"const": "address"}},
        },
    ),
)
