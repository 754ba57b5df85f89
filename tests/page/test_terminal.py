from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.page.visit import Visit, expect

if TYPE_CHECKING:
    from playwright.async_api import Locator


async def terminal(it: Visit) -> Locator:
    """Its lines."""
    await it.view("Terminal")
    return it.page.get_by_role("log", name="Lines on the wire")


async def test_gcode_is_sent_and_the_answer_is_seen(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        lines = await terminal(it)
        await it.field("G-code to send").fill("M115")
        await it.button("Send").click()
        await expect(lines).to_contain_text("FIRMWARE_NAME")
        await it.field("G-code to send").fill("G28 X")
        await it.page.keyboard.press("Enter")
        await expect(lines).to_contain_text("G28 X")

        await it.page.keyboard.press("ArrowUp")
        await expect(it.field("G-code to send")).to_have_value("G28 X")
        await it.page.keyboard.press("ArrowUp")
        await expect(it.field("G-code to send")).to_have_value("M115")
        await it.page.keyboard.press("ArrowDown")
        await it.page.keyboard.press("ArrowDown")
        await expect(it.field("G-code to send")).to_have_value("")


async def test_lines_are_filtered_and_held(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        lines = await terminal(it)
        await expect(lines).to_contain_text("M115")
        await it.text("Filter").click()
        await it.field("Only lines with").fill("firmware_name")
        await expect(lines).not_to_contain_text("> M155")
        await expect(lines).to_contain_text("FIRMWARE_NAME")
        await it.field("Only lines with").fill("")

        await it.button("Pause").click()
        await it.field("G-code to send").fill("M117 hidden")
        await it.page.keyboard.press("Enter")
        await it.wrote("M117 hidden")
        await expect(lines).not_to_contain_text("M117 hidden")
        await it.button("Go on").click()
        await expect(lines).to_contain_text("M117 hidden")


async def test_thousands_of_lines_do_not_slow_it_down(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.view("Terminal")
        await expect(it.page.get_by_role("log", name="Lines on the wire")).to_contain_text("M115")
        took, rows = await it.page.evaluate(
            """async () => {
                const { add } = await import(document.querySelector('script').src.replace('main.js', 'lines.js'));
                const began = performance.now();
                for (let batch = 0; batch < 40; batch++) {
                    add(Array.from({ length: 300 }, (_, at) => `Recv: line ${batch} ${at}`), 0);
                    await new Promise(requestAnimationFrame);
                }
                return [(performance.now() - began) / 40, document.querySelectorAll('.seen > div').length];
            }"""
        )
        assert took < 60
        assert rows < 200
        await it.sees("5,000 lines")
        await it.sees("line 39 299")


ADD = """async (texts) => {
    const { add } = await import(document.querySelector('script').src.replace('main.js', 'lines.js'));
    add(texts, 0);
}"""


async def test_what_is_held_stays_as_it_is_until_it_is_cleared(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        lines = await terminal(it)
        await it.page.evaluate(ADD, [f"Recv: early {at}" for at in range(50)])
        await expect(lines).to_contain_text("early 49")
        await it.button("Pause").click()
        # More than are kept.
        await it.page.evaluate(ADD, [f"Recv: late {at}" for at in range(6_000)])
        await it.text("Filter").click()
        await it.field("Only lines with").fill("early")
        await expect(lines).to_contain_text("early 49")
        await it.field("Only lines with").fill("")
        await expect(lines).not_to_contain_text("late")
        await it.button("Clear").click()
        await it.sees("0 lines")
        await expect(lines).to_have_text("")
        await it.button("Go on").click()
        await it.page.evaluate(ADD, ["Recv: new"])
        await expect(lines).to_have_text("<new")


async def test_lines_stay_under_the_eyes_of_whoever_reads_them(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        lines = await terminal(it)
        await it.page.evaluate(ADD, [f"Recv: line {at}." for at in range(5_000)])
        await expect(lines).to_contain_text("line 4999.")
        await lines.evaluate("box => (box.scrollTop = box.scrollHeight / 2)")
        await expect(it.field("Keep to the newest line")).not_to_be_checked()
        middle = it.page.get_by_text("line 2505.")
        await expect(middle).to_be_in_viewport()
        before = await middle.bounding_box()
        for more in range(5):
            await it.page.evaluate(ADD, [f"Recv: more {more} {at}." for at in range(100)])

        async def stays() -> bool:
            return await middle.bounding_box() == before

        await it.eventually(stays)


async def test_it_keeps_to_the_newest_line_until_somebody_scrolls_up(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        lines = await terminal(it)
        follow = it.field("Keep to the newest line")
        await expect(lines).to_contain_text("M115")
        await it.client.post("/api/printer/command", {"commands": [f"M117 line {at}" for at in range(100)]})
        await expect(lines).to_contain_text("M117 line 99")
        await lines.evaluate("box => (box.scrollTop = 0)")
        await expect(follow).not_to_be_checked()
        await it.client.post("/api/printer/command", {"command": "M117 late"})
        await it.wrote("M117 late")
        await expect(lines).not_to_contain_text("M117 late")
        await follow.check()
        await expect(lines).to_contain_text("M117 late")


async def test_what_the_settings_name_is_filtered_out(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        lines = await terminal(it)
        await it.client.post("/api/printer/command", {"commands": ["M105", "M117 seen"]})
        await expect(lines).to_contain_text("M105")
        await it.text("Filter").click()
        await it.field("Suppress temperature messages").check()
        await expect(lines).not_to_contain_text("M105")
        await expect(lines).to_contain_text("M117 seen")
        await it.sees("Filter (on)")


async def test_without_a_printer_it_says_why_nothing_can_be_sent(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.view("Terminal")
        await it.sees("The printer is not connected, so nothing can be sent.")


async def test_lines_are_copied_also_where_browsers_give_no_clipboard(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        await it.page.reload()
        await it.connect()
        await it.view("Terminal")
        await expect(it.page.get_by_role("log", name="Lines on the wire")).to_contain_text("M115")
        await it.button("Copy").click()
        await it.sees("The lines are in the clipboard.")
        await it.field("G-code to send").focus()
        await it.page.keyboard.press("Control+V")
        await expect(it.field("G-code to send")).to_have_value(re.compile("Send: .*M115"))
