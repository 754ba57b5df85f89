"""PURE: one print, from its file to its end: which command is next, and in which phase it is.

    STARTING -> PRINTING -> FINISHING -> done
                 |   ^ \\
             PAUSING |  CANCELLING (from any phase) -> cancelled, or failed
                 v   |
              PAUSED -> RESUMING

A phase that sends a script goes on when the printer has acknowledged all that was given to it. The printer is asked
where its head is when it pauses, and is brought back there before it goes on, if anything has moved it meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from limpet.gcodefile.resume import ResumePoint
from limpet.printer.course import Course, Heaters, Scripts, no_scripts, targets_in
from limpet.printer.payloads import position_in
from limpet.printer.print import Phase, Print, SelectedFile
from limpet.printer.tape import BadFile, Tape
from limpet.protocol import gcode
from limpet.protocol.commands import Command, code_of, is_for_host, words_of
from limpet.protocol.events import ActionRequested, Event, PositionReported

_HEATING = {"M104": "tool", "M109": "tool", "M140": "bed", "M190": "bed", "M141": "chamber", "M191": "chamber"}
_PAUSES = frozenset({"M0", "M1", "M25"})
_LOCATE = ("M400", "M114")
_DISTURBING = frozenset(
    {*(f"G{n}" for n in (0, 1, 2, 3, 5, 10, 11, 20, 21, 27, 28, 29, 90, 91, 92)), "M82", "M83"}
    | {"M600", "M125", "M701", "M702", ""}
)
"""What changes where the head is, or how its next moves are read; "" is what no table knows."""
POSITION_TIME = 30.0
"""Seconds in which a printer says where its head is; Repetier and Teacup say ok first, Repetier before it has come to
rest."""


@dataclass(slots=True)
class Modes:
    """How the printer reads moves, by what the file has told it: Marlin's rules."""

    relative: bool = False
    relative_e: bool = False
    inches: bool = False
    tool: int = 0
    last_with_speed: str = ""

    def note(self, code: str, text: str) -> None:
        match code:
            case "G0" | "G1" | "G2" | "G3":
                self.last_with_speed = text if "F" in text else self.last_with_speed
            case "G90" | "G91":
                self.relative = self.relative_e = code == "G91"
            case "M82" | "M83":
                self.relative_e = code == "M83"
            case "G20" | "G21":
                self.inches = code == "G20"
            case _ if code.startswith("T"):
                self.tool = int(float(code[1:]))

    def take(self, point: ResumePoint) -> None:
        """As they are there."""
        self.relative, self.relative_e, self.inches = point.relative, point.relative_e, point.inches
        self.tool = point.tool
        if point.speed is not None:
            self.last_with_speed = gcode.set_speed(point.speed)

    @property
    def speed(self) -> float | None:
        """In the file's units a minute, of the last move that named one."""
        return words_of(self.last_with_speed).get("F")

    def restored(self) -> list[str]:
        """The commands that make the printer read moves so again."""
        lines = ["G91" if self.relative else "G90", "M83" if self.relative_e else "M82"]
        if self.inches:
            lines.insert(0, "G20")
        if self.speed is not None:
            lines.append(gcode.set_speed(self.speed))
        return lines


@dataclass(slots=True)
class _Pause:
    """How things were when the print paused."""

    targets: dict[str, float] = field(default_factory=dict)
    axes: dict[str, float] = field(default_factory=dict)
    awaited: bool = False
    """The printer is asked where its head is, and has not answered."""
    waits_since: float | None = None
    """When it had acknowledged the question without an answer."""
    located: bool = False
    """What the printer says of its head from now on is not where it paused."""
    disturbed: bool = False
    brief: bool = False
    """It was told to go on before it had paused."""


