"""`/api/job`: one print at a time, and what may be done to it; what OctoPrint says is in test_golden_files.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.server import Client, eventually


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


LONG = b"G4 P100\n" * 500


async def printing(client: Client) -> None:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    await client.upload("a.gcode", LONG, print="true")
    await client.until_state("Printing")


async def job(client: Client, command: str, **more: str) -> int:
    return (await client.post("/api/job", {"command": command, **more})).status


async def test_a_print_is_paused_and_resumed_by_one_button(client: Client) -> None:
    await printing(client)
    assert await job(client, "pause") == 204
    await client.until_state("Paused")
    assert await job(client, "pause", action="pause") == 204
    assert await job(client, "pause", action="toggle") == 204
    await client.until_state("Printing")
    assert await job(client, "pause", action="resume") == 204
    assert await job(client, "cancel") == 204
    await client.until_state("Operational")
    assert await job(client, "pause") == 409


async def test_a_print_that_pauses_is_begun_again(client: Client) -> None:
    await printing(client)
    assert await job(client, "restart") == 409
    await job(client, "pause")
    await client.until_state("Paused")
    assert await job(client, "restart") == 204
    await client.until_state("Printing")
    assert client.fleet.default.snapshot.last_print is not None
    assert client.fleet.default.snapshot.last_print.outcome == "cancelled"


async def test_a_connect_command_leaves_a_print_alone(client: Client) -> None:
    await printing(client)
    await client.accepted("connect")
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.accepted("connect", port="VIRTUAL", baudrate=0)
    await client.accepted("connect", port="AUTO")
    answer = await client.command("connect", baudrate=250000)
    assert answer.status == 409
    assert "A print is under way" in answer.json()["error"]
    assert (await client.current())["state"] == "Printing"


async def test_a_file_of_the_card_is_not_mistaken_for_one_of_ours(client: Client) -> None:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    await client.until(lambda _: client.fleet.default.snapshot.sd_files)
    name = next(iter(client.fleet.default.snapshot.sd_files))
    await client.upload(name.lower(), LONG)
    answer = await client.post(f"/api/files/sdcard/{name}", {"command": "select", "print": True})
    assert answer.status == 204
    await client.until_state("Printing from SD")
    assert (await client.get("/api/job")).json()["job"]["file"]["origin"] == "sdcard"


# -- scripts --


async def connected(client: Client, **scripts: str) -> None:
    assert (await client.post("/api/settings", {"scripts": {"gcode": scripts}})).status == 200
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")


async def notified(client: Client) -> list[str]:
    told = (await client.get("/api/plugin/action_command_notification")).json()["notifications"]
    return [each["message"] for each in told]


async def sent(client: Client, text: str) -> None:
    await eventually(lambda: any(text in line for _, line in client.fleet.default.recent), 5.0)


async def test_scripts_may_name_the_file_and_where_a_print_was_cancelled(client: Client) -> None:
    await connected(
        client,
        afterPrinterConnected="M117 at {{ event.baudrate }}",
        beforePrintStarted="M117 begins {{ event.name }}",
        afterPrintDone="M117 ends {{ event.path }}",
        afterPrintCancelled="M117 left {{ cancel_position.x }} {{ cancel_temperature[0].target }}",
    )
    await sent(client, "M117 at 115200")
    await client.upload("a.gcode", b"G4 P1\n", print="true")
    await sent(client, "M117 begins a.gcode")
    await sent(client, "M117 ends a.gcode")
    await client.until_state("Operational")
    await client.upload("a.gcode", LONG, print="true")
    await client.until_state("Printing")
    assert await job(client, "cancel") == 204
    await sent(client, "M117 left None 0.0")
    assert await notified(client) == []


async def test_a_print_whose_first_script_fails_is_not_started_and_that_is_told(client: Client) -> None:
    await connected(client, beforePrintStarted="G28\nG1 Z{{ last_position.z + 5 }}")
    await client.upload("a.gcode", LONG, select="true")
    answer = await client.post("/api/job", {"command": "start"})

    assert answer.status == 409
    assert answer.json()["error"].startswith("The script beforePrintStarted: a value that is not known (none) has no +")
    assert answer.json()["error"].endswith(". The print was not started; correct the script in the settings")
    assert await job(client, "start") == 409
    assert await notified(client) == [answer.json()["error"]]
    assert not any("G28" in line for _, line in client.fleet.default.recent)
    assert (await client.get("/api/job")).json()["state"] == "Operational"


async def test_an_upload_to_be_printed_is_kept_when_the_script_before_prints_fails(client: Client) -> None:
    await connected(client, beforePrintStarted="G1 Z{{ last_position.z + 5 }}")
    answer = await client.upload("a.gcode", LONG, print="true")

    assert (answer.status, answer.json()["error"].split(":")[0]) == (409, "The script beforePrintStarted")
    job = (await client.get("/api/job")).json()
    assert (job["state"], job["job"]["file"]["path"]) == ("Operational", "a.gcode")


async def test_a_script_that_is_left_out_is_told(client: Client) -> None:
    await connected(client, afterPrintDone="M117 {{ 1 + last_position.z }}")
    await client.upload("a.gcode", b"G4 P1\n", print="true")
    await eventually(lambda: notified(client), 5.0)
    (message,) = await notified(client)
    assert message.startswith("The script afterPrintDone: ")
    assert message.endswith(". It was left out; correct the script in the settings")


# -- a file that is gone --

GONE = (409, {"error": "a.gcode is not among the files any more; upload it again, or select another one"})


async def answered(client: Client, command: str) -> tuple[int, object]:
    answer = await client.post("/api/job", {"command": command})
    return answer.status, answer.json()


async def test_a_print_whose_file_was_taken_away_says_so(client: Client, tmp_path: Path) -> None:
    await connected(client)
    await client.upload("a.gcode", LONG, select="true")
    (tmp_path / "uploads/a.gcode").unlink()
    assert await answered(client, "start") == GONE
    assert (await client.get("/api/job")).json()["state"] == "Operational"


async def test_a_print_that_pauses_pauses_on_when_its_file_was_taken_away(client: Client, tmp_path: Path) -> None:
    await printing(client)
    assert await job(client, "pause") == 204
    await client.until_state("Paused")
    (tmp_path / "uploads/a.gcode").unlink()
    assert await answered(client, "restart") == GONE
    assert (await client.get("/api/job")).json()["state"] == "Paused"
    assert await job(client, "pause") == 204
    await client.until_state("Printing")


async def test_a_print_that_was_lost_does_not_go_on_without_its_file(client: Client, tmp_path: Path) -> None:
    await printing(client)
    await client.accepted("disconnect")
    await connected(client)
    (tmp_path / "uploads/a.gcode").unlink()
    assert await answered(client, "recover") == GONE
