"""`/api/login`, `/api/logout` and `/api/currentuser`: sessions, and who the caller is.

Source: the page "General information" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec import Struct, field

from limpet.errors import BadRequest
from limpet.limits import is_local
from limpet.permissions import GUESTS, spelled_out
from limpet.sessions import Session
from limpet.web import auth
from limpet.web.api.groups import Needs, needs_of
from limpet.web.auth import Caller
from limpet.web.call import Call, Refused, Route, answer

NOTHING = "Neither user and pass attributes nor passive flag present"
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class Login(Struct, frozen=True, kw_only=True):
    """Who has logged in. `session` is for the push socket, as `{"auth": "<name>:<session>"}`."""

    name: str
    session: str
    active: bool
    admin: bool
    user: bool = True
    apikey: str | None = None
    groups: list[str]
    permissions: list[str]
    roles: list[str]
    needs: Needs
    settings: dict[str, Any] = {}
    mechanism: str = field(name="_login_mechanism")
    seen: str = field(name="_credentials_seen")
    external: bool = field(name="_is_external_client")


class CurrentUser(Struct, frozen=True, kw_only=True):
    """`permissions` are all that the caller has, those of his groups included."""

    name: str | None
    groups: list[str]
    permissions: list[str]


class LoggedOut(Struct, frozen=True, kw_only=True):
    """What is left to whoever has logged out."""

    needs: Needs = Needs(group=[GUESTS])


async def post_login(call: Call) -> web.StreamResponse:
    words = await _words(call)
    if words.get("passive") is True:
        return _passive(call)
    user, password, remember = words.get("user"), words.get("pass"), words.get("remember", False)
    if not isinstance(user, str) or not isinstance(password, str):
        raise BadRequest(NOTHING)
    for flag in ("passive", "remember"):
        if not isinstance(words.get(flag, False), bool):
            raise BadRequest(f"{flag} is invalid")
    auth.check_own_page(call.request, call.access.origins)
    return await _active(call, user, password, bool(remember))


def _passive(call: Call) -> web.StreamResponse:
    """Tells a caller whom we know already who he is, and gives him a session for the push socket."""
    caller, access = call.caller, call.access
    session = caller.session
    if caller.key is not None:
        session = access.sessions.of_key(caller.key.hash, caller.name or auth.KEY_NAME, access.now())
    if session is None:
        raise Refused(403, auth.FORBIDDEN)
    return answer(_login(call, caller, session))


async def _active(call: Call, name: str, password: str, remember: bool) -> web.StreamResponse:
    access = call.access
    user = await access.verified(call.address, name, password)
    if user is None:
        raise Refused(403, auth.FORBIDDEN)
    # Never the session that the request came with: somebody else may know that one.
    if call.caller.session is not None:
        access.sessions.close(call.caller.session)
    text, session = access.sessions.open(user.name, user.password, access.now(), remembered=remember, at=time.time())
    await access.remember()
    response = answer(_login(call, access.caller_of_user(user, session=session), session))
    auth.give_cookies(response, call.request, text, session)
    return response


def _login(call: Call, caller: Caller, session: Session) -> Login:
    user = caller.user
    # The one who is in no group may be an app's key, or one for a dashboard.
    key_permissions = caller.key.permissions if caller.key and not caller.groups else ()
    return Login(
        name=session.name,
        session=session.ticket,
        active=True,
        admin=caller.is_admin,
        groups=list(caller.groups),
        permissions=list(user.permissions if user else key_permissions),
        roles=["user", "admin"] if caller.is_admin else ["user"],
        needs=needs_of(caller.permissions, caller.groups),
        settings=user.settings if user else {},
        mechanism="apikey" if caller.key else "password",
        seen=auth.iso_time(),
        external=not is_local(call.address),
    )


async def post_logout(call: Call) -> web.StreamResponse:
    auth.check_not_forged(call.request, call.caller)
    if call.caller.session is not None:
        call.access.sessions.close(call.caller.session)
        await call.access.remember()
    response = answer(LoggedOut())
    auth.take_cookies(response, call.request)
    return response


async def get_currentuser(call: Call) -> web.StreamResponse:
    caller = call.caller
    return answer(
        CurrentUser(name=caller.name, groups=list(caller.groups), permissions=spelled_out(caller.permissions))
    )


async def _words(call: Call) -> dict[str, Any]:
    """The body, as JSON or as a form; what is neither counts as nothing, as with OctoPrint."""
    body = await call.body()
    if call.request.content_type == "application/x-www-form-urlencoded":
        try:
            form: dict[str, Any] = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            return {}
        for flag in ("passive", "remember"):
            if flag in form:
                form[flag] = _FLAGS.get(form[flag].lower(), form[flag])
        return form
    try:
        words = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return words if isinstance(words, dict) else {}


def _body(true: dict[str, Any], flag: dict[str, Any]) -> dict[str, Any]:
    """The schema of a login in which `true` is yes and `flag` is yes or no."""
    return {
        "anyOf": [
            {
                "title": "Passive: who am I?",
                "type": "object",
                "required": ["passive"],
                "properties": {"passive": true},
            },
            {
                "title": "Active",
                "type": "object",
                "required": ["user", "pass"],
                "properties": {
                    "user": {"type": "string"},
                    "pass": {"type": "string"},
                    "remember": flag,
                    "passive": flag,
                },
            },
        ]
    }


_JSON = _body({"const": True}, {"type": "boolean"})
_FORM = _body({"enum": [word for word, is_on in _FLAGS.items() if is_on]}, {"enum": list(_FLAGS)})

ROUTES = (
    Route(
        "GET", "/api/currentuser", None, get_currentuser, "Who the caller is, and what he may do", {200: (CurrentUser,)}
    ),
    Route(
        "POST",
        "/api/login",
        None,
        post_login,
        "Log in with a password, or tell who a key or session is of",
        {200: (Login,)},
        body=_JSON,
        form=_FORM,
        refusals=(429,),
    ),
    Route("POST", "/api/logout", None, post_logout, "End the session", {200: (LoggedOut,)}, refusals=(400,)),
)
