"""Numbered lines: which wait to be written, which are in flight, which are kept for a resend.

    1 ... kept for a resend ... | in flight | ... to be written (again) ... | next_number

Firmware takes a line only when its number is one above the last it took. So writing a line twice is safe, and what
the firmware says it expects is the truth about what has arrived.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from limpet.protocol.commands import family_of, number_line

RECEIVE_BUFFER = 127
"""Bytes that the smallest boards take while they are busy: Marlin's RX_BUFFER_SIZE of 128, less one."""
MAX_WIDTH = 8
"""Lines in flight, whatever the firmware says."""
LEAST_CAUTION, MOST_CAUTION = 250, 16_000
"""Lines that go one at a time after a fault."""
HISTORY = 256
"""Lines that are kept for a resend."""


@dataclass(frozen=True)
class Flow:
    """How many lines may be in flight, None for as many as the firmware shows to be safe, and in how many bytes."""

    lines: int | None = None
    room: int = RECEIVE_BUFFER


AS_SHOWN = Flow()


@dataclass(slots=True)
class Line:
    """One numbered command. `asked_at` is when it was first written, `sent_at` when last; `tag` is its sender's,
    `family` what kind of command it is (`family_of`). `again`: it was written once more on a guess, `skipped`: the
    printer has passed over it, since it is in flight."""

    number: int
    command: str
    family: str
    data: bytes
    tag: int | None = None
    asked_at: float = 0.0
    sent_at: float = 0.0
    writes: int = 0
    retries: int = 0
    again: bool = False
    skipped: bool = False


class Window:
    """At most `size` lines are in flight, and behind the oldest only as many as fit into `room` bytes together."""

    def __init__(self, size: int, room: int = RECEIVE_BUFFER) -> None:
        self.size = size
        self.room = room
        self.clear()

    def clear(self) -> None:
        """Start again at line 1, as a printer does that was reset."""
        self.next_number = 1
        self.in_flight: deque[Line] = deque()
        self._bytes = 0
        self._next_to_write = 1
        self._reported = 1
        self._history: dict[int, Line] = {}
        self._oks_are_numbered = False

    @property
    def has_room(self) -> bool:
        """A new command could be written at once."""
        return self._next_to_write == self.next_number and len(self.in_flight) < self.size

    @property
    def all_written(self) -> bool:
        """No command waits to be written, or to be written again."""
        return self._next_to_write == self.next_number

    @property
    def _waiting_bytes(self) -> int:
        """Of the lines behind the oldest one in flight: that is being obeyed, and has left the receive buffer."""
        return self._bytes - len(self.in_flight[0].data)

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
        self._history[number] = Line(number, command, family_of(command), number_line(number, command), tag)
        self._history.pop(number - HISTORY, None)
        self.next_number += 1

    def take(self, now: float, *, beyond: bool = False) -> Line | None:
        """The next line to be written, which is in flight from now on; None when there is none or no room, unless it
        is to go `beyond` that."""
        if self.all_written or (len(self.in_flight) >= self.size and not beyond):
            return None
        line = self._history[self._next_to_write]
        if self.in_flight and self._waiting_bytes + len(line.data) > self.room and not beyond:
            return None
        line.sent_at = now
        line.asked_at = line.asked_at or now
        line.writes += 1
        line.again = line.skipped = False
        self._next_to_write += 1
        self.in_flight.append(line)
        self._bytes += len(line.data)
        return line

    def passed_over(self, number: int) -> bool:
        """The printer has skipped this line. True when it has not taken it: then it skipped it already when the line
        was first written, as it waits for an earlier one, and has not asked for that since."""
        line = next((line for line in self.in_flight if line.number == number), None)
        if line is None:
            return False
        line.skipped |= not line.again
        return line.skipped

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
            self._bytes -= len(self.in_flight.popleft().data)
        return True

    def asked_at(self, number: int | None) -> float | None:
        """When line `number` was first written, if that is not long ago; else the number is damaged."""
        recent = number is not None and self.oldest - MAX_WIDTH <= number < self._next_to_write
        return self._history[number].asked_at if recent and number in self._history else None

    def newly_acknowledged(self) -> list[Line]:
        """Lines that have been acknowledged since this was last asked, each line once, whatever is written again."""
        if self._reported >= self.oldest:
            return []
        lines = [self._history[number] for number in range(self._reported, self.oldest)]
        self._reported = self.oldest
        return lines

    def write_again(self, now: float) -> Line:
        """The oldest line in flight, once more."""
        line = self.in_flight[0]
        line.sent_at = now
        line.writes += 1
        line.again = True
        return line

    def forget_flight(self) -> None:
        """Nothing is in flight any more."""
        self.in_flight.clear()
        self._bytes = 0

    def can_rewind(self, number: int) -> bool:
        """Whether line `number` is there to be written, or is the next one to be."""
        return number == self.next_number or number in self._history

    def rewind(self, number: int) -> bool:
        """Go on writing at `number`: all below it has arrived. True when something is written again for it."""
        again = number < self._next_to_write
        self.forget_flight()
        self._next_to_write = number
        return again


class Width:
    """How many lines may be in flight: what is known of the firmware, and less while the line is bad.

    Firmware that refuses a line throws away what it has received behind it, perhaps from the middle of a line, and
    may obey the rest as a command of its own (decision 0011). So after a fault there is one line at a time for a while.
    """

    def __init__(self, wanted: int | None) -> None:
        """`wanted` is what a person has set; None: what the firmware shows."""
        self._most = wanted or 1
        self._learns = wanted is None
        self._caution = LEAST_CAUTION
        self._wide_at = -5 * LEAST_CAUTION

    def learn(self, free: int) -> None:
        """An `ok` says that there is room for so many commands besides its own (Marlin's ADVANCED_OK)."""
        if self._learns:
            self._most = min(max(self._most, free + 1), MAX_WIDTH)

    def at(self, number: int) -> int:
        """Lines in flight when line `number` is the next."""
        return self._most if number >= self._wide_at else 1

    def narrow(self, number: int) -> None:
        """A line before `number` did not arrive as it should."""
        quick = number < self._wide_at + 4 * self._caution
        self._caution = min(2 * self._caution, MOST_CAUTION) if quick else LEAST_CAUTION
        self._wide_at = number + self._caution


class Echoes:
    """Requests for a line that are on their way already when it is written again, and must not have it written once
    more: each would bring forth the next."""

    def __init__(self) -> None:
        self._number = 0
        self._count = 0

    def expect(self, number: int, count: int) -> None:
        """Up to `count` more requests for line `number` may come."""
        self._number, self._count = number, count

    def is_one(self, number: int) -> bool:
        """Whether this request is one of them; each counts once."""
        if number != self._number or not self._count:
            return False
        self._count -= 1
        return True
