"""Sessions and what guards them: forged changes, chosen cookies, guessed passwords."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from limpet.users import UserStore
from limpet.web.app import TEXTS
from tests.web.people import DISCONNECT, FORGED, PASSWORD, World
from tests.web.server import ADMIN_KEY, log_in, running

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


# -- over the end of the server --


async def test_who_is_remembered_goes_on_after_the_next_start_until_he_logs_out(tmp_path: Path) -> None:
    UserStore(tmp_path / "users.json").add("ada", PASSWORD, groups=("admins",))
    there = {"Host": "limpet:5000"}
    async with running(tmp_path) as (client, _):
        session, csrf = await log_in(client, "ada", PASSWORD, remember=True)
        other, _ = await log_in(client, "ada", PASSWORD)
    headers = there | {"Cookie": f"session_P5000={session}", "X-CSRF-Token": csrf}
    kept = (tmp_path / "sessions.json").read_text()
    assert session not in kept
    assert (tmp_path / "sessions.json").stat().st_mode & 0o777 == 0o600

    async with running(tmp_path) as (client, _):
        gone = await client.request("GET", "/api/currentuser", headers=there | {"Cookie": f"session_P5000={other}"})
        assert gone.json()["name"] is None
        assert (await client.request("GET", "/api/currentuser", headers=headers)).json()["name"] == "ada"
        assert (await client.request("POST", "/api/logout", headers=headers)).status == 200
    async with running(tmp_path) as (client, _):
        assert (await client.request("GET", "/api/currentuser", headers=headers)).json()["name"] is None


async def test_a_new_password_ends_what_is_remembered_but_for_who_has_chosen_it(tmp_path: Path) -> None:
    users = UserStore(tmp_path / "users.json")
    users.add("ada", PASSWORD, groups=("admins",))
    async with running(tmp_path) as (client, _):
        other, _ = await log_in(client, "ada", PASSWORD, remember=True)
        session, csrf = await log_in(client, "ada", PASSWORD, remember=True)
        headers = {"Host": "limpet:5000", "Cookie": f"session_P5000={session}", "X-CSRF-Token": csrf}
        body = msgspec.json.encode({"password": "another one", "current": PASSWORD})
        changed = await client.request(
            "PUT",
            "/api/access/users/ada/password",
            headers=headers | {"Content-Type": "application/json"},
            body=body,
        )
        assert changed.status == 200
    async with running(tmp_path) as (client, _):
        assert (await client.request("GET", "/api/currentuser", headers=headers)).json()["name"] == "ada"
        headers["Cookie"] = f"session_P5000={other}"
        assert (await client.request("GET", "/api/currentuser", headers=headers)).json()["name"] is None


async def test_a_broken_file_of_sessions_keeps_nobody_out(tmp_path: Path) -> None:
    UserStore(tmp_path / "users.json").add("ada", PASSWORD, groups=("admins",))
    (tmp_path / "sessions.json").write_text('[{"user": 1}')
    async with running(tmp_path) as (client, _):
        await log_in(client, "ada", PASSWORD, remember=True)
    assert msgspec.json.decode((tmp_path / "sessions.json").read_bytes())[0]["user"] == "ada"
