"""`/api/printer`: what is told of a printer, what it may be asked for, and what is refused for its own good."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from limpet.printer.printer import MAX_QUEUED
from tests.web.server import HERMETIC, Answer, Client, eventually, printer_at, running
from tests.web.test_traffic import tapped

PROFILE = """
[profiles._default]
extruders = 2
heated_chamber = true
max_hotend = 260
max_bed = 110
max_chamber = 70
x_min = -5
"""
VIRTUAL = "[virtual]\nextruders = 2\nchamber = true\ninstant = true\n"
MARKS = count()
UNASKED = re.compile(r"M105|M27|M31|M20|M155|M110|M118")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with a printer that is connected: two tools, a bed, a chamber, and a card that has been read."""
    async with running(tmp_path, settings=HERMETIC + VIRTUAL + PROFILE) as (client, _):
        await connect(client)
        yield client


async def connect(client: Client) -> None:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")

    async def known() -> bool:
        now = (await client.get("/api/printer")).json()
        return now["sd"]["ready"] and "tool0" in now["temperature"]

    await eventually(known, 5.0)


async def ask(client: Client, path: str, **body: Any) -> Answer:
    return await client.post(f"/api/printer/{path}", body)


async def sent(client: Client, path: str, **body: Any) -> list[str]:
    """The G-code that comes of a command that is accepted."""
    mark = str(next(MARKS))
    async with tapped(client) as tap:
        await ask(client, "command", command=f"M118 before {mark}")
        answer = await ask(client, path, **body)
        assert (answer.status, answer.body) == (204, b""), answer.body
        await ask(client, "command", command=f"M118 after {mark}")
        lines = await tap.until(f"< after {mark}")
    commands = [match[1] for line in lines if (match := re.search(r"> (?:N\d+ )?([^*]*)", line))]
    return [command for command in commands[commands.index(f"M118 before {mark}") :] if not UNASKED.match(command)]


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]


# -- what is told --


async def test_the_state_has_all_flags_that_clients_read(bench: Client) -> None:
    state = (await bench.get("/api/printer")).json()["state"]
    for flag in ("closedOrError", "error", "paused", "pausing", "printing", "cancelling", "resuming", "finishing"):
        assert state["flags"][flag] is False
    for flag in ("operational", "ready", "sdReady"):
        assert state["flags"][flag] is True
    assert state["text"] == "Operational"


async def test_a_print_from_the_card_is_printing(client: Client) -> None:
    await connect(client)
    await ask(client, "command", commands=["M23 CALIBR~1.GCO", "M24", "M27"])
    await client.until_state("Printing from SD")
    state = (await client.get("/api/printer?exclude=temperature,sd")).json()["state"]
    assert state["text"] == "Printing from SD"
    assert state["flags"]["printing"]
    assert not state["flags"]["ready"]
    assert said(await ask(client, "sd", command="release")) == (409, "Printer is not operational or currently busy")
    assert said(await ask(client, "tool", command="extrude", amount=1)) == (409, "Printer is currently printing")
    assert (await ask(client, "printhead", command="feedrate", factor=90)).status == 204


async def test_every_temperature_is_that_of_a_heater(bench: Client) -> None:
    temperature = (await bench.get("/api/printer")).json()["temperature"]
    assert sorted(temperature) == ["bed", "chamber", "tool0", "tool1"]
    assert all(heater.keys() == {"actual", "target", "offset"} for heater in temperature.values())


@pytest.mark.parametrize(
    ("path", "heaters"), [("tool", {"tool0", "tool1"}), ("bed", {"bed"}), ("chamber", {"chamber"})]
)
async def test_each_kind_of_heater_has_a_place_of_its_own(bench: Client, path: str, heaters: set[str]) -> None:
    assert (await bench.get(f"/api/printer/{path}")).json().keys() == heaters
    past = (await bench.get(f"/api/printer/{path}?history=1&limit=1")).json()["history"]
    assert [entry.keys() for entry in past] == [{"time", *heaters}]


@pytest.mark.parametrize(("limit", "least", "most"), [("0", 0, 0), ("1", 1, 1), ("many", 1, 300), ("9" * 40, 1, 300)])
async def test_the_past_is_as_long_as_was_asked_for(bench: Client, limit: str, least: int, most: int) -> None:
    temperature = (await bench.get(f"/api/printer?history=true&limit={limit}")).json()["temperature"]
    assert least <= len(temperature["history"]) <= most


