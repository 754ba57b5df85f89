"""A serial device as a transport: serialx, and what it lacks for a printer.

Why serialx, and what is put right here: `docs/decisions/0005-serialx-behind-a-seam.md`.
"""

from __future__ import annotations

import asyncio
import errno
import grp
import os
import pwd
import stat
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

from serialx import PinState
from serialx.common import PortSettingsUpdate
from serialx.platforms._termios_api import tcgetattr
from serialx.platforms.serial_linux import LinuxSerial, LinuxSerialTransport
from serialx.platforms.serial_posix import TcsetattrFlags

from limpet.errors import Fault, PortError
from limpet.settings import Reset
from limpet.transports.holders import holder_of, is_open_here

OPEN_TIMEOUT = 5.0
"""Seconds that opening, or changing the rate, may take."""

CLOSE_TIMEOUT = 0.5
"""Seconds that close() gives what is still unsent."""

RESET_PULSE = 0.1
"""Seconds for which DTR and RTS are dropped to restart a board."""


async def open_serial(path: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset = "auto") -> SerialPort:
    """Open the serial device `path` for ourselves alone, 8N1 and raw, and join it to `receiver`.

    The kernel raises DTR and RTS. Beyond that, `reset` "yes" drops them for a moment and raises them again, "no"
    leaves them and what happens to them on close (HUPCL) as they are, and "auto" keeps them up for the next to open.
    Raises PortError, within OPEN_TIMEOUT plus CLOSE_TIMEOUT seconds.
    """
    port = SerialPort(asyncio.get_running_loop(), _NotYet())
    attempt = asyncio.create_task(port.open(path, _checked(path, baudrate), reset))
    try:
        # The attempt itself is never cancelled: serialx would close the descriptor under a thread that is
        # still setting it up, and that number may by then be another port.
        async with asyncio.timeout(OPEN_TIMEOUT):
            await asyncio.shield(attempt)
        port.join(receiver)
    except BaseException as error:
        await _give_up(attempt, port)
        if isinstance(error, OSError | ValueError):
            raise PortError(await asyncio.to_thread(fault_of, path, error)) from error
        raise
    return port


