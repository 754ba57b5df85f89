from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.page.visit import Visit, expect
from tests.web.server import printer_at


async def test_connecting_to_the_virtual_printer_by_clicks(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
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
