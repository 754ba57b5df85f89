"""PURE: a snapshot in OctoPrint's words: state, flags, job and progress, as the API and the push both tell them.

Source: the page "Common data model" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, structs

from limpet.printer.print import FileFacts, Phase, Print, SelectedFile
from limpet.printer.state import CLOSED, Snapshot, State
from limpet.web.analysis import FilamentUse, analysis_of


class Flags(Struct, frozen=True, kw_only=True):
    """What the state means for a client."""

    operational: bool = False
    printing: bool = False
    cancelling: bool = False
    pausing: bool = False
    resuming: bool = False
    finishing: bool = False
    closedOrError: bool = False  # noqa: N815
    error: bool = False
    paused: bool = False
    ready: bool = False
    sdReady: bool = False  # noqa: N815


class StateInfo(Struct, frozen=True, kw_only=True):
    """The state for people, for programs, and why it is no better one ("" when nothing is wrong)."""

    text: str
    flags: Flags
    error: str


class JobFile(Struct, frozen=True, kw_only=True):
    """The selected file; all null when there is none. Size in bytes, date in seconds since the epoch."""

    name: str | None = None
    path: str | None = None
    display: str | None = None
    origin: str | None = None
    size: int | None = None
    date: int | None = None


class BusyFile(Struct, frozen=True, kw_only=True):
    """A file that is being printed, and must stay as it is."""

    origin: str
    path: str


class JobInfo(Struct, frozen=True, kw_only=True):
    """What would be printed. Times in seconds: what reading the file has led to, and what good prints of it took."""

    file: JobFile
    estimatedPrintTime: float | None = None  # noqa: N815
    averagePrintTime: float | None = None  # noqa: N815
    lastPrintTime: float | None = None  # noqa: N815
    filament: dict[str, FilamentUse] | None = None
    user: str | None = None


class ProgressInfo(Struct, frozen=True, kw_only=True):
    """How far the print is: percent, bytes, seconds; `layer` counts from 1, and is at the height `z` in mm.

    These three are there as far as the file has been analysed.
    """

    completion: float | None = None
    filepos: int | None = None
    printTime: int | None = None  # noqa: N815
    printTimeLeft: int | None = None  # noqa: N815
    printTimeLeftOrigin: str | None = None  # noqa: N815
    layer: int | UnsetType = UNSET
    layers: int | UnsetType = UNSET
    z: float | UnsetType = UNSET


class HeaterInfo(Struct, frozen=True, kw_only=True):
    """Degrees Celsius."""

    actual: float | None
    target: float | None


_RUNNING = frozenset({Phase.STARTING, Phase.PRINTING, Phase.FINISHING, Phase.CANCELLING, Phase.RESUMING, Phase.PAUSING})
"""Phases in which OctoPrint's clients take the printer to be printing."""


_OF_CARD = {Phase.STARTING: "Starting print from SD", Phase.PRINTING: "Printing from SD"}
_OF_TRANSFER = {Phase.STARTING: "Starting to send file to SD", Phase.PRINTING: "Sending file to SD"}


def state_text(snapshot: Snapshot) -> str:
    """The state of the connection, or what its print is doing."""
    job = snapshot.print
    if job is None:
        return snapshot.state
    special = _OF_TRANSFER if job.source is not None else _OF_CARD if job.file.origin == "sdcard" else {}
    return special.get(job.phase, job.phase)


def state_flags(snapshot: Snapshot) -> Flags:
    operational = snapshot.state is State.OPERATIONAL
    phase = snapshot.print.phase if snapshot.print is not None else None
    printing = operational and phase in _RUNNING
    return Flags(
        operational=operational,
        printing=printing,
        cancelling=phase is Phase.CANCELLING,
        pausing=phase is Phase.PAUSING,
        resuming=phase is Phase.RESUMING,
        finishing=phase is Phase.FINISHING,
        paused=phase is Phase.PAUSED,
        closedOrError=snapshot.state in CLOSED,
        ready=operational and not printing and phase is None,
        sdReady=snapshot.sd_ready,
    )


def state_info(snapshot: Snapshot) -> StateInfo:
    error = "" if snapshot.failure is None else snapshot.failure.fault.message
    return StateInfo(text=state_text(snapshot), flags=state_flags(snapshot), error=error)


def job(snapshot: Snapshot) -> JobInfo:
    file = snapshot.print.file if snapshot.print is not None else snapshot.selected
    if file is None:
        return JobInfo(file=JobFile())
    facts = snapshot.facts or FileFacts()
    read = analysis_of(facts.analysis.summary) if facts.analysis is not None else None
    return JobInfo(
        file=job_file(file),
        estimatedPrintTime=read.estimatedPrintTime if read is not None else None,
        averagePrintTime=facts.average,
        lastPrintTime=facts.past[-1] if facts.past else None,
        filament=(read.filament or None) if read is not None else None,
        user=file.user,
    )


def busy_files(snapshot: Snapshot) -> list[BusyFile]:
    if snapshot.print is None:
        return []
    file, source = snapshot.print.file, snapshot.print.source
    read = [BusyFile(origin="local", path=source)] if source is not None else []
    return [BusyFile(origin=file.origin, path=file.path), *read]


def job_file(file: SelectedFile) -> JobFile:
    return JobFile(
        name=file.name or None,
        path=file.path or None,
        display=file.display,
        origin=file.origin,
        size=file.size,
        date=file.date,
    )


def progress(snapshot: Snapshot) -> ProgressInfo:
    last = snapshot.last_print
    if snapshot.print is not None:
        return _progress(snapshot.print)
    if last is not None and last.outcome == "done" and last.print.file == snapshot.selected:
        return _progress(structs.replace(last.print, left=0.0, left_origin=None))
    return ProgressInfo()


def _progress(print: Print) -> ProgressInfo:
    return ProgressInfo(
        completion=print.completion,
        filepos=print.position,
        printTime=int(print.elapsed),
        printTimeLeft=None if print.left is None else round(print.left),
        printTimeLeftOrigin=print.left_origin,
        layer=UNSET if print.layer is None else print.layer,
        layers=UNSET if print.layers is None else print.layers,
        z=UNSET if print.z is None else print.z,
    )


def heaters(temperatures: dict[str, tuple[float | None, float | None]]) -> dict[str, HeaterInfo]:
    return {name: HeaterInfo(actual=actual, target=target) for name, (actual, target) in temperatures.items()}
