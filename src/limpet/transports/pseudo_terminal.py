"""Real pseudo-terminals for hosts that open a device, and the virtual printer behind one: `limpet virtual`."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import select
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from tty import setraw
from types import TracebackType
from typing import Self

from limpet.errors import LimpetError
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions

MAX_UNSENT = 65_536
"""Bytes kept for a host that does not read; what the printer says beyond is lost."""

# struct termios2 of asm-generic/termbits.h (x86, arm, riscv): four flags, line, 19 characters, two speeds.
_TERMIOS2 = struct.Struct("=4IB19s2I")
_TCGETS2 = 0x802C542A

# linux/inotify.h: an event is watch, mask, cookie and the length of a name, which a watched file does not have.
_INOTIFY_EVENT = struct.Struct("=iIII")
_IN_CLOSE, _IN_OPEN = 0x18, 0x20


class PseudoTerminal:
    """A pty in raw mode whose slave is known as `link`, for as long as the `with` block lasts.

    With `private` only our own user may open it, and the members of the group with the id `group`; otherwise it is as
    the system makes ptys. Nothing here blocks. Raises LimpetError when `link` cannot be made.
    """

    def __init__(self, link: Path, *, private: bool = False, group: int | None = None) -> None:
        self.link = link
        self._open = self._left = False
        self.master, slave = os.openpty()
        try:
            self.device = os.ttyname(slave)
            if private:
                _keep_others_out(slave, group)
            setraw(slave)
            os.set_blocking(self.master, False)
            self._openings = _Openings(self.device)
        except BaseException:
            os.close(self.master)
            raise
        finally:
            # While we had the slave open ourselves, the master would not tell when nobody else has.
            os.close(slave)
        self._openings.read()  # our own closing
        self.watch = self._openings.descriptor
        try:
            self._make_link()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def openings(self) -> list[bool]:
        """Each opening (True) and closing (False) since the last call, of whoever it was, in order."""
        return self._openings.read()

    def visits(self) -> Iterator[bool]:
        """What has changed since the last call, in order: True a host has come, False the last one has left.

        To be used up at once, as what is done about one visit may bear on the next.
        """
        came = came_back = False
        for opened in self.openings():
            came |= opened
            came_back |= opened and self._left
            self._left = not opened
        if self._open and (came_back or not self.is_open()):
            self._open = False
            yield False
        if not self._open and (came or self.is_open()):
            self._open = True
            yield True

    def is_open(self) -> bool:
        """Whether any host has the port open."""
        poll = select.poll()
        poll.register(self.master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def baudrate(self) -> int:
        """The rate in baud that the host has set; 0 on machines whose kernel does not tell it like this."""
        try:
            state = ioctl(self.master, _TCGETS2, bytes(_TERMIOS2.size))
        except OSError:
            return 0
        rate: int = _TERMIOS2.unpack(state)[-1]
        return rate

    def read(self) -> bytes:
        """What the host has sent, b"" for nothing."""
        try:
            return os.read(self.master, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # nobody has it open
                return b""
            raise

    def write(self, data: bytes) -> int:
        """Sends as much as fits; how many bytes that were."""
        try:
            return os.write(self.master, data)
        except BlockingIOError:
            return 0

    def forget(self) -> None:
        """Drops what the last host has not read and, when there is no next one yet, how it has set the port."""
        self._openings.pause()
        with suppress(OSError, termios.error):
            slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)
            if not self.is_open():
                setraw(self.master, termios.TCSANOW)
        self._openings.resume()

    def close(self) -> None:
        """A host that has the port open sees a hang-up; the link is removed, if it is still ours."""
        with suppress(OSError):
            if str(self.link.readlink()) == self.device:
                self.link.unlink()
        os.close(self.master)
        os.close(self.watch)

    def _make_link(self) -> None:
        if self.link.is_symlink():
            target = self.link.readlink()
            if self.link.exists() and Path("/dev/pts") not in target.parents:
                raise LimpetError(f"{self.link} is there already, a link to {target}")
        elif self.link.exists():
            raise LimpetError(f"{self.link} is there already and is not a link")
        temporary = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(self.device)
            temporary.replace(self.link)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise LimpetError(f"{self.link} cannot be made: {error.strerror}") from error


def _keep_others_out(slave: int, group: int | None) -> None:
    os.fchmod(slave, 0o600)
    if group is None:
        return
    try:
        os.fchown(slave, -1, group)
    except OSError as error:
        raise LimpetError(f"a port cannot be given to the group with the id {group}: {error.strerror}") from error
    os.fchmod(slave, 0o660)


class _Openings:
    """The kernel's notes (inotify) of who opens and closes a device; polling would miss a quick reopening.

    Equal notes in a row come as one, so that they cannot be counted.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.resume()
        except BaseException:
            if self.descriptor >= 0:
                os.close(self.descriptor)
            raise

    def resume(self) -> None:
        self._watch: int = self._libc.inotify_add_watch(self.descriptor, os.fsencode(self.device), _IN_OPEN | _IN_CLOSE)
        if self._watch < 0:
            raise LimpetError(f"{self.device} cannot be watched: {os.strerror(ctypes.get_errno())}")

    def pause(self) -> None:
        self._libc.inotify_rm_watch(self.descriptor, self._watch)

    def read(self) -> list[bool]:
        """True where a host has opened the port since the last call, False where one has closed it, in order."""
        try:
            events = os.read(self.descriptor, 4096)
        except BlockingIOError:
            return []
        masks = [mask for _, mask, _, _ in _INOTIFY_EVENT.iter_unpack(events)]
        return [bool(mask & _IN_OPEN) for mask in masks if mask & (_IN_OPEN | _IN_CLOSE)]


