"""What OctoPrint 1.11.8 really answered at `/api/printer` and `/api/printerprofiles`, asked again of Limpet.

Temperatures, times, and the address of the server are made equal; who asks is in the name of the exchange.
"""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.web.scenes import (
    BUSY,
    SILENT,
    SLOW,
    Bench,
    Scene,
    closed,
    connecting,
    detection_failed,
    halted,
    opening_failed,
    pause,
    printing,
    silent_to_the_end,
    then,
)
from tests.web.scenes import operational as connected
from tests.web.scenes import profile_chosen as my_printer_chosen
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, eventually
from tests.web.test_golden import Difference

TESTS = Path(__file__).parents[1]
EXCHANGES: dict[str, Any] = {
    each["name"]: each
    for area in ("printer", "printerprofiles")
    for each in json.loads((TESTS / f"golden/{area}.json").read_text())
}

REASON = "An attempt always ends, and says why"
DIFFERENCES = {
    "op-printer-command-number": Difference(
        "What is not understood is a 400 that says what", status=400, body={"error": "command is invalid"}
    ),
    "op-tool-extrude": Difference(
        "What could do harm is refused",
        status=409,
        body={
            "error": "The nozzle has 21.3 degrees: too cold to extrude, which its profile allows from 170 degrees on"
        },
    ),
    "printer-error-get-after-detect-failed": Difference(
        REASON, body={"consequence": "disconnect", "reason": "autodetect"}
    ),
    "printer-error-get-after-failed-connect": Difference(
        REASON, body={"consequence": "disconnect", "reason": "connection"}
    ),
    "printer-error-get-after-fatal": Difference(REASON, body={"consequence": "emergency", "reason": "firmware"}),
    "printer-error-get-after-openfail": Difference(REASON, body={"consequence": "disconnect", "reason": "connection"}),
}
"""Exchange -> what is answered instead, and why."""


async def operational(bench: Bench) -> None:
    """With all that is to be read: the first temperatures, and the card."""
    await connected(bench)

    async def known() -> bool:
        now = (await bench.client.get("/api/printer")).json()
        return now["sd"]["ready"] and "tool0" in now["temperature"]

    await eventually(known, 5.0)


async def heating(bench: Bench) -> None:
    await operational(bench)
    for path, body in (
        ("tool", {"command": "offset", "offsets": {"tool0": 5}}),
        ("tool", {"command": "target", "targets": {"tool0": 205}}),
        ("bed", {"command": "target", "target": 60}),
    ):
        assert (await bench.client.post(f"/api/printer/{path}", body)).status == 204


async def heating_print(bench: Bench) -> None:
    await operational(bench)
    offset = {"command": "offset", "offsets": {"tool0": 5}}
    assert (await bench.client.post("/api/printer/tool", offset)).status == 204
    await printing(bench, content=b"M104 S205\nM140 S60\n" + SLOW)


async def cooler(bench: Bench) -> None:
    target = {"command": "target", "targets": {"tool0": 200}}
    assert (await bench.client.post("/api/printer/tool", target)).status == 204


SCENES: dict[str, Scene] = {
    "op-printer-get-heating": heating,
    "printer-command-fatal": operational,
    "printer-command-while-connecting": connecting,
    "printer-error-get-after-detect-failed": detection_failed,
    "printer-error-get-after-failed-connect": silent_to_the_end,
    "printer-error-get-after-fatal": halted,
    "printer-error-get-after-openfail": opening_failed,
    "printer-get-after-detect-failed": detection_failed,
    "printer-get-after-failed-connect": silent_to_the_end,
    "printer-get-after-fatal": halted,
    "printer-get-after-openfail": opening_failed,
    "printer-get-while-connecting": connecting,
    "printerprofiles-get-connected": my_printer_chosen,
    "profiles-delete-current": my_printer_chosen,
}
"""Exchange -> the scene before it, where its name does not say."""

MY_PRINTER = '[profiles.my_printer]\nname = "Renamed"\nmodel = "M1"\n'
WITHOUT_MY_PRINTER = {"printerprofiles-get", "profiles-get-one", "profiles-post"}


def scene_of(name: str) -> Scene:
    by_prefix: dict[str, Scene] = {
        "op": operational,
        "print": heating_print,
        "paused": then(heating_print, cooler, pause),
    }
    return SCENES.get(name) or by_prefix.get(name.partition("-")[0], closed)


def normal(content: Any, address: str) -> Any:
    """The content without what is another each time."""
    text = re.sub(r'"actual": [\d.]+', '"actual": 0', json.dumps(content))
    text = re.sub(r'"time": \d+', '"time": 0', text)
    normalised = json.loads(text.replace("http://127.0.0.1:5931/", address))
    if isinstance(normalised, dict):
        for place in (normalised, normalised.get("temperature", {})):
            # How much there is of the past is a matter of when it was recorded.
            if "history" in place:
                place["history"] = place["history"][-1:]
    return normalised


def common(value: Any, expected: Any) -> Any:
    """As much of the answer as the expected one has: more fields are welcome."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return {name: common(value[name], expected[name]) for name in expected if name in value}
    if isinstance(value, list) and isinstance(expected, list) and len(value) == len(expected):
        return [common(*pair) for pair in zip(value, expected, strict=True)]
    return value


async def ask(bench: Bench, exchange: Any) -> Answer:
    request = exchange["request"]
    key = bench.keys.get("nobody", ADMIN_KEY)
    headers = {header: value.replace("abcdef", key) for header, value in request["headers"].items()}
    body = json.dumps(request["body"]).encode() if request.get("body") is not None else None
    return await bench.client.request(request["method"], request["path"], headers=headers, body=body)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_it_is_answered_as_octoprint_does(name: str, tmp_path: Path) -> None:
    exchange, difference = EXCHANGES[name], DIFFERENCES.get(name)
    recorded = exchange["response"]
    expected = (difference.status, difference.body) if difference else (recorded["status"], recorded["body"])
    async with AsyncExitStack() as stack:
        bench = Bench(tmp_path, stack)
        settings = HERMETIC if name in WITHOUT_MY_PRINTER or "profiles" not in name else HERMETIC + MY_PRINTER
        keys = {"nobody": ("WEBCAM",)} if name.endswith("nobody") else {}
        await bench.serve(ports=[BUSY, SILENT, "VIRTUAL"], settings=settings, keys=keys)
        await scene_of(name)(bench)
        body = normal(expected[1], bench.client.address)
        raw: tuple[int, Any] = (0, None)
        told: tuple[int, Any] = (0, None)

        async def agrees() -> bool:
            nonlocal raw, told
            answer = await ask(bench, exchange)
            content = json.loads(answer.body) if answer.body else None
            raw = (answer.status, normal(content, bench.client.address))
            told = (raw[0], common(raw[1], body))
            return told == (expected[0], body)

        if exchange["request"]["method"] == "GET":
            await eventually(agrees, 5.0, lambda: f"{told} is not {(expected[0], body)}")
        else:
            await agrees()
            assert told == (expected[0], body)
        if difference:
            as_recorded = (raw[0], common(raw[1], recorded["body"]))
            assert as_recorded != (recorded["status"], recorded["body"]), "this is no difference any more"


def test_each_exchange_has_its_place() -> None:
    for listed in (DIFFERENCES, SCENES):
        assert EXCHANGES.keys() >= listed.keys()


def test_each_difference_is_explained_in_the_documentation() -> None:
    text = (TESTS.parent / "docs/api.md").read_text()
    differences = text.partition("## Where it differs from OctoPrint")[2]

    assert [each.reason for each in DIFFERENCES.values() if f"- **{each.reason}" not in differences] == []
