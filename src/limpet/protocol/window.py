"""Numbered lines: which wait to be written, which are in flight, which are kept for a resend.

    1 ... kept for a resend ... | in flight | ... to be written (again) ... | next_number

Firmware takes a line only when its number is one above the last it took. So writing a line twice is safe, and what
the firmware says it expects is the truth about what has arrived.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from limpet.protocol.commands import number_line

HISTORY = 256
"""Lines that are kept for a resend."""


@dataclass(slots=True)
class Line:
    """One numbered command. `asked_at` is when it was first written, `sent_at` when last; `tag` is its sender's."""

    number: int
    command: str
    data: bytes
    tag: int | None = None
    asked_at: float = 0.0
    sent_at: float = 0.0
    writes: int = 0
    retries: int = 0


class Window:
    """At most `size` lines are in flight."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Start again at line 1, as a printer does that was reset."""
        self.next_number = 1
        self.in_flight: deque[Line] = deque()
        self._next_to_write = 1
        self._reported = 1
        self._history: dict[int, Line] = {}
        self._oks_are_numbered = False

    @property
    def has_room(self) -> bool:
        """A new command could be written at once."""
        return self.all_written and len(self.in_flight) < self.size

    @property
    def all_written(self) -> bool:
        """No command waits to be written, or to be written again."""
        return self._next_to_write == self.next_number

    @property
    def oldest(self) -> int:
        """The first line that is not acknowledged, whether written or not."""
        return self.in_flight[0].number if self.in_flight else self._next_to_write

    @property
    def unacknowledged(self) -> int:
        return self.next_number - self.oldest

    def append(self, command: str, tag: int | None = None) -> None:
        """Give the next number to `command`; it waits to be written."""
        number = self.next_number
        self._history[number] = Line(number, command, number_line(number, command), tag)
        self._history.pop(number - HISTORY, None)
        self.next_number += 1

    def take(self, now: float, *, beyond: bool = False) -> Line | None:
        """The next line to be written, which is in flight from now on; None when there is none or no room, unless it
        is to go `beyond` that."""
        if self.all_written or (len(self.in_flight) >= self.size and not beyond):
            return None
        line = self._history[self._next_to_write]
        line.sent_at = now
        line.asked_at = line.asked_at or now
        line.writes += 1
        self._next_to_write += 1
        self.in_flight.append(line)
        return line

    def is_fresh(self, number: int) -> bool:
        """Whether this line is in flight and was written only once."""
        return any(line.number == number and line.writes == 1 for line in self.in_flight)

    def acknowledge(self, number: int | None) -> bool:
        """An `ok`, perhaps with a line number; False for one that belongs to a line long acknowledged."""
        oldest = self.oldest
        if number is not None and number < oldest and self._oks_are_numbered:
            return False  # A late ok for a line that was written twice.
        if number == oldest:
            self._oks_are_numbered = True
        if number is None or not oldest <= number < self._next_to_write:
            number = oldest
        while self.in_flight and self.in_flight[0].number <= number:
            self.in_flight.popleft()
        return True

    def newly_acknowledged(self) -> list[Line]:
        """Lines that have been acknowledged since this was last asked, each line once, whatever is written again."""
        lines = [self._history[number] for number in range(self._reported, self.oldest)]
        self._reported = max(self._reported, self.oldest)
        return lines

    def can_rewind(self, number: int) -> bool:
        """Whether line `number` is there to be written, or is the next one to be."""
        return number == self.next_number or number in self._history

    def rewind(self, number: int) -> bool:
        """Go on writing at `number`: all below it has arrived. True when something is written again for it."""
        again = number < self._next_to_write
        self.in_flight.clear()
        self._next_to_write = number
        return again
