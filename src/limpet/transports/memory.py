"""The virtual printer as a transport: port VIRTUAL, no device and no thread."""

from __future__ import annotations

import asyncio
import errno
from math import inf

from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions

CLOSE_TIMEOUT = 1.0


async def open_memory(options: VirtualPrinterOptions, receiver: asyncio.Protocol, baudrate: int) -> MemoryTransport:
    """Turn on a virtual printer and join it to `receiver`; it boots, as a board does on DTR. Never fails."""
    printer = VirtualPrinter(options)
    printer.host_baudrate(baudrate)
    return MemoryTransport(printer, receiver)


class MemoryTransport(asyncio.Transport):
    """The wire to a virtual printer in this process; `printer` is there to be looked at.

    Calls the receiver from the event loop only, never from within write(). `connection_lost` gets None after
    close() or abort(), an OSError when the printer has gone away.
    """

    resets_board = False

    def __init__(self, printer: VirtualPrinter, receiver: asyncio.Protocol) -> None:
        super().__init__()
        self.printer = printer
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._closing = False
        self._closed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        printer.reset(self._loop.time())
        receiver.connection_made(self)
        self._next_turn: asyncio.Handle | None = self._loop.call_soon(self._deliver)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send at the next turn of the event loop; nothing once the port is closing."""
        if self._closing:
            return
        self._unsent += data
        self._deliver_soon()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the next turn."""
        return len(self._unsent)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to be limited: what is written leaves at the next turn."""

    def is_closing(self) -> bool:
        """Whether the port is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """The printer still hears what was written before."""
        self._end(None)

    def abort(self) -> None:
        """Close, without sending what waits."""
        self._unsent.clear()
        self._end(None)

    async def set_baudrate(self, baudrate: int) -> None:
        """Bits/s that the host speaks from now on; unsent bytes are dropped."""
        self._unsent.clear()
        self.printer.host_baudrate(baudrate)

    async def wait_closed(self) -> None:
        """Until `connection_lost` has been called, one second at most."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await self._closed.wait()

    def _deliver_soon(self) -> None:
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._next_turn = None
        if self._unsent:
            data = bytes(self._unsent)
            self._unsent.clear()
            self.printer.receive_data(data, self._loop.time())
        self._pass_on()

    def _wake_up(self, deadline: float) -> None:
        self._timer = None
        # The loop may be early by the resolution of its clock.
        self.printer.handle_timer(max(deadline, self._loop.time()))
        self._pass_on()

    def _pass_on(self) -> None:
        if self._closing:
            return
        data = self.printer.data_to_send()
        if data:
            self._receiver.data_received(data)
        if self.printer.gone:
            self._end(OSError(errno.ENODEV, "the virtual printer was unplugged"))
        elif not self._closing:
            self._set_timer()

    def _set_timer(self) -> None:
        deadline = self.printer.deadline
        if self._timer is not None:
            if self._timer.when() == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None and deadline < inf:
            self._timer = self._loop.call_at(deadline, self._wake_up, deadline)

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop.call_soon(self._finish, error)

    def _finish(self, error: OSError | None) -> None:
        if self._unsent and error is None:
            self.printer.receive_data(bytes(self._unsent), self._loop.time())
        self._unsent.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._closed.set()
        self._receiver.connection_lost(error)
