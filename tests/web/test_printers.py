"""Many printers in one server: listed, added, changed and removed while it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from limpet.settings_file import SettingsFile
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, eventually, printer_at, running

PRINTERS = "/api/limpet/printers"
TWO = f"""{HERMETIC}
# The small one
[printers.mini]
port = "VIRTUAL"   # for now

# The big one
[printers.big]
port = "VIRTUAL"
baudrate = 115200

# End
"""


async def ask(client: Client, method: str, path: str, content: object = None) -> Answer:
    headers = {"X-Api-Key": ADMIN_KEY, "Content-Type": "application/json"}
    return await client.request(method, path, headers=headers, body=msgspec.json.encode(content))


async def listed(client: Client) -> dict[str, Any]:
    answer = await client.get(PRINTERS)
    assert answer.status == 200
    return {printer["id"]: printer for printer in answer.json()["printers"]}


async def state_at(client: Client, prefix: str) -> Any:
    return (await client.get(f"{prefix}/api/connection")).json()["current"]["state"]


async def test_all_printers_are_listed_with_their_states(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        answer = await client.post("/p/big/api/connection", {"command": "connect"})
        assert answer.status == 204

        async def is_operational() -> bool:
            return bool((await listed(client))["big"]["state"] == "Operational")

        await eventually(is_operational, 5.0)
        printers = await listed(client)

    assert list(printers) == ["mini", "big"]
    assert printers["big"].pop("temperatures").keys() >= {"tool0", "bed"}
    assert set(printers["big"].pop("progress").values()) == {None}
    assert printers["big"] == {
        "id": "big",
        "name": "big",
        "default": False,
        "state": "Operational",
        "text": "Operational",
        "file": None,
        "port": "VIRTUAL",
        "baudrate": 115200,
        "error": None,
        "profile": "_default",
        "preferences": {
            "port": "VIRTUAL",
            "baudrate": 115200,
            "autoconnect": False,
            "reconnect": True,
            "reset": "auto",
        },
        "url": "/p/big/",
    }
    assert printers["mini"]["default"]


async def test_an_error_is_told_in_short(tmp_path: Path) -> None:
    settings = f'{HERMETIC}[printers.mini]\nport = "{tmp_path}/gone"\n'
    async with running(tmp_path, settings=settings) as (client, _):
        await client.accepted("connect")
        await client.until_state("Offline after error")
        error = (await listed(client))["mini"]["error"]

    assert (error["code"], error["waiting"]) == ("port_missing", True)
    assert error.keys() == {"code", "message", "waiting"}


async def test_an_added_printer_works_at_once_and_after_a_restart(tmp_path: Path) -> None:
    new = {"id": "mini", "name": "The small one", "port": "VIRTUAL", "baudrate": 115200, "autoconnect": True}
    async with running(tmp_path) as (client, _):
        answer = await client.post(PRINTERS, new)
        assert answer.status == 201
        assert (answer.json()["id"], answer.json()["name"]) == ("mini", "The small one")
        assert (await client.get(answer.headers["Location"].removeprefix(client.address[:-1]))).status == 200

        async def is_operational() -> bool:
            return bool(await state_at(client, "/p/mini") == "Operational")

        await eventually(is_operational, 5.0)
        assert await state_at(client, "") == "Offline"

    assert (tmp_path / "limpet.toml").read_text() == (
        f'{HERMETIC}\n[printers.default]\nname = "default"\n\n'
        '[printers.mini]\nname = "The small one"\nport = "VIRTUAL"\nbaudrate = 115200\nautoconnect = true\n'
    )
    settings = SettingsFile(tmp_path / "limpet.toml").load()
    assert (list(settings.printers), settings.default_printer) == (["default", "mini"], "default")


@pytest.mark.parametrize(
    ("new", "status"),
    [
        ({"id": "big"}, 409),
        ({"id": "new", "port": "{port}"}, 409),
        ({}, 400),
        ({"id": "No"}, 400),
        ({"id": "new\n"}, 400),
        ({"id": "../x"}, 400),
        ({"id": "new", "name": ""}, 400),
        ({"id": "new", "port": "a\nb"}, 400),
        ({"id": "new", "baudrate": -1}, 400),
        ({"id": "new", "profile": "none"}, 400),
        ({"id": "new", "autoconnect": "yes"}, 400),
        ({"id": "new", "colour": "red"}, 400),
    ],
)
async def test_a_printer_that_does_not_fit_is_not_added(
    tmp_path: Path, link: Path, new: dict[str, object], status: int
) -> None:
    # The same port by another name.
    (alias := tmp_path / "alias").symlink_to(link)
    settings = f'{HERMETIC}[printers.mini]\n[printers.big]\nport = "{link}"\n'
    async with printer_at(link), running(tmp_path, settings=settings, ports=[str(link)]) as (client, _):
        if "port" in new:
            new = {**new, "port": str(new["port"]).format(port=alias)}
        answer = await client.post(PRINTERS, new)

        assert answer.status == status, answer.body
        assert answer.json()["error"]
        assert list(await listed(client)) == ["mini", "big"]
        assert (tmp_path / "limpet.toml").read_text() == settings


async def test_a_printer_is_changed_and_made_the_default(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        change = {"name": "Big", "baudrate": 0, "port": None, "reconnect": False, "reset": "no", "default": True}
        answer = await ask(client, "PATCH", f"{PRINTERS}/big", change)

        assert answer.status == 200
        assert (answer.json()["name"], answer.json()["default"]) == ("Big", True)
        assert answer.json()["preferences"] == {
            "port": None,
            "baudrate": None,
            "autoconnect": False,
            "reconnect": False,
            "reset": "no",
        }
        assert await state_at(client, "/p/big") == "Offline"
        assert [id for id, printer in (await listed(client)).items() if printer["default"]] == ["big"]

    settings = SettingsFile(tmp_path / "limpet.toml").load()
    assert settings.default_printer == "big"
    assert "# for now" in (tmp_path / "limpet.toml").read_text()


@pytest.mark.parametrize(
    ("change", "status"),
    [({"default": False}, 400), ({"name": ""}, 400), ({"reset": "maybe"}, 400), ({"id": "x"}, 400), ([], 400)],
)
async def test_a_change_that_is_not_understood_changes_nothing(tmp_path: Path, change: object, status: int) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        answer = await ask(client, "PATCH", f"{PRINTERS}/big", change)

        assert answer.status == status
        assert (tmp_path / "limpet.toml").read_text() == TWO


async def test_a_removed_printer_is_gone_and_its_listeners_too(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        await client.post("/p/big/api/connection", {"command": "connect"})
        request = f"GET /p/big/api/limpet/traffic HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ADMIN_KEY}\r\n\r\n"
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(request.encode())
        await asyncio.wait_for(reader.readuntil(b"> N"), 5)

        answer = await ask(client, "DELETE", f"{PRINTERS}/big")

        assert (answer.status, answer.body) == (204, b"")
        await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 5)
        writer.close()
        assert list(await listed(client)) == ["mini"]
        for method, path in (("GET", "/p/big/api/connection"), ("DELETE", f"{PRINTERS}/big")):
            assert (await ask(client, method, path)).status == 404

    assert (tmp_path / "limpet.toml").read_text() == (
        f'{HERMETIC}\n# The small one\n[printers.mini]\nport = "VIRTUAL"   # for now\n\n# The big one\n\n# End\n'
    )


async def test_neither_the_default_printer_nor_the_last_one_is_removed(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        assert (await ask(client, "DELETE", f"{PRINTERS}/mini")).status == 409
        assert (await ask(client, "DELETE", f"{PRINTERS}/big")).status == 204
        assert (await ask(client, "DELETE", f"{PRINTERS}/mini")).status == 409
        assert list(await listed(client)) == ["mini"]


async def test_the_id_of_a_removed_printer_is_free_again(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        for _ in range(3):
            assert (await ask(client, "DELETE", f"{PRINTERS}/big")).status == 204
            assert (await client.post(PRINTERS, {"id": "big", "port": "VIRTUAL"})).status == 201
            assert await state_at(client, "/p/big") == "Offline"


async def test_what_cannot_be_saved_is_not_done(tmp_path: Path) -> None:
    async with running(tmp_path, settings=TWO) as (client, _):
        (tmp_path / "limpet.toml").write_text("broken")

        assert (await client.post(PRINTERS, {"id": "new"})).status == 409
        assert (await ask(client, "DELETE", f"{PRINTERS}/big")).status == 409
        assert list(await listed(client)) == ["mini", "big"]
        assert await state_at(client, "/p/big") == "Offline"


async def test_fifty_printers_are_operational_soon_and_each_answers_for_itself(tmp_path: Path) -> None:
    rows = (f'[printers.p{n}]\nport = "VIRTUAL"\nbaudrate = 115200\nautoconnect = true\n' for n in range(50))
    async with running(tmp_path, settings=HERMETIC + "".join(rows)) as (client, _):

        async def are_operational() -> bool:
            return {printer["state"] for printer in (await listed(client)).values()} == {"Operational"}

        await eventually(are_operational, 10.0)
        assert len(await listed(client)) == 50
        assert (await client.post("/p/p49/api/connection", {"command": "disconnect"})).status == 204
        states = [await state_at(client, f"/p/p{n}") for n in range(50)]
        assert states == ["Operational"] * 49 + ["Offline"]


async def test_only_an_admin_may_name_a_port_that_is_not_on_offer(tmp_path: Path) -> None:
    settings = f'{HERMETIC}[printers.far]\nport = "socket://10.0.0.7:8899"\n'
    async with running(tmp_path, settings=settings, keys={"settings": ("SETTINGS", "STATUS")}) as (client, keys):

        async def status(method: str, path: str, body: object, key: str) -> int:
            headers = {"X-Api-Key": key, "Content-Type": "application/json"}
            return (await client.request(method, path, headers=headers, body=msgspec.json.encode(body))).status

        for port in ("socket://127.0.0.1:22", "/etc/passwd", "/dev/sda"):
            assert await status("POST", PRINTERS, {"id": "new", "port": port}, keys["settings"]) == 403
            assert await status("PATCH", f"{PRINTERS}/far", {"port": port}, keys["settings"]) == 403
        assert await status("POST", PRINTERS, {"id": "new", "port": "VIRTUAL"}, keys["settings"]) == 201
        unchanged = {"name": "Far", "port": "socket://10.0.0.7:8899"}
        assert await status("PATCH", f"{PRINTERS}/far", unchanged, keys["settings"]) == 200
        assert await status("PATCH", f"{PRINTERS}/far", {"port": "socket://10.0.0.8:1"}, ADMIN_KEY) == 200
