"""Users and their keys, the first user, and what is kept secret, over HTTP."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from limpet.users import UserStore
from tests.web.people import FORGED, PASSWORD, World, app_asks, decided, poll
from tests.web.server import ADMIN_KEY, Client, log_in, running

# -- users --


async def test_users_are_managed_by_an_admin(world: World) -> None:
    client = world.client
    new = {"name": "Zoë", "password": PASSWORD, "groups": ["users"], "permissions": ["SYSTEM"], "active": True}
    assert (await client.post("/api/access/users", new)).status == 200
    assert (await client.post("/api/access/users", new)).status == 409
    path = "/api/access/users/Zo%C3%AB"
    user = (await client.get(path)).json()
    assert (user["groups"], user["permissions"], user["admin"]) == (["users"], ["SYSTEM"], False)
    assert {"system", "print"} <= set(user["needs"]["role"])

    answer = await world.ask("PUT", path, {"X-Api-Key": ADMIN_KEY}, b'{"admin": true, "permissions": []}')
    changed = next(user for user in answer.json()["users"] if user["name"] == "Zoë")
    assert (changed["groups"], changed["permissions"], changed["admin"]) == (["users", "admins"], [], True)

    answer = await world.ask("DELETE", path, {"X-Api-Key": ADMIN_KEY})
    assert [user["name"] for user in answer.json()["users"]] == ["ada", "bob", "wall"]
    assert (await client.get(path)).status == 404
    assert PASSWORD not in answer.body.decode()


async def test_octorest_says_true_and_false_in_words(world: World) -> None:
    """It sends what OctoPrint's documentation calls booleans as texts."""
    new = {"name": "eve", "password": PASSWORD, "active": "false", "admin": "false"}
    assert (await world.client.post("/api/access/users", new)).status == 200
    user = world.users.get("eve")
    assert user is not None
    assert (user.active, user.is_admin) == (False, False)

    change = b'{"active": "true", "admin": "true"}'
    assert (await world.ask("PUT", "/api/access/users/eve", {"X-Api-Key": ADMIN_KEY}, change)).status == 200
    user = world.users.get("eve")
    assert user is not None
    assert (user.active, user.is_admin) == (True, True)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"password": PASSWORD}, "name"),
        ({"name": "eve"}, "password"),
        ({"name": "eve", "password": "short"}, "8 to 256"),
        ({"name": "../eve", "password": PASSWORD}, "the name of a user"),
        ({"name": "eve", "password": PASSWORD, "groups": ["gods"]}, "gods"),
        ({"name": "eve", "password": PASSWORD, "permissions": ["FLY"]}, "FLY"),
        ({"name": "eve", "password": PASSWORD, "active": "yes"}, "active"),
        ([], "object"),
    ],
)
async def test_a_user_that_cannot_be_is_refused_with_the_reason(world: World, body: Any, fault: str) -> None:
    answer = await world.client.post("/api/access/users", body)

    assert answer.status == 400
    assert fault in answer.json()["error"]
    assert len(world.users.list()) == 3


async def test_the_last_admin_cannot_be_taken_away_over_the_network(world: World) -> None:
    answer = await world.ask("DELETE", "/api/access/users/ada", {"X-Api-Key": ADMIN_KEY})

    assert answer.status == 409
    assert "last user who is an admin" in answer.json()["error"]


async def test_a_user_manages_himself_and_nobody_else(world: World) -> None:
    headers = await world.cookies("bob")
    change = b'{"password": "another horse", "current": "correct horse"}'
    for path, method, content in (
        ("/api/access/users/{}", "GET", None),
        ("/api/access/users/{}/settings", "GET", None),
        ("/api/access/users/{}/settings", "PATCH", b'{"a": 1}'),
        ("/api/access/users/{}/apikey", "POST", None),
        ("/api/access/users/{}/apikey", "DELETE", None),
        ("/api/access/users/{}/password", "PUT", change),
    ):
        for name in ("wall", "nobody"):
            assert (await world.ask(method, path.format(name), headers, content)).status == 403
        assert (await world.ask(method, path.format("bob"), headers, content)).status in (200, 204), path
    for method in ("PUT", "DELETE"):
        assert (await world.ask(method, "/api/access/users/bob", headers, b'{"admin": true}')).status == 403


