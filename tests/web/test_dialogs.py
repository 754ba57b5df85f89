"""Prompts and notifications of the printer, over HTTP and the push, as OctoPrint's plugins have them."""

from __future__ import annotations

import pytest

from tests.web.server import Client, eventually
from tests.web.sockets import listening

PROMPT, NOTIFICATION = "/api/plugin/action_command_prompt", "/api/plugin/action_command_notification"
ASKS = ("prompt_begin Which way?", "prompt_choice left", "prompt_choice right", "prompt_show")


async def say(client: Client, *actions: str) -> None:
    commands = [f"!!DEBUG:action_custom {action}" for action in actions]
    assert (await client.post("/api/printer/command", {"commands": commands})).status == 204


async def connect(client: Client) -> None:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")


async def test_a_prompt_is_shown_answered_and_closed(client: Client) -> None:
    async with listening(client) as listener:
        await listener.authenticate()
        await connect(client)
        assert (await client.get(PROMPT)).json() == {}
        await say(client, *ASKS)
        shown = await listener.until(lambda message: "plugin" in message)
        asked = {"text": "Which way?", "choices": ["left", "right"]}

        assert shown == {"plugin": {"plugin": "action_command_prompt", "data": {"action": "show", **asked}}}
        assert (await client.get(PROMPT)).json() == asked
        assert (await client.post(PROMPT, {"command": "select", "choice": 2})).status == 400
        assert (await client.post(PROMPT, {"command": "select", "choice": 1})).status == 204
        closed = await listener.until(lambda message: "plugin" in message)
        assert closed == {"plugin": {"plugin": "action_command_prompt", "data": {"action": "close"}}}
        answer = await client.post(PROMPT, {"command": "select", "choice": 1})
        assert (answer.status, answer.json()) == (409, {"error": "No active prompt"})
    await eventually(lambda: any("M876 S1" in line for _, line in client.fleet.default.recent), 5.0)


@pytest.mark.parametrize("body", [{}, {"command": "select"}, {"command": "select", "choice": True}, {"command": "x"}])
async def test_what_is_no_answer_is_refused(client: Client, body: object) -> None:
    assert (await client.post(PROMPT, body)).status == 400


async def test_notifications_are_told_kept_and_cleared(client: Client) -> None:
    async with listening(client) as listener:
        await listener.authenticate()
        await connect(client)
        await say(client, "notification Ready", "notification Door open")
        told = [(await listener.until(lambda message: "plugin" in message))["plugin"]["data"] for _ in range(2)]

        assert told == [{"message": "Ready"}, {"message": "Door open"}]
        kept = (await client.get(NOTIFICATION)).json()["notifications"]
        assert [each["message"] for each in kept] == ["Ready", "Door open"]
        assert (await client.post(NOTIFICATION, {"command": "clear"})).status == 204
        assert (await listener.until(lambda message: "plugin" in message))["plugin"]["data"] == {}
        assert (await client.get(NOTIFICATION)).json() == {"notifications": []}


async def test_a_printer_that_is_gone_asks_nothing_any_more(client: Client) -> None:
    async with listening(client) as listener:
        await listener.authenticate()
        await connect(client)
        await say(client, *ASKS)
        await listener.until(lambda message: "plugin" in message)
        await client.accepted("disconnect")
        closed = await listener.until(lambda message: "plugin" in message)
        assert closed["plugin"]["data"] == {"action": "close"}


async def test_who_wants_no_plugins_is_not_told(client: Client) -> None:
    async with listening(client) as listener:
        await listener.authenticate()
        await listener.say({"subscribe": {"state": False, "events": True, "plugins": ["another"]}})
        await connect(client)
        await say(client, "notification Ready")
        await client.accepted("disconnect")
        await listener.until_event("Disconnected")
        assert not [message for message in listener.messages if "plugin" in message]


async def test_a_print_begins_when_the_printer_asks_for_it(client: Client) -> None:
    await connect(client)
    await client.upload("a.gcode", b"G4 P100\n" * 50, select="true")
    await say(client, "start")
    await client.until_state("Printing")
