"""32 prints at once in one Limpet: whether each keeps the pace of its printer, and what all of them cost."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

from . import hosts, processes
from .connection import Figures
from .hosts import ADDRESS, BenchError
from .many import until_operational
from .printing import BEGINS_WITHIN, file_of, start, upload
from .simulator import Board, Simulator, Told, build, simulated

COUNT = 32
PER_SECOND = 150
MOVES = 3_000
TITLE = f"{COUNT} printers at {PER_SECOND} lines/s"
BOARD = Board(planner=16, move_ms=1000 / PER_SECOND)
PACE = 0.99
"""Share of the moves in a second that a printer could do, from which on the host keeps up with it."""


def settings(links: list[Path]) -> str:
    """Of limpet.toml: a printer on each link, connected at startup."""
    rows = (
        f'[printers.p{n}]\nport = "{link}"\nbaudrate = {BOARD.baudrate}\nautoconnect = true\n'
        for n, link in enumerate(links)
    )
    return "".join(rows)


def measure(limpet: Path, count: int = COUNT, moves: int = MOVES) -> Figures:
    """One round: `slowest` and `median` in lines/s, `cpu` in seconds a second, `dry` of all planners together."""
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        program, file = build(folder), file_of(folder, moves)
        links = [folder / f"port{n}" for n in range(count)]
        boards = [replace(BOARD, seed=n + 1) for n in range(count)]
        printers = [
            stack.enter_context(simulated(program, link, board, moves))
            for link, board in zip(links, boards, strict=True)
        ]
        server = stack.enter_context(hosts.running(hosts.limpet(limpet, links, settings(links))))
        until_operational(server, count)
        with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
            upload(client, file.path)  # All printers share the folder.
            for n in range(count):
                start(client, f"/p/p{n}")
        for printer in printers:
            if printer.wait("first", BEGINS_WITHIN) is None:
                raise BenchError("a printer has got no move")
        began, before = time.monotonic(), processes.cpu_seconds(server.pid)
        told = [_done(printer, began + 3 * moves / PER_SECOND) for printer in printers]
        cpu = processes.cpu_seconds(server.pid) - before
        seconds = time.monotonic() - began
    return _figures(told, file.crc, moves, cpu, seconds)


def _done(printer: Simulator, deadline: float) -> Told:
    return printer.wait("done", max(0.0, deadline - time.monotonic())) or printer.ask()


def _figures(told: list[Told], crc: int, moves: int, cpu: float, seconds: float) -> Figures:
    rates = sorted((one.moves - 1) / one.seconds for one in told)
    return {
        "slowest": rates[0],
        "median": rates[len(rates) // 2],
        "whole": sum(one.moves == moves and one.crc == crc for one in told),
        "dry": sum(one.dry for one in told),
        "turn_p99_us": max(one.turn_p99_us for one in told),
        "cpu": cpu / seconds,
        "cpu_us_per_line": cpu / sum(one.moves for one in told) * 1e6,
    }


def table(rounds: Sequence[Figures]) -> str:
    """Markdown: the medians of the rounds."""
    medians = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
    pace = "met" if medians["slowest"] >= PACE * PER_SECOND else "MISSED"
    rows = [
        ("lines/s of the slowest", f"{medians['slowest']:.1f}", f"at least {PACE * PER_SECOND:g}: {pace}"),
        ("lines/s of the median", f"{medians['median']:.1f}", ""),
        ("prints that arrived whole", f"{medians['whole']:.0f}", ""),
        ("planners ran dry, times, all together", f"{medians['dry']:.0f}", ""),
        ("worst p99 from ok to the next line, ms", f"{medians['turn_p99_us'] / 1e3:.2f}", ""),
        ("CPU, % of one core", f"{medians['cpu'] * 100:.0f}", ""),
        ("CPU a line, µs", f"{medians['cpu_us_per_line']:.0f}", ""),
    ]
    head = f"| {TITLE} | Limpet | reach |\n| --- | ---: | --- |\n"
    return head + "\n".join(f"| {title} | {figure} | {reach} |" for title, figure, reach in rows)
