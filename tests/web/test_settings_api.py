"""`/api/settings`, `/api/system/commands` and the honest empty answers, over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from limpet.settings_file import SettingsFile
from tests.web.server import ADMIN_KEY, HERMETIC, Client, eventually, process, running

GOLDEN = Path(__file__).parents[1] / "golden"
COMMANDS = f"""{HERMETIC}
[commands.reboot]
run = ["touch", "%s"]
confirm = "Really?"

[commands.fails]
run = ["sh", "-c", "echo so not >&2; exit 3"]

[commands.missing]
run = ["/no/such/program"]

[commands.shell]
run = ["true", "; touch %s"]
"""


def recorded(name: str) -> Any:
    exchanges = [json.loads((GOLDEN / f"{file}.json").read_text()) for file in ("server", "settings")]
    return next(each["response"] for file in exchanges for each in file if each["name"] == name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("languages-get", "/api/languages"),
        ("plugin-unknown-get", "/api/plugin/zbolt_octoscreen?command=get_settings"),
        ("slicing-get", "/api/slicing"),
        ("system-commands-get", "/api/system/commands"),
        ("system-commands-core-get", "/api/system/commands/core"),
        ("system-commands-unknown-source", "/api/system/commands/nope"),
        ("api-404", "/api/nope"),
    ],
)
async def test_what_octoprint_answers_where_there_is_nothing_is_answered_here(
    client: Client, name: str, path: str
) -> None:
    answer, golden = await client.get(path), recorded(name)
    assert (answer.status, answer.json()) == (golden["status"], golden["body"])


async def test_an_address_is_told_as_octoprint_tells_it(client: Client) -> None:
    answer = await client.post("/api/util/test", {"command": "address"})
    assert answer.json() == recorded("util-test-address")["body"]
    assert (await client.post("/api/util/test", {"command": "path", "path": "/etc/passwd"})).status == 400


async def test_there_are_no_timelapses(client: Client) -> None:
    golden = recorded("timelapse-get")["body"]
    assert (await client.get("/api/timelapse")).json() == {**golden, "enabled": False}
    assert (await client.get("/api/timelapse?unrendered=true")).json()["unrendered"] == []


@pytest.mark.parametrize("path", ["/api/logs", "/plugin/logging/logs"])
async def test_there_are_no_log_files_and_the_room_on_the_disk_is_the_true_one(client: Client, path: str) -> None:
    answer = (await client.get(path)).json()
    assert answer["files"] == []
    assert 0 < answer["free"] <= answer["total"]


async def test_settings_have_octoprints_keys_and_no_others(client: Client) -> None:
    def differ(ours: Any, theirs: Any, path: str = "") -> list[str]:
        if not isinstance(ours, dict) or not isinstance(theirs, dict) or path == ".plugins":
            return []
        return [
            *(f"{path}.{key}" for key in ours.keys() - theirs.keys()),
            *(each for key in ours.keys() & theirs.keys() for each in differ(ours[key], theirs[key], f"{path}.{key}")),
        ]

    ours = (await client.get("/api/settings")).json()
    assert differ(ours, recorded("settings-get")["body"]) == []
    # Home Assistant cannot set itself up without the first, and fails at a null in the second.
    assert len(ours["plugins"]["discovery"]["upnpUuid"]) == 36
    assert ours["webcam"]["streamUrl"] == ""


async def test_the_identity_of_the_server_outlives_it(folder: Path) -> None:
    seen = []
    for _ in range(2):
        async with running(folder) as (limpet, _):
            seen.append((await limpet.get("/api/settings")).json()["plugins"]["discovery"]["upnpUuid"])
    assert seen[0] == seen[1]


async def test_what_limpet_has_can_be_set_and_is_kept(folder: Path) -> None:
    async with running(folder) as (limpet, _):
        answer = await limpet.post(
            "/api/settings",
            {"appearance": {"name": "golden", "color": "red"}, "webcam": {"flipH": True}, "devel": {"x": 1}},
        )
        assert answer.status == 200
        assert answer.json()["appearance"]["name"] == "golden"
        assert answer.json()["webcam"]["flipH"] is True
    async with running(folder) as (limpet, _):
        assert (await limpet.get("/api/settings")).json()["appearance"]["color"] == "red"


@pytest.mark.parametrize(
    "address",
    ["", "/webcam/?action=stream", "192.168.1.5:8080/a", "http://pi:8080/a?b=c:d", "rtsp://u:p@cam/1", "webrtc://pi/a"],
)
async def test_the_address_of_a_camera_may_be(client: Client, address: str) -> None:
    answer = await client.post("/api/settings", {"webcam": {"streamUrl": address}})
    assert (answer.status, answer.json()["webcam"]["streamUrl"]) == (200, address)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"appearance": []},
        {"appearance": {"name": 5}},
        {"appearance": {"color": "plaid"}},
        {"appearance": {"name": "x" * 65}},
        {"webcam": {"flipH": "yes"}},
        {"webcam": {"streamUrl": "javascript:alert(1)"}},
        {"webcam": {"snapshotUrl": " Java\tScript:alert(1)"}},
        {"webcam": {"streamUrl": "data:text/html,x"}},
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(client: Client, body: Any) -> None:
    before = (await client.get("/api/settings")).json()
    answer = await client.post("/api/settings", body)
    assert answer.status in (400, 409)
    assert answer.json()["error"]
    assert (await client.get("/api/settings")).json() == before


async def test_a_command_is_run_without_a_shell(folder: Path, tmp_path: Path) -> None:
    done, not_done = tmp_path / "done", tmp_path / "not done"
    async with running(folder, settings=COMMANDS % (done, not_done)) as (limpet, _):
        listed = (await limpet.get("/api/system/commands")).json()
        assert [each["action"] for each in listed["core"]] == ["reboot"]
        assert listed["core"][0]["resource"] == f"{limpet.address}api/system/commands/core/reboot"
        assert [each["action"] for each in listed["custom"]] == ["fails", "missing", "shell"]
        # Home Assistant's library sends this content type, two slashes and no body.
        answer = await limpet.request(
            "POST",
            "//api/system/commands/core/reboot",
            headers={"X-Api-Key": "the-key-of-these-tests", "Content-Type": "application/octet-stream"},
        )
        assert (answer.status, answer.body) == (204, b"")
        assert done.exists()
        assert (await limpet.post("/api/system/commands/custom/shell", None)).status == 204
        assert not not_done.exists()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("custom/fails", 409, "exit code 3: so not"),
        ("custom/missing", 409, "No such file"),
        ("custom/reboot", 404, "not found"),
        ("core/fails", 404, "not found"),
        ("plugin/fails", 404, "not found"),
        ("core/nope", 404, "not found"),
    ],
)
async def test_a_command_that_cannot_be_run_says_why(
    folder: Path, tmp_path: Path, path: str, status: int, words: str
) -> None:
    async with running(folder, settings=COMMANDS % (tmp_path / "a", tmp_path / "b")) as (limpet, _):
        answer = await limpet.post(f"/api/system/commands/{path}", {})
        assert answer.status == status
        assert words in answer.json()["error"]


async def test_controls_are_told_in_their_groups(tmp_path: Path) -> None:
    settings = """
