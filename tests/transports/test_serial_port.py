"""A serial port over real pseudo-terminals, with real locks, users and descriptors."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import grp
import json
import os
import pwd
import subprocess
import sys
import termios
import threading
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import pytest
from serialx.common import ModemPins, PinState, PortSettingsUpdate

from limpet.errors import Fault, PortError
from limpet.settings import Reset
from limpet.transports import serial_port
from limpet.transports.serial_port import Device, SerialPort, open_serial
from limpet.transports.urls import open_port, scheme_of


class Receiver(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ports: list[asyncio.BaseTransport] = []
        self.lost: list[Exception | None] = []
        self.pauses = 0
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.ports.append(transport)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._news.set()

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.pauses -= 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._news.clear()
                await self._news.wait()


class Terminal:
    """Both ends of a pseudo-terminal; `device` is what the port opens."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.device = os.ttyname(slave)
        os.set_blocking(self.master, False)
        os.close(slave)

    def hang_up(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.master)

    @property
    def hangs_up(self) -> bool:
        """HUPCL: whether the kernel drops DTR and RTS when the device is closed."""
        control = self.settings()[2]
        assert isinstance(control, int)
        return bool(control & termios.HUPCL)

    def hang_up_on_close(self) -> None:
        """As every serial device does when it has just been plugged in, and pseudo-terminals do not."""
        attributes = termios.tcgetattr(self.master)
        attributes[2] |= termios.HUPCL
        termios.tcsetattr(self.master, termios.TCSANOW, attributes)

    async def read_until(self, end: bytes) -> bytes:
        """All bytes up to `end`."""
        data = b""
        async with asyncio.timeout(5):
            while not data.endswith(end):
                try:
                    data += os.read(self.master, 1)
                except BlockingIOError:
                    await asyncio.sleep(0.002)
        return data


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.hang_up()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def descriptors_of(device: str) -> int:
    """How many descriptors of this process are `device`."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()) == device
        except OSError:
            continue
    return count


@asynccontextmanager
async def opened(
    terminal: Terminal, receiver: asyncio.Protocol | None = None, baudrate: int = 115200, reset: Reset = "auto"
) -> AsyncIterator[SerialPort]:
    port = await open_serial(terminal.device, baudrate, receiver or Receiver(), reset)
    try:
        yield port
    finally:
        port.abort()
        await port.wait_closed()
        assert descriptors_of(terminal.device) == 0


async def fault(device: str, baudrate: int = 115200) -> Fault:
    receiver = Receiver()
    with pytest.raises(PortError) as caught:
        await open_serial(device, baudrate, receiver)
    assert receiver.ports == [], "a port that cannot be had was shown to the receiver"
    return caught.value.fault


async def test_bytes_go_both_ways(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver) as port:
        assert receiver.ports == [port]
        port.write(b"M105\r\n")
        assert await terminal.read_until(b"\n") == b"M105\r\n"
        os.write(terminal.master, b"ok T:21.3\r\n\xff\x00")
        await receiver.until(lambda: len(receiver.data) == 13)
        assert receiver.data == b"ok T:21.3\r\n\xff\x00"
        port.close()
        await port.wait_closed()
        assert receiver.lost == [None]


async def test_nothing_is_lost_of_what_comes_right_after_opening(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver):
        os.write(terminal.master, b"start\n")
        await receiver.until(lambda: bool(receiver.data))
        assert receiver.data == b"start\n"


@pytest.mark.parametrize("baudrate", [9600, 115200, 230400, 250000, 256000, 500000, 1000000])
async def test_any_rate_can_be_set(terminal: Terminal, baudrate: int) -> None:
    async with opened(terminal, baudrate=baudrate):
        assert rate_of(terminal) == baudrate


def rate_of(terminal: Terminal) -> int:
    """The rate as the kernel has it; Python's tcgetattr knows only the rates of POSIX."""
    buffer = bytearray(44)
    fcntl.ioctl(terminal.master, 0x802C542A, buffer)  # TCGETS2
    return int.from_bytes(buffer[40:44], sys.byteorder)


