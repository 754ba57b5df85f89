"""`/api/access/permissions` and `/api/access/groups`: what may be done, and by which groups.

Source: the page "Access control" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.errors import BadRequest, Conflict, NotFound
from limpet.groups import GroupStore
from limpet.permissions import ADMIN, PERMISSIONS, Group, permits
from limpet.web.call import Call, Refused, Route, answer, schema_of
from limpet.web.complaints import in_words


class Needs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Groups and permissions in the words of OctoPrint's own page."""

    group: list[str] = []
    role: list[str] = []


class PermissionInfo(Struct, frozen=True, kw_only=True):
    """Something that may be done; `plugin` is there for what OctoPrint has in a plugin."""

    key: str
    name: str
    description: str
    dangerous: bool
    default_groups: list[str]
    needs: Needs
    plugin: str | UnsetType = UNSET


class Permissions(Struct, frozen=True, kw_only=True):
    """In OctoPrint's order."""

    permissions: list[PermissionInfo]


class GroupInfo(Struct, frozen=True, kw_only=True):
    """A group; of ours only `users` can be changed."""

    key: str
    name: str
    description: str
    permissions: list[str]
    subgroups: list[str]
    needs: Needs
    default: bool
    dangerous: bool
    changeable: bool
    removable: bool
    toggleable: bool


class Groups(Struct, frozen=True, kw_only=True):
    """All of them."""

    groups: list[GroupInfo]


Flag = bool | Literal["true", "false"]
"""octorest sends words."""


class NewGroup(Struct, frozen=True, kw_only=True):
    """A group to be."""

    key: str
    name: str
    description: str = ""
    permissions: list[str]
    subgroups: list[str] = []
    default: Flag = False


class GroupChange(Struct, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: str | None = None
    description: str | None = None
    permissions: list[str] | None = None
    subgroups: list[str] | None = None
    default: Flag | None = None


async def get_permissions(_: Call) -> web.StreamResponse:
    return answer(ALL_PERMISSIONS)


async def get_groups(call: Call) -> web.StreamResponse:
    groups = call.access.users.groups
    return answer(Groups(groups=[_info(group, groups) for group in groups.all().values()]))


async def get_group(call: Call) -> web.StreamResponse:
    groups = call.access.users.groups
    group = groups.all().get(call.request.match_info["group"])
    if group is None:
        raise NotFound("There is no such group")
    return answer(_info(group, groups))


async def post_groups(call: Call) -> web.StreamResponse:
    new = await call.read(NewGroup)
    group = _checked(
        Group(
            key=new.key,
            name=new.name,
            description=new.description,
            permissions=_once(new.permissions),
            subgroups=_once(new.subgroups),
            default=is_on(new.default),
        )
    )
    await asyncio.to_thread(call.access.users.groups.add, group)
    return await get_groups(call)


async def put_group(call: Call) -> web.StreamResponse:
    change = await call.read(GroupChange)
    given: dict[str, Any] = {}
    for field in ("name", "description"):
        if (text := getattr(change, field)) is not None:
            given[field] = text
    for field in ("permissions", "subgroups"):
        if (words := getattr(change, field)) is not None:
            given[field] = _once(words)
    if change.default is not None:
        given["default"] = is_on(change.default)
    _checked(Group(key="any", **{"name": "any", **given}))
    with _as_refusal():
        await asyncio.to_thread(partial(call.access.users.groups.change, call.request.match_info["group"], **given))
    return await get_groups(call)


async def delete_group(call: Call) -> web.StreamResponse:
    with _as_refusal():
        await asyncio.to_thread(call.access.users.remove_group, call.request.match_info["group"])
    return await get_groups(call)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """OctoPrint says with a 403 that a group is as it is."""
    try:
        yield
    except Conflict as error:
        raise Refused(403, str(error)) from None


def _once(words: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _checked(group: Group) -> Group:
    """Raises BadRequest for a text that is too long, or none."""
    try:
        return msgspec.convert(content := msgspec.to_builtins(group), Group)
    except msgspec.ValidationError as error:
        raise BadRequest(in_words(error, content)) from None


def is_on(flag: Flag) -> bool:
    """Whether it means yes."""
    return flag in (True, "true")


def needs_of(permissions: Iterable[str], groups: Iterable[str]) -> Needs:
    """What somebody has, in OctoPrint's other words."""
    has = frozenset(permissions)
    roles = [role for key, permission in PERMISSIONS.items() if permits(has, key) for role in permission.roles]
    return Needs(group=list(groups), role=list(dict.fromkeys(roles)))


def _info(group: Group, groups: GroupStore) -> GroupInfo:
    return GroupInfo(
        key=group.key,
        name=group.name,
        description=group.description,
        permissions=list(group.permissions),
        subgroups=list(group.subgroups),
        needs=needs_of(groups.permissions_of((), (group.key,)), (group.key,)),
        default=group.default,
        dangerous=group.dangerous,
        changeable=group.changeable,
        removable=group.removable,
        toggleable=group.toggleable,
    )


ALL_PERMISSIONS = Permissions(
    permissions=[
        PermissionInfo(
            key=each.key,
            name=each.name,
            description=each.description,
            dangerous=each.dangerous,
            default_groups=each.default_groups,
            needs=Needs(role=each.roles),
            plugin=each.plugin or UNSET,
        )
        for each in PERMISSIONS.values()
    ]
)
_GROUP = "/api/access/groups/{group}"

ROUTES = (
    Route("GET", "/api/access/permissions", None, get_permissions, "What may be done", {200: (Permissions,)}),
    Route("GET", "/api/access/groups", ADMIN, get_groups, "The groups", {200: (Groups,)}),
    Route("POST", "/api/access/groups", ADMIN, post_groups, "Add a group", {200: (Groups,)}, body=schema_of(NewGroup)),
    Route("GET", _GROUP, ADMIN, get_group, "One group", {200: (GroupInfo,)}, refusals=(404,)),
    Route(
        "PUT",
        _GROUP,
        ADMIN,
        put_group,
        "Change what a group may do",
        {200: (Groups,)},
        body=schema_of(GroupChange),
        refusals=(404,),
    ),
    Route("DELETE", _GROUP, ADMIN, delete_group, "Remove a group", {200: (Groups,)}, refusals=(404, 409)),
)
