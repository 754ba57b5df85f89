"""`/api/limpet/traffic`: looking on, over real HTTP."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from limpet.keys import KeyStore
from limpet.printer.subscription import MAX_UNREAD
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.settings import Reset
from limpet.transports.memory import MemoryTransport, open_memory
from limpet.transports.urls import VIRTUAL, Openers
from limpet.web.api import traffic
from limpet.web.api.traffic import MAX_TAPS
from tests.web.server import ADMIN_KEY, Client, eventually, process, running

PATH = "/api/limpet/traffic"


class Tap:
    """One listener, by HTTP/1.1 as `curl -N` is, on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.head = ""

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    async def begin(self, path: str, key: str, method: str = "GET") -> None:
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            self.head = (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def lines(self) -> AsyncIterator[str]:
        """Until the end of the answer; IncompleteReadError when that is not a proper one."""
        rest = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            *lines, rest = (rest + (await self._reader.readexactly(size + 2))[:-2]).split(b"\n")
            for line in lines:
                yield line.decode()
        assert await self._reader.readexactly(2) == b"\r\n"

    async def until(self, wanted: str) -> list[str]:
        """The lines up to the first that ends like this."""
        heard: list[str] = []
        async with asyncio.timeout(5):
            async for line in self.lines():
                heard.append(line)
                if line.endswith(wanted):
                    return heard
        raise AssertionError(f"not heard: {wanted}; but {heard}")

    async def end(self) -> list[str]:
        """What is heard until the end, which has to come soon; the last is "cut off" where that is what it was."""
        heard: list[str] = []
        try:
            async with asyncio.timeout(5):
                async for line in self.lines():
                    heard.append(line)
        except (asyncio.IncompleteReadError, ConnectionError):
            heard.append("cut off")
        return heard

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def tapped(
    client: Client, path: str = PATH, key: str = ADMIN_KEY, method: str = "GET", limit: int = 1 << 16
) -> AsyncIterator[Tap]:
    tap = Tap(*await asyncio.open_connection(client.host, client.port, limit=limit))
    try:
        await tap.begin(path, key, method)
        yield tap
    finally:
        tap.close()


class Virtual:
    """Openers whose virtual printer says what the test wants."""

    port: MemoryTransport

    def __call__(self, openers: Openers) -> Openers:
        return {**openers, VIRTUAL: self._open}

    async def _open(self, _: str, baudrate: int, receiver: asyncio.Protocol, _reset: Reset) -> MemoryTransport:
        self.port = await open_memory(VirtualPrinterOptions(boot_time=0.0), receiver, baudrate)
        return self.port

    def says(self, data: bytes) -> None:
        self.port._receiver.data_received(data)


@pytest.fixture
def virtual() -> Virtual:
    return Virtual()


@pytest.fixture
async def connected(tmp_path: Path, virtual: Virtual) -> AsyncIterator[Client]:
    """A server whose printer is operational."""
    async with running(tmp_path, wrap=virtual) as (client, _):
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await client.until_state("Operational")
        yield client


async def test_lines_of_both_directions_come_as_they_happen_with_their_time(client: Client) -> None:
    async with tapped(client) as tap:
        started = time.time()
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        heard = await tap.until("> N1 M115*39")
        assert any(line.endswith(" > N0 M110 N0*125") for line in heard)
        assert [line for line in heard if line.endswith(" < ok")]
        for line in heard:
            match = re.fullmatch(r"(\d+\.\d{3}) [<>] \S.*", line)
            assert match
            assert started - 0.01 < float(match[1]) < started + 5
        assert any(line.split(" ", 1)[1].startswith("< FIRMWARE_NAME:") for line in await tap.until("> N2 M105*37"))


async def test_the_last_lines_come_first(connected: Client) -> None:
    async with tapped(connected) as tap:
        assert len(await tap.until("> N1 M115*39")) > 1


@pytest.mark.parametrize("path", [PATH, f"/p/default{PATH}", f"{PATH}?apikey={ADMIN_KEY}"])
async def test_it_is_plain_text_that_nobody_keeps(connected: Client, path: str) -> None:
    async with tapped(connected, path, key=ADMIN_KEY) as tap:
        assert tap.status == 200
        for header in ("Content-Type: text/plain; charset=utf-8", "Cache-Control: no-store", "X-Accel-Buffering: no"):
            assert f"\r\n{header}\r\n" in tap.head
        assert "Content-Security-Policy" in tap.head


async def test_what_a_printer_says_cannot_steer_a_terminal(connected: Client, virtual: Virtual) -> None:
    async with tapped(connected) as tap:
        virtual.says(b"echo:\x1b[2J\x07 60 \xc2\xb0C" + b"x" * 1000 + b"\n")
        heard = await tap.until("x")
        assert "< echo:\\x1b[2J\\x07 60 °Cxxx" in heard[-1]
        assert heard[-1].isprintable()


async def test_head_tells_what_it_would_be(client: Client) -> None:
    async with tapped(client, method="HEAD") as tap:
        assert tap.status == 200
        await tap.begin("/api/version", ADMIN_KEY)  # on the same connection
        assert tap.status == 200


# -- who may --


@pytest.mark.parametrize(
    ("permissions", "status"), [(["MONITOR_TERMINAL"], 200), (["STATUS", "CONNECTION", "CONTROL"], 403)]
)
async def test_it_takes_the_permission(tmp_path: Path, permissions: list[str], status: int) -> None:
    async with running(tmp_path, keys={"one": permissions}) as (client, keys), tapped(client, key=keys["one"]) as tap:
        assert tap.status == status


async def test_without_a_key_nothing_is_heard(client: Client) -> None:
    async with tapped(client, key="0") as tap:
        assert tap.status == 403


async def test_a_key_that_is_revoked_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LOOK_TIME", 0.02)
    async with (
        running(tmp_path, keys={"one": ["MONITOR_TERMINAL"]}) as (client, keys),
        tapped(client, key=keys["one"]) as tap,
        tapped(client) as other,
    ):
        KeyStore(tmp_path / "keys.json").revoke("one")
        assert await tap.end() == []
        await client.accepted("connect", port="VIRTUAL", baudrate=115200)
        await other.until("< ok")


# -- how many, how slow, how long --


async def test_only_so_many_listen_to_a_printer_and_who_leaves_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "LOOK_TIME", 0.02)
    settings = '[ports]\nignored = ["/dev/tty*"]\n[printers.mini]\n[printers.big]\n'
    async with running(tmp_path, settings=settings) as (client, _):
        taps = [tapped(client) for _ in range(MAX_TAPS)]
        for each in taps:
            assert (await each.__aenter__()).status == 200
        refused = await client.get(PATH)
        assert refused.status == 409
        assert refused.json()["error"] == f"{MAX_TAPS} programs listen to this printer already"
        async with tapped(client, f"/p/big{PATH}") as other:
            assert other.status == 200

        await taps.pop().__aexit__(None, None, None)

        async def has_room() -> bool:
            async with tapped(client) as tap:
                return tap.status == 200

        await eventually(has_room, 2.0)
        for each in taps:
            await each.__aexit__(None, None, None)


