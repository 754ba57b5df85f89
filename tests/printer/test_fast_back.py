"""What a fault costs, in virtual time; and that a printer which is slow is not taken for one that has lost a line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from limpet.protocol.events import CommandAcknowledged, Event
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from tests.printer.joined import JoinedPrint, moves
from tests.protocol.test_lossy_wire import at_once
from tests.protocol.wire import Spoil, Wire, unharmed

MOVES = moves(1000)
FLOWS = {"one line at a time": (None, False), "ADVANCED_OK": (None, True), "a window of 4": (4, False)}
LOST = 10


def losing(is_one: Callable[[bytes], bool]) -> Spoil:
    """Every hundredth of these is lost."""
    seen = 0

    def spoil(line: bytes) -> bytes:
        nonlocal seen
        seen += is_one(line)
        return b"" if is_one(line) and seen % (len(MOVES) // LOST) == 0 else line

    return spoil


def seconds_for(wire: Wire, to_printer: Spoil = unharmed, to_host: Spoil = unharmed) -> float:
    print = JoinedPrint(wire, "\n".join(MOVES))
    wire.to_printer, wire.to_host = to_printer, to_host
    print.run(after=0.0)
    assert print.arrived == MOVES
    return wire.now


@pytest.mark.parametrize("latency", [0.0, 0.005, 0.05])
@pytest.mark.parametrize("quiet_after_resend", [False, True])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_lost_line_and_a_lost_ok_cost_half_a_second_at_the_most(
    flow: str, quiet_after_resend: bool, latency: float
) -> None:
    window, advanced_ok = FLOWS[flow]

    def wire() -> Wire:
        options = at_once(advanced_ok=advanced_ok, broken_resend=quiet_after_resend, latency=latency)
        return Wire(options, window=window)

    clean = seconds_for(wire())
    # Where several lines were in flight there is one at a time for a while after a fault.
    slower = 2 * latency * len(MOVES)
    for lines, oks in ((losing(lambda line: b"G1" in line), unharmed), (unharmed, losing(lambda r: r[:2] == b"ok"))):
        assert seconds_for(wire(), lines, oks) - clean <= 0.6 * LOST + slower


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("seconds", [0.5, 2.0, 5.0, 15.0])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_planner_full_of_slow_moves_is_not_taken_for_a_loss(flow: str, seconds: float, busy: bool) -> None:
    window, advanced_ok = FLOWS[flow]
    speed = 60 * 10 / seconds
    slow = [f"G1 X{10 * (n % 2)} E{n} F{speed:g}" for n in range(200)]
    wire = Wire(VirtualPrinterOptions(boot_time=0.0, advanced_ok=advanced_ok, busy=busy), window=window)
    print = JoinedPrint(wire, "\n".join(slow))
    print.run()
    assert print.arrived == slow
    # It is asked a few times before it is known how slow it is, and again when there is one line at a time.
    assert wire.session.figures.resends <= 40


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("seconds", [0.5, 0.9, 1.5, 4.0, 9.0])
@pytest.mark.parametrize("flow", FLOWS)
def test_oks_that_come_late_are_not_counted_for_lines_that_came_later(flow: str, seconds: float, busy: bool) -> None:
    """The planner is full of quick moves, and then of a slow one: lines that wait in the printer are written again, and
    found to have arrived, one after the other. Whoever takes the `ok` of one for that of the next is ahead from then
    on, and thinks that the printer has come to rest when it has not."""
    window, advanced_ok = FLOWS[flow]
    quick = [f"G1 X{4 * (n % 50)} E{n} F3000" for n in range(1, 300)]
    slow = [line.replace("F3000", f"F{60 * 196 / seconds:g}") if " X0 " in line else line for line in quick]
    wire = Wire(VirtualPrinterOptions(boot_time=0.0, advanced_ok=advanced_ok, busy=busy), window=window)
    print = JoinedPrint(wire, "\n".join(slow))
    arrived_at_rest: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, CommandAcknowledged) and event.command == "M400":
            arrived_at_rest.append(len(print.arrived))

    heard = wire.on_event
    wire.on_event = lambda event: (watch(event), heard(event))
    print.run()
    assert print.arrived == slow
    assert arrived_at_rest == [len(slow)]