[controls.light]
commands = ["M355 S1"]
[controls.fan_on]
name = "On"
commands = ["M106 S255"]
confirm = "Sure?"
group = "Fan"
[controls.fan_off]
name = "Off"
commands = ["M107"]
group = "Fan"
"""
    async with running(tmp_path, settings=HERMETIC + settings) as (client, _):
        controls = [
            {"name": "light", "commands": ["M355 S1"]},
            {
                "name": "Fan",
                "children": [
                    {"name": "On", "commands": ["M106 S255"], "confirm": "Sure?"},
                    {"name": "Off", "commands": ["M107"]},
                ],
            },
        ]
        assert (await client.get("/api/printer/command/custom")).json() == {"controls": controls}
        assert (await client.get("/api/settings")).json()["controls"] == controls


# -- scripts --


async def test_scripts_are_read_and_written_as_octoprint_does(client: Client, tmp_path: Path) -> None:
    told = (await client.get("/api/settings")).json()["scripts"]["gcode"]
    assert told["afterPrintCancelled"].splitlines()[1:] == ["M84", "M104 S0", "M140 S0", "M106 S0"]

    text = "M117 {{ script.name }}\n{% snippet 'disable_bed' %}\n"
    answer = await client.post("/api/settings", {"scripts": {"gcode": {**told, "afterPrintDone": text}}})

    assert answer.status == 200
    assert answer.json()["scripts"]["gcode"] == {**told, "afterPrintDone": text}
    assert list(client.fleet.preferences(client.fleet.default).scripts) == ["afterPrintDone"]
    assert SettingsFile(tmp_path / "limpet.toml").load().printers["default"].scripts == {"afterPrintDone": text}
    assert (await client.post("/api/settings", {"scripts": {"gcode": {"afterPrintDone": ""}}})).status == 200
    assert not client.fleet.preferences(client.fleet.default).scripts


@pytest.mark.parametrize(
    ("scripts", "why"),
    [
        ([], None),
        ({"gcode": []}, "scripts.gcode is invalid"),
        ({"gcode": {"afterPrintDone": 5}}, "scripts.gcode is invalid"),
        ({"gcode": {"afterPrintDone": "G28\n{% if"}}, "The script afterPrintDone: line 2: "),
        ({"gcode": {"../x": "G28"}}, "The script ../x: a name has"),
        (
            {"gcode": {"afterPrintDone": "{{ tool.new }}"}},
            "The script afterPrintDone: line 1: there is no tool in this",
        ),
        ({"gcode": {"a": "{% snippet 'b' %}"}}, "The script a: line 1: there is no snippet b"),
    ],
)
async def test_a_bad_script_is_refused_and_nothing_changes(client: Client, scripts: object, why: str | None) -> None:
    answer = await client.post("/api/settings", {"scripts": scripts})

    assert answer.status == (200 if why is None else 400)
    assert why is None or answer.json()["error"].startswith(why)
    assert not client.fleet.preferences(client.fleet.default).scripts


async def test_a_script_is_sent_when_it_is_asked_for(client: Client) -> None:
    await client.post("/api/settings", {"scripts": {"gcode": {"clean": "M117 {{ word }}{{ 1 + pause_position.x }}"}}})
    await client.post("/api/settings", {"scripts": {"gcode": {"say": "M117 {{ word }}"}}})
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")

    said = await client.post("/api/printer/command", {"script": "say", "context": {"word": "hello"}})
    failed = await client.post("/api/printer/command", {"script": "clean", "context": {"pause_temperature": 5}})
    unknown = await client.post("/api/printer/command", {"script": "snippets/disable_bed"})
    odd = await client.post("/api/printer/command", {"script": "say", "context": 5})

    assert (said.status, failed.status, unknown.status, odd.status) == (204, 400, 404, 400)
    await eventually(lambda: any("M117 hello" in line for _, line in client.fleet.default.recent), 5.0)


async def test_what_would_end_a_print_has_to_be_confirmed(folder: Path, tmp_path: Path) -> None:
    done, shell = tmp_path / "done", tmp_path / "shell"
    async with running(folder, settings=COMMANDS % (done, shell)) as (limpet, _):
        await limpet.accepted("connect", port="VIRTUAL", baudrate=115200)
        await limpet.until_state("Operational")
        await limpet.upload("a.gcode", b"G4 P100\n" * 100, print="true")
        path = "/api/system/commands/core/reboot"
        bare = await limpet.request("POST", path, headers={"X-Api-Key": ADMIN_KEY})
        refused = [bare, *[await limpet.post(path, body) for body in ({}, {"confirm": "yes"}, {"confirm": 1}, [])]]

        assert {answer.status for answer in refused} == {409}
        assert bare.json()["error"].startswith("A print is under way (default)")
        assert not done.exists()
        assert (await limpet.post("/api/system/commands/custom/shell", None)).status == 204
        assert (await limpet.post(path, {"confirm": True})).status == 204
        assert done.exists()


async def test_a_server_that_is_ended_while_it_prints_remembers_that(folder: Path) -> None:
    async with process(folder) as server:
        limpet = await server.start()
        await limpet.accepted("connect", port="VIRTUAL", baudrate=115200)
        await limpet.until_state("Operational")
        await limpet.upload("a.gcode", b"G4 P100\n" * 100, print="true")
        await limpet.until_state("Printing")
        await limpet.close()
        async with asyncio.timeout(3.0):
            assert await server.stop() == 0

        limpet = await server.start()
        job = (await limpet.get("/api/job")).json()
        await limpet.close()
        assert job["state"] == "Offline"
        assert (job["lastPrint"]["outcome"], job["lastPrint"]["code"]) == ("failed", "server_ended")
        assert job["lastPrint"]["message"] == "The server was ended"
