import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.protocol.events import (
    Acknowledged,
    ActionRequested,
    BootReported,
    BusyReported,
    CapabilityReported,
    CardFileBegun,
    CardFileOpened,
    CardFileSaved,
    CardRefused,
    ErrorReported,
    Event,
    FirmwareHalted,
    FirmwareIdentified,
    IdleReported,
    LineRejected,
    LineSkipped,
    OtherDeviceHeard,
    PositionReported,
    PrintTimeReported,
    ResendRequested,
    SdPrintDone,
    SdPrintEnded,
    SdPrintReported,
    TemperaturesReported,
)
from limpet.protocol.replies import events_of


@pytest.mark.parametrize(
    ("line", "events"),
    [
        ("ok", [Acknowledged()]),
        ("ok ", [Acknowledged()]),
        ("ok 12", [Acknowledged(12)]),
        ("ok N12 P15 B3", [Acknowledged(12, 15, 3)]),
        ("ok P63 B31", [Acknowledged(None, 63, 31)]),
        ("ok 21.3", [Acknowledged()]),
        ("ok T 21.3", [Acknowledged()]),
        ("ok T:21.3 /0.0", [Acknowledged(), TemperaturesReported({"tool0": (21.3, 0.0)})]),
        ("ok B:22.0 /0.0", [Acknowledged(), TemperaturesReported({"bed": (22.0, 0.0)})]),
        ("okay then", []),
        ("Resend: 3", [ResendRequested(3)]),
        ("Resend:3", [ResendRequested(3)]),
        ("resend N:3", [ResendRequested(3)]),
        ("rs N3 Expected checksum 36", [ResendRequested(3)]),
        ("rs 3", [ResendRequested(3)]),
        ("Resend: 99999999999999999999", []),
        ("wait", [IdleReported()]),
        ("skip 8", [LineSkipped(8)]),
        ("echo:busy: processing", [BusyReported("processing")]),
        ("busy:processing", [BusyReported("processing")]),
        ("start", [BootReported("start")]),
        ("Sensor node starting v1.2", []),
        ("Marlin 1.1.9", [BootReported("Marlin 1.1.9")]),
        ("Marlin bugfix-2.1.x", [BootReported("Marlin bugfix-2.1.x")]),
        ("Info:PowerUp", [BootReported("Info:PowerUp")]),
        ("Grbl 1.1f ['$' for help]", [BootReported("Grbl 1")]),
        ("//action:prompt_begin Pause", [ActionRequested("prompt_begin Pause")]),
        ("// Klipper state: Ready", []),
        ("SD printing byte 2220/3424", [SdPrintReported(2220, 3424)]),
        ("SD printing byte 0/0", [SdPrintEnded()]),
        ("Not SD printing", [SdPrintEnded()]),
        ("Done printing file", [SdPrintDone()]),
        ("File opened: SQ~1.GCO Size: 3424", [CardFileOpened("SQ~1.GCO", 3424)]),
        ("File opened:tiny.gcode Size:350", [CardFileOpened("tiny.gcode", 350)]),
        ("File opened: Size: 74", [CardFileOpened(None, 74)]),
        ("Current file: SQ~1.GCO sq.gcode", [CardFileOpened("SQ~1.GCO")]),
        ("Current file: (no file)", []),
        ("Writing to file: new file.gcode", [CardFileBegun("new file.gcode")]),
        ("Done saving file.", [CardFileSaved()]),
        ("open failed, File: nope.gco.", [CardRefused("open failed, File: nope.gco")]),
        ("echo:Print time: 5s", [PrintTimeReported(5)]),
        ("echo:Print time: 1d 2h 3m 4s", [PrintTimeReported(93784)]),
        ("echo:62 min, 3 sec", [PrintTimeReported(3723)]),
        ("$GPGGA,123519,4807.038,N", [OtherDeviceHeard("it speaks NMEA, as GPS receivers do")]),
        ("", []),
    ],
)  # fmt: skip
def test_a_reply_is_read(line: str, events: list[Event]) -> None:
    assert list(events_of(line)) == events


