"""The HTTP application: which handler answers, who may ask, and how a failure is told.

Each printer is a whole OctoPrint at `/p/<id>/`, the default one also at `/`. Handlers never learn that there
are several: the printer is found once per request, like the key and the dialect.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Container
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from limpet.errors import BadRequest, Conflict, LimpetError, NoRoom, NotFound, SettingsError
from limpet.fleet import Fleet
from limpet.printer.printer import Printer
from limpet.web import auth, cors
from limpet.web.api import access as users
from limpet.web.api import (
    appkeys,
    connection,
    controls,
    dialogs,
    downloads,
    empty,
    file_commands,
    files,
    groups,
    history,
    job,
    login,
    ports,
    printer,
    printer_control,
    printerprofiles,
    printers,
    server,
    settings,
    setup,
    sockjs,
    system,
    thumbnails,
    traffic,
    uploads,
)
from limpet.web.auth import GUEST, Access, Caller
from limpet.web.call import BROKEN, HEADERS, SIGNED_IN, Call, Refused, Route, answer
from limpet.web.dialect import VERSION_HEADER, dialect_for
from limpet.web.openapi import description
from limpet.web.page import Page
from limpet.web.proxies import prefix_of
from limpet.web.push import Push, Times
from limpet.web.sockjs import Sessions

log = logging.getLogger(__name__)

MAX_BODY = 1 << 16
"""Bytes of a JSON body."""

STATUS: dict[type[LimpetError], int] = {
    BadRequest: 400,
    Conflict: 409,
    NoRoom: 507,
    NotFound: 404,
    SettingsError: 409,
}
"""Which status tells which error; what is not here is a 409, with its words."""

TEXTS = {
    400: BROKEN,
    403: auth.FORBIDDEN,
    404: "The requested URL was not found on the server. If you entered the URL manually please check your spelling "
    "and try again.",
    405: "The method is not allowed for the requested URL.",
    413: f"The body is larger than {MAX_BODY} bytes.",
    500: "The server encountered an internal error and was unable to complete your request. Either the server is "
    "overloaded or there is an error in the application.",
}
"""OctoPrint's words, which some clients compare."""

CALLER = web.RequestKey("caller", Caller)

_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(fleet: Fleet, access: Access, times: Times | None = None) -> web.Application:
    """The whole web face, ready to be served; `times` are those of the push."""
    page = Page()
    public: set[object] = {page.document, page.redirect, page.file}
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_middleware(access, public)])
    app.on_response_prepare.append(_heading(access))
    app[traffic.TAPS] = {}
    app.on_shutdown.append(traffic.close_taps)
    app[sockjs.PUSH] = Push(access.caller_of_session, lambda: sockjs.connected(fleet), fleet.port_names, times)
    app[sockjs.SESSIONS] = Sessions(app[sockjs.PUSH])
    app.on_shutdown.append(sockjs.close)
    app.router.add_get("/", page.document)
    app.router.add_get("/p/{printer}/", page.document)
    app.router.add_get("/p/{printer}", page.redirect)
    app.router.add_get("/static/{version}/{path:.+}", page.file)
    for prefix in ("", "/p/{printer}"):
        for route in ROUTES:
            serve = _serving(route, fleet, access)
            if route.permission is None:
                public.add(serve)
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                app.router.add_route(method, prefix + route.path, serve, expect_handler=_not_yet)
    return app


async def _not_yet(_: web.Request) -> None:
    """A client that waits with its body is told to go on by whoever reads it (`Call`)."""


async def _describe(call: Call) -> web.StreamResponse:
    ids = sorted((printer.id for printer in call.fleet), key=lambda id: id != call.fleet.default.id)
    return answer(description(ROUTES, ids, auth.cookie_name("session", call.request)))


ROUTES = (
    *users.ROUTES,
    *appkeys.ROUTES,
    *dialogs.ROUTES,
    *connection.ROUTES,
    *controls.ROUTES,
    *downloads.ROUTES,
    *empty.ROUTES,
    *files.ROUTES,
    *groups.ROUTES,
    *history.ROUTES,
    *file_commands.ROUTES,
    *uploads.ROUTES,
    *job.ROUTES,
    *login.ROUTES,
    *ports.ROUTES,
    *printer.ROUTES,
    *printer_control.ROUTES,
    *printerprofiles.ROUTES,
    *printers.ROUTES,
    *server.ROUTES,
    *settings.ROUTES,
    *setup.ROUTES,
    *sockjs.ROUTES,
    *system.ROUTES,
    *thumbnails.ROUTES,
    *traffic.ROUTES,
    Route("GET", "/api/openapi.json", "STATUS", _describe, "This description", {200: (dict[str, Any],)}),
)
"""Every route of one printer."""


