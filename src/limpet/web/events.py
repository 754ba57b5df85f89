"""PURE: what happens to a printer, as OctoPrint's events: names and payloads.

Source: the page "Events" of OctoPrint's documentation, and what OctoPrint 1.11.8 tells.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from limpet.errors import Fault
from limpet.printer.payloads import printed, stopped, who
from limpet.printer.print import Phase, PhaseChanged, Print, PrintEnded, PrintProgressed, SelectedFile, TransferEnded
from limpet.printer.prompts import Prompt
from limpet.printer.state import (
    CLOSED,
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
)
from limpet.protocol.events import CardGone, CardListed, Event, FirmwareIdentified, PositionReported, PrinterRestarted
from limpet.storage.names import type_path
from limpet.web.analysis import analysis_of
from limpet.web.shapes import state_text

_STATE_IDS = {
    State.OFFLINE: "OFFLINE",
    State.OFFLINE_AFTER_ERROR: "OFFLINE",
    State.OPENING: "OPEN_SERIAL",
    State.DETECTING: "DETECT_SERIAL",
    State.CONNECTING: "CONNECTING",
    State.OPERATIONAL: "OPERATIONAL",
}
_REASONS = {
    "no_printer_found": "autodetect",
    "firmware_halted": "firmware",
    "firmware_error": "firmware",
    "resend_loop": "resend_loop",
    "timeout": "timeout",
}
"""Our code -> OctoPrint's `reason`; any other is a matter of the connection."""


class EventInfo(Struct, frozen=True):
    """An event as it is told: OctoPrint's name for it, and what belongs to it."""

    type: str
    payload: Any = None


_STAYS = ("file", "card", "cancelled", "refused")
"""Why a print or transfer may end with the printer still there."""
_OTHER_FILES = EventInfo("UpdatedFiles", {"type": "printables"})


class PluginInfo(Struct, frozen=True):
    """What one of OctoPrint's plugins tells its part of a page."""

    plugin: str
    data: dict[str, Any]


PROMPT, NOTIFICATION = "action_command_prompt", "action_command_notification"
"""The plugins of OctoPrint by which a printer speaks to a person."""


def plugins_of(before: Snapshot, now: Snapshot) -> list[PluginInfo]:
    """What these plugins would tell of a change."""
    told: list[PluginInfo] = []
    if now.prompt is not before.prompt:
        prompt = now.prompt
        shown = {"action": "close"} if prompt is None else {"action": "show", **prompt_info(prompt)}
        told.append(PluginInfo(PROMPT, shown))
    if now.notifications is not before.notifications and now.notifications != before.notifications:
        last = now.notifications[-1:]
        told.append(PluginInfo(NOTIFICATION, {"message": last[0].message} if last else {}))
    return told


def prompt_info(prompt: Prompt) -> dict[str, Any]:
    return {"text": prompt.text, "choices": list(prompt.choices)}


