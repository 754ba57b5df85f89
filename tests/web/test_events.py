"""What happens to a printer, in OctoPrint's events."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from limpet.errors import Fault
from limpet.gcodefile.analysis import Summary
from limpet.printer.print import (
    Outcome,
    Phase,
    PhaseChanged,
    Print,
    PrintEnded,
    PrintProgressed,
    SelectedFile,
    TransferEnded,
)
from limpet.printer.state import (
    AnalysisFinished,
    AnalysisStarted,
    ConnectionFailed,
    FileDeselected,
    FilesChanged,
    FileSelected,
    FilesMoved,
    FileUploaded,
    ProfileChanged,
    SettingsChanged,
    Snapshot,
    State,
    StateChanged,
    apply,
)
from limpet.protocol.events import (
    CardListed,
    Event,
    FirmwareIdentified,
    LineReceived,
    PositionReported,
    PrinterRestarted,
    SessionOpened,
)
from limpet.web.analysis import analysis_of
from limpet.web.events import events_of

PORT: dict[str, Any] = {"port": "/dev/ttyACM0", "baudrate": 250000}
OPENED = [
    StateChanged(State.OPENING, **PORT),
    StateChanged(State.CONNECTING, **PORT),
    FirmwareIdentified("Marlin", {"FIRMWARE_NAME": "Marlin"}),
    SessionOpened("Marlin"),
    StateChanged(State.OPERATIONAL, **PORT),
]
HALTED = Fault("firmware_halted", "The firmware has halted", "Find the cause")
BENCHY = SelectedFile(origin="local", path="a/benchy.gcode", name="benchy.gcode", display="Benchy", size=5, user="me")

SUMMARY = Summary(moves=1, time=9.5)


def told(*happened: Event) -> list[tuple[str, Any]]:
    """What is told of these events, from a printer on that is offline."""
    now, events = Snapshot(), []
    for event in happened:
        before, now = now, apply(now, event)
        events += [(each.type, each.payload) for each in events_of(before, event, now)]
    return events


def names(*happened: Event) -> list[str]:
    return [
        f"{payload['state_id']}: {payload['state_string']}" if name == "PrinterStateChanged" else name
        for name, payload in told(*happened)
    ]


def test_another_height_is_told_with_the_one_before() -> None:
    job = Print(file=BENCHY, phase=Phase.PRINTING, started_at=0.0)
    heights = [None, 0.2, 0.2, 0.4]
    progress = [PrintProgressed(structs.replace(job, z=z)) for z in heights]
    last = structs.replace(job, z=0.6, phase=Phase.FINISHING)

    changes = [payload for name, payload in told(*progress, PhaseChanged(last)) if name == "ZChange"]

    assert changes == [{"new": 0.2, "old": None}, {"new": 0.4, "old": 0.2}, {"new": 0.6, "old": 0.4}]
    assert names(PrintProgressed(structs.replace(job, source="a.gcode", z=0.2))) == []


def test_a_connection_is_told_as_octoprint_tells_it() -> None:
    assert names(*OPENED) == [
        "Connecting",
        "OPEN_SERIAL: Opening serial connection",
        "CONNECTING: Connecting",
        "OPERATIONAL: Operational",
        "Connected",
        "FirmwareData",
    ]


def test_the_true_port_and_baudrate_are_told() -> None:
    assert ("Connected", {"port": "/dev/ttyACM0", "baudrate": 250000}) in told(*OPENED)
    assert ("FirmwareData", {"name": "Marlin", "data": {"FIRMWARE_NAME": "Marlin"}}) in told(*OPENED)


def test_detection_is_one_state_however_many_ports_it_tries() -> None:
    tried = [StateChanged(State.DETECTING, f"/dev/ttyUSB{number}", 115200) for number in range(3)]

    assert names(*tried) == ["Connecting", "DETECT_SERIAL: Detecting serial connection"]


def test_a_disconnect_is_told_with_what_led_to_it() -> None:
    after = len(names(*OPENED))

    assert names(*OPENED, StateChanged(State.OFFLINE))[after:] == ["Disconnecting", "Disconnected", "OFFLINE: Offline"]


def test_the_files_on_the_card_come_and_go_with_the_printer() -> None:
    with_card = [*OPENED, CardListed({"a.gco": (5, None)})]

    assert names(*with_card)[len(names(*OPENED)) :] == ["UpdatedFiles"]
    assert names(*with_card, StateChanged(State.OFFLINE))[len(names(*with_card)) :] == [
        "Disconnecting",
        "UpdatedFiles",
        "Disconnected",
        "OFFLINE: Offline",
    ]


def test_a_reconnect_ends_the_connection_before_it_begins_the_next() -> None:
    after = len(names(*OPENED))

    assert names(*OPENED, StateChanged(State.OPENING, **PORT))[after:] == [
        "Disconnecting",
        "Disconnected",
        "Connecting",
        "OPEN_SERIAL: Opening serial connection",
    ]


def test_a_halted_firmware_is_an_error_with_the_last_lines() -> None:
    failed = ConnectionFailed(HALTED, 0.0, ("> N1 M105*38", "< Error:Thermal runaway"))
    events = told(*OPENED, failed, StateChanged(State.OFFLINE_AFTER_ERROR))[len(told(*OPENED)) :]

    assert [name for name, _ in events] == ["PrinterStateChanged", "Error", "Disconnected", "PrinterStateChanged"]
    assert events[0][1] == {"state_id": "ERROR", "state_string": "Error"}
    assert events[1][1] == {
        "error": "The firmware has halted",
        "reason": "firmware",
        "consequence": "emergency",
        "faq": None,
        "logs": ["Send: N1 M105*38", "Recv: Error:Thermal runaway"],
        "code": "firmware_halted",
        "hint": "Find the cause",
    }


@pytest.mark.parametrize(
    ("code", "reason"),
    [("no_printer_found", "autodetect"), ("unplugged", "connection"), ("timeout", "timeout"), ("resend_loop",) * 2],
)
def test_the_reason_of_an_error_is_one_of_octoprints(code: str, reason: str) -> None:
    payload = dict(told(ConnectionFailed(Fault(code, "", ""), 0.0)))["Error"]

    assert (payload["reason"], payload["consequence"]) == (reason, "disconnect")


def test_a_restart_of_the_printer_is_no_error() -> None:
    reset = [
        PrinterRestarted("start", 0),
        ConnectionFailed(Fault("reset", "", ""), 0.0),
        StateChanged(State.CONNECTING, **PORT),
    ]

    assert names(*OPENED, *reset)[len(names(*OPENED)) :] == ["PrinterReset", "CONNECTING: Connecting"]


ON_CARD = SelectedFile(origin="sdcard", path="A.GCO", name="A.GCO", display="a.gcode", size=200)
SENT = {"local": "a/a.gcode", "remote": "A.GCO"}


def test_a_print_from_the_card_is_told_as_such() -> None:
    printing = Print(file=ON_CARD, phase=Phase.STARTING, started_at=0.0)
    phases = [PhaseChanged(structs.replace(printing, phase=phase)) for phase in (Phase.STARTING, Phase.PRINTING)]
    told = names(*OPENED, *phases, PrintEnded(printing, "done", 1.0))

    assert told[len(names(*OPENED)) :] == [
        "STARTING: Starting print from SD",
        "PrintStarted",
        "PRINTING: Printing from SD",
        "PrintDone",
        "OPERATIONAL: Operational",
    ]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (("done", None), [("TransferDone", SENT | {"time": 2.5}), "OPERATIONAL: Operational"]),
        (
            ("failed", "card"),
            [("TransferFailed", SENT | {"code": "card", "error": "why"}), "OPERATIONAL: Operational"],
        ),
        (("failed", "unplugged"), [("TransferFailed", SENT | {"code": "unplugged", "error": "why"})]),
    ],
)
def test_a_transfer_to_the_card_is_told_as_such(ended: tuple[Outcome, str | None], expected: list[Any]) -> None:
    transfer = Print(file=ON_CARD, phase=Phase.STARTING, started_at=0.0, source="a/a.gcode", elapsed=2.5)
    outcome, code = ended
    message = "why" if code else None
    rest = told(*OPENED, PhaseChanged(transfer), TransferEnded(transfer, outcome, 1.0, code, message))[
        len(told(*OPENED)) :
    ]

    assert [f"{p['state_id']}: {p['state_string']}" if "State" in name else (name, p) for name, p in rest] == [
        "STARTING: Starting to send file to SD",
        ("TransferStarted", SENT),
        *expected,
    ]


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        (
            FileSelected(BENCHY),
            [
                (
                    "FileSelected",
                    {
                        "name": "benchy.gcode",
                        "path": "a/benchy.gcode",
                        "origin": "local",
                        "size": 5,
                        "owner": "me",
                        "user": "me",
                    },
                )
            ],
        ),
        (FileDeselected(), [("FileDeselected", None)]),
        (
            FilesChanged("FileAdded", "local", "a/b.gcode", ("machinecode", "gcode"), "add"),
            [
                (
                    "FileAdded",
                    {
                        "storage": "local",
                        "path": "a/b.gcode",
                        "name": "b.gcode",
                        "type": ["machinecode", "gcode"],
                        "operation": "add",
                    },
                ),
            ],
        ),
        (
            FilesChanged("FolderRemoved", "local", "a/b"),
            [("FolderRemoved", {"storage": "local", "path": "a/b", "name": "b"})],
        ),
        (FilesChanged("UpdatedFiles", "local"), [("UpdatedFiles", {"type": "printables"})]),
        (
            AnalysisStarted("a/b.gco"),
            [("MetadataAnalysisStarted", {"name": "b.gco", "path": "a/b.gco", "origin": "local", "type": "gcode"})],
        ),
        (
            AnalysisFinished("a/b.gcode", SUMMARY),
            [
                (
                    "MetadataAnalysisFinished",
                    {"name": "b.gcode", "path": "a/b.gcode", "origin": "local", "result": analysis_of(SUMMARY)},
                )
            ],
        ),
        (
            FilesMoved("FileMoved", "local", "a/b.gcode", "c.gcode", ("machinecode", "gcode")),
            [
                (
                    "FileMoved",
                    {
                        "storage": "local",
                        "source_path": "a/b.gcode",
                        "source_name": "b.gcode",
                        "source_type": ["machinecode", "gcode"],
                        "destination_path": "c.gcode",
                        "destination_name": "c.gcode",
                        "destination_type": ["machinecode", "gcode"],
                    },
                )
            ],
        ),
        (
            FileUploaded("local", "a/b.gcode", True, False, True, False),
            [
                (
                    "Upload",
                    {
                        "name": "b.gcode",
                        "path": "a/b.gcode",
                        "target": "local",
                        "select": True,
                        "print": False,
                        "effective_select": True,
                        "effective_print": False,
                    },
                )
            ],
        ),
        (SettingsChanged(), [("SettingsUpdated", None)]),
        (PositionReported({"X": 1.0, "Z": 0.2}), [("PositionUpdate", {"reason": None, "x": 1.0, "z": 0.2})]),
        (LineReceived("ok"), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_told_as(happened: Event, expected: list[tuple[str, Any]]) -> None:
    assert told(happened) == expected


@pytest.mark.parametrize("what", ["Added", "Modified", "Deleted"])
def test_a_change_of_a_profile_is_told(what: str) -> None:
    assert told(ProfileChanged(what, "mini")) == [(f"PrinterProfile{what}", {"identifier": "mini"})]
