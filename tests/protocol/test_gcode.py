"""What a person at the controls asks for, as the bytes that the printer is to get."""

from __future__ import annotations

import pytest

from limpet.protocol import gcode


def lines(*commands: str) -> bytes:
    """The commands as bytes, without numbers and checksums."""
    return "\n".join(commands).encode()


def test_a_jog_is_relative_and_leaves_the_printer_absolute() -> None:
    sent = lines(*gcode.jog({"x": 10, "y": -0.5, "z": 0}, relative=True, speed=3000))
    assert sent == b"G91\nG1 X10 Y-0.5 Z0 F3000\nG90"


def test_a_jog_to_a_place_is_absolute() -> None:
    assert gcode.jog({"x": 10.25}, relative=False, speed=None) == ("G90", "G1 X10.25")


@pytest.mark.parametrize(
    ("axes", "command"),
    [(["x"], "G28 X0"), (["y", "x"], "G28 X0 Y0"), (["z", "z"], "G28 Z0"), (["x", "y", "z"], "G28")],
)
def test_some_axes_are_homed_by_name_and_all_together(axes: list[str], command: str) -> None:
    assert gcode.home(axes) == command


@pytest.mark.parametrize(
    ("heater", "only_tool", "command"),
    [
        ("tool0", True, "M104 S205"),
        ("tool0", False, "M104 T0 S205"),
        ("tool1", False, "M104 T1 S205"),
        ("bed", True, "M140 S205"),
        ("chamber", False, "M141 S205"),
    ],
)
def test_a_target_is_set_without_waiting_for_it(heater: str, only_tool: bool, command: str) -> None:
    assert gcode.set_target(heater, 205, only_tool=only_tool) == command


def test_filament_is_pushed_and_pulled_by_so_much() -> None:
    assert lines(*gcode.extrude(-2.5, 300)) == b"G91\nM83\nG1 E-2.5 F300\nM82\nG90"


def test_factors_are_in_percent_and_a_tool_is_a_word() -> None:
    assert lines(gcode.feedrate(105), gcode.flowrate(95), gcode.select_tool(1)) == b"M220 S105\nM221 S95\nT1"


@pytest.mark.parametrize(
    ("value", "text"), [(0.1 + 0.2, "0.3"), (1e-7, "0"), (-1e-7, "0"), (100000.0, "100000"), (0.00012, "0.0001")]
)
def test_numbers_have_no_exponent_and_no_noise(value: float, text: str) -> None:
    assert gcode.set_target("bed", value, only_tool=True) == f"M140 S{text}"


def test_long_names_are_asked_of_firmware_that_tells_them() -> None:
    assert gcode.list_card({}) == gcode.list_card({"EXTENDED_M20": False}) == "M20"
    assert gcode.list_card({"EXTENDED_M20": True}) == "M20 L"
