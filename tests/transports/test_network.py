"""Serial lines over TCP: against a real ser2net, and against bridges that acknowledge nothing."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from limpet.errors import PortError
from limpet.printer.connection import Target
from limpet.printer.printer import Printer
from limpet.printer.state import State
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from limpet.settings import Reset
from limpet.transports.network import RESET_PULSE, address_of
from limpet.transports.ports import PortList
from limpet.transports.telnet import Telnet
from limpet.transports.urls import OPENERS, open_port

from ..printer.rig import QUICK, eventually, printer_at

ser2net = pytest.mark.skipif(shutil.which("ser2net", path="/usr/sbin:/usr/bin:/bin") is None, reason="no ser2net")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def connected(url: str, baudrate: int) -> AsyncIterator[Printer]:
    printer = Printer("net", PortList(added=[url], virtual=False), OPENERS, patience=QUICK)
    printer.connect(Target(port=url, baudrate=baudrate))
    try:
        yield printer
    finally:
        await printer.disconnect()


@asynccontextmanager
async def bridge(options: VirtualPrinterOptions | None = None, *, telnet: bool = False) -> AsyncIterator[int]:
    """A printer on a TCP port, as an ESP8266 does it: it says nothing about Telnet, and acknowledges nothing."""
    guests: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guests.append(writer)
        loop, decoder = asyncio.get_running_loop(), Telnet()
        printer = VirtualPrinter(options or VirtualPrinterOptions(boot_time=0.0))
        printer.reset(loop.time())
        while not reader.at_eof() and not printer.gone:
            printer.handle_timer(loop.time())
            writer.write(printer.data_to_send())
            try:
                async with asyncio.timeout(0.02):
                    data = await reader.read(1000)
            except TimeoutError:
                continue
            printer.receive_data(decoder.receive(data) if telnet else data, loop.time())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in guests:
            writer.transport.abort()


@asynccontextmanager
async def ser2net_for(device: Path, folder: Path, accepter: str = "telnet(rfc2217),tcp") -> AsyncIterator[int]:
    port = free_port()
    config = folder / "ser2net.yaml"
    config.write_text(
        f"connection: &printer\n  accepter: {accepter},127.0.0.1,{port}\n"
        f"  connector: serialdev,{device},9600n81,local\n"
        "  options:\n    chardelay: false\n"  # It would wait a few ms for more to come.
    )
    program = await asyncio.create_subprocess_exec("/usr/sbin/ser2net", "-n", "-u", "-c", str(config))
    try:
        async with asyncio.timeout(5):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield port
    finally:
        program.terminate()
        await program.wait()


class Recorder(asyncio.Protocol):
    """Listens and never says a word; `heard` are the bytes and when they came."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, float]] = []
        self.guests: list[asyncio.BaseTransport] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.guests.append(transport)

    def data_received(self, data: bytes) -> None:
        self.heard.append((data, time.monotonic()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.guests.clear()

    @property
    def everything(self) -> bytes:
        return b"".join(data for data, _ in self.heard)

    def time_of(self, part: bytes) -> float:
        return next(at for data, at in self.heard if part in data)


@asynccontextmanager
async def recorder() -> AsyncIterator[tuple[Recorder, str]]:
    record = Recorder()
    server = await asyncio.get_running_loop().create_server(lambda: record, "127.0.0.1", 0)
    try:
        yield record, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_reset_over_rfc2217_drops_the_lines_and_raises_them_again() -> None:
    async with recorder() as (record, address):
        port = await open_port(f"rfc2217://{address}", 115200, asyncio.Protocol(), reset="yes")
        down, up = Telnet().lines(raised=False), Telnet().lines(raised=True)
        await eventually(lambda: up in record.everything)
        assert record.time_of(up) - record.time_of(down) >= RESET_PULSE * 0.9
        assert port.resets_board
        port.abort()
        await port.wait_closed()


@pytest.mark.parametrize(("scheme", "reset"), [("rfc2217", "auto"), ("rfc2217", "no"), ("socket", "yes")])
async def test_without_a_wish_nothing_is_said_about_the_lines(scheme: str, reset: Reset) -> None:
    async with recorder() as (record, address):
        port = await open_port(f"{scheme}://{address}", 115200, asyncio.Protocol(), reset=reset)
        port.write(b"M105")
        await eventually(lambda: record.everything.endswith(b"M105"))
        assert not any(bytes((250, 44, 5, value)) in record.everything for value in (8, 9, 11, 12))
        assert not port.resets_board
        port.abort()
        await port.wait_closed()


async def test_a_reset_that_is_cancelled_leaves_no_connection() -> None:
    async with recorder() as (record, address):
        attempt = asyncio.create_task(open_port(f"rfc2217://{address}", 115200, asyncio.Protocol(), reset="yes"))
        await eventually(lambda: Telnet().lines(raised=False) in record.everything)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await eventually(lambda: not record.guests)


@ser2net
async def test_a_real_ser2net_bears_the_wish_for_a_reset_on_a_device_without_lines(tmp_path: Path) -> None:
    link, receiver = tmp_path / "printer", Recorder()
    async with printer_at(link), ser2net_for(link, tmp_path) as number:
        port = await open_port(f"rfc2217://127.0.0.1:{number}", 115200, receiver, reset="yes")
        port.write(b"M115\n")
        await eventually(lambda: b"FIRMWARE_NAME" in receiver.everything)
        port.abort()
        await port.wait_closed()


@ser2net
@pytest.mark.parametrize("baudrate", [115200, 250000, 57600])
async def test_a_printer_behind_ser2net_is_connected_at_its_rate(tmp_path: Path, baudrate: int) -> None:
    link = tmp_path / "printer"
    async with (
        printer_at(link, baudrate=baudrate, boot_time=0.2),
        ser2net_for(link, tmp_path) as port,
        connected(f"rfc2217://127.0.0.1:{port}", baudrate) as printer,
    ):
        await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)
        assert printer.snapshot.firmware is not None


@ser2net
async def test_a_wrong_rate_is_told_through_ser2net_too(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with (
        printer_at(link, baudrate=57600, boot_time=0.2),
        ser2net_for(link, tmp_path) as port,
        connected(f"rfc2217://127.0.0.1:{port}", 115200) as printer,
    ):
        await eventually(lambda: printer.snapshot.state is State.OFFLINE_AFTER_ERROR)
        assert printer.snapshot.failure is not None
        assert printer.snapshot.failure.fault.code == "wrong_baudrate"


async def test_a_raw_socket_is_a_port() -> None:
    async with bridge() as port, connected(f"socket://127.0.0.1:{port}", 115200) as printer:
        await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)


async def test_a_bridge_that_acknowledges_nothing_is_connected_all_the_same() -> None:
    async with bridge(telnet=True) as port, connected(f"rfc2217://127.0.0.1:{port}", 115200) as printer:
        await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)


async def test_a_bridge_that_hangs_up_is_told_within_a_second_and_taken_up_again() -> None:
    gone = VirtualPrinterOptions(boot_time=0.0, gone_after_seconds=0.5)
    async with bridge(gone) as port, connected(f"socket://127.0.0.1:{port}", 115200) as printer:
        await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)
        await eventually(lambda: printer.snapshot.state is State.OFFLINE_AFTER_ERROR, within=1.5)
        assert printer.snapshot.failure is not None
        assert printer.snapshot.failure.fault.code == "unplugged"
        await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)


async def test_nobody_at_home_is_told() -> None:
    with pytest.raises(PortError, match="Nothing listens") as failure:
        await open_port(f"socket://127.0.0.1:{free_port()}", 115200, asyncio.Protocol())
    assert failure.value.fault.code == "port_missing"


async def test_a_name_that_is_not_known_is_told() -> None:
    with pytest.raises(PortError) as failure:
        await open_port("socket://no-such-host.invalid:23", 115200, asyncio.Protocol())
    assert failure.value.fault.code == "port_missing"


@pytest.mark.parametrize("url", ["socket://", "socket://host", "socket://host:0", "socket://host:http", "rfc2217://:1"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(PortError, match="no address"):
        address_of(url)
