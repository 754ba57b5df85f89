"""The name of a port -> the function that opens it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from limpet.errors import Fault, PortError
from limpet.settings import Reset
from limpet.transports.network import open_rfc2217, open_socket


class Transport(Protocol):
    """Bytes to and from one printer. The receiver's `connection_made` gets it before any `data_received`.

    Its end, asked for or not, is told once by `connection_lost`: None after close() or abort(), else an OSError.
    """

    @property
    def resets_board(self) -> bool:
        """Opening the port has restarted what is behind it, if that is a board with the usual auto-reset circuit."""

    def write(self, data: bytes, /) -> None:
        """Send without waiting; what cannot be sent at once is buffered. Nothing happens on a closing port."""

    def close(self) -> None:
        """Send what is buffered, for half a second at most, then close."""

    def abort(self) -> None:
        """Close at once."""

    def is_closing(self) -> bool:
        """Whether the port is closed or about to be."""

    def get_write_buffer_size(self) -> int:
        """Bytes that are buffered."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bytes above and below which the receiver's pause_writing() and resume_writing() are called."""

    async def set_baudrate(self, baudrate: int, /) -> None:
        """Change the rate in bits/s without closing the port, and drop unsent and unread bytes; PortError."""

    async def wait_closed(self) -> None:
        """Wait, for one second at most, until the port is free."""


Opener = Callable[[str, int, asyncio.Protocol, Reset], Awaitable[Transport]]
"""Name, bits/s, receiver, and whether opening is to restart the board; what has no lines to do that by ignores it."""
Openers = Mapping[str, Opener]

SERIAL = "serial"
VIRTUAL = "VIRTUAL"


async def _open_serial(path: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset) -> Transport:
    # serialx takes 40 ms and 3 MB to import: not at startup, and not for a server that only has VIRTUAL.
    from limpet.transports.serial_port import open_serial

    return await open_serial(path, baudrate, receiver, reset)


OPENERS: Openers = {SERIAL: _open_serial, "socket": open_socket, "rfc2217": open_rfc2217}
"""What can be opened without further ado; `OPENERS | {VIRTUAL: ...}` adds a virtual printer."""


def scheme_of(name: str) -> str:
    """Key of the opener of port `name`: the scheme of a URL, VIRTUAL, or SERIAL for a path."""
    scheme, is_url, _ = name.partition("://")
    if is_url:
        return scheme.lower()
    return VIRTUAL if name == VIRTUAL else SERIAL


async def open_port(
    name: str, baudrate: int, receiver: asyncio.Protocol, openers: Openers = OPENERS, reset: Reset = "auto"
) -> Transport:
    """Open port `name` at `baudrate` bits/s and join it to `receiver`; raises PortError."""
    opener = openers.get(scheme_of(name))
    if opener is None:
        known = ", ".join(_SHOWN.get(scheme, f"{scheme}://") for scheme in openers)
        raise PortError(Fault("port_missing", f"{name} cannot be opened: no such kind of port", f"There are: {known}."))
    return await opener(name, baudrate, receiver, reset)


_SHOWN = {SERIAL: "device paths", VIRTUAL: VIRTUAL}
