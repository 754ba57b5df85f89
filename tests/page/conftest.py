"""The page in a real Chromium, beside a server in the same event loop."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.page.visit import Visit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One event loop for all, so that they can share one browser.
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, tmp_path: Path) -> AsyncIterator[Callable[..., Visit]]:
    """Makes servers with the page open in a browser; fails when a page has said something on its console."""
    from tests.page.visit import Visit

    visits: list[Visit] = []

    def begin(**options: object) -> Visit:
        folder = tmp_path / str(len(visits))
        folder.mkdir()
        visits.append(Visit(browser, folder, **options))  # type: ignore[arg-type]
        return visits[-1]

    yield begin
    for each in visits:
        assert each.complaints == []
        assert each.elsewhere == []