async def test_a_freshly_plugged_board_is_reset_by_opening_it_and_then_never_again(terminal: Terminal) -> None:
    terminal.hang_up_on_close()
    async with opened(terminal) as port:
        assert port.resets_board
        assert not terminal.hangs_up
        await port.set_baudrate(250000)
        assert port.resets_board
        assert not terminal.hangs_up
    async with opened(terminal) as port:
        assert not port.resets_board


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_reset_no_leaves_what_happens_on_close_as_it_was(terminal: Terminal, hangs_up: bool) -> None:
    if hangs_up:
        terminal.hang_up_on_close()
    for _ in range(2):
        async with opened(terminal, reset="no") as port:
            assert port.resets_board is hangs_up
            assert terminal.hangs_up is hangs_up
            await port.set_baudrate(250000)
            assert (rate_of(terminal), terminal.hangs_up) == (250000, hangs_up)


class Lines(Device):
    """A device with modem lines, which pseudo-terminals lack; notes what is done to them."""

    pulses: ClassVar[list[tuple[PinState, PinState, float]]] = []

    def _set_modem_pins(self, modem_pins: ModemPins) -> None:
        if PinState.UNDEFINED not in (modem_pins.dtr, modem_pins.rts):
            self.pulses.append((modem_pins.dtr, modem_pins.rts, time.monotonic()))
        super()._set_modem_pins(modem_pins)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[PinState, PinState, float]]:
    Lines.pulses.clear()
    monkeypatch.setattr(SerialPort, "_serial_cls", Lines)
    return Lines.pulses


async def test_reset_yes_drops_both_lines_for_a_moment_each_time(
    terminal: Terminal, lines: list[tuple[PinState, PinState, float]]
) -> None:
    for _ in range(2):
        async with opened(terminal, reset="yes") as port:
            assert port.resets_board
            assert not terminal.hangs_up
            await port.set_baudrate(250000)
    down = (PinState.LOW, PinState.LOW)
    up = (PinState.HIGH, PinState.HIGH)
    assert [pulse[:2] for pulse in lines] == [down, up, down, up]
    assert all(lines[n + 1][2] - lines[n][2] >= serial_port.RESET_PULSE for n in (0, 2))


@pytest.mark.parametrize("reset", ["auto", "no"])
async def test_no_line_is_touched_without_a_wish(
    terminal: Terminal, lines: list[tuple[PinState, PinState, float]], reset: Reset
) -> None:
    async with opened(terminal, reset=reset) as port:
        await port.set_baudrate(250000)
        assert not port.resets_board
    assert lines == []


async def test_a_device_without_lines_is_opened_all_the_same(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver, reset="yes"):
        os.write(terminal.master, b"start\n")
        await receiver.until(lambda: bool(receiver.data))
        assert receiver.data == b"start\n"


