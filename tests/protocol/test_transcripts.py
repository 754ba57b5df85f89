"""Real firmware, as it was recorded, speaks to our session."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpet.protocol.events import (
    ActionRequested,
    BusyReported,
    CapabilityReported,
    ErrorReported,
    Event,
    FirmwareHalted,
    FirmwareIdentified,
    IdleReported,
    LineReceived,
    ResendRequested,
    SessionEnded,
    SessionOpened,
    TemperaturesReported,
)
from limpet.protocol.replies import events_of
from limpet.protocol.session import Session

from .recordings import FOLDER, RECORDINGS, Spoken, read


def events(session: Session) -> list[Event]:
    found = []
    while event := session.next_event():
        found.append(event)
    return found


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_a_session_hears_every_line_in_pieces_of_any_size(path: Path, chunk: int) -> None:
    session = Session(0.0, greeting_time=1e6)
    data = b"".join(spoken.data for spoken in read(path) if spoken.direction == "<")
    session.data_to_send()
    for start in range(0, len(data), chunk):
        session.receive_data(data[start : start + chunk], 1.0)
    heard = [event.line for event in events(session) if isinstance(event, LineReceived)]
    lines = [line for line in data.decode().replace("\r", "\n").split("\n") if line.strip()]
    assert heard == lines[: _until_halted(lines)]


def _until_halted(lines: list[str]) -> int:
    """A firmware that halts and says why ends the session; what it says afterwards is not heard."""
    halted = False
    for number, line in enumerate(lines, 1):
        for event in events_of(line):
            match event:
                case FirmwareHalted(tells_why=False):
                    halted = True
                case FirmwareHalted():
                    return number
                case ErrorReported() if halted:
                    return number
    return len(lines)


class Recorded:
    """A printer that gives the recorded answers to what was asked in the recording."""

    def __init__(self, spoken: list[Spoken]) -> None:
        self.banner = b""
        self.answers: dict[bytes, bytes] = {}
        asked = b""
        for one in spoken:
            if one.direction == ">":
                asked = one.data.strip()
                self.answers.setdefault(asked, b"")
            elif not asked:
                self.banner += one.data
            elif asked:
                self.answers[asked] += one.data

    def answer(self, data: bytes) -> bytes:
        said = b""
        for line in data.split(b"\n"):
            bare = line.partition(b"*")[0].partition(b" ")[2] if line.startswith(b"N") else line
            said += self.answers.get(line.strip(), self.answers.get(bare.strip(), b""))
        return said


@pytest.mark.parametrize(
    ("recording", "firmware", "family"),
    [
        ("marlin-1.1.9-avr", "Marlin 1.1.9 (Github)", "Marlin"),
        ("marlin-2.0.9", "Marlin 2.0.9.5 (Nov 22 2026 09:47:04)", "Marlin"),
        ("marlin-2.1.2", "Marlin 2.1.2 (Nov 22 2026 09:42:20)", "Marlin"),
        ("marlin-bugfix-2.1.x-default", "Marlin bugfix-2.1.x (Nov 22 2026 08:35:59)", "Marlin"),
        ("marlin-bugfix-2.1.x-all-options", "Marlin bugfix-2.1.x (Nov 22 2026 08:51:03)", "Marlin"),
        ("prusa-firmware-3.9.3-mk3s", "Prusa-Firmware 3.9.3 based on Marlin", "Prusa"),
        ("repetier-1.0.4", "Repetier_1.0.4", "Repetier"),
        ("teacup", "Teacup", "Teacup"),
    ],
)
def test_the_greeting_opens_a_session_with_every_recorded_firmware(recording: str, firmware: str, family: str) -> None:
    printer = Recorded(read(FOLDER / f"{recording}.txt"))
    session, now = Session(0.0), 0.0
    session.handle_timer(now)
    session.data_to_send()  # Said while the board was booting: nobody hears it.
    session.receive_data(printer.banner, now)
    heard: list[Event] = []
    while not any(isinstance(event, SessionOpened | SessionEnded) for event in heard):
        if data := session.data_to_send():
            session.receive_data(printer.answer(data), now)
        else:
            assert session.deadline is not None
            now = max(now, session.deadline)
            session.handle_timer(now)
        heard += events(session)
    assert SessionOpened(firmware) in heard
    assert session.firmware.family == family
    assert now < 3.0


def test_klipper_opens_a_session_although_its_recording_has_no_hello() -> None:
    printer = Recorded(read(FOLDER / "klipper.txt"))
    printer.answers[b"STATUS"] = b"// Klipper state: Ready\nok\n"
    assert SessionOpened("Klipper") in _greeted(printer)


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        ("klipper", "Shutdown due to M112 command"),
        ("klipper-config-error", "Unknown temperature sensor 'simth'"),
    ],
)
def test_klipper_that_does_nothing_is_told_as_halted_with_its_reason_and_not_as_ready(
    recording: str, reason: str
) -> None:
    printer = Recorded(read(FOLDER / f"{recording}.txt"))
    printer.answers.setdefault(b"STATUS", printer.answers.get(b"G28", b""))
    heard = _greeted(printer)
    assert heard[-1] == SessionEnded("firmware_halted", reason)
    assert SessionOpened("Klipper") not in heard


def _greeted(printer: Recorded) -> list[Event]:
    printer.answers[b"N0 M110 N0*125"] = b"ok\n"
    session = Session(0.0)
    session.handle_timer(0.0)
    while data := session.data_to_send():
        session.receive_data(printer.answer(data), 0.0)
    return events(session)


def _all(recording: str) -> list[Event]:
    spoken = [one for one in read(FOLDER / f"{recording}.txt") if one.direction == "<"]
    return [event for one in spoken for event in events_of(one.data.decode().strip())]


def test_a_filament_change_is_understood() -> None:
    actions = [
        event.action for event in _all("marlin-bugfix-2.1.x-filament-change") if isinstance(event, ActionRequested)
    ]
    assert actions.count("prompt_show") == 2
    assert "prompt_begin Nozzle Parked" in actions
    assert BusyReported("paused for user") in _all("marlin-bugfix-2.1.x-filament-change")


def test_a_maxtemp_is_a_halt() -> None:
    halts = [event for event in _all("marlin-bugfix-2.1.x-maxtemp") if isinstance(event, FirmwareHalted)]
    assert halts[0] == FirmwareHalted("MAXTEMP triggered, system stopped! Heater_ID: bed")


def test_heating_reports_come_without_an_ok() -> None:
    reports = [event for event in _all("klipper") if isinstance(event, TemperaturesReported)]
    assert len(reports) > 40
    assert reports[-1].readings.keys() == {"bed", "tool0"}


def test_resend_requests_of_every_firmware_are_found() -> None:
    for recording in ("marlin-2.1.2", "repetier-1.0.4", "teacup", "prusa-firmware-3.9.3-mk3s"):
        assert any(isinstance(event, ResendRequested) for event in _all(recording)), recording


def test_capabilities_and_waits_are_found() -> None:
    assert CapabilityReported("AUTOREPORT_TEMP", True) in _all("marlin-2.1.2")
    assert IdleReported() in _all("repetier-1.0.4")
    assert any(isinstance(event, FirmwareIdentified) for event in _all("teacup"))
