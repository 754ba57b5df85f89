"""Who may do what, over HTTP: sessions and what guards them, users, keys, and programs that ask for a key."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from limpet.keys import KeyStore
from limpet.users import UserStore
from limpet.web.app import TEXTS
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, log_in, running

PASSWORD = "correct horse"
DISCONNECT = {"command": "disconnect"}
FORGED = {"error": "CSRF validation failed"}


class World:
    """A server with an admin (ada), an operator (bob) and somebody who looks on (wall)."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.client = client
        self.users = UserStore(folder / "users.json")
        self.keys = KeyStore(folder / "keys.json")

    async def cookies(self, user: str, **more: object) -> dict[str, str]:
        """The headers of somebody who has logged in."""
        session, csrf = await log_in(self.client, user, PASSWORD, **more)
        return {"Cookie": f"session_P{self.client.port}={session}", "X-CSRF-Token": csrf}

    async def ask(self, method: str, path: str, headers: dict[str, str], content: bytes | None = None) -> Answer:
        if content is not None:
            headers = headers | {"Content-Type": "application/json"}
        return await self.client.request(method, path, headers=headers, body=content)

    async def login(self, user: str, password: str, **headers: str) -> Answer:
        content = f'{{"user": "{user}", "pass": "{password}"}}'.encode()
        return await self.ask("POST", "/api/login", headers, content)

    async def passive(self, key: str) -> tuple[str, str]:
        """What the push socket is told."""
        answer = await self.client.post("/api/login", {"passive": True}, key=key)
        assert answer.status == 200
        return answer.json()["name"], answer.json()["session"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, None)  # type: ignore[arg-type]
    for name, groups in (("ada", ("admins",)), ("bob", ("users",)), ("wall", ("readonly",))):
        world.users.add(name, PASSWORD, groups=groups)
    async with running(tmp_path) as (client, _):
        world.client = client
        yield world


# -- sessions --


async def test_a_session_may_do_what_its_user_may(world: World) -> None:
    for user, status in (("ada", 204), ("bob", 204), ("wall", 403)):
        headers = await world.cookies(user)
        assert (await world.ask("GET", "/api/connection", headers)).status == 200
        assert (await world.ask("POST", "/api/connection", headers, b'{"command": "disconnect"}')).status == status
        assert (await world.ask("GET", "/api/access/users", headers)).status == (200 if user == "ada" else 403)
        assert (await world.ask("GET", "/api/currentuser", headers)).json()["name"] == user


@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
async def test_a_change_that_a_cookie_alone_asks_for_is_refused(world: World, token: str | None) -> None:
    headers = await world.cookies("ada")
    del headers["X-CSRF-Token"]
    if token is not None:
        headers["X-CSRF-Token"] = token

    for method, path in (
        ("POST", "/api/connection"),
        ("POST", "/api/logout"),
        ("PUT", "/api/access/users/bob"),
        ("PATCH", "/api/access/users/ada/settings"),
        ("DELETE", "/api/access/users/bob"),
        ("POST", "/plugin/appkeys/decision/ABC"),
    ):
        answer = await world.ask(method, path, headers, b'{"command": "disconnect"}')
        assert (answer.status, answer.json()) == (400, FORGED), path
    assert (await world.ask("GET", "/api/connection", headers)).status == 200


async def test_the_token_of_another_session_is_not_good_for_this_one(world: World) -> None:
    mine, other = await world.cookies("ada"), await world.cookies("ada")

    answer = await world.ask("POST", "/api/logout", mine | {"X-CSRF-Token": other["X-CSRF-Token"]})

    assert answer.json() == FORGED


async def test_a_key_needs_no_token_and_a_wrong_key_is_not_saved_by_a_cookie(world: World) -> None:
    headers = await world.cookies("ada")
    content = b'{"command": "disconnect"}'

    assert (await world.ask("POST", "/api/connection", {"X-Api-Key": ADMIN_KEY}, content)).status == 204
    assert (await world.ask("POST", "/api/connection", headers | {"X-Api-Key": "wrong"}, content)).status == 403


