"""What OctoPrint 1.11.8 told at `/sockjs`, asked again of Limpet.

The recording is shortened: of equal `current` messages and marks in the chart the first is left, and words that are
OctoPrint's own are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Client
from tests.web.sockets import Listener, events, listening, login

TESTS = Path(__file__).parents[1]
EXCHANGES: dict[str, Any] = {each["name"]: each for each in json.loads((TESTS / "golden/push.json").read_text())}
PAGE = (TESTS.parent / "docs/api-push.md").read_text()
DIFFERENCES: dict[str, tuple[str, int, Any]] = {
    "sockjs-iframe": ("There is no page for iframes", 403, None),
    "sockjs-websocket-plain-get": (
        "What is no JSON is a 400",
        400,
        {"error": 'Can "Upgrade" only to "WebSocket".'},
    ),
    "sockjs-xhr-send-unknown-session": ("What is no JSON is a 400", 404, {"error": "There is no such session."}),
}
"""Exchange -> what docs/api-push.md says of it, and status and body of our answer."""
NOT_TOLD = {"EStop", "Home", "ClientAuthed", "ChartMarked"}
WHENEVER = {"MetadataAnalysisStarted", "MetadataAnalysisFinished", "MetadataStatisticsUpdated", "Upload"}
"""Told when the analysis or the request is so far, wherever the print is then."""
SHORT = b"G28\nG1 X10 Y10 F3000\nG1 X20 Y20 E1\n"
SLOW = b"G1 X1 Y1 E1 F3000\n" + b"G4 P100\n" * 500


@pytest.mark.parametrize("name", [name for name in EXCHANGES if name.startswith("sockjs-")])
async def test_it_is_answered_as_octoprint_does(client: Client, name: str) -> None:
    expected = EXCHANGES[name]["response"]
    status, body = expected["status"], expected["body"]
    if name in DIFFERENCES:
        reason, status, body = DIFFERENCES[name]
        assert f"- **{reason}" in PAGE
    for earlier in before(name):
        await ask(client, earlier)

    answer = await ask(client, name)

    assert answer.status == status
    if isinstance(body, dict) and "entropy" in body:
        assert answer.json() == {**body, "entropy": answer.json()["entropy"]}
    elif isinstance(body, str) and body.startswith("a["):
        assert shape(json.loads(answer.body[1:])) == shape(json.loads(body[1:]))
    elif isinstance(body, str):
        assert answer.body.decode() == body
    elif body is not None:
        assert answer.json() == body
    if body is not None and name not in DIFFERENCES:
        assert media_type(answer.headers) == media_type(expected["headers"])


def before(name: str) -> list[str]:
    """A session has to be opened before it can be polled or sent to."""
    return ["sockjs-xhr-open"] if name in ("sockjs-xhr-poll-2", "sockjs-xhr-send-bad") else []


async def ask(client: Client, name: str) -> Any:
    request = EXCHANGES[name]["request"]
    body = None if request["body"] is None else request["body"].encode()
    return await client.request(request["method"], request["path"], headers=request["headers"], body=body)


def media_type(headers: Any) -> str:
    return str(headers["Content-Type"]).partition(";")[0]


# -- websockets --


def recorded(name: str) -> list[Any]:
    """The messages that came from the server."""
    frames = [frame for frame in EXCHANGES[name]["frames"] if frame["dir"] == "server->client"]
    data = [frame["data"] for frame in frames]
    return [message for each in data for message in (each if isinstance(each, list) else [each])]


def recorded_events(name: str) -> list[tuple[str, Any]]:
    messages = [message for message in recorded(name) if isinstance(message, dict)]
    return [(type, payload) for type, payload in events(messages) if type not in NOT_TOLD]


def shape(value: Any) -> Any:
    """Names and kinds, without what differs from one moment, printer or version to the next."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items() if name not in ("temps", "description")}
    if isinstance(value, list):
        return shape(value[0]) if value and isinstance(value[0], dict) and "current" not in value[0] else "list"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def first(messages: list[Any], kind: str) -> Any:
    return next(message[kind] for message in messages if isinstance(message, dict) and kind in message)


