"""Two who want different things of a printer at once: the later one gets it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from limpet.files import locked

from .server import running, stays


async def test_a_disconnect_is_not_overtaken_by_a_connect_that_is_still_saving(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        with locked(tmp_path / "limpet.toml"):  # As a slow SD card would.
            saving = asyncio.create_task(client.command("connect", port="VIRTUAL", baudrate=115200, save=True))
            await stays(lambda: not saving.done(), during=0.1)
            await client.accepted("disconnect")
        assert (await saving).status == 204
        assert (await client.options())["portPreference"] == "VIRTUAL"
        assert (await client.current())["state"] == "Offline"


async def test_an_edit_by_hand_does_not_take_a_printer_away_while_it_is_used(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        (tmp_path / "limpet.toml").write_text('default_printer = "other"\n[printers.other]\n')
        await client.accepted("connect", port="VIRTUAL", baudrate=115200, save=True)
        await client.until_state("Operational")
        await client.accepted("disconnect")
        assert (await client.current())["state"] == "Offline"
