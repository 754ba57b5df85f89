"""A thing with a serial port, plugged in or not; the port is a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from limpet.transports.pseudo_terminal import MAX_UNSENT, PseudoTerminal


class Core(Protocol):
    """What the thing is, without its port: bytes in, bytes out and a deadline, as VirtualPrinter has them."""

    @property
    def deadline(self) -> float | None: ...
    def reset(self, now: float) -> None: ...
    def host_baudrate(self, baudrate: int) -> None: ...
    def receive_data(self, data: bytes, now: float) -> None: ...
    def handle_timer(self, now: float) -> None: ...
    def data_to_send(self) -> bytes: ...


class Device:
    """`resets`: opening its port resets it, as DTR does."""

    def __init__(self, core: Core, *, resets: bool = True) -> None:
        self.core = core
        self.resets = resets
        self.terminal: PseudoTerminal | None = None
        self.is_open = False
        self.started_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._users = 0
        self.host_baudrate = 0
        self._unsent = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def plug_in(self, link: Path) -> None:
        """Powers it on, and makes its port known as `link`."""
        assert self.terminal is None
        self.terminal = PseudoTerminal(link)
        self._loop.add_reader(self.terminal.watch, self.look)
        self.host_baudrate = 0
        self.restart()

    def unplug(self) -> None:
        """A host that has the port open sees a hang-up."""
        if self.terminal is None:
            return
        self._loop.remove_reader(self.terminal.watch)
        self._forget_host()
        self.terminal.close()
        self.terminal = None

    def look(self) -> None:
        """Do whatever is to be done at this moment; call it after something was done to the core."""
        if self.terminal is None:
            return
        self._look_who_is_there(self.terminal)
        if not self.is_open:
            return
        now = self._loop.time()
        if (baudrate := self.terminal.baudrate()) != self.host_baudrate:
            self.host_baudrate = baudrate
            self.core.host_baudrate(baudrate)
        if data := self.terminal.read():
            self.core.receive_data(data, now)
        self.core.handle_timer(now)
        self._send(self.terminal)
        self._set_timer()

    def restart(self) -> None:
        """Power on, or a pulse on its reset line."""
        self.begin()
        self.look()

    def begin(self) -> None:
        """It starts anew, for whatever reason."""
        self.started_at = self._loop.time()
        self.core.reset(self.started_at)

    def be(self, core: Core) -> None:
        """Become something else on the same port, as by a new firmware."""
        self.core = core
        core.host_baudrate(self.host_baudrate)
        self.restart()

    def is_locked(self) -> bool:
        """Whether anybody holds the lock of the port; asked without anybody noticing."""
        if self.terminal is None:
            return False
        self.look()
        descriptor = self.open()
        try:
            return not lock(descriptor)
        finally:
            os.close(descriptor)
            self.terminal.openings()

    def open(self) -> int:
        """A descriptor of the port, as another program would get it."""
        assert self.terminal is not None
        return os.open(self.terminal.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def _look_who_is_there(self, terminal: PseudoTerminal) -> None:
        came = False
        for opened in terminal.openings():
            came |= opened and not self._users
            self._users = max(0, self._users + (1 if opened else -1))
        # Equal notes in a row come as one; but everybody who opens it is in this process.
        self._users = sum(device == terminal.device for _, device in open_terminals())
        if self.is_open and (came or not self._users):
            self._forget_host()
            terminal.forget()
        if came and self.resets:
            self.begin()
        if not self.is_open and self._users:
            self.is_open = True
            self._loop.add_reader(terminal.master, self.look)
            # What it said before was for nobody.
            self.core.handle_timer(self._loop.time())
            self.core.data_to_send()

    def _forget_host(self) -> None:
        self.is_open = False
        self._unsent.clear()
        self._set_timer()
        assert self.terminal is not None
        # The master of a port that nobody has open is always "readable".
        self._loop.remove_reader(self.terminal.master)
        self._loop.remove_writer(self.terminal.master)

    def _send(self, terminal: PseudoTerminal) -> None:
        self._unsent += self.core.data_to_send()
        del self._unsent[MAX_UNSENT:]
        if self._unsent:
            del self._unsent[: terminal.write(bytes(self._unsent))]
        if self._unsent:
            self._loop.add_writer(terminal.master, self.look)
        else:
            self._loop.remove_writer(terminal.master)

    def _set_timer(self) -> None:
        # While nobody has it open, nobody can tell what it does.
        deadline = self.core.deadline if self.is_open else None
        if self._timer is not None:
            if self._timer.when() == deadline and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._wake_up) if deadline is not None else None

    def _wake_up(self) -> None:
        self._timer = None
        self.look()


def lock(descriptor: int) -> bool:
    """Take the lock of the port, as serial programs do; False when somebody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True


def open_terminals() -> Iterator[tuple[str, str]]:
    """Number and device of each descriptor of this process that is the host's side of a pseudo-terminal."""
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - asked so often that a Path for each takes a fifth of all time
        try:
            target = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        except FileNotFoundError:  # the one with which the folder is read
            continue
        if target.startswith("/dev/pts/"):
            yield number, target
