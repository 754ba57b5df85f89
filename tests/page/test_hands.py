"""What a finger, a pointer and the keys find: nothing is sent by scrolling, and what is needed stays in reach."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.test_away import GONE
from tests.page.visit import PHONE, Visit, expect


async def swipe(it: Visit, x: float, y: float, far: float) -> None:
    """A finger, down by so much."""
    browser = await it.context.new_cdp_session(it.page)
    for step in range(11):
        at = [{"x": x, "y": y + far * step / 10}]
        await browser.send(
            "Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": at}
        )
    await browser.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await browser.detach()


async def test_a_finger_that_scrolls_over_a_slider_sets_nothing(visit: Callable[..., Visit]) -> None:
    async with visit(size=PHONE) as it:
        await it.connect()
        slider = it.field("Flow")
        await slider.evaluate("slider => slider.scrollIntoView({ block: 'center' })")
        place = await slider.bounding_box()
        assert place is not None
        before = await it.page.evaluate("scrollY")
        await swipe(it, place["x"] + 0.8 * place["width"], place["y"] + place["height"] / 2, 150)
        await it.eventually(lambda: it.page.evaluate("before => scrollY < before", before))
        await it.client.post("/api/printer/command", {"command": "M117 later"})
        await it.wrote("M117 later")
        assert not [line for line in await it.lines() if line.startswith("M221")]
        await expect(it.card("Fan and speed").get_by_role("status").last).to_have_text("–")


async def test_what_is_written_on_a_button_can_be_read_under_the_pointer(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.page.emulate_media(reduced_motion="reduce")
        await it.button("Connect").hover()
        look = "button => [getComputedStyle(button).backgroundColor, getComputedStyle(button).borderColor]"
        ground, edge = await it.button("Connect").evaluate(look)
        assert ground == edge


async def test_no_button_stays_lit_after_a_finger(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        rules = await it.page.evaluate(
            """async () => {
                const { style } = await import(document.querySelector('script').src.replace('main.js', 'later.js'));
                await style('more.css');
                const all = (rules, within) => [...rules].flatMap((rule) => [
                    ...(/:hover/.test(rule.selectorText) && !/hover/.test(within) ? [rule.selectorText] : []),
                    ...all(rule.cssRules ?? [], within + (rule.media?.mediaText ?? '')),
                ]);
                return [...document.styleSheets].flatMap((sheet) => all(sheet.cssRules, ''));
            }"""
        )
        assert rules == []


async def test_the_emergency_stop_stays_in_reach_in_a_long_dialog(visit: Callable[..., Visit]) -> None:
    async with visit(size=PHONE) as it:
        await it.connect()
        await it.page.goto(f"{it.client.address}#/settings/profiles")
        await it.button("Change Default").click()
        dialog = it.page.get_by_role("dialog")
        await dialog.evaluate("dialog => dialog.scrollTo(0, dialog.scrollHeight)")
        await expect(dialog.get_by_role("button", name="Save")).to_be_in_viewport()
        await expect(dialog.get_by_role("button", name="stop")).to_be_in_viewport()


async def test_that_nobody_answers_is_seen_by_whoever_has_scrolled(visit: Callable[..., Visit]) -> None:
    async with visit(size=PHONE) as it:
        it.expected.extend(GONE)
        await it.connect()
        await it.field("Flow").evaluate("slider => slider.scrollIntoView({ block: 'center' })")
        await it.stop()
        await it.sees("Limpet does not answer")
        await expect(it.text("Limpet does not answer")).to_be_in_viewport()


async def test_a_press_beside_a_dialog_loses_nothing(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.page.goto(f"{it.client.address}#/settings/profiles")
        await it.button("Add a profile").click()
        await it.field("Name").fill("Mine")
        await it.page.mouse.click(5, 5)
        await it.page.mouse.click(5, 5)
        await expect(it.field("Name")).to_have_value("Mine")
        await it.page.keyboard.press("Escape")
        await expect(it.page.get_by_role("dialog")).to_have_count(0)


async def test_the_focus_returns_to_the_button_that_opened_a_dialog(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.client.upload("a.gcode")
        await it.view("Files")
        for closed_by in ("Escape", "Enter"):
            await it.button("Delete a.gcode").press("Enter")
            dialog = it.page.get_by_role("dialog")
            await expect(dialog).to_be_visible()
            await (it.page.keyboard if closed_by == "Escape" else it.button("Keep it")).press(closed_by)
            await expect(dialog).to_have_count(0)
            await expect(it.button("Delete a.gcode")).to_be_focused()


async def test_connecting_by_the_keys_leaves_the_focus_in_the_view(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.field("Port").select_option("VIRTUAL")
        await it.button("Connect").press("Enter")
        await it.state_is("Operational")
        await expect(it.page.get_by_role("main")).to_be_focused()
        await it.button("Disconnect").press("Enter")
        await expect(it.field("Port")).to_be_visible()
        await expect(it.page.get_by_role("main")).to_be_focused()


async def test_the_state_is_cut_with_dots_beside_the_armed_stop(visit: Callable[..., Visit]) -> None:
    async with visit(size={"width": 360, "height": 800}) as it:
        await it.connect()
        await it.button("stop").click()
        await expect(it.button("Press again to stop")).to_be_visible()
        state = it.page.locator("[data-state]")
        assert await state.evaluate("state => getComputedStyle(state).textOverflow") == "ellipsis"
        assert await state.evaluate("state => state.scrollWidth > state.clientWidth")
