"""PURE: what is known about one printer, and how each event changes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from msgspec import structs

from limpet.errors import Fault
from limpet.gcodefile.analysis import Summary
from limpet.printer.identity import Identity
from limpet.printer.print import (
    FileFacts,
    FileKnown,
    PhaseChanged,
    Print,
    PrintEnded,
    PrintProgressed,
    SelectedFile,
    TransferEnded,
)
from limpet.printer.prompts import (
    MAX_NOTIFICATIONS,
    NotificationsCleared,
    Notified,
    Prompt,
    PromptClosed,
    PromptShown,
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
    SdPrintEnded,
    SdPrintReported,
    SessionOpened,
    TemperaturesReported,
)


class State(StrEnum):
    """The states of a connection, in OctoPrint's words."""

    OFFLINE = "Offline"
    OPENING = "Opening serial connection"
    DETECTING = "Detecting serial connection"
    CONNECTING = "Connecting"
    OPERATIONAL = "Operational"
    OFFLINE_AFTER_ERROR = "Offline after error"


CLOSED = frozenset({State.OFFLINE, State.OFFLINE_AFTER_ERROR})
"""States in which no port is open."""


FINAL = frozenset({"file", "refused", "emergency_stop", "firmware_halted", "reset"})
"""Why a print has failed that cannot go on: its file, or a printer that has stopped or restarted."""
MAX_HEATERS = 32
MAX_CAPABILITIES = 100


class StateChanged(Event, frozen=True):
    """The connection went on to `state`; `port` and `baudrate` are what is open or being tried."""

    state: State
    port: str | None = None
    baudrate: int | None = None
    profile: str | None = None


class ConnectionFailed(Event, frozen=True):
    """An attempt or a connection has ended for a reason.

    `at` is in seconds since the epoch, `traffic` the last lines on the wire ("> sent", "< received"),
    `waiting` says whether the printer is waited for and taken up again when it is back.
    """

    fault: Fault
    at: float
    traffic: tuple[str, ...] = ()
    waiting: bool = False


class CandidateTried(Event, frozen=True):
    """Detection: what is being done on one port, or, when it is `done`, what came of it, in words."""

    port: str
    verdict: str
    baudrate: int | None = None
    done: bool = False


class PrinterRecognised(Event, frozen=True):
    """Which printer has been connected: at which port, by the name that stays true, at which rate, and who it is."""

    port: str
    baudrate: int
    identity: Identity


class OffsetsChanged(Event, frozen=True):
    """By how many degrees Celsius a print's targets are to be corrected: "tool0", "bed", "chamber" -> offset."""

    offsets: dict[str, float]


class FileSelected(Event, frozen=True):
    """A file was selected."""

    file: SelectedFile


class FileDeselected(Event, frozen=True):
    """No file is selected any more."""


class FilesChanged(Event, frozen=True):
    """Something happened to the stored files: `what` is OctoPrint's name for it (FileAdded, FileRemoved, FolderAdded,
    FolderRemoved, or UpdatedFiles, which has no path). Of a file there is its `type_path` and why: `operation` is
    "add", "copy", "move" or "remove"."""

    what: str
    storage: str
    path: str = ""
    type_path: tuple[str, ...] = ()
    operation: str | None = None


class FilesMoved(Event, frozen=True):
    """A file or folder has been moved: `what` is FileMoved or FolderMoved; a file has a `type_path`."""

    what: str
    storage: str
    source: str
    destination: str
    type_path: tuple[str, ...] = ()


class FileUploaded(Event, frozen=True):
    """OctoPrint's Upload: what the client wanted to happen with the new file, and what was done."""

    storage: str
    path: str
    select: bool
    print: bool
    effective_select: bool
    effective_print: bool


class AnalysisStarted(Event, frozen=True):
    """A stored file is being read for what is in it."""

    path: str


class AnalysisFinished(Event, frozen=True):
    """What is in a stored file is known."""

    path: str
    summary: Summary


class ProfileChanged(Event, frozen=True):
    """A printer profile was "Added", "Modified" or "Deleted" over the API."""

    what: str
    id: str


