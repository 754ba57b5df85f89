"""What OctoPrint 1.11.8 really answered about users, sessions and app keys, asked again of Limpet: status and body.

The recording says `abcdef` for every secret; whose it was is in the name of the exchange.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from limpet.keys import KeyStore
from limpet.users import UserStore
from tests.web.server import ADMIN_KEY, Answer, Client, log_in, running

TESTS = Path(__file__).parents[1]
EXCHANGES: dict[str, Any] = {
    each["name"]: each
    for area in ("login-and-users", "appkeys")
    for each in json.loads((TESTS / f"golden/{area}.json").read_text())
}
PASSWORD = "correct horse"
SECRET = "abcdef"
FORBIDDEN = {
    "error": "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
}
NEITHER = {"error": "Neither user and pass attributes nor passive flag present"}


@dataclass(frozen=True)
class Difference:
    """How an exchange is answered otherwise on purpose; `reason` stands in docs/api.md."""

    reason: str
    status: int
    body: Any


NO_KEY = Difference("No valid key is a 403 on every method", 403, FORBIDDEN)
LOGIN = "No valid key is a 403 on every method"
DIFFERENCES = {
    "appkeys-decision-nokey": NO_KEY,
    "login-active-missingpass": Difference(LOGIN, 400, NEITHER),
    "login-active-nocsrf": Difference(LOGIN, 200, {"name": "admin", "session": SECRET}),
    "login-active-unknownuser": Difference(LOGIN, 403, FORBIDDEN),
    "login-active-wrongpw": Difference(LOGIN, 403, FORBIDDEN),
    "login-empty-nokey": Difference(LOGIN, 400, NEITHER),
    "login-passive-nokey": NO_KEY,
    "login-passive-wrongkey": NO_KEY,
    "users-get-nokey": NO_KEY,
}
"""Exchange -> what is answered instead, and why."""


class World:
    """A server with OctoPrint's users of that day, and what it has given out."""

    def __init__(self, folder: Path, client: Client, users: UserStore, keys: KeyStore) -> None:
        self.client, self.users, self.keys = client, users, keys
        self.session, self.csrf = "", ""
        self.tokens: dict[str, str] = {}

    async def log_in(self) -> None:
        self.session, self.csrf = await log_in(self.client, "admin", PASSWORD)

    async def ask_for_key(self) -> None:
        answer = await self.client.post("/plugin/appkeys/request", {"app": "Golden App"})
        pending = (await self.client.get("/api/plugin/appkeys")).json()["pending"]
        self.tokens = {"request": answer.json()["app_token"], "decision": next(iter(pending))}

    async def decide(self, decision: bool) -> None:
        await self.ask_for_key()
        await self.client.post(f"/plugin/appkeys/decision/{self.tokens['decision']}", {"decision": decision})

    async def set_up(self, name: str) -> None:
        """What has happened before this exchange."""
        if "session" in name or name == "login-active-csrf":
            await self.log_in()
        if name in ("appkeys-list", "appkeys-poll-pending") or name.startswith("appkeys-decision"):
            await self.ask_for_key()
        if name.startswith(("appkeys-poll-granted", "appkeys-poll-denied")):
            await self.decide("granted" in name)
        if name == "appkeys-poll-granted-again":
            await self.client.get(f"/plugin/appkeys/request/{self.tokens['request']}")
        if EXCHANGES[name]["response"]["status"] == 429:
            for _ in range(3):
                await self.ask_for_key()

    def key_in(self, name: str) -> str:
        owner = name.rpartition("-")[2]
        if owner == "appkey":
            return self.keys.add_for_app("Golden App", user="admin")
        if name.startswith(("currentuser", "login-passive")) and owner in (
            "admin",
            "bob",
            "viewer",
            "nobody",
            "userkey",
        ):
            return self.keys.add_for_user("admin" if owner == "userkey" else owner)
        return ADMIN_KEY

    async def ask(self, name: str) -> Answer:
        request = EXCHANGES[name]["request"]
        headers = dict(request["headers"])
        if headers.get("X-Api-Key") == SECRET:
            headers["X-Api-Key"] = self.key_in(name)
        if "Cookie" in headers:
            headers["Cookie"] = (
                f"session_P{self.client.port}={self.session}; csrf_token_P{self.client.port}={self.csrf}"
            )
        if "X-CSRF-Token" in headers:
            headers["X-CSRF-Token"] = self.csrf
        path = request["path"]
        for kind, token in self.tokens.items():
            path = path.replace(f"/{kind}/{SECRET}", f"/{kind}/{token}")
        body = request["body"]
        text = body if isinstance(body, str) or body is None else json.dumps(body).replace(SECRET, PASSWORD)
        return await self.client.request(request["method"], path, headers=headers, body=text and text.encode())


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    users = UserStore(tmp_path / "users.json")
    users.add("admin", PASSWORD, groups=("admins",))
    users.add("bob", PASSWORD)
    # The recording of the users' list is of the day before the third and the fourth were added.
    name = request.node.callspec.params["name"]
    if "viewer" in name.replace("create-viewer", "") or name == "user-create-nobody":
        users.add("viewer", PASSWORD, groups=("readonly",))
    if "nobody" in name.replace("create-nobody", ""):
        users.add("nobody", PASSWORD)
    async with running(tmp_path) as (client, _):
        yield World(tmp_path, client, users, KeyStore(tmp_path / "keys.json"))


