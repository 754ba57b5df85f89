"""`/api/printer/command/custom`: the buttons that the settings name, for clients to show."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from msgspec import Struct

from limpet.settings import ControlSettings
from limpet.web.call import Call, Route, answer


class ControlInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A button, whose `commands` a client sends to `/api/printer/command`; or a group of them, in `children`."""

    name: str
    commands: tuple[str, ...] = ()
    confirm: str | None = None
    children: tuple[ControlInfo, ...] = ()


class Controls(Struct, frozen=True, kw_only=True):
    """In the order of the settings, each group where its first button is."""

    controls: tuple[ControlInfo, ...]


def controls_of(settings: Iterable[ControlSettings]) -> tuple[ControlInfo, ...]:
    groups: dict[str, list[ControlInfo]] = {}
    order: list[str | ControlInfo] = []
    for each in settings:
        button = ControlInfo(name=each.name, commands=each.commands, confirm=each.confirm)
        if each.group is None:
            order.append(button)
        elif each.group in groups:
            groups[each.group].append(button)
        else:
            groups[each.group] = [button]
            order.append(each.group)
    return tuple(
        ControlInfo(name=each, children=tuple(groups[each])) if isinstance(each, str) else each for each in order
    )


async def get_controls(call: Call) -> web.StreamResponse:
    return answer(Controls(controls=controls_of(call.fleet.settings.controls.values())))


ROUTES = (
    Route("GET", "/api/printer/command/custom", "CONTROL", get_controls, "Controls of one's own", {200: (Controls,)}),
)
