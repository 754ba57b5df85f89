"""PURE: how long moves take a printer that can only accelerate so fast, and looks ahead to where it must be slow.

Each move is a trapezoid: faster, even, slower. Where two moves meet, the speed is that at which neither axis jumps by
more than its jerk, or which a junction deviation allows; and each speed is one from which the next ones can be
reached. Source: the pages "Acceleration" of RepRap firmware and of Marlin. Lengths in mm, times in s.
"""

from __future__ import annotations

from math import sqrt

from limpet.gcodefile.analysis import Point

BATCH = 1024
"""Moves that are planned at once."""
AHEAD = 64
"""Moves that a printer looks ahead, more or less."""
MAX_POINTS = 1000
FIRST_STEP = 256
"""Bytes between two points of the table, before it becomes too long for that."""
MAX_SECONDS = 1e9
"""A print that takes longer does not."""

Move = tuple[float, float, float, float, int]
"""Distance, square of the wished speed, acceleration, square of the highest speed at its beginning, byte at its end."""


class Planner:
    """Moves in, seconds out."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.points = [Point(0, 0.0)]
        self.moves: list[Move] = []
        """Those that are not planned yet; whoever adds one calls `plan` when there are BATCH of them."""
        self._entry = 0.0
        self._step = FIRST_STEP
        self._next = FIRST_STEP

    def wait(self, seconds: float, byte: int) -> None:
        """The printer stands still."""
        self.plan(all=True)
        self.seconds += seconds
        self._reach(byte)

    def finish(self, byte: int) -> tuple[Point, ...]:
        """All points, the last one at the end of the file."""
        self.plan(all=True)
        while self.points and self.points[-1].byte >= byte:
            self.points.pop()
        self.points.append(Point(byte, self.seconds))
        return tuple(self.points)

    def plan(self, *, all: bool = False) -> None:
        """The times of what is to come, but for the moves whose speeds depend on what comes after them."""
        moves = self.moves
        count = len(moves) if all else len(moves) - AHEAD
        if count <= 0:
            return
        entries = _entries(moves)
        entries.append(0.0)
        square = min(self._entry, entries[0])
        seconds = self.seconds
        speed = sqrt(square)
        for number in range(count):
            distance, wished, accel, _, byte = moves[number]
            gain = 2.0 * accel * distance
            after = entries[number + 1]
            if after > square + gain:
                after = square + gain
            leaving = sqrt(after)
            peak = (gain + square + after) / 2.0
            if peak <= wished:
                seconds += (2.0 * sqrt(peak) - speed - leaving) / accel
            else:
                # Changing the speed takes distance / mean speed; the rest of the way is even.
                even = sqrt(wished)
                ramps = (2.0 * wished - square - after) / (2.0 * accel)
                seconds += (2.0 * even - speed - leaving) / accel + (distance - ramps) / even
            square, speed = after, leaving
            if byte >= self._next:
                self.seconds = seconds
                self._reach(byte)
        self._entry, self.seconds = square, min(seconds, MAX_SECONDS)
        del moves[:count]

    def _reach(self, byte: int) -> None:
        if byte < self._next:
            return
        self.points.append(Point(byte, min(self.seconds, MAX_SECONDS)))
        if len(self.points) >= MAX_POINTS:
            # Half as many, and twice as far apart: a file may be of any length.
            del self.points[1::2]
            self._step *= 2
        self._next = byte + self._step


def _entries(moves: list[Move]) -> list[float]:
    """Squares of the speeds at which the moves may begin, so that all after them can be done, down to standstill."""
    entries = []
    square = 0.0
    for distance, _, accel, limit, _ in reversed(moves):
        square += 2.0 * accel * distance
        if square > limit:
            square = limit
        entries.append(square)
    entries.reverse()
    return entries
