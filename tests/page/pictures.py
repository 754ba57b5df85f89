"""Pictures of the page, for the docs and to be looked at: python -m tests.page.pictures FOLDER [SCENE …]"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.page.visit import CODE, DESKTOP, PHONE, Visit, cube, expect, sliced
from tests.web.server import printer_at

SIZES = {"phone": PHONE, "desktop": DESKTOP}
NAME = '[printers.default]\nname = "Ender by the window"\n'
LIFELIKE = f"\n{NAME}[virtual]\nhoming_time = 0.1\nheating_time = 2.0\nspeed_factor = 60.0\n"


async def first_user(it: Visit) -> None:
    await it.field("Code from the terminal").fill(CODE)
    await it.field("User").fill("ada")


async def login(it: Visit) -> None:
    await expect(it.field("User")).to_be_visible()


async def connect(it: Visit) -> None:
    await expect(it.field("Port")).to_be_visible()
    await it.page.wait_for_timeout(600)


async def detecting(it: Visit) -> None:
    await it.button("Connect").click()
    await expect(it.page.get_by_label("What was heard at each port")).to_be_visible()
    await it.page.wait_for_timeout(300)


async def failed(it: Visit) -> None:
    await it.field("Port").select_option(str(it.folder / "ttyUSB0"))
    await it.field("Baudrate").select_option("115200")
    await it.button("Connect").click()
    await expect(it.page.locator(".notice.bad")).to_be_visible(timeout=30_000)
    await it.page.locator(".notice summary").click()


async def waiting(it: Visit) -> None:
    port = it.folder / "ttyUSB0"
    async with printer_at(port):
        await it.page.wait_for_timeout(3500)
        await it.connect(str(port))
    await it.sees("Waiting for the printer")


async def printing(it: Visit) -> None:
    await it.connect()
    await it.client.post("/api/printer/tool", {"command": "target", "targets": {"tool0": 215}})
    await it.client.post("/api/printer/bed", {"command": "target", "target": 60})
    await it.upload_to_list("calibration cube.gcode", sliced(cube(), 250))
    await it.client.post("/api/files/local/calibration%20cube.gcode", {"command": "select", "print": True})
    await it.state_is("Printing")
    await expect(it.page.locator(".job img")).to_be_visible(timeout=30_000)
    await it.page.wait_for_timeout(28_000)


async def cancelling(it: Visit) -> None:
    await printing(it)
    await it.button("Cancel").click()


async def files(it: Visit) -> None:
    await it.connect()
    for name in ("calibration cube.gcode", "benchy 0.2mm PLA.gcode", "cable clip x8.gcode", "hinge v3.gcode"):
        await it.upload_to_list(name, sliced(cube(), 40))
    await it.client.upload("spool holder.gcode", path="workshop")
    await it.page.wait_for_timeout(6000)
    await it.view("Files")
    await expect(it.page.locator(".entry img").first).to_be_visible(timeout=30_000)
    await it.page.wait_for_timeout(500)


async def terminal(it: Visit) -> None:
    await printing(it)
    await it.view("Terminal")
    await it.page.wait_for_timeout(4000)


async def printers(it: Visit) -> None:
    await it.view("Settings")
    await it.section("Printers")
    await it.page.wait_for_timeout(300)


async def overview(it: Visit) -> None:
    for printer in ("ender", "mini"):
        await it.client.post(f"/p/{printer}/api/connection", {"command": "connect", "port": "VIRTUAL"})
    await it.client.post("/p/ender/api/printer/tool", {"command": "target", "targets": {"tool0": 215}})
    await it.client.upload("benchy.gcode", "\n".join(sliced(cube(), 250)).encode(), to="ender", print="true")
    await it.page.wait_for_timeout(9000)


async def away(it: Visit) -> None:
    await printing(it)
    await it.stop()
    await it.sees("Limpet does not answer")
    await it.page.wait_for_timeout(3000)


@asynccontextmanager
async def two_ports(folder: Path) -> AsyncIterator[list[str]]:
    """Two that are no printers."""
    one, other = folder / "ttyUSB0", folder / "ttyACM0"
    async with printer_at(one, firmware="sensor"), printer_at(other, firmware="grbl"):
        yield [str(one), str(other)]


@asynccontextmanager
async def fast_port(folder: Path) -> AsyncIterator[list[str]]:
    """A printer that speaks at a rate of its own."""
    port = folder / "ttyUSB0"
    async with printer_at(port, baudrate=38400):
        yield [str(port)]


@asynccontextmanager
async def one_port(folder: Path) -> AsyncIterator[list[str]]:
    """One that is not there yet."""
    yield [str(folder / "ttyUSB0")]


SEVERAL = """
[printers.ender]
name = "Ender by the window"
[printers.mini]
name = "Mini"
[printers.big]
name = "The big one"
port = "/dev/serial/by-id/usb-big"
[virtual]
homing_time = 0.1
heating_time = 2.0
"""
SCENES: dict[str, tuple[Callable[[Visit], Awaitable[None]], dict[str, object]]] = {
    "first-user": (first_user, {"setup": True}),
    "login": (login, {"logged_in": False}),
    "connect": (connect, {}),
    "detecting": (detecting, {"ports": two_ports, "patience": None}),
    "failed": (failed, {"ports": fast_port}),
    "waiting": (waiting, {"ports": one_port}),
    "printing": (printing, {}),
    "cancelling": (cancelling, {}),
    "files": (files, {}),
    "terminal": (terminal, {}),
    "printers": (printers, {}),
    "overview": (overview, {"settings": SEVERAL}),
    "away": (away, {}),
}


async def take(browser: Browser, folder: Path, name: str) -> None:
    """The scene is played once, at each size and in each scheme."""
    scene, options = SCENES[name]
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pictures-")))
        ports = options.get("ports")
        given = await stack.enter_async_context(ports(data)) if callable(ports) else ()
        visit = Visit(browser, data, **{"settings": LIFELIKE, "analyse": True, **options, "ports": given})  # type: ignore[arg-type]
        async with visit as it:
            await scene(it)
            for size, viewport in reversed(SIZES.items()):
                await it.page.set_viewport_size(viewport)  # type: ignore[arg-type]
                for scheme in ("light", "dark"):
                    await it.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    await it.page.wait_for_timeout(400)
                    path = folder / f"{name}-{size}-{scheme}.png"
                    await it.page.screenshot(path=path, full_page="--full" in sys.argv)
                    print(path, flush=True)


async def main(folder: Path, names: list[str]) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in names or list(SCENES):
            try:
                await take(browser, folder, name)
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {str(error)[:500]}")


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), [name for name in sys.argv[2:] if not name.startswith("--")]))
