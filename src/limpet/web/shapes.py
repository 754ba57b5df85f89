"""PURE: a snapshot in OctoPrint's words: state and flags, as the API and the push both tell them.

Source: the page "Common data model" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

from msgspec import Struct

from limpet.printer.state import CLOSED, Snapshot, State


class Flags(Struct, frozen=True, kw_only=True):
    """What the state means for a client; those of a print stay false as long as there are no jobs."""

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
