from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.page.visit import CODE, Visit, expect
from tests.web.people import PASSWORD
from tests.web.server import ADMIN_KEY

if TYPE_CHECKING:
    from playwright.async_api import Route

REFUSED = "403 (Forbidden)"


async def test_the_first_user_is_set_up_with_the_code_from_the_terminal(visit: Callable[..., Visit]) -> None:
    async with visit(setup=True) as it:
        it.expected.append(REFUSED)
        await it.field("Code from the terminal").fill("WRNG-CODE")
        await it.field("User").fill("ada")
        await it.field("Password").fill(PASSWORD)
        await it.field("Password again").fill("something else")
        await it.button("Set up").click()
        await it.sees("The two passwords are not the same.")

        await it.field("Password again").fill(PASSWORD)
        await it.button("Set up").click()
        await it.sees("The code is wrong")

        await it.field("Code from the terminal").fill(CODE.lower())
        await it.button("Set up").click()
        await expect(it.field("Port")).to_be_visible()


async def test_a_wrong_password_is_told_and_the_right_one_lets_in(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        it.expected.append(REFUSED)
        await it.field("User").fill("ada")
        await it.field("Password").fill("not the one")
        await it.button("Log in").click()
        await it.sees("That user and password do not match.")

        await it.field("Password").fill(PASSWORD)
        await it.page.keyboard.press("Enter")
        await expect(it.field("Port")).to_be_visible()

        await it.page.reload()
        await expect(it.field("Port")).to_be_visible()


async def test_logging_out_ends_it(visit: Callable[..., Visit]) -> None:
    async with visit() as it:

        async def slowly(route: Route) -> None:
            # A login that is shown already would lose what is typed when the page is loaded anew.
            await asyncio.sleep(0.5)
            shown.append(await it.field("Password").count())
            await route.continue_()

        shown: list[int] = []
        await it.page.route("**/api/logout", slowly)
        await it.field("Account: ada").click()
        await it.button("Log out").click()
        await expect(it.field("Password")).to_be_visible()
        assert shown == [0]
        await it.page.reload()
        await expect(it.field("Password")).to_be_visible()


async def test_an_api_key_lets_in_and_is_kept_only_if_wished(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        await it.button("Use an API key").click()
        await it.field("API key").fill("no such key")
        await it.button("Log in").click()
        await it.sees("This API key is not valid.")

        await it.field("API key").fill(ADMIN_KEY)
        await it.button("Log in").click()
        await expect(it.field("Port")).to_be_visible()
        await it.page.reload()
        await expect(it.field("Port")).to_be_visible()

        other = await it.open("/")
        await expect(other.get_by_label("Password")).to_be_visible()


async def test_an_api_key_that_is_to_be_remembered_is_there_in_the_next_tab(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        await it.button("Use an API key").click()
        await expect(it.field("API key")).to_be_focused()
        await it.field("API key").fill(ADMIN_KEY)
        await it.field("Remember it on this device").check()
        await it.button("Log in").click()
        await expect(it.field("Port")).to_be_visible()

        other = await it.open("/")
        await expect(other.get_by_label("Port")).to_be_visible()


async def test_an_app_that_asks_for_a_key_is_let_in_by_name(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await expect(it.field("Port")).to_be_visible()
        asked = await it.client.post("/plugin/appkeys/request", {"app": "Home <b>Assistant</b>"}, key="")
        await it.sees("Home <b>Assistant</b>")
        await it.button("Allow").click()

        token = asked.json()["app_token"]
        answer = await it.client.get(f"/plugin/appkeys/request/{token}", key="")
        assert answer.status == 200
        assert answer.json()["api_key"]


async def test_a_login_is_remembered_only_if_wished(visit: Callable[..., Visit]) -> None:
    async with visit(logged_in=False) as it:
        for wished in (False, True):
            await it.field("User").fill("ada")
            await it.field("Password").fill(PASSWORD)
            await it.field("Remember me on this device").set_checked(wished)
            await it.button("Log in").click()
            await expect(it.field("Port")).to_be_visible()
            # One that expires at -1 goes with the browser.
            assert any(cookie["expires"] > 0 for cookie in await it.context.cookies()) is wished
            await it.field("Account: ada").click()
            await it.button("Log out").click()
            # A browser that is closed while it loads a page may never say so.
            await expect(it.field("User")).to_be_visible()


async def test_an_app_that_asks_for_a_key_is_turned_away(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await expect(it.field("Port")).to_be_visible()
        asked = await it.client.post("/plugin/appkeys/request", {"app": "Stranger"}, key="")
        request = f"/plugin/appkeys/request/{asked.json()['app_token']}"
        # Who closes the question has not answered it.
        await it.sees("wants to use this printer")
        await it.page.keyboard.press("Escape")
        await expect(it.page.get_by_role("dialog")).to_have_count(0)
        assert (await it.client.get(request, key="")).status == 202
        await it.button("Answer").click()
        await it.button("Do not allow").click()
        await it.sees("Stranger gets no key.")
        assert (await it.client.get(request, key="")).status == 404
