import pytest

from limpet.protocol.commands import MAX_COMMAND_LENGTH, checksum, clean, code_of, is_emergency_stop, number_line


def test_a_line_has_a_number_and_the_xor_of_what_stands_before_the_star() -> None:
    # As real hosts send it and real firmware takes it (tests/transcripts).
    assert number_line(0, "M110 N0") == b"N0 M110 N0*125\n"
    assert number_line(1, "M105") == b"N1 M105*38\n"
    assert number_line(1, "G4 P50 X1.2345 Y6.7890") == b"N1 G4 P50 X1.2345 Y6.7890*89\n"


def test_the_checksum_covers_the_bytes_and_not_the_characters() -> None:
    body = "N7 M117 café".encode()
    assert number_line(7, "M117 café") == body + b"*%d\n" % checksum(body)


def test_comments_and_outer_blanks_are_not_sent() -> None:
    assert clean("  G1 X1 ; to the right") == "G1 X1"
    assert clean("; only a comment") == ""


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("N1 M112*32", "M112"),
        ("n12 G1 X1 * 7 ; to the right", "G1 X1"),
        ("N3G28", "G28"),
        ("N4", ""),
        ("NEXT_LAYER N=4", "NEXT_LAYER N=4"),
        ("M117 2*3", "M117 2*3"),
    ],
)
def test_the_number_of_a_line_goes_and_its_checksum_with_it(line: str, command: str) -> None:
    assert clean(line) == command


@pytest.mark.parametrize(
    "command", ["M112", " m112 ; now", "N1 M112*32", "n7m112", "M 112", "M0112", "M112 P0", "M112*35", "M112;"]
)
def test_an_emergency_stop_is_known_however_it_is_written(command: str) -> None:
    assert is_emergency_stop(command)


@pytest.mark.parametrize("command", ["M1120", "M112.1", "G1 M112", "M117 M112", "N112", "; M112", "M12", ""])
def test_what_is_no_emergency_stop_is_not_taken_for_one(command: str) -> None:
    assert not is_emergency_stop(command)


@pytest.mark.parametrize("command", ["G1 X1\nM112", "G1\rX1", "M117 \x00", ";\nM112", "G1 X1 ; to the right\rM112"])
def test_a_command_cannot_smuggle_in_a_second_one(command: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        clean(command)


def test_a_command_has_a_limit() -> None:
    assert clean("M117 " + "x" * (MAX_COMMAND_LENGTH - 5))
    with pytest.raises(ValueError, match="256 bytes"):
        clean("M117 " + "x" * MAX_COMMAND_LENGTH)


@pytest.mark.parametrize(
    ("command", "code"),
    [("G1 X1", "G1"), ("m109 S200", "M109"), ("T0", "T0"), ("G38.2 Z1", "G38.2"), ("hello", ""), ("", "")],
)
def test_the_code_is_read_from_the_front(command: str, code: str) -> None:
    assert code_of(command) == code
