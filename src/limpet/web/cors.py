"""Pages from elsewhere: which of them a browser may let ask us, by `server.cors_origins`. None, unless it is set.

Cookies are never let through: such a page has to have a key.
"""

from __future__ import annotations

from collections.abc import Container

from aiohttp import web

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, X-Api-Key, X-OctoPrint-Api-Version, "
    "X-Requested-With",
    "Access-Control-Max-Age": "600",
}


def preflight(request: web.Request, origins: Container[str]) -> web.Response | None:
    """The answer to a browser that asks whether a page may ask; None for everything else."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    if not headers_for(request, origins):
        return None
    return web.Response(status=204, headers=_PREFLIGHT)


def headers_for(request: web.Request, origins: Container[str]) -> dict[str, str]:
    """What every answer to a page of one of these origins has; nothing for others."""
    origin = request.headers.get("Origin")
    if origin is None:
        return {}
    everybody = "*" in origins
    if not everybody and origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": "*" if everybody else origin,
        "Access-Control-Expose-Headers": "Location, Retry-After",
        "Vary": "Origin",
    }
