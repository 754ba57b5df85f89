"""`/api/job`, as far as there is one; what OctoPrint says is in test_golden_files.py."""

from __future__ import annotations

import pytest

from tests.web.server import Client


@pytest.mark.parametrize(
    "body", [None, [], "start", {}, {"command": None}, {"command": ["start"]}, {"command": "nope"}]
)
async def test_what_is_no_command_is_refused(client: Client, body: object) -> None:
    closed = await client.post("/api/job", body)
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    answer = await client.post("/api/job", body)

    assert (closed.status, closed.json()) == (409, {"error": "Printer is not operational"})
    assert (answer.status, answer.json()) == (400, {"error": "command is invalid"})


async def test_what_was_selected_is_selected_no_longer_when_the_printer_goes(client: Client) -> None:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    await client.upload("a.gcode", select="true")
    assert (await client.get("/api/job")).json()["job"]["file"]["name"] == "a.gcode"

    await client.accepted("disconnect")

    job = (await client.get("/api/job")).json()
    assert (job["job"]["file"]["name"], job["state"]) == (None, "Offline")
    assert "error" not in job
