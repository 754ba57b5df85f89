"""People who log in at a server, and programs that ask it for a key."""

from __future__ import annotations

from pathlib import Path

from limpet.keys import KeyStore
from limpet.users import UserStore
from tests.web.server import Answer, Client, log_in

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