async def test_who_does_not_read_is_cut_off_and_slows_nobody(
    connected: Client, virtual: Virtual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "WRITE_TIME", 0.2)
    async with tapped(connected) as lazy, tapped(connected) as eager:
        reader = asyncio.create_task(eager.until("< the end"))
        for _ in range(200):
            virtual.says((b"x" * 1000 + b"\n") * 50)
            await asyncio.sleep(0.002)
        started = time.monotonic()
        await connected.current()
        assert time.monotonic() - started < 0.5
        await asyncio.sleep(0.3)
        virtual.says(b"the end\n")
        assert len(await reader) > 10_000
        heard = await lazy.end()
        assert heard[-1] == "cut off"
        assert len(heard) < 10_000


async def test_who_is_cut_off_by_a_flood_sees_that_lines_are_missing(connected: Client, virtual: Virtual) -> None:
    async with tapped(connected) as tap:
        virtual.says(b"x\n" * 2 * MAX_UNREAD)
        heard = await tap.end()
        assert heard[-1] == "cut off"
        assert len(heard) > MAX_UNREAD


async def test_the_end_of_the_server_is_its_end(tmp_path: Path) -> None:
    async with process(tmp_path) as server:
        client = await server.start()
        async with tapped(client) as tap, tapped(client) as other:
            started = time.monotonic()
            assert await server.stop() == 0
            assert time.monotonic() - started < 1.0
            assert [await tap.end(), await other.end()] == [[], []]
        await client.close()


async def test_it_is_described(client: Client) -> None:
    described = (await client.get("/api/openapi.json")).json()["paths"][PATH]["get"]
    assert described["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}
    assert {"200", "403", "409"} == described["responses"].keys()
