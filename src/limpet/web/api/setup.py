"""`/api/limpet/setup`: the first user, by whoever can read the code that Limpet prints when it starts."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from msgspec import Struct

from limpet.errors import Conflict
from limpet.permissions import ADMINS
from limpet.web import auth
from limpet.web.call import Call, Route, answer, done, schema_of

log = logging.getLogger(__name__)


class Setup(Struct, frozen=True, kw_only=True):
    """Whether there is no user yet, and the first one can be set up here."""

    needed: bool


class FirstUser(Struct, frozen=True, kw_only=True):
    """An admin; `code` is the one in the terminal."""

    code: str
    user: str
    password: str


async def get_setup(call: Call) -> web.StreamResponse:
    return answer(Setup(needed=call.access.needs_setup))


async def post_setup(call: Call) -> web.StreamResponse:
    access = call.access
    auth.check_own_page(call.request, access.origins)
    first = await call.read(FirstUser)
    if not access.needs_setup:
        raise Conflict("There is a user already; log in, or use: limpet users")
    access.check_setup_code(first.code)
    await asyncio.to_thread(access.users.add, first.user, first.password, groups=(ADMINS,), only_as_first=True)
    access.end_setup()
    log.info("the first user is set up: %s", first.user)
    return done()


ROUTES = (
    Route("GET", "/api/limpet/setup", None, get_setup, "Whether the first user is to be set up", {200: (Setup,)}),
    Route(
        "POST",
        "/api/limpet/setup",
        None,
        post_setup,
        "Set up the first user",
        {204: ()},
        body=schema_of(FirstUser),
        refusals=(429,),
    ),
)
