"""The OpenAPI 3.1 description, made from the routes and their types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from limpet import __version__
from limpet.web.call import SIGNED_IN, Route
from limpet.web.dialect import VERSION_HEADER

_PARAMETER = re.compile(r"\{(\w+)(?::([^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}")
"""A part of a path that varies, with the pattern that aiohttp wants it to match."""

_REFUSALS = {
    400: "The request is not understood",
    403: "No valid key, or one without the permission",
    404: "There is no such thing",
    408: "The body did not arrive in time",
    409: "Not in the present state",
    413: "The body is too large",
    415: "The body is not JSON, or a file not of a kind that can be printed",
    416: "The file has no such range",
    429: "Too many tries",
    503: "Too many are there already",
    507: "The disk is full",
}

_OF_BODIES = frozenset({400, 408, 409, 413, 415})
"""Statuses of refusals that every route with a body has."""


_FORM = "application/x-www-form-urlencoded"


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Every refusal says why."""

    error: str


_KEYS: list[dict[str, list[str]]] = [{"key": []}, {"bearer": []}, {"query": []}]
_FOR_READING = [*_KEYS, {"session": []}]
_FOR_CHANGES = [*_KEYS, {"session": [], "csrf": []}]


def description(routes: Iterable[Route], printers: Sequence[str], cookie: str) -> dict[str, Any]:
    """The document, as plain data; `printers` are the ids of all printers, the default one first.

    `cookie` is the name of the session's.
    """
    routes = list(routes)
    types = [Error, *(kind for route in routes for kinds in route.responses.values() for kind in kinds)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(str, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(plain(route.path), {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Limpet",
            "version": __version__,
            "description": "A 3D-print host that speaks OctoPrint's API.",
        },
        "servers": [
            {"url": "/", "description": "The default printer"},
            {
                "url": "/p/{printer}",
                "description": "Each printer",
                "variables": {"printer": {"enum": list(printers), "default": printers[0]}},
            },
        ],
        "security": _FOR_READING,
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {"type": "apiKey", "in": "query", "name": "apikey"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": cookie,
                    "description": "Given by a login; its name ends in the port that the client has in its address",
                },
                "csrf": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-CSRF-Token",
                    "description": "What the other cookie of a login says, with everything that changes something",
                },
            },
        },
    }


def plain(path: str) -> str:
    """The path without the patterns that its parts have to match."""
    return _PARAMETER.sub(r"{\1}", path)


def _operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    statuses = {403, *route.refusals, *(_OF_BODIES if route.body else ())}
    refusals = {status: text for status, text in _REFUSALS.items() if status in statuses}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": _need(route.permission),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": _words(pattern)}
                for name, pattern in _PARAMETER.findall(route.path)
            ),
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query),
            {
                "name": VERSION_HEADER,
                "in": "header",
                "schema": {"type": "string"},
                "description": "2.0.0 and above choose the shapes since 2.0",
            },
        ],
        "responses": {
            **{
                str(status): _response("Done", kinds, schema_of, route.media_type)
                for status, kinds in route.responses.items()
            },
            **{str(status): _response(text, (Error,), schema_of) for status, text in refusals.items()},
        },
    }
    if route.permission is None:
        operation["security"] = []
    elif route.method != "GET":
        operation["security"] = _FOR_CHANGES
    if route.goes_on:
        operation["x-goes-on"] = route.goes_on
    if route.body:
        bodies = {route.body_type: route.body, _FORM: route.form}
        content = {kind: {"schema": schema} for kind, schema in bodies.items() if schema}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _need(permission: str | None) -> str:
    if permission is None:
        return "Open to everybody."
    return "Needs any key." if permission == SIGNED_IN else f"Needs the permission {permission}."


def _words(pattern: str) -> dict[str, Any]:
    """What a part of a path may be: one of a few words, where the pattern says so."""
    return {"enum": pattern.split("|")} if re.fullmatch(r"\w+(\|\w+)+", pattern) else {"type": "string"}


def _response(
    text: str, kinds: tuple[Any, ...], schema_of: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": text}
    schemas = [schema_of[str(kind)] for kind in kinds]
    if schemas:
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        response["content"] = {media_type: {"schema": schema}}
    return response
