"""`/plugin/appkeys` and `/api/plugin/appkeys`: programs that ask for a key, and who lets them have one.

Source: the page "Application Keys" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Literal
from urllib.parse import quote

from aiohttp import web
from msgspec import Struct

from limpet.appkeys import AppRequest, Grant
from limpet.errors import BadRequest, NotFound
from limpet.keys import MAX_NAME_LENGTH, Key, is_name
from limpet.permissions import PERMISSIONS
from limpet.web import auth
from limpet.web.auth import Caller
from limpet.web.call import SIGNED_IN, Call, Refused, Route, answer, done, schema_of

log = logging.getLogger(__name__)

TOO_MANY = "You have made too many app key requests. Please try again later."
GONE = "There is no such request; it may have been decided already, or the program waits no more"


class AppRequestBody(Struct, frozen=True, kw_only=True):
    """`user` is for whom the program asks, if it knows."""

    app: str
    user: str | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """`app_token` is for the program alone; `auth_dialog` is an address to send the person to."""

    app_token: str
    auth_dialog: str


class Waiting(Struct, frozen=True, kw_only=True):
    """Nobody has decided yet."""

    message: str = "Awaiting decision"


class Granted(Struct, frozen=True, kw_only=True):
    """The key, this once."""

    api_key: str


class Advice(Struct, frozen=True, kw_only=True):
    """What the person who has been sent here is to do."""

    message: str


class AppKey(Struct, frozen=True, kw_only=True):
    """A key that a program has got; `name` is what `limpet keys` calls it."""

    app_id: str
    user_id: str | None
    name: str
    created: str


class Pending(Struct, frozen=True, kw_only=True):
    """A program that waits."""

    app_id: str
    user_id: str | None
    user_token: str
    remote_address: str


class AppKeys(Struct, frozen=True, kw_only=True):
    """`pending` is by `user_token`."""

    keys: list[AppKey]
    pending: dict[str, Pending]


class AppKeyCommand(Struct, frozen=True, kw_only=True):
    """Make a key for a program, or end the keys that one has got."""

    command: Literal["generate", "revoke"]
    app: str
    user: str | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """An admin may say whose key it is to be (`user`), or what it may do (`permissions`)."""

    decision: bool
    user: str | None = None
    permissions: list[str] | None = None


class GeneratedKey(Struct, frozen=True, kw_only=True):
    """A key made by hand, this once."""

    api_key: str
    app_id: str
    user_id: str | None


# -- what the program asks --


async def get_probe(_: Call) -> web.StreamResponse:
    return done()


async def post_request(call: Call) -> web.StreamResponse:
    request, access = call.request, call.access
    address, now = call.address, access.now()
    if not access.app_limit.allows(address, now):
        raise Refused(429, TOO_MANY, {"Retry-After": "60"})
    body = await call.json()
    app, user = (body.get("app"), body.get("user")) if isinstance(body, dict) else (None, None)
    if not isinstance(app, str) or not app.strip():
        raise BadRequest("No app name provided")
    app, user = app.strip(), user or None
    if not is_name(app) or not (user is None or (isinstance(user, str) and is_name(user))):
        raise BadRequest(f"app and user are 1 to {MAX_NAME_LENGTH} printable characters")
    asked = access.app_requests.ask(app, user, address, now)
    if asked is None:
        raise Refused(429, TOO_MANY, {"Retry-After": "10"})
    token, waiting = asked
    log.info(
        "%s, at %s, asks for an API key; to let it have one: limpet appkeys approve %s",
        *(app, address, waiting.user_token),
    )
    here = auth.base_of(request) + request.path.removesuffix("/request")
    dialog = f"{here}/auth/{waiting.user_token}" + (f"?user={quote(user, safe='')}" if user else "")
    response = answer(Asked(app_token=token, auth_dialog=dialog), 201)
    response.headers["Location"] = f"{here}/request/{token}"
    return response


async def get_request(call: Call) -> web.StreamResponse:
    access = call.access
    request = access.app_requests.poll(call.request.match_info["token"], access.now())
    if request is None:
        raise web.HTTPNotFound()
    if request.grant is None:
        return answer(Waiting(), 202)
    # Made only now: a program that has gone away meanwhile leaves no key behind.
    key = await _add(call, request.app, request.grant)
    log.info("%s, at %s, has got its API key", request.app, request.address)
    return answer(Granted(api_key=key))


async def get_dialog(call: Call) -> web.StreamResponse:
    request = call.access.app_requests.find(call.request.match_info["token"], call.access.now())
    if request is None:
        raise NotFound(GONE)
    return answer(
        Advice(
            message=f"{request.app} asks for an API key. To let it have one, enter in a terminal on the machine that "
            f"Limpet runs on: limpet appkeys approve {request.user_token}"
        )
    )


# -- what a person decides --


async def get_appkeys(call: Call) -> web.StreamResponse:
    caller = call.caller
    _check_decides(caller)
    keys = [
        AppKey(app_id=key.app, user_id=key.user, name=key.name, created=key.created)
        for key in call.access.keys.list()
        if key.app is not None and _is_his(caller, key)
    ]
    pending = {
        each.user_token: Pending(
            app_id=each.app, user_id=each.user, user_token=each.user_token, remote_address=each.address
        )
        for each in call.access.app_requests.pending(call.access.now())
        if _may_decide(caller, each)
    }
    return answer(AppKeys(keys=keys, pending=pending))


async def post_appkeys(call: Call) -> web.StreamResponse:
    caller = call.caller
    _check_decides(caller)
    command = await call.read(AppKeyCommand)
    if not is_name(command.app):
        raise BadRequest(f"app is 1 to {MAX_NAME_LENGTH} printable characters")
    if command.command == "generate":
        grant = _grant(call, Decision(decision=True, user=command.user), None)
        key = await _add(call, command.app, grant)
        return answer(GeneratedKey(api_key=key, app_id=command.app, user_id=grant.user))

    def is_meant(key: Key) -> bool:
        of_user = command.user is None or key.user == command.user
        return key.app == command.app and of_user and _is_his(caller, key)

    if not await asyncio.to_thread(call.access.keys.revoke_all, is_meant):
        raise NotFound("There is no such app key")
    return done()


async def post_decision(call: Call) -> web.StreamResponse:
    _check_decides(call.caller)
    access = call.access
    request = access.app_requests.find(call.request.match_info["token"], access.now())
    if request is None or not _may_decide(call.caller, request):
        raise web.HTTPNotFound()
    body = await call.json()
    if not isinstance(body, dict) or "decision" not in body:
        raise BadRequest("No decision provided")
    decision = await call.read(Decision)
    grant = _grant(call, decision, request.user) if decision.decision else None
    if not access.app_requests.decide(request.user_token, grant, access.now()):
        raise web.HTTPNotFound()
    log.info("%s: %s may %shave an API key", call.caller.name, request.app, "" if grant else "not ")
    return done()


async def _add(call: Call, app: str, grant: Grant) -> str:
    keys = call.access.keys
    return await asyncio.to_thread(keys.add_for_app, app, user=grant.user, permissions=grant.permissions)


def _grant(call: Call, decision: Decision, asked_for: str | None) -> Grant:
    """Whose the key is: never more than who decides may do himself."""
    caller, users = call.caller, call.access.users
    if decision.permissions is not None:
        given = decision.permissions
        if not given or not PERMISSIONS.keys() >= set(given):
            raise BadRequest("permissions is invalid")
        if not all(map(caller.permits, given)):
            raise Refused(403, auth.FORBIDDEN)
        return Grant(permissions=tuple(given))
    if decision.user is not None and decision.user != caller.name:
        if not caller.is_admin:
            raise Refused(403, auth.FORBIDDEN)
        if users.get(decision.user) is None:
            raise BadRequest("user is invalid")
        return Grant(user=decision.user)
    if caller.is_admin and asked_for is not None and users.get(asked_for) is not None:
        return Grant(user=asked_for)
    if caller.user is not None:
        return Grant(user=caller.user.name)
    return Grant(permissions=tuple(sorted(caller.permissions)))


def _check_decides(caller: Caller) -> None:
    if not caller.permits("PLUGIN_APPKEYS_GRANT") and not caller.permits("PLUGIN_APPKEYS_ADMIN"):
        raise Refused(403, auth.FORBIDDEN)


def _may_decide(caller: Caller, request: AppRequest) -> bool:
    return caller.permits("PLUGIN_APPKEYS_ADMIN") or request.user in (None, caller.name)


def _is_his(caller: Caller, key: Key) -> bool:
    return caller.permits("PLUGIN_APPKEYS_ADMIN") or (caller.user is not None and key.user == caller.user.name)


ROUTES = (
    Route(
        "GET",
        "/api/plugin/appkeys",
        SIGNED_IN,
        get_appkeys,
        "Apps that have or want a key",
        {200: (AppKeys,)},
        refusals=(409,),
    ),
    Route(
        "POST",
        "/api/plugin/appkeys",
        SIGNED_IN,
        post_appkeys,
        "Make a key for an app, or end its keys",
        {200: (GeneratedKey,), 204: ()},
        body=schema_of(AppKeyCommand),
        refusals=(404,),
    ),
    Route("GET", "/plugin/appkeys/probe", None, get_probe, "Whether apps can ask for a key", {204: ()}),
    Route(
        "POST",
        "/plugin/appkeys/request",
        None,
        post_request,
        "Ask for a key",
        {201: (Asked,)},
        body=schema_of(AppRequestBody),
        refusals=(429,),
    ),
    Route(
        "GET",
        "/plugin/appkeys/request/{token}",
        None,
        get_request,
        "Ask again what has become of it",
        {200: (Granted,), 202: (Waiting,)},
        refusals=(404, 409),
    ),
    Route(
        "GET",
        "/plugin/appkeys/auth/{token}",
        None,
        get_dialog,
        "What a person has to do to let an app have a key",
        {200: (Advice,)},
        refusals=(404,),
    ),
    Route(
        "POST",
        "/plugin/appkeys/decision/{token}",
        SIGNED_IN,
        post_decision,
        "Let an app have a key, or not",
        {204: ()},
        body=schema_of(Decision),
        refusals=(404,),
    ),
)
