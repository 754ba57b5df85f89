from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from tests.page.visit import STEADY, Visit, expect
from tests.web.server import printer_at


async def test_connecting_to_the_virtual_printer_by_clicks(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.sees("No port is there. Is the printer switched on, and the cable one for data?")
        await it.field("Port").select_option("Virtual printer")
        await it.field("Baudrate").select_option("250000")
        await it.field("Remember these choices").check()
        await it.button("Connect").click()
        await it.state_is("Operational")
        await it.sees("VIRTUAL · 250000 baud · Marlin 2.1.2 (Virtual)")
        await it.sees("Link: good")

        await it.button("Disconnect").click()
        await it.state_is("Offline")
        await expect(it.field("Port")).to_have_value("VIRTUAL")
        await expect(it.field("Baudrate")).to_have_value("250000")
        assert (await it.client.options())["portPreference"] == "VIRTUAL"


async def test_whether_to_connect_at_the_start_is_saved_at_once(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.field("Connect when Limpet starts").check()
        await expect(it.field("Connect when Limpet starts")).to_be_checked()
        await it.page.reload()
        await expect(it.field("Connect when Limpet starts")).to_be_checked()
        assert (await it.client.options())["autoconnect"] is True


async def test_detection_shows_each_candidate_and_what_was_heard(visit: Callable[..., Visit], tmp_path: Path) -> None:
    right, deaf = tmp_path / "right", tmp_path / "deaf"
    async with (
        printer_at(right, baudrate=38400),
        printer_at(deaf, silence_after=0, banner=False, firmware="sensor"),
        visit(ports=[str(right), str(deaf)]) as it,
    ):
        await expect(it.field("Baudrate")).to_have_value("0")
        await it.button("Connect").click()
        listed = it.page.get_by_label("What was heard at each port")
        await expect(listed.get_by_text("right", exact=False)).to_be_visible()
        await expect(listed.get_by_text("deaf", exact=False)).to_be_visible()
        await it.state_is("Operational")
        await it.sees("38400 baud")


async def test_a_failure_has_its_reason_a_hint_and_the_last_lines(visit: Callable[..., Visit], tmp_path: Path) -> None:
    port = tmp_path / "printer"
    async with printer_at(port, baudrate=38400), visit(ports=[str(port)]) as it:
        await it.field("Port").select_option(str(port))
        await it.field("Baudrate").select_option("115200")
        await it.button("Connect").click()
        current = await it.client.until(lambda current: current["error"] and current["state"] == "Offline after error")
        await it.sees(current["error"]["message"])
        await it.sees(current["error"]["hint"])
        await expect(it.field("Port")).to_have_value(str(port))
        await expect(it.field("Baudrate")).to_have_value("115200")
        await it.text("The last lines on the wire").click()
        await expect(it.page.get_by_label("The last lines on the wire", exact=True)).to_contain_text("> ")


async def test_an_unplugged_printer_is_waited_for_visibly_and_comes_back(
    visit: Callable[..., Visit], tmp_path: Path
) -> None:
    port = tmp_path / "printer"
    async with visit(ports=[str(port)]) as it:
        async with printer_at(port):
            await it.field("Port").select_option(str(port))
            await it.connect(str(port))
        await it.sees("Waiting for the printer")
        async with printer_at(port):
            await it.state_is("Operational")


async def test_hostile_words_of_a_firmware_are_words(visit: Callable[..., Visit], tmp_path: Path) -> None:
    evil = "<img src=x onerror=window.evil=1>"
    port = tmp_path / "printer"
    async with printer_at(port, firmware_name=evil, machine_type=evil), visit(ports=[str(port)]) as it:
        await it.connect(str(port))
        await it.sees(evil)
        assert await it.page.evaluate("window.evil") is None
        assert await it.page.locator("img").count() == 0


async def test_a_port_tells_who_holds_it(visit: Callable[..., Visit]) -> None:
    controller, terminal = os.openpty()
    port = os.ttyname(terminal)
    async with visit(ports=[port]) as it:
        holder = await asyncio.create_subprocess_exec("sleep", "60", stdin=terminal)
        option = it.field("Port").locator("option", has_text=f"in use by sleep ({holder.pid})")
        await expect(option).to_have_attribute("value", port)
        holder.kill()
        await holder.wait()
        await expect(option).to_have_count(0)
    os.close(terminal)
    os.close(controller)


async def test_a_detection_is_cancelled(visit: Callable[..., Visit], tmp_path: Path) -> None:
    port = tmp_path / "deaf"
    async with printer_at(port, silence_after=0, banner=False), visit(ports=[str(port)], patience=None) as it:
        await it.button("Connect").click()
        await it.button("Cancel").click()
        await it.state_is("Offline")
        await expect(it.button("Connect")).to_be_visible()


async def test_waiting_for_a_printer_can_be_ended(visit: Callable[..., Visit], tmp_path: Path) -> None:
    port = tmp_path / "printer"
    async with visit(ports=[str(port)]) as it:
        async with printer_at(port):
            await expect(it.field("Port").locator(f"option[value='{port}']")).to_have_count(1)
            await it.connect(str(port))
        await it.button("Stop waiting").click()
        await expect(it.button("Connect")).to_be_visible()


async def test_disconnecting_in_a_print_is_asked_once_more(visit: Callable[..., Visit]) -> None:
    async with visit(settings=STEADY) as it:
        await it.print_for_long()
        await it.button("Disconnect").click()
        await it.button("Stay connected").click()
        await it.state_is("Printing")
        await it.button("Disconnect").click()
        await it.page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
        await it.state_is("Offline")
        # What has happened to the print is told where the printer is connected again.
        await it.sees("long.gcode was not finished")