def events_of(before: Snapshot, event: Event, now: Snapshot) -> list[EventInfo]:
    """What a client of OctoPrint would be told of `event`, which has made `now` of `before`; mostly nothing."""
    match event:
        case StateChanged():
            return _of_state(before, now)
        case ConnectionFailed() if event.fault.code == "reset":
            # Told as PrinterReset already; the connection goes on.
            return []
        case ConnectionFailed():
            return [EventInfo("PrinterStateChanged", {"state_id": "ERROR", "state_string": "Error"}), _error(event)]
        case PrinterRestarted():
            return [EventInfo("PrinterReset")]
        case FirmwareIdentified() if now.state is State.OPERATIONAL:
            return [_firmware(now)]
        case PhaseChanged(print=job) if job.source is not None:
            return _of_transfer(before, job, now)
        case PhaseChanged(print=job):
            return [*_of_height(before, job), *_of_phase(before, job, now)]
        case PrintProgressed(print=job) if job.source is None:
            return _of_height(before, job)
        case TransferEnded():
            return _of_end_of_transfer(event, now)
        case PrintEnded():
            return _of_end(event, now)
        case PositionReported() if now.print is not None and now.print.phase is Phase.PAUSING:
            return []  # Told when the print has paused.
        case PositionReported(axes=axes):
            return [EventInfo("PositionUpdate", {"reason": None, **{axis.lower(): axes[axis] for axis in axes}})]
        case FileSelected(file=file):
            return [EventInfo("FileSelected", _file(file))]
        case FileDeselected():
            return [EventInfo("FileDeselected")]
        case FilesChanged() | FilesMoved() | FileUploaded():
            return [_of_files(event)]
        case AnalysisStarted(path=path):
            kind = (type_path(path) or ("gcode",))[-1]
            return [EventInfo("MetadataAnalysisStarted", {**_stored(path), "type": kind})]
        case AnalysisFinished(path=path, summary=summary):
            return [EventInfo("MetadataAnalysisFinished", {**_stored(path), "result": analysis_of(summary)})]
        case CardListed() | CardGone():
            return [_OTHER_FILES]
        case ProfileChanged(what=what, id=id):
            return [EventInfo(f"PrinterProfile{what}", {"identifier": id})]
        case SettingsChanged():
            return [EventInfo("SettingsUpdated")]
    return []


def _of_state(before: Snapshot, now: Snapshot) -> list[EventInfo]:
    was, is_now = before.state, now.state
    told: list[EventInfo] = []
    if was is is_now:
        return told
    begins = is_now in (State.OPENING, State.DETECTING) and (was in CLOSED or was is State.OPERATIONAL)
    ends = was not in CLOSED and (is_now in CLOSED or begins)
    if ends:
        if is_now is not State.OFFLINE_AFTER_ERROR:
            told.append(EventInfo("Disconnecting"))
        if before.sd_ready:
            told.append(_OTHER_FILES)
        told.append(EventInfo("Disconnected"))
    if begins:
        told.append(EventInfo("Connecting"))
    if not (was in CLOSED and is_now in CLOSED):
        told.append(_state(now))
    if is_now is State.OPERATIONAL:
        told.append(EventInfo("Connected", {"port": now.port, "baudrate": now.baudrate}))
        if now.firmware is not None:
            told.append(_firmware(now))
    return told


def _of_phase(before: Snapshot, job: Print, now: Snapshot) -> list[EventInfo]:
    state = _state(now)
    match job.phase:
        case Phase.STARTING if before.print is None:
            return [state, EventInfo("PrintStarted", printed(job) | who(job))]
        case Phase.PAUSED:
            told = stopped(job) | who(job)
            where = [EventInfo("PositionUpdate", {"reason": "pause", **told["position"]})] if job.axes else []
            return [EventInfo("PrintPaused", told), *where, state]
        case Phase.RESUMING:
            return [state, EventInfo("PrintResumed", printed(job) | who(job))]
        case Phase.CANCELLING:
            return [EventInfo("PrintCancelling", printed(job) | who(job)), state]
    return [state]


def _of_height(before: Snapshot, job: Print) -> list[EventInfo]:
    old = None if before.print is None else before.print.z
    return [EventInfo("ZChange", {"new": job.z, "old": old})] if job.z not in (None, old) else []


def _of_end(ended: PrintEnded, now: Snapshot) -> list[EventInfo]:
    job = ended.print
    time = {"time": job.elapsed}
    if ended.outcome == "done":
        return [EventInfo("PrintDone", printed(job) | time), _state(now)]
    told = stopped(job) | who(job) | time
    if ended.outcome == "cancelled":
        failed = EventInfo("PrintFailed", told | {"reason": "cancelled"})
        return [EventInfo("PrintCancelled", told), failed, _state(now)]
    failed = EventInfo("PrintFailed", told | {"reason": "error", "error": ended.message, "code": ended.code})
    # Otherwise the printer is gone, and what has become of it is told next.
    return [failed, _state(now)] if ended.code in _STAYS else [failed]


