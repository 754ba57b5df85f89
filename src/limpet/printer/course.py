"""PURE: what prints from here, prints from the printer's own card and transfers to it have in common.

A phase; a clock that stands still in a pause; and scripts, whose phase goes on when the printer has acknowledged all
that was given to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import structs

from limpet.printer.estimate import Estimate
from limpet.printer.payloads import payload_for
from limpet.printer.print import FileFacts, Outcome, Phase, PhaseChanged, Print, PrintEnded, PrintProgressed
from limpet.protocol.commands import Command
from limpet.protocol.events import (
    ActionRequested,
    BusyReported,
    CardFileBegun,
    CardFileOpened,
    CardFileSaved,
    CardGone,
    CardRefused,
    ErrorReported,
    Event,
    PositionReported,
    PrintTimeReported,
    SdPrintDone,
    SdPrintEnded,
    SdPrintReported,
)

JOB = -1
"""The tag of a print's commands."""

Scripts = Callable[[str, Mapping[str, Any]], Iterable[str]]
"""OctoPrint's name of a script ("afterPrintPaused") and what it may refer to -> its lines."""

HEARD = frozenset(
    {ActionRequested, BusyReported, ErrorReported, PositionReported, SdPrintDone, SdPrintEnded, SdPrintReported}
    | {CardFileBegun, CardFileOpened, CardFileSaved, CardGone, CardRefused, PrintTimeReported}
)
"""What the printer says that a print may be concerned with."""

Heaters = Mapping[str, tuple[float | None, float | None]]
"""By our names: (actual, target)."""


def targets_in(heaters: Heaters) -> dict[str, float]:
    """Of those that are on."""
    return {name: target for name, (_, target) in heaters.items() if target}


def no_scripts(_: str, __: Mapping[str, Any]) -> Iterable[str]:
    return ()