async def replay(client: Client, listener: Listener, name: str) -> None:
    """Say what was said; and what a note says was done meanwhile is done. Each is answered before the next."""
    who = await login(client)
    for frame in EXCHANGES[name]["frames"]:
        if frame["dir"] == "client->server":
            await listener.socket.send_str(frame["data"].replace("_api:abcdef", who))
            if "_api:" in frame["data"]:
                await listener.until(lambda message: "timelapse" in message)
        elif frame["dir"] == "note" and "connect VIRTUAL" in frame["data"]:
            await client.accepted("connect", port="VIRTUAL", baudrate=115200)
            await listener.until_event("UpdatedFiles")
            await listener.until_current(lambda current: current["temps"])
        elif frame["dir"] == "note" and "disconnect" in frame["data"]:
            await client.accepted("disconnect")
            await listener.until_event("Disconnected")
            await listener.until_event("PrinterStateChanged")


async def test_a_connection_and_its_end_are_told_as_octoprint_tells_them(client: Client) -> None:
    name = "ws-raw-auth-connect-disconnect"
    async with listening(client) as listener:
        await replay(client, listener, name)
        ours, theirs = events(listener.messages), recorded_events(name)

        assert [type for type, _ in ours] == [type for type, _ in theirs]
        firmware = [type for type, _ in ours].index("FirmwareData")
        assert ours.pop(firmware)[1].keys() == theirs.pop(firmware)[1].keys()
        assert ours == theirs
        kinds = [next(iter(message)) for message in listener.messages]
        assert kinds[:4] == [next(iter(message)) for message in recorded(name)[:4]]


async def test_a_wrong_session_is_answered_as_octoprint_does(client: Client) -> None:
    async with listening(client) as listener:
        await replay(client, listener, "ws-raw-badauth")
        await listener.say({"auth": "still:wrong"})
        for _ in range(3):
            await listener.next()

        assert listener.messages[1:] == 2 * [recorded("ws-raw-badauth")[1]]


async def test_a_subscription_filters_as_octoprints_does(client: Client) -> None:
    name = "ws-raw-subscribe"
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    async with listening(client) as listener:
        await replay(client, listener, name)
        await client.accepted("disconnect")
        current = await listener.until_current(lambda current: current["state"]["text"] == "Offline")

        assert events(listener.messages) == recorded_events(name)
        assert (current["logs"], current["messages"]) == ([], [])


async def test_a_halted_firmware_is_told_as_octoprint_tells_it(client: Client) -> None:
    name = "ws-raw-fatal"
    async with listening(client) as listener:
        await listener.authenticate()
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await listener.until_event("UpdatedFiles")
        client.fleet.default.send("!!DEBUG:trigger_fatal_error_marlin")
        error = await listener.until_event("Error")
        await listener.until_event("Disconnected")
        await listener.until_event("PrinterStateChanged")
        current = await listener.until_current(lambda current: current["state"]["text"] == "Offline after error")

        theirs = recorded_events(name)
        assert [type for type, _ in events(listener.messages)] == [type for type, _ in theirs]
        assert error.keys() >= dict(theirs)["Error"].keys()
        assert [error[each] for each in ("reason", "consequence")] == ["firmware", "emergency"]
        assert "Recv: Error:Thermal Runaway, system stopped! Heater_ID: bed" in error["logs"]
        assert current["state"]["error"]
        states = [message["current"]["state"] for message in recorded(name) if "current" in message]
        assert current["state"]["flags"] == states[-1]["flags"]


