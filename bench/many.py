"""Many printers in one Limpet: until all are operational, what each costs, and whether requests get slower."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

from . import hosts, load, processes
from .connection import Figures, Plan, Progress
from .hosts import ADDRESS, CONNECTION, BenchError, Host, Running

COUNTS = (1, 50)
PRINTERS = "/api/limpet/printers"
WITHIN = 60.0
POLL = 0.02


def with_printers(host: Host, count: int) -> Host:
    """Limpet with so many virtual printers, which it connects when it starts."""

    def prepare(folder: Path) -> None:
        rows = (f'[printers.p{n}]\nport = "VIRTUAL"\nbaudrate = 115200\nautoconnect = true\n' for n in range(count))
        (folder / "limpet.toml").write_text('[ports]\nignored = ["/dev/tty*"]\n' + "".join(rows), encoding="utf-8")

    return replace(host, prepare=prepare)


def measure(limpet: Path, count: int, plan: Plan, progress: Progress) -> Figures:
    """One round with `count` printers."""
    progress(f"{count} printer{'s' * (count > 1)}")
    with hosts.running(with_printers(hosts.limpet(limpet), count)) as server:
        figures: Figures = {"operational_s": server.started_in + until_operational(server, count)}
        time.sleep(plan.settle)
        figures["pss_mb"] = processes.pss_bytes(server.pid) / 1e6
        before = processes.cpu_seconds(server.pid)
        time.sleep(plan.idle)
        figures["idle_cpu_s"] = processes.cpu_seconds(server.pid) - before
        got = load.in_own_process(server.port, 1, plan.load, [f"/p/p{n}{CONNECTION}" for n in range(count)])
        return {**figures, "p50_ms": got.p50_ms, "p99_ms": got.p99_ms}


def table(results: Mapping[int, Sequence[Figures]], idle: float) -> str:
    """Markdown: medians, and what is to be reached."""
    one, many = (
        {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]} for rounds in results.values()
    )
    fewer, more = results
    each = (many["pss_mb"] - one["pss_mb"]) / (more - fewer)
    slower = many["p99_ms"] / one["p99_ms"]
    lines = [
        f"| | {fewer} printer | {more} printers | reach |",
        "| --- | ---: | ---: | ---: |",
        _line(
            "start to all Operational, s", one, many, "operational_s", _reach("at most 3", many["operational_s"] <= 3)
        ),
        _line("memory (PSS), MB", one, many, "pss_mb", _reach(f"{each:.2f} a printer, at most 2", each <= 2)),
        _line(f"CPU in {idle:.0f} s, s", one, many, "idle_cpu_s", ""),
        _line("p50 of the GET, ms", one, many, "p50_ms", ""),
        _line("p99 of the GET, ms", one, many, "p99_ms", _reach(f"{slower:.1f}×, at most 2×", slower <= 2)),
    ]
    return "\n".join(lines)


def _line(title: str, one: Figures, many: Figures, key: str, reach: str) -> str:
    return f"| {title} | {one[key]:.2f} | {many[key]:.2f} | {reach} |"


def _reach(words: str, met: bool) -> str:
    return f"{words}: {'met' if met else 'MISSED'}"


def until_operational(server: Running, count: int) -> float:
    """Seconds from now until all printers are."""
    began = time.perf_counter()
    with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
        while (seconds := time.perf_counter() - began) < WITHIN:
            status, body = hosts.get(client, PRINTERS)
            if status != 200:
                raise BenchError(f"GET {PRINTERS} was answered with {status}")
            states = [printer["state"] for printer in json.loads(body)["printers"]]
            if states == ["Operational"] * count:
                return seconds
            time.sleep(POLL)
    raise BenchError(f"only {states.count('Operational')} of {count} printers are operational after {WITHIN:.0f} s")
