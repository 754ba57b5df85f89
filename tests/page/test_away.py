from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.page.visit import QUICK, Visit, expect
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


async def test_who_is_remembered_goes_on_after_the_server_was_started_anew(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.extend(GONE)
        await expect(it.field("Port")).to_be_visible()
        await it.stop()
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Limpet is back.")
        await it.connect()


async def test_a_session_that_ended_with_the_server_leads_to_the_login_and_back(visit: Callable[..., Visit]) -> None:
    async with visit(remember=False, settings=QUICK + "\n[printers.big]\nname = 'Big'\n") as it:
        it.expected.extend(GONE)
        await expect(it.field("Port")).to_be_visible()
        await it.stop()
        await expect(it.page).to_have_title("No answer – Big")
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Your session has ended")
        await expect(it.page).to_have_title("Limpet")
        await it.field("User").fill("ada")
        await it.field("Password").fill(PASSWORD)
        await it.button("Log in").click()
        await it.connect()


async def by_key(it: Visit) -> None:
    await it.button("Use an API key").click()
    await it.field("API key").fill(ADMIN_KEY)
    await it.button("Log in").click()


async def test_a_server_that_only_falls_silent_is_told_as_gone(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.extend((*GONE, "ERR_FAILED"))
        silent = False

        def between(socket: Any) -> None:
            server = socket.connect_to_server()
            server.on_message(lambda text: None if silent else socket.send(text))

        await it.context.route_web_socket("**/sockjs/websocket", between)
        await it.page.clock.install()
        await it.page.reload()
        await it.connect()

        silent = True
        await it.context.route("**/api/**", lambda route: route.abort())
        await it.page.clock.fast_forward(10_000)
        await it.sees("Limpet does not answer")
        await expect(it.page).to_have_title("No answer – Limpet")
        silent = False
        await it.context.unroute("**/api/**")
        await it.sees("Limpet is back.")
        await it.state_is("Operational")


async def test_the_overview_tells_it_too_and_comes_back(visit: Callable[..., Visit]) -> None:
    async with visit(
        logged_in=False, settings="\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n"
    ) as it:
        it.expected.extend(GONE)
        await by_key(it)
        mini = it.page.get_by_role("link", name="Mini")
        await expect(mini).to_contain_text("Offline")
        await it.stop()
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Limpet is back.")
        await it.client.post("/p/mini/api/connection", {"command": "connect", "port": "VIRTUAL"})
        await expect(mini).to_contain_text("Operational")


async def test_the_overview_leads_to_the_login_when_the_session_has_ended(visit: Callable[..., Visit]) -> None:
    settings = "\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n"
    async with visit(remember=False, settings=settings) as it:
        it.expected.extend((*GONE, "403 (Forbidden)"))
        await expect(it.page.get_by_role("link", name="Mini")).to_be_visible()
        await it.stop()
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Your session has ended")


async def test_a_view_that_could_not_be_loaded_is_there_when_the_server_is_back(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        it.expected.extend((*GONE, "Failed to load"))
        await by_key(it)
        await expect(it.field("Port")).to_be_visible()
        await it.stop()
        await it.sees("Limpet does not answer")
        await it.view("Files")
        await it.sees("It is tried again.")
        await it.start()
        await expect(it.card("Files")).to_be_visible()


async def test_a_chart_that_could_not_be_loaded_is_there_when_the_server_is_back(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        it.expected.extend((*GONE, "ERR_FAILED"))
        await by_key(it)
        await it.context.route("**/uplot.js", lambda route: route.abort())
        await it.connect()
        canvas = it.card("Temperatures").locator("canvas")
        await expect(it.card("Temperatures")).to_be_visible()
        await expect(canvas).to_have_count(0)
        await it.context.unroute("**/uplot.js")
        await it.stop()
        await it.sees("Limpet does not answer")
        await it.start()
        await it.sees("Limpet is back.")
        await it.connect()
        await expect(canvas).to_be_visible()


async def test_what_is_pressed_meanwhile_says_that_nobody_answers(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("ERR_CONNECTION_REFUSED")
        await it.connect()
        await expect(it.button("Home all")).to_be_visible()
        # Not by the end of the server: it may still tell that the printer is offline, and that takes the buttons away.
        await it.context.route("**/api/**", lambda route: route.abort("connectionrefused"))
        await it.button("Home all").click()
        await expect(it.page.get_by_role("status").get_by_text("Limpet does not answer")).to_be_visible()
        await it.page.get_by_role("button", name="Emergency stop").click()
        await it.page.wait_for_timeout(300)
        await it.button("Press again to stop").click()
        await it.sees("The emergency stop was not sent: switch the printer off by hand.")