async def test_a_heater_that_the_profile_has_not_is_not_told(tmp_path: Path) -> None:
    async with running(tmp_path, settings=f"{HERMETIC}{VIRTUAL}[profiles._default]\nheated_bed = false\n") as (
        client,
        _,
    ):
        await connect(client)
        assert (await client.get("/api/printer")).json()["temperature"].keys() == {"tool0"}
        assert said(await client.get("/api/printer/bed")) == (409, "Printer does not have a heated bed")
        assert said(await ask(client, "bed", command="target", target=60)) == (
            409,
            "Printer does not have a heated bed",
        )


# -- what may be asked --


@pytest.mark.parametrize(
    ("path", "body", "commands"),
    [
        ("tool", {"command": "target", "targets": {"tool0": 205, "tool1": 0}}, ["M104 T0 S205", "M104 T1 S0"]),
        ("tool", {"command": "target", "targets": {}}, []),
        ("tool", {"command": "select", "tool": "tool1"}, ["T1"]),
        ("tool", {"command": "flowrate", "factor": 0.95}, ["M221 S95"]),
        ("tool", {"command": "flowrate", "factor": 105.0}, ["M221 S105"]),
        ("bed", {"command": "target", "target": 60.5, "offset": 0}, ["M140 S60.5"]),
        ("chamber", {"command": "target", "target": 40}, ["M141 S40"]),
        ("printhead", {"command": "jog", "x": 10, "z": -0.1}, ["G91", "G1 X10 Z-0.1 F200", "G90"]),
        ("printhead", {"command": "jog", "x": 10, "speed": 3000}, ["G91", "G1 X10 F3000", "G90"]),
        ("printhead", {"command": "jog", "x": -5, "speed": False, "absolute": True}, ["G90", "G1 X-5"]),
        ("printhead", {"command": "home", "axes": ["z", "x"]}, ["G28 X0 Z0"]),
        ("printhead", {"command": "home", "axes": ["x", "y", "z"]}, ["G28"]),
        ("printhead", {"command": "feedrate", "factor": 105}, ["M220 S105"]),
        ("command", {"command": "M117 hi ; a comment"}, ["M117 hi"]),
        ("command", {"commands": ["M117 a", "", "M117 b"]}, ["M117 a", "M117 b"]),
        ("command", {"command": "M117 100%", "parameters": {}}, ["M117 100%"]),
        (
            "command",
            {"commands": ["G1 X%(x).2f F%(f)d", "M117 %(t)s %%"], "parameters": {"x": 1.234, "f": 300.0, "t": "hi"}},
            ["G1 X1.23 F300", "M117 hi %"],
        ),
        ("sd", {"command": "init"}, ["M21"]),
        ("sd", {"command": "release"}, ["M22"]),
    ],
)
async def test_a_command_becomes_gcode(bench: Client, path: str, body: dict[str, Any], commands: list[str]) -> None:
    assert await sent(bench, path, **body) == commands


async def test_a_hot_nozzle_extrudes_no_faster_than_its_profile_says(bench: Client) -> None:
    await ask(bench, "tool", command="target", targets={"tool0": 205})

    async def hot() -> bool:
        return (await bench.get("/api/printer/tool")).json()["tool0"]["actual"] >= 170

    await eventually(hot, 5.0)
    assert await sent(bench, "tool", command="extrude", amount=-5.5, speed=60) == (
        ["G91", "M83", "G1 E-5.5 F60", "M82", "G90"]
    )
    assert "G1 E5 F300" in await sent(bench, "tool", command="extrude", amount=5, speed=9000)
    await ask(bench, "tool", command="select", tool="tool1")
    refused = await ask(bench, "tool", command="extrude", amount=5)
    assert refused.status == 409
    assert b"Nozzle 2 (tool1) has" in refused.body


async def test_a_printer_that_is_still_greeted_takes_an_emergency_stop_and_nothing_else(tmp_path: Path) -> None:
    port = tmp_path / "printer"
    async with (
        printer_at(port, boot_time=60.0),
        running(tmp_path, settings=HERMETIC, ports=[str(port)], patience=None) as (client, _),
    ):
        await client.accepted("connect", port=str(port), baudrate=115200)
        await client.until_state("Connecting")
        for body in (
            {"command": "M117"},
            {"commands": ["M112", "M117"]},
            {"commands": [1]},
            {"commands": []},
            {"script": "x"},
            [],
        ):
            refused = await client.post("/api/printer/command", body)
            assert said(refused) == (409, "Printer is not operational")
        for stop in ({"command": "M112"}, {"commands": ["m112"]}, {"command": "N1 M112*32"}):
            assert (await client.post("/api/printer/command", stop)).status == 204
        lines = [line for _, line in client.fleet.default.recent]
        assert lines.count("> M112") == 3


