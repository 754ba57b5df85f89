from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.people import PASSWORD, World
from tests.web.server import Client, running


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A server as it is after the first start; VIRTUAL is its only port."""
    async with running(tmp_path) as (client, _):
        yield client


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """The name of a port that is not there yet."""
    return tmp_path / "printer"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, None)  # type: ignore[arg-type]
    for name, groups in (("ada", ("admins",)), ("bob", ("users",)), ("wall", ("readonly",))):
        world.users.add(name, PASSWORD, groups=groups)
    async with running(tmp_path) as (client, _):
        world.client = client
        yield world
