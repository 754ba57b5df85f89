"""The push over real HTTP: bare and framed websockets, and what clients without them do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from limpet.printer.print import SelectedFile
from limpet.printer.state import FileSelected, SettingsChanged
from limpet.protocol.events import CommandAcknowledged
from limpet.web import push, sockjs
from limpet.web.api import sockjs as routes
from limpet.web.push import Times
from limpet.web.sockjs import PRELUDE, texts
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, eventually, running
from tests.web.sockets import Listener, events, listening, login

RAW = "/sockjs/websocket"
FRAMED = "/sockjs/123/abcd1234/websocket"
UUID = "/sockjs/000/0f8fad5b-d9cb-469f-a165-70867728950e"
SESSION = "/sockjs/042/zyxw9876"
CONNECT = {"port": "VIRTUAL", "baudrate": 115200}


async def post(client: Client, path: str, body: bytes | None = None, **headers: str) -> Answer:
    return await client.request("POST", path, headers=headers, body=body)


async def fetch(client: Client, session: str = SESSION) -> str:
    answer = await post(client, f"{session}/xhr")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/javascript; charset=UTF-8")
    return answer.body.decode()


async def say(client: Client, *messages: object, session: str = SESSION) -> Answer:
    return await post(client, f"{session}/xhr_send", json.dumps([json.dumps(message) for message in messages]).encode())


def readers(client: Client) -> int:
    """How many listen to the default printer."""
    return len(client.fleet.default._subscriptions)


# -- websockets --


@pytest.mark.parametrize("path", [RAW, FRAMED, f"{UUID}/websocket", "/p/default" + RAW, "//p//default/" + FRAMED])
async def test_a_connection_can_be_followed(client: Client, path: str) -> None:
    async with listening(client, path) as listener:
        assert set(await listener.next()) == {"connected"}
        await listener.authenticate()
        await client.accepted("connect", **CONNECT)

        assert await listener.until_event("Connected") == CONNECT
        current = await listener.until_current(lambda current: current["temps"])
        assert current["state"]["text"] == "Operational"
        assert current["temps"][0].keys() >= {"time", "tool0", "bed"}


async def test_a_bare_websocket_carries_objects_and_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path, times=Times(heartbeat=0.02)) as (client, _), listening(client, RAW) as listener:
        await listener.authenticate()
        client.fleet.default.tell(SettingsChanged())
        await listener.until_event("SettingsUpdated")

        assert all(isinstance(json.loads(frame), dict) for frame in listener.frames)


async def test_frames_are_those_of_sockjs_with_the_messages_as_they_are(tmp_path: Path) -> None:
    async with running(tmp_path, times=Times(heartbeat=0.02)) as (client, _), listening(client, FRAMED) as listener:
        await listener.authenticate()
        while await listener.frame() != "h":
            pass

        assert listener.frames[0] == "o"
        assert listener.frames[1].startswith('a[{"connected":{')
        assert [json.loads(frame[1:])[1:] for frame in listener.frames if frame[0] == "a"] == 3 * [[]]


async def test_a_stranger_is_told_nothing_of_the_printer(client: Client) -> None:
    async with listening(client, RAW) as stranger, listening(client, RAW) as listener:
        await listener.authenticate()
        await client.accepted("connect", **CONNECT)
        await listener.until_event("Connected")
        await stranger.say({"auth": "me:wrong"})

        assert [next(iter(await stranger.next())) for _ in range(2)] == ["connected", "reauthRequired"]


async def test_each_printer_is_followed_for_itself(tmp_path: Path) -> None:
    settings = f'default_printer = "mini"\n{HERMETIC}[printers.big]\n[printers.mini]\n'
    async with (
        running(tmp_path, settings=settings) as (client, _),
        listening(client, "/p/big" + RAW) as big,
        listening(client, RAW) as mini,
    ):
        await big.authenticate()
        await mini.authenticate()
        client.fleet.default.tell(FileSelected(a_file(1)))
        await mini.until_event("FileSelected")
        for printer in client.fleet:
            printer.tell(SettingsChanged())
        await big.until_event("SettingsUpdated")

        assert [name for name, _ in events(big.messages)] == ["SettingsUpdated"]


async def test_who_listens_to_a_printer_that_is_removed_is_sent_away(tmp_path: Path) -> None:
    settings = f'default_printer = "mini"\n{HERMETIC}[printers.big]\n[printers.mini]\n'
    async with (
        running(tmp_path, settings=settings) as (client, _),
        listening(client, "/p/big" + RAW) as listener,
        listening(client, "/p/big" + RAW) as stranger,
    ):
        await listener.authenticate()
        big = client.fleet.get("big")
        assert big is not None
        await client.fleet.remove(big)

        assert await listener.end() is aiohttp.WSMsgType.CLOSE
        await stranger.say({"auth": await login(client)})
        assert await stranger.end() is aiohttp.WSMsgType.CLOSE


async def test_two_hundred_clients_see_every_event(client: Client) -> None:
    async with AsyncExitStack() as stack:
        opened = [
            stack.enter_async_context(listening(client, (RAW, f"/sockjs/000/client{number}/websocket")[number % 2]))
            for number in range(200)
        ]
        everybody: list[Listener] = [await each for each in opened]
        await asyncio.gather(*(each.authenticate() for each in everybody))
        assert readers(client) == 1, "the printer is followed once for all"

        await client.accepted("connect", **CONNECT)
        await asyncio.gather(*(each.until_event("UpdatedFiles") for each in everybody))
        for number in range(20):
            client.fleet.default.tell(FileSelected(a_file(number)))
        await client.accepted("disconnect")
        await asyncio.gather(
            *(each.until(lambda message: "OFFLINE" in json.dumps(message.get("event"))) for each in everybody)
        )

        seen = [events(each.messages) for each in everybody]
        assert [name for name, _ in seen[0]] == [
            "Connecting",
            *3 * ["PrinterStateChanged"],
            "Connected",
            "FirmwareData",
            "UpdatedFiles",
            *20 * ["FileSelected"],
            "Disconnecting",
            "UpdatedFiles",
            "Disconnected",
            "PrinterStateChanged",
        ]
        assert all(one == seen[0] for one in seen)
    await eventually(lambda: readers(client) == 0, 2.0)


def a_file(size: int) -> SelectedFile:
    return SelectedFile(origin="local", path="x" * size, name="x", display="x")


async def test_a_client_that_does_not_read_is_cut_off_while_the_printer_goes_on(client: Client) -> None:
    printer = client.fleet.default
    async with deaf(client) as rest, listening(client, RAW) as listener:
        await listener.authenticate()
        await client.accepted("connect", **CONNECT)
        await listener.until_event("Connected")
        acknowledged = printer.subscribe()
        for number in range(60):
            # Far more than the buffers of two sockets and a queue hold.
            printer.tell(FileSelected(a_file(300_000 + number)))
            printer.send("M118 on it goes", tag=number)
            assert len((await listener.until_event("FileSelected"))["path"]) == 300_000 + number
        acknowledged.close()

        tags = [event.tag async for event, _ in acknowledged if isinstance(event, CommandAcknowledged)]
        assert [tag for tag in tags if tag is not None] == list(range(len(tags) - tags.count(None)))
        assert len(tags) > 50
        assert await rest() < 60 * 300_000


@asynccontextmanager
async def deaf(client: Client) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A client that authenticates and reads nothing; what is yielded reads, and tells how many bytes still came."""
    loop = asyncio.get_running_loop()
    upgrade = (
        f"GET {RAW} HTTP/1.1\r\nHost: {client.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    say = json.dumps({"auth": await login(client)}).encode()
    # A mask of zeros is a mask.
    frame = bytes([0x81, 0x80 | len(say), 0, 0, 0, 0]) + say
    with socket.socket() as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.setblocking(False)
        await loop.sock_connect(end, (client.host, client.port))
        await loop.sock_sendall(end, upgrade.encode() + frame)
        await eventually(lambda: readers(client) == 1, 5.0)

        async def rest() -> int:
            came = 0
            with suppress(ConnectionError):
                async with asyncio.timeout(10):
                    while data := await loop.sock_recv(end, 1 << 20):
                        came += len(data)
            return came

        yield rest


@pytest.mark.parametrize("path", [RAW, FRAMED])
async def test_nonsense_is_passed_over(client: Client, path: str) -> None:
    async with listening(client, path) as listener:
        for text in (
            "",
            "x",
            "{}",
            "[]",
            "null",
            '["x", {}, 5, null]',
            "[" * 10_000,
            '{"auth": 5}',
            '["{\\"auth\\": 5}"]',
        ):
            await listener.socket.send_str(text)
        await listener.socket.send_bytes(b"\x00\xff")
        await listener.socket.ping(b"still there?")

        assert await listener.authenticate()


async def test_a_message_that_is_too_long_ends_the_socket(client: Client) -> None:
    async with listening(client) as listener:
        await listener.socket.send_str(json.dumps({"auth": (1 << 16) * "x"}))

        assert await listener.end() is aiohttp.WSMsgType.CLOSE or listener.socket.close_code == 1009


async def test_bytes_that_are_no_frame_end_the_socket(client: Client) -> None:
    for frame in (b"\xff\xff\xff\xff", b"\x81\x82\x00\x00\x00\x00\xff\xfe", b"\x81\xff" + b"\xff" * 12):
        upgrade = b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" % RAW.encode()
        key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

        assert (await client.send_raw(upgrade + key + frame)).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("path", [RAW, FRAMED])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket"},
        {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "99"},
        {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"},
    ],
)
async def test_what_is_no_upgrade_is_refused(client: Client, path: str, headers: dict[str, str]) -> None:
    answer = await client.request("GET", path, headers=headers)

    assert (answer.status, answer.json()) == (400, {"error": 'Can "Upgrade" only to "WebSocket".'})


