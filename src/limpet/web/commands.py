"""How OctoPrint's clients give commands: a JSON object with a `command` and what belongs to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from limpet.errors import BadRequest
from limpet.web.call import Call

Commands = Mapping[str, tuple[str, ...]]
"""Each command, and the fields that it must have."""


async def command_of(call: Call, commands: Commands) -> tuple[str, dict[str, Any]]:
    """The command of a request, and its whole body. Raises BadRequest in OctoPrint's words."""
    body = await call.json()
    command = body.get("command") if isinstance(body, dict) else None
    if not isinstance(command, str) or command not in commands:
        raise BadRequest("command is invalid")
    if any(field not in body for field in commands[command]):
        raise BadRequest("Mandatory parameters missing")
    return command, body


def number(value: object, complaint: str) -> float:
    """A finite number, or a BadRequest with this complaint."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value):
        return value
    raise BadRequest(complaint)


def flag(body: dict[str, Any], name: str) -> bool:
    """A boolean; false when it is not there."""
    value = body.get(name, False)
    if isinstance(value, bool):
        return value
    raise BadRequest(f"{name} is invalid")


def schema(commands: Mapping[str, dict[str, Any]], required: Commands) -> dict[str, Any]:
    """What the API description says of such bodies: each command with the schemas of its fields."""
    return {
        "anyOf": [
            {
                "title": command,
                "type": "object",
                "required": ["command", *required[command]],
                "properties": {"command": {"const": command}, **fields},
            }
            for command, fields in commands.items()
        ]
    }
