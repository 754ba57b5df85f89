"""Where the head has been, what it has used, and which layers there are."""

from __future__ import annotations

from itertools import pairwise
from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.gcodefile.analysis import Analysis, Box, Layer, Point
from limpet.gcodefile.reader import MAX_LAYERS, MAX_LINE
from tests.gcodefile.reading import picture, read

FILAMENT = pi * 1.75**2 / 4


def length(text: str, tool: int = 0) -> float:
    return read(text).summary.filament[tool].length


def test_what_octoprint_says_of_its_own_test_file() -> None:
    summary = read("G28\nG1 X10 Y10 F3000\nG1 X20 Y20 E1\n").summary
    assert summary.printing == Box(10, 10, 0, 20, 20, 0)
    assert summary.travel == Box(0, 0, 0, 20, 20, 0)
    assert summary.filament[0].length == 1.0
    assert summary.filament[0].volume == pytest.approx(FILAMENT / 1000)
    # OctoPrint leaves the acceleration out and says 0.566 s.
    assert 0.566 < summary.time < 0.7


def test_filament_is_what_was_pushed_and_not_pulled_back() -> None:
    assert length("M82\nG1 X1 E5\nG1 E3\nG1 E5\nG1 X9 E8\nG1 E2\n") == 8.0
    assert length("M83\nG1 X1 E5\nG1 E-2\nG1 E2\nG1 X9 E3\nG1 E-6\n") == 8.0


def test_g92_begins_to_count_anew() -> None:
    assert length("G1 X1 E5\nG92 E0\nG1 X2 E5\nG92 E100\nG1 X3 E101\n") == 11.0
    summary = read("G1 X50 Y50\nG92 X0 Y0\nG1 X10 Y10 E1\n").summary
    assert summary.printing == Box(50, 50, 0, 60, 60, 0)


def test_relative_moves_add_up() -> None:
    summary = read("G1 X50 Y50 Z1\nG91\nG1 X10 E1\nG1 Y10 E1\nG90\nG1 X0 Y0\n").summary
    assert summary.printing == Box(50, 50, 1, 60, 60, 1)
    assert summary.filament[0].length == 2.0


def test_with_g90_the_extruder_is_again_what_it_was() -> None:
    assert length("M83\nG90\nG1 X1 E5\nG1 X2 E5\n") == 10.0
    assert length("M82\nG1 X1 E5\nG91\nG1 E-2\nG90\nG1 X2 E5\n") == 5.0


def test_inches_are_made_millimetres() -> None:
    summary = read("G20\nG1 X1 Y1 F100\nG1 X2 E1\nG21\nG1 X0 E30.4\n").summary
    assert summary.printing == Box(0, 25.4, 0, 50.8, 25.4, 0)
    assert summary.filament[0].length == pytest.approx(30.4)


def test_each_tool_uses_its_own() -> None:
    text = "T0\nG1 X1 E5\nT1\nG92 E0\nG1 X2 E7\nT0\nG92 E0\nG1 X3 E1\nT99999999\nT77\nG1 X4 E2\n"
    filament = read(text).summary.filament
    assert {tool: used.length for tool, used in filament.items()} == {0: 7.0, 1: 7.0}


def test_with_volumetric_extrusion_e_is_cubic_millimetres() -> None:
    assert length("M200 D1.75\nM83\nG1 X1 E10\n") == pytest.approx(10 / FILAMENT)
    assert length("M200 D0\nM83\nG1 X1 E10\n") == 10.0


def test_an_arc_reaches_as_far_as_it_goes_round() -> None:
    box = read("G1 X0 Y0\nG3 X20 Y0 I10 J0 E1\n").summary.printing
    assert box is not None
    assert (box.min_x, box.max_x, box.max_y) == (0, 20, 0)
    assert box.min_y == pytest.approx(-10)
    box = read("G2 X20 Y0 I10 J0 E1\n").summary.printing
    assert box is not None
    assert (box.min_y, box.max_y) == (0, pytest.approx(10))


