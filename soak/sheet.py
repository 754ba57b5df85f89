"""A file that is printed in the soak, and the truth about what has come of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO

from limpet.printer.print import Phase, PrintEnded, SelectedFile
from soak.thing import Thing, printer_of

MOST_AHEAD = 20
"""Moves that were on their way when a print ended."""
_MOVE = re.compile(r"G1 X\d+ E(\d+)\.(\d{4}) F3000")
"""Which move it is, and of which file."""


class Sheet:
    """A file of `count` moves, each on a line of its own, that `thing` is to take; every move says what it is.

    `arrived` is how many of them the printer has taken, `moved_at` when it took the last one or Limpet went on to
    another phase; `line` and `phase` are what Limpet says, and `ended` how it says that it went. `stopped`: the user
    has cancelled it.
    """

    def __init__(self, number: int, count: int, thing: Thing, now: float) -> None:
        self.number = number
        self.count = count
        self.thing = thing
        self.core = printer_of(thing)
        self.arrived = 0
        self.moved_at = now
        self.phase = Phase.STARTING
        self.line = 0
        self.ended: PrintEnded | None = None
        self.stopped = False
        self.file = SelectedFile(origin="local", path=f"{number}.gcode", name=f"{number}.gcode", display="a print")

    def stream(self) -> BytesIO:
        moves = (f"G1 X{4 * (move % 50)} E{move}.{self.number:04} F3000\n" for move in range(1, self.count + 1))
        return BytesIO("".join(moves).encode())

    def look(self, now: float) -> str | None:
        """Count what has arrived; what is wrong with it, None when nothing is."""
        moves = moves_of(self.core.accepted, self.number)
        if len(moves) > self.arrived:
            self.arrived, self.moved_at = len(moves), now
        if moves != list(range(1, len(moves) + 1)):
            return f"got of print {self.number} the moves {moves}"
        if self.line > self.arrived + self.core.options.command_buffer:
            return f"got {self.arrived} moves of print {self.number}, not {self.line}"
        if self.arrived - self.line > MOST_AHEAD and self.ended is not None:
            return f"got {self.arrived} moves of print {self.number}, which ended at line {self.line}"
        if self.ended is not None and self.ended.outcome == "done" and self.arrived != self.count:
            return f"got {self.arrived} of {self.count} moves of print {self.number}, which is said to be done"
        return None


def moves_of(accepted: Iterable[str], number: int) -> list[int]:
    """The moves of this print among the commands that a printer has carried out, in its order."""
    found = (_MOVE.fullmatch(command) for command in accepted if command.startswith("G1 X"))
    return [int(move[1]) for move in found if move is not None and int(move[2]) == number]
