"""A real Home Assistant against a Limpet of its own: `scripts/home-assistant` installs it and runs this.

Not one of the tests that are run together, as its name says: it is large, and wants a newer Python.
"""

from __future__ import annotations

from pathlib import Path

from tests.clients.programs import run
from tests.web.server import ADMIN_KEY, Client

HERE = Path(__file__).parent
HOME_ASSISTANT = HERE.parents[1] / ".venv/home-assistant"


async def test_home_assistant_asks_for_a_key_and_shows_the_printer(limpet: Client) -> None:
    python = HOME_ASSISTANT / "bin/python"
    said = await run(python, HERE / "home_assistant_walk.py", limpet.address, ADMIN_KEY, within=120)
    print(said)
    assert said.splitlines()[-1] == "Home Assistant shows the printer"
