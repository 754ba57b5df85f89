"""OctoPrint's clients, as they are published, against a Limpet of its own: `scripts/clients` installs them."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from tests.clients.programs import run
from tests.web.server import ADMIN_KEY, Client

HERE = Path(__file__).parent
CLIENTS = HERE.parents[1] / ".venv/clients"

pytestmark = pytest.mark.skipif(
    not (CLIENTS / ".installed").exists(), reason="no clients; scripts/clients installs them"
)


async def test_octorest_walks_through_without_an_error(limpet: Client, tmp_path: Path) -> None:
    gcode = tmp_path / "walk.gcode"
    gcode.write_text("G28\n" + "G4 P100\n" * 100)
    said = await run(CLIENTS / "bin/python", HERE / "octorest_walk.py", limpet.address, ADMIN_KEY, gcode)
    assert "disconnected Offline" in said


async def test_what_home_assistant_uses_walks_through_without_an_error(limpet: Client) -> None:
    said = await run(CLIENTS / "bin/python", HERE / "pyoctoprintapi_walk.py", limpet.address, ADMIN_KEY)
    assert said.splitlines()[-1] == "disconnected"
    assert "printer Operational ['tool0', 'bed']" in said or "printer Operational ['bed', 'tool0']" in said


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
async def test_the_javascript_client_library_walks_through_without_an_error(limpet: Client) -> None:
    said = await run("node", HERE / "walk.js", CLIENTS, limpet.address, ADMIN_KEY)
    assert said.splitlines()[-1] == "walked through"


async def test_octoprints_own_client_listens(limpet: Client, tmp_path: Path) -> None:
    where = ("-h", limpet.host, "-p", str(limpet.port), "-a", ADMIN_KEY)
    program = await asyncio.create_subprocess_exec(
        *(CLIENTS / "bin/octoprint", "--basedir", tmp_path / "octoprint", "client", *where, "listen"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert program.stdout is not None
    try:
        async with asyncio.timeout(30):
            while b"<<< history" not in await program.stdout.readline():
                pass
            await limpet.accepted("connect", port="VIRTUAL", baudrate=115200)
            while b'"type": "Connected", "payload": {"port": "VIRTUAL"' not in await program.stdout.readline():
                pass
    finally:
        program.kill()
        await program.communicate()


async def test_octoprints_own_client_connects_uploads_and_listens(limpet: Client, tmp_path: Path) -> None:
    gcode = tmp_path / "walk.gcode"
    gcode.write_text("G28\n")

    async def ask(*words: object) -> list[int]:
        program = CLIENTS / "bin/octoprint"
        where = ("-h", limpet.host, "-p", str(limpet.port), "-a", ADMIN_KEY)
        said = await run(program, "--basedir", tmp_path / "octoprint", "client", *where, *words)
        return [int(status) for status in re.findall(r"Status Code: (\d+)", said)]

    assert await ask("get", "/api/version") == [200]
    assert await ask(
        "command", "/api/connection", "connect", "--str", "port", "VIRTUAL", "--int", "baudrate", "115200"
    ) == [204]
    await limpet.until_state("Operational")
    assert await ask("upload", "/api/files/local", gcode) == [201]
    assert await ask("get", "/api/files/local/walk.gcode") == [200]
    assert await ask("post_json", "/api/printer/command", '{"command": "M117 hello"}') == [204]
    assert await ask("command", "/api/files/local/walk.gcode", "select", "--bool", "print", "true") == [204]
    await limpet.until_state("Operational")
    assert await ask("delete", "/api/files/local/walk.gcode") == [204]
    assert await ask("command", "/api/connection", "disconnect") == [204]