async def test_the_cookie_of_a_session_is_for_this_server_alone_and_for_no_script(world: World) -> None:
    session, csrf = (await world.login("ada", PASSWORD)).cookies

    assert session.startswith(f"session_P{world.client.port}=")
    assert csrf.startswith(f"csrf_token_P{world.client.port}=")
    assert "HttpOnly" in session
    assert "HttpOnly" not in csrf
    for cookie in (session, csrf):
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert "Secure" not in cookie
        assert "Max-Age" not in cookie


async def test_a_remembered_session_outlives_the_browser_and_https_keeps_its_cookies_to_itself(world: World) -> None:
    answer = await world.client.request(
        "POST",
        "/api/login",
        headers={"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-Proto": "https"},
        body=b"user=ada&pass=correct+horse&remember=true",
    )

    assert answer.status == 200
    assert len(answer.cookies) == 2
    assert all("Max-Age=2592000" in cookie and "Secure" in cookie for cookie in answer.cookies)


@pytest.mark.parametrize(
    ("host", "port"),
    [("x", "80"), ("x:8080", "8080"), ("[::1]:5000", "5000"), ("[::1]", "80"), ("x:", "80"), ("x:1234567", "12345")],
)
async def test_cookies_are_named_by_the_port_that_the_client_knows(world: World, host: str, port: str) -> None:
    answer = await world.login("ada", PASSWORD, Host=host)

    assert [cookie.partition("=")[0] for cookie in answer.cookies] == [f"session_P{port}", f"csrf_token_P{port}"]


async def test_a_login_at_a_printer_gives_its_clients_their_token_as_well(world: World) -> None:
    answer = await world.ask("POST", "/p/default/api/login", {}, b'{"user": "ada", "pass": "correct horse"}')

    names = [cookie.partition("=")[0] for cookie in answer.cookies]
    port = world.client.port
    assert names == [f"session_P{port}", f"csrf_token_P{port}", f"csrf_token_P{port}_R|p|default"]


async def test_a_session_that_somebody_else_has_chosen_is_not_taken_over(world: World) -> None:
    name = f"session_P{world.client.port}"
    chosen = "f" * 64
    answer = await world.login("ada", PASSWORD, Cookie=f"{name}={chosen}")
    assert chosen not in answer.cookies[0]
    assert (await world.ask("GET", "/api/connection", {"Cookie": f"{name}={chosen}"})).status == 403

    mine = await world.cookies("bob")
    answer = await world.login("ada", PASSWORD, Cookie=mine["Cookie"])
    assert mine["Cookie"] not in answer.cookies[0]
    assert (await world.ask("GET", "/api/connection", mine)).status == 403


async def test_a_session_ends_with_a_logout_and_its_cookies_go(world: World) -> None:
    headers = await world.cookies("ada")
    answer = await world.ask("POST", "/api/logout", headers)

    assert answer.json() == {"needs": {"group": ["guests"]}}
    assert all("Max-Age=0" in cookie for cookie in answer.cookies)
    assert (await world.ask("GET", "/api/connection", headers)).status == 403
    assert (await world.ask("GET", "/api/currentuser", headers)).json()["groups"] == ["guests"]


async def test_sessions_end_with_the_password_that_they_were_opened_with(world: World) -> None:
    headers = await world.cookies("bob")
    world.users.set_password("bob", "another horse")

    assert (await world.ask("GET", "/api/connection", headers)).status == 403
    assert (await world.login("bob", PASSWORD)).status == 403
    assert (await world.login("bob", "another horse")).status == 200


@pytest.mark.parametrize("end", ["remove", "deactivate"])
async def test_sessions_and_keys_end_with_their_user(world: World, end: str) -> None:
    headers, key = await world.cookies("bob"), world.keys.add_for_user("bob")
    assert (await world.client.get("/api/connection", key=key)).status == 200
    if end == "remove":
        world.users.remove("bob")
    else:
        world.users.change("bob", active=False)

    assert (await world.ask("GET", "/api/connection", headers)).status == 403
    assert (await world.client.get("/api/connection", key=key)).status == 403
    assert (await world.login("bob", PASSWORD)).status == 403


