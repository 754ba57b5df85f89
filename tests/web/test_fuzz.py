"""The description that the server serves at `/api/openapi.json`, taken at its word with made-up requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from limpet.web.app import ROUTES
from limpet.web.openapi import plain
from tests.web.server import ADMIN_KEY, HERMETIC, Client, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


async def described(client: Client) -> Any:
    answer = await client.get("/api/openapi.json")
    assert answer.status == 200
    return answer.json()


def fuzz(
    address: str,
    description: Any,
    headers: dict[str, str],
    *,
    mode: GenerationMode,
    examples: int,
    public: bool | None = None,
) -> Counter[tuple[str, int]]:
    """How often each method was answered with each status; with wrong data only what has a body is asked.

    `public`: whether only what is open to everybody is asked, or only the rest.
    """
    came: Counter[tuple[str, int]] = Counter()
    with requests.Session() as session:
        for result in schemathesis.openapi.from_dict(description).get_all_operations():
            operation = result.ok()
            if mode is GenerationMode.NEGATIVE and not operation.body:
                continue
            if public not in (None, operation.definition.raw.get("security") == []):
                continue
            told = operation.definition.raw
            # An answer that goes on cannot be waited for; test_traffic.py and test_sockjs.py ask for those.
            if "x-goes-on" in told and ("X-Api-Key" in headers or told.get("security") == []):
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: Case) -> None:
                response = case.call(base_url=address, headers=headers, session=session)
                came[case.method, response.status_code] += 1
                case.validate_response(response, checks=CHECKS)

            ask()
    return came


@pytest.mark.parametrize("dialect", [{}, {"X-OctoPrint-Api-Version": "2.0.0"}], ids=["any version", "2.0.0"])
async def test_the_description_is_true(tmp_path: Path, dialect: dict[str, str]) -> None:
    async with running(tmp_path) as (client, _):
        headers = {"X-Api-Key": ADMIN_KEY, **dialect}
        description = await described(client)

        came = await asyncio.to_thread(
            fuzz, client.address, description, headers, mode=GenerationMode.POSITIVE, examples=10
        )

        assert came.keys() >= {("GET", 200), ("POST", 200), ("POST", 204), ("POST", 400), ("PUT", 404), ("DELETE", 404)}


@pytest.mark.parametrize("dialect", [{}, {"X-OctoPrint-Api-Version": "2.0.0"}], ids=["any version", "2.0.0"])
async def test_what_the_description_forbids_is_refused(tmp_path: Path, dialect: dict[str, str]) -> None:
    async with running(tmp_path) as (client, _):
        headers = {"X-Api-Key": ADMIN_KEY, **dialect}
        description = await described(client)

        came = await asyncio.to_thread(
            fuzz, client.address, description, headers, mode=GenerationMode.NEGATIVE, examples=40
        )

        # Some requests are only wrong in a parameter that nobody asks for, name what is not there, or log in as a form,
        # in which a number is a text.
        assert came["POST", 400] > 10
        assert {status for _, status in came} <= {200, 201, 204, 400, 403, 404, 409, 415, 429}


async def test_the_description_is_true_without_a_key(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        description = await described(client)

        ask = partial(fuzz, client.address, description, {}, mode=GenerationMode.POSITIVE, examples=10)
        closed = await asyncio.to_thread(ask, public=False)
        public = await asyncio.to_thread(ask, public=True)

        assert {status for _, status in closed} == {403}
        assert public.keys() >= {("GET", 200), ("GET", 204), ("GET", 404), ("POST", 403), ("POST", 429)}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_the_description_is_true_of_a_printer_that_is_connected(tmp_path: Path, mode: GenerationMode) -> None:
    async with running(tmp_path, settings=f"{HERMETIC}[virtual]\ninstant = true\n") as (client, _):
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await client.until_state("Operational")
        description = await described(client)
        paths = description["paths"]
        description["paths"] = {path: paths[path] for path in paths if path.startswith("/api/printer/")}

        headers = {"X-Api-Key": ADMIN_KEY}
        came = await asyncio.to_thread(fuzz, client.address, description, headers, mode=mode, examples=40)

        assert came["POST", 400] > 10
        assert came.keys() <= {(method, status) for method in ("GET", "POST") for status in (200, 204, 400, 404, 409)}
        if mode is GenerationMode.POSITIVE:
            assert came["POST", 204] > 10


async def test_every_printer_is_described(tmp_path: Path) -> None:
    settings = f'default_printer = "mini"\n{HERMETIC}[printers.big]\n[printers.mini]\n'
    async with running(tmp_path, settings=settings) as (client, _):
        description = await described(client)

        assert description["servers"][1]["variables"]["printer"] == {"enum": ["mini", "big"], "default": "mini"}
        assert (await client.get("/p/big/api/openapi.json")).json() == description


async def test_every_route_is_described(client: Client) -> None:
    description = await described(client)

    told = {(method.upper(), path) for path, methods in description["paths"].items() for method in methods}
    assert told == {(route.method, plain(route.path)) for route in ROUTES}


async def test_sessions_and_forms_are_described(client: Client) -> None:
    description = await described(client)

    schemes = description["components"]["securitySchemes"]
    assert schemes["session"]["name"] == f"session_P{client.port}"
    paths = description["paths"]
    assert {"session": []} in description["security"]
    assert {"session": [], "csrf": []} in paths["/api/connection"]["post"]["security"]
    assert "security" not in paths["/api/connection"]["get"]
    for path in ("/api/login", "/api/files/{location}"):
        assert "application/x-www-form-urlencoded" in paths[path]["post"]["requestBody"]["content"]
