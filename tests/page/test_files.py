from __future__ import annotations

import re
from collections.abc import Callable

from tests.page.visit import Visit, expect
from tests.web.server import ADMIN_KEY

EVIL = "<img src=x onerror=window.evil=1>.gcode"


async def test_files_are_found_printed_and_deleted(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.client.upload("benchy.gcode")
        await it.client.upload("bracket.gcode", path="parts/small")
        await it.view("Files")
        await expect(it.page.get_by_role("button", name="benchy.gcode").first).to_be_visible()

        await it.page.get_by_role("button", name="parts 1 inside").click()
        await it.page.get_by_role("button", name="small 1 inside").click()
        await expect(it.page.get_by_role("button", name="Delete bracket.gcode")).to_be_visible()
        await it.button("All files").click()

        await it.field("Search").fill("brack")
        await expect(it.button("Delete bracket.gcode")).to_be_visible()
        await expect(it.button("Delete benchy.gcode")).to_have_count(0)
        await it.button("Print bracket.gcode").click()
        assert "G28" not in await it.lines()
        await it.button("Print").click()
        await it.sees("bracket.gcode is printed.")

        await it.view("Files")
        await it.button("Delete benchy.gcode").click()
        await it.button("Delete").click()
        await it.sees("benchy.gcode is deleted.")
        await expect(it.button("Delete benchy.gcode")).to_have_count(0)


async def test_a_folder_is_made_and_files_go_where_one_is(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Files")
        await it.button("New folder").click()
        await it.field("Name").fill("parts")
        await it.button("Make it").click()
        await it.page.get_by_role("button", name="parts 0 inside").click()
        await it.upload("Upload", {"a.gcode": ["G28"]})
        await it.eventually(lambda: (it.folder / "uploads/parts/a.gcode").exists())
        await it.page.get_by_role("button", name="a.gcode").first.click()
        await it.button("Move").click()
        await it.field("New place and name").fill("b.gcode")
        await it.page.get_by_label("New place and name").press("Enter")
        await it.eventually(lambda: (it.folder / "uploads/b.gcode").exists())


async def test_back_leads_out_of_a_folder_and_the_address_into_it(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.client.upload("deep.gcode", path="100% #1/%41&=")
        await it.view("Files")
        inside = it.button("Delete deep.gcode")
        for name in ("100% #1", "%41&="):
            await it.page.get_by_role("button", name=f"{name} 1 inside").click()
        await expect(inside).to_be_visible()
        await it.page.reload()
        await expect(inside).to_be_visible()
        await it.page.go_back()
        await expect(it.button("Delete %41&=")).to_be_visible()
        await it.page.go_back()
        await expect(it.button("Delete 100% #1")).to_be_visible()
        await it.page.goto(f"{it.client.address}#/files/%zz")
        await it.sees("There is no such folder.")


async def test_who_may_not_add_files_is_not_asked_to(visit: Callable[..., Visit]) -> None:
    async with visit(users=("ada", "bob"), user="bob") as it:
        # What is asked for while the groups change.
        it.expected.append("403 (Forbidden)")
        body = b'{"active": true, "groups": ["readonly"]}'
        headers = {"X-Api-Key": ADMIN_KEY, "Content-Type": "application/json"}
        assert (await it.client.request("PUT", "/api/access/users/bob", headers=headers, body=body)).status == 200
        await it.page.goto(f"{it.client.address}#/files")
        await it.page.reload()
        await it.sees("Nothing here yet.")
        await expect(it.text(re.compile("Drop a file"))).to_have_count(0)
        await it.client.post("/api/connection", {"command": "connect", "port": "VIRTUAL"})
        await it.view("Printer")
        await it.sees("No file is selected.")
        await expect(it.text(re.compile("Drop one"))).to_have_count(0)
        await expect(it.text("Choose a file")).to_have_count(0)


async def test_a_file_is_downloaded(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.client.upload("a.gcode", b"G28\nG1 X5\n")
        await it.view("Files")
        await it.page.get_by_role("button", name="a.gcode").first.click()
        async with it.page.expect_download() as download:
            await it.button("Download").click()
        assert (await (await download.value).path()).read_bytes() == b"G28\nG1 X5\n"


async def test_a_hostile_name_is_only_a_name(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        (it.folder / "uploads").mkdir(exist_ok=True)
        (it.folder / "uploads" / EVIL).write_text("G28\n")
        await it.connect()
        await it.view("Files")
        await it.page.get_by_role("button", name=EVIL).first.click()
        await it.button("Select").click()
        await it.view("Printer")
        await expect(it.card("Job")).to_contain_text(EVIL)
        assert await it.page.evaluate("window.evil") is None
        assert await it.page.locator("img").count() == 0
