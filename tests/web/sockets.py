"""Clients of the push: a bare websocket as OctoPod's, and SockJS's frames as those of OctoPrint's own page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.web.server import ADMIN_KEY, Client

WITHIN = 5.0


class Listener:
    """One end of a websocket: the messages that come, one by one, and all that have come so far."""

    def __init__(self, client: Client, socket: aiohttp.ClientWebSocketResponse, *, framed: bool) -> None:
        self._client = client
        self.socket = socket
        self.framed = framed
        self.frames: list[str] = []
        self.messages: list[Any] = []
        self._unread: list[Any] = []

    async def next(self) -> Any:
        """The next message; fails at the end of the socket."""
        while not self._unread:
            frame = await self.frame()
            if not self.framed:
                self._unread.append(json.loads(frame))
            elif frame.startswith("a"):
                self._unread += json.loads(frame[1:])
        self.messages.append(self._unread.pop(0))
        return self.messages[-1]

    async def frame(self) -> str:
        async with asyncio.timeout(WITHIN):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        self.frames.append(message.data)
        return self.frames[-1]

    async def until(self, wanted: Callable[[Any], object]) -> Any:
        """The first message that is wanted."""
        async with asyncio.timeout(WITHIN):
            while True:
                message = await self.next()
                if wanted(message):
                    return message

    async def until_event(self, name: str) -> Any:
        """The payload of the next event of this name."""
        return (await self.until(lambda message: "event" in message and message["event"]["type"] == name))["event"][
            "payload"
        ]

    async def until_current(self, wanted: Callable[[Any], object] = bool) -> Any:
        return (await self.until(lambda message: "current" in message and wanted(message["current"])))["current"]

    async def say(self, message: object) -> None:
        text = json.dumps(message)
        await self.socket.send_str(json.dumps([text]) if self.framed else text)

    async def authenticate(self, key: str = ADMIN_KEY) -> Any:
        """The history that comes of it."""
        await self.say({"auth": await login(self._client, key)})
        return (await self.until(lambda message: "history" in message))["history"]

    async def end(self) -> aiohttp.WSMsgType:
        """How it ended, when everything that still came has been read."""
        async with asyncio.timeout(WITHIN):
            while (message := await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                self.frames.append(message.data)
        return message.type


async def login(client: Client, key: str = ADMIN_KEY) -> str:
    """What a client that has a key says in `auth`."""
    answer = await client.post("/api/login", {"passive": True}, key=key)
    assert answer.status == 200
    return f"{answer.json()['name']}:{answer.json()['session']}"


@asynccontextmanager
async def listening(
    client: Client, path: str = "/sockjs/websocket", *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Listener]:
    """Opens with no key, as every client of OctoPrint does."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(client.address.rstrip("/") + path, headers=headers, max_msg_size=1 << 24) as socket,
    ):
        yield Listener(client, socket, framed=not path.endswith("/sockjs/websocket"))


def events(messages: list[Any]) -> list[tuple[str, Any]]:
    """The events among these messages: (type, payload)."""
    told = [message["event"] for message in messages if "event" in message]
    return [(event["type"], event["payload"]) for event in told]