@pytest.mark.parametrize("name", EXCHANGES)
async def test_it_is_answered_as_octoprint_does(name: str, world: World) -> None:
    await world.set_up(name)

    answer = await world.ask(name)

    response, difference = EXCHANGES[name]["response"], DIFFERENCES.get(name)
    expected = {"status": response["status"], "body": response["body"]}
    if difference is not None:
        assert told(answer, expected) != normal(expected), "this is no difference any more"
        expected = {"status": difference.status, "body": difference.body}
    assert told(answer, expected) == normal(expected)
    if difference is None:
        check_headers(answer, response["headers"], world.client.port)


def test_each_difference_is_explained_in_the_documentation() -> None:
    text = (TESTS.parent / "docs/api.md").read_text()
    differences = text.partition("## Where it differs from OctoPrint")[2]
    reasons = {each.reason for each in DIFFERENCES.values()}
    reasons |= {
        "Keys are shown once",
        "The words are ours",
        "No group makes an admin but `admins`",
    }

    assert [reason for reason in reasons if f"- **{reason}" not in differences] == []
    assert EXCHANGES.keys() >= DIFFERENCES.keys()


def told(answer: Answer, expected: dict[str, Any]) -> dict[str, Any]:
    """As much of the answer as the expected one has: more fields are welcome."""
    body = json.loads(answer.body) if answer.body and expected["body"] is not None else None
    return {"status": answer.status, "body": normal(_common(body, normal(expected["body"])))}


def normal(value: Any, name: str = "") -> Any:
    """Without what is another one each time, and what differs everywhere for one of the reasons."""
    if name in ("session", "api_key", "app_token", "_credentials_seen", "user_token"):
        return "something" if value else value
    if name == "apikey":
        return None
    if name == "auth_dialog":
        return re.sub(r":\d+/(.*)/\w+(\?|$)", r"/\1/something\2", value)
    if name == "description":
        return "ours"
    if isinstance(value, dict) and value.get("key") == "guests" and "changeable" in value:
        value = {**value, "changeable": False}
    if name == "role":
        return sorted(value)
    if name == "pending":
        return [normal(each) for each in value.values()]
    if isinstance(value, dict):
        return {key: normal(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [normal(each) for each in value]
    if isinstance(value, str) and value.startswith("<!doctype html>"):
        return None
    return value


def _common(value: Any, expected: Any) -> Any:
    if isinstance(value, dict) and isinstance(expected, dict):
        return {name: _common(value[name], expected[name]) for name in expected if name in value}
    return value


def check_headers(answer: Answer, recorded: dict[str, Any], port: int) -> None:
    if not recorded["Content-Type"].startswith("text/html"):
        assert answer.headers["Content-Type"] == recorded["Content-Type"]
    if "Location" in recorded:
        location = re.escape(recorded["Location"]).replace("5931", str(port)).replace(SECRET, r"[\w-]{43}")
        assert re.fullmatch(location, answer.headers["Location"])
