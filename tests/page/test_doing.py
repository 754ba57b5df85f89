from __future__ import annotations

from collections.abc import Callable

from tests.page.visit import QUICK, STEADY, Visit, expect


async def test_the_head_is_moved_and_homed_by_buttons_and_keys(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.button("Home all").click()
        await it.button("X plus 10 mm").click()
        await it.page.keyboard.press("1")
        await it.page.keyboard.press("ArrowUp")
        await it.page.keyboard.press("PageUp")
        await it.wrote("G28", "G1 X10 F6000", "G1 Y0.1 F6000", "G1 Z0.1 F200")


async def test_an_axis_that_the_profile_inverts_is_moved_the_other_way(visit: Callable[..., Visit]) -> None:
    async with visit(settings="\n[virtual]\ninstant = true\n[profiles._default]\nx_inverted = true\n") as it:
        await it.connect()
        await it.button("X plus 10 mm").click()
        await it.wrote("G1 X-10 F6000")


async def test_cold_filament_is_not_pushed_and_warm_one_is(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("409 (Conflict)")
        await it.connect()
        await expect(it.card("Temperatures")).to_contain_text("21.3")
        await it.button("Extrude").click()
        await it.sees("170")
        await it.field("Nozzle target").fill("200")
        await it.button("Set Nozzle target").click()
        await expect(it.card("Temperatures")).to_contain_text("200.0 °C")
        await it.field("Amount in mm").fill("7")
        await it.button("Retract").click()
        await it.wrote("G1 E-7 F300")


async def test_fan_speed_and_flow_are_set_by_sliders(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.field("Fan").fill("50")
        await it.field("Print speed").fill("120")
        await it.field("Flow").fill("95")
        await it.wrote("M106 S128", "M220 S120", "M221 S95")
        await it.button("Fan Off").click()
        await it.wrote("M107")


async def test_the_emergency_stop_is_pressed_twice(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("Error")
        await it.connect()
        await it.page.get_by_role("button", name="Emergency stop").click(click_count=2, delay=1)
        await expect(it.button("Press again to stop")).to_be_visible()
        await it.page.keyboard.press("Escape")
        await it.page.get_by_role("button", name="Emergency stop").click()
        await it.page.wait_for_timeout(300)
        assert "M112" not in await it.lines()
        await it.button("Press again to stop").click()
        await it.sees("Emergency stop sent.")
        await it.wrote("M112")


async def test_a_file_is_dropped_anywhere_and_selected(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.drag("dropped.gcode", "G28\n")
        await it.sees("Drop it, and it is uploaded")
        await it.drop()
        await expect(it.card("Job")).to_contain_text("dropped.gcode")


async def test_the_browser_does_not_open_a_file_in_place_of_a_page_that_takes_none(visit: Callable[..., Visit]) -> None:
    async with visit(settings=QUICK + "\n[printers.mini]\n[printers.big]\n") as it:
        await expect(it.page.get_by_role("main").get_by_role("link", name="mini")).to_be_visible()
        # A browser without a window opens none anyway: what counts is what it is told.
        await it.page.evaluate("addEventListener('dragover', (event) => (window.told = event.dataTransfer.dropEffect))")
        await it.drag("dropped.gcode", "G28\n")
        assert await it.page.evaluate("window.told") == "none"


async def test_an_upload_shows_how_far_it_is_and_can_be_stopped(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("ERR_FAILED")
        await it.connect()
        session = await it.context.new_cdp_session(it.page)
        await session.send("Network.enable")
        limits = {"offline": False, "latency": 5, "downloadThroughput": -1, "uploadThroughput": 200_000}
        await session.send("Network.emulateNetworkConditions", limits)
        async with it.page.expect_file_chooser() as chooser:
            await it.button("Upload a file").click()
        large = {"name": "large.gcode", "mimeType": "text/plain", "buffer": b"G1 X1\n" * 500_000}
        await (await chooser.value).set_files([large])
        bar = it.page.get_by_role("progressbar", name="Upload of large.gcode")
        await expect(bar).to_be_visible()
        await it.eventually(lambda: bar.evaluate("bar => bar.value > 0.02"))
        await it.button("Stop the upload of large.gcode").click()
        await it.sees("The upload was stopped")
        assert (await it.client.get("/api/files/local")).json()["files"] == []


async def test_controls_of_the_settings_are_buttons(visit: Callable[..., Visit]) -> None:
    controls = """
[virtual]
instant = true
[controls.light]
name = "Light on"
commands = ["M355 S1"]
group = "Lamp"
[controls.park]
name = "Park"
commands = ["G27"]
confirm = "Is the bed empty?"
"""
    async with visit(settings=controls) as it:
        await it.connect()
        await it.button("Light on").click()
        await it.wrote("M355 S1")
        await it.button("Park").click()
        await it.sees("Is the bed empty?")
        await it.page.get_by_role("dialog").get_by_role("button", name="Park").click()
        await it.wrote("G27")


async def test_a_key_that_is_held_down_stops_nothing(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.page.get_by_role("button", name="Emergency stop").focus()
        for _ in range(5):
            await it.page.keyboard.down("Enter")
            await it.page.wait_for_timeout(120)
        await it.page.keyboard.up("Enter")
        await expect(it.button("Press again to stop")).to_be_visible()
        assert "M112" not in await it.lines()


async def test_in_a_pause_the_head_is_moved_but_not_homed(visit: Callable[..., Visit]) -> None:
    async with visit(settings=STEADY) as it:
        await it.print_for_long()
        await expect(it.button("Z plus 10 mm")).to_be_disabled()
        await it.button("Pause").click()
        await it.state_is("Paused")
        await it.button("Z plus 10 mm").click()
        await it.wrote("G1 Z10 F200")
        await expect(it.button("Extrude")).to_be_enabled()
        await expect(it.button("Home all")).to_be_disabled()
        await expect(it.button("Motors off")).to_be_disabled()


async def test_a_slider_keeps_what_it_was_set_to_and_knows_nothing_else(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        speeds = it.card("Fan and speed")
        await expect(speeds.get_by_role("status")).to_have_text(["–", "–", "–"])
        await it.button("Fan Off").click()
        await it.wrote("M107")
        await it.field("Fan").fill("50")
        await it.wrote("M106 S128")
        await it.view("Files")
        await it.view("Printer")
        await expect(speeds.get_by_role("status")).to_have_text(["50%", "–", "–"])
        await it.button("Disconnect").click()
        await it.connect()
        await expect(speeds.get_by_role("status")).to_have_text(["–", "–", "–"])


async def test_what_fails_in_a_dialog_is_told_in_it(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("404 (Not Found)")
        await it.client.upload("a.gcode")
        await it.connect()
        await it.view("Files")
        await it.page.get_by_role("button", name="a.gcode").first.click()
        await it.context.route("**/api/files/local/a.gcode", lambda route: route.fulfill(status=404, body="{}"))
        dialog = it.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Select").click()
        told = dialog.locator(".note.bad")
        await expect(told).to_contain_text("404")
        # Nothing lies over it.
        await told.get_by_role("button", name="Dismiss").click()
        await expect(told).to_have_count(0)


async def test_a_dialog_does_not_begin_with_the_emergency_stop(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.client.upload("a.gcode")
        await it.connect()
        await it.view("Files")
        await it.button("Delete a.gcode").press("Enter")
        dialog = it.page.get_by_role("dialog")
        await expect(dialog.get_by_role("heading")).to_be_focused()
        await it.page.keyboard.press("Tab")
        await expect(dialog.get_by_role("button", name="stop")).to_be_focused()
        await it.page.keyboard.press("Escape")
        await it.button("New folder").press("Enter")
        await expect(it.field("Name")).to_be_focused()
