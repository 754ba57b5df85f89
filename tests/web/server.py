"""A Limpet to ask over real HTTP: in this process, or as a process of its own; and printers for it on real ptys."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import structs
from yarl import URL

from limpet.fleet import Fleet
from limpet.keys import KeyStore
from limpet.printer.connection import Patience
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.service import openers
from limpet.settings_file import SettingsFile
from limpet.transports.pseudo_terminal import serve_virtual_printer
from limpet.transports.urls import Openers
from limpet.users import UserStore
from limpet.web.app import build_app
from limpet.web.auth import Access
from limpet.web.proxies import Proxies
from limpet.web.push import Times
from limpet.web.runner import runner_of

ADMIN_KEY = "the-key-of-these-tests"
HERMETIC = '[ports]\nignored = ["/dev/tty*"]\n'
"""Settings that hide whatever is plugged into the machine that runs the tests."""
IMPATIENT = Patience(
    greeting=0.5,
    wrong_rate=0.3,
    detection=0.45,
    listening=0.02,
    dwell=0.05,
    settled=0.3,
    wrong_dwell=0.05,
    look=0.05,
    pause=0.1,
    longest_pause=0.2,
)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cookies(self) -> list[str]:
        """Each `Set-Cookie` as it came."""
        return [value for name, value in self.headers.items() if name.lower() == "set-cookie"]

    def json(self) -> Any:
        assert self.headers["Content-Type"].startswith("application/json")
        return msgspec.json.decode(self.body)


class Client:
    """Asks the server at `address`; with an admin key, unless told otherwise. One in here can be looked at."""

    app: web.Application
    fleet: Fleet

    def __init__(self, address: str) -> None:
        self.address = address
        self.host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
        self.port = int(port)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10), skip_auto_headers=["Content-Type"], auto_decompress=False
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """The path goes out as it is; no headers are added to those given, not even a key."""
        url = URL(self.address.rstrip("/") + path, encoded=True)
        # aiohttp warns of large bytes.
        data = io.BytesIO(body) if body and len(body) > 1 << 20 else body
        async with self._session.request(
            method, url, headers=dict(headers or {}), data=data, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, *, version: str | None = None, key: str = ADMIN_KEY) -> Answer:
        headers = {"X-Api-Key": key} if key else {}
        if version is not None:
            headers["X-OctoPrint-Api-Version"] = version
        return await self.request("GET", path, headers=headers)

    async def post(self, path: str, content: object, *, version: str | None = None, key: str = ADMIN_KEY) -> Answer:
        """`content` is sent as JSON; bytes are sent as they are, and called JSON."""
        headers = {"Content-Type": "application/json"} | ({"X-Api-Key": key} if key else {})
        if version is not None:
            headers["X-OctoPrint-Api-Version"] = version
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        return await self.request("POST", path, headers=headers, body=body)

    async def send_raw(self, *parts: bytes, end: bool = False) -> bytes:
        """All that comes back, until the server closes, for bytes that need not be a request.

        `end`: the client says that nothing more will come.
        """
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            async with asyncio.timeout(5):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                if end:
                    writer.write_eof()
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def delete(self, path: str, *, key: str = ADMIN_KEY) -> Answer:
        return await self.request("DELETE", path, headers={"X-Api-Key": key})

    async def upload(
        self, name: str, content: bytes = b"G28\n", *, to: str = "", key: str = ADMIN_KEY, **fields: str
    ) -> Answer:
        """As a slicer does it, to the printer with the id `to` or the default one."""
        parts = [f'name="{field}"\r\n\r\n{value}'.encode() for field, value in fields.items()]
        parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + content)
        body = b"".join(b"--b\r\nContent-Disposition: form-data; %b\r\n" % part for part in parts) + b"--b--\r\n"
        headers = {"X-Api-Key": key, "Content-Type": "multipart/form-data; boundary=b"}
        path = f"/p/{to}/api/files/local" if to else "/api/files/local"
        return await self.request("POST", path, headers=headers, body=body)

    async def connection(self) -> Any:
        answer = await self.get("/api/connection")
        assert answer.status == 200
        return answer.json()

    async def current(self) -> Any:
        return (await self.connection())["current"]

    async def options(self) -> Any:
        return (await self.connection())["options"]

    async def command(self, command: str, **fields: object) -> Answer:
        return await self.post("/api/connection", {"command": command, **fields})

    async def accepted(self, command: str, **fields: object) -> None:
        answer = await self.command(command, **fields)
        assert (answer.status, answer.body) == (204, b"")

    async def until(self, condition: Callable[[Any], object], within: float = 5.0) -> Any:
        """`current`, as soon as it meets the condition."""
        current: Any = None

        async def look() -> bool:
            nonlocal current
            current = await self.current()
            return bool(condition(current))

        await eventually(look, within, lambda: f"current is {current}")
        return current

    async def until_state(self, state: str, within: float = 5.0) -> Any:
        return await self.until(lambda current: current["state"] == state, within)


async def eventually(condition: Callable[[], Any], within: float, told: Callable[[], str] = lambda: "") -> None:
    """Wait until the condition, plain or awaitable, holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        assert loop.time() < deadline, f"not within {within} s; {told()}"
        await asyncio.sleep(0.01)


