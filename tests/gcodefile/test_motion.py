"""The motion model beside trapezoids that are reckoned by hand."""

from __future__ import annotations

from itertools import pairwise
from math import pi, sqrt

import pytest

from tests.gcodefile.reading import read

EVEN = "M204 P1000 T1000\nM203 X500 Y500 Z500\nM201 X5000 Y5000 Z5000\nM205 X8 Y8 Z8 E3\n"
"""1000 mm/s², a jerk of 8 mm/s."""


def seconds(moves: str, limits: str = EVEN) -> float:
    return read(limits + moves).summary.time


def test_a_long_move_speeds_up_goes_even_and_slows_down() -> None:
    # 100 ms up to 100 mm/s and 100 ms down again; each takes 5 mm.
    expected = 0.1 + 0.1 + (100 - 5.0 - 5.0) / 100
    assert seconds("G1 X100 F6000\n") == pytest.approx(expected, rel=1e-9)


def test_a_short_move_never_reaches_its_speed() -> None:
    # Faster for half a millimetre: v² = 2·1000·0.5
    peak = sqrt(2 * 1000 * 0.5)
    assert seconds("G1 X1 F60000\n") == pytest.approx(2 * peak / 1000, rel=1e-9)


def test_moves_in_one_line_are_as_fast_as_one_move() -> None:
    pieces = "".join(f"G1 X{x} F6000\n" for x in range(1, 101))
    assert seconds(pieces) == pytest.approx(seconds("G1 X100 F6000\n"), rel=1e-9)


def test_at_a_right_angle_each_axis_jumps_by_its_jerk() -> None:
    # 8 mm/s at the corner: from 100 mm/s to there it takes 92 ms and 4.968 mm.
    leg = 0.1 + 0.092 + (100 - 5.0 - 4.968) / 100
    assert seconds("G1 X100 F6000\nG1 Y100\n") == pytest.approx(2 * leg, rel=1e-9)


def test_a_junction_deviation_takes_the_place_of_the_jerk() -> None:
    # sqrt(a·d·s / (1 - s)) with s = sqrt(1/2) at a right angle.
    half = sqrt(0.5)
    corner = sqrt(1000 * 0.05 * half / (1 - half))
    leg = (2 * 100 - corner) / 1000 + (100 - (2 * 1e4 - corner**2) / 2000) / 100
    assert seconds("M205 J0.05\nG1 X100 F6000\nG1 Y100\n") == pytest.approx(2 * leg, rel=1e-9)


def test_the_printer_slows_down_long_before_a_corner() -> None:
    # Ten short moves towards a way back: it must be slow at the end of all of them together.
    there = "".join(f"G1 X{x / 10} F60000\n" for x in range(1, 11))
    assert seconds(there + "G1 X0\n") == pytest.approx(seconds("G1 X1 F60000\nG1 X0\n"), rel=1e-9)


def test_waiting_counts_and_the_printer_stands_still_for_it() -> None:
    assert seconds("G1 X100 F6000\nG4 S2\nG4 P500\n") == pytest.approx(seconds("G1 X100 F6000\n") + 2.5)


def test_heating_does_not_count() -> None:
    assert seconds("M140 S60\nM190 S60\nM109 S210\nG1 X100 F6000\n") == pytest.approx(seconds("G1 X100 F6000\n"))


def test_the_feed_rate_factor_and_the_limits_of_the_axes_hold() -> None:
    assert seconds("M220 S50\nG1 X100 F6000\n") == pytest.approx(seconds("G1 X100 F3000\n"))
    assert seconds("M203 X50 Y50\nG1 X100 F6000\n") == pytest.approx(seconds("G1 X100 F3000\n"))
    assert seconds("M203 Z5\nG1 Z10 F6000\n") == pytest.approx(seconds("G1 Z10 F300\n"))
    assert seconds("M201 X100 Y100\nG1 X100 F6000\n") > seconds("G1 X100 F6000\n")


def test_printing_and_travelling_have_accelerations_of_their_own() -> None:
    printing, travel = "G1 X100 E5 F6000\n", "G1 X100 F6000\n"
    assert seconds("M204 P200 T2000\n" + printing) > seconds("M204 P200 T2000\n" + travel)
    assert seconds("M204 S500\n" + printing) == pytest.approx(seconds("M204 S500\n" + travel))


def test_a_retraction_takes_its_time() -> None:
    # 2 mm at 40 mm/s: 40 ms and 0.8 mm up, and the same down.
    expected = 0.04 + 0.04 + (2 - 2 * 0.8) / 40
    assert seconds("G1 E-2 F2400\n") == pytest.approx(expected, rel=1e-9)


def test_an_arc_is_as_long_as_its_way_round() -> None:
    # Half a circle of 20 mm, at 20 mm/s: 20 ms and 0.2 mm up, and the same down.
    way = 10 * pi
    expected = 0.02 + 0.02 + (way - 2 * 0.2) / 20
    assert seconds("G3 X20 Y0 I10 J0 F1200\n") == pytest.approx(expected, rel=1e-9)
    assert seconds("G3 X20 Y0 R10 F1200\n") == pytest.approx(expected, rel=1e-9)


def test_klipper_sets_its_limits_by_a_command_of_its_own() -> None:
    klipper = seconds("SET_VELOCITY_LIMIT ACCEL=500 SQUARE_CORNER_VELOCITY=4\nG1 X100 F6000\nG1 Y100\n")
    assert klipper == pytest.approx(seconds("M204 P500 T500\nM205 X4 Y4\nG1 X100 F6000\nG1 Y100\n"))


def test_the_table_of_times_is_in_order_and_ends_with_the_file() -> None:
    text = EVEN + "".join(f"G1 X{number % 50} Y{number % 70} E{number} F6000\n" for number in range(30_000))
    analysis = read(text)
    done = analysis.done
    assert done[0].byte == 0
    assert done[0].seconds == 0
    assert done[-1].byte == len(text)
    assert done[-1].seconds == analysis.summary.time
    assert all(a.byte < b.byte and a.seconds <= b.seconds for a, b in pairwise(done))
    assert 400 <= len(done) <= 1001