async def test_what_a_user_may_changes_under_his_session_and_his_key(world: World) -> None:
    headers, key = await world.cookies("wall"), world.keys.add_for_user("wall")
    world.users.change("wall", permissions=("CONNECTION",))

    assert (await world.ask("POST", "/api/connection", headers, b'{"command": "disconnect"}')).status == 204
    assert (await world.client.post("/api/connection", DISCONNECT, key=key)).status == 204


async def test_the_key_of_a_user_who_was_removed_is_not_for_the_next_one_of_that_name(world: World) -> None:
    key = world.keys.add_for_user("bob")
    bob = next(user for user in world.users.list() if user.name == "bob")
    world.users.remove("bob")
    world.users.path.write_bytes(msgspec.json.encode([structs.replace(bob, created="2999-01-01T00:00:00+00:00")]))

    assert (await world.client.get("/api/connection", key=key)).status == 403


# -- the push socket's ticket --


async def test_a_ticket_opens_nothing_but_the_push_socket(world: World) -> None:
    name, ticket = await world.passive(world.keys.add_for_user("bob"))

    assert name == "bob"
    for headers in (
        {"Cookie": f"session_P{world.client.port}={ticket}"},
        {"X-Api-Key": ticket},
        {"Authorization": f"Bearer {ticket}"},
    ):
        assert (await world.ask("GET", "/api/connection", headers)).status == 403


async def test_a_key_gets_the_same_ticket_as_often_as_it_asks(world: World) -> None:
    assert await world.passive(ADMIN_KEY) == await world.passive(ADMIN_KEY)
    assert (await world.passive(ADMIN_KEY))[0] == "_api"


async def test_a_login_from_elsewhere_is_refused_and_one_with_a_key_is_not(world: World) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
        answer = await world.login("ada", PASSWORD, Origin=origin)
        assert (answer.status, answer.json()) == (400, FORGED)
        passive = {"Origin": origin, "X-Api-Key": ADMIN_KEY}
        assert (await world.ask("POST", "/api/login", passive, b'{"passive": true}')).status == 200
    assert (await world.login("ada", PASSWORD, Origin=world.client.address.rstrip("/"))).status == 200


# -- wrong passwords --


async def test_wrong_passwords_make_the_next_try_wait(world: World) -> None:
    for _ in range(5):
        assert (await world.login("ada", "wrong horse")).status == 403

    answer = await world.login("ada", PASSWORD)

    assert answer.status == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 2
    assert "wrong passwords" in answer.json()["error"]
    assert (await world.client.get("/api/connection")).status == 200


async def test_an_unknown_user_is_told_what_a_wrong_password_is_told(world: World) -> None:
    wrong, unknown = await world.login("ada", "wrong horse"), await world.login("nobody", "wrong horse")

    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)
    assert wrong.json() == {"error": TEXTS[403]}
    assert wrong.cookies == unknown.cookies == []


async def test_many_logins_at_once_neither_stop_the_server_nor_get_around_the_limit(world: World) -> None:
    logins = [asyncio.create_task(world.login(f"user {number}", "wrong horse")) for number in range(40)]
    slowest = 0.0
    while not all(login.done() for login in logins):
        started = time.monotonic()
        assert (await world.client.get("/api/connection")).status == 200
        slowest = max(slowest, time.monotonic() - started)
    statuses = [(await login).status for login in logins]

    assert statuses.count(403) <= 5
    assert statuses.count(429) >= 35
    assert slowest < 1.0


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
    assert (await world.ask("PUT", path, headers, content)).status == 204

    assert (await world.ask("GET", "/api/connection", headers)).status == 200
    assert (await world.ask("GET", "/api/connection", other)).status == 403
    assert (await world.login("bob", "another horse")).status == 200
    assert (await world.ask("PUT", path, {"X-Api-Key": ADMIN_KEY}, b'{"password": "a third horse"}')).status == 204


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


# -- programs that ask for a key --


async def app_asks(world: World, **body: object) -> tuple[str, str]:
    """What it polls, and the name of the request."""
    answer = await world.client.post("/plugin/appkeys/request", {"app": "Cura", **body}, key="")
    assert answer.status == 201
    dialog = answer.json()["auth_dialog"]
    return answer.json()["app_token"], dialog.rpartition("/")[2].partition("?")[0]


async def poll(world: World, token: str) -> Answer:
    return await world.client.get(f"/plugin/appkeys/request/{token}", key="")


