from __future__ import annotations

import pytest

from limpet.gcodefile.resume import Place, ResumePoint, find

FILE = b"""\
; a part
M104 S210 ; hot
M140 S60
G28
G90
M83
G1 X10 Y10 Z0.2 F3000
M106 S128
G1 X20 Y10 E1.5
G1 X20 Y20 E1.5
M106 S255
G1 X10 Y20 E1.5 F1200
""".splitlines(keepends=True)


def test_the_place_is_the_first_line_that_leads_there() -> None:
    point = find(FILE, {"X": 20, "Y": 20, "Z": 0.2, "E": 3.0}, first=9, last=100)

    assert point == ResumePoint(
        position=sum(map(len, FILE[:10])),
        line=10,
        targets={"tool0": 210, "bed": 60},
        fans=["M106 S128"],
        relative_e=True,
        speed=3000,
    )


def test_a_printer_that_was_restarted_is_nowhere_in_the_file() -> None:
    assert find(FILE, {"X": 0, "Y": 0, "Z": 0, "E": 0}, first=1, last=100) is None


def test_what_comes_before_the_last_line_that_arrived_is_not_gone_back_to() -> None:
    assert find(FILE, {"X": 20, "Y": 10, "Z": 0.2, "E": 1.5}, first=10, last=100) is None


def test_what_comes_long_after_it_is_not_believed() -> None:
    assert find(FILE, {"X": 10, "Y": 20, "Z": 0.2, "E": 4.5}, first=7, last=9) is None


def test_without_a_move_since_homing_nobody_knows_where_it_is() -> None:
    assert find([b"G28\n"], {"X": 0, "Y": 0, "Z": 0, "E": 0}, first=1, last=1) is None


@pytest.mark.parametrize(
    ("lines", "axes"),
    [
        (["G91", "G1 X1", "G1 X1 Y2"], {}),
        (["G92", "G91", "G1 X1 Y2 Z3 E4"], {"X": 1, "Y": 2, "Z": 3, "E": 4}),
        (["G20", "G1 X1 Y1 Z1 E1"], {"X": 25.4, "Y": 25.4, "Z": 25.4, "E": 25.4}),
        (["G1 X1 Y1 Z1 E5", "G92 E0", "G1 E1"], {"X": 1, "Y": 1, "Z": 1, "E": 1}),
        (["G1 X1 Y1 Z1 E5", "G28 Z"], {"X": 1, "Y": 1, "E": 5}),
        (["G1 X1 Y1 Z1 E5", "M83", "G1 E1", "M82", "G1 E2"], {"X": 1, "Y": 1, "Z": 1, "E": 2}),
        (["G2 X3 Y4 I1 J1"], {"X": 3, "Y": 4}),
        (["T99", "garbage", "", "G1", "\x00\xff"], {}),
    ],
)
def test_the_head_is_followed_as_marlin_reads_it(lines: list[str], axes: dict[str, float]) -> None:
    place = Place()
    for line in lines:
        place.take(line)
    assert {axis: value for axis, value in place.axes.items() if axis != "E" or "E" in axes} == axes