def test_homing_brings_the_axes_back() -> None:
    assert read("G1 X50 Y60 Z5\nG28 X\nG1 X10 E1\n").summary.printing == Box(0, 60, 5, 10, 60, 5)
    assert read("G1 X50 Y60 Z5\nG28\nG1 X10 E1\n").summary.printing == Box(0, 0, 0, 10, 0, 0)


def test_firmware_retraction_is_no_filament() -> None:
    summary = read("G1 X1 E5\nG10\nG1 X50\nG11\nG1 X51 E6\n").summary
    assert summary.filament[0].length == 6.0
    assert summary.moves == 5


@pytest.mark.parametrize(
    "line",
    [
        "G1 X10 Y20 E1 F3000",
        "G1 F3000 X10 Y20 E1",
        "N12 G1 X10 Y20 E1 F3000*97",
        "g1 x10 y20 e1 f3000",
        "G1X10Y20E1F3000",
        "  G01 Y20 X10 F3000.0 E1.0",
        "G1 X10. Y+20 E1 F3000 ; a comment",
        "G1 X10 Y20 E1 F3000\r",
    ],
)
def test_a_move_is_one_however_it_is_written(line: str) -> None:
    summary = read(f"{line}\n").summary
    assert summary.printing == Box(0, 0, 0, 10, 20, 0)
    assert summary.filament[0].length == 1.0
    assert summary.time == pytest.approx(read("G1 X10 Y20 E1 F3000\n").summary.time)


# -- layers --


def test_layers_are_where_the_slicer_says() -> None:
    text = "G1 Z5\n;LAYER_CHANGE\n;Z:0.2\nG1 Z0.2\nG1 X9 E1\n;LAYER_CHANGE\n;Z:0.45\nG1 Z.45\nG1 X0 E2\n"
    analysis = read(text)
    assert analysis.layers == (Layer(text.index(";LAYER"), 0.2), Layer(text.rindex(";LAYER"), 0.45))
    assert analysis.summary.layers == 2
    assert analysis.summary.height == 0.45


def test_where_the_slicer_does_not_say_z_it_is_that_of_the_first_line_printed() -> None:
    text = ";LAYER:0\nG0 X5 Z0.3\nG1 X9 E1\n;LAYER:1\nG0 Z2\nG0 Z.5\nG1 X0 E2\n;LAYER:2\nG1 X7 E3\n"
    assert [layer.z for layer in read(text).layers] == [0.3, 0.5, 0.5]


def test_without_comments_a_layer_is_where_something_is_printed_at_another_height() -> None:
    text = "G1 Z0.2\nG1 X9 E1\nG1 Z0.8\nG1 X1\nG1 Z0.4\nG1 X5 E2\nG1 Z0.41 X7 E3\n"
    layers = read(text).layers
    assert [layer.z for layer in layers] == [0.2, 0.4]
    assert [text[layer.byte :][:5] for layer in layers] == ["G1 X9", "G1 X5"]


def test_the_table_of_layers_has_an_end() -> None:
    assert len(read(";LAYER:1\n" * (MAX_LAYERS + 10)).layers) == MAX_LAYERS


def test_a_layer_is_found_by_its_byte() -> None:
    analysis = Analysis(layers=(Layer(10, 0.2), Layer(30, 0.4)))
    assert [analysis.layer_at(byte) for byte in (0, 10, 29, 30, 99)] == [None, 0, 0, 1, 1]


# -- time that is left --


def test_m73_tells_how_much_time_is_left() -> None:
    text = "M73 P0 R62\nG1 X9\nM73 P1 R62\nM73 Q1 S70\nG1 X5\nM73 P3 R61\n"
    analysis = read(text)
    assert analysis.left == (Point(11, 62 * 60), Point(len(text), 61 * 60))
    assert analysis.summary.time_left == 62 * 60
    assert (analysis.summary.estimate, analysis.summary.estimate_origin) == (62 * 60, "m73")


