"""Files come in over the API: as real clients send them, and as the world breaks them."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from limpet.web import call
from limpet.web.api import uploads
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, eventually, process, running

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
MIB = 1 << 20
SMALL = HERMETIC + "[files]\nmax_upload = 1\n"
HEAD = "Content-Disposition: form-data; name="


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Client]:
    """A server that takes files of up to 1 MiB."""
    async with running(tmp_path, settings=SMALL) as (client, _):
        yield client


async def curl(client: Client, *arguments: str, place: str = "local", key: str = ADMIN_KEY) -> tuple[int, Any, str]:
    """Status, JSON, and all that curl tells of the exchange."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sv", "--max-time", "20", "-H", f"X-Api-Key: {key}", *arguments),
        f"{client.address}api/files/{place}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, told = await process.communicate()
    text = told.decode(errors="replace")
    statuses = re.findall(r"^< HTTP/1\.1 (\d+)", text, re.MULTILINE)
    assert statuses, text
    return int(statuses[-1]), json.loads(out), text


def form(*parts: str, end: str = "--b--\r\n") -> bytes:
    return "".join(f"--b\r\n{part}\r\n" for part in parts).encode() + end.encode()


async def send(client: Client, body: bytes, content_type: str = "multipart/form-data; boundary=b") -> Answer:
    headers = {"X-Api-Key": ADMIN_KEY, "Content-Type": content_type}
    return await client.request("POST", "/api/files/local", headers=headers, body=body)


def head(length: int, *headers: str, key: str = ADMIN_KEY) -> bytes:
    lines = (
        *("POST /api/files/local HTTP/1.1", "Host: x", f"X-Api-Key: {key}", f"Content-Length: {length}"),
        *("Content-Type: multipart/form-data; boundary=b", *headers),
    )
    return "\r\n".join((*lines, "", "")).encode()


BEGIN = f'--b\r\n{HEAD}"file"; filename="a.gcode"\r\n\r\n'.encode()


def left(folder: Path) -> list[str]:
    """All that is in the folder, hidden or not, but for the index."""
    return sorted(path.name for path in (folder / "uploads").glob("*") if path.name != ".limpet-index.json")


# -- as real clients send them --