async def test_what_a_board_said_before_it_was_reset_is_not_heard(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Talking(Device):
        def _set_modem_pins(self, modem_pins: ModemPins) -> None:
            if modem_pins.dtr is not PinState.UNDEFINED:
                os.write(terminal.master, b"wait\n" if modem_pins.dtr is PinState.LOW else b"start\n")

    monkeypatch.setattr(SerialPort, "_serial_cls", Talking)
    receiver = Receiver()
    async with opened(terminal, receiver, reset="yes"):
        await receiver.until(lambda: bool(receiver.data))
        assert receiver.data == b"start\n"


async def test_a_device_that_goes_while_its_board_is_reset_leaves_no_descriptor(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaving(Device):
        def _set_modem_pins(self, modem_pins: ModemPins) -> None:
            if modem_pins.dtr is not PinState.UNDEFINED:
                terminal.hang_up()

    monkeypatch.setattr(SerialPort, "_serial_cls", Leaving)
    before = descriptors() - 1
    with pytest.raises(PortError) as caught:
        await open_serial(terminal.device, 115200, Receiver(), "yes")
    assert caught.value.fault.code == "port_missing"
    assert descriptors() == before


async def test_a_port_needs_no_carrier(terminal: Terminal) -> None:
    async with opened(terminal):
        control = terminal.settings()[2]
        assert isinstance(control, int)
        assert control & termios.CLOCAL


async def test_the_rate_changes_without_closing_the_port(terminal: Terminal) -> None:
    async with opened(terminal) as port:
        number = port.serial.fileno()
        await port.set_baudrate(250000)
        assert (rate_of(terminal), port.serial.fileno()) == (250000, number)
        assert descriptors_of(terminal.device) == 1


async def test_a_new_rate_drops_what_is_unread_and_unsent(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver) as port:
        port.set_write_buffer_limits(high=1024)
        port.write(b"x" * 200_000)
        assert port.get_write_buffer_size() > 1024
        assert receiver.pauses == 1
        os.write(terminal.master, b"garbage")
        await port.set_baudrate(250000)
        assert (port.get_write_buffer_size(), receiver.pauses) == (0, 0)
        port.write(b"M105\n")
        os.write(terminal.master, b"ok\n")
        await receiver.until(lambda: bool(receiver.data))
        assert receiver.data == b"ok\n"
        # What the pseudo-terminal had already handed over is out of reach.
        arrived = await terminal.read_until(b"M105\n")
        assert len(arrived) < 70_000


@contextmanager
def talking(terminal: Terminal) -> Iterator[None]:
    """A thread that sends lines without a pause."""
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.0001):
            with suppress(BlockingIOError):
                os.write(terminal.master, b"ok T:20.1\n")

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def test_a_printer_that_talks_while_the_rate_changes_is_not_taken_for_lost(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver) as port:
        with talking(terminal):
            for turn in range(100):
                receiver.data.clear()
                await receiver.until(lambda: bool(receiver.data))
                await port.set_baudrate((115200, 250000)[turn % 2])
        assert receiver.lost == []


async def test_a_rate_that_cannot_be_is_refused(terminal: Terminal) -> None:
    async with opened(terminal) as port:
        for baudrate in (0, -1, 2**32):
            assert (await fault(terminal.device, baudrate)).code == "not_a_printer"
            with pytest.raises(PortError, match=f"cannot do {baudrate} baud"):
                await port.set_baudrate(baudrate)
        assert rate_of(terminal) == 115200


async def test_a_lost_device_is_told_at_once_and_only_once(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver) as port:
        start = time.monotonic()
        terminal.hang_up()
        await receiver.until(lambda: bool(receiver.lost))
        assert time.monotonic() - start < 0.5
        port.write(b"M105\n")
        port.close()
        port.abort()
        await port.wait_closed()
        assert [type(exc) for exc in receiver.lost] == [OSError]
        assert descriptors_of(terminal.device) == 0
        with pytest.raises(PortError, match="is closed"):
            await port.set_baudrate(9600)


async def test_closing_sends_what_was_written(terminal: Terminal) -> None:
    async with opened(terminal) as port:
        port.write(b"M104 S0\n")
        port.close()
        assert port.is_closing()
        await port.wait_closed()
        assert await terminal.read_until(b"\n") == b"M104 S0\n"


async def test_closing_does_not_wait_for_a_printer_that_reads_nothing(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver) as port:
        port.write(b"x" * 1_000_000)
        start = time.monotonic()
        port.close()
        await receiver.until(lambda: bool(receiver.lost))
        assert time.monotonic() - start < serial_port.CLOSE_TIMEOUT + 0.3
        assert descriptors_of(terminal.device) == 0


async def test_aborting_is_immediate(terminal: Terminal) -> None:
    receiver = Receiver()
    async with opened(terminal, receiver) as port:
        port.write(b"x" * 1_000_000)
        start = time.monotonic()
        port.abort()
        await receiver.until(lambda: bool(receiver.lost))
        assert time.monotonic() - start < 0.3
        assert receiver.lost == [None]


async def test_one_who_stops_waiting_for_the_end_does_not_spoil_it_for_others(terminal: Terminal) -> None:
    async with opened(terminal) as port:
        impatient = asyncio.create_task(port.wait_closed())
        await asyncio.sleep(0)
        impatient.cancel()
        port.abort()
        await port.wait_closed()
        assert descriptors_of(terminal.device) == 0


async def test_a_port_that_is_gone_is_missing() -> None:
    assert (await fault("/dev/ttyUSB99")).code == "port_missing"


@pytest.mark.parametrize("name", ["/dev/\0", "/dev/tty\ud800"])
async def test_a_name_that_no_file_can_have_is_missing(name: str) -> None:
    assert (await fault(name)).code == "port_missing"


async def test_what_is_no_serial_device_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("G28\n")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "file", tmp_path / "fifo", Path("/dev/null")):
        before = descriptors()
        found = await fault(str(path))
        assert found.code == "not_a_printer"
        assert f"{path} is not a serial device" in found.message
        assert descriptors() == before
    assert (tmp_path / "file").read_text() == "G28\n"


