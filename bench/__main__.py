"""`python -m bench`: Limpet and OctoPrint in turn, and a table."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from . import hosts, many, many_prints, prints, report
from .cases import CASES, Case
from .connection import QUICK, Figures, Plan, measure, measure_load
from .detection import MakeHost, Outcome, run_case
from .hosts import BenchError, Host
from .trials import TRIALS

WHAT = (
    "server: start, memory, requests, connect (the default); detection: finding a printer and holding on to it; "
    "many: 50 printers in one Limpet beside one; print: files to a simulated printer, printcore too"
)
Measured = tuple[str, str, object]
"""Which rounds, in words; the table; the figures of every round."""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Limpet and OctoPrint side by side.")
    parser.add_argument("what", nargs="?", choices=list(MEASURES), default="server", help=WHAT)
    parser.add_argument(
        "--rounds", type=int, help="each program is measured this often (default: 3; OctoPrint's detection 1)"
    )
    parser.add_argument("--quick", action="store_true", help="short waits and loads, few cases: to see that it works")
    parser.add_argument(
        "--match", default="", metavar="TEXT", help="detection, print: only the cases with TEXT in their title"
    )
    parser.add_argument("--only", choices=["limpet", "octoprint"], help="one program, no ratios")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every round to FILE")
    parser.add_argument("--limpet", type=Path, required=True, help="the program `limpet`")
    parser.add_argument("--octoprint", type=Path, help="the program `octoprint`")
    parser.add_argument("--printrun", type=Path, help="print: the Python in whose environment Printrun is")
    arguments = parser.parse_args(words)
    if arguments.rounds is not None and not 1 <= arguments.rounds <= 100:
        parser.error("--rounds must be from 1 to 100")
    if arguments.what == "many":
        arguments.only = "limpet"
    if arguments.only != "limpet" and arguments.octoprint is None:
        parser.error("--octoprint is needed, or --only limpet")
    return arguments


def makers(arguments: argparse.Namespace) -> dict[str, MakeHost]:
    """How each chosen program is started when it is to see the given ports alone; none given: this machine's."""
    found: dict[str, MakeHost] = {}
    if arguments.only != "octoprint":
        found["Limpet"] = partial(hosts.limpet, arguments.limpet)
    if arguments.only != "limpet":
        found["OctoPrint"] = partial(hosts.octoprint, arguments.octoprint)
    return found


def say(words: str) -> None:
    print(words, end="", file=sys.stderr, flush=True)


def step(name: str) -> None:
    say(f" {name},")


def run(programs: list[Host], rounds: int, plan: Plan) -> dict[str, list[Figures]]:
    """All rounds; who goes first alternates, so that a drift of the machine hits both."""
    results: dict[str, list[Figures]] = {name: [] for name in [*(host.name for host in programs), "ceiling"]}
    for host in programs:
        say(f"{host.name} once, to warm the disk cache\n")
        with hosts.running(host):
            pass
    for number in range(rounds):
        for host in programs if number % 2 == 0 else reversed(programs):
            say(f"round {number + 1} of {rounds}: {host.name}:")
            results[host.name].append(measure(host, plan, step))
            say(" done\n")
        say(f"round {number + 1} of {rounds}: ceiling:")
        with hosts.running(hosts.ceiling()) as server:
            results["ceiling"].append(measure_load(server, plan, step))
        say(" done\n")
    return results


def run_cases(arguments: argparse.Namespace, rounds: Mapping[str, int]) -> dict[Case, dict[str, list[Outcome]]]:
    """Case by case, each program as often as `rounds` says."""
    chosen = [c for c in CASES if arguments.match in c.title and (c.quick or not arguments.quick)]
    if not chosen:
        raise BenchError(f"no case has {arguments.match!r} in its title")
    results: dict[Case, dict[str, list[Outcome]]] = {}
    for number, case in enumerate(chosen):
        say(f"{number + 1} of {len(chosen)}: {case.title}:")
        results[case] = {}
        for name, make in makers(arguments).items():
            step(name)
            results[case][name] = [run_case(case, make, arguments.limpet, seed + 1) for seed in range(rounds[name])]
        say(" done\n")
    return results


def measure_server(arguments: argparse.Namespace) -> Measured:
    plan = QUICK if arguments.quick else Plan()
    rounds = arguments.rounds or 3
    results = run([make(()) for make in makers(arguments).values()], rounds, plan)
    ceiling = "`ceiling` is a bare asyncio server under the same load generator: nothing here can be faster."
    return f"medians of {rounds} interleaved rounds", f"{report.table(results, plan.idle)}\n\n{ceiling}", results


def measure_detection(arguments: argparse.Namespace) -> Measured:
    rounds = {name: arguments.rounds or (1 if name == "OctoPrint" else 3) for name in makers(arguments)}
    results = run_cases(arguments, rounds)
    words = " and ".join(f"{number} round{'s' * (number > 1)} of {name}" for name, number in rounds.items())
    figures = {
        case.title: {name: [asdict(o) for o in found] for name, found in results[case].items()} for case in results
    }
    return f"medians of {words}", report.cases_table(results), figures


def measure_many(arguments: argparse.Namespace) -> Measured:
    plan = QUICK if arguments.quick else Plan()
    rounds = arguments.rounds or 3
    results: dict[int, list[Figures]] = {count: [] for count in many.COUNTS}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}:")
        for count in many.COUNTS if number % 2 == 0 else reversed(many.COUNTS):
            results[count].append(many.measure(arguments.limpet, count, plan, step))
        say(" done\n")
    return f"medians of {rounds} interleaved rounds", many.table(results, plan.idle), results


def measure_prints(arguments: argparse.Namespace) -> Measured:
    rounds, shorter = arguments.rounds or 3, 10 if arguments.quick else 1
    begins = prints.programs(arguments.limpet, arguments.octoprint, arguments.printrun, arguments.only)
    chosen = [
        trial for trial in TRIALS if arguments.match in trial.title and not begins.keys().isdisjoint(trial.programs)
    ]
    tables, figures = [], {}
    if chosen:
        results = prints.run(chosen, begins, rounds, shorter=shorter, say=say)
        tables.append(report.trials_table(results, list(begins)))
        figures = {trial.title: found for trial, found in results.items()}
    if arguments.match in many_prints.TITLE and arguments.only != "octoprint":
        say(f"{many_prints.TITLE}:")
        found = [many_prints.measure(arguments.limpet, moves=many_prints.MOVES // shorter) for _ in range(rounds)]
        say(" done\n")
        tables.append(many_prints.table(found))
        figures[many_prints.TITLE] = {"Limpet": found}
    if not tables:
        raise BenchError(f"no trial has {arguments.match!r} in its title")
    return f"medians of {rounds} interleaved rounds", "\n\n".join(tables), figures


MEASURES = {"server": measure_server, "detection": measure_detection, "many": measure_many, "print": measure_prints}


def main() -> int:
    arguments = parse()
    busy = os.getloadavg()[0]
    # A terminated run must unwind like Ctrl-C does, or its servers would stay behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        rounds, table, figures = MEASURES[arguments.what](arguments)
    except BenchError as fault:
        say(f"\nscripts/bench: {fault}\n")
        return 1
    except KeyboardInterrupt:
        say("\nscripts/bench: stopped\n")
        return 130
    print(f"{report.machine()}; load average {busy:.1f} before; {rounds}\n\n{table}")
    if arguments.json:
        written = {"machine": report.machine(), "rounds": figures}
        arguments.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
