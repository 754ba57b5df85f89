"""Requests that no honest client sends: they change nothing, learn nothing and break nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from limpet.web import call, runner
from limpet.web.app import MAX_BODY, ROUTES
from tests.web.server import ADMIN_KEY, Client, running
from tests.web.test_golden import FORBIDDEN

KEY = b"X-Api-Key: " + ADMIN_KEY.encode()
JSON = b"Content-Type: application/json"
DISCONNECT = b'{"command": "disconnect"}'


@dataclass
class Victim:
    """A server with a printer that is connected, so that there is something to lose."""

    client: Client
    folder: Path

    async def state(self) -> tuple[Any, dict[str, bytes]]:
        connection = await self.client.connection()
        del connection["current"]["link"]  # It counts what goes on by itself.
        # What is learnt about the printer is written when it suits.
        files = {path.name: path.read_bytes() for path in self.folder.glob("*") if "known.json" not in path.name}
        return connection, files


@pytest.fixture
async def victim(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Victim]:
    caplog.set_level(logging.ERROR)
    async with running(tmp_path) as (client, _):
        await client.accepted("connect", port="VIRTUAL", baudrate=115200, save=True)
        await client.until_state("Operational")
        victim = Victim(client, tmp_path)
        before = await victim.state()
        yield victim
        assert await victim.state() == before
        # What a stranger sends must not fill the log.
        assert [record.getMessage() for record in caplog.get_records("call")] == []


def request(method: bytes, target: bytes, *headers: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    lines = [b"%b %b %b" % (method, target, version), b"Host: x", b"Connection: close", *length, *headers]
    return b"\r\n".join([*lines, b"", body])


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", answer)]


# -- bodies --


def connect(**fields: object) -> bytes:
    return json.dumps({"command": "connect", **fields}).encode()


BODIES = {
    "nothing": b"",
    "blank": b" \r\n ",
    "a NUL": b"\x00",
    "no UTF-8": b'{"command": "\xff\xfe"}',
    "half an object": b'{"command": "disconnect"',
    "two objects": DISCONNECT * 2,
    "a trailing comma": b'{"command": "disconnect",}',
    "JavaScript": b"{command: 'disconnect'}",
    "null": b"null",
    "a list": b'["disconnect"]',
    "a list of commands": b'[{"command": "disconnect"}]',
    "a deep list": b"[" * 60_000,
    "a deep object": b'{"command":' * 5_000 + b"1" + b"}" * 5_000,
    "a deep command": b'{"command": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a number of 60,000 digits": b'{"command": ' + b"9" * 60_000 + b"}",
    "a baudrate of 60,000 digits": b'{"command": "connect", "baudrate": ' + b"9" * 60_000 + b"}",
    "a baudrate of 4,000 digits": b'{"command": "connect", "baudrate": ' + b"9" * 4_000 + b"}",
    "an infinite baudrate": b'{"command": "connect", "baudrate": 1e999}',
    "a baudrate that is no number": b'{"command": "connect", "baudrate": NaN}',
    "a negative infinity": b'{"command": "connect", "baudrate": -Infinity}',
    "a tiny baudrate": b'{"command": "connect", "baudrate": 1e-300}',
    "the last of two commands": b'{"command": "disconnect", "command": "explode"}',
    "a command that Python knows": b'{"command": "__init__"}',
    "a command with a NUL": b'{"command": "disconnect\\u0000"}',
    "half a surrogate as command": b'{"command": "\\ud800"}',
    "half a surrogate as port": connect(port="\ud800"),
    "half a surrogate in a path": connect(port="/dev/\udfff"),
    "a NUL as port": connect(port="\x00"),
    "a NUL in a path": connect(port="/dev/tty\x00"),
    "a long port": connect(port="x" * 60_000),
    "a long path": connect(port="/" + "x" * 60_000),
    "a path of many parts": connect(port="/x" * 30_000),
    "a path that climbs": connect(port="/dev/.." * 8_000),
    "a path to a file": connect(port="/etc/passwd"),
    "a URL": connect(port="socket://127.0.0.1:22"),
    "a relative path": connect(port="limpet.toml"),
    "half a surrogate as profile": connect(printerProfile="\ud800"),
    "a path as profile": connect(printerProfile="../../limpet.toml"),
    "save as a word": connect(port="VIRTUAL", baudrate=9600, save="true"),
    "save as a number": connect(port="VIRTUAL", baudrate=9600, save=1),
    "save as null": connect(port="VIRTUAL", baudrate=9600, save=None),
    "autoconnect as a word": connect(port="VIRTUAL", baudrate=9600, save=True, autoconnect="yes"),
    "autoconnect as null": connect(port="VIRTUAL", baudrate=9600, save=True, autoconnect=None),
    "one wrong among right ones": connect(port="VIRTUAL", baudrate=9600, printerProfile=[], save=True),
}

BODIES_SINCE_2 = {
    "no connector": connect(parameters={"port": "VIRTUAL", "baudrate": 9600}, save=True),
    "another connector": connect(connector="mqtt", parameters={}),
    "a list of connectors": connect(connector=["serial"], parameters={}),
    "parameters as null": connect(connector="serial", parameters=None),
    "parameters as a list": connect(connector="serial", parameters=["port"]),
    "a port that is not there": connect(connector="serial", parameters={"port": "/dev/nope"}),
    "a port that is a table": connect(connector="serial", parameters={"port": {"port": "VIRTUAL"}}),
    "a baudrate that is a word": connect(connector="serial", parameters={"baudrate": "9600"}, save=True),
}


@pytest.mark.parametrize(
    ("version", "bodies"),
    [("1", BODIES), ("2.0.0", BODIES), ("2.0.0", BODIES_SINCE_2)],
    ids=["before 2.0", "since 2.0", "only since 2.0"],
)
async def test_a_malformed_body_is_a_400_and_changes_nothing(
    victim: Victim, version: str, bodies: dict[str, bytes]
) -> None:
    before = await victim.state()
    for name, body in bodies.items():
        async with asyncio.timeout(1.0):
            answer = await victim.client.post("/api/connection", body, version=version)

        assert answer.status == 400, name
        assert answer.json()["error"], name
        assert await victim.state() == before, name


@pytest.mark.parametrize("size", [MAX_BODY + 1, 1 << 20])
async def test_a_body_that_is_too_large_is_a_413(victim: Victim, size: int) -> None:
    answer = await victim.client.post("/api/connection", DISCONNECT + b" " * (size - len(DISCONNECT)))

    assert answer.status == 413
    assert answer.json()["error"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_packed_bodies_are_not_unpacked(victim: Victim, coding: str) -> None:
    answer = await victim.client.request(
        "POST",
        "/api/connection",
        headers={"X-Api-Key": ADMIN_KEY, "Content-Type": "application/json", "Content-Encoding": coding},
        body=gzip.compress(DISCONNECT),
    )

    assert answer.status == 400


@pytest.mark.parametrize(
    "kind", [b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/json", b"\xff;=;"]
)
async def test_what_is_not_called_json_is_a_415(victim: Victim, kind: bytes) -> None:
    answer = await victim.client.send_raw(
        request(b"POST", b"/api/connection", KEY, b"Content-Type: " + kind, body=DISCONNECT)
    )

    assert statuses(answer) == [415]


async def test_a_body_that_does_not_arrive_is_a_408(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "BODY_TIME", 0.1)
    head = request(b"POST", b"/api/connection", KEY, JSON, b"Content-Length: 25")
    reader, writer = await asyncio.open_connection(victim.client.host, victim.client.port)
    try:
        writer.write(head + DISCONNECT[:-1])
        async with asyncio.timeout(2):
            assert b" 408 " in await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


# -- requests with a key that are no requests --


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([request(b"POST", b"/api/connection", KEY, JSON, b"Content-Length: 25")], id="no body"),
        pytest.param(
            [request(b"POST", b"/api/connection", KEY, JSON, b"Content-Length: 26"), DISCONNECT], id="a byte is missing"
        ),
        pytest.param(
            [request(b"POST", b"/api/connection", KEY, JSON, b"Transfer-Encoding: chunked"), b"19\r\n" + DISCONNECT],
            id="the last chunk is missing",
        ),
        pytest.param([request(b"POST", b"/api/connection", KEY, JSON)[:-2]], id="the end of the header is missing"),
    ],
)
async def test_a_command_that_is_cut_off_is_not_carried_out(victim: Victim, parts: list[bytes]) -> None:
    assert 204 not in statuses(await victim.client.send_raw(*parts, end=True))


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Length: -1"],
        [b"Content-Length: x"],
        [b"Content-Length: 25, 25"],
        [b"Content-Length: 25", b"Content-Length: 0"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b" folded: header"],
        [b"no colon"],
        [b"na me: x"],
        [b"X: a\x00b"],
        [b"Long: " + b"x" * 100_000],
        [b"A%d: x" % number for number in range(1000)],
    ],
    ids=lambda headers: headers[0].decode()[:40],
)
async def test_a_header_that_makes_no_sense_is_refused(victim: Victim, headers: list[bytes]) -> None:
    answer = await victim.client.send_raw(request(b"POST", b"/api/connection", KEY, JSON, *headers) + DISCONNECT)

    assert statuses(answer)[:1] in ([400], [431])
    assert 204 not in statuses(answer)


@pytest.mark.parametrize("size", [b"x", b"-1", b"ffffffffffffffffffff", b""])
async def test_a_broken_chunk_is_refused(victim: Victim, size: bytes) -> None:
    head = request(b"POST", b"/api/connection", KEY, JSON, b"Transfer-Encoding: chunked")

    answer = await victim.client.send_raw(head, size + b"\r\n" + DISCONNECT + b"\r\n0\r\n\r\n")

    assert statuses(answer) == [400]


async def test_chunks_without_end_are_a_413(victim: Victim) -> None:
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    head = request(b"POST", b"/api/connection", KEY, JSON, b"Transfer-Encoding: chunked")

    answer = await victim.client.send_raw(head, *[chunk] * (2 * MAX_BODY // 0x1000), b"0\r\n\r\n")

    assert statuses(answer) == [413]


async def test_a_body_longer_than_it_says_is_not_carried_out(victim: Victim) -> None:
    head = request(b"POST", b"/api/connection", KEY, JSON, b"Content-Length: 5").replace(b"Connection: close\r\n", b"")

    answer = await victim.client.send_raw(head + DISCONNECT)

    assert statuses(answer)[0] == 400
    assert 204 not in statuses(answer)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/connection\r\n\r\n",
        b"GET  /api/connection HTTP/1.1\r\n\r\n",
        b"GET /api/connection HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"M105\n" * 1000,
    ],
    ids=["NULs", "TLS", "HTTP/2", "HTTP/0.9", "two blanks", "HTTP/9.9", "a long URL", "G-code"],
)
async def test_noise_is_refused(victim: Victim, data: bytes) -> None:
    answer = await victim.client.send_raw(data)

    assert set(statuses(answer)) <= {400, 414}


# -- requests without a key --

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND"]
CLOSED = [route.path.encode() for route in ROUTES if route.permission is not None]
PATHS = [
    *CLOSED,
    *(prefix + path for path in CLOSED for prefix in (b"/p/default", b"/p/nope")),
    *(b"/p/nope" + route.path.encode() for route in ROUTES if route.permission is None),
    *(b"/api", b"/api/", b"/api/unknown", b"/api/connection/", b"/API/CONNECTION", b"/p", b"/p/default/api"),
    *(b"//api/connection", b"/api//connection", b"///api///connection", b"/p//default/api/connection"),
    *(b"/api%2Fconnection", b"/%61pi/connection", b"/api/connection%00", b"/api/connection%0a", b"/%ff"),
    *(b"/./api/connection", b"/x/../api/connection", b"/..%2f..%2fetc/passwd", b"/p/..%2f/api/connection"),
    *(b"/api/connection;x", b"/api/connection?command=disconnect", b"/api/connection?apikey=", b"/favicon.ico"),
    b"http://x/api/connection",
    b"http://x//api/connection",
]


@pytest.mark.parametrize("method", METHODS, ids=bytes.decode)
async def test_without_a_key_every_path_says_the_same(victim: Victim, method: bytes) -> None:
    for path in PATHS:
        answer = await victim.client.send_raw(request(method, path, JSON, body=DISCONNECT))
        head, _, body = answer.partition(b"\r\n\r\n")

        assert statuses(answer) == [403], path
        assert b"Allow" not in head, path
        if method == b"HEAD":
            assert not body
        else:
            assert json.loads(body) == FORBIDDEN, path


@pytest.mark.parametrize(
    "headers",
    [
        [b"X-Api-Key:"],
        [b"X-Api-Key: 0000"],
        [KEY[:-1]],
        [KEY + b"x"],
        [KEY.upper()],
        [b"X-Api-Key: " + KEY],
        [b"X-Api-Key: \xff\xfe"],
        [b"X-Api-Key: 0000", b"Authorization: Bearer " + ADMIN_KEY.encode()],
        [b"X-Api-Key: 0000", KEY],
        [b"Authorization: Bearer"],
        [b"Authorization: Bearer \xff"],
        [b"Authorization: Basic " + ADMIN_KEY.encode()],
        [b"Authorization: " + ADMIN_KEY.encode()],
        [b"Cookie: apikey=" + ADMIN_KEY.encode()],
        [b"X-Forwarded-For: 127.0.0.1", b"X-Remote-User: admin"],
        [b"Expect: 100-continue"],
        [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Key: eA==", b"Sec-WebSocket-Version: 13"],
        [b"X-HTTP-Method-Override: GET"],
    ],
    ids=lambda headers: headers[0].decode("latin-1")[:30],
)
async def test_a_key_that_is_none_is_a_403(victim: Victim, headers: list[bytes]) -> None:
    answer = await victim.client.send_raw(request(b"POST", b"/api/connection", JSON, *headers, body=DISCONNECT))

    assert statuses(answer)[-1] == 403


@pytest.mark.parametrize(
    "data",
    [
        request(b"OPTIONS", b"*"),
        request(b"CONNECT", b"127.0.0.1:22"),
        request(b"GET", b"/api/connection", b"Expect: gold"),
        request(b"GET", b"/api/unknown", b"Expect: gold"),
        request(b"GET", b"/api/connection", version=b"HTTP/1.0"),
        request(b"POST", b"/api/connection", JSON, body=b"x" * (1 << 20)),
    ],
    ids=["OPTIONS *", "CONNECT", "Expect", "Expect, unknown path", "HTTP/1.0", "1 MB"],
)
async def test_no_trick_gets_past_the_key(victim: Victim, data: bytes) -> None:
    answer = await victim.client.send_raw(data)

    # 417 is what any path says to an expectation that HTTP does not know.
    assert statuses(answer)[0] in (400, 403, 417)


async def test_a_key_counts_for_its_own_request_alone(victim: Victim) -> None:
    asked = request(b"GET", b"/api/version", KEY).replace(b"Connection: close\r\n", b"")

    answer = await victim.client.send_raw(asked + request(b"POST", b"/api/connection", JSON, body=DISCONNECT))

    assert statuses(answer) == [200, 403]


async def test_a_thousand_requests_in_one_piece_are_answered_one_by_one(victim: Victim) -> None:
    asked = request(b"GET", b"/api/version", KEY).replace(b"Connection: close\r\n", b"")

    answer = await victim.client.send_raw(asked * 999 + request(b"GET", b"/api/version"))

    assert statuses(answer) == [200] * 999 + [403]


async def test_the_answer_to_a_refusal_tells_nothing_of_the_data_folder(victim: Victim) -> None:
    for path in (b"/api/connection", b"/limpet.toml", b"/keys.json"):
        answer = await victim.client.send_raw(request(b"GET", path))

        assert str(victim.folder).encode() not in answer


# -- clients that keep us waiting --


async def test_a_client_that_says_nothing_or_half_a_header_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IDLE_TIME", 0.1)
    async with running(tmp_path) as (client, _):
        assert await client.send_raw(b"") == b""
        assert await client.send_raw(request(b"GET", b"/api/connection", KEY)[:-1]) == b""


async def test_a_client_that_asks_once_and_stays_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "IDLE_TIME", 0.1)
    async with running(tmp_path) as (client, _):
        asked = request(b"GET", b"/api/version", KEY).replace(b"Connection: close\r\n", b"")

        assert statuses(await client.send_raw(asked)) == [200]
