"""PURE: a print from the printer's own card: the printer reads the file, and is told to begin, pause and stop.

It may have been started at the printer, too, and goes on when we are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from limpet.printer.course import Course, Heaters, Scripts, no_scripts, targets_in
from limpet.printer.estimate import Estimate
from limpet.printer.payloads import position_in
from limpet.printer.print import Phase, Print, SelectedFile
from limpet.protocol import gcode
from limpet.protocol.commands import Command
from limpet.protocol.events import (
    ActionRequested,
    BusyReported,
    CardFileOpened,
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

ANSWER_TIME = 5.0
"""Seconds in which a printer that has taken M23 or M28 says what has come of it; some say ok first."""

ASK_INTERVAL = 3.0
"""Seconds without a word of how far the print is until it is asked for; a session asks every two, once it knows."""

_GOING = frozenset({Phase.PRINTING, Phase.PAUSING, Phase.PAUSED, Phase.RESUMING})


class CardJob(Course):
    """One print of a file on the printer's card."""

    def __init__(
        self,
        file: SelectedFile,
        now: float,
        *,
        started_at: float,
        user: str | None = None,
        scripts: Scripts = no_scripts,
        heaters: Callable[[], Heaters] = dict,
        firmware: str = "",
        reports: bool = False,
        foreign: bool = False,
    ) -> None:
        """`started_at` is in seconds since the epoch, `heaters` are asked for how hot it was when it paused, `firmware`
        is its name, `reports`: it can be asked to tell by itself how far it is. A `foreign` print was started by
        somebody else, and is under way."""
        print = Print(file=file, phase=Phase.STARTING, started_at=started_at, user=user)
        super().__init__(print, now, scripts)
        self._heaters = heaters
        self._targets: dict[str, float] = {}
        self._firmware = firmware
        self._reports = reports
        self._asked: float | None = None
        self._opened = False
        self._refusal: str | None = None
        self._seen = False
        self._told_at = now
        self._paused_at: int | None = None
        self._enter(Phase.STARTING, now)
        self._foreign = foreign
        if foreign:
            self._seen = True
            self._tell_reports()
            self._go_on_printing(now)
        else:
            self._run("beforePrintStarted", {}, self._select)

    @property
    def is_held(self) -> bool:
        """The printer has parked its head, and takes nothing until it is told by M108 to go on."""
        return self.phase is Phase.PAUSED and bool(self._given)

    # -- inputs --

    def hear(self, event: Event, now: float) -> None:
        match event:
            case CardFileOpened(size=size) if self.phase is Phase.STARTING:
                self._opened = True
                self._set_size(size)
            case PrintTimeReported(seconds=seconds) if self._foreign:
                self._start_earlier(seconds - self.elapsed(now))
            case CardRefused(message=message) | ErrorReported(message=message) if self._asked is not None:
                self._refusal = message
            case CardGone() if self._asked is not None:
                self._refusal = "there is no card in it"
            case SdPrintReported():
                self._progress(event, now)
            case SdPrintDone() if self.phase in _GOING:
                self._finish(now)
            case SdPrintEnded() if self.phase is Phase.PRINTING and self._seen:
                self._stopped(now)
            case PositionReported(axes=axes) if self.phase is Phase.PAUSING:
                self.print = structs.replace(self.print, axes=dict(axes))
            case BusyReported(reason="paused for user") if self.phase is Phase.PAUSING and self._given:
                # It has parked its head for a person, and our M25 is acknowledged when that person is done.
                self._script.clear()
                self._pause_here(now)
            case ActionRequested(action="pause" | "paused") if self.phase is Phase.PRINTING:
                self._pause_here(now)
            case ActionRequested(action="resume" | "resumed") if self.phase is Phase.PAUSED:
                self._go_on_printing(now)
            case ActionRequested(action="cancel"):
                self.cancel(now)

    def pause(self, now: float, message: str | None = None) -> None:
        """Have the printer stop reading."""
        if self.phase in (Phase.PRINTING, Phase.RESUMING):
            self._script.clear()
            self._script.append(gcode.PAUSE_CARD)
            self.print = structs.replace(self.print, message=message, axes={})
            self._enter(Phase.PAUSING, now)
            self._then = self._locate

    def resume(self, now: float) -> None:
        """Have the printer read on; one that has parked its head goes on without another word."""
        if self.phase is Phase.PAUSED:
            held = self.is_held
            self._enter(Phase.RESUMING, now)
            self._run("beforePrintResumed", self._context(), self._go_on_printing if held else self._read_on)

    def cancel(self, now: float) -> None:
        """Have the printer stop for good, and run the script for that."""
        if self.phase is not Phase.CANCELLING:
            self._script.clear()
            self._enter(Phase.CANCELLING, now)
            if self.print.position or self._asked is not None or self._seen:
                self._script.extend(gcode.stop_card(self._firmware))
                self._end_reports()
            self._run("afterPrintCancelled", self._context(), self._end_cancelled)

    def identify(self, file: SelectedFile) -> None:
        """The printer has said which file it is that it prints."""
        self.print = structs.replace(self.print, file=file)

    def take_up(self, now: float) -> None:
        """The printer was lost and is back, and has printed all the time. What it had been told is forgotten."""
        self._script.clear()
        self._given.clear()
        self._tell_reports()
        self._enter(self.phase if self.phase is Phase.PAUSED else Phase.PRINTING, now)

    def end_unseen(self, now: float, *, done: bool) -> None:
        """It has ended while the printer was lost; `done`: the printer has said so."""
        if done:
            self._close("done", now)
        else:
            self._close(
                "failed", now, "disconnected", "It went on while the printer was not connected, and ended unseen"
            )

    # -- phases --

    def _next_of_print(self, now: float) -> Command | None:
        """Ask how far it is, where nobody has told for a while."""
        if self._given or now - self._told_at < ASK_INTERVAL:
            return None
        self._told_at = now
        return self._give("M27")

    def _waits(self, now: float) -> bool:
        waited = self._asked is not None and now - self._asked >= ANSWER_TIME
        return self._then == self._begin and not (self._opened or self._refusal is not None or waited)

    def _select(self, now: float) -> None:
        self._asked = now
        self._script.append(gcode.open_card_file(self.print.file.path, self._firmware))
        self._then = self._begin

    def _begin(self, now: float) -> None:
        if not self._opened:
            why = self._refusal or "it has not said that the file is open"
            self._asked = None
            self.abort("card", f"The printer cannot print {self.print.file.path} from its card: {why}", now)
            return
        self._tell_reports()
        self._script.append(gcode.START_CARD)
        self._then = self._go_on_printing

    def _tell_reports(self) -> None:
        if self._reports:
            self._script.append(gcode.REPORT_CARD)

    def _end_reports(self) -> None:
        if self._reports:
            self._script.append(gcode.REPORT_NO_CARD)

    def _progress(self, reported: SdPrintReported, now: float) -> None:
        self._told_at = now
        self._done = (reported.printed, 0)
        if self.print.file.size is None:
            self._set_size(reported.total)
        self._seen = self._seen or self.phase in _GOING
        if self.phase is Phase.PAUSED and not self._given:
            if self._paused_at is not None and reported.printed > self._paused_at:
                self._go_on_printing(now)  # Somebody has told it to at the printer.
            self._paused_at = reported.printed

    def _start_earlier(self, seconds: float) -> None:
        """By the printer's own clock."""
        self._foreign = False
        self._ran += seconds
        self._began -= seconds
        self.print = structs.replace(self.print, started_at=self.print.started_at - seconds)

    def _set_size(self, size: int | None) -> None:
        """As the printer tells it."""
        if size is not None and size != self.print.file.size:
            self.print = structs.replace(self.print, file=structs.replace(self.print.file, size=size))
            self._estimate = Estimate(size=size)

    def _locate(self, _: float) -> None:
        self._script.extend(("M400", "M114"))
        self._then = self._run_pause_script

    def _run_pause_script(self, _: float) -> None:
        self._targets = targets_in(self._heaters())
        self._run("afterPrintPaused", self._context(), self._pause_here)

    def _pause_here(self, now: float) -> None:
        self._paused_at = None
        self._enter(Phase.PAUSED, now)

    def _read_on(self, _: float) -> None:
        self._script.append(gcode.START_CARD)
        self._then = self._go_on_printing

    def _stopped(self, now: float) -> None:
        """It does not print any more, and has not said why."""
        size = self.print.file.size
        if size is not None and self._done[0] >= size:
            self._finish(now)
        else:
            self._close("cancelled", now, "cancelled", "It was ended at the printer")

    def _finish(self, now: float) -> None:
        self._script.clear()
        self._done = (self.print.file.size or self._done[0], 0)
        self._enter(Phase.FINISHING, now)
        self._end_reports()
        self._script.append("M400")
        self._run("afterPrintDone", self._context(), self._end_done)

    def _context(self) -> Mapping[str, Any]:
        return {"pause_position": position_in(self.print.axes), "pause_temperature": self._targets}
