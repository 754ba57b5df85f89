"""The virtual printer behind a real pty, opened as a host opens a device."""

import asyncio
import os
import termios
from contextlib import asynccontextmanager

import pytest
from serialx.platforms.serial_linux import LinuxSerial

from limpet.errors import LimpetError
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.transports.pseudo_terminal import PseudoTerminal, serve_virtual_printer

DEADLINE = 5.0


class Device:
    """A device opened for real, without blocking the event loop that the printer runs in."""

    def __init__(self, path, speed=None):
        self.descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.attributes = termios.tcgetattr(self.descriptor)
        if speed is not None:
            self.attributes[4] = self.attributes[5] = speed
            termios.tcsetattr(self.descriptor, termios.TCSANOW, self.attributes)

    def write(self, data):
        os.write(self.descriptor, data)

    async def until(self, wanted):
        """Everything heard until `wanted` is in it; OSError on a hang-up."""
        heard = b""
        async with asyncio.timeout(DEADLINE):
            while wanted not in heard:
                try:
                    data = os.read(self.descriptor, 4096)
                    if not data:
                        raise OSError("hung up")
                    heard += data
                except BlockingIOError:
                    await asyncio.sleep(0.002)
        return heard

    def close(self):
        os.close(self.descriptor)


class Events:
    """What happened at the port, and a way to wait for it."""

    def __init__(self):
        self.all = []
        self._happened = asyncio.Event()

    def __call__(self, event):
        self.all.append(event)
        self._happened.set()

    async def until(self, text, times=1):
        async with asyncio.timeout(DEADLINE):
            while sum(event.startswith(text) for event in self.all) < times:
                self._happened.clear()
                await self._happened.wait()


@asynccontextmanager
async def served(link, *, returns_after=None, reset_on_open=True, **options):
    """A printer at `link`; gives a function that waits for an event."""
    stop, events = asyncio.Event(), Events()
    task = asyncio.create_task(
        serve_virtual_printer(
            link,
            VirtualPrinterOptions(**{"boot_time": 0.02, "banner_lines": ("start",), **options}),
            stop=stop,
            on_event=events,
            reset_on_open=reset_on_open,
            returns_after=returns_after,
        )
    )
    try:
        await events.until("ready")
        yield events.until
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await task


@pytest.fixture
def link(tmp_path):
    return tmp_path / "ttyVIRTUAL"


async def test_a_host_opens_it_and_talks(link):
    async with served(link):
        device = Device(link)
        await device.until(b"start\n")
        device.write(b"M118 hello\n")
        assert await device.until(b"ok\n") == b"hello\nok\n"
        device.close()


async def test_the_link_is_there_while_it_runs_and_gone_after(link):
    async with served(link):
        assert link.is_symlink()
        assert link.exists()
    assert not link.is_symlink()


async def test_it_is_raw_and_echoes_nothing(link):
    async with served(link):
        device = Device(link)
        await device.until(b"start\n")
        assert not device.attributes[3] & (termios.ECHO | termios.ICANON)
        odd = b"\x03\x04\x11\x13\x1a" + bytes(range(176, 256))
        device.write(b"M118 " + odd + b"\n")
        assert await device.until(b"ok\n") == odd + b"\nok\n"
        device.close()


async def test_every_opening_resets_the_printer(link):
    async with served(link) as until:
        for _ in range(3):
            device = Device(link)
            await device.until(b"start\n")
            device.close()
        await until("opened", 3)


async def test_a_quick_reopening_is_seen(link):
    async with served(link) as until:
        device = Device(link)
        await device.until(b"start\n")
        device.close()
        device = Device(link)
        await device.until(b"start\n")
        await until("opened", 2)
        device.close()
        await until("closed", 2)


async def test_a_second_host_does_not_end_the_first(link):
    async with served(link) as until:
        first = Device(link)
        await first.until(b"start\n")
        Device(link).close()
        first.write(b"M117\n")
        assert await first.until(b"ok\n") == b"ok\n"
        first.close()
        await until("closed")


