"""What holds on every view: nobody is shut out, nothing is large or slow, and nobody gets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.page.visit import PHONE, Visit, expect, moves

AXE = Path(__file__).parents[2] / ".venv/axe/node_modules/axe-core/axe.min.js"
RULES = """() => axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ target, any }) => `${target} ${any.map(({ message }) => message)}`)}`))"""
VIEWS = {
    "printer": "#/",
    "files": "#/files",
    "terminal": "#/terminal",
    **{name: f"#/settings/{name}" for name in ("account", "general", "printers", "profiles", "ports", "users", "keys")},
}


SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def violations(it: Visit) -> list[str]:
    """In light and dark."""
    await it.page.evaluate(AXE.read_text())
    found: list[str] = []
    for scheme in ("light", "dark"):
        await it.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found += [f"{scheme}: {each}" for each in await it.page.evaluate(RULES)]
    return found


@pytest.fixture(autouse=True)
def axe() -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: scripts/browser")


async def test_axe_finds_nothing_where_people_arrive(visit: Callable[..., Visit]) -> None:
    async with visit(setup=True, size=PHONE) as it:
        await expect(it.field("Code from the terminal")).to_be_visible()
        assert await violations(it) == []
        await it.button("Use an API key").click()
        assert await violations(it) == []


async def test_axe_finds_nothing_where_a_printer_is_connected(visit: Callable[..., Visit], tmp_path: Path) -> None:
    async with visit(ports=[str(tmp_path)]) as it:
        await expect(it.field("Port")).to_be_visible()
        assert await violations(it) == []
        await it.client.command("connect", port=str(tmp_path), baudrate=115200)
        await expect(it.page.locator(".notice.bad")).to_be_visible()
        assert await violations(it) == []


@pytest.mark.parametrize("width", [360, 1440])
async def test_axe_finds_nothing_in_any_view(visit: Callable[..., Visit], width: int) -> None:
    async with visit(size={"width": width, "height": 900}) as it:
        await it.client.upload("part.gcode", "\n".join(moves(20)).encode(), path="folder")
        await it.client.upload("part.gcode", "\n".join(moves(20)).encode())
        await it.connect()
        for name, address in VIEWS.items():
            await it.page.goto(f"{it.client.address}{address}")
            await expect(it.page.locator("main .card").first).to_be_visible()
            assert [f"{name}: {each}" for each in await violations(it)] == []
            assert await it.page.evaluate(SIDEWAYS) <= 0, name


@pytest.mark.parametrize("width", [360, 1440])
async def test_axe_finds_nothing_in_a_print_and_in_dialogs(visit: Callable[..., Visit], width: int) -> None:
    settings = "\n[virtual]\ninstant = true\nlatency = 0.01\n"
    async with visit(settings=settings, size={"width": width, "height": 800}) as it:
        await it.print_for_long()
        assert await violations(it) == []
        assert await it.page.evaluate(SIDEWAYS) <= 0
        await it.button("Cancel").click()
        await expect(it.page.get_by_role("dialog")).to_be_visible()
        assert await violations(it) == []
        assert await it.page.evaluate(SIDEWAYS) <= 0
        await it.button("Cancel the print").click()
        await it.page.goto(f"{it.client.address}#/settings/profiles")
        await it.button("Change Default").click()
        assert await violations(it) == []


@pytest.mark.parametrize("width", [360, 1440])
async def test_axe_finds_nothing_in_the_overview(visit: Callable[..., Visit], width: int) -> None:
    settings = "\n[printers.mini]\nname = 'Mini'\n[printers.big]\nname = 'Big'\n"
    async with visit(settings=settings, size={"width": width, "height": 800}) as it:
        await expect(it.page.get_by_role("link", name="Mini")).to_be_visible()
        assert await violations(it) == []
        assert await it.page.evaluate(SIDEWAYS) <= 0


async def test_at_4k_it_is_large_enough_to_read_and_fills_the_screen(visit: Callable[..., Visit]) -> None:
    async with visit(size={"width": 3840, "height": 2160}) as it:
        await it.connect()
        desk = it.page.locator(".desk")
        await expect(desk).to_be_visible()
        smallest, width = await it.page.evaluate(
            """() => [
                Math.min(...[...document.querySelectorAll('main :not(:empty)')]
                    .filter((each) => each.offsetParent && [...each.childNodes].some(({ nodeType }) => nodeType === 3))
                    .map((each) => parseFloat(getComputedStyle(each).fontSize))),
                document.querySelector('.desk').clientWidth,
            ]"""
        )
        # Twice what is small at 1920 by 1080, nearly.
        assert smallest >= 24
        assert width > 0.75 * 3840


async def test_the_letters_of_the_chart_grow_with_the_window(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.page.evaluate(
            """() => {
                const write = CanvasRenderingContext2D.prototype.fillText;
                CanvasRenderingContext2D.prototype.fillText = function (...all) {
                    window.letters = parseFloat(this.font);
                    return write.apply(this, all);
                };
            }"""
        )
        await it.connect()
        await it.eventually(lambda: it.page.evaluate("window.letters > 0"))
        before = await it.page.evaluate("letters")
        await it.page.set_viewport_size({"width": 3840, "height": 2160})
        await it.eventually(lambda: it.page.evaluate("before => letters > 1.5 * before", before))


# -- small and quick --


async def test_the_first_load_is_below_100_kilobytes_and_the_next_one_far_below(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        await expect(it.card("Temperatures").locator("canvas")).to_be_visible()
        for most in (100_000, 12_000):
            page = it.page if most < 100_000 else await it.context.new_page()
            it.page = page
            session = await it.context.new_cdp_session(page)
            await session.send("Network.enable")
            if most == 100_000:
                await session.send("Network.clearBrowserCache")
            loaded: list[float] = []
            session.on(
                "Network.loadingFinished", lambda event, loaded=loaded: loaded.append(event["encodedDataLength"])
            )
            await page.goto(it.client.address)
            await expect(it.card("Temperatures").locator("canvas")).to_be_visible()
            await page.wait_for_timeout(500)
            print(f"{sum(loaded):.0f} bytes in {len(loaded)} answers")
            assert 0 < sum(loaded) < most


async def test_it_can_be_used_soon_on_a_slow_phone(visit: Callable[..., Visit]) -> None:
    async with visit(size=PHONE) as it:
        times = []
        for _ in range(3):
            page = await it.context.new_page()
            session = await it.context.new_cdp_session(page)
            await session.send("Network.enable")
            await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
            await session.send("Emulation.setCPUThrottlingRate", {"rate": 6})
            await page.add_init_script(
                """new MutationObserver((_, observer) => {
                    const buttons = [...document.querySelectorAll('button')];
                    if (!buttons.some((each) => each.textContent === 'Connect')) return;
                    observer.disconnect();
                    setTimeout(() => (window.usable = performance.now()));
                }).observe(document, { childList: true, subtree: true });"""
            )
            await page.goto(it.client.address)
            await expect(page.get_by_role("button", name="Connect")).to_be_visible()
            times.append(await page.evaluate("window.usable"))
            await page.close()
        print(f"usable after {sorted(times)} ms")
        # 1000 on a machine of one's own; tests share theirs.
        assert min(times) < 2000


async def test_an_hour_of_news_leaves_no_memory_behind(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.client.upload("a.gcode")
        sockets: list[Any] = []

        def between(socket: Any) -> None:
            socket.connect_to_server()
            sockets.append(socket)

        await it.context.route_web_socket("**/sockjs/websocket", between)
        await it.page.reload()
        await it.connect()
        await it.view("Terminal")
        await expect(it.page.get_by_role("log", name="Lines on the wire")).to_contain_text("M115")
        await it.view("Printer")
        await expect(it.card("Temperatures").locator("canvas")).to_be_visible()
        session = await it.context.new_cdp_session(it.page)

        async def heap() -> float:
            await session.send("HeapProfiler.enable")
            for _ in range(3):
                await session.send("HeapProfiler.collectGarbage")
            return float((await session.send("Runtime.getHeapUsage"))["usedSize"])

        job = {
            "file": {
                "name": "a.gcode",
                "path": "a.gcode",
                "display": "a.gcode",
                "origin": "local",
                "size": 9,
                "date": 1,
            }
        }
        flags = {"operational": True, "printing": True}
        start = 1_800_000_000
        for second in range(60):
            sockets[-1].send(json.dumps({"current": current(start, second, job, flags)}))
        await it.page.wait_for_timeout(500)
        before = await heap()
        for half in range(120, 7200):
            sockets[-1].send(json.dumps({"current": current(start, half, job, flags)}))
            if half % 200 == 0:
                await it.page.wait_for_timeout(30)
        await expect(it.page).to_have_title("100% – Printing – Limpet", timeout=20_000)
        await it.page.wait_for_timeout(500)
        growth = await heap() - before
        print(f"the heap has grown by {growth / 1e6:.2f} MB to {(before + growth) / 1e6:.2f} MB")
        assert growth < 10e6


def current(start: int, half: int, job: Any, flags: Any) -> dict[str, Any]:
    """As in the middle of a print, twice a second."""
    temps = [{"time": start + half // 2, "tool0": {"actual": 200 + half % 7, "target": 200}, "bed": {"actual": 60}}]
    return {
        "state": {"text": "Printing", "flags": flags, "error": ""},
        "job": job,
        "progress": {"completion": half / 71.99, "printTime": half // 2, "printTimeLeft": (7200 - half) // 2},
        "offsets": {},
        "currentZ": half / 100,
        "serverTime": start + half / 2,
        "temps": temps if half % 4 == 0 else [],
        "logs": [f"Send: N{half * 10 + at} G1 X{at} Y{half}" for at in range(10)] + ["Recv: ok"] * 10,
    }


# -- nobody gets in --


async def test_another_page_can_neither_ask_nor_frame_nor_listen(visit: Callable[..., Visit]) -> None:
    async with visit() as it:
        await it.connect()
        own = it.client.address
        evil = await it.context.new_page()
        heard: list[str] = []
        evil.on("websocket", lambda socket: socket.on("framereceived", lambda text: heard.append(str(text))))
        await evil.route(
            "http://evil.example/", lambda route: route.fulfill(body="<h1>Nice</h1>", content_type="text/html")
        )
        await evil.goto("http://evil.example/")
        await evil.evaluate(
            """async (own) => {
                const body = JSON.stringify({ command: 'disconnect' });
                for (const type of ['application/json', 'text/plain']) {
                    const ask = { method: 'POST', body, credentials: 'include', mode: 'no-cors' };
                    await fetch(`${own}api/connection`, { ...ask, headers: { 'Content-Type': type } }).catch(() => {});
                }
                const form = Object.assign(document.createElement('form'), {
                    method: 'post', action: `${own}api/logout`, target: 'hidden', enctype: 'text/plain',
                });
                const frame = Object.assign(document.createElement('iframe'), { name: 'hidden', src: own });
                document.body.append(form, frame);
                await new Promise((done) => (frame.onload = done));
                new WebSocket(`${own.replace('http', 'ws')}sockjs/websocket`);
                form.submit();
                await new Promise((done) => setTimeout(done, 500));
            }""",
            own,
        )
        framed = next(frame for frame in evil.frames if frame.name == "hidden")
        assert "Limpet" not in await framed.content()
        assert heard == []
        await it.page.reload()
        await it.state_is("Operational")


async def test_what_is_typed_never_becomes_markup(visit: Callable[..., Visit]) -> None:
    evil = "<img src=x onerror=window.evil=1>"
    async with visit(settings=f"\n[printers.a]\nname = '{evil}'\n") as it:
        await it.sees(evil)
        it.expected.append("TrustedHTML")
        blocked = await it.page.evaluate(
            """() => { try { document.body.innerHTML = '<b>'; return false; } catch { return true; } }"""
        )
        assert blocked
        assert await it.page.evaluate("window.evil") is None
