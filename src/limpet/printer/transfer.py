"""PURE: a file is written to the printer's own card: M28, its commands, M29."""

from __future__ import annotations

from msgspec import structs

from limpet.printer.card_job import ANSWER_TIME
from limpet.printer.course import Course, no_scripts
from limpet.printer.print import Outcome, Phase, Print, SelectedFile, TransferEnded
from limpet.printer.tape import BadFile, Tape
from limpet.protocol import gcode
from limpet.protocol.commands import Command, code_of, is_for_host
from limpet.protocol.events import CardFileBegun, CardFileSaved, CardGone, CardRefused, ErrorReported, Event


class Transfer(Course):
    """One file on its way to the card. What is in the print is the file as it will be there."""

    def __init__(
        self, file: SelectedFile, source: str, now: float, *, started_at: float, user: str | None = None, firmware: str
    ) -> None:
        """`file` is the new one on the card, `source` the path of the one here; `firmware` its name."""
        print = Print(file=file, phase=Phase.STARTING, started_at=started_at, user=user, source=source)
        super().__init__(print, now, no_scripts)
        self._tape = Tape()
        self._firmware = firmware
        self._asked: float | None = None
        self._answer: str | None = None
        self._begun = False
        self._saved = False
        self._enter(Phase.STARTING, now)
        self._then = self._open

    @property
    def wants_data(self) -> bool:
        return self._tape.wants_data and not self.ended

    @property
    def owns_line(self) -> bool:
        return self._asked is not None and not self.ended

    # -- inputs --

    def feed(self, data: bytes, now: float) -> None:
        try:
            self._tape.feed(data)
        except BadFile as error:
            self.abort("file", str(error), now)

    def hear(self, event: Event, now: float) -> None:
        match event:
            case CardFileBegun():
                self._begun = True
            case CardFileSaved():
                self._saved = True
                if self.phase is Phase.PRINTING:
                    self.abort("card", "The printer has closed the file before its end", now)
            case CardRefused(message=message) if self.phase is Phase.STARTING:
                self._answer = message
            case CardGone() if self.phase is Phase.STARTING:
                self._answer = "there is no card in it"
            case CardGone():
                self.abort("card", "The card has been taken out of the printer", now)
            case ErrorReported(message=message) if self.phase is Phase.STARTING:
                self._answer = message
            case ErrorReported(message=message) if self.phase in (Phase.PRINTING, Phase.FINISHING):
                self.abort("card", f"The printer cannot write to its card: {message}", now)

    def pause(self, now: float, message: str | None = None) -> None:
        """A transfer does not pause."""

    def resume(self, now: float) -> None:
        """Nor does it go on."""

    def cancel(self, now: float) -> None:
        """Have what has been written closed and deleted."""
        if self.phase is not Phase.CANCELLING:
            self._script.clear()
            self._enter(Phase.CANCELLING, now)
            if self._asked is not None:
                self._script.extend(() if self._saved else (gcode.END_CARD_FILE,))
                if self._begun:
                    self._script.append(gcode.delete_card_file(self.print.file.path, self._firmware))
            self._then = self._end_cancelled

    # -- phases --

    def _open(self, now: float) -> None:
        self._asked = now
        self._script.append(gcode.begin_card_file(self.print.file.path, self._firmware))
        self._then = self._begin

    def _waits(self, now: float) -> bool:
        waited = self._asked is not None and now - self._asked >= ANSWER_TIME
        return self._then == self._begin and not (self._begun or self._answer is not None or waited)

    def _begin(self, now: float) -> None:
        # What is sent to a printer that has not begun a file is not written but done.
        if self._begun:
            self._go_on_printing(now)
        else:
            why = self._answer or "it has not said that it writes to a file"
            self.abort("card", f"The printer cannot write {self.print.file.path} to its card: {why}", now)

    def _next_of_print(self, now: float) -> Command | None:
        try:
            while (text := self._tape.next()) is not None:
                if self._is_kept(text):
                    return self._give(text, (self._tape.position, self._tape.line))
        except BadFile as error:
            self.abort("file", str(error), now)
            return None
        if self._tape.ended and not self._given:
            self._enter(Phase.FINISHING, now)
            self._script.append(gcode.END_CARD_FILE)
            self._then = self._end_done
        return None

    def _is_kept(self, text: str) -> bool:
        """Raises BadFile for what the printer would not write but obey."""
        code = code_of(text)
        if "M29" in text or code == "M112":
            obeyed = "M112" if code == "M112" else "M29"
            raise BadFile(f"line {self._tape.line} has {obeyed}, which the printer obeys instead of writing it")
        return not is_for_host(text)

    def _end(self, outcome: Outcome, ended_at: float, code: str | None, message: str | None) -> Event:
        return TransferEnded(self.print, outcome, ended_at, code, message)

    def _end_done(self, now: float) -> None:
        self._done = (self.print.file.size or self._done[0], self._tape.line)
        self._close("done", now)


def on_card(file: SelectedFile, name: str) -> SelectedFile:
    """The file as it will be on the card."""
    return structs.replace(file, origin="sdcard", path=name, name=name, display=name, date=None)
