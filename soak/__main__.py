"""`python -m soak`: what scripts/soak runs."""

from __future__ import annotations

import argparse
import sys

from soak.run import Outcome, Plan, Progress, soak
from soak.world import MOST_PRINTERS


def parse(words: list[str] | None = None) -> Plan:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="Lets everything go wrong for an hour of simulated time; see docs/soak.md."
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same run (default: 1)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of simulated time (default: 60)")
    parser.add_argument("--printers", type=int, default=3, help=f"1 to {MOST_PRINTERS} (default: 3)")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.printers <= MOST_PRINTERS:
        parser.error(f"--printers must be from 1 to {MOST_PRINTERS}")
    if not 0 < arguments.minutes <= 100_000:
        parser.error("--minutes must be more than 0 and at most 100000")
    return Plan(arguments.seed, arguments.minutes, arguments.printers)


def main() -> int:
    plan = parse()
    outcome = soak(plan, _tell)
    print(_summary(plan, outcome))
    return 1 if outcome.trouble else 0


def _tell(progress: Progress) -> None:
    minutes, events = progress.simulated / 60.0, progress.counts.total()
    print(f"{minutes:4.0f} min simulated in {progress.real:5.1f} s, {events} events", file=sys.stderr, flush=True)


def _summary(plan: Plan, outcome: Outcome) -> str:
    counts = outcome.counts
    lines = [f"{count:6}  {what}" for what, count in sorted(counts.items(), key=lambda item: -item[1])]
    lines.append(
        f"seed {plan.seed}: {outcome.simulated / 3600.0:.2f} hours simulated in {outcome.real:.0f} s; "
        f"{counts.total()} events, {counts['is Operational']} connections, {counts['is Operational again']} reconnects"
    )
    if outcome.trouble is None:
        lines.append("wrong claims: 0, leaks: 0")
    else:
        lines.append(f"WRONG: {outcome.trouble}")
        lines.append(f"Again: scripts/soak --seed {plan.seed} --minutes {plan.minutes:g} --printers {plan.printers}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