@pytest.mark.parametrize(
    ("line", "readings"),
    [
        (" T:19.38 /0.00 B:19.38 /0.00 @:0 B@:0", {"tool0": (19.38, 0.0), "bed": (19.38, 0.0)}),
        ("T:59.75 /170.00 B:19.38 /0.00 @:127 B@:0 W:?", {"tool0": (59.75, 170.0), "bed": (19.38, 0.0)}),
        ("T:876.0/0.0 B:876.0/0.0", {"tool0": (876.0, 0.0), "bed": (876.0, 0.0)}),
        ("T:22.78 /0 B:22.78 /0 B@:0 @:0", {"tool0": (22.78, 0.0), "bed": (22.78, 0.0)}),
        ("B:22.0 /0.0 T0:25.8 /60.0", {"bed": (22.0, 0.0), "tool0": (25.8, 60.0)}),
        ("T:21.0 /0.0 T0:21.0 /0.0 T1:22.5 /5.0 @:0", {"tool0": (21.0, 0.0), "tool1": (22.5, 5.0)}),
        ("T:20.5 B:19.4", {"tool0": (20.5, None), "bed": (19.4, None)}),
        ("T:23.4 /0.0 @0 B:24.4 /0.0 @0", {"tool0": (23.4, 0.0), "bed": (24.4, 0.0)}),
        ("T:nan /0.0 B:-15.00 /0", {"tool0": (None, 0.0), "bed": (-15.0, 0.0)}),
        ("T:40.1 E:0 W:?", {"tool0": (40.1, None)}),
        ("T:20 /0 B:20 /0 C:31.5 /0.00", {"tool0": (20.0, 0.0), "bed": (20.0, 0.0), "chamber": (31.5, 0.0)}),
        ("T:22.0 /0.0 B:21.9 /0.0 T0:22.0 /0.0 @:0 B@:0 P:39.4 A:37.9", {"tool0": (22.0, 0.0), "bed": (21.9, 0.0)}),
        ("TargetExtr1:200", {"tool1": (None, 200.0)}),
        ("TargetBed:60", {"bed": (None, 60.0)}),
    ],
)  # fmt: skip
def test_temperatures_are_read_in_every_dialect(line: str, readings: dict[str, tuple[float, float]]) -> None:
    assert events_of(line) == (TemperaturesReported(readings),)


@pytest.mark.parametrize(
    ("line", "name", "fields"),
    [
        (
            "FIRMWARE_NAME:Marlin 2.1.2 (Nov 22 2026 09:42:20) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin "
            "PROTOCOL_VERSION:1.0 MACHINE_TYPE:3D Printer EXTRUDER_COUNT:1",
            "Marlin 2.1.2 (Nov 22 2026 09:42:20)",
            {"MACHINE_TYPE": "3D Printer", "EXTRUDER_COUNT": "1"},
        ),
        (
            "FIRMWARE_NAME:Smoothieware, FIRMWARE_URL:http%3A//smoothieware.org, X-SOURCE_CODE_URL:http://x.org, "
            "FIRMWARE_VERSION:edge-1",
            "Smoothieware",
            {"FIRMWARE_VERSION": "edge-1"},
        ),
        (
            "FIRMWARE_NAME: RepRapFirmware for Duet 3 FIRMWARE_VERSION: 3.4 ELECTRONICS: Duet 3",
            "RepRapFirmware for Duet 3",
            {"ELECTRONICS": "Duet 3"},
        ),
        ("NAME. Malyan\tVER: 3.8", "Malyan", {"VER": "3.8"}),
    ],
)
def test_firmware_is_identified(line: str, name: str, fields: dict[str, str]) -> None:
    (event,) = events_of(line)
    assert isinstance(event, FirmwareIdentified)
    assert event.name == name
    assert fields.items() <= event.fields.items()


def test_klipper_answers_on_the_ok_itself() -> None:
    acknowledged, identified = events_of("ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.13.0-730-g84104bbbd")
    assert acknowledged == Acknowledged()
    assert isinstance(identified, FirmwareIdentified)
    assert identified.name == "Klipper"