async def test_who_changes_his_own_password_has_to_know_it(world: World) -> None:
    path = "/api/access/users/bob/password"
    headers, other = await world.cookies("bob"), await world.cookies("bob")

    for content in (b'{"password": "another horse"}', b'{"password": "another horse", "current": "wrong horse"}'):
        assert (await world.ask("PUT", path, headers, content)).status == 403
    content = b'{"password": "another horse", "current": "correct horse"}'
    assert (await world.ask("PUT", path, headers, content)).status == 200

    assert (await world.ask("GET", "/api/connection", headers)).status == 200
    assert (await world.ask("GET", "/api/connection", other)).status == 403
    assert (await world.login("bob", "another horse")).status == 200
    assert (await world.ask("PUT", path, {"X-Api-Key": ADMIN_KEY}, b'{"password": "a third horse"}')).status == 200


async def test_the_key_of_a_user_is_made_anew_and_ends(world: World) -> None:
    path, admin = "/api/access/users/bob/apikey", {"X-Api-Key": ADMIN_KEY}
    first = (await world.ask("POST", path, admin)).json()["apikey"]
    second = (await world.ask("POST", path, admin)).json()["apikey"]

    assert (await world.client.get("/api/currentuser", key=first)).json()["name"] is None
    assert (await world.client.get("/api/currentuser", key=second)).json()["name"] == "bob"
    assert (await world.ask("DELETE", path, admin)).status == 204
    assert (await world.client.get("/api/connection", key=second)).status == 403


async def test_old_addresses_of_users_lead_to_the_new_ones_and_nowhere_else(world: World) -> None:
    for path, location in (
        ("/api/users", "/api/access/users"),
        ("/p/default/api/users", "/p/default/api/access/users"),
        ("/api/users/bob/apikey", "/api/access/users/bob/apikey"),
        ("/api/users/Zo%C3%AB%0d:", "/api/access/users/Zo%C3%AB%0D%3A"),
        ("/api/users//evil.example/x", "/api/access/users/evil.example/x"),
    ):
        answer = await world.client.get(path)
        assert (answer.status, answer.headers["Location"]) == (307, location)


# -- the first user --

CODE = "ABCD-EFGH"


async def set_up(client: Client, code: str, user: str = "ada", password: str = PASSWORD) -> int:
    answer = await client.post("/api/limpet/setup", {"code": code, "user": user, "password": password}, key="")
    return answer.status


async def test_the_first_user_is_set_up_with_the_code_once(tmp_path: Path) -> None:
    async with running(tmp_path, setup_code=CODE) as (client, _):
        assert (await client.get("/api/limpet/setup", key="")).json() == {"needed": True}
        assert await set_up(client, "ABCD-EFGX") == 403
        assert await set_up(client, CODE, password="short") == 400
        assert await set_up(client, "abcd efgh") == 204
        assert (await client.get("/api/limpet/setup", key="")).json() == {"needed": False}
        assert await set_up(client, CODE, user="eve") == 409

        session, _ = await log_in(client, "ada", PASSWORD)
        headers = {"Cookie": f"session_P{client.port}={session}"}
        assert (await client.request("GET", "/api/access/users", headers=headers)).status == 200


async def test_after_ten_wrong_codes_the_right_one_is_wrong_too(tmp_path: Path) -> None:
    async with running(tmp_path, setup_code=CODE) as (client, _):
        assert [await set_up(client, f"ABCD-EFG{number}") for number in range(10)] == [403] * 10
        assert await set_up(client, CODE) == 429
        assert UserStore(tmp_path / "users.json").list() == ()


async def test_nobody_is_set_up_where_there_is_somebody_or_by_a_page_from_elsewhere(
    world: World, tmp_path: Path
) -> None:
    assert await set_up(world.client, CODE, user="eve") == 409
    (tmp_path / "other").mkdir()
    async with running(tmp_path / "other", setup_code=CODE) as (client, _):
        body = f'{{"code": "{CODE}", "user": "eve", "password": "{PASSWORD}"}}'.encode()
        headers = {"Origin": "https://evil.example", "Content-Type": "application/json"}
        answer = await client.request("POST", "/api/limpet/setup", headers=headers, body=body)
        assert (answer.status, answer.json()) == (400, FORGED)


# -- what is kept secret --