class Course(ABC):
    """Outputs: `next_command`, `next_event`, `wants_data`; time comes in as `now`, seconds of one clock."""

    def __init__(self, print: Print, now: float, scripts: Scripts) -> None:
        self.print = print
        self.ended = False
        self._estimate = Estimate(size=print.file.size or 0)
        self._layers: int | None = None
        self._scripts = scripts
        self._began = now
        self._since: float | None = now
        self._ran = 0.0
        self._done = (0, 0)
        self._given: deque[tuple[int, int] | None] = deque()
        self._script: deque[str] = deque()
        self._then: Callable[[float], None] = self._go_on_printing
        self._failure: tuple[str, str] | None = None
        self._events: deque[Event] = deque()

    # -- outputs --

    @property
    def phase(self) -> Phase:
        return self.print.phase

    @property
    def wants_data(self) -> bool:
        """More of the file is to be fed."""
        return False

    @property
    def unacknowledged(self) -> int:
        """Commands that were given out, and of which the printer has not said that it has them."""
        return len(self._given)

    @property
    def owns_line(self) -> bool:
        """Nothing else may be sent to the printer now."""
        return False

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def next_command(self, now: float) -> Command | None:
        """What is to be sent next, None when there is nothing now."""
        while not self.ended:
            if self._script:
                return self._give(self._script.popleft())
            if self.phase is Phase.PRINTING:
                command = self._next_of_print(now)
                if command is not None or self.phase is Phase.PRINTING:
                    return command
            elif self._given or self.phase is Phase.PAUSED or self._waits(now):
                return None
            else:
                self._then(now)
        return None

    def elapsed(self, now: float) -> float:
        """Seconds of printing, without pauses."""
        return self._ran + (now - self._since if self._since is not None else 0.0)

    # -- inputs --

    def feed(self, data: bytes, now: float) -> None:  # noqa: B027 - most need no file
        """The next block of the file, empty at its end."""

    def learn(self, facts: FileFacts) -> None:
        """What is known of the file, be it that it has come to be known while it is being printed."""
        self._estimate.learn(facts.analysis, facts.past)
        self._layers = len(facts.analysis.layers) or None if facts.analysis is not None else None

    def acknowledged(self) -> None:
        """The printer has taken the oldest command that was given out."""
        if self._given and (done := self._given.popleft()) is not None:
            self._done = done

    def refused(self, why: str, now: float) -> None:  # noqa: B027
        """The printer has not done the oldest command that was given out."""

    def hear(self, event: Event, now: float) -> None:  # noqa: B027
        """The printer has said one of `HEARD`."""

    def disturb(self, command: str) -> None:  # noqa: B027
        """Somebody has sent this command while the print pauses."""

    def report(self, now: float) -> None:
        """Tell how far the print is."""
        if not self.ended:
            self._update(now)
            self._events.append(PrintProgressed(self.print))

    @abstractmethod
    def pause(self, now: float, message: str | None = None) -> None: ...

    @abstractmethod
    def resume(self, now: float) -> None: ...

    @abstractmethod
    def cancel(self, now: float) -> None: ...

    def abort(self, code: str, message: str, now: float) -> None:
        """Cancel it for a fault, which is told as the reason; the printer is there."""
        if self.phase is not Phase.CANCELLING:
            self._failure = (code, message)
            self.cancel(now)

    def replace(self, now: float) -> None:
        """Another print takes its place: nothing more is sent for it."""
        self._close("cancelled", now, "cancelled", "It was started again")

    def fail(self, code: str, message: str, now: float) -> None:
        """The printer is not there any more: nothing can be sent."""
        self._close("failed", now, code, message)

    # -- what differs --

    @abstractmethod
    def _next_of_print(self, now: float) -> Command | None:
        """What is sent while it is PRINTING."""

    def _waits(self, _: float) -> bool:
        """Everything has been acknowledged, but an answer is still to come."""
        return False

    def _end(self, outcome: Outcome, ended_at: float, code: str | None, message: str | None) -> Event:
        return PrintEnded(self.print, outcome, ended_at, code, message)

    # -- phases --

    def _give(self, text: str, place: tuple[int, int] | None = None) -> Command:
        self._given.append(place)
        return Command(text, JOB)

    def _enter(self, phase: Phase, now: float) -> None:
        if self.ended:
            return
        if phase in (Phase.PAUSED, Phase.PAUSING) and self._since is not None:
            self._ran, self._since = self.elapsed(now), None
        elif phase in (Phase.PRINTING, Phase.RESUMING) and self._since is None:
            self._since = now
        self._update(now, phase)
        self._events.append(PhaseChanged(self.print))

    def _update(self, now: float, phase: Phase | None = None) -> None:
        (position, line), elapsed = self._done, self.elapsed(now)
        outlook = self._estimate.at(position, elapsed)
        self.print = structs.replace(
            self.print,
            phase=phase or self.phase,
            position=position,
            line=line,
            elapsed=elapsed,
            left=outlook.seconds_left,
            left_origin=outlook.origin,
            layer=None if outlook.layer is None else outlook.layer + 1,
            layers=self._layers,
            z=outlook.z,
        )

    def _run(self, script: str, context: Mapping[str, Any], then: Callable[[float], None]) -> None:
        self._script.extend(self._scripts(script, {**context, "event": payload_for(script, self.print)}))
        self._then = then

    def _go_on_printing(self, now: float) -> None:
        self.print = structs.replace(self.print, message=None, axes={})
        self._enter(Phase.PRINTING, now)

    def _stay_paused(self, now: float) -> None:
        self._enter(Phase.PAUSED, now)

    def _end_done(self, now: float) -> None:
        self._close("done", now)

    def _end_cancelled(self, now: float) -> None:
        if self._failure is not None:
            self._close("failed", now, *self._failure)
        else:
            self._close("cancelled", now, "cancelled", "It was cancelled")

    def _close(self, outcome: Outcome, now: float, code: str | None = None, message: str | None = None) -> None:
        if not self.ended:
            self.ended = True
            self._update(now)
            self._events.append(self._end(outcome, self.print.started_at + now - self._began, code, message))