async def test_a_slicer_uploads(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "Größe (1).gcode"
    file.write_bytes(b"G28\n")

    status, told, _ = await curl(
        client, "-F", "print=true", "-F", "path=", "-F", f"file=@{file};type=application/octet-stream"
    )

    assert (status, told["done"], told["effectivePrint"]) == (201, True, False)
    assert told["files"]["local"]["path"] == file.name
    assert (tmp_path / "uploads" / file.name).read_bytes() == b"G28\n"


async def test_a_large_upload_is_asked_for_before_it_is_sent(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "large.gcode"
    file.write_bytes(bytes(range(256)) * (3 * MIB // 256))

    began = time.monotonic()
    status, _, told = await curl(client, "-F", f"file=@{file}", "-F", "path=sub/dir", "-F", "plateindex=1")

    assert status == 201
    assert "> Expect: 100-continue" in told
    assert "< HTTP/1.1 100 Continue" in told
    assert time.monotonic() - began < 1, "curl waits for a second where it is not told to go on"
    assert (tmp_path / "uploads/sub/dir/large.gcode").read_bytes() == file.read_bytes()


async def test_nothing_is_asked_for_that_is_not_wanted(tmp_path: Path) -> None:
    file = tmp_path / "large.gcode"
    file.write_bytes(bytes(3 * MIB))
    async with running(tmp_path, settings=SMALL, keys={"viewer": ("STATUS",)}) as (client, keys):
        for key, place, status in (
            ("wrong", "local", 403),
            (keys["viewer"], "local", 403),
            (ADMIN_KEY, "sdcard", 409),
            (ADMIN_KEY, "local", 413),
        ):
            came, told, exchange = await curl(client, "-F", f"file=@{file}", place=place, key=key)
            assert (came, list(told)) == (status, ["error"])
            assert "100 Continue" not in exchange
        assert left(tmp_path) == []


async def test_a_body_without_a_length_is_taken(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "a.gcode"
    file.write_bytes(bytes(MIB))

    status, _, exchange = await curl(client, "-H", "Transfer-Encoding: chunked", "-F", f"file=@{file}")

    assert (status, "> Transfer-Encoding: chunked" in exchange) == (201, True)


async def test_a_folder_is_made(client: Client) -> None:
    for arguments in (("-F", "foldername=new:one", "-F", "path=sub"), ("-d", "foldername=new:one&path=sub")):
        status, told, _ = await curl(client, *arguments)
        assert (status, told["folder"]["path"], told["folder"]["name"]) == (201, "sub/newone", "newone")
    assert (await client.get("/api/files/local/sub/newone")).json()["display"] == "new:one"


@pytest.mark.parametrize("order", [("path", "noOverwrite", "file"), ("file", "noOverwrite", "path")])
async def test_fields_come_in_any_order(client: Client, order: tuple[str, ...]) -> None:
    parts = {
        "path": f'{HEAD}"path"\r\n\r\nsub',
        "noOverwrite": f'{HEAD}"noOverwrite"\r\n\r\ntrue',
        "file": f'{HEAD}"file"; filename="a.gcode"\r\n\r\nG28\n',
    }
    body = form(*(parts[name] for name in order))

    assert (await send(client, body)).json()["files"]["local"]["path"] == "sub/a.gcode"
    assert (await send(client, body)).json() == {"error": "File already exists and noOverwrite was set"}


async def test_what_is_no_file_is_not_replaced_and_that_is_said(client: Client, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir(exist_ok=True)
    (tmp_path / "uploads/a.gcode").symlink_to("/etc/passwd")
    body = form(f'{HEAD}"file"; filename="a.gcode"\r\n\r\nG28\n')

    answer = await send(client, body)

    assert (answer.status, answer.json()) == (409, {"error": "File or folder does already exist"})
    assert (tmp_path / "uploads/a.gcode").is_symlink()


async def test_a_name_with_folders_goes_there_and_a_second_file_takes_the_place_of_the_first(
    client: Client, tmp_path: Path
) -> None:
    files = [f'{HEAD}"file"; filename="{name}"\r\n\r\nG28\n' for name in ("a.gcode", "sub/b.gcode")]

    assert (await send(client, form(*files))).json()["files"]["local"]["path"] == "sub/b.gcode"

    assert left(tmp_path) == ["sub"]


async def test_userdata_is_kept_with_the_file(client: Client) -> None:
    await client.upload("a.gcode", userdata='{"order": [1, "x"]}')

    assert (await client.get("/api/files/local/a.gcode")).json()["userdata"] == {"order": [1, "x"]}
    refused = await client.upload("b.gcode", userdata="{")
    assert (refused.status, refused.json()) == (400, {"error": "userdata contains invalid JSON"})


# -- what is refused leaves nothing --


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *(("a.txt", 415), ("a", 415), (".gcode", 415), ("a.gcode/..", 400), ("???", 400), ("", 400)),
        *(("..", 400), ("../a.gcode", 400), ("sub/../../a.gcode", 400), ("a\\b.gcode", 400)),
        ("x" * 300 + ".gcode", 400),
    ],
)
async def test_a_bad_name_is_refused(client: Client, tmp_path: Path, name: str, status: int) -> None:
    for path in ("", "sub"):
        answer = await client.upload(name.replace("\\", "\\\\"), path=path)
        assert (answer.status, list(answer.json())) == (status, ["error"])
    assert left(tmp_path) == []


@pytest.mark.parametrize("path", ["..", "../..", "a/../..", "a\\b", "x" * 300, "/".join("a" * 30)])
async def test_a_bad_folder_is_refused(client: Client, tmp_path: Path, path: str) -> None:
    assert (await client.upload("a.gcode", path=path)).status == 400
    assert left(tmp_path) == []


@pytest.mark.parametrize("path", ["/", "/sub/", "./sub", "COM1/sub:"])
async def test_an_odd_folder_is_made_harmless(client: Client, tmp_path: Path, path: str) -> None:
    made = (await client.upload("a.gcode", path=path)).json()["files"]["local"]["path"]

    assert made == {"/": "a.gcode", "COM1/sub:": "COM1_/sub/a.gcode"}.get(path, "sub/a.gcode")
    assert (tmp_path / "uploads" / made).exists()


BROKEN = {
    "nothing": b"",
    "no form": b"G28\n",
    "no end": form(f'{HEAD}"file"; filename="a.gcode"\r\n\r\nG28\n', end=""),
    "half an end": form(f'{HEAD}"file"; filename="a.gcode"\r\n\r\nG28\n', end="--b"),
    "no name": form("Content-Disposition: form-data\r\n\r\nG28\n"),
    "no headers": form("\r\n\r\nG28\n"),
    "no file": form(f'{HEAD}"print"\r\n\r\ntrue'),
    "a file without a name": form(f'{HEAD}"file"\r\n\r\nG28\n'),
    "endless headers": form("X: " + "x" * 100_000),
    "too many parts": form(*[f'{HEAD}"x"\r\n\r\n'] * 200),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_a_broken_form_is_refused(client: Client, tmp_path: Path, body: bytes) -> None:
    answer = await send(client, body)

    assert (answer.status, list(answer.json())) == (400, ["error"])
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "text/plain", "multipart/form-data; boundary=" + "b" * 99]
)
async def test_a_form_that_is_not_called_one_is_refused(client: Client, content_type: str) -> None:
    assert (await send(client, BROKEN["no file"], content_type)).status == 400


async def test_a_file_may_be_as_large_as_the_setting_says(small: Client, tmp_path: Path) -> None:
    assert (await small.upload("a.gcode", bytes(MIB))).status == 201

    for headers in ((), ("-H", "Transfer-Encoding: chunked")):
        large = tmp_path / "large.gcode"
        large.write_bytes(bytes(MIB + 2 * uploads.MAX_FIELDS))
        status, told, _ = await curl(small, *headers, "-F", f"file=@{large}")
        assert (status, told) == (413, {"error": f"The body is larger than {MIB + uploads.MAX_FIELDS} bytes."})
    assert left(tmp_path) == ["a.gcode"]


async def test_fields_have_a_limit(client: Client, tmp_path: Path) -> None:
    assert (await client.upload("a.gcode", userdata="1" * uploads.MAX_FIELDS)).status in (400, 413)
    assert (await client.upload("a.gcode", one="x" * 40_000, two="x" * 40_000)).status == 413
    assert left(tmp_path) == []


async def test_a_client_that_goes_away_leaves_nothing(client: Client, tmp_path: Path) -> None:
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(head(10 * MIB) + BEGIN + bytes(2 * MIB))
    await eventually(lambda: len(left(tmp_path)) == 1, 5)

    writer.close()

    await eventually(lambda: left(tmp_path) == [], 5)


async def test_a_client_that_falls_silent_is_not_waited_for(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "PIECE_TIME", 0.1)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(head(10 * MIB) + BEGIN + bytes(MIB))

    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await eventually(lambda: left(tmp_path) == [], 5)


async def test_a_disk_that_becomes_full_is_told(client: Client, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Where a file may not grow, the system says so as it does of a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, before[1]))
    try:
        answer = await client.upload("a.gcode", bytes(3 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert (answer.status, answer.json()) == (
        507,
        {"error": "There is not enough room on the disk of the uploads; delete some files"},
    )
    assert left(tmp_path) == []


async def test_what_does_not_fit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    settings = HERMETIC + "[files]\nmax_upload = 1048576\n"
    disk = shutil.disk_usage(tmp_path).total
    if disk > 1 << 39:
        pytest.skip("this disk is too large to be asked for more than it has")
    async with running(tmp_path, settings=settings) as (client, _):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(head(disk + 1, "Expect: 100-continue"))

        assert (await reader.readline()).startswith(b"HTTP/1.1 507 ")
        writer.close()


async def test_a_kill_in_the_middle_leaves_nothing_to_be_seen(folder: Path) -> None:
    async with process(folder) as server:
        client = await server.start()
        assert (await client.upload("kept.gcode")).status == 201
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(head(10 * MIB) + BEGIN + bytes(2 * MIB))
        await eventually(lambda: len(left(folder)) == 2, 5)
        await server.kill()
        await client.close()
        writer.close()
        assert len(left(folder)) == 2

        client = await server.start()
        assert [file["path"] for file in (await client.get("/api/files")).json()["files"]] == ["kept.gcode"]
        await eventually(lambda: left(folder) == ["kept.gcode"], 5)
        await client.close()


async def test_a_large_file_needs_little_memory_on_its_way_in_and_out(folder: Path, tmp_path: Path) -> None:
    """500 MB, sent by curl from a file with nothing in it."""
    large = tmp_path / "large.gcode"
    with large.open("wb") as file:
        file.truncate(500_000_000)
    async with process(folder) as server:
        client = await server.start()
        await client.get("/api/files")
        before = peak_memory(server)

        status, told, _ = await curl(client, "-F", f"file=@{large}")

        assert status == 201
        assert (folder / "uploads/large.gcode").stat().st_size == 500_000_000
        download = await asyncio.create_subprocess_exec(
            *(
                "curl",
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{size_download}",
                "-r",
                "1-100000000",
                "-H",
                f"X-Api-Key: {ADMIN_KEY}",
            ),
            told["files"]["local"]["refs"]["download"],
            stdout=asyncio.subprocess.PIPE,
        )
        assert (await download.communicate())[0] == b"100000000"
        assert peak_memory(server) - before < 20 * MIB
        await client.close()


def peak_memory(server: Any) -> int:
    """Bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


async def test_many_uploads_at_once_are_all_there(client: Client, tmp_path: Path) -> None:
    contents = {f"{number}.gcode": str(number).encode() * 300_000 for number in range(20)}

    answers = await asyncio.gather(*(client.upload(name, content) for name, content in contents.items()))

    assert {answer.status for answer in answers} == {201}
    assert {name: (tmp_path / "uploads" / name).read_bytes() for name in contents} == contents
    listed = (await client.get("/api/files")).json()["files"]
    assert {file["name"] for file in listed if file["user"] == "_api"} == contents.keys()