async def test_nobody_is_let_in_beyond_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "MAX_STRANGERS", 1)
    async with listening(client):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with listening(client):
                pass
        assert refused.value.status == 503
        answer = await post(client, f"{SESSION}/xhr")
        assert (answer.status, answer.json()) == (503, {"error": "Too many clients listen already."})


async def test_a_stranger_is_told_to_go(tmp_path: Path) -> None:
    async with (
        running(tmp_path, times=Times(heartbeat=0.02, stranger=0.03)) as (client, _),
        listening(client, FRAMED) as framed,
        listening(client, RAW) as raw,
    ):
        assert await framed.end() is aiohttp.WSMsgType.CLOSE
        assert framed.frames[-1] == 'c[3000,"Go away!"]'
        assert await raw.end() is aiohttp.WSMsgType.CLOSE


async def test_the_end_of_the_server_ends_all_sockets_within_half_a_second(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients:
        async with running(tmp_path) as (client, _):
            everybody = [await clients.enter_async_context(listening(client, path)) for path in 10 * [RAW, FRAMED]]
            for listener in everybody:
                await listener.authenticate()
            await clients.enter_async_context(deaf(client))
            for number in range(30):
                client.fleet.default.tell(FileSelected(a_file(100_000 + number)))
            session = asyncio.create_task(fetch(client, f"{UUID}"))
            assert await session == "o\n"
            began = loop.time()
            await client.close()
        # The listeners read while the server closes; aiohttp's own limit would be 60 s.
        assert loop.time() - began < 1.0
        assert {await listener.end() for listener in everybody} <= {
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
        }


# -- who may open it --


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://", "http://[", "file://"])
async def test_a_page_of_another_origin_may_not(client: Client, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with listening(client, RAW, headers={"Origin": origin}):
            pass
    assert refused.value.status == 403
    for path in ("xhr", "xhr_streaming", "xhr_send"):
        answer = await post(client, f"{SESSION}/{path}", b'["{}"]', Origin=origin)
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_our_own_page_may(client: Client) -> None:
    host = f"{client.host}:{client.port}"
    for headers in (
        {"Origin": f"http://{host}"},
        {"Origin": f"https://{host.upper()}"},
        {"Origin": "https://printer.example", "Host": "printer.example:8080"},
    ):
        async with listening(client, RAW, headers=headers) as listener:
            assert await listener.next()


@pytest.mark.parametrize(("origins", "told"), [('["https://panel.example"]', "https://panel.example"), ('["*"]', "*")])
async def test_a_page_that_the_settings_name_may(tmp_path: Path, origins: str, told: str) -> None:
    async with running(tmp_path, settings=f"{HERMETIC}[server]\ncors_origins = {origins}\n") as (client, _):
        async with listening(client, RAW, headers={"Origin": "https://panel.example"}) as listener:
            assert await listener.next()
        async with (
            aiohttp.ClientSession(headers={"Origin": "https://panel.example"}) as session,
            session.post(client.address.rstrip("/") + f"{SESSION}/xhr_streaming") as response,
        ):
            assert response.headers["Access-Control-Allow-Origin"] == told


async def test_a_key_is_still_needed_for_everything_else(client: Client) -> None:
    for path in ("/sockjsx", "/api/sockjs", "/x/sockjs/info", "/p/default/api/version"):
        assert (await client.request("GET", path)).status == 403


# -- without websockets --


async def test_messages_can_be_fetched_one_request_after_the_other(client: Client) -> None:
    assert await fetch(client) == "o\n"
    assert (await fetch(client)).startswith('a[{"connected":{')
    sent = await say(client, {"throttle": 2}, {"auth": await login(client)})
    assert (sent.status, sent.headers["Content-Type"], sent.body) == (204, "text/plain", b"")
    frame = await fetch(client)
    assert [next(iter(message)) for message in json.loads(frame[1:])] == ["history", "timelapse"]

    waiting = asyncio.create_task(fetch(client))
    client.fleet.default.tell(SettingsChanged())

    assert json.loads((await waiting)[1:])[0] == {"event": {"type": "SettingsUpdated", "payload": None}}


async def test_messages_can_be_streamed(client: Client) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(client.address.rstrip("/") + f"{UUID}/xhr_streaming") as response,
    ):
        assert response.headers["Content-Type"] == "application/javascript; charset=UTF-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        lines = response.content
        assert await lines.readline() == PRELUDE
        assert await lines.readline() == b"o\n"
        assert (await lines.readline()).startswith(b'a[{"connected":{')
        await say(client, {"auth": await login(client)}, session=UUID)
        assert (await lines.readline()).startswith(b'a[{"history":{')
        client.fleet.default.tell(SettingsChanged())
        assert await lines.readline() == b'a[{"event":{"type":"SettingsUpdated","payload":null}}]\n'


async def test_a_stream_ends_when_it_is_long_and_goes_on_in_the_next(client: Client) -> None:
    await fetch(client)
    await fetch(client)
    await say(client, {"auth": await login(client)}, {"subscribe": {"events": True}})
    client.fleet.default.tell(FileSelected(a_file(sockjs.MAX_STREAM)))
    answer = await post(client, f"{SESSION}/xhr_streaming")
    client.fleet.default.tell(SettingsChanged())

    assert len(answer.body) > sockjs.MAX_STREAM
    assert "SettingsUpdated" in await fetch(client)


async def test_a_session_has_one_receiver_at_a_time(client: Client) -> None:
    await fetch(client)
    await fetch(client)
    waiting = asyncio.create_task(fetch(client))
    await eventually(lambda: receiver(client), 5.0)

    assert await fetch(client) == 'c[2010,"Another connection still open"]\n'
    assert (
        await post(client, f"{SESSION}/xhr_streaming")
    ).body == PRELUDE + b'c[2010,"Another connection still open"]\n'
    await say(client, {"auth": await login(client)})
    assert (await waiting).startswith('a[{"history"')


async def test_a_receiver_that_has_gone_is_no_receiver(client: Client) -> None:
    await fetch(client)
    await fetch(client)
    gone = Client(client.address)
    waiting = asyncio.create_task(fetch(gone))
    await eventually(lambda: receiver(client), 5.0)
    waiting.cancel()
    await gone.close()
    before = receiver(client)
    await eventually(lambda: before.transport is None, 5.0)
    again = asyncio.create_task(fetch(client))
    await eventually(lambda: receiver(client) is not before, 5.0)
    await say(client, {"auth": await login(client)})

    assert (await again).startswith('a[{"history"')


async def test_a_session_ends_when_nobody_fetches_its_messages(tmp_path: Path) -> None:
    async with running(tmp_path, times=Times(session=0.1)) as (client, _):
        await fetch(client)
        await fetch(client)
        await say(client, {"auth": await login(client)})
        assert readers(client) == 1
        await eventually(lambda: readers(client) == 0, 5.0)

        assert await fetch(client) == 'c[3000,"Go away!"]\n'
        assert (await say(client, {})).status == 404
        await eventually(lambda: not sessions(client), 5.0)
        assert await fetch(client) == "o\n"


async def test_a_session_is_one_of_its_printer(tmp_path: Path) -> None:
    async with running(tmp_path, settings=f"{HERMETIC}[printers.big]\n[printers.mini]\n") as (client, _):
        assert await fetch(client, f"/p/mini{SESSION}") == "o\n"
        assert await fetch(client, f"/p/big{SESSION}") == "o\n"


async def test_the_sign_of_life_of_a_session_is_a_frame(tmp_path: Path) -> None:
    async with running(tmp_path, times=Times(heartbeat=0.05)) as (client, _):
        assert [(await fetch(client))[0] for _ in range(3)] == ["o", "a", "h"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "Payload expected."),
        (b"{", 400, "Broken JSON encoding."),
        (b'["', 400, "Broken JSON encoding."),
        (b"[" * 60_000, 400, "Broken JSON encoding."),
        (b"\xff\xfe", 400, "Broken JSON encoding."),
        (b'{"x":1}', 204, None),
        (b"[5, null, []]", 204, None),
        (b'"{}"', 204, None),
        (b'["' + (1 << 16) * b"x" + b'"]', 413, "The body is larger than 65536 bytes."),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_what_is_sent_is_understood_or_refused(
    client: Client, body: bytes, status: int, error: str | None
) -> None:
    await fetch(client)
    answer = await post(client, f"{SESSION}/xhr_send", body)

    assert answer.status == status
    assert error is None or answer.json() == {"error": error}


async def test_nothing_can_be_sent_to_a_session_that_is_not_there(client: Client) -> None:
    answer = await say(client, {})

    assert (answer.status, answer.json()) == (404, {"error": "There is no such session."})


@pytest.mark.parametrize(
    "path",
    ["/sockjs/a.b/session1/xhr", "/sockjs/000/sess.ion/xhr", "/sockjs//session1/xhr", f"/sockjs/0/{65 * 'x'}/xhr"],
)
async def test_a_session_has_a_proper_name(client: Client, path: str) -> None:
    assert (await post(client, path, **{"X-Api-Key": ADMIN_KEY})).status == 404
    assert (await post(client, path)).status == 403


def sessions(client: Client) -> Sequence[sockjs.Session]:
    return list(client.app[routes.SESSIONS]._sessions.values())


def receiver(client: Client) -> Any:
    """The request that waits for the messages of the only session."""
    (session,) = sessions(client)
    return session.receiver and session.receiver[0]


@pytest.mark.parametrize(
    ("payload", "expected"), [('["a", "b"]', ["a", "b"]), ('"a"', ["a"]), ("5", []), ('[1, "a", null]', ["a"])]
)
def test_a_client_sends_one_text_or_several(payload: str, expected: list[str]) -> None:
    assert texts(payload) == expected