async def stays(condition: Callable[[], Any], during: float) -> None:
    """Fail as soon as the condition does not hold."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + during
    while loop.time() < deadline:
        assert condition()
        await asyncio.sleep(0.01)


async def log_in(client: Client, user: str, password: str, **more: object) -> tuple[str, str]:
    """What the cookies of the new session hold: its secret, and what goes into `X-CSRF-Token`."""
    answer = await client.post("/api/login", {"user": user, "pass": password, **more}, key="")
    assert answer.status == 200
    cookies = dict(re.findall(r"(\w+)=(\w+);", " ".join(answer.cookies)))
    return cookies[f"session_P{client.port}"], cookies[f"csrf_token_P{client.port}"]


@asynccontextmanager
async def running(
    folder: Path,
    *,
    ports: Sequence[str] = (),
    settings: str = HERMETIC,
    keys: Mapping[str, Sequence[str]] | None = None,
    wrap: Callable[[Openers], Openers] = lambda openers: openers,
    patience: Patience | None = None,
    setup_code: str | None = None,
    times: Times | None = None,
    port: int = 0,
    analyse: bool = False,
) -> AsyncIterator[tuple[Client, dict[str, str]]]:
    """A server in this event loop with its data in `folder`, and the keys that were made: name -> text.

    `settings` is written when there is no file yet; `wrap` may change how ports are opened. Files are not analysed
    unless `analyse` says so: it takes processes, and tells of itself.
    """
    file = SettingsFile(folder / "limpet.toml", added_ports=ports)
    if not file.path.exists():
        file.path.write_text(settings)
    loaded = file.load()
    loaded = structs.replace(loaded, files=structs.replace(loaded.files, analyse=analyse))
    store = KeyStore(folder / "keys.json", extra_key=ADMIN_KEY)
    made = {name: store.add(name, permissions) for name, permissions in (keys or {}).items()}
    fleet = Fleet(file, loaded, wrap(openers(file, loaded)), patience=patience)
    access = Access(
        store,
        UserStore(folder / "users.json"),
        setup_code=setup_code,
        origins=loaded.server.cors_origins,
        proxies=Proxies(loaded.server.trusted_proxies),
        remembered=file.path.with_name("sessions.json"),
    )
    app = build_app(fleet, access, times)
    runner = runner_of(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    fleet.start()
    client = Client(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    client.app, client.fleet = app, fleet
    try:
        yield client, made
    finally:
        await client.close()
        await fleet.stop()
        await runner.cleanup()


class Process:
    """`python -m limpet serve` with its data in `folder`."""

    def __init__(self, folder: Path, *, ports: Sequence[str] = ()) -> None:
        self._folder = folder
        self._ports = ports
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Client:
        """Answers requests when this returns."""
        settings = self._folder / "limpet.toml"
        if not settings.exists():
            settings.write_text(HERMETIC)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "limpet", "serve", "--data", str(self._folder), "--port", str(_free_port())),
            env={**os.environ, "LIMPET_API_KEY": ADMIN_KEY, "LIMPET_PORTS": ",".join(self._ports)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = await self._process.stdout.readline()
        address = re.search(rb"http://\S+", line)
        assert address, line
        return Client(address[0].decode())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """The exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        self._process = None
        if process.returncode is None:
            process.send_signal(number)
        # What it still says is read away, so that its pipe is closed when this returns.
        await process.communicate()
        assert process.returncode is not None
        return process.returncode


@asynccontextmanager
async def process(folder: Path, *, ports: Sequence[str] = ()) -> AsyncIterator[Process]:
    server = Process(folder, ports=ports)
    try:
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def printer_at(
    link: Path, *, returns_after: float | None = None, reset_on_open: bool = True, **options: Any
) -> AsyncIterator[Callable[[], list[str]]]:
    """A virtual printer on a pty known as `link`; what is yielded tells what has happened at its port so far."""
    heard: list[str] = []
    stop = asyncio.Event()
    printer = VirtualPrinterOptions(**{"boot_time": 0.0, **options})
    task = asyncio.create_task(
        serve_virtual_printer(
            link, printer, stop=stop, on_event=heard.append, returns_after=returns_after, reset_on_open=reset_on_open
        )
    )
    await eventually(lambda: task.done() or link.exists(), 5.0)
    try:
        yield lambda: list(heard)
    finally:
        stop.set()
        await task


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
