"""What one open page costs the server during a print: python -m tests.page.cost [SECONDS]"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import hosts, processes
from bench.hosts import ADDRESS, API_KEY, Running
from bench.printing import over_api
from playwright.async_api import Page, async_playwright

LINES_PER_SECOND = 20
"""Of a print with long moves; one with short ones has 100."""


def file_in(folder: Path, seconds: int) -> Path:
    """A print of so many seconds."""
    path = folder / "cost.gcode"
    moves = range(LINES_PER_SECOND * seconds)
    path.write_text("".join(f"G1 X{10 * (at % 2)} E{at} F{60 * 10 * LINES_PER_SECOND}\n" for at in moves))
    return path


async def share(server: Running, seconds: int) -> float:
    """Percent of a core that the server takes now."""
    await asyncio.sleep(3.0)
    before = processes.cpu_seconds(server.pid)
    await asyncio.sleep(seconds)
    return 100 * (processes.cpu_seconds(server.pid) - before) / seconds


async def log_in(page: Page, server: Running) -> None:
    await page.goto(f"http://{ADDRESS}:{server.port}/")
    await page.get_by_text("Use an API key").click()
    await page.get_by_label("API key", exact=True).fill(API_KEY)
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Pause", exact=True).wait_for()


async def measure(server: Running, seconds: int) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page()
        alone = await share(server, seconds)
        print(f"nobody looks: {alone:.2f} % of a core", flush=True)
        await log_in(page, server)
        for view in ("Printer", "Terminal", "Printer"):
            await page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()
            taken = await share(server, seconds)
            print(f"{view}: {taken:.2f} % of a core, {taken - alone:.2f} % for the page", flush=True)
        await page.close()
        print(f"nobody looks any more: {await share(server, seconds):.2f} % of a core", flush=True)
        await browser.close()


def main(seconds: int) -> None:
    program = Path(sys.executable).with_name("limpet")
    begin = over_api(lambda _: hosts.limpet(program), analyses=True)
    with (
        TemporaryDirectory() as folder,
        begin(Path("VIRTUAL"), 115200, file_in(Path(folder), 6 * seconds + 120)) as server,
    ):
        asyncio.run(measure(server, seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
