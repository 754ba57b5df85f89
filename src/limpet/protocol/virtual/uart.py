"""The virtual printer's serial chip: bytes in and out, with buffers that have an end and a rate that may be wrong."""

from __future__ import annotations

from collections import deque
from math import inf

from limpet.protocol.virtual.faults import Xorshift
from limpet.protocol.virtual.options import VirtualPrinterOptions

MAX_LINE = 96
"""A line is cut to one byte less than this, as Marlin's MAX_CMD_SIZE does."""
MAX_RX = 65_536
MAX_OUTPUT = 1_048_576
"""Bytes that wait to be fetched; what is said beyond is lost, as nobody listens."""


class Uart:
    """Bytes to lines and lines to bytes; `\\r` and `\\n` both end a line that comes in."""

    def __init__(self, options: VirtualPrinterOptions) -> None:
        self._options = options
        self._noise = Xorshift(options.seed)
        self._capacity = options.rx_buffer or MAX_RX
        self._host_baudrate = 0
        self.power_on()

    def power_on(self) -> None:
        """Everything in the buffers is gone."""
        self._received = bytearray()
        self._line = bytearray()
        self._output: deque[tuple[float, bytes]] = deque()
        self._output_size = 0

    def host_baudrate(self, baudrate: int) -> None:
        self._host_baudrate = baudrate

    def hear(self, data: bytes) -> bytes:
        """What these bytes of the host sound like here."""
        if self._is_garbled():
            data = self._noise.noise(len(data))
        return data.replace(b"\r", b"\n") if b"\r" in data else data

    def is_empty(self) -> bool:
        """No received byte waits for `next_line`."""
        return not self._received

    def receive(self, data: bytes) -> int:
        """Takes as many bytes as there is room for; how many that were."""
        room = self._capacity - len(self._received)
        taken = data[:room] if room < len(data) else data
        self._received += taken
        return len(taken)

    def continue_line(self, data: bytes | bytearray) -> None:
        """Bytes without a newline, straight to the line that is being read."""
        self._line += data
        del self._line[MAX_LINE - 1 :]

    def next_line(self) -> bytes | None:
        """The next whole line, None when there is none yet."""
        end = self._received.find(b"\n")
        if end < 0:
            self.continue_line(self._received)
            self._received.clear()
            return None
        self.continue_line(self._received[:end])
        del self._received[: end + 1]
        line = bytes(self._line)
        self._line.clear()
        return line

    def flush(self) -> None:
        """Throws away what has been received."""
        self._received.clear()
        self._line.clear()

    def put(self, text: str, now: float) -> None:
        """Text that leaves after the latency; characters are bytes (latin-1)."""
        data = text.encode("latin-1", "replace")
        if self._output_size + len(data) > MAX_OUTPUT:
            return
        if self._is_garbled():
            data = self._noise.noise(len(data))
        due = now + self._options.latency
        if self._output and self._options.throttle:
            due = max(due, self._output[-1][0] + self._options.throttle)
        self._output.append((due, data))
        self._output_size += len(data)

    def take(self, now: float) -> bytes:
        """What has left by now."""
        parts = []
        while self._output and self._output[0][0] <= now:
            parts.append(self._output.popleft()[1])
        data = b"".join(parts)
        self._output_size -= len(data)
        return data

    def next_due(self, now: float) -> float:
        """When more will have left than by now; `inf` for never."""
        return next((due for due, _ in self._output if due > now), inf)

    def _is_garbled(self) -> bool:
        rate = self._options.baudrate
        return rate != 0 and self._host_baudrate not in (0, rate)
