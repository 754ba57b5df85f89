"""Names of files on a card."""

from __future__ import annotations

import pytest

from limpet.printer.card_files import card_file, new_name, path_on_card

FILES = {
    "SQUARE.GCO": (74, None),
    "CALIBR~1.GCO": (1480, "calibration cube v2.gcode"),
    "SUB/TINY.GCO": (17, "TINY.GCO"),
}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("SQUARE.GCO", "SQUARE.GCO"),
        ("/sub/tiny.gco", "SUB/TINY.GCO"),
        ("Calibration Cube v2.gcode", "CALIBR~1.GCO"),
        ("sub/Calibration Cube v2.gcode", None),
        ("tiny.gco", None),
        ("nope", None),
        ("", None),
    ],
)
def test_a_path_is_found_in_large_and_small_letters(name: str, path: str | None) -> None:
    assert path_on_card(FILES, name) == path


def test_a_long_name_that_two_files_have_is_no_path_of_either() -> None:
    twins = {
        "PART~1.GCO": (1, "part of a part.gco"),
        "PART~2.GCO": (1, "Part of a part.gco"),
        "A.GCO": (1, "PART~1.GCO"),
    }
    assert path_on_card(twins, "part of a part.gco") is None
    assert path_on_card(twins, "part~1.gco") == "PART~1.GCO"


@pytest.mark.parametrize(
    ("name", "path", "size", "display"),
    [
        ("square.gco", "SQUARE.GCO", 74, "SQUARE.GCO"),
        ("TINY.GCO", "SUB/TINY.GCO", 17, "TINY.GCO"),
        ("Calibration Cube v2.gcode", "CALIBR~1.GCO", 1480, "calibration cube v2.gcode"),
        ("NEW.GCO", "NEW.GCO", 5, "NEW.GCO"),
        (None, "", 5, "a file on the card"),
    ],
)
def test_a_file_is_known_by_what_the_printer_calls_it(name: str | None, path: str, size: int, display: str) -> None:
    file = card_file(FILES, name, size=5)

    assert (file.origin, file.path, file.size, file.display) == ("sdcard", path, size, display)


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("cube.gcode", "cube.gco", "cube.gcode"),
        ("a/Square.gco", "square~1.gco", "Square_1.gco"),
        ("Calibration Cube v2.gcode", "calibr~1.gco", "Calibration Cube v2_1.gcode"),
        ("Käse*?.g", "kase.g", "Kase__.g"),
        ("立方体.gcode", "file.gco", "file.gcode"),
        ("x" * 200 + ".gcode", "xxxxxx~1.gco", "x" * 50 + ".gcode"),
    ],
)
def test_a_new_file_has_a_name_that_the_card_can_keep_and_does_not_have(name: str, short: str, long: str) -> None:
    assert new_name(name, FILES, long_names=False) == (short if short != "calibr~1.gco" else "calibr~2.gco")
    assert new_name(name, FILES, long_names=True) == long
