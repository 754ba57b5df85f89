"""Looks for what breaks a print: faults of the line together with whatever a person does, at any moment."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limpet.printer.print import Phase
from limpet.protocol.events import SessionEnded
from tests.printer.joined import Act, JoinedPrint, moves
from tests.protocol.test_lossy_wire import QUIRKS, at_once, scheduled
from tests.protocol.wire import Wire

COUNT = 25
NUMBERED = ("advanced ok", "repetier")
"""Quirks whose oks name their line."""
_FAULT = st.sampled_from(["-", "-", "-", "drop", "damage"]) | st.tuples(st.integers(0, 40), st.integers(1, 255))
_TO_PRINTER = st.lists(_FAULT, max_size=50)
_TO_HOST = st.lists(_FAULT | st.just("double"), max_size=50)
_ACT = st.sampled_from(["pause", "pause", "resume", "cancel", "ask", "jog", "repair", "M108", "M410", "M112"])
_ACTS = st.dictionaries(st.integers(0, 60), _ACT, max_size=8)


def act_of(name: str, n: int) -> Act:
    """What a person does, when the n-th command is asked for."""

    def act(print: JoinedPrint) -> None:
        match name:
            case "pause":
                print.job.pause(print.now)
            case "resume":
                print.job.resume(print.now)
            case "cancel":
                print.job.cancel(print.now)
            case "ask":
                print.send(f"M117 by hand {n}")
            case "jog":
                print.send(f"G1 Z{n}")
            case "repair":
                print.wire.session.repair(print.now)
            case _:
                print.send_urgent(name)

    return act


def resume(print: JoinedPrint) -> None:
    if print.job.phase is Phase.PAUSED:
        print.job.resume(print.now)


def judge(print: JoinedPrint, acts: dict[int, str]) -> None:
    """Fails when the printer has something else than the file, or than its beginning where the print was ended."""
    traffic, arrived = "\n".join(print.wire.traffic()), print.arrived
    stopped = "M112" in acts.values()  # What the printer has in its queue then is lost.
    assert arrived == moves(COUNT)[: len(arrived)], traffic
    match print.outcome:
        case "done":
            assert len(arrived) == COUNT or stopped, traffic
        case "cancelled":
            assert "cancel" in acts.values()
        case _:
            # So much was lost on end that the printer had to be taken for dead.
            dead = isinstance(print.lost, SessionEnded) and print.lost.code == "timeout"
            assert dead or stopped, traffic
    by_hand = [command for command in print.wire.printer.accepted if command.startswith("M117 by hand")]
    asked = [f"M117 by hand {n}" for n, act in sorted(acts.items()) if act == "ask" and n < print.asked_for]
    assert by_hand == (asked[: len(by_hand)] if stopped or print.lost is not None else asked), traffic


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    _TO_PRINTER,
    _TO_HOST,
    _ACTS,
    st.sampled_from(sorted(QUIRKS)),
    st.sampled_from([None, 1, 2, 4, 8]),
    st.booleans(),
)
def test_no_fault_and_no_person_loses_or_doubles_or_swaps_a_line_of_a_print(
    to_printer: list[str | tuple[int, int]],
    to_host: list[str | tuple[int, int]],
    acts: dict[int, str],
    quirk: str,
    window: int | None,
    emergency_parser: bool,
) -> None:
    wire = Wire(at_once(emergency_parser=emergency_parser, **QUIRKS[quirk]), window=window)
    print = JoinedPrint(wire, "\n".join(moves(COUNT)), {n: act_of(name, n) for n, name in acts.items()})
    print.otherwise = resume
    if (window or 1) > 1 and quirk not in NUMBERED:
        # An ok that comes twice makes room that is not there, and the receive buffer overflows (decision 0011).
        to_host = ["-" if fault == "double" else fault for fault in to_host]
    wire.to_printer, wire.to_host = scheduled(to_printer), scheduled(to_host)
    print.run()
    judge(print, acts)
