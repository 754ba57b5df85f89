from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.server import Client, process


@pytest.fixture
async def limpet(folder: Path) -> AsyncIterator[Client]:
    async with process(folder) as server:
        client = await server.start()
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder
