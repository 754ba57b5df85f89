"""The list of files on the printer's card, as real firmware tells it, and as a session takes it."""

from __future__ import annotations

import pytest

from limpet.protocol.card_list import MAX_FILES, CardList
from limpet.protocol.events import Acknowledged, CardGone, CardListed, CardReady, Event, TemperaturesReported
from limpet.protocol.replies import events_of
from tests.protocol.recordings import FOLDER, read


def listed(*lines: str) -> list[Event]:
    """The events of what a list says between its first and its last line."""
    card_list = CardList()
    told = [card_list.read(line) for line in ("Begin file list", *lines, "End file list")]
    return [event for events in told for event in events or ()]


def lists_in(recording: str) -> list[Event]:
    """All lists in a recording, and what their lines would be if they were none."""
    card_list, found = CardList(), []
    for spoken in read(FOLDER / f"{recording}.txt"):
        if spoken.direction == "<":
            for line in spoken.data.decode().splitlines():
                found += [event for event in card_list.read(line) or () if isinstance(event, CardListed)]
    return found


LONG = {
    "SUB/TINY.GCO": (16, "TINY.GCO"),
    "SQ~1.GCO": (3424, "sq.gcode"),
    "ALONGF~1.GCO": (3424, "A long file name v2.gcode"),
}
SHORT = {path: (size, None) for path, (size, _) in LONG.items()}


@pytest.mark.parametrize(
    ("recording", "lists"),
    [
        ("klipper", [{"tiny.gcode": (350, None)}]),
        ("prusa-firmware-3.9.3-mk3s", [{}]),
        ("marlin-2.0.9", [SHORT, SHORT]),
        ("marlin-bugfix-2.1.x-all-options", [SHORT, LONG, SHORT, LONG]),
    ],
)
def test_what_real_firmware_lists_is_read(recording: str, lists: list[dict[str, tuple[int, str | None]]]) -> None:
    assert lists_in(recording) == [CardListed(each) for each in lists]


@pytest.mark.parametrize(
    ("line", "path", "size", "long_name"),
    [
        ("SQUARE.GCO", "SQUARE.GCO", None, None),
        ("/SQUARE.GCO 12", "SQUARE.GCO", 12, None),
        ("my best v1.2 part.gcode 350", "my best v1.2 part.gcode", 350, None),
        ("my part.gcode", "my part.gcode", None, None),
        ("Resend 3.gcode 350", "Resend 3.gcode", 350, None),
        ("ok.gco 12", "ok.gco", 12, None),
        ('CALIBR~1.GCO 12 "calibration cube v2.gcode"', "CALIBR~1.GCO", 12, "calibration cube v2.gcode"),
        ("NEWFI~22.GCO 7 0x5D764408 /new file.gcode", "NEWFI~22.GCO", 7, "new file.gcode"),
    ],
)
def test_a_file_is_read_however_it_is_told(line: str, path: str, size: int | None, long_name: str | None) -> None:
    assert listed(line) == [CardListed({path: (size, long_name)})]


@pytest.mark.parametrize(
    "line", ["ok T:21.3 /0.0 B:20.0 /0.0", "echo:busy: processing", 'DIR_ENTER: /SUB/ "Sub"', "wait", ""]
)
def test_what_comes_between_the_files_is_none(line: str) -> None:
    card_list = CardList()
    card_list.read("Begin file list")
    assert card_list.read(line) is None
    assert card_list.read("End file list") == (CardListed({}),)


def test_a_list_without_an_end_is_none() -> None:
    card_list = CardList()
    card_list.read("Begin file list")
    card_list.read("A.GCO 1")
    assert card_list.read("ok") is None
    assert card_list.read("B.GCO 1") is None
    assert card_list.read("End file list") is None


def test_a_card_with_too_many_files_fills_no_memory() -> None:
    (event,) = listed(*(f"F{number}.GCO 1" for number in range(MAX_FILES + 10)))
    assert isinstance(event, CardListed)
    assert len(event.files) == MAX_FILES


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("echo:SD card ok", CardReady()),
        ("SD card ok", CardReady()),
        ("echo:SD init fail", CardGone()),
        ("echo:No SD card", CardGone()),
        ("echo:No media", CardGone()),
        ("echo:SD card released", CardGone()),
    ],
)
def test_the_printer_says_whether_it_has_a_card(line: str, event: Event) -> None:
    assert events_of(line) == (event,)


def test_outside_of_a_list_a_line_is_what_it_always_is() -> None:
    assert CardList().read("A.GCO 1") is None
    assert events_of("ok") == (Acknowledged(),)
    assert isinstance(events_of("T:1 /2")[0], TemperaturesReported)
