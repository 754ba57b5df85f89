"""`/api/settings`: what clients read of OctoPrint's settings, and writing what Limpet has of them.

Source: what OctoPrint 1.11.8 answers. Of the rest of its settings nothing is told that would not be true.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from msgspec import Struct

from limpet.errors import BadRequest
from limpet.fleet import Fleet
from limpet.printer.printer import Printer
from limpet.scripts import defaults
from limpet.settings import COLORS, Settings
from limpet.toml_text import KeyPath, Value
from limpet.web.api.controls import ControlInfo, controls_of
from limpet.web.call import Call, Route, answer

TERMINAL_FILTERS = [
    {"name": "Suppress temperature messages", "regex": r"(Send: (N\d+\s+)?M105)|(Recv: (ok )?([BC]|T\d*):)"},
    {"name": "Suppress SD status messages", "regex": r"(Send: (N\d+\s+)?M27)|(Recv: (Not )?SD printing)"},
    {"name": "Suppress wait responses", "regex": "Recv: wait"},
    {"name": "Suppress processing responses", "regex": r"Recv: (echo:\s*)?busy:\s*processing"},
]


class SettingsInfo(Struct, frozen=True, kw_only=True):
    """The answer to `GET /api/settings`; each part has OctoPrint's keys."""

    api: dict[str, Any]
    appearance: dict[str, Any]
    controls: tuple[ControlInfo, ...]
    feature: dict[str, Any]
    folder: dict[str, Any]
    gcodeAnalysis: dict[str, Any]  # noqa: N815
    plugins: dict[str, Any]
    scripts: dict[str, Any]
    serial: dict[str, Any]
    server: dict[str, Any]
    slicing: dict[str, Any]
    system: dict[str, Any]
    temperature: dict[str, Any]
    terminalFilters: list[dict[str, str]]  # noqa: N815
    webcam: dict[str, Any]


def settings_of(fleet: Fleet, printer: Printer) -> SettingsInfo:
    """All that clients are known to read, and nothing that Limpet does not do."""
    settings, preferences = fleet.settings, fleet.preferences(printer)
    return SettingsInfo(
        api={"key": None, "allowCrossOrigin": bool(settings.server.cors_origins)},
        appearance={
            "name": settings.appearance.name,
            "color": settings.appearance.color,
            "colorTransparent": False,
            "colorIcon": True,
            "defaultLanguage": "_default",
            "showFahrenheitAlso": False,
            "fuzzyTimes": True,
            "closeModalsWithClick": True,
            "showInternalFilename": True,
        },
        controls=controls_of(settings.controls.values()),
        feature={
            "sdSupport": True,
            "temperatureGraph": True,
            "keyboardControl": True,
            "pollWatched": False,
            "modelSizeDetection": False,
            "g90InfluencesExtruder": False,
            "autoUppercaseBlacklist": ["M117", "M118", "M707", "M708"],
        },
        folder={"uploads": None, "timelapse": None, "watched": None},
        gcodeAnalysis={"runAt": "always" if settings.files.analyse else "never", "bedZ": 0.0},
        # Home Assistant takes this for the identity of the server, and finds it in the announcements too.
        plugins={"discovery": {"upnpUuid": fleet.uuid_of(printer)}},
        scripts={"gcode": fleet.scripts(printer)},
        serial={
            "port": fleet.preferred_port(printer),
            "baudrate": preferences.baudrate,
            "portOptions": fleet.port_names(),
            "baudrateOptions": list(fleet.baudrates),
            "autoconnect": preferences.autoconnect,
            "additionalPorts": list(settings.ports.added),
            "additionalBaudrates": list(settings.ports.additional_baudrates),
            "blacklistedPorts": list(settings.ports.ignored),
            "blacklistedBaudrates": [],
        },
        server={
            "commands": {f"{name}Command": None for name in ("serverRestart", "systemRestart", "systemShutdown")},
            "allowFraming": False,
        },
        slicing={"defaultSlicer": None},
        system={
            "actions": [{"name": each.name, "action": id} for id, each in settings.commands.items()],
            "events": None,
        },
        temperature={
            "profiles": [
                {"name": each.name, "extruder": each.extruder, "bed": each.bed, "chamber": each.chamber}
                for each in settings.presets.values()
            ],
            "cutoff": 30,
            "sendAutomatically": False,
            "sendAutomaticallyAfter": 1,
        },
        terminalFilters=TERMINAL_FILTERS,
        webcam=_webcam(settings),
    )


