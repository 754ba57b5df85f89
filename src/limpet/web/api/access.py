"""`/api/access/users`: users, their passwords and keys.

Source: the page "Access control" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from aiohttp import web
from msgspec import Struct

from limpet.errors import BadRequest, NotFound
from limpet.keys import is_key_of
from limpet.permissions import ADMIN, ADMINS
from limpet.sessions import mark_of
from limpet.users import User, UserStore
from limpet.web import auth
from limpet.web.api.groups import Flag, Needs, is_on, needs_of
from limpet.web.call import SIGNED_IN, Call, Refused, Route, answer, done, schema_of
from limpet.web.proxies import prefix_of


class UserInfo(Struct, frozen=True, kw_only=True):
    """A user; `permissions` are his own, `needs` tells those of his groups as well. Keys are never shown again."""

    name: str
    active: bool
    user: bool = True
    admin: bool
    apikey: str | None = None
    groups: list[str]
    permissions: list[str]
    roles: list[str]
    needs: Needs
    settings: dict[str, Any]


class Users(Struct, frozen=True, kw_only=True):
    """Oldest first."""

    users: list[UserInfo]


class Done(Struct, frozen=True, kw_only=True):
    """Nothing to tell, in JSON all the same, since octorest reads it as that."""


class NewKey(Struct, frozen=True, kw_only=True):
    """The text of a key, this once."""

    apikey: str


class NewUser(Struct, frozen=True, kw_only=True):
    """A user to be; `admin` is short for the group `admins`. Without groups he is in those that are the default."""

    name: str
    password: str
    active: Flag = True
    groups: list[str] | None = None
    permissions: list[str] = []
    admin: Flag = False


class UserChange(Struct, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    active: Flag | None = None
    groups: list[str] | None = None
    permissions: list[str] | None = None
    admin: Flag | None = None


class NewPassword(Struct, frozen=True, kw_only=True):
    """`current` is the password until now: who changes his own has to know it, and one that is told is checked."""

    password: str
    current: str = ""


async def get_users(call: Call) -> web.StreamResponse:
    return answer(Users(users=[_info(user, call.access.users) for user in call.access.users.list()]))


async def post_users(call: Call) -> web.StreamResponse:
    new = await call.read(NewUser)
    groups = call.access.users.groups.defaults() if new.groups is None else new.groups
    groups = [*groups, *([ADMINS] if is_on(new.admin) else [])]
    await asyncio.to_thread(
        call.access.users.add,
        new.name,
        new.password,
        groups=groups,
        permissions=new.permissions,
        active=is_on(new.active),
    )
    return await get_users(call)


async def get_user(call: Call) -> web.StreamResponse:
    return answer(_info(_user(call), call.access.users))


async def put_user(call: Call) -> web.StreamResponse:
    user = _user(call)
    change = await call.read(UserChange)
    groups = change.groups
    if change.admin is not None:
        others = [group for group in (user.groups if groups is None else groups) if group != ADMINS]
        groups = [*others, ADMINS] if is_on(change.admin) else others
    active = None if change.active is None else is_on(change.active)
    await asyncio.to_thread(
        call.access.users.change, user.name, groups=groups, permissions=change.permissions, active=active
    )
    return await get_users(call)


async def delete_user(call: Call) -> web.StreamResponse:
    user = _user(call)
    await asyncio.to_thread(call.access.users.remove, user.name)
    await asyncio.to_thread(call.access.keys.revoke_all, lambda key: key.user == user.name)
    return await get_users(call)


async def put_password(call: Call) -> web.StreamResponse:
    user, access = _user(call), call.access
    new = await call.read(NewPassword)
    is_own = call.caller.name == user.name
    # An unwatched browser, or an app's key, must not be enough to lock its owner out.
    if (is_own or new.current) and await access.verified(call.address, user.name, new.current) is None:
        raise Refused(403, "The current password is wrong")
    kept = await asyncio.to_thread(access.users.set_password, user.name, new.password)
    if is_own and call.caller.session is not None:
        # All other sessions of his are over.
        call.caller.session.password = mark_of(kept)
        await access.remember()
    return answer(Done())


async def get_settings(call: Call) -> web.StreamResponse:
    return answer(_user(call).settings)


async def patch_settings(call: Call) -> web.StreamResponse:
    user = _user(call)
    changes = await call.json()
    if not isinstance(changes, dict):
        raise BadRequest("settings are an object")
    await asyncio.to_thread(call.access.users.set_settings, user.name, changes)
    return answer(Done())


async def post_apikey(call: Call) -> web.StreamResponse:
    user = _user(call)
    return answer(NewKey(apikey=await asyncio.to_thread(call.access.keys.add_for_user, user.name)))


async def delete_apikey(call: Call) -> web.StreamResponse:
    user = _user(call)
    await asyncio.to_thread(call.access.keys.revoke_all, is_key_of(user.name))
    return done()


async def redirect(call: Call) -> web.StreamResponse:
    """Where the users were before OctoPrint 1.5; older clients still ask there."""
    before, _, rest = call.request.path.partition("/api/users")
    return web.Response(
        status=307, headers={"Location": quote(f"{prefix_of(call.request)}{before}/api/access/users{rest}")}
    )


def _user(call: Call) -> User:
    """The user in the path. Raises Refused (403) for everybody but him and admins, NotFound when there is none."""
    name = call.request.match_info["user"]
    if call.caller.name != name and not call.caller.is_admin:
        raise Refused(403, auth.FORBIDDEN)
    user = call.access.users.get(name)
    if user is None:
        raise NotFound(f'There is no user named "{name}"' if name.isprintable() else "There is no such user")
    return user


def _info(user: User, users: UserStore) -> UserInfo:
    return UserInfo(
        name=user.name,
        active=user.active,
        admin=user.is_admin,
        groups=list(user.groups),
        permissions=list(user.permissions),
        roles=["user", "admin"] if user.is_admin else ["user"],
        needs=needs_of(users.permissions_of(user), user.groups),
        settings=user.settings,
    )


_USER = "/api/access/users/{user}"

ROUTES = (
    Route("GET", "/api/access/users", ADMIN, get_users, "The users", {200: (Users,)}, refusals=(409,)),
    Route("POST", "/api/access/users", ADMIN, post_users, "Add a user", {200: (Users,)}, body=schema_of(NewUser)),
    Route("GET", _USER, SIGNED_IN, get_user, "One user", {200: (UserInfo,)}, refusals=(404,)),
    Route(
        "PUT",
        _USER,
        ADMIN,
        put_user,
        "Change a user's groups and permissions",
        {200: (Users,)},
        body=schema_of(UserChange),
        refusals=(404,),
    ),
    Route("DELETE", _USER, ADMIN, delete_user, "Remove a user and his keys", {200: (Users,)}, refusals=(404, 409)),
    Route(
        "PUT",
        f"{_USER}/password",
        SIGNED_IN,
        put_password,
        "Change a password",
        {200: (Done,)},
        body=schema_of(NewPassword),
        refusals=(404, 429),
    ),
    Route(
        "GET",
        f"{_USER}/settings",
        SIGNED_IN,
        get_settings,
        "What clients keep with a user",
        {200: (dict[str, Any],)},
        refusals=(404,),
    ),
    Route(
        "PATCH",
        f"{_USER}/settings",
        SIGNED_IN,
        patch_settings,
        "Change what clients keep with a user",
        {200: (Done,)},
        body={"type": "object"},
        refusals=(404,),
    ),
    Route(
        "POST",
        f"{_USER}/apikey",
        SIGNED_IN,
        post_apikey,
        "Make the user's key anew",
        {200: (NewKey,)},
        refusals=(404, 409),
    ),
    Route("DELETE", f"{_USER}/apikey", SIGNED_IN, delete_apikey, "End the user's key", {204: ()}, refusals=(404, 409)),
    Route("GET", "/api/users", ADMIN, redirect, "Moved to /api/access/users", {307: ()}),
    Route("POST", "/api/users", ADMIN, redirect, "Moved to /api/access/users", {307: ()}),
    *(
        Route(method, "/api/users/{path:.+}", SIGNED_IN, redirect, "Moved to /api/access/users/…", {307: ()})
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ),
)