async def test_no_secret_is_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [PASSWORD, "wrong horse", "a new horse"]
    headers = await world.cookies("ada")
    secrets += [headers["Cookie"].partition("=")[2], headers["X-CSRF-Token"]]
    await world.login("ada", "wrong horse")
    secrets.append((await world.passive(ADMIN_KEY))[1])
    token, name = await app_asks(world)
    await decided(world, headers, name)
    secrets += [token, (await poll(world, token)).json()["api_key"]]
    secrets.append((await world.ask("POST", "/api/access/users/bob/apikey", headers)).json()["apikey"])
    await world.client.post("/api/access/users", {"name": "eve", "password": "a new horse"})
    await world.client.get("/api/connection?apikey=" + secrets[-1], key="")

    kept = caplog.text + world.keys.path.read_text() + world.users.path.read_text()

    assert "Cura" in caplog.text
    assert [secret for secret in secrets if secret in kept] == []


# -- groups --


async def test_groups_are_managed_by_an_admin_and_hold_at_once(world: World) -> None:
    client, bob = world.client, await world.cookies("bob")
    new = {"key": "makers", "name": "Makers", "permissions": ["SYSTEM", "SYSTEM"], "subgroups": ["readonly"]}

    answer = await client.post("/api/access/groups", new)
    assert answer.status == 200
    made = answer.json()["groups"][-1]
    assert {"key", "name", "description", "permissions", "subgroups", "needs", "default", "dangerous"} <= made.keys()
    assert (made["permissions"], made["subgroups"], made["changeable"], made["removable"]) == (
        ["SYSTEM"],
        ["readonly"],
        True,
        True,
    )
    assert {"system", "status"} <= set(made["needs"]["role"])
    assert (await client.post("/api/access/groups", new)).status == 409

    assert (await world.ask("GET", "/api/system/commands", bob)).status == 403
    join = b'{"groups": ["makers"]}'
    assert (await world.ask("PUT", "/api/access/users/bob", {"X-Api-Key": ADMIN_KEY}, join)).status == 200
    assert (await world.ask("GET", "/api/system/commands", bob)).status == 200

    change = b'{"permissions": [], "description": "who look on"}'
    answer = await world.ask("PUT", "/api/access/groups/makers", {"X-Api-Key": ADMIN_KEY}, change)
    assert answer.json()["groups"][-1]["description"] == "who look on"
    assert (await world.ask("GET", "/api/system/commands", bob)).status == 403

    answer = await world.ask("DELETE", "/api/access/groups/makers", {"X-Api-Key": ADMIN_KEY})
    assert [group["key"] for group in answer.json()["groups"]] == ["admins", "users", "guests", "readonly"]
    assert (await client.get("/api/access/users/bob")).json()["groups"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "", {"name": "x", "permissions": []}, 400),
        ("POST", "", {"key": "x", "permissions": []}, 400),
        ("POST", "", {"key": "x", "name": "x"}, 400),
        ("POST", "", {"key": "x", "name": "", "permissions": []}, 400),
        ("POST", "", {"key": "x", "name": "x", "permissions": ["FLY"]}, 400),
        ("POST", "", {"key": "x", "name": "x", "permissions": ["ADMIN"]}, 400),
        ("PUT", "/gone", {"permissions": []}, 404),
        ("PUT", "/readonly", {"permissions": []}, 403),
        ("PUT", "/users", {"permissions": [5]}, 400),
        ("PUT", "/users", {"description": "x" * 2000}, 400),
        ("DELETE", "/gone", None, 404),
        ("DELETE", "/users", None, 403),
    ],
)
async def test_a_group_that_cannot_be_is_refused(
    world: World, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    content = None if body is None else json.dumps(body).encode()
    answer = await world.ask(method, f"/api/access/groups{path}", {"X-Api-Key": ADMIN_KEY}, content)
    assert answer.status == status
    assert answer.json()["error"]


async def test_a_user_without_groups_is_in_the_default_ones(world: World) -> None:
    for name, groups in (("eve", None), ("abe", [])):
        new = {"name": name, "password": PASSWORD} | ({} if groups is None else {"groups": groups})
        assert (await world.client.post("/api/access/users", new)).status == 200
    for name, groups in (("eve", ("users",)), ("abe", ())):
        user = world.users.get(name)
        assert user is not None
        assert user.groups == groups
