"""What is below `/api/printer` to be done: temperatures, movements, filament, card, and G-code as it comes.

Source: the page "Printer operations" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from limpet.errors import BadRequest, Conflict
from limpet.printer import control
from limpet.printer.printer import MAX_QUEUED
from limpet.printer.state import OffsetsChanged, State
from limpet.profiles import Profile
from limpet.protocol import gcode
from limpet.protocol.commands import MAX_COMMAND_LENGTH, is_emergency_stop
from limpet.protocol.events import CardGone
from limpet.scripts import BadScript, names_of
from limpet.web.api.printer import NO_BED, NO_CHAMBER, require_operational
from limpet.web.call import Call, Handler, Refused, Route, done
from limpet.web.commands import command_of, flag, number, schema

_TOOL = re.compile(r"tool(\d|[1-9]\d)")
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)(?:\.(\d))?([sdfg]))")


# -- temperatures and filament --

_TOOL_COMMANDS = {
    "select": ("tool",),
    "target": ("targets",),
    "offset": ("offsets",),
    "extrude": ("amount",),
    "flowrate": ("factor",),
}


async def post_tool(call: Call) -> web.StreamResponse:
    require_operational(call)
    command, body = await command_of(call, _TOOL_COMMANDS)
    profile = call.fleet.profile(call.printer)
    match command:
        case "select":
            _check_tool(profile, body["tool"], "tool is invalid")
            call.printer.send(gcode.select_tool(int(body["tool"].removeprefix("tool"))))
        case "target":
            targets = _by_tool(profile, body["targets"], "targets")
            call.printer.send(*control.set_targets(profile, targets))
        case "offset":
            offsets = _by_tool(profile, body["offsets"], "offsets")
            _set_offsets(call, offsets, "offsets contains invalid value")
        case "extrude":
            _extrude(call, profile, body)
        case "flowrate":
            percent = control.factor(number(body["factor"], "Invalid value for flow rate"))
            call.printer.send(gcode.flowrate(percent))
    return done()


def _by_tool(profile: Profile, values: object, name: str) -> dict[str, float]:
    if not isinstance(values, dict):
        raise BadRequest(f"{name} is invalid")
    for tool in values:
        _check_tool(profile, tool, f"{name} contains invalid tool")
    return {tool: number(value, f"{name} contains invalid value") for tool, value in values.items()}


def _check_tool(profile: Profile, tool: object, complaint: str) -> None:
    match = _TOOL.fullmatch(tool) if isinstance(tool, str) else None
    if match is None:
        raise BadRequest(complaint)
    if not control.has_tool(profile, int(match[1])):
        raise BadRequest(f"{complaint}: there is no {tool}, its profile has {profile.extruders} of them")


def _set_offsets(call: Call, offsets: dict[str, float], complaint: str) -> None:
    if any(abs(offset) > control.MAX_OFFSET for offset in offsets.values()):
        raise BadRequest(f"{complaint}: an offset is up to {control.MAX_OFFSET:g} degrees either way")
    call.printer.tell(OffsetsChanged(offsets))


def _extrude(call: Call, profile: Profile, body: dict[str, Any]) -> None:
    if call.printer.is_printing and not call.printer.is_paused:
        raise Conflict("Printer is currently printing")
    amount, speed = number(body["amount"], "amount is invalid"), body.get("speed")
    checked = None if speed is None else number(speed, "speed is invalid")
    call.printer.send(*control.extrude(profile, call.printer.snapshot, amount, checked))


_HEATER_COMMANDS = {"target": ("target",), "offset": ("offset",)}


async def post_bed(call: Call) -> web.StreamResponse:
    return await _heater(call, "bed", NO_BED)


async def post_chamber(call: Call) -> web.StreamResponse:
    return await _heater(call, "chamber", NO_CHAMBER)


async def _heater(call: Call, heater: str, missing: str) -> web.StreamResponse:
    require_operational(call)
    profile = call.fleet.profile(call.printer)
    if heater not in profile.heaters:
        raise Conflict(missing)
    command, body = await command_of(call, _HEATER_COMMANDS)
    value = number(body[command], f"{command} is invalid")
    if command == "target":
        call.printer.send(*control.set_targets(profile, {heater: value}))
    else:
        _set_offsets(call, {heater: value}, "offset is invalid")
    return done()


# -- movements --

_PRINTHEAD_COMMANDS: dict[str, tuple[str, ...]] = {"jog": (), "home": ("axes",), "feedrate": ("factor",)}


async def post_printhead(call: Call) -> web.StreamResponse:
    command, body = await command_of(call, _PRINTHEAD_COMMANDS)
    busy = call.printer.is_printing and not call.printer.is_paused and command != "feedrate"
    if call.printer.snapshot.state is not State.OPERATIONAL or busy:
        raise Conflict("Printer is not operational or currently printing")
    match command:
        case "jog":
            _jog(call, body)
        case "home":
            axes = body["axes"]
            if not isinstance(axes, list) or not axes or any(axis not in ("x", "y", "z") for axis in axes):
                raise BadRequest("axis is invalid")
            call.printer.send(gcode.home(axes))
        case "feedrate":
            call.printer.send(gcode.feedrate(control.factor(number(body["factor"], "Invalid value for feed rate"))))
    return done()


def _jog(call: Call, body: dict[str, Any]) -> None:
    profile = call.fleet.profile(call.printer)
    axes: dict[str, float] = {axis: number(body[axis], "axis value is invalid") for axis in "xyz" if axis in body}
    if not axes:
        raise BadRequest("Mandatory parameters missing")
    relative, wanted = not flag(body, "absolute"), body.get("speed")
    speed: float | None = None  # As fast as the move before.
    if wanted is None or wanted is True:
        speed = control.slowest(profile, axes)
    elif wanted is not False:
        speed = number(wanted, "speed is invalid")
    call.printer.send(*control.jog(profile, axes, relative=relative, speed=speed))


# -- the card --

_SD_COMMANDS: dict[str, tuple[str, ...]] = {"init": (), "refresh": (), "release": ()}


async def post_sd(call: Call) -> web.StreamResponse:
    printer = call.printer
    if printer.snapshot.state is not State.OPERATIONAL or printer.is_printing:
        raise Conflict("Printer is not operational or currently busy")
    command, _ = await command_of(call, _SD_COMMANDS)
    listing = gcode.list_card(printer.snapshot.capabilities)
    match command:
        case "init":
            printer.send(gcode.INIT_CARD, listing)
        case "refresh":
            printer.send(listing)
        case "release":
            printer.send(gcode.RELEASE_CARD)
            # Not every firmware says so when it is done.
            printer.tell(CardGone())
    return done()


# -- G-code as it comes --


async def post_command(call: Call) -> web.StreamResponse:
    # A printer that is still being greeted takes an emergency stop, and nothing else.
    if call.printer.snapshot.state is not State.CONNECTING or not _is_stop(await call.json()):
        require_operational(call)
    body = await call.json()
    if not isinstance(body, dict) or not body.keys() & {"command", "commands", "script"}:
        raise BadRequest("Need one of 'command', 'commands' or 'script'")
    if "script" in body:
        return _run_script(call, body)
    name = "command" if "command" in body else "commands"
    lines = [body["command"]] if name == "command" else body["commands"]
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise BadRequest(f"{name} is invalid")
    if len(lines) > MAX_QUEUED:
        raise BadRequest(f"commands has more than {MAX_QUEUED} lines")
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadRequest("parameters is invalid")
    call.printer.send(*(_filled(line, parameters) if parameters else line for line in lines))
    return done()


def _is_stop(body: object) -> bool:
    lines = body.get("commands", [body.get("command")]) if isinstance(body, dict) else None
    if not isinstance(lines, list) or not lines:
        return False
    return all(isinstance(line, str) and is_emergency_stop(line) for line in lines)


def _run_script(call: Call, body: dict[str, Any]) -> web.StreamResponse:
    name, context = body["script"], body.get("context", {})
    if not isinstance(name, str) or not isinstance(context, dict):
        raise BadRequest("script or context is invalid")
    if name not in names_of(call.fleet.scripts(call.printer)):
        raise Refused(404, "Unknown script")
    context.pop("pause_temperature", None)  # There is no pause, and none is made up.
    try:
        call.printer.send(*call.fleet.script(call.printer, name, context))
    except BadScript as error:
        raise BadRequest(f"The script {error}") from None
    return done()


def _filled(line: str, parameters: dict[str, Any]) -> str:
    """The line with `%(name)s`, `%(name)d` or `%(name).2f` replaced; OctoPrint's are Python's, which would run free."""

    def value(match: re.Match[str]) -> str:
        name, digits, kind = match.groups()
        if name is None:
            return "%"
        if name not in parameters:
            raise BadRequest(f"parameters has no {name}")
        given = parameters[name]
        if kind == "s":
            return str(given)[: MAX_COMMAND_LENGTH + 1]
        checked = number(given, f"parameters has no number as {name}")
        return f"{checked:.0f}" if kind == "d" else f"{checked:.{digits or 6}f}" if kind == "f" else f"{checked:g}"

    return _PLACEHOLDER.sub(value, line)


# -- how they are described --

_NUMBER = {"type": "number"}
_TEMPERATURES = {"type": "object", "patternProperties": {"^tool[0-9]{1,2}$": _NUMBER}, "additionalProperties": False}
_AXES = {"type": "array", "items": {"enum": ["x", "y", "z"]}, "minItems": 1}
_SPEED = {"anyOf": [_NUMBER, {"type": "boolean"}, {"type": "null"}]}

_TOOL_BODY = schema(
    {
        "select": {"tool": {"type": "string", "pattern": "^tool[0-9]{1,2}$"}},
        "target": {"targets": _TEMPERATURES},
        "offset": {"offsets": _TEMPERATURES},
        "extrude": {"amount": _NUMBER, "speed": {"anyOf": [_NUMBER, {"type": "null"}]}},
        "flowrate": {"factor": _NUMBER},
    },
    _TOOL_COMMANDS,
)
_HEATER_BODY = schema({"target": {"target": _NUMBER}, "offset": {"offset": _NUMBER}}, _HEATER_COMMANDS)
_PRINTHEAD_BODY = schema(
    {
        "jog": {"x": _NUMBER, "y": _NUMBER, "z": _NUMBER, "absolute": {"type": "boolean"}, "speed": _SPEED},
        "home": {"axes": _AXES},
        "feedrate": {"factor": _NUMBER},
    },
    _PRINTHEAD_COMMANDS,
)
_LINE = {"type": "string", "maxLength": MAX_COMMAND_LENGTH}
_PARAMETERS = {"type": "object", "description": "What stands for `%(name)s` in the lines"}
_COMMAND_BODY = {
    "anyOf": [
        {"type": "object", "required": [name], "properties": {name: kind, "parameters": _PARAMETERS}}
        for name, kind in (
            ("command", _LINE),
            ("commands", {"type": "array", "items": _LINE, "maxItems": MAX_QUEUED}),
            ("script", {"type": "string", "description": "The name of one of the G-code scripts"}),
        )
    ]
}


def _route(path: str, handler: Handler, summary: str, body: dict[str, Any], *refusals: int) -> Route:
    return Route("POST", path, "CONTROL", handler, summary, {204: ()}, body=body, refusals=refusals)


ROUTES = (
    _route("/api/printer/bed", post_bed, "Target and offset of the bed", _HEATER_BODY),
    _route("/api/printer/chamber", post_chamber, "Target and offset of the chamber", _HEATER_BODY),
    _route("/api/printer/command", post_command, "Send G-code", _COMMAND_BODY, 404),
    _route("/api/printer/printhead", post_printhead, "Jog, home, feed rate", _PRINTHEAD_BODY),
    _route(
        "/api/printer/sd",
        post_sd,
        "Initialise, list or release the printer's card",
        schema({command: {} for command in _SD_COMMANDS}, _SD_COMMANDS),
    ),
    _route("/api/printer/tool", post_tool, "Targets, offsets, filament, flow rate", _TOOL_BODY),
)
