"""A snapshot in OctoPrint's words, as `/api/printer`, `/api/job` and the push tell it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from msgspec import structs

from limpet.errors import Fault
from limpet.gcodefile.analysis import Analysis, Filament, Said, Summary
from limpet.printer.print import FileFacts, Phase, Print, SelectedFile
from limpet.printer.state import ConnectionFailed, Snapshot, State
from limpet.web.shapes import heaters, job, progress, state_flags, state_info, state_text

ON_CARD = SelectedFile(origin="sdcard", path="A.GCO", name="A.GCO", display="a.gcode", size=200)
PRINT = Print(file=ON_CARD, phase=Phase.PRINTING, started_at=0.0, position=50, elapsed=7.5)
PRINTING = Snapshot(state=State.OPERATIONAL, print=PRINT)


def flags(snapshot: Snapshot) -> set[str]:
    return {name for name, is_set in msgspec.structs.asdict(state_flags(snapshot)).items() if is_set}


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (Snapshot(), {"closedOrError"}),
        (Snapshot(state=State.OFFLINE_AFTER_ERROR), {"closedOrError"}),
        (Snapshot(state=State.DETECTING), set()),
        (Snapshot(state=State.CONNECTING), set()),
        (Snapshot(state=State.OPERATIONAL), {"operational", "ready"}),
        (Snapshot(state=State.OPERATIONAL, sd_ready=True), {"operational", "ready", "sdReady"}),
        (replace(PRINTING, sd_ready=True), {"operational", "printing", "sdReady"}),
    ],
)
def test_the_flags_are_those_of_the_state(snapshot: Snapshot, expected: set[str]) -> None:
    assert flags(snapshot) == expected


def test_a_print_from_the_card_is_told() -> None:
    assert state_text(PRINTING) == "Printing from SD"
    assert msgspec.to_builtins(progress(PRINTING)) == {
        "completion": 25.0,
        "filepos": 50,
        "printTime": 7,
        "printTimeLeft": None,
        "printTimeLeftOrigin": None,
    }


def test_a_file_of_no_bytes_is_no_division_by_zero() -> None:
    empty = structs.replace(PRINT, file=structs.replace(ON_CARD, size=0))

    assert progress(replace(PRINTING, print=empty)).completion is None


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        (Phase.STARTING, "Starting to send file to SD"),
        (Phase.PRINTING, "Sending file to SD"),
        (Phase.CANCELLING, "Cancelling"),
    ],
)
def test_a_transfer_is_told(phase: Phase, text: str) -> None:
    transfer = replace(PRINTING, print=structs.replace(PRINT, phase=phase, source="a.gcode"))

    assert state_text(transfer) == text
    assert "printing" in flags(transfer)
    assert job(transfer).file.path == "A.GCO"


def test_the_error_is_told_with_the_state() -> None:
    failed = ConnectionFailed(Fault("unplugged", "It has gone away", ""), 0.0)

    assert state_info(Snapshot(state=State.OFFLINE_AFTER_ERROR, failure=failed)).error == "It has gone away"
    assert state_info(Snapshot()).error == ""


def test_the_selected_file_is_the_job() -> None:
    file = SelectedFile(origin="local", path="a/b.gcode", name="b.gcode", display="B", size=3, date=9, user="me")
    told = msgspec.to_builtins(job(Snapshot(selected=file)))

    assert told["file"] == {
        "name": "b.gcode",
        "path": "a/b.gcode",
        "display": "B",
        "origin": "local",
        "size": 3,
        "date": 9,
    }
    assert told["user"] == "me"
    assert set(msgspec.to_builtins(job(Snapshot()))["file"].values()) == {None}


def test_heaters_are_told_with_both_temperatures() -> None:
    told = msgspec.to_builtins(heaters({"tool0": (21.3, 0.0), "chamber": (None, None)}))

    assert told == {"tool0": {"actual": 21.3, "target": 0.0}, "chamber": {"actual": None, "target": None}}


FILE = SelectedFile(origin="local", path="a.gcode", name="a.gcode", display="a.gcode", size=200)


def test_what_is_known_of_the_selected_file_is_told() -> None:
    summary = Summary(moves=1, time=90.0, said=Said(time=100.0), filament={0: Filament(1000.0, 2.4)})
    facts = FileFacts(analysis=Analysis(summary=summary), past=(110.0, 130.0), average=115.0)

    told = job(Snapshot(selected=FILE, facts=facts))

    assert (told.estimatedPrintTime, told.averagePrintTime, told.lastPrintTime) == (100.0, 115.0, 130.0)
    assert msgspec.to_builtins(told.filament) == {"tool0": {"length": 1000.0, "volume": 2.4}}
    assert job(Snapshot(selected=FILE)).filament is None


def test_the_time_left_and_the_layer_are_told_with_the_progress() -> None:
    at = Print(
        file=FILE,
        phase=Phase.PRINTING,
        started_at=1.0,
        position=50,
        elapsed=30.9,
        left=89.6,
        left_origin="mixed-analysis",
        layer=2,
        layers=7,
        z=0.4,
    )
    assert msgspec.to_builtins(progress(Snapshot(state=State.OPERATIONAL, print=at))) == {
        "completion": 25.0,
        "filepos": 50,
        "printTime": 30,
        "printTimeLeft": 90,
        "printTimeLeftOrigin": "mixed-analysis",
        "layer": 2,
        "layers": 7,
        "z": 0.4,
    }
