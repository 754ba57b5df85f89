from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limpet.printer.printer import Printer
from tests.printer.rig import nothing_left, one_printer


@pytest.fixture
async def printer() -> AsyncIterator[Printer]:
    """A printer that knows VIRTUAL alone; after the test nothing of it is left."""
    async with nothing_left(), one_printer() as printer:
        yield printer


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """Where a port is to appear."""
    return tmp_path / "printer"