FLOCK = "import fcntl, sys; fcntl.flock(0, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.readline()"
TIOCEXCL = FLOCK.replace("fcntl.flock(0, fcntl.LOCK_EX)", "import termios; fcntl.ioctl(0, termios.TIOCEXCL)")


@contextmanager
def locked(terminal: Terminal, *, exclusively: bool = False) -> Iterator[str]:
    """A process that has locked the device, by flock or by TIOCEXCL: its `name (pid)`."""
    device = os.open(terminal.device, os.O_RDWR | os.O_NOCTTY)
    hold = TIOCEXCL if exclusively else FLOCK
    with subprocess.Popen([sys.executable, "-c", hold], stdin=device, stdout=subprocess.PIPE) as holder:
        os.close(device)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"locked\n"
            yield f"{Path(f'/proc/{holder.pid}/comm').read_text().strip()} ({holder.pid})"
        finally:
            holder.kill()


async def test_a_locked_port_names_its_holder(terminal: Terminal) -> None:
    with locked(terminal) as holder:
        found = await fault(terminal.device)
    assert (found.code, found.message) == ("port_busy", f"{terminal.device} is in use by {holder}")
    assert descriptors_of(terminal.device) == 0


async def test_a_port_is_ours_alone_and_free_after_closing(terminal: Terminal) -> None:
    async with opened(terminal) as port:
        found = await fault(terminal.device)
        assert found.code == "port_busy"
        assert found.message == f"{terminal.device} is in use by another printer of Limpet"
        assert descriptors_of(terminal.device) == 1
        port.close()
        await port.wait_closed()
        again = await open_serial(terminal.device, 115200, Receiver())
        again.abort()
        await again.wait_closed()


async def test_a_busy_port_keeps_the_bytes_and_the_rate_of_its_holder(terminal: Terminal) -> None:
    async with opened(terminal, baudrate=250000) as port:
        port.write(b"G1 X10\n")
        await fault(terminal.device, 9600)
        assert rate_of(terminal) == 250000
        assert await terminal.read_until(b"\n") == b"G1 X10\n"


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@as_root
def test_a_forbidden_port_names_the_group_to_join(terminal: Terminal) -> None:
    own(terminal, grp.getgrnam("dialout").gr_gid, 0o660)
    found = fault_as_nobody(terminal.device)
    assert found.code == "permission_denied"
    assert "group dialout: sudo usermod -aG dialout nobody, then log in again" in found.hint


@as_root
def test_a_port_for_root_alone_does_not_send_one_to_a_group(terminal: Terminal) -> None:
    own(terminal, 0, 0o600)
    found = fault_as_nobody(terminal.device)
    assert found.code == "permission_denied"
    assert "usermod" not in found.hint
    assert "udev rule" in found.hint


@as_root
@pytest.mark.parametrize("exclusively", [False, True])
def test_a_port_that_another_user_holds_is_busy_and_how_to_find_out_is_said(
    terminal: Terminal, exclusively: bool
) -> None:
    own(terminal, 0, 0o666)
    with locked(terminal, exclusively=exclusively) as holder:
        found = fault_as_nobody(terminal.device)
    assert found.code == "port_busy"
    assert holder not in found.message
    assert found.message.endswith("is in use by another program, whose name cannot be seen from here")
    assert f"`sudo fuser -v {terminal.device}`" in found.hint