class Job(Course):
    """One print of a file that is here."""

    def __init__(
        self,
        file: SelectedFile,
        now: float,
        *,
        started_at: float,
        user: str | None = None,
        scripts: Scripts = no_scripts,
        offsets: Callable[[], Mapping[str, float]] = dict,
        heaters: Callable[[], Heaters] = dict,
        resume: ResumePoint | None = None,
    ) -> None:
        """`started_at` is in seconds since the epoch; `offsets` are added to the file's targets, `heaters` are asked
        for what is to be reached again after a pause. `resume`: it goes on from there, and only the rest of the
        file is fed."""
        print = Print(file=file, phase=Phase.STARTING, started_at=started_at, user=user)
        super().__init__(print, now, scripts)
        self._tape = Tape(resume.position, resume.line) if resume else Tape()
        self._done = (self._tape.position, self._tape.line)
        self._modes = Modes()
        self._offsets = offsets
        self._heaters = heaters
        self._pause = _Pause()
        self._put_off: deque[str] = deque()
        """What was left of a script of the print when the printer paused by itself."""
        self._enter(Phase.STARTING, now)
        if resume is None:
            self._run("beforePrintStarted", {}, self._go_on_printing)
        else:
            self._modes.take(resume)
            # What the script before a print does, such as homing, would ruin one that has begun.
            self._script.extend((*gcode.heat_up(resume.targets), *resume.fans, *self._modes.restored()))

    # -- outputs --

    @property
    def wants_data(self) -> bool:
        return self._tape.wants_data and not self.ended

    # -- inputs --

    def feed(self, data: bytes, now: float) -> None:
        """The next block of the file, empty at its end."""
        try:
            self._tape.feed(data)
        except BadFile as error:
            self.abort("file", str(error), now)

    def hear(self, event: Event, now: float) -> None:
        match event:
            case PositionReported(axes=axes):
                self.located(axes)
            case ActionRequested(action="pause"):
                self.pause(now)
            case ActionRequested(action="paused"):
                self.paused_by_printer(now)
            case ActionRequested(action="resume"):
                self.resume(now)
            case ActionRequested(action="resumed"):
                self.resumed_by_printer(now)
            case ActionRequested(action="cancel"):
                self.cancel(now)

    def refused(self, why: str, now: float) -> None:
        """A print without one of its lines, or that does not begin or go on where it should, is not the one that was
        wanted. What is refused of other scripts does it no harm."""
        of_file = bool(self._given) and self._given[0] is not None
        if of_file or self.phase in (Phase.STARTING, Phase.RESUMING):
            self.abort("refused", why, now)

    def pause(self, now: float, message: str | None = None) -> None:
        """Stop giving out the file's lines."""
        self._pause.brief = False
        if self.phase not in (Phase.PRINTING, Phase.STARTING, Phase.RESUMING):
            return
        if self.phase is Phase.RESUMING:
            self._script.clear()
            self._pause.disturbed = True  # Where to go back to has not changed, however far the way back has led.
        else:
            # What is left of the script before the print is part of it, and comes first.
            self._pause = _Pause(awaited=True)
            self._script.extend(_LOCATE)
        self.print = structs.replace(self.print, message=message)
        self._enter(Phase.PAUSING, now)
        self._then = self._run_pause_script

    def located(self, axes: Mapping[str, float]) -> None:
        """The printer has told where its head is: "X", "Y", "Z", "E" -> mm."""
        if self.phase is Phase.PAUSING and not self._pause.located:
            self._pause.axes = dict(axes)  # The last report counts: before it, the head may still have moved.
            self._pause.awaited = bool(self._script)

    def paused_by_printer(self, now: float) -> None:
        """The printer has paused by itself, and takes care of its head itself."""
        if self.phase in (Phase.PRINTING, Phase.STARTING, Phase.PAUSING):
            self._put_off.extend(self._rest_of_print())
            self._script.clear()
            self._pause = _Pause()
            self._enter(Phase.PAUSED, now)

    def resumed_by_printer(self, now: float) -> None:
        if self.phase is Phase.PAUSED:
            self._enter(Phase.RESUMING, now)
            self._go_on_printing(now)

    def disturb(self, command: str) -> None:
        """Somebody has sent this command while the print pauses."""
        code = code_of(command)
        if code in _DISTURBING or code.startswith("T"):
            self._pause.disturbed = True

    def resume(self, now: float) -> None:
        """Bring heaters and head back to where they were, and go on."""
        self._pause.brief = self.phase is Phase.PAUSING
        if self.phase is not Phase.PAUSED:
            return
        heaters = self._heaters()
        lost = {n: target for n, target in self._pause.targets.items() if (heaters.get(n, (0, 0))[1] or 0) < target}
        self._enter(Phase.RESUMING, now)
        self._script.extend(gcode.heat_up(lost))
        self._run("beforePrintResumed", self._context(), self._return_to_print)

    def cancel(self, now: float) -> None:
        """Give out nothing of the file any more, and run the script for that."""
        if self.phase is not Phase.CANCELLING:
            # Nobody waits for an answer now: where the head is, is known only if it has not been moved in a pause.
            stands = self.phase is Phase.PAUSED and not self._pause.disturbed
            where = position_in(self.print.axes if stands else {})
            self._script.clear()
            self._enter(Phase.CANCELLING, now)
            self._run("afterPrintCancelled", {**self._context(), "cancel_position": where}, self._end_cancelled)

    # -- the file --

    def _next_of_print(self, now: float) -> Command | None:
        if (text := self._next_of_file(now)) is not None:
            return self._give(text, (self._tape.position, self._tape.line))
        if self.phase is Phase.PRINTING and self._tape.ended and not self._given:
            self._finish(now)
        return None

    def _next_of_file(self, now: float) -> str | None:
        """The next command of the file that is for the printer."""
        try:
            while (text := self._tape.next()) is not None:
                if text.startswith(("G1 ", "G0 ")):
                    if "F" in text:
                        self._modes.last_with_speed = text
                    return text
                translated = self._translate(text, now)
                if translated is not None or self.phase is not Phase.PRINTING:
                    return translated
        except BadFile as error:
            self.abort("file", str(error), now)
        return None

    def _translate(self, text: str, now: float) -> str | None:
        code = code_of(text)
        if is_for_host(text):
            self._obey(text, now)
            return None
        if code in _PAUSES:
            self.pause(now, text.partition(" ")[2].strip() or None)
            return None
        if code in _HEATING:
            return self._with_offset(text, _HEATING[code])
        if code.startswith("T"):
            return self._change_tool(code, text)
        if code == "M73":
            words = words_of(text)
            self._estimate.tell_m73(words.get("P"), words.get("R"), self.elapsed(now))
        self._modes.note(code, text)
        return text

    def _change_tool(self, code: str, text: str) -> str:
        """With the scripts around it: the first of these lines, of which the rest comes next."""
        old = self._modes.tool
        self._modes.note(code, text)
        context = self._context() | {"tool": {"old": old, "new": self._modes.tool}}
        before, after = self._scripts("beforeToolChange", context), self._scripts("afterToolChange", context)
        lines = [*before, text, *after]
        self._script.extend(lines[1:])
        return lines[0]

    def _obey(self, text: str, now: float) -> None:
        """A line for the host, as OctoPrint knows them; any other is passed over."""
        match text.split(maxsplit=1)[0].lower():
            case "@pause":
                self.pause(now)
            case "@cancel" | "@abort":
                self.cancel(now)

    def _with_offset(self, text: str, heater: str) -> str:
        words = words_of(text)
        if heater == "tool":
            heater = f"tool{int(words.get('T', self._modes.tool))}"
        offset = self._offsets().get(heater, 0.0)
        target = words.get("S", words.get("R", 0.0))
        return gcode.with_target(text, target + offset) if offset and target > 0 else text

    # -- phases --

    def _rest_of_print(self) -> list[str]:
        """What is left of the script before the print, or of a change of tool, which may be just what made the printer
        pause."""
        if self.phase is not Phase.PAUSING:
            return [*self._script]
        return [*self._script][: -len(_LOCATE)] if self._then == self._run_pause_script else []

    def _go_on_printing(self, now: float) -> None:
        self._script.extend(self._put_off)
        self._put_off.clear()
        super()._go_on_printing(now)

    def _stay_paused(self, now: float) -> None:
        super()._stay_paused(now)
        if self._pause.brief:
            self.resume(now)

    def _waits(self, now: float) -> bool:
        pause = self._pause
        if self._then != self._run_pause_script or not pause.awaited:
            return False
        pause.waits_since = now if pause.waits_since is None else pause.waits_since
        return now - pause.waits_since < POSITION_TIME

    def _run_pause_script(self, _: float) -> None:
        if not self._pause.located:
            self._pause.located = True
            self._pause.targets = targets_in(self._heaters())
        axes = dict(self._pause.axes)
        if (speed := self._modes.speed) is not None:
            axes["F"] = speed
        self.print = structs.replace(self.print, axes={**axes, "T": float(self._modes.tool)} if axes else {})
        self._run("afterPrintPaused", self._context(), self._stay_paused)
        for line in self._script:
            self.disturb(line)

    def _return_to_print(self, _: float) -> None:
        if self._pause.disturbed:
            axes = self._pause.axes
            if {"X", "Y", "Z", "E"} <= axes.keys():
                self._script.extend(gcode.return_to(axes, self._modes.tool))
            self._script.extend(self._modes.restored())
        self._then = self._go_on_printing

    def _finish(self, now: float) -> None:
        self._done = (self._tape.position, self._tape.line)  # Comments after the last command are done, too.
        self._enter(Phase.FINISHING, now)
        # What has been acknowledged may still wait in the planner.
        self._script.append("M400")
        self._run("afterPrintDone", self._context(), self._end_done)

    def _context(self) -> dict[str, Any]:
        """What a script may refer to, by OctoPrint's names."""
        return {"pause_position": position_in(self.print.axes), "pause_temperature": dict(self._pause.targets)}
