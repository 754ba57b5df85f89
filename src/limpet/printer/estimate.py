"""PURE: how much time is left of a print, and from what that is known.

A plan says how the seconds are spread over the bytes of the file, and how many there are: the prints of this file
that went well, the slicer, or the motion model of the file. How fast the print really is, measured from the first
layer on, corrects the plan; without one, the bytes alone must do. Seconds are those of printing, without pauses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice
from math import exp
from statistics import median
from typing import NamedTuple

from limpet.gcodefile.analysis import Analysis, Point

TRUSTED = 60.0
"""Seconds of a plan that must have been printed before it counts half how fast they were."""
TRUSTED_PART = 0.03
"""The same, as a part of the whole plan; the longer of the two."""
SLOWEST, FASTEST = 5.0, 0.2
"""By how much a print can be slower or faster than its plan before that is no measure any more."""
CALM = 30.0
"""Seconds in which a new finding is mostly believed: nothing jumps."""
SOONEST = 10.0
"""Seconds of printing before bytes alone say anything."""
STEADY = 300.0
"""Seconds of printing by which an estimate from bytes alone has settled."""
DETAILED = 10
"""Times of M73 or the like in a file from which on they say better than the model how the time is spread over it."""
LAST = 5
"""How many of the last prints count."""


class Outlook(NamedTuple):
    """`seconds_left` and where it is from, in OctoPrint's words; None as long as nothing can be said.

    `done` is the part of the time, not of the bytes, from 0 to 1. `layer` is an index in `Analysis.layers`, `z` its
    height in mm.
    """

    seconds_left: float | None = None
    origin: str | None = None
    done: float | None = None
    layer: int | None = None
    z: float | None = None


class Plan(NamedTuple):
    """`total` seconds, spread over the file as `points` say: byte -> seconds done, from the first to the last."""

    points: Sequence[Point]
    total: float
    kind: str

    def at(self, byte: int) -> float:
        """Seconds done."""
        return _between(self.points, byte) / (self.points[-1].seconds or 1.0) * self.total


def total_time(analysis: Analysis | None, past: Sequence[float] = ()) -> float | None:
    """How long a print of this file takes, in seconds: as the last good prints, else as the analysis says."""
    if past := _good(past):
        return median(past)
    return analysis.summary.estimate if analysis is not None else None


class Estimate:
    """Of one print from its beginning: `past` are the seconds that good prints of this file took, newest last."""

    def __init__(self, analysis: Analysis | None = None, past: Sequence[float] = (), size: int = 0) -> None:
        self._size = max(size, 0)
        self._elapsed = 0.0
        self._start: tuple[int, float] | None = None
        self._told: tuple[float, float] | None = None
        self._shown: tuple[float, float] | None = None
        self.learn(analysis, past)

    def learn(self, analysis: Analysis | None, past: Sequence[float] = ()) -> None:
        """What is known of the file and its prints, after the print has begun perhaps."""
        self._analysis = analysis
        self._past = _good(past)
        self._plan = _plan(analysis, self._past, self._size)
        self._first = _first_byte(analysis)

    def tell_m73(self, percent: float | None, minutes: float | None, elapsed: float) -> None:
        """The printer was told so, at this second of the print; it counts where there is no plan."""
        if minutes is not None and minutes >= 0:
            self._told = (minutes * 60.0, elapsed)
        elif percent is not None and 0 < percent <= 100:
            self._told = (elapsed * (100.0 / percent - 1.0), elapsed)

    def at(self, byte: int, elapsed: float) -> Outlook:
        """When all before this byte is printed, after so many seconds."""
        byte = max(0, min(byte, self._size or byte))
        elapsed = self._elapsed = max(elapsed, self._elapsed)
        if self._start is None and byte > self._first:
            self._start = (byte, elapsed)
        left, origin = self._left(byte, elapsed)
        layer, z = self._layer(byte)
        if left is None:
            return Outlook(layer=layer, z=z)
        left = self._calm(left, elapsed)
        return Outlook(left, origin, elapsed / (elapsed + left) if left else 1.0, layer, z)

    def _left(self, byte: int, elapsed: float) -> tuple[float | None, str | None]:
        if self._size and byte >= self._size:
            return 0.0, self._plan.kind if self._plan else "linear"
        if self._plan is not None:
            return self._by_plan(self._plan, byte, elapsed)
        if self._told is not None:
            seconds, moment = self._told
            return max(0.0, seconds - (elapsed - moment)), "analysis"
        if self._start is None or not self._size or byte <= self._start[0]:
            return None, None
        taken = elapsed - self._start[1]
        if taken < SOONEST:
            return None, None
        return taken * (self._size - byte) / (byte - self._start[0]), "estimate" if taken > STEADY else "linear"

    def _by_plan(self, plan: Plan, byte: int, elapsed: float) -> tuple[float, str]:
        """What the plan still has, times how much longer than planned things have taken so far."""
        if self._start is None:
            # Nothing is printed yet. Whether heating was in the plan is known of past prints alone.
            rest = plan.total - plan.at(byte)
            return (max(rest - elapsed, rest / 2) if plan.kind == "average" else rest), plan.kind
        start_byte, start = self._start
        rest, planned = plan.total - plan.at(byte), plan.at(byte) - plan.at(start_byte)
        if plan.kind == "average":
            # Past prints had their heating, too; it is over.
            share = max(plan.total - start, plan.total / 2) / ((plan.total - plan.at(start_byte)) or 1.0)
            rest, planned = rest * share, planned * share
        doubt = max(TRUSTED, TRUSTED_PART * plan.total)
        pace = (elapsed - start + doubt) / (planned + doubt)
        kind = plan.kind if planned < doubt else f"mixed-{plan.kind}"
        return rest * min(max(pace, FASTEST), SLOWEST), kind

    def _layer(self, byte: int) -> tuple[int | None, float | None]:
        index = self._analysis.layer_at(byte) if self._analysis else None
        if index is None or self._analysis is None:
            return None, None
        return index, self._analysis.layers[index].z

    def _calm(self, left: float, elapsed: float) -> float:
        """From what was said before towards what has been found, a bit each second."""
        if self._shown is not None and left > 0.0:
            before, moment = self._shown
            passed = max(elapsed - moment, 0.0)
            expected = max(before - passed, 0.0)
            # Near the end there is no time left to be wrong in.
            left = expected + (left - expected) * (1.0 - exp(-passed / min(CALM, max(left / 4, 1.0))))
        self._shown = (left, elapsed)
        return left


def _good(past: Sequence[float]) -> list[float]:
    return [seconds for seconds in past if seconds > 0.0][-LAST:]


def _plan(analysis: Analysis | None, past: Sequence[float], size: int) -> Plan | None:
    points = _shape(analysis, size)
    total = total_time(analysis, past)
    if total is None:
        return None
    if not points:
        if not size:
            return None
        points = (Point(0, 0.0), Point(size, total))
    return Plan(points, total, "average" if past else "analysis")


def _shape(analysis: Analysis | None, size: int) -> Sequence[Point]:
    """How the time is spread over the file: as the slicer says, if it says so often enough, else as the model does."""
    if analysis is None:
        return ()
    left = analysis.left
    if len(left) >= DETAILED and left[0].seconds > left[-1].seconds:
        if left[-1].seconds > 0 and left[-1].byte < size:
            left = (*left, Point(size, 0.0))  # It has not said so to the end.
        done = accumulate((left[0].seconds - point.seconds for point in left), max, initial=0.0)
        return [Point(point.byte, seconds) for point, seconds in zip(left, islice(done, 1, None), strict=True)]
    return analysis.done if analysis.done and analysis.done[-1].seconds > 0.0 else ()


def _first_byte(analysis: Analysis | None) -> int:
    """Where printing has begun: heating is over at the first layer at the latest."""
    if analysis is None:
        return 0
    return analysis.layers[0].byte if analysis.layers else analysis.done[0].byte if analysis.done else 0


def _between(points: Sequence[Point], byte: int) -> float:
    """On the line from point to point."""
    index = bisect_right(points, byte, key=lambda point: point.byte)
    if index == 0:
        return points[0].seconds
    if index == len(points):
        return points[-1].seconds
    before, after = points[index - 1], points[index]
    part = (byte - before.byte) / (after.byte - before.byte)
    return before.seconds + part * (after.seconds - before.seconds)