async def decided(world: World, headers: dict[str, str], token: str, content: bytes = b'{"decision": true}') -> int:
    return (await world.ask("POST", f"/plugin/appkeys/decision/{token}", headers, content)).status


async def test_an_app_gets_a_key_of_the_user_who_says_yes(world: World) -> None:
    token, name = await app_asks(world)
    assert await decided(world, await world.cookies("bob"), name) == 204

    key = (await poll(world, token)).json()["api_key"]

    user = (await world.client.get("/api/currentuser", key=key)).json()
    assert (user["name"], user["groups"]) == ("bob", ["users"])
    listed = (await world.client.get("/api/plugin/appkeys")).json()["keys"]
    assert [(each["app_id"], each["user_id"], each["name"]) for each in listed] == [("Cura", "bob", "Cura for bob")]
    assert key not in str(listed)
    world.keys.revoke("Cura for bob")
    assert (await world.client.get("/api/connection", key=key)).status == 403


async def test_an_app_gets_a_key_of_the_user_it_names_when_an_admin_says_yes(world: World) -> None:
    token, name = await app_asks(world, user="wall")
    assert await decided(world, await world.cookies("bob"), name) == 404
    assert await decided(world, {"X-Api-Key": ADMIN_KEY}, name) == 204

    key = (await poll(world, token)).json()["api_key"]

    assert (await world.client.get("/api/currentuser", key=key)).json()["name"] == "wall"


async def test_a_key_may_not_give_more_than_it_has(world: World) -> None:
    key = world.keys.add("clerk", ("PLUGIN_APPKEYS_ADMIN", "STATUS"))
    headers = {"X-Api-Key": key}
    token, name = await app_asks(world, user="ada")

    assert await decided(world, headers, name, b'{"decision": true, "permissions": ["ADMIN"]}') == 403
    assert await decided(world, headers, name, b'{"decision": true, "user": "ada"}') == 403
    assert await decided(world, headers, name) == 204
    given = (await poll(world, token)).json()["api_key"]

    user = (await world.client.get("/api/currentuser", key=given)).json()
    assert user == {"name": "_api", "groups": [], "permissions": ["STATUS", "PLUGIN_APPKEYS_ADMIN"]}


async def test_an_admin_may_limit_the_key_or_say_whose_it_is(world: World) -> None:
    admin = {"X-Api-Key": ADMIN_KEY}
    token, name = await app_asks(world)
    assert await decided(world, admin, name, b'{"decision": true, "permissions": ["FLY"]}') == 400
    assert await decided(world, admin, name, b'{"decision": true, "user": "nobody"}') == 400
    assert await decided(world, admin, name, b'{"decision": true, "permissions": ["STATUS"]}') == 204
    key = (await poll(world, token)).json()["api_key"]
    assert (await world.client.get("/api/currentuser", key=key)).json()["permissions"] == ["STATUS"]

    token, name = await app_asks(world)
    assert await decided(world, admin, name, b'{"decision": true, "user": "bob"}') == 204
    key = (await poll(world, token)).json()["api_key"]
    assert (await world.client.get("/api/currentuser", key=key)).json()["name"] == "bob"


async def test_who_may_not_decide_neither_sees_nor_decides(world: World) -> None:
    _, name = await app_asks(world)
    for headers in (await world.cookies("wall"), {}):
        assert (await world.ask("GET", "/api/plugin/appkeys", headers)).status == 403
        assert await decided(world, headers, name) == 403


async def test_who_may_decide_for_himself_sees_what_is_for_him_or_for_nobody(world: World) -> None:
    for user in (None, "bob", "ada"):
        await app_asks(world, user=user)

    mine = (await world.ask("GET", "/api/plugin/appkeys", await world.cookies("bob"))).json()["pending"]
    every = (await world.client.get("/api/plugin/appkeys")).json()["pending"]

    assert sorted(str(each["user_id"]) for each in mine.values()) == ["None", "bob"]
    assert len(every) == 3


