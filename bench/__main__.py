"""`python -m bench`: interleaved rounds of Limpet and OctoPrint, and a table."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from . import hosts, report
from .connection import QUICK, Figures, Plan, measure, measure_load
from .hosts import BenchError, Host


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Limpet and OctoPrint side by side.")
    parser.add_argument("--rounds", type=int, default=3, help="each program is started this often (default: 3)")
    parser.add_argument("--quick", action="store_true", help="short waits and loads: to see that it works")
    parser.add_argument("--only", choices=["limpet", "octoprint"], help="one program, no ratios")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every round to FILE")
    parser.add_argument("--limpet", type=Path, required=True, help="the program `limpet`")
    parser.add_argument("--octoprint", type=Path, help="the program `octoprint`")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.rounds <= 100:
        parser.error("--rounds must be from 1 to 100")
    if arguments.only != "limpet" and arguments.octoprint is None:
        parser.error("--octoprint is needed, or --only limpet")
    return arguments


def chosen(arguments: argparse.Namespace) -> list[Host]:
    found = []
    if arguments.only != "octoprint":
        found.append(hosts.limpet(arguments.limpet))
    if arguments.only != "limpet":
        found.append(hosts.octoprint(arguments.octoprint))
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


def main() -> int:
    arguments = parse()
    plan = QUICK if arguments.quick else Plan()
    busy = os.getloadavg()[0]
    # A terminated run must unwind like Ctrl-C does, or its servers would stay behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        results = run(chosen(arguments), arguments.rounds, plan)
    except BenchError as fault:
        say(f"\nscripts/bench: {fault}\n")
        return 1
    except KeyboardInterrupt:
        say("\nscripts/bench: stopped\n")
        return 130
    print(f"{report.machine()}; load average {busy:.1f} before; medians of {arguments.rounds} interleaved rounds\n")
    print(report.table(results, plan.idle))
    print("\n`ceiling` is a bare asyncio server under the same load generator: nothing here can be faster.")
    if arguments.json:
        figures = {"machine": report.machine(), "rounds": results}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
