"""Whatever the line does, the printer takes each command once and in order. The virtual printer is the judge."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limpet.protocol.events import Event, SessionEnded
from limpet.protocol.virtual_printer import VirtualPrinterOptions

from .wire import Spoil, Wire

COMMANDS = [f"G1 X{n % 200} Y{n % 180} E{n / 100}" for n in range(2000)]


def at_once(**quirks: object) -> VirtualPrinterOptions:
    """A printer whose moves take no time; what is tested is the line."""
    return VirtualPrinterOptions(boot_time=0.0, speed_factor=1e6, **quirks)  # type: ignore[arg-type]


def damaged(line: bytes, at: int, byte: int) -> bytes:
    """One byte is another one, but never a newline.

    A newline in the middle would make Marlin obey the rest of the line as a command without number and checksum. No
    host can prevent that.
    """
    at %= max(1, len(line) - 1)
    byte = byte if byte not in (line[at], *b"\r\n") else 0x80 ^ line[at]
    return line[:at] + bytes([byte]) + line[at + 1 :]


def bad(noise: random.Random, *, corrupted: float = 0.0, dropped: float = 0.0, doubled: float = 0.0) -> Spoil:
    def spoil(line: bytes) -> bytes:
        luck = noise.random()
        if luck < dropped:
            return b""
        if luck < dropped + corrupted:
            return damaged(line, noise.randrange(100), noise.randrange(1, 256))
        if luck < dropped + corrupted + doubled:
            return line + line
        return line

    return spoil


def arrived(wire: Wire) -> list[str]:
    return [command for command in wire.printer.accepted if command.startswith("G1 ")]


def send_all(wire: Wire, commands: list[str]) -> list[Event]:
    """Send them, and wait until the session is idle or over; returns why it is over, if it is."""
    waiting = deque(commands)
    source = iter(lambda: waiting.popleft() if waiting else None, None)
    wire.run(source, until=lambda: bool(wire.seen(SessionEnded)) or (wire.session.idle and not waiting))
    # Our own question, with the next number, reveals a last line that was lost without a trace.
    wire.run_for(60.0)
    return wire.seen(SessionEnded)


def send_all_whole(wire: Wire, commands: list[str]) -> None:
    assert not send_all(wire, commands)
    assert arrived(wire) == commands, "\n".join(wire.traffic())


@pytest.mark.parametrize("seed", range(3))
def test_2000_commands_arrive_whole_over_a_wire_that_corrupts_and_drops_5_percent_each_way(seed: int) -> None:
    noise = random.Random(seed)
    wire = Wire(
        at_once(),
        to_printer=bad(noise, corrupted=0.05, dropped=0.05),
        to_host=bad(noise, corrupted=0.05, dropped=0.05),
        chunk=1,
    )
    send_all_whole(wire, COMMANDS)


QUIRKS: dict[str, dict[str, object]] = {
    "clean": {},
    "advanced ok": {"advanced_ok": True},
    "ok after resend twice": {"ok_after_resend": True},
    "no ok after resend": {"broken_resend": True},
    "repeated resends": {"repeated_resends": 3},
    "ok before output": {"ok_before_output": True},
    "wait": {"wait": True},
    "every 7th ok is lost": {"lose_ok_every": 7},
    "every 7th ok is doubled": {"double_ok_every": 7},
    "only lines with a checksum": {"force_checksum": True},
    # As they come, Repetier and Smoothie obey a numbered line without checksum, hence one whose `*` was damaged.
    "repetier": {"firmware": "repetier", "force_checksum": True},
    "smoothie": {"firmware": "smoothie", "force_checksum": True},
    "prusa": {"firmware": "prusa"},
    "noise at boot": {"boot_noise": True, "blank_boot_lines": 4},
}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_commands_arrive_whole_at_a_printer_with_a_quirk(quirk: str) -> None:
    noise = random.Random(7)
    wire = Wire(
        at_once(**QUIRKS[quirk]),
        to_printer=bad(noise, corrupted=0.02, dropped=0.02),
        to_host=bad(noise, corrupted=0.02, dropped=0.02, doubled=0.02),
    )
    send_all_whole(wire, COMMANDS[:300])


@pytest.mark.parametrize("window", [2, 4, 8])
@pytest.mark.parametrize("quirk", QUIRKS)
def test_several_lines_in_flight_arrive_whole_at_a_printer_with_a_quirk(quirk: str, window: int) -> None:
    noise = random.Random(window)
    wire = Wire(
        at_once(**QUIRKS[quirk]),
        to_printer=bad(noise, corrupted=0.01, dropped=0.01),
        to_host=bad(noise, corrupted=0.01, dropped=0.01, doubled=0.01),
        window=window,
    )
    send_all_whole(wire, COMMANDS[:300])


@pytest.mark.parametrize("firmware", ["klipper", "teacup"])
def test_firmware_that_does_not_look_at_the_order_is_not_sent_a_line_twice_on_a_guess(firmware: str) -> None:
    wire = Wire(at_once(firmware=firmware, lose_ok_every=20))
    commands = iter(COMMANDS[:60])
    wire.run(commands, until=lambda: bool(wire.seen(SessionEnded)))
    assert wire.seen(SessionEnded)[0].code == "timeout"
    assert arrived(wire) == COMMANDS[: len(arrived(wire))]


_FAULT = st.sampled_from(["-", "-", "drop", "damage"]) | st.tuples(st.integers(0, 40), st.integers(1, 255))
# A line that the wire doubles on the way to Marlin is no fault that a host could survive: the first copy makes Marlin
# throw away what has arrived of the second, and the rest of that is obeyed as a command without a number.
_TO_PRINTER = st.lists(_FAULT, max_size=60)
_TO_HOST = st.lists(_FAULT | st.just("double"), max_size=60)


def scheduled(faults: list[str | tuple[int, int]]) -> Spoil:
    """The n-th line suffers the n-th fault; after the last one the wire is clean."""
    waiting = iter(faults)

    def spoil(line: bytes) -> bytes:
        match next(waiting, "-"):
            case "drop":
                return b""
            case "double":
                return line + line
            case "damage":
                return damaged(line, len(line) // 2, 0xFF)
            case (at, byte):
                return damaged(line, at, byte)
        return line

    return spoil


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_TO_PRINTER, _TO_HOST, st.sampled_from(sorted(QUIRKS)), st.integers(1, 4), st.sampled_from([None, 2, 4, 8]))
def test_no_schedule_of_faults_loses_or_doubles_or_swaps_a_command(
    to_printer: list[str | tuple[int, int]],
    to_host: list[str | tuple[int, int]],
    quirk: str,
    chunk: int,
    window: int | None,
) -> None:
    # The greeting is not the subject here: it may fail on such a line, and is then told as a failure. Lines that are
    # cut into pieces while several are in flight are in decision 0011.
    several = window is not None or QUIRKS[quirk].get("advanced_ok")
    wire = Wire(at_once(**QUIRKS[quirk]), chunk=1 << 16 if several else chunk, window=window)
    wire.run(until=lambda: wire.session.idle)
    wire.to_printer, wire.to_host = scheduled(to_printer), scheduled(to_host)
    if ended := send_all(wire, COMMANDS[:20]):
        # So much was lost on end that the printer had to be taken for dead; then that is told.
        assert [event.code for event in ended] == ["timeout"]
        assert arrived(wire) == COMMANDS[: len(arrived(wire))], "\n".join(wire.traffic())
    else:
        assert arrived(wire) == COMMANDS[:20], "\n".join(wire.traffic())


@pytest.mark.parametrize("way", ["to_printer", "to_host"])
def test_what_is_lost_on_the_way_to_or_from_a_quick_printer_costs_half_a_second(way: str) -> None:
    noise, lost = random.Random(3), [0]

    def drop(line: bytes) -> bytes:
        if noise.random() < 0.005 and (way == "to_printer" or line.startswith(b"ok")):
            lost[0] += 1
            return b""
        return line

    wire = Wire(at_once())
    wire.run(until=lambda: wire.session.idle)
    setattr(wire, way, drop)
    began, waiting = wire.now, deque(COMMANDS)
    wire.run(
        iter(lambda: waiting.popleft() if waiting else None, None), until=lambda: wire.session.idle and not waiting
    )
    assert arrived(wire) == COMMANDS
    assert lost[0] >= 5
    assert wire.now - began < 0.5 * lost[0]


def test_a_planner_full_of_slow_moves_is_hardly_ever_asked_again() -> None:
    noise = random.Random(1)
    slow = [f"G1 X{noise.uniform(0, 200):.2f} F{noise.choice((1200, 3000, 6000))}" for _ in range(200)]
    moves = [*slow, *(f"G1 X{n % 20 / 10} F3000" for n in range(300)), *slow]
    wire = Wire(VirtualPrinterOptions(boot_time=0.0))
    waiting = deque(moves)
    wire.run(
        iter(lambda: waiting.popleft() if waiting else None, None), until=lambda: wire.session.idle and not waiting
    )
    wire.run_for(60.0)  # What it has taken is not yet done.
    assert arrived(wire) == moves
    assert wire.session.figures.resends < 0.02 * len(moves)