class Device(LinuxSerial):
    """serialx's device, which also knows whether the lines were down before it was opened."""

    def __init__(self, *args: Any, reset: Reset = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reset = reset
        self._found_hupcl: int | None = None

    @property
    def resets_board(self) -> bool:
        return self._reset == "yes" or bool(self._found_hupcl)

    def _reconfigure_port(self, update: PortSettingsUpdate) -> None:
        if self._found_hupcl is None:
            self._found_hupcl = tcgetattr(self.fileno())[2] & termios.HUPCL
        super()._reconfigure_port(update)

    def _build_tcsetattr_flags(self) -> TcsetattrFlags:
        flags = super()._build_tcsetattr_flags()
        return flags._replace(cflag=flags.cflag | (self._found_hupcl or 0)) if self._reset == "no" else flags


class SerialPort(LinuxSerialTransport):
    """An open serial device, made by `open_serial`. A loss ends in `connection_lost` with an OSError."""

    max_size = 4096
    _serial_cls = Device
    _joined = False
    _close_by = 0.0
    _setting_rate: asyncio.Task[None] | None = None

    async def open(self, path: str, baudrate: int, reset: Reset) -> None:
        """Open the device and, if it is wished, restart the board; raises OSError or ValueError."""
        await self.connect(
            path=path,
            baudrate=baudrate,
            exclusive=True,
            close_timeout=CLOSE_TIMEOUT,
            dtr_on_open=PinState.UNDEFINED,
            rts_on_open=PinState.UNDEFINED,
            dtr_on_close=PinState.UNDEFINED,
            rts_on_close=PinState.UNDEFINED,
            reset=reset,  # type: ignore[call-arg]  # serialx passes it on to Device
        )
        if reset == "yes":
            try:
                await self._restart_board()
            except BaseException:
                self.abort()
                raise

    async def _restart_board(self) -> None:
        # serialx passes over devices that have no such lines.
        await self.set_modem_pins(dtr=PinState.LOW, rts=PinState.LOW)
        await asyncio.sleep(RESET_PULSE)
        self.serial.reset_read_buffer()
        await self.set_modem_pins(dtr=PinState.HIGH, rts=PinState.HIGH)

    @property
    def resets_board(self) -> bool:
        """The lines were down before the port was opened (HUPCL was still set), or have been pulsed."""
        assert isinstance(self.serial, Device)
        return self.serial.resets_board

    def join(self, receiver: asyncio.Protocol) -> None:
        """Give the port, so far silent, to its receiver."""
        self._joined = True
        self.set_protocol(receiver)
        receiver.connection_made(self)
        self.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep until the device takes it; nothing once the port is closing. Never raises OSError."""
        if not self.is_closing():
            super().write(data)

    async def set_baudrate(self, baudrate: int) -> None:
        """Change the rate of the open port; raises PortError.

        Whatever was unsent or unread is thrown away: after the call the receiver gets what came at the new rate.
        """
        path = str(self.serial.path)
        _checked(path, baudrate)
        if self.is_closing():
            raise PortError(Fault("unplugged", f"{path} is closed", "Connect again."))
        # serialx takes a read that finds its data flushed away for the loss of the device.
        self.pause_reading()
        self._forget_unsent()
        self._setting_rate = asyncio.create_task(self.reconfigure_port(baudrate=baudrate))
        self._setting_rate.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await asyncio.shield(self._setting_rate)
        except OSError as error:
            raise PortError(await asyncio.to_thread(fault_of, path, error)) from error
        finally:
            self.resume_reading()

    def close(self) -> None:
        """Send what is unsent, for CLOSE_TIMEOUT seconds at most, then close."""
        if not self._close_by:
            self._close_by = self._loop.time() + CLOSE_TIMEOUT
        super().close()

    def abort(self) -> None:
        """Close now; what is unsent is lost."""
        self._close_by = 0.0
        super().abort()

    async def wait_closed(self) -> None:
        """Wait until the device is free, for 2 * CLOSE_TIMEOUT seconds at most."""
        await asyncio.wait({self._closed_waiter}, timeout=2 * CLOSE_TIMEOUT)

    def _forget_unsent(self) -> None:
        if self._buffer and self._fileno is not None:
            self._buffer.clear()
            self._loop.remove_writer(self._fileno)
            self._maybe_resume_protocol()

    async def _call_connection_lost(self, exc: Exception | None) -> None:
        # serialx closes the descriptor next.
        if self._setting_rate is not None:
            await asyncio.wait({self._setting_rate}, timeout=CLOSE_TIMEOUT)
        if self._joined:
            await self._empty_the_kernel()
        await super()._call_connection_lost(exc)

    async def _empty_the_kernel(self) -> None:
        # close(2) itself waits up to 30 s for a device that does not take its bytes.
        with suppress(OSError):
            while self.serial.num_unwritten_bytes():
                if self._loop.time() >= self._close_by:
                    self.serial.reset_write_buffer()
                    break
                await asyncio.sleep(0.005)


class _NotYet(asyncio.Protocol):
    """Stands in until `open_serial` is sure of the port, so that a receiver never sees one that it will not get."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SerialPort)
        transport.pause_reading()


async def _give_up(attempt: asyncio.Task[None], port: SerialPort) -> None:
    def discard(attempt: asyncio.Task[None]) -> None:
        # A failed attempt has closed its descriptor itself.
        if not attempt.cancelled() and attempt.exception() is None:
            port.abort()

    try:
        await asyncio.wait({attempt}, timeout=CLOSE_TIMEOUT)
    finally:
        attempt.add_done_callback(discard)
    if attempt.done():
        await port.wait_closed()


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _checked(path: str, baudrate: int) -> int:
    # A rate of 0 is a hang-up to the kernel, and more than 32 bits would be cut off without a word.
    if not 0 < baudrate < 2**32:
        raise PortError(Fault("not_a_printer", f"{path} cannot do {baudrate} baud", "Choose another baudrate."))
    return baudrate


def fault_of(path: str, error: OSError | ValueError) -> Fault:
    """Why `path` cannot be opened, for a person. Looks at /proc and /dev: call it in a thread."""
    match getattr(error, "errno", None):
        case errno.ENOENT | errno.ENXIO | errno.ENODEV | errno.ENOTDIR | errno.EIO:
            return Fault(
                "port_missing",
                f"{path} is not there, or there is no hardware behind it",
                "Plug the printer in and switch it on; `limpet ports` lists what is there.",
            )
        case errno.EBUSY:
            return _busy(path)
        case errno.EACCES | errno.EPERM:
            return Fault("permission_denied", f"{path} may not be opened: permission denied", _permission_hint(path))
        case errno.ENOTTY | errno.EISDIR | errno.EINVAL:
            return Fault(
                "not_a_printer",
                f"{path} is not a serial device, or cannot do this rate ({_words(error)})",
                "Choose a port from the list of `limpet ports`.",
            )
        case _ if isinstance(error, TimeoutError):
            return Fault(
                "timeout",
                f"{path} did not open within {OPEN_TIMEOUT:g} s",
                "The device or its driver hangs: unplug it and plug it in again.",
            )
        case _:
            return Fault("port_missing", f"{path} cannot be opened: {_words(error)}", "Choose another port.")


def _words(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _busy(path: str) -> Fault:
    if holder := holder_of(path):
        who = f"{holder[1]} ({holder[0]})"
        return Fault("port_busy", f"{path} is in use by {who}", "End that program, or disconnect it from the port.")
    if is_open_here(path):
        return Fault("port_busy", f"{path} is in use by another printer of Limpet", "Disconnect that printer first.")
    return Fault(
        "port_busy",
        f"{path} is in use by another program, whose name cannot be seen from here",
        f"It runs as another user or in a container: `sudo fuser -v {path}` tells which it is.",
    )


def _permission_hint(path: str) -> str:
    user = _user_name()
    try:
        status = Path(path).stat()
        group = grp.getgrgid(status.st_gid).gr_name
    except (OSError, KeyError):
        return f"Give the user {user} access to the device."
    if status.st_gid and status.st_mode & stat.S_IRGRP and status.st_mode & stat.S_IWGRP:
        return (
            f"Add the user that runs Limpet to the group {group}: sudo usermod -aG {group} {user}, then log in again."
        )
    return (
        f"Its group {group} has no access either ({stat.filemode(status.st_mode)}): "
        f"give the user {user} access with a udev rule; in a container, pass the device to it."
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
