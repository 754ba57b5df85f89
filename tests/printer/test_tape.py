"""What is read of a file: its commands, and where each one ends."""

from __future__ import annotations

import pytest

from limpet.printer.tape import LOW, MAX_LINE, BadFile, Tape


def read(content: bytes, block: int = 1 << 16) -> list[str]:
    """All commands of a file that is read in blocks of this size."""
    return [text for text, _, _ in places(content, block)]


def places(content: bytes, block: int = 1 << 16) -> list[tuple[str, int, int]]:
    """Each command with the position and the line where it ends."""
    tape, given = Tape(), []
    for start in range(0, len(content) + block, block):
        tape.feed(content[start : start + block])
        while (text := tape.next()) is not None:
            given.append((text, tape.position, tape.line))
    assert tape.ended
    assert tape.position == len(content)
    return given


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 16])
@pytest.mark.parametrize(
    ("content", "commands"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b"; all\n;of it\n  ; are words", []),
        (b"G28\nG1 X1\n", ["G28", "G1 X1"]),
        (b"G28\r\nG1 X1\r\n", ["G28", "G1 X1"]),
        (b"G28\nG1 X1", ["G28", "G1 X1"]),
        (b"  G28 ; home\n\tG1 X1 Y2;then\n", ["G28", "G1 X1 Y2"]),
        (b"N1 G28*18\nN2 G1 X1*96\nn 3 M105 * 37\n", ["G28", "G1 X1", "M105"]),
        (b"N4 ; nothing\nN5\n", []),
        (b"M117 5 * 3\n", ["M117 5 * 3"]),
        (b"\xef\xbb\xbf;FLAVOR\nG28\n", ["G28"]),
        (b"\xef\xbb\xbfG28\n", ["G28"]),
        ("M117 Größe\n".encode(), ["M117 Größe"]),
        (b"M117 Gr\xf6\xdfe\n", ["M117 Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"]),
    ],
)
def test_a_file_is_given_out_as_its_commands_however_it_is_cut(content: bytes, commands: list[str], block: int) -> None:
    assert read(content, block) == commands


def test_a_command_knows_where_it_ends_in_the_file() -> None:
    assert places(b"; head\n\nG28\nG1 X1") == [("G28", 12, 3), ("G1 X1", 17, 4)]


@pytest.mark.parametrize("content", [b"GCDE\1\0\0\0", b"G28\n\0\0\0", "G28\n".encode("utf-16")])
def test_what_is_no_text_is_refused_before_anything_is_given_out(content: bytes) -> None:
    with pytest.raises(BadFile, match="no G-code in text form"):
        Tape().feed(content)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"M117 " + 300 * b"x", "line 2 cannot be sent: a command is at most 256 bytes"),
        (b"M117 \x07", "line 2 cannot be sent: a command is one line without control characters"),
        (b"G28\rG1 X1", "line 2 cannot be sent: a command is one line without control characters"),
    ],
)
def test_a_line_that_no_printer_would_take_is_named(line: bytes, why: str) -> None:
    tape = Tape()
    tape.feed(b"G28\n" + line + b"\n")
    assert tape.next() == "G28"
    with pytest.raises(BadFile) as caught:
        tape.next()
    assert str(caught.value) == why


def test_a_long_comment_is_no_harm() -> None:
    assert read(b"; thumbnail " + (1 << 17) * b"x" + b"\nG28\n") == ["G28"]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    tape = Tape()
    tape.feed(b"G28\n;" + MAX_LINE // 2 * b"x")
    with pytest.raises(BadFile, match=f"line 2 is longer than {MAX_LINE} bytes"):
        tape.feed(b"x" * MAX_LINE)


def test_more_is_wanted_while_little_is_left_and_nothing_after_the_end() -> None:
    tape = Tape()
    assert tape.wants_data
    tape.feed((LOW + 1) * b"G1\n")
    assert not tape.wants_data
    tape.next()
    tape.next()
    assert tape.wants_data
    tape.feed(b"")
    assert not tape.wants_data
    assert not tape.ended