async def test_without_reset_on_open_it_has_booted_already(link):
    async with served(link, reset_on_open=False, boot_time=0.0) as until:
        device = Device(link)
        await until("opened")
        device.write(b"M117\n")
        assert await device.until(b"ok\n") == b"ok\n"
        device.close()


async def test_the_next_host_does_not_hear_what_the_last_one_left(link):
    async with served(link) as until:
        device = Device(link)
        await device.until(b"start\n")
        device.write(b"M118 old\n")
        await asyncio.sleep(0.05)
        device.close()
        await until("closed")
        device = Device(link)
        assert await device.until(b"start\n") == b"start\n"
        device.close()


@pytest.mark.parametrize(("right", "speed"), [(115200, termios.B115200), (9600, termios.B9600)])
async def test_the_rate_is_read_from_the_tty(link, right, speed):
    async with served(link, baudrate=right) as until:
        device = Device(link, speed)
        await device.until(b"start\n")
        await until(f"host speaks {right} baud")
        device.attributes[4] = device.attributes[5] = termios.B57600
        termios.tcsetattr(device.descriptor, termios.TCSANOW, device.attributes)
        device.write(b"M105\n" * 200)
        heard = await device.until(b"\n")
        assert b"ok" not in heard
        assert sum(byte > 127 for byte in heard) > len(heard) / 3
        device.close()


async def test_a_rate_that_posix_does_not_know(link):
    async with served(link, baudrate=250000, reset_on_open=False, boot_time=0.0) as until:
        port = LinuxSerial(str(link), baudrate=250000)
        await asyncio.to_thread(port.open)
        try:
            port.write(b"M118 quarter of a million\n")
            async with asyncio.timeout(DEADLINE):
                heard = b""
                while b"ok\n" not in heard:
                    heard += await asyncio.to_thread(port.read, 1)
            assert heard == b"quarter of a million\nok\n"
            await until("host speaks 250000 baud")
        finally:
            await asyncio.to_thread(port.close)


async def test_an_unplugged_printer_hangs_up_and_takes_the_link_along(link):
    async with served(link, gone_after=1) as until:
        device = Device(link)
        await device.until(b"start\n")
        device.write(b"M117\n")
        with pytest.raises(OSError, match=r"hung up|Input/output"):
            await device.until(b"never")
        await until("unplugged")
        assert not link.is_symlink()
        device.close()


async def test_an_unplugged_printer_can_come_back(link):
    async with served(link, gone_after=1, returns_after=0.02) as until:
        device = Device(link)
        await device.until(b"start\n")
        device.write(b"M117\n")
        await until("ready", 2)
        again = Device(link)
        await again.until(b"start\n")
        device.close()
        again.close()


async def test_stopping_does_not_wait_for_the_return(link):
    async with served(link, gone_after_seconds=0.001, returns_after=3600.0) as until:
        await until("unplugged")


async def test_a_host_that_does_not_read_stops_nothing(link):
    async with served(link) as until:
        device = Device(link)
        await device.until(b"start\n")
        for _ in range(60):
            device.write(b"M115\n" * 4)
            await asyncio.sleep(0.003)
        assert (await device.until(b"ok\n")).startswith(b"FIRMWARE_NAME")
        device.close()
        await until("closed")


def test_a_stale_link_is_replaced(link):
    link.symlink_to("/dev/pts/999999")
    with PseudoTerminal(link) as terminal:
        assert str(link.readlink()) == terminal.device
    assert not link.is_symlink()


def test_a_link_that_somebody_else_took_over_is_left_alone(link):
    with PseudoTerminal(link), PseudoTerminal(link) as second:
        device = second.device
        second.link = link.with_name("elsewhere")
        assert str(link.readlink()) == device
    assert str(link.readlink()) == device


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_anything_else_at_the_place_of_the_link_is_refused(link, kind):
    other = link.with_name("other")
    other.write_text("precious")
    {"file": link.touch, "folder": link.mkdir, "link": lambda: link.symlink_to(other)}[kind]()
    with pytest.raises(LimpetError, match="is there already"):
        PseudoTerminal(link)
    assert link.exists()


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(LimpetError, match="nowhere"):
        PseudoTerminal(tmp_path / "nowhere" / "link")
