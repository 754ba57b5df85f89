"""A session and a virtual printer joined in memory, with a wire between them that may be bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from limpet.protocol.commands import Command
from limpet.protocol.events import Event, LineReceived, LineSent
from limpet.protocol.session import Session
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from limpet.protocol.window import Flow

Spoil = Callable[[bytes], bytes]
"""What becomes of one line (with its newline) on the way."""


def unharmed(line: bytes) -> bytes:
    return line


@dataclass
class Wire:
    """Moves time and bytes; `to_printer` and `to_host` may spoil each line, `chunk` bytes arrive at once."""

    options: VirtualPrinterOptions = field(default_factory=lambda: VirtualPrinterOptions(boot_time=0.0))
    to_printer: Spoil = unharmed
    to_host: Spoil = unharmed
    chunk: int = 1 << 16
    now: float = 0.0
    window: int | None = None

    def __post_init__(self) -> None:
        self.printer = VirtualPrinter(self.options)
        self.printer.reset(self.now)
        self.session = Session(self.now, flow=Flow(self.window))
        self.events: list[Event] = []
        self.on_event: Callable[[Event], object] = self.events.append
        self._lines = {self._to_printer: bytearray(), self._to_host: bytearray()}

    def run(
        self, commands: Iterator[str | Command] | None = None, *, until: Callable[[], bool], limit: float = 3600.0
    ) -> None:
        """Go on until `until()` holds; fails after `limit` seconds of the wire's own time."""
        ends = self.now + limit
        while not until():
            assert self.now < ends, f"still waiting after {limit} s"
            self._turn(commands)

    def run_for(self, seconds: float, commands: Iterator[str | Command] | None = None) -> None:
        ends = self.now + seconds
        while min(self._next_deadline(), ends) < ends or self._turn(commands, ends):
            self._turn(commands, ends)
        self.now = ends

    def seen(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def traffic(self) -> list[str]:
        """What the session has written and read, as in a recording."""
        shown = {LineSent: ">", LineReceived: "<"}
        return [f"{shown[type(event)]} {event.line!r}" for event in self.events if type(event) in shown]

    def _next_deadline(self) -> float:
        times = [time for time in (self.session.deadline, self.printer.deadline) if time is not None]
        return min(times, default=float("inf"))

    def _turn(self, commands: Iterator[str | Command] | None, ends: float = float("inf")) -> bool:
        """Everything that happens now, else time passes; False when nothing is left to happen."""
        while event := self.session.next_event():
            self.on_event(event)
        if commands is not None and self.session.ready and (command := next(commands, None)) is not None:
            text, tag = (command, None) if isinstance(command, str) else (command.text, command.tag)
            self.session.send(text, self.now, tag)
        moved = self._carry(self.session.data_to_send(), self.to_printer, self._to_printer)
        moved |= self._carry(self.printer.data_to_send(), self.to_host, self._to_host)
        if moved:
            return True
        deadline = self._next_deadline()
        if deadline > ends or deadline == float("inf"):
            self.now = min(ends, self.now + 1.0)
            return False
        self.now = max(self.now, deadline)
        self.session.handle_timer(self.now)
        self.printer.handle_timer(self.now)
        return True

    def _carry(self, data: bytes, spoil: Spoil, deliver: Callable[[bytes], None]) -> bool:
        rest = self._lines[deliver]
        rest += data
        *lines, rest[:] = rest.split(b"\n")
        for line in lines:
            arrived = spoil(bytes(line) + b"\n")
            for start in range(0, len(arrived), self.chunk):
                deliver(arrived[start : start + self.chunk])
        return bool(data)

    def _to_printer(self, data: bytes) -> None:
        self.printer.receive_data(data, self.now)

    def _to_host(self, data: bytes) -> None:
        self.session.receive_data(data, self.now)
