"""`/api/printerprofiles`: what kinds of printers there are, over the API and in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from limpet.settings_file import SettingsFile
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, running

PATH = "/api/printerprofiles"
SETTINGS = f'# mine\n{HERMETIC}\n[profiles.my_printer] # the first\nname = "My Printer"\n\n# the end\n'


async def ask(
    client: Client, method: str, path: str, content: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    sent = {"X-Api-Key": ADMIN_KEY, "Content-Type": "application/json", **(headers or {})}
    body = None if content is None else msgspec.json.encode(content)
    return await client.request(method, PATH + path, headers=sent, body=body)


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]


async def test_a_profile_lives_without_a_restart_and_the_file_knows_it(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        given = {
            "id": "delta",
            "name": "Delta",
            "volume": {"formFactor": "circular", "width": 180, "height": 300.5, "custom_box": {"z_max": 310}},
            "axes": {"x": {"speed": 12000, "inverted": True}},
            "extruder": {"count": 2, "offsets": [[0, 0], [18.5, 0]]},
            "heatedChamber": True,
            "limits": {"maxHotend": 280},
            "unknown": {"fields": "are none of our business"},
        }
        made = (await ask(client, "POST", "", {"profile": given, "basedOn": "my_printer"})).json()["profile"]
        assert made["volume"] == {
            "width": 180.0,
            "depth": 180.0,
            "height": 300.5,
            "formFactor": "circular",
            "origin": "center",
            "custom_box": {"x_min": -90, "y_min": -90, "z_min": 0, "x_max": 90, "y_max": 90, "z_max": 310},
        }
        assert made["axes"]["x"] == {"speed": 12000, "inverted": True}
        assert made["extruder"]["offsets"] == [[0, 0], [18.5, 0]]
        assert made["limits"]["maxHotend"] == 280
        assert made == (await ask(client, "GET", "/delta")).json()
        await client.accepted("connect", port="VIRTUAL", baudrate=115200, printerProfile="delta")
        assert (await ask(client, "GET", "/delta")).json()["current"]

    text = (tmp_path / "limpet.toml").read_text()
    assert text.startswith(SETTINGS)
    assert SettingsFile(tmp_path / "limpet.toml").load().profiles["delta"].volume == (180, 180, 300.5)


async def test_a_patch_changes_what_it_names_and_all_of_an_answer_may_be_sent_back(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        patch = {"profile": {"name": "Mine", "extruder": {"nozzleDiameter": 0.6}}}
        changed = (await ask(client, "PATCH", "/my_printer", patch)).json()["profile"]
        assert (changed["name"], changed["extruder"]["nozzleDiameter"]) == ("Mine", 0.6)
        text = (tmp_path / "limpet.toml").read_text()
        assert text == SETTINGS.replace('"My Printer"', '"Mine"\nnozzle_diameter = 0.6')
        again = await ask(client, "PATCH", "/my_printer", {"profile": changed})
        assert again.json()["profile"] == changed


async def test_the_box_goes_when_it_is_said_to_be_false(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        with_box = {"profile": {"volume": {"custom_box": {"x_min": -5}}}}
        changed = (await ask(client, "PATCH", "/my_printer", with_box)).json()["profile"]
        assert changed["volume"]["custom_box"]["x_min"] == -5
        without = {"profile": {"volume": {"custom_box": False}}}
        changed = (await ask(client, "PATCH", "/my_printer", without)).json()["profile"]
        assert changed["volume"]["custom_box"] is False
        assert (tmp_path / "limpet.toml").read_text() == SETTINGS


async def test_the_default_profile_is_the_one_that_the_printer_prefers(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        await ask(client, "PATCH", "/my_printer", {"profile": {"default": True}})
        assert (await client.options())["printerProfilePreference"] == "my_printer"
        profiles = (await ask(client, "GET", "")).json()["profiles"]
        assert {id: profile["default"] for id, profile in profiles.items()} == {"_default": False, "my_printer": True}
        assert said(await ask(client, "DELETE", "/my_printer")) == (409, "Cannot delete default profile")


async def test_a_profile_that_is_gone_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        assert (await ask(client, "DELETE", "/my_printer")).status == 204
        assert (tmp_path / "limpet.toml").read_text() == f"# mine\n{HERMETIC}\n# the end\n"
        for method, content in (("GET", None), ("DELETE", None), ("PATCH", {"profile": {}})):
            assert (await ask(client, method, "/my_printer", content)).status == 404
        assert (await client.command("connect", port="VIRTUAL", printerProfile="my_printer")).status == 400


async def test_a_profile_that_another_printer_prefers_stays(tmp_path: Path) -> None:
    settings = SETTINGS + '[printers.a]\n[printers.b]\nprofile = "my_printer"\n'
    async with running(tmp_path, settings=settings) as (client, _):
        assert said(await ask(client, "DELETE", "/my_printer")) == (409, "Cannot delete default profile")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({}, "profile is missing"),
        ([], "profile is missing"),
        ({"profile": "x"}, "profile is invalid"),
        ({"profile": {"name": "X"}}, "id is missing"),
        ({"profile": {"id": "x"}}, "name is missing"),
        ({"profile": {"id": "../x", "name": "X"}}, "id is invalid: it is 1 to 32 of a-z, 0-9, _ and -"),
        ({"profile": {"id": "a" * 33, "name": "X"}}, "id is invalid"),
        ({"profile": {"id": "my_printer", "name": "X"}}, "Profile my_printer already exists"),
        ({"profile": {"id": "x", "name": ""}}, "name has to be a text of at least 1 character"),
        ({"profile": {"id": "x", "name": "X", "volume": 5}}, "profile is invalid: profile.volume is no object"),
        ({"profile": {"id": "x", "name": "X", "volume": {"width": "wide"}}}, "width has to be a number, not a text"),
        (
            {"profile": {"id": "x", "name": "X", "extruder": {"count": 0}}},
            "extruders has to be a whole number of at least 1, not 0",
        ),
        (
            {"profile": {"id": "x", "name": "X", "volume": {"custom_box": True}}},
            "profile is invalid: profile.volume.cus",
        ),
    ],
)
async def test_a_profile_that_makes_no_sense_is_refused(tmp_path: Path, content: Any, error: str) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        status, told = said(await ask(client, "POST", "", content))
        assert status == 400
        assert told.startswith(error)
        assert (tmp_path / "limpet.toml").read_text() == SETTINGS


async def test_its_address_is_the_one_that_it_was_asked_at(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS) as (client, _):
        headers = {"X-Api-Key": ADMIN_KEY, "Host": "printer.local"}
        answer = await client.request("GET", f"/p/default{PATH}/my_printer", headers=headers)
        assert answer.json()["resource"] == f"http://printer.local/p/default{PATH}/my_printer"
        for host in ("a b", '"', "\udcff", ""):
            raw = (
                f"GET {PATH}/my_printer HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {ADMIN_KEY}\r\nConnection: close\r\n\r\n"
            )
            answer_to_odd = await client.send_raw(raw.encode("utf-8", "surrogateescape"))
            assert answer_to_odd.split()[1] in (b"200", b"400")


async def test_who_may_look_may_not_change(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS, keys={"user": ("STATUS", "CONNECTION")}) as (client, keys):
        key = {"X-Api-Key": keys["user"]}
        assert (await ask(client, "GET", "", headers=key)).status == 200
        assert (await ask(client, "PATCH", "/my_printer", {"profile": {}}, headers=key)).status == 403
        assert (await ask(client, "DELETE", "/my_printer", headers=key)).status == 403
        assert (await ask(client, "POST", "", {"profile": {}}, headers=key)).status == 403