def _webcam(settings: Settings) -> dict[str, Any]:
    webcam = settings.webcam
    return {
        "webcamEnabled": bool(webcam.stream or webcam.snapshot),
        "timelapseEnabled": False,
        # pyoctoprintapi fails where this is null.
        "streamUrl": webcam.stream,
        "snapshotUrl": webcam.snapshot,
        "flipH": webcam.flip_h,
        "flipV": webcam.flip_v,
        "rotate90": webcam.rotate_90,
        "streamRatio": "16:9",
        "streamTimeout": 5,
        "streamWebrtcIceServers": [],
        "snapshotTimeout": 5,
        "snapshotSslValidation": True,
        "webcams": [],
    }


async def get_settings(call: Call) -> web.StreamResponse:
    return answer(settings_of(call.fleet, call.printer))


async def post_settings(call: Call) -> web.StreamResponse:
    body = await call.json()
    if not isinstance(body, dict):
        raise BadRequest("The settings are an object")
    changes: dict[KeyPath, Value | None] = {}
    for section, key, path, kind in _WRITABLE:
        part = body.get(section)
        if part is not None and not isinstance(part, dict):
            raise BadRequest(f"{section} is invalid")
        if part is None or key not in part:
            continue
        value: Any = part[key]
        if not isinstance(value, str | bool) or not isinstance(value, kind):
            raise BadRequest(f"{section}.{key} is invalid")
        if path == ("appearance", "color") and value not in COLORS:
            raise BadRequest(f"{section}.{key} is invalid")
        if section == "webcam" and isinstance(value, str) and not _is_address(value):
            raise BadRequest("The address of a camera begins with http, https, rtsp or webrtc, or with a /")
        changes[path] = value
    scripts = _scripts(call, body.get("scripts"))
    if scripts:
        await call.fleet.change_scripts(call.printer, scripts)
    if changes:
        await call.fleet.change(changes)
    return answer(settings_of(call.fleet, call.printer))


def _is_address(text: str) -> bool:
    """Whether a page may show what is there: a script can be an address as well."""
    # Browsers pass over what cannot be seen.
    scheme = re.match("([a-z][a-z0-9+.-]*):", re.sub(r"[\x00-\x20]", "", text.lower()))
    return scheme is None or scheme[1] in _SCHEMES


def _scripts(call: Call, part: Any) -> dict[str, str | None]:
    """Those that are to be others than they are; one that is as it would be anyway need not stand in the file."""
    scripts = part.get("gcode", {}) if isinstance(part, dict) else {}
    if not isinstance(scripts, dict) or not all(isinstance(text, str) for text in scripts.values()):
        raise BadRequest("scripts.gcode is invalid")
    now, default = call.fleet.scripts(call.printer), defaults(call.fleet.profile(call.printer))
    return {
        name: None if text == default.get(name, "") else text
        for name, text in scripts.items()
        if text != now.get(name, "")
    }


_SCHEMES = ("http", "https", "rtsp", "rtsps", "webrtc", "webrtcs")
_WRITABLE: tuple[tuple[str, str, KeyPath, type], ...] = (
    ("appearance", "name", ("appearance", "name"), str),
    ("appearance", "color", ("appearance", "color"), str),
    ("webcam", "streamUrl", ("webcam", "stream"), str),
    ("webcam", "snapshotUrl", ("webcam", "snapshot"), str),
    ("webcam", "flipH", ("webcam", "flip_h"), bool),
    ("webcam", "flipV", ("webcam", "flip_v"), bool),
    ("webcam", "rotate90", ("webcam", "rotate_90"), bool),
)
"""Section and key in OctoPrint's settings, the key in ours, and its type. What else is written is passed over."""

_BODY = {
    "type": "object",
    "properties": {
        "appearance": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 64}, "color": {"enum": list(COLORS)}},
        },
        "scripts": {
            "type": "object",
            "properties": {"gcode": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
        "webcam": {
            "type": "object",
            "properties": {
                **{key: {"type": "string", "maxLength": 1024} for key in ("streamUrl", "snapshotUrl")},
                **{key: {"type": "boolean"} for key in ("flipH", "flipV", "rotate90")},
            },
        },
    },
}

ROUTES = (
    Route(
        "GET",
        "/api/settings",
        "SETTINGS_READ",
        get_settings,
        "What clients read of them",
        {200: (SettingsInfo,)},
    ),
    Route(
        "POST",
        "/api/settings",
        "SETTINGS",
        post_settings,
        "Change the name, the color, the webcam or the scripts; other keys are passed over",
        {200: (SettingsInfo,)},
        body=_BODY,
    ),
)
