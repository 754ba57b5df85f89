from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from tests.page.visit import Visit, expect
from tests.web.people import PASSWORD
from tests.web.server import ADMIN_KEY

# A browser that knocks at the very moment when the server ends is let in by asyncio, and never by aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GONE = (
    "ERR_CONNECTION_REFUSED",
    "WebSocket connection",
    "ERR_EMPTY_RESPONSE",
    "ERR_CONNECTION_RESET",
    "ERR_INCOMPLETE",
)


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    """What is left of such a connection is not found in another test."""
    yield
    gc.collect()


async def test_a_server_that_goes_away_is_told_and_the_page_comes_back_by_itself(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        it.expected.extend(GONE)
        await it.button("Use an API key").click()
        await it.field("API key").fill(ADMIN_KEY)
        await it.button("Log in").click()
        await it.connect()

        await it.stop()
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Limpet is back.")
        await expect(it.text("Limpet does not answer")).to_have_count(0)
        await it.state_is("Offline")
        await it.connect()


async def test_a_session_that_ended_with_the_server_leads_to_the_login_and_back(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.extend(GONE)
        await expect(it.field("Port")).to_be_visible()
        await it.stop()
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Your session has ended")
        await it.field("User").fill("ada")
        await it.field("Password").fill(PASSWORD)
        await it.button("Log in").click()
        await it.connect()
