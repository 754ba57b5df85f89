"""What OctoPrint 1.11.8 really answered at `/api/files`, `/downloads` and `/api/job`, asked again of Limpet.

Status, place and body are compared, as far as the recorded body goes and it is not `VOLATILE`; files come in any order.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from limpet.storage.store import Store
from tests.web.scenes import (
    BUSY,
    SILENT,
    SLOW,
    Bench,
    Scene,
    closed,
    connecting_to_the_silent_one,
    detection_failed,
    disconnected,
    halted,
    opening_a_file,
    opening_failed,
    operational,
    paused,
    printing,
    then,
)
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, eventually
from tests.web.test_golden import NO_KEY, Difference

TESTS = Path(__file__).parents[1]
EXCHANGES: dict[str, Any] = {
    each["name"]: each for area in ("files", "job") for each in json.loads((TESTS / f"golden/{area}.json").read_text())
}
HOST = "http://127.0.0.1:5931"
GCODE = b"G28\nG1 X10 Y10 F3000\nG1 X20 Y20 E1\n"
FILES = (
    *("Größe ß.gcode", "a b (1).gcode", "bench.gcode", "bench2.gcode", "bench3.gcode", "plate.gcode"),
    *("short.gcode", "slow.gcode", "sub/dir/part.gcode"),
)
"""What had been uploaded, at one time or another."""
VOLATILE = {
    *("date", "free", "total"),
    *("gcodeAnalysis", "prints", "statistics", "averagePrintTime", "estimatedPrintTime", "lastPrintTime", "filament"),
    *("printTimeLeft", "printTimeLeftOrigin"),
}
"""Fields that are of another time or another disk, or of an analysis, for which no process is started here."""

NOT_REPLAYED = {
    "op-files-sdcard": "the card of its virtual printer was empty, and ours is not",
}
"""Exchange -> why it cannot be set up."""

MOVING = {"completion", "filepos", "printTime"}
"""How far a print is, which is another number each time."""

SAYS_WHY = "A refusal says what is the matter"
DIFFERENCES = {
    "closed-job-nokey": NO_KEY,
    "files-file-download-nokey": NO_KEY,
    "upload-nokey": NO_KEY,
    "upload-wrongkey": NO_KEY,
    "files-select-closed": Difference(SAYS_WHY, status=409, body={"error": "The printer is not operational"}),
    "upload-local-traversal": Difference(
        SAYS_WHY,
        status=400,
        body={"error": "Can not upload file, invalid file name: .. would lead out of the folder of the uploads"},
    ),
    "files-select-print-closed": Difference(SAYS_WHY, status=409, body={"error": "The printer is not operational"}),
    "job-get-after-failed-connect": Difference(
        "An attempt always ends, and says why", current={"state": "Offline after error"}
    ),
}
"""Exchange -> what is answered instead, and why; `current` are changes to the recorded body."""


async def slow_selected(bench: Bench) -> None:
    await bench.connect()
    answer = await bench.client.post("/api/files/local/slow.gcode", {"command": "select"})
    assert answer.status == 204


async def bench_selected(bench: Bench) -> None:
    await bench.connect()
    answer = await bench.client.post("/api/files/local/bench.gcode", {"command": "select"})
    assert answer.status == 204


async def bench3_deleted(bench: Bench) -> None:
    answer = await bench.client.request("DELETE", "/api/files/local/bench3.gcode", headers={"X-Api-Key": ADMIN_KEY})
    assert answer.status == 204


async def short_printed(bench: Bench) -> None:
    await printing(bench, "short.gcode", GCODE)

    async def is_done() -> bool:
        job = (await bench.client.get("/api/job")).json()
        return (job["state"], job["progress"]["completion"]) == ("Operational", 100.0)

    await eventually(is_done, 10.0)


SCENES: dict[str, Scene] = {
    "files-delete-missing": bench3_deleted,
    "job-get-after-detect-failed": detection_failed,
    "job-get-after-failed-connect": opening_failed,
    "job-get-after-fatal": halted,
    "job-get-after-openfail": opening_a_file,
    "job-get-after-disconnect-while-printing": then(printing, disconnected),
    "op-job-get-after-done": short_printed,
    "job-get-while-connecting": connecting_to_the_silent_one,
    "job-start-while-connecting": connecting_to_the_silent_one,
    "op-files-unselect": bench_selected,
    "op-job-get-after-cancel": slow_selected,
    "op-job-get-selected": slow_selected,
    "op-job-pause-selected": slow_selected,
    "op-job-start": slow_selected,
}
"""Exchange -> the scene before it, where its name does not tell."""


def scene_of(name: str) -> Scene:
    by_prefix: dict[str, Scene] = {"op": operational, "print": printing, "paused": paused}
    return SCENES.get(name) or by_prefix.get(name.partition("-")[0], closed)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("name", [name for name in EXCHANGES if name not in NOT_REPLAYED])
async def test_it_is_answered_as_octoprint_does(name: str, tmp_path: Path, stack: AsyncExitStack) -> None:
    request, bench = EXCHANGES[name]["request"], Bench(tmp_path, stack)
    fill(tmp_path / "uploads", files_of(name))
    await bench.serve(ports=[BUSY, SILENT, "VIRTUAL"], settings=HERMETIC, keys={"viewer": ("STATUS", "FILES_LIST")})
    await scene_of(name)(bench)

    answer = await bench.client.request(
        request["method"], request["path"], headers=headers_of(bench, name), body=body_of(request["body"])
    )

    assert told(answer, bench, expected := expected_answer(name)) == expected


def test_each_exchange_is_known_by_its_name() -> None:
    assert EXCHANGES.keys() >= NOT_REPLAYED.keys() | DIFFERENCES.keys() | SCENES.keys()
    assert not NOT_REPLAYED.keys() & (DIFFERENCES.keys() | SCENES.keys())


def test_each_difference_is_explained_in_the_documentation() -> None:
    text = (TESTS.parent / "docs/api.md").read_text()
    differences = text.partition("## Where it differs from OctoPrint")[2]

    assert [each.reason for each in DIFFERENCES.values() if f"- **{each.reason}" not in differences] == []


# -- what is there --


def files_of(name: str) -> list[str]:
    """Of the list, those that are told; else all."""
    body = EXCHANGES[name]["response"]["body"]
    return paths_in(body["files"]) if isinstance(body, dict) and isinstance(body.get("files"), list) else list(FILES)


def paths_in(entries: list[Any]) -> list[str]:
    return [path for each in entries for path in ([each["path"]] if each["type"] != "folder" else in_folder(each))]


def in_folder(entry: Any) -> list[str]:
    # Where the listing is not recursive, a folder is known by its size alone.
    inner = paths_in(entry["children"])
    return inner or ([f"{entry['path']}/dir/part.gcode"] if entry["size"] else [f"{entry['path']}/"])


def fill(folder: Path, paths: list[str]) -> None:
    """`bench.gcode`, `sub/dir/part.gcode`; a path that ends in `/` is a folder."""
    store = Store(folder)
    for path in (*paths, "newfolder/") if paths else ():
        if path.endswith("/"):
            store.make_folder(path)
            continue
        upload = store.begin()
        upload.write([SLOW if "slow" in path else GCODE])
        store.place(upload, path, user="_api")
        upload.discard()


# -- the request and the answer --


def headers_of(bench: Bench, name: str) -> dict[str, str]:
    key = bench.keys["viewer"] if "userkey-viewer" in name else ADMIN_KEY
    return {header: value.replace("abcdef", key) for header, value in EXCHANGES[name]["request"]["headers"].items()}


def body_of(body: Any) -> bytes | None:
    if body is None:
        return None
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def expected_answer(name: str) -> dict[str, Any]:
    response, difference = EXCHANGES[name]["response"], DIFFERENCES.get(name)
    if difference is not None and difference.body is not None:
        return {
            "status": difference.status,
            "headers": {"Content-Type": "application/json"},
            "body": difference.body,
        }
    headers = {header: response["headers"].get(header) for header in ("Content-Type", "Location")}
    body = compared(response["body"])
    if isinstance(body, dict) and "state" in body:
        # Which error it is, is told in other words.
        body["error"] = "error" in body
    if difference is not None:
        body |= difference.current
        body |= {"error": True} if "error" in body else {}
    return {"status": response["status"], "headers": headers, "body": body}


def told(answer: Answer, bench: Bench, expected: dict[str, Any]) -> dict[str, Any]:
    """As much of the answer as the expected one has: more fields are welcome."""
    own = bench.client.address.rstrip("/")
    text = answer.body.decode().replace(own, HOST)
    headers = {name: answer.headers.get(name, "").replace(own, HOST) or None for name in expected["headers"]}
    is_json = answer.headers["Content-Type"] == "application/json"
    body = compared(json.loads(text)) if is_json and text else text or None
    if isinstance(body, dict) and "state" in body:
        body["error"] = "error" in body
    return {"status": answer.status, "headers": headers, "body": common(body, expected["body"])}


def compared(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: "number" if name in MOVING and each not in (None, 100) else compared(each)
                for name, each in value.items()
                if name not in VOLATILE
            }
        case list() if value and isinstance(value[0], dict):
            return sorted((compared(each) for each in value), key=lambda each: each["path"])
    return value


def common(value: Any, expected: Any) -> Any:
    if isinstance(value, dict) and isinstance(expected, dict):
        return {name: common(value[name], expected[name]) for name in expected if name in value}
    if isinstance(value, list) and isinstance(expected, list) and len(value) == len(expected):
        return [common(*pair) for pair in zip(value, expected, strict=True)]
    return value
