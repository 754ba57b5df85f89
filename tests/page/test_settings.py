from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.page.visit import PHONE, QUICK, Visit, expect
from tests.web.people import PASSWORD
from tests.web.server import ADMIN_KEY, printer_at


async def test_a_second_printer_is_added_and_both_are_seen(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Settings")
        await it.section("Printers")
        await it.button("Add a printer").click()
        await it.field("Name").fill("The Big One")
        await it.field("Port of the printer").select_option("VIRTUAL")
        await it.button("Save").click()
        # The settings go on beside the one that was there.
        await expect(it.page).to_have_url(it.client.address + "p/default/#/settings/printers")
        await expect(it.card("Printers")).to_contain_text("The Big One")

        await it.page.goto(it.client.address)
        await expect(it.page.get_by_role("heading", name="Printers")).to_be_visible()
        await it.page.get_by_role("link", name="The Big One").click()
        await expect(it.page).to_have_url(it.client.address + "p/the-big-one/")
        await expect(it.page).to_have_title("Offline – The Big One")
        await it.button("Connect").click()
        await it.state_is("Operational")
        await it.page.get_by_label("Limpet, all printers").click()
        await expect(it.page.get_by_role("link", name="The Big One")).to_contain_text("Operational")
        await expect(it.page.get_by_role("link", name="default")).to_contain_text("Offline")


async def test_an_address_of_no_printer_says_so(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        page = await it.open("/p/nope/")
        await expect(page.get_by_text("There is no such printer")).to_be_visible()


async def test_the_page_of_a_printer_that_is_removed_says_so(visit: Callable[..., Visit]) -> None:
    async with visit(settings="\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n") as it:
        it.expected.extend(("WebSocket connection", "404 (Not Found)"))
        await it.page.goto(it.client.address + "p/big/")
        await it.state_is("Offline")
        headers = {"X-Api-Key": ADMIN_KEY}
        assert (await it.client.request("DELETE", "/api/limpet/printers/big", headers=headers)).status == 204
        await it.sees("There is no such printer")
        await it.page.wait_for_timeout(1500)
        await expect(it.text("Limpet does not answer")).to_have_count(0)


async def test_the_list_of_printers_is_as_they_are(visit: Callable[..., Visit]) -> None:
    async with visit(settings=QUICK + "\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n") as it:
        await it.page.goto(it.client.address + "p/mini/#/settings/printers")
        listed = it.card("Printers").get_by_role("listitem").filter(has_text="Big")
        await expect(listed).to_contain_text("Offline")
        await it.client.post("/p/big/api/connection", {"command": "connect", "port": "VIRTUAL"})
        await expect(listed).to_contain_text("Operational")


async def test_a_profile_is_changed(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Settings")
        await it.section("Profiles")
        await it.button("Change Default").click()
        await it.field("Width in mm").fill("250")
        await it.field("Heated bed").uncheck()
        await it.button("Save").click()
        await it.sees("250 × 200 × 200 mm")
        profile = (await it.client.get("/api/printerprofiles/_default")).json()
        assert (profile["volume"]["width"], profile["heatedBed"]) == (250, False)


async def test_users_are_added_changed_and_removed(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Settings")
        await it.section("Users")
        await it.button("Add a user").click()
        await it.field("Name").fill("bob")
        await it.field("Password").fill(PASSWORD)
        await it.button("Save").click()
        await it.button("Change bob").click()
        await it.field("May log in").uncheck()
        await it.button("Save").click()
        await it.sees("may not log in")
        await it.button("Remove bob").click()
        await it.button("Remove").click()
        await expect(it.button("Change bob")).to_have_count(0)


async def test_a_key_is_made_and_shown_once(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Settings")
        await it.section("Keys")
        await it.button("Make a new key").click()
        key = await it.page.locator(".notice .mono").inner_text()
        await it.button("End it").click()
        await expect(it.page.get_by_role("dialog")).to_be_visible()
        await it.page.keyboard.press("Escape")
        await expect(it.page.get_by_role("dialog")).to_have_count(0)
        assert (await it.client.get("/api/version", key=key)).status == 200
        await it.button("End it").click()
        await it.page.get_by_role("dialog").get_by_role("button", name="End it").click()
        await it.sees("Your key is no longer valid.")
        assert (await it.client.get("/api/version", key=key)).status == 403

        await it.field("Name of the program").fill("slicer")
        await it.button("Make a key").click()
        await expect(it.button("End the keys of slicer")).to_be_visible()
        await it.button("End the keys of slicer").click()
        await it.button("End them").click()
        await expect(it.button("End the keys of slicer")).to_have_count(0)


async def test_the_name_of_the_server_is_saved(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Settings")
        await it.section("General")
        await it.field("Name").fill("Workshop")
        await it.card("This Limpet").get_by_role("button", name="Save").click()
        await it.sees("Saved.")
        assert (await it.client.get("/api/settings")).json()["appearance"]["name"] == "Workshop"


async def test_who_may_do_less_sees_less(visit: Callable[..., Visit]) -> None:
    async with visit(users=("ada", "bob"), user="bob") as it:
        await it.view("Settings")
        sections = it.page.get_by_role("navigation", name="Settings")
        await expect(sections.get_by_role("link", name="Account")).to_be_visible()
        await expect(sections.get_by_role("link", name="Users")).to_have_count(0)


async def test_a_script_is_written(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("400 (Bad Request)")
        await it.view("Settings")
        await it.section("General")
        await it.field("When").select_option("When a print is done")
        scripts = it.card("Scripts of this printer")
        await it.field("G-code").fill("{% if %}")
        await scripts.get_by_role("button", name="Save").click()
        await expect(scripts.get_by_role("alert")).to_be_visible()
        await it.field("G-code").fill("M117 done")
        # What is typed and not saved is there when one comes back.
        await it.field("When").select_option("Before a print")
        await expect(it.field("G-code")).not_to_have_value("M117 done")
        await it.field("When").select_option("When a print is done (not saved)")
        await expect(it.field("G-code")).to_have_value("M117 done")
        await scripts.get_by_role("button", name="Save").click()
        await it.sees("Saved.")
        gcode = (await it.client.get("/api/settings")).json()["scripts"]["gcode"]
        assert gcode["afterPrintDone"] == "M117 done"
        await expect(it.field("When").get_by_role("option", name="not saved", include_hidden=True)).to_have_count(0)


async def test_from_the_overview_a_printer_is_added_and_from_a_phone_it_is_found_again(
    visit: Callable[..., Visit],
) -> None:
    async with visit(settings="\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n", size=PHONE) as it:
        await expect(it.page.get_by_role("link", name="Mini")).to_be_visible()
        await expect(it.page).to_have_title("Limpet")
        await it.page.get_by_role("link", name="Add a printer").click()
        # A name without Latin letters has an address as well.
        await it.field("Name").fill("Принтер")
        await it.sees(re.compile("Its address will be /p/printer/"))
        await it.button("Save").click()
        await expect(it.page.get_by_role("link", name="Принтер").first).to_be_visible()
        await it.field("Account: ada").click()
        await it.page.get_by_role("link", name="All printers", exact=True).click()
        await expect(it.page.get_by_role("link", name="Принтер")).to_contain_text("Offline")


async def test_the_menu_closes_by_escape_and_when_it_is_left(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        account = it.field("Account: ada")
        await account.press("Enter")
        await expect(it.button("Log out")).to_be_visible()
        await it.page.keyboard.press("Tab")
        await it.page.keyboard.press("Escape")
        await expect(it.button("Log out")).to_be_hidden()
        await expect(account).to_be_focused()
        await account.press("Enter")
        await expect(it.button("Log out")).to_be_visible()
        await it.field("Port").focus()
        await expect(it.button("Log out")).to_be_hidden()


async def test_a_printer_is_changed_and_removed(visit: Callable[..., Visit]) -> None:
    async with visit(settings="\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n") as it:
        await it.page.get_by_role("link", name="Settings", exact=True).click()
        await it.section("Printers")
        await it.button("Change Big").click()
        await it.field("Name").fill("Maxi")
        await it.field("Baudrate of the printer").select_option("250000")
        await it.button("Save").click()
        await it.sees("port detected · 250000")
        await it.button("Remove Maxi").click()
        await it.button("Remove").click()
        await expect(it.button("Change Maxi")).to_have_count(0)
        assert [each.id for each in it.client.fleet] == ["mini"]


async def test_a_profile_is_added_and_removed(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Settings")
        await it.section("Profiles")
        await it.button("Add a profile").click()
        await it.field("Name").fill("打印机")
        await it.field("Depth in mm").fill("123,5")
        await it.button("Save").click()
        await it.sees("200 × 123.5 × 200 mm")
        assert "profile" in (await it.client.get("/api/printerprofiles")).json()["profiles"]
        await it.button("Remove 打印机").click()
        await it.button("Remove").click()
        await expect(it.button("Change 打印机")).to_have_count(0)


async def test_the_ports_are_told_for_what_they_are(visit: Callable[..., Visit], tmp_path: Path) -> None:
    port = tmp_path / "printer"
    async with printer_at(port), visit(ports=[str(port)]) as it:
        await it.connect(str(port))
        await it.view("Settings")
        await it.section("Ports")
        await expect(it.card("Ports")).to_contain_text(str(port))
        await expect(it.card("Ports")).to_contain_text("In use by")


async def test_ones_own_password_is_changed(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("403 (Forbidden)")
        await it.view("Settings")
        for present, said in (("not the one", "alert"), (PASSWORD, "status")):
            await it.field("Present password").fill(present)
            await it.field("New password").fill("something longer")
            await it.field("New password again").fill("something longer")
            await it.button("Change").click()
            await expect(it.page.get_by_role(said).filter(has_text="password").first).to_be_visible()  # type: ignore[arg-type]
