"""PURE: a snapshot in OctoPrint's words: state, flags, job and progress, as the API and the push both tell them.

Source: the page "Common data model" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

from msgspec import Struct

from limpet.printer.state import CLOSED, Snapshot, State


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


class JobInfo(Struct, frozen=True, kw_only=True):
    """What would be printed. Times in seconds, which nobody knows yet."""

    file: JobFile
    estimatedPrintTime: float | None = None  # noqa: N815
    averagePrintTime: float | None = None  # noqa: N815
    lastPrintTime: float | None = None  # noqa: N815
    filament: None = None
    user: str | None = None


class ProgressInfo(Struct, frozen=True, kw_only=True):
    """How far the print is: percent, bytes, seconds."""

    completion: float | None = None
    filepos: int | None = None
    printTime: int | None = None  # noqa: N815
    printTimeLeft: int | None = None  # noqa: N815
    printTimeLeftOrigin: str | None = None  # noqa: N815


class HeaterInfo(Struct, frozen=True, kw_only=True):
    """Degrees Celsius."""

    actual: float | None
    target: float | None


def state_text(snapshot: Snapshot) -> str:
    if snapshot.state is State.OPERATIONAL and snapshot.sd_print is not None:
        return "Printing from SD"
    return snapshot.state


def state_flags(snapshot: Snapshot) -> Flags:
    operational = snapshot.state is State.OPERATIONAL
    printing = operational and snapshot.sd_print is not None
    return Flags(
        operational=operational,
        printing=printing,
        closedOrError=snapshot.state in CLOSED,
        ready=operational and not printing,
        sdReady=snapshot.sd_ready,
    )


def state_info(snapshot: Snapshot) -> StateInfo:
    error = "" if snapshot.failure is None else snapshot.failure.fault.message
    return StateInfo(text=state_text(snapshot), flags=state_flags(snapshot), error=error)


def job(snapshot: Snapshot) -> JobInfo:
    file = snapshot.selected
    if file is None:
        return JobInfo(file=JobFile())
    return JobInfo(
        file=JobFile(
            name=file.name,
            path=file.path,
            display=file.display,
            origin=file.origin,
            size=file.size,
            date=file.date,
        ),
        user=file.user,
    )


def progress(snapshot: Snapshot) -> ProgressInfo:
    sd_print = snapshot.sd_print
    if sd_print is None:
        return ProgressInfo()
    return ProgressInfo(
        completion=100 * sd_print.printed / sd_print.total if sd_print.total > 0 else None,
        filepos=sd_print.printed,
        printTime=sd_print.elapsed,
    )


def heaters(temperatures: dict[str, tuple[float | None, float | None]]) -> dict[str, HeaterInfo]:
    return {name: HeaterInfo(actual=actual, target=target) for name, (actual, target) in temperatures.items()}