async def test_two_apps_of_one_name_have_a_key_each_and_lose_them_together(world: World) -> None:
    command = {"command": "generate", "app": "OctoPod", "user": "bob"}
    keys = [(await world.client.post("/api/plugin/appkeys", command)).json()["api_key"] for _ in range(2)]
    assert [(await world.client.get("/api/connection", key=key)).status for key in keys] == [200, 200]

    assert (await world.client.post("/api/plugin/appkeys", {**command, "command": "revoke"})).status == 204

    assert [(await world.client.get("/api/connection", key=key)).status for key in keys] == [403, 403]
    assert (await world.client.post("/api/plugin/appkeys", {**command, "command": "revoke"})).status == 404


async def test_a_user_ends_no_key_of_another_one(world: World) -> None:
    key = world.keys.add_for_app("Cura", user="ada")
    headers = await world.cookies("bob")

    answer = await world.ask("POST", "/api/plugin/appkeys", headers, b'{"command": "revoke", "app": "Cura"}')

    assert answer.status == 404
    assert (await world.client.get("/api/connection", key=key)).status == 200


@pytest.mark.parametrize(
    "body", [{}, [], {"app": ""}, {"app": 5}, {"app": "x" * 65}, {"app": "a\nb"}, {"app": "x", "user": 5}]
)
async def test_an_app_has_to_say_what_it_is(world: World, body: Any) -> None:
    assert (await world.client.post("/plugin/appkeys/request", body, key="")).status == 400


async def test_the_person_who_is_sent_to_the_dialog_learns_what_to_do(world: World) -> None:
    _, name = await app_asks(world)

    answer = await world.client.get(f"/plugin/appkeys/auth/{name}?user=x", key="")

    assert f"limpet appkeys approve {name}" in answer.json()["message"]
    assert (await world.client.get("/plugin/appkeys/auth/nothing", key="")).status == 404


async def test_an_app_is_told_where_to_poll_as_it_knows_us(world: World) -> None:
    for path, headers, expected in (
        ("/plugin/appkeys/request", {"Host": "octopi.local"}, "http://octopi.local/plugin/appkeys/request/"),
        ("//plugin/appkeys/request", {"Host": "x:1"}, "http://x:1/plugin/appkeys/request/"),
        (
            "/p/default/plugin/appkeys/request",
            {"Host": "x", "X-Forwarded-Proto": "https"},
            "https://x/p/default/plugin/appkeys/request/",
        ),
    ):
        answer = await world.ask("POST", path, headers, b'{"app": "Cura"}')
        assert answer.headers["Location"] == expected + answer.json()["app_token"]


# -- pages from elsewhere --

PANEL = "https://panel.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


def allowed(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}


async def test_no_page_from_elsewhere_may_ask_unless_it_is_set(client: Client) -> None:
    for method, headers in (("OPTIONS", PREFLIGHT), ("GET", {"X-Api-Key": ADMIN_KEY}), ("GET", {})):
        answer = await client.request(method, "/api/connection", headers={**headers, "Origin": PANEL})
        assert allowed(answer) == {}
        assert answer.status == (200 if "X-Api-Key" in headers else 403)


@pytest.mark.parametrize("origins", [[PANEL], ["*"]])
async def test_a_page_that_is_named_may_ask_with_a_key_and_never_with_a_cookie(tmp_path: Path, origins: Any) -> None:
    settings = f"{HERMETIC}[server]\ncors_origins = {origins}\n"
    async with running(tmp_path, settings=settings) as (client, _):
        for path in ("/api/connection", "/api/unknown"):
            answer = await client.request("OPTIONS", path, headers={**PREFLIGHT, "Origin": PANEL})
            assert answer.status == 204
            assert "X-Api-Key" in answer.headers["Access-Control-Allow-Headers"]
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        for headers in ({"X-Api-Key": ADMIN_KEY}, {}):
            answer = await client.request("GET", "/api/connection", headers={**headers, "Origin": PANEL})
            assert answer.headers["Access-Control-Allow-Origin"] == ("*" if origins == ["*"] else PANEL)
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" in answer.headers["Vary"]
        for origin in ("https://evil.example", "https://panel.example.evil", "http://panel.example", "null"):
            answer = await client.request("OPTIONS", "/api/connection", headers={**PREFLIGHT, "Origin": origin})
            assert (answer.status == 204) == (origins == ["*"])


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