class SettingsChanged(Event, frozen=True):
    """What is remembered about the printer, or holds for all, has been changed over the API."""


@dataclass(frozen=True, slots=True)
class SdPrint:
    """A print from the printer's own card, as it was last told: bytes done and in all; seconds since it began."""

    printed: int
    total: int
    elapsed: int | None = None


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """How a connection is doing, since its session began but for `reconnects`, which count since the wish for it.

    Times in seconds, `connected_at` since the epoch; round trips are None before there are any.
    """

    connected_at: float
    reconnects: int
    lines_sent: int
    lines_received: int
    resends: int
    bytes_received: int
    unreadable_bytes: int
    round_trip_p50: float | None
    round_trip_p95: float | None
    silent_for: float
    suspect: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One printer at one moment. Temperatures are in degrees Celsius: "tool0" -> (actual, target).

    `offsets` are what is added to a print's targets; `tool` is the number of the tool that was selected last, by us.
    `prompt` is what the printer asks, `notifications` what it has told.
    `print` is a print or a transfer to the printer's card that is under way, `last_print` has ended; `facts` are known
    of the `selected` file. `sd_ready`: the printer can read its own card; `sd_files` are on it: path -> (size in bytes,
    long name); `sd_open` is the name of the one that it has opened last. `position` is where the head was when the
    printer last told that: "X", "Y", "Z", "E" -> mm.
    """

    state: State = State.OFFLINE
    port: str | None = None
    baudrate: int | None = None
    profile: str | None = None
    failure: ConnectionFailed | None = None
    firmware: str | None = None
    firmware_fields: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, bool] = field(default_factory=dict)
    temperatures: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    candidates: dict[str, CandidateTried] = field(default_factory=dict)
    identity: Identity | None = None
    sd_print: SdPrint | None = None
    print: Print | None = None
    last_print: PrintEnded | None = None
    selected: SelectedFile | None = None
    facts: FileFacts | None = None
    offsets: dict[str, float] = field(default_factory=dict)
    prompt: Prompt | None = None
    notifications: tuple[Notified, ...] = ()
    tool: int = 0
    position: dict[str, float] = field(default_factory=dict)
    sd_ready: bool = False
    sd_open: str | None = None
    sd_files: dict[str, tuple[int | None, str | None]] = field(default_factory=dict)

    @property
    def interrupted(self) -> PrintEnded | None:
        """The last print, if it was lost, and might go on from where it was."""
        ended = self.last_print
        if self.print is not None or ended is None or ended.outcome != "failed":
            return None
        return ended if ended.print.file.origin == "local" and ended.code not in FINAL else None


_TOOL = re.compile(r"T(\d{1,2})(?![\w.])")


def apply(snapshot: Snapshot, event: Event) -> Snapshot:
    """The snapshot after `event`; the same object when nothing in it has changed."""
    if isinstance(event, CommandAcknowledged):
        return _with_tool(snapshot, event.command) if event.command.startswith("T") else snapshot
    match event:
        case StateChanged(state=state, port=port, baudrate=baudrate, profile=profile):
            failure = None if state is State.OPERATIONAL else snapshot.failure
            if failure is not None and failure.waiting and state is not State.OFFLINE_AFTER_ERROR:
                failure = structs.replace(failure, waiting=False)
            last = snapshot.last_print
            if state in CLOSED:
                return Snapshot(state=state, failure=failure, candidates=snapshot.candidates, last_print=last)
            if state in (State.OPENING, State.DETECTING) and state is not snapshot.state:
                # What is known is about the printer before.
                snapshot = Snapshot(last_print=last)
            return replace(snapshot, state=state, port=port, baudrate=baudrate, profile=profile, failure=failure)
        case ConnectionFailed():
            return replace(snapshot, failure=event)
        case CandidateTried(port=port):
            return replace(snapshot, candidates={**snapshot.candidates, port: event})
        case PrinterRecognised(identity=identity):
            return replace(snapshot, identity=identity)
        case FileSelected(file=file):
            return replace(snapshot, selected=file, facts=snapshot.facts if file == snapshot.selected else None)
        case FileDeselected() if snapshot.selected is not None:
            return replace(snapshot, selected=None, facts=None)
        case FileKnown(file=file, facts=facts) if file == snapshot.selected:
            return replace(snapshot, facts=facts)
        case PhaseChanged(print=job) | PrintProgressed(print=job):
            return replace(snapshot, print=job)
        case PrintEnded():
            return replace(snapshot, print=None, last_print=event, sd_print=None)
        case TransferEnded():
            return replace(snapshot, print=None)
        case CardFileOpened(name=name):
            return replace(snapshot, sd_open=name)
        case SdPrintReported(printed=0) if snapshot.sd_print is None:
            # It has a file open; some firmware tells it so before it prints.
            return replace(snapshot, sd_ready=True)
        case SdPrintReported(printed=printed, total=total):
            elapsed = snapshot.sd_print.elapsed if snapshot.sd_print else None
            return replace(snapshot, sd_print=SdPrint(printed, total, elapsed), sd_ready=True)
        case PrintTimeReported(seconds=seconds) if snapshot.sd_print is not None:
            return replace(snapshot, sd_print=replace(snapshot.sd_print, elapsed=seconds))
        case SdPrintEnded() if snapshot.sd_print is not None:
            return replace(snapshot, sd_print=None)
        case FirmwareIdentified(name=name, fields=fields):
            return replace(snapshot, firmware=name, firmware_fields=fields)
        case SessionOpened(firmware_name=name):
            return replace(snapshot, firmware=name or snapshot.firmware)
        case CapabilityReported(name=name, enabled=enabled):
            if name not in snapshot.capabilities and len(snapshot.capabilities) >= MAX_CAPABILITIES:
                return snapshot
            return replace(snapshot, capabilities={**snapshot.capabilities, name: enabled})
        case TemperaturesReported(readings=readings):
            return replace(snapshot, temperatures=_merge(snapshot.temperatures, readings))
        case PositionReported(axes=axes):
            return replace(snapshot, position=axes)
        case PrinterRestarted():
            snapshot = replace(snapshot, temperatures={}, prompt=None, capabilities={}, tool=0, position={})
            return replace(snapshot, sd_print=None, sd_ready=False, sd_open=None, sd_files={})
        case OffsetsChanged(offsets=offsets):
            return replace(snapshot, offsets={**snapshot.offsets, **offsets})
        case PromptShown(prompt=prompt):
            return replace(snapshot, prompt=prompt)
        case PromptClosed() if snapshot.prompt is not None:
            return replace(snapshot, prompt=None)
        case Notified():
            return replace(snapshot, notifications=(*snapshot.notifications, event)[-MAX_NOTIFICATIONS:])
        case NotificationsCleared() if snapshot.notifications:
            return replace(snapshot, notifications=())
        case CardReady() if not snapshot.sd_ready:
            return replace(snapshot, sd_ready=True)
        case CardGone() if snapshot.sd_ready:
            return replace(snapshot, sd_ready=False, sd_files={})
        case CardListed(files=files):
            return replace(snapshot, sd_ready=True, sd_files=files)
    return snapshot


def _with_tool(snapshot: Snapshot, command: str) -> Snapshot:
    tool = _TOOL.match(command)
    return replace(snapshot, tool=int(tool[1])) if tool and int(tool[1]) != snapshot.tool else snapshot


def _merge(
    known: dict[str, tuple[float | None, float | None]],
    readings: dict[str, tuple[float | None, float | None]],
) -> dict[str, tuple[float | None, float | None]]:
    """A report without a target (Marlin's during M109, Repetier's) leaves the known one as it is, and vice versa."""
    merged = dict(known)
    for heater, (actual, target) in readings.items():
        if heater in merged or len(merged) < MAX_HEATERS:
            was_actual, was_target = merged.get(heater, (None, None))
            merged[heater] = (
                was_actual if actual is None else actual,
                was_target if target is None else target,
            )
    return merged
