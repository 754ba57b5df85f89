"""Behind a reverse proxy: who asks, and where clients find us."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from limpet.web.proxies import Proxies, prefix_of
from tests.web.people import PASSWORD
from tests.web.server import ADMIN_KEY, HERMETIC, running

TRUSTING = f'{HERMETIC}[server]\ntrusted_proxies = ["127.0.0.1"]\n'


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ([], ["1.2.3.4"], "127.0.0.1"),
        (["127.0.0.0/8"], [], "127.0.0.1"),
        (["127.0.0.0/8"], ["1.2.3.4"], "1.2.3.4"),
        # What the client itself has written is before what our own proxy has.
        (["127.0.0.0/8"], ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (["127.0.0.0/8"], ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        (["127.0.0.0/8", "10.0.0.0/8"], ["6.6.6.6, 1.2.3.4, 10.0.0.7"], "1.2.3.4"),
        (["127.0.0.0/8", "10.0.0.0/8"], ["10.0.0.7"], "10.0.0.7"),
        (["127.0.0.0/8"], ["1.2.3.4, nonsense"], "127.0.0.1"),
        (["127.0.0.0/8"], ["[2001:db8::1]:4711"], "2001:db8::1"),
        (["127.0.0.0/8"], [","], "127.0.0.1"),
        (["10.0.0.0/8"], ["1.2.3.4"], "127.0.0.1"),
    ],
)
def test_the_address_is_the_last_one_that_is_no_proxy_of_ours(
    trusted: list[str], forwarded: list[str], address: str
) -> None:
    headers = CIMultiDict([("X-Forwarded-For", each) for each in forwarded])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote="127.0.0.1")

    assert Proxies(trusted).address_of(request) == address


@pytest.mark.parametrize(
    ("told", "prefix"),
    [
        ("/octoprint", "/octoprint"),
        ("/a/b-c/", "/a/b-c"),
        ("", ""),
        ("/", ""),
        ("octoprint", ""),
        ("//evil.example", ""),
        ("/a b", ""),
        ("/ä", ""),
        ("/" + 9 * "a/", ""),
    ],
)
def test_a_prefix_is_a_plain_path(told: str, prefix: str) -> None:
    for name in ("X-Script-Name", "X-Forwarded-Prefix"):
        assert prefix_of(make_mocked_request("GET", "/", headers={name: told})) == prefix


async def test_wrong_passwords_behind_a_trusted_proxy_count_for_whoever_guesses(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TRUSTING) as (client, _):
        headers = {"Content-Type": "application/json", "X-Forwarded-For": "10.6.6.6"}
        guess = b'{"user": "ada", "pass": "wrong"}'
        for _ in range(5):
            assert (await client.request("POST", "/api/login", headers=headers, body=guess)).status == 403
        assert (await client.request("POST", "/api/login", headers=headers, body=guess)).status == 429

        headers["X-Forwarded-For"] = "10.0.0.12"
        assert (await client.request("POST", "/api/login", headers=headers, body=guess)).status == 403


async def test_below_a_prefix_all_addresses_have_it(tmp_path: Path) -> None:
    async with running(tmp_path, settings=f"{HERMETIC}[printers.mini]\n") as (client, _):
        proxy = {"X-Script-Name": "/octoprint", "X-Scheme": "https", "Host": "print.example"}
        base = "https://print.example/octoprint"
        ask = b'{"app": "Cura"}'
        json = {"Content-Type": "application/json"}
        # A proxy takes the prefix away, or leaves it in.
        for path in ("/plugin/appkeys/request", "/octoprint/plugin/appkeys/request"):
            answer = await client.request("POST", path, headers={**proxy, **json}, body=ask)
            assert answer.status == 201
            assert answer.headers["Location"].startswith(f"{base}/plugin/appkeys/request/")
            assert answer.json()["auth_dialog"].startswith(f"{base}/plugin/appkeys/auth/")

        answer = await client.request(
            "GET", "/octoprint/p/mini/api/system/commands/core", headers={**proxy, "X-Api-Key": ADMIN_KEY}
        )
        assert answer.status == 200
        answer = await client.request("GET", "/api/users", headers={**proxy, "X-Api-Key": ADMIN_KEY})
        assert answer.headers["Location"] == "/octoprint/api/access/users"


async def test_below_a_prefix_the_token_is_where_octoprints_library_looks(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        new = {"name": "ada", "password": PASSWORD, "groups": ["admins"]}
        assert (await client.post("/api/access/users", new)).status == 200
        headers = {"X-Script-Name": "/octoprint", "Host": "print.example", "Content-Type": "application/json"}
        body = f'{{"user": "ada", "pass": "{PASSWORD}"}}'.encode()

        answer = await client.request("POST", "/api/login", headers=headers, body=body)

        names = {cookie.partition("=")[0] for cookie in answer.headers.getall("Set-Cookie")}
        assert names == {"session_P80", "csrf_token_P80", "csrf_token_P80_R|octoprint"}
