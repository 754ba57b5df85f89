"""`/api/connection`: what the connection is, and commands to it.

Source: the page "Connection handling" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from limpet.errors import BadRequest, Conflict
from limpet.fleet import AUTO
from limpet.printer.printer import Printer
from limpet.transports.ports import find
from limpet.web.call import Call, Route, answer, done
from limpet.web.dialect import ConnectionInfo, ConnectionInfo2


async def get_connection(call: Call) -> web.StreamResponse:
    return answer(call.dialect.connection(call.fleet, call.printer))


async def post_connection(call: Call) -> web.StreamResponse:
    body = await call.json()
    command = body.get("command") if isinstance(body, dict) else None
    if not isinstance(command, str) or command not in _COMMANDS:
        raise BadRequest("command is invalid")
    await _COMMANDS[command](call, body)
    return done()


async def _connect(call: Call, body: dict[str, Any]) -> None:
    fleet, printer = call.fleet, call.printer
    parameters = call.dialect.connect_parameters(body)
    # OctoPrint looks at port, baudrate and profile in this order, and clients show the first complaint.
    port = _port(call, parameters)
    baudrate = _baudrate(call, parameters)
    profile = _profile(call, body)
    save = _boolean(body, "save") or False
    autoconnect = _boolean(body, "autoconnect")

    changes: dict[str, Any] = {}
    if save:
        given = {"port": port, "baudrate": baudrate, "profile": profile}
        changes |= {name: value for name, value in given.items() if value is not None}
    if autoconnect is not None:
        changes["autoconnect"] = autoconnect
    target = fleet.target(printer, port=port, baudrate=baudrate, profile=profile)
    _protect_print(printer, None if port is None else target.port, baudrate)
    wish = printer.new_wish()
    if changes:
        await fleet.remember(printer, changes)
    # Saving takes a moment, in which somebody may have asked for something else, or begun to print.
    if printer.is_latest_wish(wish) and not printer.is_printing:
        printer.connect(target)


def _protect_print(printer: Printer, port: str | None, baudrate: int | None) -> None:
    """A reconnect would end the print; whoever asks for what is there has it already."""
    now = printer.snapshot
    if printer.is_printing and (port not in (None, now.port) or (baudrate or now.baudrate) != now.baudrate):
        raise Conflict("A print is under way; cancel it before you connect to another port or at another rate")


async def _disconnect(call: Call, _: dict[str, Any]) -> None:
    await call.printer.disconnect()


async def _repair(call: Call, _: dict[str, Any]) -> None:
    call.printer.repair()


_COMMANDS = {"connect": _connect, "disconnect": _disconnect, "repair": _repair, "fake_ack": _repair}


def _port(call: Call, parameters: dict[str, Any]) -> str | None:
    if "port" not in parameters:
        return None
    port = parameters["port"]
    # A port that was plugged in a moment ago counts: this look is a fresh one.
    if isinstance(port, str) and (port == AUTO or find(call.fleet.ports.look(), port) is not None):
        return port
    raise BadRequest("port is invalid")


def _baudrate(call: Call, parameters: dict[str, Any]) -> int | None:
    if "baudrate" not in parameters:
        return None
    baudrate = parameters["baudrate"]
    # 115200.0 and false (for 0) are what OctoPrint takes too; true would be 1, which is never offered.
    if isinstance(baudrate, int | float) and (baudrate == 0 or baudrate in call.fleet.baudrates):
        return int(baudrate)
    raise BadRequest("baudrate is invalid")


def _profile(call: Call, body: dict[str, Any]) -> str | None:
    if "printerProfile" not in body:
        return None
    profile = body["printerProfile"]
    if isinstance(profile, str) and profile in call.fleet.profiles:
        return profile
    raise BadRequest("printerProfile is invalid")


def _boolean(body: dict[str, Any], name: str) -> bool | None:
    if name not in body:
        return None
    value = body[name]
    if isinstance(value, bool):
        return value
    raise BadRequest(f"{name} is invalid")


_PLACE = {
    "port": {"type": "string", "description": "One of options.ports, or AUTO to detect it", "examples": [AUTO]},
    "baudrate": {
        "anyOf": [{"type": "number"}, {"const": False}],
        "description": "One of options.baudrates, or 0 (false) to detect it",
        "examples": [0, 115200],
    },
}
_CHOICES = {
    "printerProfile": {"type": "string", "description": "The id of one of options.printerProfiles"},
    "save": {"type": "boolean", "description": "Keep the given port, baudrate and profile"},
    "autoconnect": {"type": "boolean", "description": "Connect when the server starts"},
}
_BODY = {
    "anyOf": [
        {
            "title": "Connect, before 2.0",
            "type": "object",
            "required": ["command"],
            "properties": {"command": {"const": "connect"}, **_PLACE, **_CHOICES},
        },
        {
            "title": "Connect, since 2.0",
            "type": "object",
            "required": ["command", "connector"],
            "properties": {
                "command": {"const": "connect"},
                "connector": {"const": "serial"},
                "parameters": {"type": "object", "properties": _PLACE},
                **_CHOICES,
            },
        },
        {
            "title": "Any other command",
            "type": "object",
            "required": ["command"],
            "properties": {"command": {"enum": [command for command in _COMMANDS if command != "connect"]}},
        },
    ]
}

ROUTES = (
    Route(
        "GET",
        "/api/connection",
        "STATUS",
        get_connection,
        "The connection and what it can be set to",
        {200: (ConnectionInfo, ConnectionInfo2)},
    ),
    Route(
        "POST",
        "/api/connection",
        "CONNECTION",
        post_connection,
        "Connect, disconnect or repair",
        {204: ()},
        body=_BODY,
    ),
)