def _serving(route: Route, fleet: Fleet, access: Access) -> _Next:
    need = route.permission

    async def serve(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        printer = _printer(fleet, request, caller)
        if need is not None:
            auth.check_not_forged(request, caller)
            if need != SIGNED_IN and not caller.permits(need):
                raise Refused(403, TEXTS[403])
        dialect = dialect_for(request.headers.get(VERSION_HEADER))
        return await route.handler(Call(request, fleet, printer, caller, access, dialect))

    return serve


def _printer(fleet: Fleet, request: web.Request, caller: Caller) -> Printer:
    id = request.match_info.get("printer")
    printer = fleet.default if id is None else fleet.get(id)
    if printer is None:
        # A guest, whom an open route has let in, does not learn which printers there are.
        status = 403 if caller is GUEST else 404
        raise Refused(status, TEXTS[status])
    return printer


def _middleware(access: Access, public: Container[object]) -> Middleware:
    """What is common to all requests: one middleware, since each costs time on every request."""

    @web.middleware
    async def serve(request: web.Request, handler: _Next) -> web.StreamResponse:
        try:
            caller = access.caller_of(request)
            prefix = prefix_of(request)
            if prefix or "//" in request.path or "%2f" in request.rel_url.raw_path.lower():
                request, handler = await _tidied(request, prefix)
            # Without a valid key or session nothing is learnt but from open routes, not even which paths there are.
            if caller is None and handler not in public:
                response = _stranger(request, access)
            else:
                request[CALLER] = caller or GUEST
                response = await handler(request)
        except Exception as error:
            response = _told(request, error)
        return response

    return serve


def _heading(access: Access) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer has, a streamed one as well."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        # An answer may have one of its own; aiohttp's name, which it has given already, is none.
        response.headers["Server"] = "Limpet"
        # The files of the page have brought theirs along.
        if "Cross-Origin-Resource-Policy" not in response.headers:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        if access.origins:
            response.headers.update(cors.headers_for(request, access.origins))

    return add_headers


def _stranger(request: web.Request, access: Access) -> web.StreamResponse:
    response = cors.preflight(request, access.origins)
    if response is None:
        raise Refused(403, TEXTS[403])
    return response


async def _tidied(request: web.Request, prefix: str) -> tuple[web.Request, _Next]:
    """`//api/...` and `/api%2F...` are taken for `/api/...`, as OctoPrint does: clients of it send both.

    And so is `<prefix>/api/...`, of a proxy that passes on all of the path.
    """
    path = re.sub("//+", "/", request.path)
    if prefix and path.startswith(f"{prefix}/"):
        path = path.removeprefix(prefix)
    tidy = request.clone(rel_url=request.rel_url.with_path(path).with_query(request.rel_url.query))
    match = await request.app.router.resolve(tidy)
    match.add_app(request.app)
    tidy._match_info = match
    return tidy, match.handler


def _told(request: web.Request, error: Exception) -> web.Response:
    """Every failure as JSON."""
    match error:
        case Refused(status=status, text=text, headers=headers):
            response = _refusal(status, text)
            response.headers.update(headers)
            return response
        case LimpetError():
            status = STATUS.get(type(error), 409)
            return _refusal(status, str(error) or TEXTS[status])
        case web.HTTPMethodNotAllowed(allowed_methods=methods):
            allowed = {"Allow": ", ".join(sorted({*methods, "OPTIONS"}))}
            if request.method == "OPTIONS":
                return web.Response(headers=allowed)
            response = _refusal(405, TEXTS[405])
            response.headers.update(allowed)
            return response
        case web.HTTPException(status=status, reason=reason):
            return _refusal(status, TEXTS.get(status, reason))
        case _:
            log.error("%s %s failed", request.method, request.path, exc_info=error)
            return _refusal(500, TEXTS[500])


def _refusal(status: int, text: str) -> web.Response:
    return answer({"error": text}, status)