def test_cura_tells_how_much_time_is_done() -> None:
    text = ";TIME:100\n;LAYER:0\nG1 X9\n;TIME_ELAPSED:40.5\n;LAYER:1\n;TIME_ELAPSED:95\n"
    assert [point.seconds for point in read(text).left] == [59.5, 5.0]


# -- whatever may be in a file --

_LINES = st.one_of(
    st.sampled_from(
        [
            *(
                "G1 X1e400 Y10",
                "G1 Xnan",
                "G1 Xinf E1",
                "G1 X-",
                "G1 X1.2.3 Y4",
                "G1 F0",
                "G1 F-5 X9",
                "G92 E",
                "G4 P-1",
            ),
            *("G2 X1 I0 J0", "G3 I5 J5 E1", "G2 X5 R0", "G2 X9 R1", "T999999999999", "T-1", "M200 D0.0001", "M220 S0"),
            *("M201 X0 Y0", "M203 X0", "M204 S0", "M205 J99999999999", "G20", "G91", "G90", "M83", "M82", "G10", "G11"),
            *("M207 S999999999999 F0", "G1 X999999999999 F.0000000001", "G28 X", "G92 X5 Y-5", "G4 S999999999999"),
            *(
                ";LAYER:1",
                ";Z:",
                ";Z:0.2",
                ";TIME:99999999999999",
                "; thumbnail begin 16x16 99",
                "; thumbnail end",
                ";",
            ),
            *(
                "; thumbnail begin 0x0 1",
                "; QUJD",
                "; !!!",
                "M73 P1 R-5",
                "M73 R99999999999",
                ";TIME_ELAPSED:1",
                ";:=,",
            ),
            "SET_VELOCITY_LIMIT ACCEL=0",
        ]
    ).map(str.encode),
    st.builds("G1 X{} Y{} E{}".format, *[st.floats()] * 3).map(str.encode),
    st.builds("G1 X{:.3f} Y{:.3f} Z{:.2f} E{:.5f} F{}".format, *[st.floats(-500, 500)] * 4, st.integers(1, 9999)).map(
        str.encode
    ),
    st.binary(max_size=40),
)


@given(st.lists(_LINES, max_size=60), st.integers(1, 50), st.booleans())
def test_nothing_in_a_file_raises_and_blocks_do_not_matter(lines: list[bytes], block: int, ends: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    whole = read(data)
    assert whole == read(data, block=block)
    summary = whole.summary
    assert 0.0 <= summary.time < float("inf")
    assert all(a.seconds <= b.seconds and a.byte < b.byte for a, b in pairwise(whole.done))
    assert whole.done[-1] == Point(len(data), summary.time)


def test_a_line_without_end_is_passed_over() -> None:
    text = "G1 X1\nG1 X2" + "9" * (3 * MAX_LINE) + "\nG1 X3 E1\n"
    whole = read(text)
    assert whole.summary.moves == 2
    assert whole == read(text, block=1000) == read(text, block=MAX_LINE)


def test_a_long_line_is_passed_over_however_it_arrives() -> None:
    for over in (-1, 0, 1, 2):
        text = "G1 X5 E1 ;" + "c" * (MAX_LINE - 10 + over) + "\nG1 X9 E2\n"
        assert read(text) == read(text, block=777) == read(text, block=len(text) - 12)


def test_a_last_line_without_an_end_counts() -> None:
    assert read("G1 X5 E1").summary == read("G1 X5 E1\n").summary


def test_an_empty_file_has_no_moves() -> None:
    summary = read("").summary
    assert (summary.moves, summary.time, summary.estimate, summary.printing) == (0, 0.0, None, None)


def test_a_picture_among_moves_changes_nothing_about_them() -> None:
    moves = "G1 X5 E1\nG1 X9 E2\n"
    assert read(picture() + moves).summary.time == read(moves).summary.time
