"""`/api/plugin/action_command_…`: what the printer asks a person, and what it has told.

Source: OctoPrint's documentation of its bundled plugins, "Action Command Prompt" and "Action Command Notification".
"""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.errors import BadRequest
from limpet.printer.prompts import NotificationsCleared
from limpet.web.call import Call, Route, answer, done
from limpet.web.commands import command_of, schema


class PromptInfo(Struct, frozen=True, kw_only=True):
    """What the printer asks; empty while it asks nothing."""

    text: str | UnsetType = UNSET
    choices: tuple[str, ...] | UnsetType = UNSET


class NotificationInfo(Struct, frozen=True, kw_only=True):
    """Something that it has told; `timestamp` is in seconds since the epoch."""

    timestamp: float
    message: str


class Notifications(Struct, frozen=True, kw_only=True):
    """The last ones, the newest at the end."""

    notifications: tuple[NotificationInfo, ...]


_SELECT = {"select": ("choice",)}
_CLEAR: dict[str, tuple[str, ...]] = {"clear": ()}


async def get_prompt(call: Call) -> web.StreamResponse:
    prompt = call.printer.snapshot.prompt
    return answer(PromptInfo() if prompt is None else PromptInfo(text=prompt.text, choices=prompt.choices))


async def post_prompt(call: Call) -> web.StreamResponse:
    _, body = await command_of(call, _SELECT)
    choice = body["choice"]
    if not isinstance(choice, int) or isinstance(choice, bool):
        raise BadRequest("choice is invalid")
    call.printer.answer(choice)
    return done()


async def get_notifications(call: Call) -> web.StreamResponse:
    told = call.printer.snapshot.notifications
    return answer(
        Notifications(notifications=tuple(NotificationInfo(timestamp=each.at, message=each.message) for each in told))
    )


async def post_notifications(call: Call) -> web.StreamResponse:
    await command_of(call, _CLEAR)
    call.printer.tell(NotificationsCleared())
    return done()


_PROMPT, _NOTIFICATION = "/api/plugin/action_command_prompt", "/api/plugin/action_command_notification"
_INTERACT = "PLUGIN_ACTION_COMMAND_PROMPT_INTERACT"

ROUTES = (
    Route(
        "GET",
        _NOTIFICATION,
        "PLUGIN_ACTION_COMMAND_NOTIFICATION_SHOW",
        get_notifications,
        "What the printer has told",
        {200: (Notifications,)},
    ),
    Route(
        "POST",
        _NOTIFICATION,
        "PLUGIN_ACTION_COMMAND_NOTIFICATION_CLEAR",
        post_notifications,
        "Forget what it has told",
        {204: ()},
        body=schema({"clear": {}}, _CLEAR),
    ),
    Route("GET", _PROMPT, _INTERACT, get_prompt, "What the printer asks", {200: (PromptInfo,)}),
    Route(
        "POST",
        _PROMPT,
        _INTERACT,
        post_prompt,
        "Answer it",
        {204: ()},
        body=schema({"select": {"choice": {"type": "integer", "minimum": 0}}}, _SELECT),
        refusals=(409,),
    ),
)