async def test_a_print_is_told_from_its_start_to_its_end_as_octoprint_tells_it(client: Client) -> None:
    async with listening(client, "/sockjs/000/abcd1234/websocket") as listener:
        await listener.authenticate()
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await listener.until_event("UpdatedFiles")
        await client.upload("short.gcode", SHORT, print="true")
        await listener.until_event("PrintDone")
        done = await listener.until_current(lambda current: current["state"]["text"] == "Operational")
        await client.upload("slow.gcode", SLOW, print="true")
        printing = await listener.until_current(lambda current: current["state"]["text"] == "Printing")
        assert (await client.post("/api/job", {"command": "pause", "action": "pause"})).status == 204
        paused = await listener.until_current(lambda current: current["state"]["text"] == "Paused")
        assert (await client.post("/api/job", {"command": "pause", "action": "resume"})).status == 204
        await listener.until_current(lambda current: current["state"]["text"] == "Printing")
        assert (await client.post("/api/job", {"command": "cancel"})).status == 204
        await listener.until_event("PrintFailed")
        cancelled = await listener.until_current(lambda current: current["state"]["text"] == "Operational")

    # Our virtual printer says where it is after G28, as Marlin does.
    unasked = ("PositionUpdate", {"reason": None, "x": 0.0, "y": 0.0, "z": 0.0, "e": 0.0})
    ours = [each for each in events(listener.messages) if each[0] not in WHENEVER and each != unasked]
    theirs = [each for each in recorded_events("ws-framed-auth-print") if each[0] not in WHENEVER]
    assert [type for type, _ in ours] == [type for type, _ in theirs]
    for our, their in zip(ours, theirs, strict=True):
        if our[0] != "FirmwareData":
            assert (our[0], content(our[1])) == (their[0], content(their[1]))
    progress = {"completion": 100, "filepos": 35, "printTimeLeft": 0, "printTimeLeftOrigin": None}
    assert {name: done["progress"][name] for name in progress} == progress
    assert set(cancelled["progress"].values()) == {None}
    busy = [current["busyFiles"] for current in (done, printing, paused, cancelled)]
    slow = [{"origin": "local", "path": "slow.gcode"}]
    assert busy == [[], slow, slow, []]


def content(payload: Any) -> Any:
    """The payload without its figures; OctoPrint does not know the size of a file that it has just got."""
    if isinstance(payload, dict):
        return {name: content(each) for name, each in payload.items() if name not in ("size", "port", "baudrate")}
    return "number" if isinstance(payload, int | float) and not isinstance(payload, bool) else payload


@pytest.mark.parametrize("name", [name for name in EXCHANGES if name.startswith("ws-") and name != "ws-raw-noauth"])
async def test_messages_have_octoprints_shape(client: Client, name: str) -> None:
    framed = "framed" in name
    async with listening(client, EXCHANGES[name]["request"]["path"]) as listener:
        await listener.authenticate()
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        current = await listener.until_current(lambda current: current["temps"])

        assert (listener.frames[0] == "o") is framed
        for kind in ("connected", "history", "current"):
            if any(isinstance(message, dict) and kind in message for message in recorded(name)):
                ours, theirs = shape(first(listener.messages, kind)), shape(first(recorded(name), kind))
                if kind == "connected":
                    assert ours.pop("permissions").keys() >= theirs.pop("permissions").keys()
                else:
                    ours.pop("markings"), theirs.pop("markings")
                    ours["job"], theirs["job"] = ours["job"].keys(), theirs["job"].keys()
                    ours["state"].pop("text"), theirs["state"].pop("text")
                assert ours == theirs
        heater = {"actual": "number", "target": "number"}
        assert {name: shape(each) for name, each in current["temps"][0].items()} == {
            "time": "number",
            "tool0": heater,
            "bed": heater,
        }


async def test_a_stranger_is_told_no_more_than_by_octoprint(client: Client) -> None:
    async with listening(client) as stranger, listening(client) as listener:
        await listener.authenticate()
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await listener.until_current(lambda current: current["temps"])
        await stranger.say({"auth": "a:stranger"})
        told = [next(iter(await stranger.next())) for _ in range(2)]

        assert told == [*(next(iter(message)) for message in recorded("ws-raw-noauth")), "reauthRequired"]


def test_each_exchange_has_its_place() -> None:
    assert EXCHANGES.keys() >= DIFFERENCES.keys()
    assert all(f"`{event}`" in PAGE for event in NOT_TOLD - {"ChartMarked", "ClientAuthed"})
