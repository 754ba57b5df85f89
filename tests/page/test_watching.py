from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from tests.page.visit import PHONE, QUICK, STEADY, Visit, expect, moves, sliced


async def test_a_temperature_is_set_and_seen_in_the_chart(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.field("Nozzle target").fill("205")
        await it.button("Set Nozzle target").click()
        await it.field("Bed target").fill("60")
        await it.page.keyboard.press("Enter")
        temperatures = it.card("Temperatures")
        await expect(temperatures).to_contain_text("205.0 °C")
        await expect(temperatures).to_contain_text("60.0 °C")

        canvas = temperatures.locator("canvas")
        await expect(canvas).to_be_visible()
        drawn = """canvas => {
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let red = 0;
            for (let at = 0; at < data.length; at += 4) {
                if (data[at] > 150 && data[at + 2] < 60 && data[at + 3] > 200) red++;
            }
            return red;
        }"""
        await it.eventually(lambda: canvas.evaluate(drawn))

        await it.button("Cool down").click()
        await expect(it.button("Nozzle off")).to_be_disabled()
        for typed in ("warm", "0x40"):
            await it.field("Nozzle target").fill(typed)
            await it.button("Set Nozzle target").click()
            await it.sees("A temperature is a number of °C.")
            await it.button("Dismiss").click()


async def test_a_target_beyond_the_limits_is_refused_in_words(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        it.expected.append("400 (Bad Request)")
        await it.connect()
        await it.field("Nozzle target").fill("999")
        await it.button("Set Nozzle target").click()
        await it.sees("The nozzle may be set to 0 to 350 degrees by its profile, not to 999")


async def test_a_file_is_uploaded_and_printed_to_the_end(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await it.upload("Upload a file", {"part.gcode": ["G28", *moves(400)]})
        await expect(it.card("Job")).to_contain_text("part.gcode")
        await it.button("Print").click()
        await it.sees("part.gcode is printed.", within=20)
        await expect(it.button("Print again")).to_be_visible()
        await expect(it.page).to_have_title("Operational – Limpet")


async def test_a_print_is_paused_resumed_and_cancelled(visit: Callable[..., Visit]) -> None:
    async with visit(settings=STEADY) as it:
        await it.print_for_long()
        await expect(it.page).to_have_title(re.compile(r"^\d+% – Printing – Limpet$"))
        assert (await it.page.locator("#icon").get_attribute("href") or "").startswith("data:image/svg+xml")
        await expect(it.button("Home all")).to_be_disabled()
        await expect(it.card("Printing").get_by_role("progressbar")).to_be_visible()

        await it.button("Pause").click()
        await it.state_is("Paused")
        await it.button("Start over").click()
        await it.sees("Is the bed empty?")
        await it.button("No").click()
        await it.button("Resume").click()
        await it.state_is("Printing")

        await it.button("Cancel").click()
        await it.button("Go on printing").click()
        await it.state_is("Printing")
        await it.button("Cancel").click()
        await it.button("Cancel the print").click()
        await it.state_is("Operational")
        await expect(it.button("Print")).to_be_visible()


async def test_hours_of_temperatures_are_drawn_quickly_and_thinned_out(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await expect(it.card("Temperatures").locator("canvas")).to_be_visible()
        took = await it.page.evaluate(
            """async () => {
                const main = document.querySelector('script').src;
                const { add, times } = await import(main.replace('main.js', 'temperatures.js'));
                const start = Date.now() / 1000;
                for (let at = 0; at < 20000; at += 500) {
                    add(Array.from({ length: 500 }, (_, each) => ({
                        time: start + 2 * (at + each),
                        tool0: { actual: 200 + Math.sin(each), target: 200 },
                        bed: { actual: 60, target: 60 },
                    })));
                }
                const began = performance.now();
                add([{ time: start + 50000, tool0: { actual: 200, target: 200 } }]);
                await new Promise(requestAnimationFrame);
                return [performance.now() - began, times.length];
            }"""
        )
        assert took[0] < 100
        assert took[1] <= 6001


async def test_a_print_that_was_lost_is_told_and_kept_among_past_prints(visit: Callable[..., Visit]) -> None:
    async with visit(settings=STEADY) as it:
        it.expected.append("409 (Conflict)")
        await it.connect()
        await it.upload("Upload a file", {"short.gcode": moves(10)})
        await it.button("Print").click()
        await it.sees("short.gcode is printed.")
        await it.upload_to_list("long.gcode", moves(20_000))
        await it.client.post("/api/files/local/long.gcode", {"command": "select", "print": True})
        await it.state_is("Printing")
        await it.client.post("/api/printer/command", {"command": "!!DEBUG:drop_connection"})
        await it.sees("long.gcode was not finished", within=20)
        await it.state_is("Operational")
        await it.button("Dismiss").first.click()
        await expect(it.text("long.gcode was not finished")).to_have_count(0)
        await it.page.reload()
        await expect(it.card("Job")).to_be_visible()
        await expect(it.text("long.gcode was not finished")).to_have_count(0)

        await it.view("Files")
        await it.page.get_by_role("link", name="Past prints").click()
        past = it.card("Past prints")
        await expect(past).to_contain_text("long.gcode")
        await expect(past).to_contain_text("Failed")
        await expect(past).to_contain_text("Printed")
        await it.button("Forget the print of short.gcode").click()
        await it.button("Forget").click()
        await expect(past).not_to_contain_text("short.gcode")


async def test_time_filament_layers_and_the_picture_of_a_file_are_shown(visit: Callable[..., Visit]) -> None:
    async with visit(analyse=True) as it:
        await it.connect()
        await it.upload("Upload a file", {"cube.gcode": sliced()})
        job = it.card("Job")
        await expect(job).to_contain_text("about 1 h 05 min", timeout=30_000)
        await expect(job).to_contain_text(re.compile("[0-9] mm? of filament"))
        await expect(job.locator("img")).to_be_visible()
        assert await job.locator("img").evaluate("picture => picture.naturalWidth") == 16


async def test_what_the_printer_asks_is_answered_by_a_button(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        for text in ("prompt_begin <b>Filament</b> changed?", "prompt_button Yes", "prompt_button No", "prompt_show"):
            await it.client.post("/api/printer/command", {"command": f"!!DEBUG:action_custom {text}"})
        await it.sees("<b>Filament</b> changed?")
        # Whoever comes later is asked as well, and who has put it aside is reminded.
        await it.page.reload()
        await it.sees("<b>Filament</b> changed?")
        await it.page.keyboard.press("Escape")
        await expect(it.page.get_by_role("dialog")).to_have_count(0)
        await it.button("Answer").click()
        await it.page.get_by_role("dialog").get_by_role("button", name="No").click()
        await it.wrote("M876 S1")
        await expect(it.page.get_by_role("dialog")).to_have_count(0)

        said = {"command": "!!DEBUG:action_custom notification Nozzle is clean"}
        for command in (said, {"command": "!!DEBUG:action_custom notification Ready"}, said):
            await it.client.post("/api/printer/command", command)
        # What is said again is there once.
        await expect(it.page.locator(".note")).to_have_text(["Notification: Ready", "Notification: Nozzle is clean"])


async def test_the_layer_of_a_print_is_shown(visit: Callable[..., Visit]) -> None:
    async with visit(settings="\n[virtual]\ninstant = true\nlatency = 0.005\n", analyse=True) as it:
        await it.connect()
        await it.upload("Upload a file", {"cube.gcode": sliced()})
        await expect(it.card("Job")).to_contain_text("about 1 h 05 min", timeout=30_000)
        await it.button("Print").click()
        await it.state_is("Printing")
        await expect(it.card("Printing")).to_contain_text("of 50", timeout=20_000)
        await expect(it.card("Printing")).to_contain_text("mm")
        await expect(it.card("Printing")).to_contain_text("Done at")


async def test_numbers_and_times_are_as_the_reader_writes_them(visit: Callable[..., Visit]) -> None:
    async with visit(locale="de-DE") as it:
        await it.connect()
        await it.field("Nozzle target").fill("205,5")
        await it.button("Set Nozzle target").click()
        await expect(it.card("Temperatures")).to_contain_text("205,5 °C")
        await it.field("Print speed").fill("120")
        await expect(it.card("Fan and speed")).to_contain_text("120\u00a0%")
        await expect(it.card("Move")).to_contain_text("0,1")
        await it.text("Link: good").click()
        # A time of day has two digits and no "pm".
        await expect(it.card("Connection").locator("dd").first).to_have_text(re.compile(r"^\d\d:\d\d$"))
    async with visit(locale="en-US") as it:
        await it.connect()
        await it.text("Link: good").click()
        await expect(it.card("Connection").locator("dd").first).to_have_text(re.compile(r"^\d\d?:\d\d.[AP]M$"))


async def test_the_chart_begins_with_the_minute_of_now(visit: Callable[..., Visit]) -> None:
    async with visit(size=PHONE) as it:
        await it.page.evaluate(
            """() => {
                window.labels = [];
                const write = CanvasRenderingContext2D.prototype.fillText;
                CanvasRenderingContext2D.prototype.fillText = function (text, x, ...more) {
                    const half = this.measureText(text).width / 2;
                    if (text.includes(':')) labels.push([text, x + half - this.canvas.width]);
                    return write.call(this, text, x, ...more);
                };
            }"""
        )
        await it.connect()
        await it.eventually(lambda: it.page.evaluate("labels.length > 3"))
        labels = await it.page.evaluate("labels")
        # Half a minute apart, so with seconds; and none is cut.
        assert {len(text) for text, _ in labels} == {8}
        now = datetime.now(UTC)
        # Whole hours lie between here and there.
        ages = [(now.minute * 60 + now.second - int(text[3:5]) * 60 - int(text[6:])) % 3600 for text, _ in labels]
        assert max(ages) < 180
        assert max(beyond for _, beyond in labels) <= 0


async def test_each_nozzle_has_a_colour_of_its_own(visit: Callable[..., Visit]) -> None:
    async with visit(settings=QUICK + "extruders = 4\n") as it:
        await it.connect()
        dots = it.card("Temperatures").locator(".dot")
        await expect(dots).to_have_count(5)
        for scheme in ("light", "dark"):
            await it.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            colors = await dots.evaluate_all("dots => dots.map((dot) => getComputedStyle(dot).backgroundColor)")
            assert len(set(colors)) == 5


async def test_resume_is_not_pressed_by_a_second_press_on_pause(visit: Callable[..., Visit]) -> None:
    async with visit(settings=STEADY) as it:
        await it.print_for_long()
        await it.page.evaluate(
            """() => new MutationObserver(() => {
                const resume = [...document.querySelectorAll('button')].find((each) => each.textContent === 'Resume');
                if (resume) window.disabledAtFirst ??= resume.disabled;
            }).observe(document.body, { childList: true, subtree: true })"""
        )
        await it.button("Pause").click()
        await it.state_is("Paused")
        await expect(it.button("Resume")).to_be_enabled()
        assert await it.page.evaluate("disabledAtFirst")