def own(terminal: Terminal, group: int, mode: int) -> None:
    os.chown(terminal.device, 0, group)
    Path(terminal.device).chmod(mode)


def fault_as_nobody(device: str) -> Fault:
    """What opening `device` comes to in a process that has become another user for good."""
    # The child may not be allowed to read any module that is not loaded yet.
    asyncio.run(fault("/dev/ttyUSB99"))
    answer, question = os.pipe()
    with warnings.catch_warnings():
        # Since Python 3.12; the child runs no code of a thread that it does not have.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            os.write(question, json.dumps(asdict(asyncio.run(fault(device)))).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(question)
    with open(answer, "rb") as stream:  # noqa: PTH123 - a descriptor, no path
        told = stream.read()
    os.waitpid(child, 0)
    return Fault(**json.loads(told))


async def test_no_descriptor_is_left_wherever_opening_is_cancelled(terminal: Terminal) -> None:
    """Cancelled after each of the first turns of the loop, and then at moments up to the end."""
    receiver = Receiver()
    for step in range(30):
        attempt = asyncio.create_task(open_serial(terminal.device, 115200, receiver))
        for _ in range(min(step, 10)):
            await asyncio.sleep(0)
        if step > 10:
            await asyncio.sleep((step - 10) / 1000)
        attempt.cancel()
        try:
            port = await attempt
        except asyncio.CancelledError:
            assert receiver.ports == []
        else:
            port.abort()
            await port.wait_closed()
            receiver = Receiver()
        assert descriptors_of(terminal.device) == 0, f"after step {step}"


async def test_no_descriptor_is_left_when_the_receiver_fails(terminal: Terminal) -> None:
    class Broken(Receiver):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await open_serial(terminal.device, 115200, Broken())
    assert descriptors_of(terminal.device) == 0


async def test_opening_gives_up_after_its_time(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "OPEN_TIMEOUT", 0.001)
    assert (await fault(terminal.device)).code == "timeout"
    assert descriptors_of(terminal.device) == 0


async def test_a_cancelled_change_of_rate_leaves_a_port_that_can_be_closed(terminal: Terminal) -> None:
    for _ in range(20):
        port = await open_serial(terminal.device, 115200, Receiver())
        change = asyncio.create_task(port.set_baudrate(250000))
        await asyncio.sleep(0)
        change.cancel()
        port.abort()
        await port.wait_closed()
        assert change.cancelled() or change.done()
        assert descriptors_of(terminal.device) == 0
        await asyncio.gather(change, return_exceptions=True)


class SlowDriver(Device):
    """Takes its time to change a rate, as a USB adapter does; notes on which files it ended."""

    ended_on: ClassVar[list[str]] = []

    def _reconfigure_port(self, update: PortSettingsUpdate) -> None:
        time.sleep(0.05)
        try:
            self.ended_on.append(os.ttyname(self.fileno()))
        except OSError as error:
            self.ended_on.append(str(error))
        super()._reconfigure_port(update)


@pytest.fixture
def slow_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    SlowDriver.ended_on.clear()
    monkeypatch.setattr(SerialPort, "_serial_cls", SlowDriver)


async def test_a_port_is_not_closed_under_a_driver_that_sets_it_up(terminal: Terminal, slow_driver: None) -> None:
    attempt = asyncio.create_task(open_serial(terminal.device, 115200, Receiver()))
    await asyncio.sleep(0.03)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert SlowDriver.ended_on == [terminal.device]


async def test_a_port_is_not_closed_under_a_driver_that_changes_the_rate(terminal: Terminal, slow_driver: None) -> None:
    async with opened(terminal) as port:
        change = asyncio.create_task(port.set_baudrate(250000))
        await asyncio.sleep(0.01)
        change.cancel()
        port.abort()
        await port.wait_closed()
    assert SlowDriver.ended_on == [terminal.device] * 2
    await asyncio.gather(change, return_exceptions=True)


