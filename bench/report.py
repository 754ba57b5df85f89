"""Medians of the rounds as Markdown tables, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cases import Case
from .detection import Outcome
from .trials import Measure, Medians, Trial

Rounds = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Row:
    """One measure. `reach` is the ratio Limpet/OctoPrint to arrive at: at most, or at least where `more`."""

    key: str
    title: str
    digits: int
    reach: float | None = None
    more: bool = False


ROWS = (
    Row("start_s", "start to first answered GET, s", 2, 1 / 8),
    Row("pss_mb", "memory (PSS) at rest, MB", 1, 1 / 2),
    Row("idle_cpu_s", "idle CPU in {idle:.0f} s, s", 2),
    Row("requests_per_s_1", "requests/s, 1 client", 0, 40, more=True),
    Row("p99_ms_1", "p99, 1 client, ms", 2, 1 / 30),
    Row("requests_per_s_16", "requests/s, 16 clients", 0, 40, more=True),
    Row("p99_ms_16", "p99, 16 clients, ms", 2, 1 / 30),
    Row("connect_s", "POST connect to Operational, s", 3, 1),
    Row("sockets_cpu_s", "CPU in {idle:.0f} s with 200 socket clients, s", 2, 1 / 10),
    Row("sockets_current", "`current` to each of them", 0),
)


def table(results: Mapping[str, Rounds], idle: float) -> str:
    """Markdown; a column for each program, and ratios when both Limpet and OctoPrint are there."""
    medians = {name: _medians(rounds) for name, rounds in results.items()}
    compared = "Limpet" in medians and "OctoPrint" in medians
    head = ["", *medians, *(["ratio", "reach"] if compared else [])]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for row in ROWS:
        cells = [row.title.format(idle=idle)]
        for figures in medians.values():
            cells.append(f"{figures[row.key]:,.{row.digits}f}" if row.key in figures else "")
        if compared:
            cells += _comparison(row, medians["Limpet"][row.key], medians["OctoPrint"][row.key])
        lines.append(_line(cells))
    return "\n".join(lines)


def cases_table(results: Mapping[Case, Mapping[str, Sequence[Outcome]]]) -> str:
    """Markdown; a row for each case, and below it what each host said where it was not simply the printer."""
    programs = list(next(iter(results.values())))
    head = ["seconds until", *programs, *(["reach"] if "Limpet" in programs else [])]
    lines, said = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))], []
    for case, outcomes in results.items():
        cells = [case.title, *(_outcome(outcomes[name]) for name in programs)]
        if "Limpet" in programs:
            cells.append(_reach(case, outcomes["Limpet"]))
        lines.append(_line(cells))
        for name in programs:
            kinds = {outcome.label: outcome.said for outcome in outcomes[name] if outcome.said}
            said += [f"- {case.title}: {name}: {words}" for words in kinds.values()]
    return "\n".join([*lines, "", "What they said:", "", *said] if said else lines)


def trials_table(results: Mapping[Trial, Mapping[str, Rounds]], programs: Sequence[str]) -> str:
    """Markdown; rows for each trial, a column for each program, and below it what was not printed whole."""
    lines, said = [_line(["", *programs, "reach"]), _line(["---", *["---:"] * len(programs), "---"])], []
    for trial, measured in results.items():
        medians = {name: _medians(rounds) for name, rounds in measured.items() if rounds}
        lines += [_line(_measure_cells(trial, measure, medians, programs)) for measure in trial.measures]
        for name, rounds in measured.items():
            for figures in rounds:
                if figures["whole"] != 1:
                    what = "OTHER MOVES than in the file" if figures["whole"] < 0 else "not at its end"
                    said.append(f"- {trial.title}: {name}: {what} after {figures['moves']:,.0f} moves")
    return "\n".join([*lines, "", "Not whole:", "", *said] if said else [*lines, "", "Every print arrived whole."])


def machine() -> str:
    """CPU, cores, kernel and Python in one line."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            cpu = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return f"{cpu}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}"


def _outcome(outcomes: Sequence[Outcome]) -> str:
    """The median of each kind of outcome, with how often it came if there are several."""
    alike: dict[str, list[float]] = {}
    for outcome in outcomes:
        alike.setdefault(outcome.label, []).append(outcome.seconds)
    words = []
    for label, seconds in alike.items():
        times = f"{len(seconds)} of {len(outcomes)}: " if len(alike) > 1 else ""
        words.append(f"{times}{label}{', ' if label else ''}{statistics.median(seconds):.2f}")
    return "; ".join(words)


def _reach(case: Case, outcomes: Sequence[Outcome]) -> str:
    goal = " ".join(filter(None, [case.code, f"at most {case.reach:g}" if case.reach else ""]))
    good = all(outcome.good for outcome in outcomes)
    met = good and statistics.median(outcome.seconds for outcome in outcomes) <= (case.reach or case.limit)
    return f"{goal}: {'met' if met else 'MISSED'}"


def _medians(rounds: Rounds) -> dict[str, float]:
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}


def _measure_cells(trial: Trial, measure: Measure, medians: Medians, programs: Sequence[str]) -> list[str]:
    cells = [f"{trial.title}: {measure.title}"]
    for name in programs:
        figure = medians.get(name, {}).get(measure.key)
        cells.append("" if figure is None else f"{figure * measure.scale:,.{measure.digits}f}")
    reach = measure.reach
    if reach is None or not all(name in medians for name in reach.programs):
        return [*cells, ""]
    return [*cells, f"{reach.words}: {'met' if reach.met(medians) else 'MISSED'}"]


def _comparison(row: Row, ours: float, theirs: float) -> list[str]:
    if not ours or not theirs:
        return ["", ""]
    ratio = ours / theirs
    words = f"1/{1 / ratio:.1f}" if ratio < 1 else f"{ratio:.1f}×"
    if row.reach is None:
        return [words, ""]
    met = ratio >= row.reach if row.more else ratio <= row.reach
    goal = f"at least {row.reach:g}×" if row.more else f"at most {_fraction(row.reach)}"
    return [words, f"{goal}: {'met' if met else 'MISSED'}"]


def _fraction(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if ratio < 1 else f"{ratio:g}×"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
