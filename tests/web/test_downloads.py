"""Files go out over the API: whole, or a part of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.web.server import ADMIN_KEY, Answer, Client

CONTENT = bytes(range(200))


@pytest.fixture
async def filled(client: Client) -> Client:
    assert (await client.upload("ä b.gcode", CONTENT, path="sub")).status == 201
    return client


async def download(client: Client, method: str = "GET", **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    path = "/downloads/files/local/sub/%C3%A4%20b.gcode"
    return await client.request(method, path, headers={"X-Api-Key": ADMIN_KEY, **given})


async def test_a_file_is_downloaded_under_its_name(filled: Client) -> None:
    answer = await download(filled)

    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Length"] == "200"
    assert (
        answer.headers["Content-Disposition"]
        == "attachment; filename=\"%C3%A4%20b.gcode\"; filename*=UTF-8''%C3%A4%20b.gcode"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_head_tells_the_same_without_the_file(filled: Client) -> None:
    whole, answer = await download(filled), await download(filled, "HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert {**answer.headers, "Date": ""} == {**whole.headers, "Date": ""}


@pytest.mark.parametrize(
    ("asked", "told", "content"),
    [
        ("bytes=0-9", "bytes 0-9/200", CONTENT[:10]),
        ("bytes=190-", "bytes 190-199/200", CONTENT[190:]),
        ("bytes=-5", "bytes 195-199/200", CONTENT[-5:]),
        ("bytes=-500", "bytes 0-199/200", CONTENT),
        ("bytes=190-1000", "bytes 190-199/200", CONTENT[190:]),
        ("bytes=0-", "bytes 0-199/200", CONTENT),
    ],
)
async def test_a_part_is_told_as_one(filled: Client, asked: str, told: str, content: bytes) -> None:
    answer = await download(filled, Range=asked)

    assert (answer.status, answer.headers["Content-Range"], answer.body) == (206, told, content)


@pytest.mark.parametrize("asked", ["lines=0-1", "bytes=x", "bytes=0-1,5-6", "bytes=9-1"])
async def test_a_range_that_is_not_understood_is_passed_over(filled: Client, asked: str) -> None:
    answer = await download(filled, Range=asked)

    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize("asked", ["bytes=200-", "bytes=500-600"])
async def test_a_range_that_is_not_there_is_refused(filled: Client, asked: str) -> None:
    answer = await download(filled, Range=asked)

    assert (answer.status, answer.json()) == (416, {"error": "The file has 200 bytes"})


async def test_a_rest_is_given_to_whoever_has_the_beginning_of_the_same_file(filled: Client) -> None:
    had = (await download(filled)).headers

    for word in (had["ETag"], had["Last-Modified"]):
        assert (await download(filled, Range="bytes=190-", If_Range=word)).body == CONTENT[190:]
    await filled.upload("ä b.gcode", b"another", path="sub")
    assert (await download(filled, Range="bytes=1-", If_Range=had["ETag"])).body == b"another"


async def test_an_empty_file_is_empty(client: Client) -> None:
    await client.upload("empty.gcode", b"")

    answer = await client.get("/downloads/files/local/empty.gcode")

    assert (answer.status, answer.body) == (200, b"")


async def test_a_file_that_is_cut_short_meanwhile_does_not_look_whole(client: Client, tmp_path: Path) -> None:
    await client.upload("a.gcode", bytes(30_000_000))
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"GET /downloads/files/local/a.gcode HTTP/1.1\r\nHost: x\r\nX-Api-Key: %b\r\n\r\n" % ADMIN_KEY.encode()
    )
    await reader.readuntil(b"\r\n\r\n")

    with (tmp_path / "uploads/a.gcode").open("r+b") as file:
        file.truncate(20_000_000)

    got = 0
    with pytest.raises(ConnectionError):  # noqa: PT012 - it is read until it breaks off
        while chunk := await reader.read(1 << 20):
            got += len(chunk)
        raise ConnectionResetError
    assert got < 30_000_000
    writer.close()
