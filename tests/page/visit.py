"""A server, and somebody who looks at its page."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from limpet.printer.target import Patience
from limpet.users import UserStore
from tests.web.people import PASSWORD
from tests.web.server import HERMETIC, IMPATIENT, Client, eventually, running

pytest.importorskip("playwright.async_api", reason="playwright is not installed: scripts/browser")
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect

CODE = "ABCD-EFGH"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}
PATIENCE = replace(IMPATIENT, greeting=2.0, detection=2.0, wrong_rate=1.0)
"""The browser takes its share of the machine."""
QUICK = "\n[virtual]\ninstant = true\n"
STEADY = QUICK + "latency = 0.01\n"
"""A print of many moves takes its time, although none of them does."""


class Visit:
    """`async with visit() as it:` has a server, a user `ada` and a page; `it.page` is playwright's.

    `settings` are appended to those of the server; `as_key` and `as_user` log in by what stands in the browser already.
    `complaints` is what the console has said, `elsewhere` which requests have left the origin.
    """

    page: Page
    client: Client
    context: BrowserContext

    def __init__(
        self,
        browser: Browser,
        folder: Path,
        *,
        settings: str = QUICK,
        users: Sequence[str] = ("ada",),
        setup: bool = False,
        logged_in: bool = True,
        remember: bool = True,
        user: str = "ada",
        ports: Sequence[str] = (),
        size: Mapping[str, int] = DESKTOP,
        dark: bool = False,
        locale: str = "en-GB",
        analyse: bool = False,
        patience: Patience | None = PATIENCE,
    ) -> None:
        self.browser, self.folder = browser, folder
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.expected: list[str] = []
        """What the console may say: parts of it."""
        self._settings = HERMETIC + settings
        self._users = () if setup else users
        self._setup = setup
        self._user = user
        self._logged_in = logged_in and not setup
        self._remember = remember
        self._ports = ports
        self._size, self._dark, self._locale, self._analyse = size, dark, locale, analyse
        self._patience = patience
        self._server = AsyncExitStack()
        self._port = 0

    async def __aenter__(self) -> Visit:
        store = UserStore(self.folder / "users.json")
        for name in self._users:
            store.add(name, PASSWORD, groups=("admins",) if name == "ada" else ("users",))
        await self.start()
        self.context = await self.browser.new_context(
            viewport={**self._size},  # type: ignore[typeddict-item]
            color_scheme="dark" if self._dark else "light",
            locale=self._locale,
            timezone_id="Europe/Berlin",
        )
        self.context.set_default_timeout(10_000)
        if self._logged_in:
            answer = await self.context.request.post(
                self.client.address + "api/login",
                data={"user": self._user, "pass": PASSWORD, "remember": self._remember},
            )
            assert answer.ok
        self.page = await self.open("/")
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            await self.page.screenshot(path=self.folder / "failed.png")
        await self.context.close()
        await self.stop()

    async def start(self) -> None:
        """The server, with the data that it had; at the same address when it had one."""
        self.client, _ = await self._server.enter_async_context(
            running(
                self.folder,
                settings=self._settings,
                ports=self._ports,
                patience=self._patience,
                setup_code=CODE if self._setup else None,
                port=self._port,
                analyse=self._analyse,
            )
        )
        self._port = self.client.port

    async def stop(self) -> None:
        await self._server.aclose()
        self._server = AsyncExitStack()

    async def open(self, path: str) -> Page:
        """One more tab."""
        page = await self.context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)
        await page.goto(self.client.address.rstrip("/") + path)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type in ("error", "warning") and not any(part in text for part in self.expected):
            self.complaints.append(text)

    def _asked(self, request: Request) -> None:
        own = self.client.address.rstrip("/")
        if not request.url.startswith((own, own.replace("http", "ws"), "data:", "blob:")):
            self.elsewhere.append(request.url)

    # -- what people do --

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def text(self, text: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_text(text).first

    def card(self, title: str) -> Locator:
        return self.page.get_by_role("region", name=title, exact=True)

    async def sees(self, text: str | re.Pattern[str], within: float = 10.0) -> None:
        await expect(self.text(text)).to_be_visible(timeout=within * 1000)

    async def view(self, name: str) -> None:
        await self.page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()

    async def state_is(self, text: str) -> None:
        await expect(self.page.locator("[data-state]")).to_have_text(text)

    async def connect(self, port: str = "VIRTUAL") -> None:
        await self.field("Port").select_option(port)
        await self.button("Connect").click()
        await self.state_is("Operational")

    async def upload(self, button: str, files: Mapping[str, Sequence[str]]) -> None:
        """By this button; each file is its lines."""
        async with self.page.expect_file_chooser() as chooser:
            await self.button(button).click()
        await (await chooser.value).set_files(
            [
                {"name": name, "mimeType": "text/plain", "buffer": "".join(f"{line}\n" for line in lines).encode()}
                for name, lines in files.items()
            ]
        )
        await self.sees(f"{list(files)[-1]} is there.")

    async def drag(self, name: str, content: str) -> None:
        """A file, from another window to the middle of the page."""
        file = self.folder / name
        file.write_text(content)
        self._dragged = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver"):
            await self._drag(kind)

    async def drop(self) -> None:
        await self._drag("drop")

    async def _drag(self, kind: str) -> None:
        browser = await self.context.new_cdp_session(self.page)
        at = {"x": self._size["width"] // 2, "y": self._size["height"] // 2}
        await browser.send("Input.dispatchDragEvent", {"type": kind, **at, "data": self._dragged})
        await browser.detach()

    async def print_for_long(self) -> None:
        """A file that takes minutes to print, on a printer that is `STEADY`."""
        await self.connect()
        await self.upload("Upload a file", {"long.gcode": moves(20_000)})
        await self.button("Print").click()
        await self.state_is("Printing")

    async def upload_to_list(self, name: str, lines: Sequence[str]) -> None:
        """As a slicer does it, without a click."""
        assert (await self.client.upload(name, "\n".join(lines).encode())).status == 201

    async def section(self, name: str) -> None:
        """Of the settings."""
        await self.page.get_by_role("navigation", name="Settings").get_by_role("link", name=name).click()

    async def lines(self) -> list[str]:
        """What has been written to the printer lately, without line numbers and checksums."""
        recent = [line for _, line in self.client.fleet.default.recent if line.startswith("> ")]
        return [re.sub(r"^> (N\d+ )?|\*\d+$", "", line) for line in recent]

    async def wrote(self, *expected: str) -> None:
        """Each of these goes to the printer."""

        async def all_there() -> bool:
            lines = await self.lines()
            return all(line in lines for line in expected)

        await self.eventually(all_there)

    async def eventually(self, condition: Callable[[], Any], within: float = 10.0) -> None:
        await eventually(condition, within)


def moves(count: int) -> list[str]:
    return [f"G1 X{at % 200} Y{at * 7 % 200} F6000" for at in range(count)]


def sliced(picture: bytes | None = None, layers: int = 50) -> list[str]:
    """What a slicer makes of a cube, with a picture of 16 by 16 unless there is another."""
    encoded = base64.b64encode(picture or png(16, 16, lambda x, y: (13, 138, 128))).decode()
    moves = [
        line
        for layer in range(1, layers + 1)
        for line in (
            ";LAYER_CHANGE",
            f";Z:{layer / 5}",
            f"G1 Z{layer / 5} F600",
            *(f"G1 X{80 + 40 * (at % 2)} Y{80 + at} E{layer + at / 40:.3f} F1800" for at in range(40)),
        )
    ]
    return [
        "; generated by PrusaSlicer 2.9.0 on 2026-11-20 at 10:00:00 UTC",
        f"; thumbnail begin 16x16 {len(encoded)}",
        *(f"; {encoded[at : at + 78]}" for at in range(0, len(encoded), 78)),
        "; thumbnail end",
        "M82",
        "G28",
        *moves,
        "; filament used [mm] = 4210.5",
        "; filament used [g] = 12.6",
        "; estimated printing time (normal mode) = 1h 5m 12s",
    ]


def png(width: int, height: int, color: Callable[[int, int], tuple[int, ...]]) -> bytes:
    """A picture of these colours, each red, green and blue, and perhaps alpha."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    kind = 2 if len(color(0, 0)) == 3 else 6
    rows = b"".join(b"\0" + bytes(part for x in range(width) for part in color(x, y)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def cube(size: int = 220) -> bytes:
    """A cube, as slicers show one."""

    def color(x: int, y: int) -> tuple[int, ...]:
        across, down = (x - size / 2) / size, y / size
        slope = abs(across) * 0.577
        if abs(across) > 0.36 or not 0.08 + slope < down < 0.92 - slope:
            return (0, 0, 0, 0)
        if down < 0.5 - slope:
            return (255, 176, 96, 255)
        lines = 8 if int((down + slope) * 60) % 2 else 0
        return (226 - lines, 120 - lines, 44, 255) if across < 0 else (184 - lines, 88 - lines, 28, 255)

    return png(size, size, color)
