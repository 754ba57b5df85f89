"""`/api/limpet/history`: how prints went, and what a killed server says of the one that was under way."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.history_file import HistoryFile
from tests.test_history_file import record
from tests.web.server import HERMETIC, Client, eventually, printer_at, process, running

HISTORY = "/api/limpet/history"
LONG = b"G28\n" + b"".join(b"G1 X%d F6000\nG4 P20\n" % (number % 100) for number in range(2000))


async def prints(client: Client, query: str = "") -> list[Any]:
    answer = await client.get(HISTORY + query)
    assert answer.status == 200, answer.body
    found: list[Any] = answer.json()["prints"]
    return found


async def until_history(client: Client, condition: Callable[[list[Any]], Any], within: float = 10.0) -> list[Any]:
    found: list[Any] = []

    async def look() -> bool:
        found[:] = await prints(client)
        return bool(condition(found))

    await eventually(look, within, lambda: f"the history is {found}")
    return found


async def connected(client: Client, port: str = "VIRTUAL") -> None:
    await client.accepted("connect", port=port, baudrate=115200)
    await client.until_state("Operational")


async def printed(client: Client, name: str, content: bytes = b"M117 a\nG1 X1\nG1 X2\n") -> Any:
    """The file has been printed to its end: what the history says."""
    known = len(await prints(client))
    answer = await client.upload(name, content, print="true")
    assert answer.json()["effectivePrint"] is True
    found = await until_history(client, lambda found: len(found) > known and found[0]["outcome"])
    return found[0]


async def test_a_print_that_is_done_is_in_the_history(client: Client) -> None:
    await connected(client)

    found = await printed(client, "folder/a.gcode")

    assert found["file"] | {"date": 0} == {
        "origin": "local",
        "path": "folder/a.gcode",
        "display": "a.gcode",
        "size": 19,
        "date": 0,
    }
    assert (found["outcome"], found["code"], found["message"]) == ("done", None, None)
    assert (found["position"], found["line"], found["resends"]) == (19, 3, 0)
    assert (found["printer"], found["profile"], found["filament"]) == ("default", "_default", None)
    assert found["startedAt"] <= found["endedAt"]
    assert found["printTime"] >= 0
    assert (await client.get(f"/p/default{HISTORY}")).json()["prints"] == [found]


async def test_a_print_says_how_it_ended(client: Client) -> None:
    await connected(client)
    await client.upload("long.gcode", LONG, print="true")
    (under_way,) = await until_history(client, lambda found: found)
    assert (under_way["outcome"], under_way["endedAt"]) == (None, None)

    await client.post("/api/job", {"command": "cancel"})
    (found,) = await until_history(client, lambda found: found[0]["outcome"])

    assert (found["outcome"], found["code"]) == ("cancelled", "cancelled")
    assert found["id"] == under_way["id"]
    assert found["position"] < len(LONG)

    await client.upload("long.gcode", LONG, print="true")
    await client.accepted("disconnect")
    (found, _) = await until_history(client, lambda found: len(found) == 2 and found[0]["outcome"])
    assert (found["outcome"], found["code"]) == ("failed", "disconnected")


async def test_resends_of_a_print_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, settings=HERMETIC + "[virtual]\nresend_every = 5\n") as (client, _):
        await connected(client)

        found = await printed(client, "a.gcode", b"G1 X1\nG1 X2\n" * 20)

    assert found["outcome"] == "done"
    assert found["resends"] >= 3


async def test_pages_of_the_history(client: Client, tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "history.db")
    for number in range(4):
        file.put(record(f"{number}.gcode", printer="default" if number else "mk3"))
    file.close()

    assert [each["file"]["path"] for each in await prints(client)] == ["3.gcode", "2.gcode", "1.gcode"]
    assert [each["file"]["path"] for each in await prints(client, "?limit=1&offset=1")] == ["2.gcode"]
    assert [each["printer"] for each in await prints(client, "?all=true")][-1] == "mk3"
    assert (await client.get(f"{HISTORY}?limit=1")).json()["total"] == 3
    for query in ("limit=-1", "limit=x", "offset=1.5", "offset=", "limit=9999999999", "limit=²"):
        assert (await client.get(f"{HISTORY}?{query}")).status == 400


async def test_prints_are_forgotten(client: Client) -> None:
    await connected(client)
    first, second = await printed(client, "a.gcode"), await printed(client, "b.gcode")

    assert (await client.delete(f"{HISTORY}/{first['id']}")).status == 204
    assert (await client.delete(f"{HISTORY}/{first['id']}")).status == 404
    assert await prints(client) == [second]

    await client.upload("long.gcode", LONG, print="true")
    under_way = (await until_history(client, lambda found: len(found) == 2))[0]
    assert (await client.delete(f"{HISTORY}/{under_way['id']}")).status == 409
    assert (await client.delete(HISTORY)).status == 204
    assert [each["id"] for each in await prints(client)] == [under_way["id"]]


async def test_the_history_needs_permissions(tmp_path: Path) -> None:
    keys = {"looks": ["FILES_LIST"], "sees": ["STATUS"], "deletes": ["FILES_DELETE"]}
    async with running(tmp_path, keys=keys) as (client, made):
        assert [(await client.get(HISTORY, key=made[name])).status for name in keys] == [200, 403, 403]
        assert [(await client.delete(HISTORY, key=made[name])).status for name in keys] == [403, 403, 204]


async def test_a_history_that_cannot_be_kept_stops_no_print_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = sqlite3.connect(tmp_path / "history.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    async with running(tmp_path) as (client, _):
        await connected(client)
        await client.upload("a.gcode", b"G1 X1\n", print="true")
        await eventually(lambda: client.fleet.default.snapshot.last_print, 5.0)

        last = client.fleet.default.snapshot.last_print
        assert last is not None
        assert last.outcome == "done"
        answer = await client.get(HISTORY)
        assert (answer.status, "newer Limpet" in answer.json()["error"]) == (409, True)
        assert "prints go on, but are not kept in the history" in caplog.text


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    async with running(tmp_path) as (client, _):
        await connected(client)
        await client.upload("a.gcode", b"G1 X1\n", print="true")
        await eventually(lambda: client.fleet.default.snapshot.last_print, 5.0)
        await eventually(lambda: client.fleet.history.fault, 5.0)
        (tmp_path / "history.db").rmdir()

        found = await printed(client, "b.gcode")

        assert [each["file"]["path"] for each in await prints(client)] == ["b.gcode", "a.gcode"]
        assert found["file"]["path"] == "b.gcode"
        assert (await client.get(HISTORY)).json()["fault"] is None


async def test_a_killed_server_says_which_print_it_cut_off_and_where(tmp_path: Path, folder: Path, link: Path) -> None:
    content = b"G28\n" + b"; a remark\nG1 X10 F6000\nG4 P10\n" * 3000
    lines = content.count(b"\n")
    async with printer_at(link), process(folder, ports=[str(link)]) as server:
        client = await server.start()
        await connected(client, str(link))
        assert (await client.upload("part.gcode", content, print="true")).json()["effectivePrint"] is True

        async def past_line_100() -> bool:
            return any(each["line"] > 100 for each in await prints(client))

        await eventually(past_line_100, 20.0)
        (before,) = await prints(client)
        await asyncio.sleep(1.2)
        job = (await client.get("/api/job")).json()["progress"]
        await server.kill()
        await client.close()

        client = await server.start()
        (found,) = await prints(client)
        told = (await client.get("/api/job")).json()
        await connected(client, str(link))
        await asyncio.sleep(1.0)
        state, sent = (await client.get("/api/job")).json()["state"], (await client.connection())["current"]["link"]
        total = len(await prints(client))
        await client.close()

        assert (found["id"], found["outcome"], found["code"]) == (before["id"], "failed", "server_ended")
        assert found["file"]["path"] == "part.gcode"
        assert re.fullmatch(
            rf"Limpet was ended while it printed part.gcode, at about line {found['line']}", found["message"]
        )
        assert 100 < before["line"] <= found["line"] < lines
        assert found["startedAt"] < found["endedAt"]
        # What is known is at most two seconds old.
        assert found["position"] > job["filepos"] * 0.3
        assert told["lastPrint"]["code"] == "server_ended"
        assert (told["lastPrint"]["line"], told["lastPrint"]["file"]["path"]) == (found["line"], "part.gcode")
        # Nothing is sent by itself, but for what is asked of any printer.
        assert (state, total) == ("Operational", 1)
        assert sent["linesSent"] < 20


LAYERS = b"M83\nG90\n" + b"".join(
    b";LAYER_CHANGE\n;Z:%.1f\nG1 Z%.1f F600\n" % (z * 0.2, z * 0.2)
    + b"G4 P250\n"
    + b"".join(b"G1 X%d E0.5 F6000\n" % (10 + n % 2) for n in range(20))
    for z in range(1, 11)
)
"""Ten layers, 100 mm of filament."""


async def job_of(client: Client) -> Any:
    answer = await client.get("/api/job")
    assert answer.status == 200
    return answer.json()


async def test_a_print_is_followed_by_what_is_in_its_file_as_soon_as_that_is_known(tmp_path: Path) -> None:
    async with running(tmp_path, analyse=True) as (client, _):
        await connected(client)
        answer = await client.upload("slow.gcode", LAYERS, print="true")
        assert answer.json()["effectivePrint"] is True
        told: dict[str, Any] = {}

        async def in_some_layer() -> bool:
            told.update(await job_of(client))
            return bool(told["progress"].get("layer", 0) > 1)

        await eventually(in_some_layer, 20.0, lambda: str(told))
        found = await until_history(client, lambda found: found[0]["outcome"], 30.0)

        progress, job = told["progress"], told["job"]
        assert (progress["layers"], progress["z"]) == (10, pytest.approx(0.2 * progress["layer"]))
        assert progress["printTimeLeftOrigin"] in ("analysis", "mixed-analysis")
        assert 0 < progress["printTimeLeft"] < 60
        assert job["estimatedPrintTime"] > 2.5
        assert job["filament"]["tool0"]["length"] == pytest.approx(100.0)
        assert (job["averagePrintTime"], job["lastPrintTime"]) == (None, None)
        assert found[0]["filament"]["tool0"]["length"] == pytest.approx(100.0)

        async def average_is_told() -> bool:
            job = (await job_of(client))["job"]
            return job["averagePrintTime"] == job["lastPrintTime"] == found[0]["printTime"]

        await eventually(average_is_told, 5.0)


async def test_a_file_that_is_selected_tells_how_its_prints_went(client: Client) -> None:
    await connected(client)
    took = [(await printed(client, "a.gcode"))["printTime"]]
    await client.post("/api/job", {"command": "start"})
    found = await until_history(client, lambda found: len(found) == 2 and found[0]["outcome"])
    took.append(found[0]["printTime"])
    await client.upload("b.gcode", b"G1 X1\n", select="true")
    assert (await job_of(client))["job"]["averagePrintTime"] is None

    await client.post("/api/files/local/a.gcode", {"command": "select"})

    async def are_told() -> bool:
        job = (await job_of(client))["job"]
        return bool(job["lastPrintTime"] == took[1] and job["averagePrintTime"] == pytest.approx(sum(took) / 2))

    await eventually(are_told, 5.0)
    assert (await client.delete(f"{HISTORY}/{found[0]['id']}")).status == 204

    async def only_the_first_is_told() -> bool:
        return bool((await job_of(client))["job"]["averagePrintTime"] == took[0])

    await eventually(only_the_first_is_told, 5.0)


def shape(value: Any) -> Any:
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else type(value)


async def files(client: Client, path: str = "") -> Any:
    answer = await client.get(f"/api/files/local{path}")
    assert answer.status == 200
    return answer.json()


async def test_a_file_tells_how_its_prints_went(client: Client) -> None:
    await connected(client)
    first = await printed(client, "deep/in/a.gcode")
    second = await printed(client, "deep/b.gcode")
    await client.upload("c.gcode", LONG, print="true")
    await client.post("/api/job", {"command": "cancel"})
    cancelled = (await until_history(client, lambda found: len(found) == 3 and found[0]["outcome"]))[0]

    file = await files(client, "/deep/in/a.gcode")
    assert file["prints"] == {
        "success": 1,
        "failure": 0,
        "last": {"date": first["endedAt"], "printTime": first["printTime"], "success": True},
    }
    assert file["statistics"] == {
        "averagePrintTime": {"_default": first["printTime"]},
        "lastPrintTime": {"_default": first["printTime"]},
    }
    recorded = json.loads((Path(__file__).parents[1] / "golden/files.json").read_text())
    octoprints = next(each for each in recorded if each["name"] == "op-files-get-after-prints")["response"]["body"]
    for name in ("prints", "statistics"):
        assert shape(file[name]) == shape(octoprints[name])
    told = {each["path"]: each for each in (await files(client))["files"]}
    assert told["deep"]["prints"] == {
        "success": 2,
        "failure": 0,
        "last": {"date": second["endedAt"], "printTime": second["printTime"], "success": True},
    }
    assert told["c.gcode"]["prints"]["failure"] == 1
    assert told["c.gcode"]["prints"]["last"] == {
        "date": cancelled["endedAt"],
        "printTime": cancelled["printTime"],
        "success": False,
    }
    assert told["c.gcode"]["statistics"] == {"averagePrintTime": {}, "lastPrintTime": {}}
    (inner,) = (await files(client, "/deep/in"))["children"]
    assert inner["prints"] == file["prints"]


async def test_what_a_file_was_printed_goes_with_it_when_it_moves_and_stays_when_it_is_copied(client: Client) -> None:
    await connected(client)
    await printed(client, "a.gcode")
    prints_of_a = (await files(client, "/a.gcode"))["prints"]

    await client.post("/api/files/local/a.gcode", {"command": "copy", "destination": "copy.gcode"})
    moved = await client.post("/api/files/local/a.gcode", {"command": "move", "destination": "b.gcode"})

    assert moved.status == 201
    assert (await files(client, "/b.gcode"))["prints"] == prints_of_a
    assert (await prints(client))[0]["file"]["path"] == "b.gcode"
    copy = await files(client, "/copy.gcode")
    assert "prints" not in copy
    assert "statistics" not in copy


async def test_a_file_of_the_same_name_begins_anew(client: Client) -> None:
    await connected(client)
    await printed(client, "a.gcode")

    await client.upload("a.gcode", b"G1 X1\n")

    assert "prints" not in await files(client, "/a.gcode")


async def test_a_print_that_a_kill_has_cut_off_goes_on_when_a_person_says_so(
    tmp_path: Path, folder: Path, link: Path
) -> None:
    content = b"G28\nG90\nM82\nG1 Z0.2 F600\n" + b"".join(
        b"G1 X%.2f Y%d E%.3f F3000\n" % (10 + n % 40 * 0.5, 10 + n // 40, n * 0.02) for n in range(400)
    )
    async with printer_at(link, reset_on_open=False), process(folder, ports=[str(link)]) as server:
        client = await server.start()
        await connected(client, str(link))
        assert (await client.upload("part.gcode", content, print="true")).json()["effectivePrint"] is True
        await until_history(client, lambda found: found and found[0]["line"] > 60, 20.0)
        await server.kill()
        await client.close()

        client = await server.start()
        await connected(client, str(link))
        assert "hint" in (await job_of(client))["lastPrint"]
        answer = await client.post("/api/job", {"command": "recover"})
        assert answer.status == 204, answer.body
        found = await until_history(client, lambda found: len(found) == 2 and found[0]["outcome"], 60.0)
        file = await files(client, "/part.gcode")
        await client.close()

    assert (found[0]["outcome"], found[0]["position"]) == ("done", len(content))
    assert (found[1]["outcome"], found[1]["code"]) == ("failed", "server_ended")
    assert (file["prints"]["success"], file["prints"]["failure"]) == (1, 1)
    assert file["statistics"]["averagePrintTime"] == {}


async def test_a_server_that_is_ended_in_order_says_which_print_that_has_ended(folder: Path) -> None:
    async with process(folder) as server:
        client = await server.start()
        await connected(client)
        await client.upload("long.gcode", LONG, print="true")
        await until_history(client, lambda found: found and found[0]["line"] > 0)
        await client.close()
        assert await server.stop() == 0

        client = await server.start()
        (found,) = await prints(client)
        await client.close()

    assert (found["outcome"], found["code"]) == ("failed", "server_ended")
    assert found["message"] == "The server was ended"
    assert found["line"] > 0


async def test_a_server_starts_with_a_broken_history(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)
    async with running(tmp_path) as (client, _):
        await connected(client)
        found = await printed(client, "a.gcode")

        assert (found["id"], (await client.get(HISTORY)).json()["fault"]) == (1, None)
    assert "it is kept as history.db.broken, and a new one is begun" in caplog.text
