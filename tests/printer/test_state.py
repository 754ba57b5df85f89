"""What each event does to the snapshot, and which state may follow which."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import structs

from limpet.errors import Fault
from limpet.gcodefile.analysis import Summary
from limpet.printer.connection import NEXT
from limpet.printer.identity import Identity
from limpet.printer.print import (
    FileFacts,
    FileKnown,
    Phase,
    PhaseChanged,
    Print,
    PrintEnded,
    PrintProgressed,
    SelectedFile,
    TransferEnded,
)
from limpet.printer.prompts import NotificationsCleared, Notified, Prompt, PromptClosed, PromptShown
from limpet.printer.state import (
    CLOSED,
    MAX_CAPABILITIES,
    MAX_HEATERS,
    CandidateTried,
    ConnectionFailed,
    FileDeselected,
    FileSelected,
    OffsetsChanged,
    PrinterRecognised,
    SdPrint,
    Snapshot,
    State,
    StateChanged,
    apply,
)
from limpet.protocol.events import (
    CapabilityReported,
    CardFileOpened,
    CardGone,
    CardListed,
    CardReady,
    CommandAcknowledged,
    Event,
    FirmwareIdentified,
    PositionReported,
    PrinterRestarted,
    PrintTimeReported,
    SdPrintDone,
    SdPrintEnded,
    SdPrintReported,
    SessionOpened,
    TemperaturesReported,
)

FAILURE = ConnectionFailed(Fault("unplugged", "It has gone", "Look for it"), at=1.0, traffic=("> M105",))
FOUND = CandidateTried("/dev/ttyACM0", "a printer", 250000, done=True)
SILENT = CandidateTried("/dev/b", "silent", 9600)
FILE = SelectedFile(origin="local", path="a.gcode", name="a.gcode", display="a.gcode")
BUSY = Snapshot(
    state=State.OPERATIONAL,
    port="/dev/ttyACM0",
    baudrate=250000,
    profile="_default",
    failure=FAILURE,
    firmware="Marlin",
    firmware_fields={"UUID": "1"},
    capabilities={"AUTOREPORT_TEMP": True},
    temperatures={"tool0": (21.3, 0.0)},
    candidates={"/dev/ttyACM0": FOUND},
    sd_print=SdPrint(1, 2, 3),
    selected=FILE,
    offsets={"bed": 2.0},
    prompt=Prompt("Go on?"),
    notifications=(Notified(4.0, "Door open"),),
    tool=1,
    position={"X": 5.0},
    sd_ready=True,
    sd_files={"A.GCO": (1, None)},
)

PRINT = Print(
    file=SelectedFile(origin="local", path="a.gcode", name="a.gcode", display="a.gcode"),
    phase=Phase.PRINTING,
    started_at=1.0,
)
EFFECTS: list[tuple[Event, dict[str, Any]]] = [
    (StateChanged(State.CONNECTING, "/dev/a", 9600, "p"), {"port": "/dev/a", "baudrate": 9600, "profile": "p"}),
    (FAILURE, {"failure": FAILURE}),
    (SILENT, {"candidates": {"/dev/ttyACM0": FOUND, "/dev/b": SILENT}}),
    (FirmwareIdentified("Prusa", {"A": "b"}), {"firmware": "Prusa", "firmware_fields": {"A": "b"}}),
    (SessionOpened("Repetier"), {"firmware": "Repetier"}),
    (SessionOpened(""), {}),
    (CapabilityReported("EEPROM", False), {"capabilities": {"AUTOREPORT_TEMP": True, "EEPROM": False}}),
    (TemperaturesReported({"bed": (60.0, 60.0)}), {"temperatures": {"tool0": (21.3, 0.0), "bed": (60.0, 60.0)}}),
    (
        PrinterRestarted("start", 1),
        {
            "temperatures": {},
            "capabilities": {},
            "sd_print": None,
            "tool": 0,
            "position": {},
            "sd_ready": False,
            "sd_files": {},
            "prompt": None,
            "sd_open": None,
        },
    ),
    (PrinterRecognised("/dev/a", 9600, Identity(uuid="1")), {"identity": Identity(uuid="1")}),
    (SdPrintReported(5, 10), {"sd_print": SdPrint(5, 10, 3)}),
    (PrintTimeReported(7), {"sd_print": SdPrint(1, 2, 7)}),
    (SdPrintEnded(), {"sd_print": None}),
    (FileSelected(structs.replace(FILE, path="b.gcode")), {"selected": structs.replace(FILE, path="b.gcode")}),
    (FileDeselected(), {"selected": None}),
    (OffsetsChanged({"tool0": -3}), {"offsets": {"bed": 2.0, "tool0": -3}}),
    (CommandAcknowledged("T3"), {"tool": 3}),
    (CommandAcknowledged("T0"), {"tool": 0}),
    (CommandAcknowledged("M104 T3 S5"), {}),
    (CardReady(), {}),
    (CardGone(), {"sd_ready": False, "sd_files": {}}),
    (CardListed({"B.GCO": (None, "b.gcode")}), {"sd_files": {"B.GCO": (None, "b.gcode")}}),
    (FileKnown(FILE, FileFacts(average=3.0)), {"facts": FileFacts(average=3.0)}),
    (FileKnown(structs.replace(FILE, date=7), FileFacts(average=3.0)), {}),
    (PromptShown(Prompt("Go on?", ("Yes",))), {"prompt": Prompt("Go on?", ("Yes",))}),
    (PromptClosed(), {"prompt": None}),
    (Notified(5.0, "Ready"), {"notifications": (Notified(4.0, "Door open"), Notified(5.0, "Ready"))}),
    (NotificationsCleared(), {"notifications": ()}),
    (PhaseChanged(PRINT), {"print": PRINT}),
    (PrintProgressed(PRINT), {"print": PRINT}),
    (PrintEnded(PRINT, "done", 2.0), {"print": None, "last_print": PrintEnded(PRINT, "done", 2.0), "sd_print": None}),
    (TransferEnded(PRINT, "done", 2.0), {"print": None}),
    (CardFileOpened("B.GCO", 5), {"sd_open": "B.GCO"}),
    (SdPrintDone(), {"sd_print": None}),
    (PositionReported({"X": 1.0}), {"position": {"X": 1.0}}),
]
WITHOUT_EFFECT = sorted(
    set(Event.__subclasses__()) - {type(event) for event, _ in EFFECTS}, key=lambda kind: kind.__name__
)
SAMPLES: dict[Any, Any] = {
    bool: True,
    int: 1,
    int | None: 1,
    str: "x",
    dict[str, float]: {"X": 1.0},
    Summary: Summary(),
}


@pytest.mark.parametrize(("event", "changes"), EFFECTS, ids=lambda value: type(value).__name__)
def test_an_event_changes_what_it_is_about_and_nothing_else(event: Event, changes: dict[str, Any]) -> None:
    if isinstance(event, StateChanged):
        changes = changes | {"state": event.state}
    assert apply(BUSY, event) == replace(BUSY, **changes)


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_any_other_event_leaves_the_very_same_snapshot(kind: type[Event]) -> None:
    event = kind(*[SAMPLES[field.type] for field in msgspec.structs.fields(kind) if field.required])
    assert apply(BUSY, event) is BUSY


@pytest.mark.parametrize("state", sorted(CLOSED))
def test_a_closed_connection_knows_only_why_and_what_was_tried(state: State) -> None:
    expected = Snapshot(state=state, failure=FAILURE, candidates=BUSY.candidates)
    assert apply(BUSY, StateChanged(state, "/dev/ttyACM0", 250000)) == expected


@pytest.mark.parametrize("state", [State.OPENING, State.DETECTING])
def test_a_new_attempt_forgets_the_printer_before(state: State) -> None:
    expected = Snapshot(state=state, port="/dev/a", baudrate=9600, failure=FAILURE)
    assert apply(BUSY, StateChanged(state, "/dev/a", 9600)) == expected


def test_a_detection_keeps_what_it_has_found_out_while_it_goes_on() -> None:
    snapshot = apply(BUSY, StateChanged(State.DETECTING, "/dev/a", 9600))
    snapshot = apply(snapshot, SILENT)
    assert apply(snapshot, StateChanged(State.DETECTING, "/dev/c", 9600)).candidates == {"/dev/b": SILENT}


@pytest.mark.parametrize("event", [CardReady(), CardListed({}), SdPrintReported(1, 2)])
def test_a_printer_that_shows_its_card_has_one(event: Event) -> None:
    assert apply(Snapshot(), event).sd_ready


def test_a_file_that_is_open_is_no_print_before_something_of_it_is_done() -> None:
    opened = apply(Snapshot(), SdPrintReported(0, 10))

    assert opened.sd_print is None
    assert apply(opened, SdPrintReported(1, 10)).sd_print == SdPrint(1, 10)
    assert apply(BUSY, SdPrintReported(0, 10)).sd_print == SdPrint(0, 10, 3)


def test_a_print_time_without_a_print_from_the_card_is_no_print() -> None:
    assert apply(Snapshot(), PrintTimeReported(7)) == Snapshot()


def test_a_failure_is_told_until_the_next_success() -> None:
    snapshot = apply(Snapshot(), FAILURE)
    for state in (State.OFFLINE_AFTER_ERROR, State.OFFLINE, State.OPENING, State.CONNECTING):
        snapshot = apply(snapshot, StateChanged(state))
        assert snapshot.failure is FAILURE
    assert apply(snapshot, StateChanged(State.OPERATIONAL)).failure is None


def test_a_report_without_a_target_leaves_the_target_as_it_is() -> None:
    snapshot = apply(Snapshot(), TemperaturesReported({"tool0": (20.0, 200.0)}))
    snapshot = apply(snapshot, TemperaturesReported({"tool0": (25.0, None)}))
    assert snapshot.temperatures == {"tool0": (25.0, 200.0)}
    snapshot = apply(snapshot, TemperaturesReported({"tool0": (None, 210.0)}))
    assert snapshot.temperatures == {"tool0": (25.0, 210.0)}


def test_a_printer_that_makes_up_heaters_and_capabilities_fills_no_memory() -> None:
    snapshot = Snapshot()
    for number in range(2 * MAX_CAPABILITIES):
        snapshot = apply(snapshot, TemperaturesReported({f"tool{number}": (20.0, 0.0)}))
        snapshot = apply(snapshot, CapabilityReported(f"CAP{number}", True))
    assert len(snapshot.temperatures) == MAX_HEATERS
    assert len(snapshot.capabilities) == MAX_CAPABILITIES
    snapshot = apply(snapshot, TemperaturesReported({"tool0": (99.0, 0.0)}))
    assert apply(snapshot, CapabilityReported("CAP0", False)).capabilities["CAP0"] is False
    assert snapshot.temperatures["tool0"] == (99.0, 0.0)


# -- the table of states --


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(NEXT) == set(State)


def test_every_state_can_be_reached() -> None:
    reached, new = {State.OFFLINE}, {State.OFFLINE}
    while new:
        new = set[State]().union(*(NEXT[state] for state in new)) - reached
        reached |= new
    assert reached == set(State)


@pytest.mark.parametrize("state", set(State) - {State.OFFLINE})
def test_a_disconnect_leads_from_every_state_straight_to_offline(state: State) -> None:
    assert State.OFFLINE in NEXT[state]


@pytest.mark.parametrize("state", State)
def test_an_attempt_may_begin_in_every_state(state: State) -> None:
    assert {State.OPENING, State.DETECTING} - {state} <= NEXT[state]


@pytest.mark.parametrize("state", set(State) - CLOSED)
def test_every_open_state_can_fail(state: State) -> None:
    assert State.OFFLINE_AFTER_ERROR in NEXT[state]


def test_only_a_handshake_leads_to_operational() -> None:
    assert {state for state in State if State.OPERATIONAL in NEXT[state]} == {State.DETECTING, State.CONNECTING}


def test_a_printer_is_waited_for_until_somebody_wants_something_else() -> None:
    waiting = ConnectionFailed(FAILURE.fault, at=1.0, waiting=True)
    snapshot = apply(apply(BUSY, waiting), StateChanged(State.OFFLINE_AFTER_ERROR))
    assert snapshot.failure == waiting
    for state in (State.OFFLINE, State.OPENING, State.DETECTING):
        failure = apply(snapshot, StateChanged(state)).failure
        assert failure is not None
        assert not failure.waiting
        assert failure.fault == waiting.fault


def test_what_is_known_of_a_file_goes_with_its_selection() -> None:
    known = apply(BUSY, FileKnown(FILE, FileFacts(average=3.0)))
    assert apply(known, FileSelected(FILE)).facts == FileFacts(average=3.0)
    assert apply(known, FileSelected(structs.replace(FILE, path="b.gcode"))).facts is None
    assert apply(known, FileDeselected()).facts is None
