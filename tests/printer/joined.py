"""A print, a session and a virtual printer joined in memory, over a wire that may be bad, in virtual time."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from limpet.printer.course import HEARD, JOB
from limpet.printer.job import Job
from limpet.printer.print import PrintEnded, SelectedFile
from limpet.printer.tape import BLOCK
from limpet.protocol.commands import Command
from limpet.protocol.events import CommandAcknowledged, Event, PrinterRestarted, SessionEnded
from tests.protocol.wire import Wire

Act = Callable[["JoinedPrint"], None]
SCRIPTS = {"afterPrintPaused": ["M117 paused"], "beforePrintResumed": ["M117 on"], "afterPrintCancelled": ["M84"]}


def moves(count: int) -> list[str]:
    """No two of them are the same, and none is one that the host would send by itself."""
    return [f"G1 X{n % 200} Y{n // 200 % 180} E{n / 100:g}" for n in range(count)]


def do_nothing(_: JoinedPrint) -> None:
    pass


@dataclass
class JoinedPrint:
    """Prints a file over `wire`; `at` are the things that somebody does when the n-th command is asked for, `otherwise`
    is done at all other times."""

    wire: Wire
    content: str | BinaryIO
    at: Mapping[int, Act] = field(default_factory=dict)
    otherwise: Act = do_nothing

    def __post_init__(self) -> None:
        self.wire.run(until=lambda: self.wire.session.idle)
        self.wire.on_event = self._on_event
        self.by_hand: deque[Command] = deque()
        self.asked_for = 0
        self.end: PrintEnded | None = None
        self.lost: SessionEnded | PrinterRestarted | None = None
        self._stream = io.BytesIO(self.content.encode()) if isinstance(self.content, str) else self.content
        self.job = Job(
            SelectedFile(origin="local", path="a", name="a", display="a"),
            self.now,
            started_at=0.0,
            scripts=lambda name, _: SCRIPTS.get(name, ()),
        )

    @property
    def now(self) -> float:
        return self.wire.now

    @property
    def is_over(self) -> bool:
        return self.end is not None

    @property
    def arrived(self) -> list[str]:
        """What the printer has accepted of the file's moves."""
        return [command for command in self.wire.printer.accepted if command.startswith("G1 ") and " E" in command]

    @property
    def outcome(self) -> str | None:
        return self.end.outcome if self.end else None

    def run(self, limit: float = 36000.0, after: float = 60.0) -> None:
        """To the end of the print, and so long `after` it that the session finds out what the printer has."""
        commands = iter(self._next, Command("never"))
        self.wire.run(commands, until=lambda: self.is_over, limit=limit)
        self.wire.run_for(after, commands)

    def send(self, command: str) -> None:
        """What a person asks for goes between two lines of the file."""
        self.by_hand.append(Command(command))
        self.job.disturb(command)

    def send_urgent(self, command: str) -> None:
        """As `Printer` does it: after an emergency stop nothing goes to the printer for the print any more."""
        if command == "M112":
            self.by_hand.clear()
            self.job.fail("emergency_stop", "", self.now)
        self.wire.session.send_urgent(command, self.now)

    def _next(self) -> Command | None:
        self.at.get(self.asked_for, self.otherwise)(self)
        self.asked_for += 1
        if not self.wire.session.ready:
            return None
        if self.by_hand:
            return self.by_hand.popleft()
        command = None if self.is_over else self.job.next_command(self.now)
        while self.job.wants_data:
            self.job.feed(self._stream.read(BLOCK), self.now)
            command = command or self.job.next_command(self.now)
        self._take_events()
        return command

    def _on_event(self, event: Event) -> None:
        self.wire.events.append(event)
        match event:
            case CommandAcknowledged(tag=tag) if tag == JOB:
                self.job.acknowledged()
            case SessionEnded() | PrinterRestarted():
                self.lost = event
                self.job.fail("lost", "", self.now)
            case _ if type(event) in HEARD:
                self.job.hear(event, self.now)
        self._take_events()

    def _take_events(self) -> None:
        while event := self.job.next_event():
            if isinstance(event, PrintEnded):
                self.end = event