async def test_offsets_are_told_and_leave_what_is_set_at_the_controls_as_it_is(bench: Client) -> None:
    assert await sent(bench, "tool", command="offset", offsets={"tool1": -5}) == []
    await ask(bench, "bed", command="offset", offset=2.5)
    assert await sent(bench, "tool", command="target", targets={"tool1": 200}) == ["M104 T1 S200"]
    told = (await bench.get("/api/printer")).json()["temperature"]
    assert [told[heater]["offset"] for heater in ("tool0", "tool1", "bed")] == [0, -5, 2.5]
    await bench.accepted("disconnect")
    await connect(bench)
    assert (await bench.get("/api/printer/bed")).json()["bed"]["offset"] == 0


async def test_a_released_card_is_not_ready_and_an_initialised_one_is(bench: Client) -> None:
    await ask(bench, "sd", command="release")
    assert (await bench.get("/api/printer/sd")).json() == {"ready": False}
    await ask(bench, "sd", command="init")

    async def ready() -> bool:
        return (await bench.get("/api/printer/sd")).json()["ready"]

    await eventually(ready, 5.0)


# -- what is refused --


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("tool", {"command": "target", "targets": {"tool0": 261}}, "Nozzle 1 (tool0) may be set to 0 to 260 degrees"),
        (
            "tool",
            {"command": "target", "targets": {"tool0": 200, "tool1": -1}},
            "Nozzle 2 (tool1) may be",
        ),
        ("tool", {"command": "target", "targets": {"tool2": 200}}, "targets contains invalid tool: there is no tool2"),
        ("tool", {"command": "target", "targets": {"tool00": 200}}, "targets contains invalid tool"),
        ("tool", {"command": "target", "targets": {"bed": 60}}, "targets contains invalid tool"),
        ("tool", {"command": "target", "targets": {"tool0": True}}, "targets contains invalid value"),
        ("tool", {"command": "target", "targets": {"tool0": None}}, "targets contains invalid value"),
        ("tool", {"command": "target", "targets": [200]}, "targets is invalid"),
        ("tool", {"command": "offset", "offsets": {"tool0": 51}}, "offsets contains invalid value"),
        ("tool", {"command": "offset", "offsets": {"tool0": "5"}}, "offsets contains invalid value"),
        ("tool", {"command": "select", "tool": "tool7"}, "tool is invalid: there is no tool7"),
        ("tool", {"command": "select", "tool": 0}, "tool is invalid"),
        ("tool", {"command": "extrude", "amount": "5"}, "amount is invalid"),
        ("tool", {"command": "extrude", "amount": 1001}, "amount may be 1000 mm at the most"),
        ("tool", {"command": "extrude", "amount": 5, "speed": 0}, "speed may be up to"),
        ("tool", {"command": "extrude", "amount": 5, "speed": "fast"}, "speed is invalid"),
        ("tool", {"command": "extrude"}, "Mandatory parameters missing"),
        ("tool", {"command": "flowrate", "factor": 0}, "0 % is not from 1 to 1000 %"),
        ("tool", {"command": "flowrate", "factor": "95"}, "Invalid value for flow rate"),
        ("tool", {"command": ["target"]}, "command is invalid"),
        (
            "bed",
            {"command": "target", "target": 111},
            "The bed may be set to 0 to 110 degrees",
        ),
        ("bed", {"command": "target"}, "Mandatory parameters missing"),
        ("bed", {"command": "offset", "offset": -51}, "offset is invalid"),
        (
            "chamber",
            {"command": "target", "target": 1e6},
            "The chamber may be set to 0 to 70 degrees by its profile, not to 1000000",
        ),
        ("printhead", {"command": "jog", "x": 205.1}, "x may move 205 mm by its profile, not 205.1"),
        ("printhead", {"command": "jog", "z": -201}, "z may move 200 mm by its profile, not -201"),
        ("printhead", {"command": "jog", "y": 200.5, "absolute": True}, "y goes from 0 to 200 mm"),
        ("printhead", {"command": "jog", "x": 1, "absolute": "yes"}, "absolute is invalid"),
        ("printhead", {"command": "jog", "x": 1, "speed": -1}, "speed may be up to"),
        ("printhead", {"command": "jog"}, "Mandatory parameters missing"),
        ("printhead", {"command": "home", "axes": []}, "axis is invalid"),
        ("printhead", {"command": "home", "axes": "x"}, "axis is invalid"),
        ("printhead", {"command": "home", "axes": [["x"]]}, "axis is invalid"),
        ("printhead", {"command": "feedrate", "factor": 1001}, "1001 % is not from 1 to 1000 %"),
        ("sd", {"command": "format"}, "command is invalid"),
        ("command", {"command": "M117\nM112"}, "a command is one line without control characters"),
        ("command", {"command": ";\nM112"}, "a command is one line without control characters"),
        ("command", {"commands": ["G28", "G1 X1 ; right\nM112"]}, "a command is one line without control characters"),
        ("command", {"command": "G1 X" + "1" * 300}, "a command is at most 256 bytes"),
        ("command", {"commands": ["M117", 5]}, "commands is invalid"),
        ("command", {"commands": ["M105"] * (MAX_QUEUED + 1)}, f"commands has more than {MAX_QUEUED} lines"),
        ("command", {"command": "G1 X%(x)f", "parameters": {"y": 1}}, "parameters has no x"),
        ("command", {"command": "G1 X%(x)f", "parameters": {"x": "1"}}, "parameters has no number as x"),
        ("command", {"command": "M117 %(x)s", "parameters": {"x": "a\nM112"}}, "a command is one line"),
        ("command", {"command": "M117 %(x)s", "parameters": {"x": "a" * 9000}}, "a command is at most 256 bytes"),
        ("command", {"command": "M117", "parameters": [1]}, "parameters is invalid"),
    ],
)
async def test_what_makes_no_sense_or_could_do_harm_is_refused_and_nothing_is_sent(
    bench: Client, path: str, body: dict[str, Any], error: str
) -> None:
    lines = (await bench.current())["link"]["linesSent"]
    status, told = said(await ask(bench, path, **body))
    assert status == 400
    assert told.startswith(error)
    assert (await bench.current())["link"]["linesSent"] <= lines + 1  # It may have asked for temperatures.


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 500])
async def test_a_number_that_is_none_is_refused(bench: Client, number: str) -> None:
    body = b'{"command": "target", "target": %s}' % number.encode()
    assert said(await bench.post("/api/printer/bed", body)) == (400, "target is invalid")