async def test_bytes_that_come_between_set_up_and_hand_over_reach_the_receiver(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Eager(Device):
        def _reconfigure_port(self, update: PortSettingsUpdate) -> None:
            super()._reconfigure_port(update)
            os.write(terminal.master, b"start\n")

    monkeypatch.setattr(SerialPort, "_serial_cls", Eager)
    receiver = Receiver()
    async with opened(terminal, receiver):
        await receiver.until(lambda: bool(receiver.data))
        assert receiver.data == b"start\n"


class Stuck(Device):
    """A device that takes nothing, where a pseudo-terminal takes all: close(2) would wait 30 s for it."""

    flushed: ClassVar[list[float]] = []

    def num_unwritten_bytes(self) -> int:
        return 0 if self.flushed else 10

    def reset_write_buffer(self) -> None:
        self.flushed.append(time.monotonic())
        super().reset_write_buffer()


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    Stuck.flushed.clear()
    monkeypatch.setattr(SerialPort, "_serial_cls", Stuck)


async def test_a_device_that_takes_nothing_is_flushed_after_half_a_second(terminal: Terminal, stuck: None) -> None:
    async with opened(terminal) as port:
        start = time.monotonic()
        port.close()
        await port.wait_closed()
        (flushed,) = Stuck.flushed
        assert serial_port.CLOSE_TIMEOUT <= flushed - start < serial_port.CLOSE_TIMEOUT + 0.3


async def test_aborting_flushes_a_device_that_takes_nothing_at_once(terminal: Terminal, stuck: None) -> None:
    async with opened(terminal) as port:
        start = time.monotonic()
        port.close()
        await asyncio.sleep(0.01)
        port.abort()
        await port.wait_closed()
        (flushed,) = Stuck.flushed
        assert flushed - start < 0.3


async def test_a_port_that_belongs_to_another_is_not_flushed(terminal: Terminal, stuck: None) -> None:
    with locked(terminal):
        await fault(terminal.device)
    assert Stuck.flushed == []


@pytest.mark.parametrize(
    ("code", "errors"),
    [
        ("port_missing", [errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO, errno.EMFILE]),
        ("port_busy", [errno.EBUSY]),
        ("permission_denied", [errno.EACCES, errno.EPERM]),
        ("not_a_printer", [errno.ENOTTY, errno.EISDIR, errno.EINVAL]),
        ("timeout", [errno.ETIMEDOUT]),
    ],
)
def test_every_error_of_the_kernel_becomes_a_reason(code: str, errors: list[int]) -> None:
    for number in errors:
        found = serial_port.fault_of("/dev/ttyUSB0", OSError(number, os.strerror(number)))
        assert found.code == code
        assert found.message.startswith("/dev/ttyUSB0 ")
        assert found.hint


def test_a_name_tells_how_it_is_opened() -> None:
    names = ["/dev/ttyUSB0", "VIRTUAL", "socket://host:23", "RFC2217://host:2217", "/tmp/VIRTUAL"]
    assert [scheme_of(name) for name in names] == ["serial", "VIRTUAL", "socket", "rfc2217", "serial"]


async def test_a_path_is_opened_as_a_serial_device(terminal: Terminal) -> None:
    receiver = Receiver()
    port = await open_port(terminal.device, 115200, receiver)
    port.write(b"M115\n")
    assert await terminal.read_until(b"\n") == b"M115\n"
    port.close()
    await port.wait_closed()


@pytest.mark.parametrize("name", ["VIRTUAL", "device:///dev/ttyUSB0"])
async def test_a_kind_of_port_that_is_unknown_lists_those_that_are_known(name: str) -> None:
    with pytest.raises(PortError, match="no such kind of port") as caught:
        await open_port(name, 115200, Receiver())
    assert caught.value.fault.code == "port_missing"
    assert caught.value.fault.hint == "There are: device paths, socket://, rfc2217://."
