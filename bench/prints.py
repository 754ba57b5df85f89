"""All rounds of the print benchmark: each program in turn, on each trial."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from . import hosts
from .connection import Figures
from .printing import Begin, file_of, measure, nothing_else, over_api, with_printcore
from .simulator import build
from .strain import under_load
from .trials import OCTOPRINT, ONE, PRINTCORE, WINDOW, Trial

ONE_LINE = "[printers.default]\nwindow = 1\n"
"""Of limpet.toml: one line in flight, whatever the printer says that it can take."""
Results = dict[Trial, dict[str, list[Figures]]]


def programs(limpet: Path, octoprint: Path | None, printrun: Path | None, only: str | None) -> dict[str, Begin]:
    """How each chosen program is made to print; `printrun` is the Python of its environment."""
    found: dict[str, Begin] = {}
    if only != "octoprint":
        found[WINDOW] = over_api(partial(_limpet_on, limpet, ""), analyses=True)
        found[ONE] = over_api(partial(_limpet_on, limpet, ONE_LINE), analyses=True)
    if only != "limpet" and octoprint is not None:
        found[OCTOPRINT] = over_api(partial(_octoprint_on, octoprint))
    if only is None and printrun is not None:
        found[PRINTCORE] = with_printcore(printrun)
    return found


def run(
    trials: Sequence[Trial],
    begins: Mapping[str, Begin],
    rounds: int,
    *,
    shorter: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Results:
    """Who goes first alternates, so that a drift of the machine hits all; `shorter`: a fraction of the moves."""
    results: Results = {trial: {name: [] for name in begins if name in trial.programs} for trial in trials}
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as name:
        printer = build(Path(name))
        for number in range(rounds):
            for trial, found in results.items():
                if trial.once and number:
                    continue
                say(f"round {number + 1} of {rounds}: {trial.title}:")
                file = file_of(Path(name), trial.moves // shorter)
                meanwhile = under_load if trial.strained else nothing_else
                for program in found if number % 2 == 0 else reversed(found):
                    say(f" {program},")
                    begin = begins[program]
                    figures = measure(begin, printer, trial.board, file, limit=trial.limit, meanwhile=meanwhile)
                    found[program].append(figures)
                say(" done\n")
    return results


def _limpet_on(program: Path, settings: str, port: Path) -> hosts.Host:
    return hosts.limpet(program, [port], settings)


def _octoprint_on(program: Path, port: Path) -> hosts.Host:
    return hosts.octoprint(program, [port])
