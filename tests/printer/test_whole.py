"""A file arrives whole and in order, whatever the line does. The virtual printer is the judge; docs/printing.md."""

from __future__ import annotations

import random

import pytest

from tests.printer.joined import JoinedPrint, moves
from tests.protocol.test_lossy_wire import at_once, bad
from tests.protocol.wire import Spoil, Wire

COUNT, MANY = 2_000, 20_000

FAULTS: dict[str, tuple[dict[str, float], dict[str, float], float]] = {
    "a clean line": ({}, {}, 0.0),
    "1 % of lines corrupted": ({"corrupted": 0.01}, {}, 0.0),
    "0.5 % of lines dropped": ({"dropped": 0.005}, {}, 0.0),
    "0.5 % of oks lost": ({}, {}, 0.005),
    "2 % of replies doubled": ({}, {"doubled": 0.02}, 0.0),
    "all at once": (
        {"corrupted": 0.01, "dropped": 0.005},
        {"corrupted": 0.005, "dropped": 0.005, "doubled": 0.02},
        0.005,
    ),
}
"""What happens to lines, to replies, and the share of oks that are lost besides."""
FLOWS: dict[str, tuple[int | None, bool]] = {
    "one line at a time": (None, False),
    "ADVANCED_OK": (None, True),
    "a window of 4": (4, False),
}
RESENDS = {"ok after Resend": False, "no ok after Resend": True}


def without_oks(noise: random.Random, share: float, spoil: Spoil) -> Spoil:
    return lambda line: b"" if line.startswith(b"ok") and noise.random() < share else spoil(line)


def print_on(fault: str, flow: str, resend: str, count: int, seed: int = 1) -> JoinedPrint:
    """Prints so many moves, and comments between them; the fault begins when the printer is connected."""
    window, advanced_ok = FLOWS[flow]
    options = at_once(advanced_ok=advanced_ok, broken_resend=RESENDS[resend], journal=2 * count)
    wire = Wire(options, window=window)
    content = "".join(f"{move}\n;LAYER\n\n" if n % 50 == 0 else f"{move}\n" for n, move in enumerate(moves(count)))
    print = JoinedPrint(wire, content)
    lines, replies, lost_oks = FAULTS[fault]
    noise = random.Random(seed)
    wire.to_printer = bad(noise, **lines)
    wire.to_host = without_oks(noise, lost_oks, bad(noise, **replies))
    print.run()
    return print


def assert_whole(print: JoinedPrint, count: int) -> None:
    assert print.outcome == "done", print.end
    assert print.arrived == moves(count)


@pytest.mark.parametrize("resend", RESENDS)
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_arrives_whole(fault: str, flow: str, resend: str) -> None:
    assert_whole(print_on(fault, flow, resend, COUNT), COUNT)


@pytest.mark.parametrize("flow", FLOWS)
def test_20000_moves_arrive_whole_on_a_line_on_which_everything_happens(flow: str) -> None:
    assert_whole(print_on("all at once", flow, "ok after Resend", MANY), MANY)