async def serve_virtual_printer(
    link: Path,
    options: VirtualPrinterOptions,
    *,
    stop: asyncio.Event | None = None,
    on_event: Callable[[str], None] | None = None,
    reset_on_open: bool = True,
    returns_after: float | None = None,
) -> None:
    """Be a printer at `link` until `stop`, or until it has gone away and does not return.

    `on_event` gets one line for each thing that happens at the port. `reset_on_open`: opening the port resets
    the printer, as DTR does. `returns_after`: seconds after which a printer that has gone is plugged in again,
    as another device. Raises LimpetError when `link` cannot be made.
    """
    printer = VirtualPrinter(options)
    stop = stop or asyncio.Event()
    tell = on_event or (lambda _: None)
    while not stop.is_set():
        with PseudoTerminal(link) as terminal:
            tell(f"ready at {link} ({terminal.device})")
            await _Port(printer, terminal, reset_on_open, tell).run(stop)
        if not printer.gone:
            return
        tell("unplugged")
        if returns_after is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(returns_after):
                await stop.wait()


class _Port:
    """Joins a virtual printer and a pseudo-terminal."""

    def __init__(
        self, printer: VirtualPrinter, terminal: PseudoTerminal, reset_on_open: bool, tell: Callable[[str], None]
    ) -> None:
        self._printer = printer
        self._terminal = terminal
        self._reset_on_open = reset_on_open
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._open = False
        self._baudrate = 0
        self._unsent = bytearray()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, or until the printer has gone."""
        stopper = asyncio.create_task(self._wake_up_at(stop))
        self._printer.reset(self._loop.time())
        self._loop.add_reader(self._terminal.watch, self._ready.set)
        try:
            while not stop.is_set() and not self._printer.gone:
                self._ready.clear()
                self._look()
                await self._sleep()
        finally:
            stopper.cancel()
            self._loop.remove_reader(self._terminal.watch)
            self._loop.remove_reader(self._terminal.master)
            self._loop.remove_writer(self._terminal.master)

    async def _wake_up_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._ready.set()

    def _look(self) -> None:
        self._look_who_is_there()
        self._hear_baudrate()
        data = self._terminal.read() if self._open else b""
        now = self._loop.time()
        if data:
            self._printer.receive_data(data, now)
        self._printer.handle_timer(now)
        self._send(self._printer.data_to_send())

    async def _sleep(self) -> None:
        if self._printer.gone:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._printer.deadline):
                await self._ready.wait()

    def _look_who_is_there(self) -> None:
        for came in self._terminal.visits():
            if came:
                self._host_opened()
            else:
                self._host_closed()

    def _host_opened(self) -> None:
        self._open = True
        self._loop.add_reader(self._terminal.master, self._ready.set)
        self._tell("opened")
        if self._reset_on_open:
            self._printer.reset(self._loop.time())

    def _host_closed(self) -> None:
        self._open = False
        # The master of a pty that nobody has open is always "readable".
        self._loop.remove_reader(self._terminal.master)
        self._loop.remove_writer(self._terminal.master)
        self._unsent.clear()
        self._terminal.forget()
        self._tell("closed")

    def _hear_baudrate(self) -> None:
        baudrate = self._terminal.baudrate()
        if baudrate != self._baudrate and self._open:
            self._baudrate = baudrate
            self._printer.host_baudrate(baudrate)
            self._tell(f"host speaks {baudrate} baud")

    def _send(self, data: bytes) -> None:
        if not self._open:
            return
        if len(self._unsent) + len(data) <= MAX_UNSENT:
            self._unsent += data
        if self._unsent:
            sent = self._terminal.write(bytes(self._unsent))
            del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._terminal.master, self._ready.set)
        else:
            self._loop.remove_writer(self._terminal.master)