@pytest.mark.parametrize("body", [b"null", b"42", b"[]", b'"jog"', b'["command"]'])
@pytest.mark.parametrize("path", ["tool", "bed", "chamber", "printhead", "sd", "command"])
async def test_a_body_that_is_no_command_is_refused(bench: Client, path: str, body: bytes) -> None:
    assert (await bench.post(f"/api/printer/{path}", body)).status == 400


async def test_a_burst_that_is_too_large_is_refused_as_a_whole(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        await connect(client)
        # It dwells, so nothing that follows is taken.
        burst = ["G4 S2", *["M117"] * (MAX_QUEUED - 1)]
        assert (await ask(client, "command", commands=burst)).status == 204
        for path, body in (("command", {"commands": burst}), ("printhead", {"command": "jog", "x": 1})):
            refused = await ask(client, path, **body)
            assert said(refused) == (409, "Too many commands wait to be sent; the printer is busy")


async def test_a_client_that_may_only_look_controls_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, keys={"looker": ("STATUS",)}) as (client, keys):
        assert (await client.get("/api/printer/sd", key=keys["looker"])).status == 200
        for path in ("tool", "bed", "chamber", "printhead", "sd", "command"):
            assert (await client.post(f"/api/printer/{path}", {"command": "x"}, key=keys["looker"])).status == 403


async def test_each_printer_has_its_own(tmp_path: Path) -> None:
    settings = f"{HERMETIC}{VIRTUAL}[printers.a]\n[printers.b]\nautoconnect = true\nport = 'VIRTUAL'\n"
    async with running(tmp_path, settings=settings) as (client, _):

        async def operational() -> bool:
            return (await client.get("/p/b/api/printer")).status == 200

        await eventually(operational, 5.0)
        assert said(await client.get("/p/a/api/printer")) == (409, "Printer is not operational")