def test_a_capability_is_read() -> None:
    assert events_of("Cap:AUTOREPORT_TEMP:1") == (CapabilityReported("AUTOREPORT_TEMP", True),)
    assert events_of("cap:AUTOREPORT_TEMP:0") == (CapabilityReported("AUTOREPORT_TEMP", False),)


@pytest.mark.parametrize(
    ("line", "last_line"),
    [
        ("Error:checksum mismatch, Last Line: 43", 43),
        ("Error:Line Number is not Last Line Number+1, Last Line: 3", 3),
        ("Error:No Checksum with line number, Last Line: 8", 8),
        ("Error:Wrong checksum", None),
        ("Error:expected line 4 got 7", 3),
    ],
)
def test_a_rejected_line_is_no_alarm(line: str, last_line: int | None) -> None:
    (event,) = events_of(line)
    assert isinstance(event, LineRejected)
    assert event.last_line == last_line


@pytest.mark.parametrize(
    "line",
    [
        "Error:Printer halted. kill() called!",
        "Error:MAXTEMP triggered, system stopped! Heater_ID: bed",
        "Error:Thermal Runaway, system stopped! Heater_ID: E0",
        "Error:Heating failed, system stopped! Heater_ID: 0",
        "fatal:Heater/sensor error - Printer stopped and heaters disabled",
        "// Klipper state: Shutdown",
        "// Printer is halted",
        "!! Shutdown due to M112 command",
        "!! Lost communication with MCU 'mcu'",
        "!!",
        "Emergency Stop! Reset the controller to continue.",
    ],
)
def test_a_halt_is_told_from_a_complaint(line: str) -> None:
    (event,) = events_of(line)
    assert isinstance(event, FirmwareHalted)


def test_smoothie_says_ok_to_an_emergency_stop() -> None:
    acknowledged, halted = events_of("ok Emergency Stop Requested - reset or M999 required to exit HALT state")
    assert acknowledged == Acknowledged()
    assert isinstance(halted, FirmwareHalted)


@pytest.mark.parametrize(
    "line", ["!! Must home axis first: 10.000 0.000", "Error:Protected Pin", "Error: SD init fail", "Error:"]
)
def test_a_complaint_is_not_a_halt(line: str) -> None:
    (event,) = events_of(line)
    assert isinstance(event, ErrorReported)


@pytest.mark.parametrize(
    ("line", "events"),
    [
        ("okok", [Acknowledged(), Acknowledged()]),
        ("waitok", [IdleReported(), Acknowledged()]),
        ("echo:busy: processingok", [BusyReported("processing"), Acknowledged()]),
        ("T:20 /0 @:0ok", [TemperaturesReported({"tool0": (20.0, 0.0)}), Acknowledged()]),
        ("File deleted:foo.gcook", [Acknowledged()]),
        ("Error:checksum, Last Line: 5Resend: 6", [LineRejected("checksum, Last Line: 5", 5), ResendRequested(6)]),
    ],
)  # fmt: skip
def test_replies_that_lost_the_newline_between_them_are_both_read(line: str, events: list[Event]) -> None:
    assert list(events_of(line)) == events


def test_a_position_is_in_mm_and_not_in_steps() -> None:
    assert events_of("X:1.50 Y:2.00 Z:0.15 E:-3.00 Count X:120 Y:160 Z:60") == (
        PositionReported({"X": 1.5, "Y": 2.0, "Z": 0.15, "E": -3.0}),
    )
    assert events_of("ok C: X:0.00 Y:1.00 Z:2.00 E:3.00")[1] == PositionReported(
        {"X": 0.0, "Y": 1.0, "Z": 2.0, "E": 3.0}
    )


@given(st.text(max_size=300))
def test_no_line_whatever_is_too_strange(line: str) -> None:
    assert isinstance(events_of(line), tuple)


@given(
    st.sampled_from(["ok ", "T:", "Error:", "Resend: ", "FIRMWARE_NAME:", "Cap:", "X:1 Y:", "echo:busy:", "//"]),
    st.text(max_size=60),
)
def test_nor_one_that_begins_well(head: str, tail: str) -> None:
    assert isinstance(events_of(head + tail), tuple)
