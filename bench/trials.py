"""What is printed on which printer, by whom, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .simulator import Board

WINDOW = "Limpet"
ONE = "Limpet, window of one"
OCTOPRINT = "OctoPrint"
PRINTCORE = "printcore"
PROGRAMS = (WINDOW, ONE, OCTOPRINT, PRINTCORE)

Medians = Mapping[str, Mapping[str, float]]
"""Of one trial: program -> figure -> median of the rounds."""


@dataclass(frozen=True)
class Reach:
    """What is to be arrived at, in words, and whether it is; of no meaning unless all `programs` have been measured."""

    words: str
    programs: tuple[str, ...]
    met: Callable[[Medians], bool]


@dataclass(frozen=True)
class Measure:
    """One row of the table: a figure times `scale`."""

    key: str
    title: str
    digits: int = 0
    scale: float = 1.0
    reach: Reach | None = None


@dataclass(frozen=True)
class Trial:
    """A print of `moves` moves on one kind of board, stopped after `limit` seconds.

    `once`: one round is enough, as what is measured is the waiting. `strained`: clients, an upload and an analysis
    meanwhile.
    """

    title: str
    board: Board
    moves: int
    measures: tuple[Measure, ...]
    programs: tuple[str, ...] = PROGRAMS
    limit: float = 90.0
    once: bool = False
    strained: bool = False


def _times(key: str, factor: float) -> Reach:
    """At least so many times OctoPrint's figure, or at most where the factor is below one."""
    more = factor > 1
    words = f"at least {factor:g}× OctoPrint's" if more else f"at most 1/{1 / factor:g} of OctoPrint's"

    def met(medians: Medians) -> bool:
        ours, theirs = medians[ONE][key], medians[OCTOPRINT][key]
        return ours >= factor * theirs if more else ours <= factor * theirs

    return Reach(words, (ONE, OCTOPRINT), met)


TURNS = tuple(
    Measure(f"turn_{which}_us", f"{name} from ok to the next line, ms", 2, 1e-3)
    for which, name in (("p50", "median"), ("p99", "p99"), ("max", "longest"))
)
SPEED = Measure("lines_per_s", "lines/s")
CPU = Measure("cpu_us_per_line", "CPU a line, µs")
SHARE = Measure(
    "wire_share",
    "share of the wire, %",
    1,
    100,
    Reach("at least 95", (WINDOW,), lambda medians: medians[WINDOW]["wire_share"] >= 0.95),
)
DRY = (Measure("dry", "planner ran dry, times"), Measure("dry_ms", "planner was dry, ms"))

_WIRE = Board(wire=True, latency_ms=1, rx=128, planner=16, move_ms=0.5, advanced_ok=True)
_HUNGRY = Board(planner=16, move_ms=2)
_BOTH = (ONE, OCTOPRINT)

TRIALS = (
    Trial(
        "as fast as it goes",
        Board(),
        20_000,
        (
            Measure("lines_per_s", "lines/s", reach=_times("lines_per_s", 3)),
            Measure("cpu_us_per_line", "CPU a line, µs", reach=_times("cpu_us_per_line", 1 / 4)),
            *TURNS,
        ),
        (ONE, OCTOPRINT, PRINTCORE),
    ),
    Trial("wire at 115200, 1 ms", _WIRE, 3_000, (SHARE, SPEED, CPU)),
    Trial(
        "wire at 250000, 1 ms",
        Board(**{**vars(_WIRE), "baudrate": 250000}),
        6_000,
        (SHARE, SPEED, CPU),
    ),
    Trial("0.5 % of lines lost", Board(drop_lines=0.005), 2_000, (SPEED,), (ONE, OCTOPRINT, PRINTCORE), once=True),
    Trial("0.5 % of oks lost", Board(drop_oks=0.005), 2_000, (SPEED,), (ONE, OCTOPRINT, PRINTCORE), once=True),
    Trial("16 moves of 2 ms", _HUNGRY, 10_000, (*DRY, *TURNS), _BOTH),
    Trial("16 moves of 2 ms, under load", _HUNGRY, 10_000, (*DRY, *TURNS), _BOTH, strained=True),
)
