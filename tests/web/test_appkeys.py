"""Programs that ask for a key, and who lets them have one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.people import World, app_asks, decided, poll
from tests.web.server import ADMIN_KEY


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
