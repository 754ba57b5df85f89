"""What OctoPrint 1.11.8 answered at the small routes and at `/api/settings`, asked again of Limpet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, running
from tests.web.test_golden import NO_KEY, Difference
from tests.web.test_golden_printer import common

TESTS = Path(__file__).parents[1]
EXCHANGES: dict[str, Any] = {
    each["name"]: each
    for area in ("server", "settings")
    for each in json.loads((TESTS / f"golden/{area}.json").read_text())
}

VERSION = Difference("`GET /api/version`", body={"api": "0.1", "server": "1.11.0", "text": "OctoPrint (Limpet 0.1.0)"})
NO_LOGS = Difference("What Limpet has not is empty", body={"files": []})
DIFFERENCES = {
    "api-404-nokey": NO_KEY,
    "api-404-post-nokey": NO_KEY,
    "logs-get-nokey": NO_KEY,
    "logs-get": NO_LOGS,
    "logging-plugin-logs-get": NO_LOGS,
    "plugin-unknown-post": Difference(
        "A refusal says what is the matter",
        status=404,
        body={
            "error": "The requested URL was not found on the server. If you entered the URL manually please check your "
            "spelling and try again."
        },
    ),
    "server-get": Difference("`GET /api/version`", body={"safemode": None, "version": "1.11.0"}),
    "setup-wizard-get": Difference("What Limpet has not is empty", body={}),
    "system-usage-get": Difference("What Limpet has not is empty", body={"usage": {"uploads": {}}}),
    "timelapse-get": Difference(
        "What Limpet has not is empty", body={"config": {"type": "off"}, "enabled": False, "files": []}
    ),
    "timelapse-unrendered-get": Difference(
        "What Limpet has not is empty",
        body={"config": {"type": "off"}, "enabled": False, "files": [], "unrendered": []},
    ),
    "ui-root-nokey": Difference("The words are ours"),
    "version-get": VERSION,
    "version-get-viewer": VERSION,
}
"""Exchange -> what is answered instead, and why."""

TRUE_OF_US = {
    "api.key": "keys are shown once",
    "feature.modelSizeDetection": "there are no models",
    "folder.uploads": "nobody's business",
    "folder.timelapse": "there is none",
    "folder.watched": "there is none",
    "gcodeAnalysis.runAt": "files are analysed as they come",
    "scripts.gcode.afterPrintCancelled": "the same in effect, in lines for this printer",
    "scripts.gcode.snippets/disable_bed": "likewise",
    "scripts.gcode.snippets/disable_hotends": "likewise",
    "serial.additionalPorts": "as the settings are",
    "serial.portOptions": "as the ports are",
    "temperature.profiles": "the same, with a chamber",
    "terminalFilters": "ours",
    "webcam.webcamEnabled": "none is set",
    "webcam.timelapseEnabled": "there are no timelapses",
    "webcam.streamWebrtcIceServers": "none is set",
    "webcam.webcams": "none is set",
}
"""What `/api/settings` says otherwise, and why."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Client, dict[str, str]]]:
    keys = {"viewer": ("STATUS", "SETTINGS_READ"), "nobody": ("WEBCAM",)}
    async with running(tmp_path, settings=HERMETIC, keys=keys) as served:
        yield served


async def ask(server: tuple[Client, dict[str, str]], name: str) -> Answer:
    client, keys = server
    request = EXCHANGES[name]["request"]
    key = keys.get(name.rpartition("-")[2], ADMIN_KEY)
    headers = {header: value.replace("abcdef", key) for header, value in request["headers"].items()}
    body = json.dumps(request["body"]).encode() if request.get("body") is not None else None
    return await client.request(request["method"], request["path"], headers=headers, body=body)


@pytest.mark.parametrize("name", [name for name in EXCHANGES if not name.startswith(("settings-get", "settings-post"))])
async def test_it_is_answered_as_octoprint_does(name: str, server: tuple[Client, dict[str, str]]) -> None:
    recorded, difference = EXCHANGES[name]["response"], DIFFERENCES.get(name)
    expected = (difference.status, difference.body) if difference else (recorded["status"], recorded["body"])

    answer = await ask(server, name)

    content = json.loads(answer.body) if "json" in answer.headers["Content-Type"] else None
    told = common(content, expected[1])
    if name == "system-usage-get":
        told = {"usage": {place: {} for place in told["usage"]}}
    assert (answer.status, told) == expected
    if difference:
        as_recorded = (answer.status, common(content, recorded["body"]))
        assert as_recorded != (recorded["status"], recorded["body"]), "this is no difference any more"


@pytest.mark.parametrize("name", ["settings-get", "settings-get-viewer", "settings-post"])
async def test_settings_are_told_as_octoprint_does(name: str, server: tuple[Client, dict[str, str]]) -> None:
    if name != "settings-get":
        await ask(server, "settings-post")
    recorded = leaves(EXCHANGES[name]["response"]["body"])

    answer = await ask(server, name)

    assert answer.status == 200
    told = leaves(answer.json())
    differing = {path for path in told.keys() & recorded.keys() if told[path] != recorded[path]}
    # Whoever may only read is not told the key by OctoPrint either.
    assert differing == TRUE_OF_US.keys() - ({"api.key"} if name.endswith("viewer") else set())
    assert len(told.keys() & recorded.keys()) > 50


async def test_settings_are_not_told_to_strangers(server: tuple[Client, dict[str, str]]) -> None:
    assert (await ask(server, "settings-get-nokey")).status == 403


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            place: leaf
            for name, each in value.items()
            for place, leaf in leaves(each, f"{path}.{name}" if path else name).items()
        }
    return {path: value}


def test_each_difference_is_explained_in_the_documentation() -> None:
    text = (TESTS.parent / "docs/api.md").read_text()
    differences = text.partition("## Where it differs from OctoPrint")[2]

    assert EXCHANGES.keys() >= DIFFERENCES.keys()
    assert [each.reason for each in DIFFERENCES.values() if f"- **{each.reason}" not in differences] == []
