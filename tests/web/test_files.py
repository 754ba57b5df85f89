"""Files over the API: seen, selected, copied, moved, deleted, and who is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from limpet.printer.state import FileDeselected, FilesChanged, FileSelected, FilesMoved, FileUploaded
from limpet.protocol.events import Event
from limpet.web.api.files import card_files
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, eventually, running

KIND = ("machinecode", "gcode")
UPDATED = FilesChanged("UpdatedFiles", "local")
NOT_FOUND = (
    "The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again."
)


async def command(client: Client, path: str, command: str, **fields: object) -> Answer:
    return await client.post(f"/api/files/local/{path}", {"command": command, **fields})


def error(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]


async def selected(client: Client, printer: str = "") -> str | None:
    job = (await client.get(f"{printer}/api/job")).json()
    path: str | None = job["job"]["file"]["path"]
    return path


@pytest.fixture
async def operational(client: Client) -> Client:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    return client


# -- seen --


async def test_a_file_that_was_put_in_by_hand_is_there(client: Client, tmp_path: Path) -> None:
    (tmp_path / "uploads/sub").mkdir(parents=True)
    (tmp_path / "uploads/sub/by hand.gcode").write_bytes(b"G28\n")

    listed = (await client.get("/api/files/local?recursive=true")).json()["files"][0]["children"][0]
    told = (await client.get("/api/files/local/sub/by%20hand.gcode")).json()

    assert "hash" not in listed
    assert "user" not in told
    assert told == listed | {"hash": "6d807b2db29596cbe6777430f314490a554a5200"}
    assert told["refs"]["download"] == f"{client.address}downloads/files/local/sub/by%20hand.gcode"


@pytest.mark.parametrize("path", ["sub%2Fa.gcode", "sub//a.gcode", "/sub/a.gcode"])
async def test_a_path_may_be_quoted_or_have_a_slash_too_many(client: Client, path: str) -> None:
    await client.upload("a.gcode", path="sub")

    assert (await client.get(f"/api/files/local/{path}")).json()["path"] == "sub/a.gcode"


@pytest.mark.parametrize("name", ["%41.gcode", "a%2Fb.gcode", "50%.gcode", "a+b&c=d#e?f.gcode", "ä 😀.gcode"])
async def test_the_address_that_is_told_leads_to_the_file(client: Client, name: str) -> None:
    made = (await client.upload(name, b"G28 X\n")).json()["files"]["local"]

    for kind in ("resource", "download"):
        answer = await client.get("/" + made["refs"][kind].removeprefix(client.address))
        assert answer.status == 200, kind
    assert answer.body == b"G28 X\n"
    assert made["path"] in [file["path"] for file in (await client.get("/api/files")).json()["files"]]


async def test_folders_alone_may_be_asked_for(client: Client) -> None:
    await client.upload("a.gcode", path="sub/dir")

    top = (await client.get("/api/files?recursive=true&filter=folder")).json()["files"]

    assert [top[0]["path"], *(child["path"] for child in top[0]["children"])] == ["sub", "sub/dir"]
    assert top[0]["children"][0]["children"] == []


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"Host": "octopi.local"}, "http://octopi.local"),
        ({"Host": "[::1]:5000"}, "http://[::1]:5000"),
        ({"Host": "octopi.local", "X-Forwarded-Proto": "https"}, "https://octopi.local"),
        ({"Host": "octopi.local", "X-Forwarded-Proto": "javascript"}, "http://octopi.local"),
    ],
)
async def test_an_address_is_told_as_the_client_would_write_it(
    client: Client, headers: dict[str, str], base: str
) -> None:
    await client.upload("a.gcode")

    for prefix in ("", "/p/default"):
        path = f"{prefix}/api/files/local/a.gcode"
        answer = await client.request("GET", path, headers={"X-Api-Key": ADMIN_KEY, **headers})
        assert answer.json()["refs"]["resource"] == base + path


async def test_a_host_that_is_none_is_not_repeated(client: Client) -> None:
    answer = await client.send_raw(
        b"POST /api/files/local HTTP/1.1\r\nHost: a b<script>\r\nConnection: close\r\nContent-Length: 16\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nX-Api-Key: %b\r\n\r\nfoldername=a%%20b"
        % ADMIN_KEY.encode()
    )

    assert b"<script>" not in answer
    assert b"Location: http://localhost/api/files/local/a%20b" in answer


@pytest.mark.parametrize(
    "path", ["a.txt", "sub/nothing.gcode", "..", "..%2F..%2Flimpet.toml", "%00", ".limpet-index.json", "x" * 300]
)
async def test_what_is_not_there_is_a_404(client: Client, path: str, tmp_path: Path) -> None:
    await client.upload("a.gcode")
    (tmp_path / "uploads/a.txt").touch()

    for place in (f"/api/files/local/{path}", f"/downloads/files/local/{path}", f"/api/files/sdcard/{path}"):
        answer = await client.get(place)
        assert error(answer) == (404, NOT_FOUND), place
    assert (await client.delete(f"/api/files/local/{path}")).status == 404
    assert (await command(client, path, "select")).status == 404


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    settings = HERMETIC + '[files]\nuploads = "not/mounted"\n'
    async with running(tmp_path, settings=settings) as (client, _):
        for answer in (await client.get("/api/files"), await client.upload("a.gcode")):
            assert error(answer) == (409, "A file is in the way, or the folder of the uploads is not there")


def test_what_is_on_the_card_is_told_as_octoprint_does() -> None:
    first, second = card_files("http://h", {"A~1.GCO": (10, "A long name.gcode"), "DIR/B.G": (None, None)})

    assert (first.name, first.display, first.size, first.origin) == ("A~1.GCO", "A long name.gcode", 10, "sdcard")
    assert (second.name, second.path, second.display) == ("B.G", "DIR/B.G", "B.G")
    assert second.refs.resource == "http://h/api/files/sdcard/DIR/B.G"


# -- selected --


async def test_a_selected_file_is_that_of_the_job(operational: Client) -> None:
    file = (await operational.upload("a b.gcode", path="sub")).json()["files"]["local"]

    assert (await command(operational, "sub/a%20b.gcode", "select")).status == 204

    job = (await operational.get("/api/job")).json()["job"]
    assert job["file"] | {"date": None} == {
        "name": file["name"],
        "display": "a b.gcode",
        "path": "sub/a b.gcode",
        "origin": "local",
        "size": 4,
        "date": None,
    }
    assert job["user"] == "_api"


async def test_only_what_is_selected_can_be_unselected(operational: Client) -> None:
    for name in ("a.gcode", "b.gcode"):
        await operational.upload(name)

    assert error(await command(operational, "a.gcode", "unselect")) == (
        409,
        "Cannot unselect current file when there is no file selected",
    )
    await command(operational, "a.gcode", "select")
    assert error(await command(operational, "b.gcode", "unselect")) == (
        400,
        "Only the currently selected file can be unselected",
    )
    assert await selected(operational) == "a.gcode"
    assert (await command(operational, "current", "unselect")).status == 204
    assert await selected(operational) is None


async def test_a_selected_file_that_is_replaced_stays_selected_with_its_new_size(operational: Client) -> None:
    await operational.upload("a.gcode", b"G28\n", select="true")

    answer = await operational.upload("a.gcode", b"G28 X\n")

    assert answer.json()["effectiveSelect"] is False
    assert (await operational.get("/api/job")).json()["job"]["file"]["size"] == 6


async def test_a_selection_is_told_once_however_often_the_file_comes(operational: Client) -> None:
    events = operational.fleet.default.subscribe()
    for n in range(3):
        await operational.upload("a.gcode", b"G28\n" * (n + 1), select="true")
    events.close()
    told = [event.file.size async for event, _ in events if isinstance(event, FileSelected)]
    assert told == [4, 8, 12]


@pytest.mark.parametrize("path", ["sub/a.gcode", "sub"])
async def test_a_selected_file_that_is_moved_or_deleted_is_selected_no_longer(operational: Client, path: str) -> None:
    for verb in ("move", "delete"):
        await operational.upload("a.gcode", path="sub", select="true")
        assert await selected(operational) == "sub/a.gcode"
        if verb == "move":
            assert (await command(operational, path, "move", destination="b.gcode")).status == 201
        else:
            assert (await operational.delete(f"/api/files/local/{path}")).status == 204
        assert await selected(operational) is None


async def test_a_file_with_a_name_that_only_begins_like_that_of_a_deleted_folder_stays_selected(
    operational: Client,
) -> None:
    await operational.upload("a.gcode", path="sub")
    await operational.upload("sub.gcode", select="true")

    assert (await operational.delete("/api/files/local/sub")).status == 204

    assert await selected(operational) == "sub.gcode"


# -- on the printer's card --


@pytest.fixture
async def with_card(operational: Client) -> Client:
    """The virtual printer has told what is on its card."""
    await eventually(lambda: card(operational), 5)
    return operational


async def card(client: Client) -> list[str]:
    return [file["path"] for file in (await client.get("/api/files/sdcard")).json()["files"]]


@pytest.mark.parametrize("path", ["SQUARE.GCO", "SUB/TINY.GCO"])
async def test_a_file_on_the_card_is_listed_selected_and_deleted(with_card: Client, path: str) -> None:
    await with_card.upload("a.gcode")
    there = await card(with_card)
    everything = (await with_card.get("/api/files")).json()["files"]
    assert [file["path"] for file in everything] == ["a.gcode", *there]
    assert [file["origin"] for file in everything] == ["local", *["sdcard"] * len(there)]
    assert (await with_card.get(f"/api/files/sdcard/{path}")).json() in everything

    assert (await with_card.post(f"/api/files/sdcard/{path}", {"command": "select"})).status == 204
    job = (await with_card.get("/api/job")).json()["job"]["file"]
    assert (job["origin"], job["path"]) == ("sdcard", path)

    assert (await with_card.delete(f"/api/files/sdcard/{path}")).status == 204
    assert await selected(with_card) is None

    async def gone() -> bool:
        return await card(with_card) == [other for other in there if other != path]

    await eventually(gone, 5)
    assert (await with_card.delete(f"/api/files/sdcard/{path}")).status == 404


async def test_what_is_on_the_card_is_known_by_its_long_name(with_card: Client) -> None:
    file = (await with_card.get("/api/files/sdcard/CALIBR~1.GCO")).json()

    assert (file["name"], file["display"]) == ("CALIBR~1.GCO", "calibration cube v2.gcode")


# -- copied, moved --


async def test_a_copy_is_told_with_its_own_name_and_place(client: Client) -> None:
    await client.upload("a.gcode")

    answer = await command(client, "a.gcode", "copy", destination="b c.gcode")

    assert answer.status == 201
    assert answer.headers["Location"] == f"{client.address}api/files/local/b%20c.gcode"
    assert (answer.json()["name"], answer.json()["path"]) == ("b c.gcode", "b c.gcode")
    assert sorted(file["path"] for file in (await client.get("/api/files")).json()["files"]) == [
        "a.gcode",
        "b c.gcode",
    ]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"destination": None}, 400),
        ({"destination": 42}, 400),
        ({"destination": "../x.gcode"}, 400),
        ({"destination": "nowhere/x.gcode"}, 400),
        ({"destination": "\ud800"}, 400),
        ({"destination": "x" * 300 + ".gcode"}, 400),
        ({"destination": "a.gcode"}, 409),
        ({"destination": "b:.gcode"}, 409),
    ],
)
@pytest.mark.parametrize("verb", ["copy", "move"])
async def test_a_copy_or_move_that_cannot_be_is_refused(
    client: Client, verb: str, fields: dict[str, Any], status: int
) -> None:
    await client.upload("a.gcode")
    await client.upload("b.gcode")
    body = json.dumps({"command": verb, **fields}).encode()

    answer = await client.post("/api/files/local/a.gcode", body)

    assert answer.status == status
    assert answer.json()["error"]
    assert len((await client.get("/api/files")).json()["files"]) == 2


@pytest.mark.parametrize(
    ("path", "verb", "refusal"),
    [
        ("local/a.gcode", "slice", (415, "Cannot slice file, no slicer available")),
        ("local/missing.gcode", "uploadSd", (404, NOT_FOUND)),
        ("sdcard/a.gcode", "uploadSd", (404, NOT_FOUND)),
        ("local/a.gcode", "nope", (400, "command is invalid")),
        ("local/missing.gcode", "slice", (404, NOT_FOUND)),
        ("sdcard/a.gcode", "select", (404, NOT_FOUND)),
        ("sdcard/a.gcode", "copy", (400, "Unsupported target for copy")),
    ],
)
async def test_what_cannot_be_done_is_told(operational: Client, path: str, verb: str, refusal: tuple[int, str]) -> None:
    await operational.upload("a.gcode")

    assert error(await operational.post(f"/api/files/{path}", {"command": verb})) == refusal


async def test_print_is_a_boolean(operational: Client) -> None:
    await operational.upload("a.gcode")

    assert error(await command(operational, "a.gcode", "select", print="yes")) == (400, "print is invalid")
    assert await selected(operational) is None


# -- asked about --


async def test_a_name_is_tried_out(client: Client) -> None:
    await client.upload("a.gcode", path="sub")

    async def ask(command: str, path: str, filename: str) -> Any:
        body = {"command": command, "storage": "local", "path": path, "filename": filename}
        return (await client.post("/api/files/test", body)).json()

    assert await ask("exists", "sub", "b.gcode") == {"exists": False}
    known = await ask("exists", "sub", "a:.gcode")
    assert (known["exists"], known["suggestion"], known["size"]) == (True, "a_1.gcode", 4)
    assert (await ask("exists", "", "sub"))["suggestion"] == "sub_1"
    assert await ask("sanitize", "", "COM1.gcode") == {"sanitized": "COM1_.gcode"}
    for path, filename in (("..", "a.gcode"), ("", ".."), ("", ""), ("", "/")):
        assert "error" in await ask("sanitize", path, filename)


@pytest.mark.parametrize("change", [{"storage": "usb"}, {"filename": 7}, {"path": None}, {"command": ["exists"]}])
async def test_a_broken_question_is_refused(client: Client, change: dict[str, Any]) -> None:
    body = {"command": "exists", "storage": "local", "path": "", "filename": "a.gcode", **change}

    assert error(await client.post("/api/files/test", body)) == (400, f"{next(iter(change))} is invalid")


# -- who may --


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (("FILES_LIST",), {"list"}),
        (("FILES_LIST", "FILES_SELECT"), {"list", "select"}),
        (("FILES_LIST", "FILES_UPLOAD"), {"list", "copy", "upload"}),
        (("FILES_LIST", "FILES_UPLOAD", "FILES_DELETE"), {"list", "copy", "upload", "move", "delete"}),
        (("FILES_DOWNLOAD",), {"download"}),
        (("STATUS", "PRINT"), set()),
    ],
)
async def test_a_key_does_what_it_may_and_nothing_else(
    tmp_path: Path, permissions: tuple[str, ...], allowed: set[str]
) -> None:
    async with running(tmp_path, keys={"one": permissions}) as (client, keys):
        key = keys["one"]
        for name in ("a.gcode", "b.gcode", "c.gcode"):
            await client.upload(name)
        file = "/api/files/local/a.gcode"
        answers = {
            "list": await client.get("/api/files", key=key),
            "download": await client.get("/downloads/files/local/a.gcode", key=key),
            "select": await client.post(file, {"command": "select"}, key=key),
            "copy": await client.post(file, {"command": "copy", "destination": "d.gcode"}, key=key),
            "upload": await client.upload("e.gcode", key=key),
            "move": await client.post(
                "/api/files/local/b.gcode", {"command": "move", "destination": "f.gcode"}, key=key
            ),
            "delete": await client.delete("/api/files/local/c.gcode", key=key),
        }

        assert {what for what, answer in answers.items() if answer.status != 403} == allowed


async def test_a_key_that_may_upload_alone_selects_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, keys={"one": ("FILES_UPLOAD",)}) as (client, keys):
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await client.until_state("Operational")

        answer = await client.upload("a.gcode", key=keys["one"], select="true")

        assert (answer.status, answer.json()["effectiveSelect"]) == (201, False)
        assert await selected(client) is None


# -- several printers, and who is told --

THREE = HERMETIC + '[printers.a]\n[printers.b]\n[printers.c]\nuploads = "of c"\n'


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(tmp_path, settings=THREE) as (client, _):
        for id in "abc":
            await client.post(f"/p/{id}/api/connection", {"command": "connect", "port": "VIRTUAL", "baudrate": 115200})
        for id in "abc":
            await until_operational(client, id)
        yield client


async def until_operational(client: Client, id: str) -> None:
    printer = client.fleet.get(id)
    assert printer is not None
    async with asyncio.timeout(5):
        events = printer.subscribe()
        while printer.snapshot.state != "Operational":
            async for _, snapshot in events:
                if snapshot.state == "Operational":
                    break
        events.close()


def listen(client: Client) -> dict[str, list[Event]]:
    """What each printer tells of files from now on."""

    def hear(events: list[Event], event: Event, _: object) -> None:
        if isinstance(event, FilesChanged | FilesMoved | FileUploaded | FileSelected | FileDeselected):
            events.append(event)

    heard: dict[str, list[Event]] = {}
    for printer in client.fleet:
        events = heard.setdefault(printer.id, [])
        printer.subscribe().offer = partial(hear, events)  # type: ignore[method-assign]
    return heard


async def test_printers_share_their_files_and_are_told_of_them(three: Client, tmp_path: Path) -> None:
    heard = listen(three)

    await three.upload("x.gcode", to="a", select="true")

    added = [FilesChanged("FileAdded", "local", "x.gcode", KIND, "add"), UPDATED]
    assert [type(event) for event in heard["a"]] == [FilesChanged, FilesChanged, FileSelected, FileUploaded]
    assert heard["a"][:2] == heard["b"] == added
    assert heard["a"][3] == FileUploaded("local", "x.gcode", True, False, True, False)
    assert heard["c"] == []
    assert (await three.get("/p/b/api/files/local/x.gcode")).status == 200
    assert (await three.get("/p/c/api/files/local/x.gcode")).status == 404
    await three.upload("y.gcode", to="c")
    assert (tmp_path / "of c/y.gcode").read_bytes() == b"G28\n"


async def test_a_file_that_is_deleted_at_one_printer_is_selected_at_none(three: Client) -> None:
    await three.upload("x.gcode", to="a", select="true")
    await three.post("/p/b/api/files/local/x.gcode", {"command": "select"})
    heard = listen(three)

    await three.delete("/p/a/api/files/local/x.gcode")

    gone = [FileDeselected(), FilesChanged("FileRemoved", "local", "x.gcode", KIND, "remove"), UPDATED]
    assert heard == {"a": gone, "b": gone, "c": []}
    assert await selected(three, "/p/b") is None


async def test_everything_that_happens_to_files_is_told(client: Client) -> None:
    heard = listen(client)["default"]

    async def told(answer: Answer) -> list[Event]:
        assert answer.status in (201, 204)
        events = heard[:-1]
        assert heard[-1] == UPDATED
        heard.clear()
        return events

    await client.upload("x.gcode")
    heard.clear()
    form = {"X-Api-Key": ADMIN_KEY, "Content-Type": "application/x-www-form-urlencoded"}
    made = await client.request("POST", "/api/files/local", headers=form, body=b"foldername=sub")
    assert await told(made) == [FilesChanged("FolderAdded", "local", "sub")]
    assert await told(await command(client, "x.gcode", "copy", destination="sub")) == [
        FilesChanged("FileAdded", "local", "sub/x.gcode", KIND, "copy")
    ]
    assert await told(await command(client, "x.gcode", "move", destination="y.gcode")) == [
        FilesChanged("FileRemoved", "local", "x.gcode", KIND, "move"),
        FilesChanged("FileAdded", "local", "y.gcode", KIND, "move"),
        FilesMoved("FileMoved", "local", "x.gcode", "y.gcode", KIND),
    ]
    assert await told(await command(client, "sub", "move", destination="dir")) == [
        FilesChanged("FolderRemoved", "local", "sub"),
        FilesChanged("FolderAdded", "local", "dir"),
        FilesMoved("FolderMoved", "local", "sub", "dir"),
    ]
    assert await told(await client.delete("/api/files/local/dir")) == [FilesChanged("FolderRemoved", "local", "dir")]
