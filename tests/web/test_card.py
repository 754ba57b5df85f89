"""The printer's own card over the API: print from it, write to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.server import ADMIN_KEY, Answer, Client, eventually

CONTENT = "".join(f"G1 X{n} E{n / 10}\n" for n in range(100)).encode()


async def card(client: Client) -> list[str]:
    return [file["path"] for file in (await client.get("/api/files/sdcard")).json()["files"]]


async def job(client: Client) -> Any:
    return (await client.get("/api/job")).json()


@pytest.fixture
async def with_card(client: Client) -> Client:
    await client.accepted("connect", port="VIRTUAL", baudrate=115200)
    await client.until_state("Operational")
    await eventually(lambda: card(client), 5.0)
    return client


async def to_card(client: Client, name: str, **fields: str) -> Answer:
    parts = [f'name="{field}"\r\n\r\n{value}'.encode() for field, value in fields.items()]
    parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + CONTENT)
    body = b"".join(b"--b\r\nContent-Disposition: form-data; %b\r\n" % part for part in parts) + b"--b--\r\n"
    headers = {"X-Api-Key": ADMIN_KEY, "Content-Type": "multipart/form-data; boundary=b"}
    return await client.request("POST", "/api/files/sdcard", headers=headers, body=body)


async def command(client: Client, name: str, **more: str) -> int:
    return (await client.post("/api/job", {"command": name, **more})).status


async def test_a_file_on_the_card_is_selected_printed_paused_and_cancelled(with_card: Client) -> None:
    select = {"command": "select", "print": True}
    assert (await with_card.post("/api/files/sdcard/calibr~1.gco", select)).status == 204
    await with_card.until_state("Printing from SD")
    told = await job(with_card)
    assert (told["job"]["file"]["origin"], told["job"]["file"]["path"]) == ("sdcard", "CALIBR~1.GCO")
    assert told["state"] == "Printing from SD"

    assert await command(with_card, "pause", action="pause") == 204
    await with_card.until_state("Paused")
    assert await command(with_card, "pause", action="resume") == 204
    await with_card.until_state("Printing from SD")
    assert await command(with_card, "cancel") == 204
    await with_card.until_state("Operational")


async def test_a_print_of_the_card_begins_anew(with_card: Client) -> None:
    await with_card.post("/api/files/sdcard/CALIBR~1.GCO", {"command": "select"})
    assert await command(with_card, "start") == 204
    await with_card.until_state("Printing from SD")
    await command(with_card, "pause", action="pause")
    await with_card.until_state("Paused")
    assert await command(with_card, "restart") == 204
    await with_card.until_state("Printing from SD")
    await command(with_card, "cancel")
    await with_card.until_state("Operational")


async def test_an_upload_to_the_card_is_kept_here_and_written_there(with_card: Client) -> None:
    answer = await to_card(with_card, "part.gcode", select="true")
    told = answer.json()

    assert (answer.status, sorted(told["files"])) == (201, ["local", "sdcard"])
    there = told["files"]["sdcard"]
    assert (there["origin"], there["name"], there["path"]) == ("sdcard", "part.gcode", "part.gcode")
    assert list(there["refs"]) == ["resource"]
    assert answer.headers["Location"] == there["refs"]["resource"]
    assert (told["done"], told["effectiveSelect"], told["effectivePrint"]) == (True, True, False)

    async def chosen() -> bool:
        file = (await job(with_card))["job"]["file"]
        return (await with_card.current())["state"] == "Operational" and file["origin"] == "sdcard"

    await eventually(chosen, 10.0)
    listed = (await with_card.get("/api/files/sdcard")).json()["files"]
    assert (listed[-1]["display"], listed[-1]["size"]) == ("part.gcode", len(CONTENT))
    assert (await with_card.get("/api/files/local/part.gcode")).status == 200


async def test_a_stored_file_is_written_to_the_card(with_card: Client) -> None:
    await with_card.upload("part.gcode", CONTENT)
    answer = await with_card.post("/api/files/local/part.gcode", {"command": "uploadSd"})
    assert (answer.status, answer.json()["origin"]) == (201, "sdcard")

    busy = await with_card.post("/api/files/local/part.gcode", {"command": "uploadSd"})
    assert (busy.status, busy.json()) == (
        409,
        {"error": "Can not upload to SD card, printer is either not operational or already busy"},
    )
    await eventually(lambda: written(with_card), 10.0)


async def written(client: Client) -> bool:
    return len(await card(client)) == 4


async def test_what_is_written_to_the_card_is_in_use(with_card: Client) -> None:
    await with_card.upload("part.gcode", CONTENT * 20)
    await with_card.post("/api/files/local/part.gcode", {"command": "uploadSd"})
    await with_card.until_state("Sending file to SD")
    assert (await job(with_card))["job"]["file"]["path"] == "part.gcode"
    assert (await with_card.delete("/api/files/local/part.gcode")).status == 409
    home = await with_card.post("/api/printer/command", {"command": "G28"})
    assert home.status == 409

    assert await command(with_card, "cancel") == 204
    await with_card.until_state("Operational")
    assert (await with_card.delete("/api/files/local/part.gcode")).status == 204


async def test_without_a_card_nothing_is_taken(with_card: Client) -> None:
    await with_card.post("/api/printer/sd", {"command": "release"})
    answer = await to_card(with_card, "part.gcode")

    assert (answer.status, answer.json()) == (409, {"error": "Can not upload to SD card, not yet initialized"})


async def test_what_was_written_to_the_card_is_not_printed_without_its_script(with_card: Client) -> None:
    script = "G1 Z{{ 5 + last_position.z }}"
    assert (await with_card.post("/api/settings", {"scripts": {"gcode": {"beforePrintStarted": script}}})).status == 200
    assert (await to_card(with_card, "part.gcode", print="true")).status == 201

    def told() -> bool:
        return any("beforePrintStarted" in each.message for each in with_card.fleet.default.snapshot.notifications)

    await eventually(told, 10.0)
    assert (await job(with_card))["state"] == "Operational"
    assert (await job(with_card))["job"]["file"]["origin"] == "sdcard"


async def test_whoever_follows_the_answer_to_an_upload_finds_the_file_on_the_card(with_card: Client) -> None:
    answer = await to_card(with_card, "A Long Name Of A Part.gcode")
    place = answer.headers["Location"].removeprefix(with_card.address.rstrip("/"))
    assert place == "/api/files/sdcard/A%20Long%20Name%20Of%20A%20Part.gcode"
    await eventually(lambda: written(with_card), 10.0)

    there = (await with_card.get(place)).json()
    assert (there["path"], there["display"]) == ("ALONGN~1.GCO", "A Long Name Of A Part.gcode")
    assert (await with_card.post(place, {"command": "select"})).status == 204
    assert (await job(with_card))["job"]["file"]["path"] == "ALONGN~1.GCO"
    assert (await with_card.post(place, {"command": "unselect"})).status == 204
    assert (await with_card.delete(place)).status == 204