def _of_transfer(before: Snapshot, job: Print, now: Snapshot) -> list[EventInfo]:
    began = job.phase is Phase.STARTING and before.print is None
    return [_state(now), *([EventInfo("TransferStarted", _sent(job))] if began else ())]


def _of_end_of_transfer(ended: TransferEnded, now: Snapshot) -> list[EventInfo]:
    sent = _sent(ended.print)
    if ended.outcome == "done":
        return [EventInfo("TransferDone", sent | {"time": ended.print.elapsed}), _state(now)]
    failed = EventInfo("TransferFailed", sent | {"code": ended.code, "error": ended.message})
    return [failed, _state(now)] if ended.code in _STAYS else [failed]


def _sent(job: Print) -> dict[str, Any]:
    return {"local": job.source, "remote": job.file.path}


def _state(now: Snapshot) -> EventInfo:
    if now.print is not None:
        phase = now.print.phase
        return EventInfo("PrinterStateChanged", {"state_id": phase.name, "state_string": state_text(now)})
    # Why it is offline is told by the event Error.
    text = State.OFFLINE if now.state in CLOSED else now.state
    return EventInfo("PrinterStateChanged", {"state_id": _STATE_IDS[now.state], "state_string": text})


def _error(failed: ConnectionFailed) -> EventInfo:
    fault = failed.fault
    payload = {
        "error": fault.message,
        "reason": reason_of(fault),
        "consequence": consequence_of(fault),
        "faq": None,
        "logs": [log_line(line) for line in failed.traffic],
        "code": fault.code,
        "hint": fault.hint,
    }
    return EventInfo("Error", payload)


def reason_of(fault: Fault) -> str:
    """What kind of fault it is, in OctoPrint's words."""
    return _REASONS.get(fault.code, "connection")


def consequence_of(fault: Fault) -> str:
    """What has been done about it, in OctoPrint's words."""
    return "emergency" if fault.code == "firmware_halted" else "disconnect"


def log_line(traffic: str) -> str:
    """A line of traffic ("> sent", "< received") as OctoPrint's terminal shows it."""
    return f"{'Send' if traffic.startswith('>') else 'Recv'}: {traffic[2:]}"


def _firmware(now: Snapshot) -> EventInfo:
    return EventInfo("FirmwareData", {"name": now.firmware, "data": now.firmware_fields})


def _file(file: SelectedFile) -> dict[str, Any]:
    told = {"name": file.name, "path": file.path, "origin": file.origin, "size": file.size}
    return told if file.user is None else {**told, "owner": file.user, "user": file.user}


def _of_files(event: FilesChanged | FilesMoved | FileUploaded) -> EventInfo:
    match event:
        case FilesChanged(what="UpdatedFiles"):
            return _OTHER_FILES
        case FilesChanged(what=what, storage=storage, path=path, type_path=type_path, operation=operation):
            of_files = {"type": list(type_path), "operation": operation} if type_path else {}
            return EventInfo(what, {"storage": storage, "path": path, "name": _name(path), **of_files})
        case FilesMoved(what=what, storage=storage, source=source, destination=destination, type_path=type_path):
            payload: dict[str, Any] = {"storage": storage}
            for side, path in (("source", source), ("destination", destination)):
                payload |= {f"{side}_path": path, f"{side}_name": _name(path)}
                payload |= {f"{side}_type": list(type_path)} if type_path else {}
            return EventInfo(what, payload)
        case FileUploaded():
            payload = {
                "name": _name(event.path),
                "path": event.path,
                "target": event.storage,
                "select": event.select,
                "print": event.print,
                "effective_select": event.effective_select,
                "effective_print": event.effective_print,
            }
            return EventInfo("Upload", payload)


def _stored(path: str) -> dict[str, Any]:
    return {"name": _name(path), "path": path, "origin": "local"}


def _name(path: str) -> str:
    return path.rpartition("/")[2]
