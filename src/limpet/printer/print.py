"""PURE: the vocabulary of a print: which file, how far, in which phase, and how it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from limpet.gcodefile.analysis import Analysis
from limpet.protocol.events import Event


class Phase(StrEnum):
    """What a print is doing, in OctoPrint's words."""

    STARTING = "Starting"
    PRINTING = "Printing"
    PAUSING = "Pausing"
    PAUSED = "Paused"
    RESUMING = "Resuming"
    CANCELLING = "Cancelling"
    FINISHING = "Finishing"


Outcome = Literal["done", "cancelled", "failed"]


class SelectedFile(Struct, frozen=True, kw_only=True):
    """The file that a print would be of: `origin` is "local" or "sdcard", `path` below it; size in bytes, `date` in
    seconds since the epoch, `user` who selected it, where that is known."""

    origin: str
    path: str
    name: str
    display: str
    size: int | None = None
    date: int | None = None
    user: str | None = None


class FileFacts(Struct, frozen=True, kw_only=True):
    """What is known of a file besides: what reading it has brought to light, and in seconds how long good prints of it
    took on printers of this profile, the last ones (newest last) and all on average."""

    analysis: Analysis | None = None
    past: tuple[float, ...] = ()
    average: float | None = None


class Print(Struct, frozen=True, kw_only=True):
    """A print at one moment, or a transfer: then `file` is being written to the printer's card from `source`, the path
    of a file here.

    `position` is in bytes and `line` in lines of the file, both of what the printer has acknowledged; `elapsed` in
    seconds without pauses. `axes` is where the head was when it paused: "X", "Y", "Z", "E" -> mm, "F" -> mm/min,
    "T" -> tool, as far as that is known. `message` is what the file or the printer said when it asked for a pause.
    `left` are the seconds that it is thought to take yet, by what `left_origin` names (printer/estimate.py). `layer`
    counts from 1 to `layers`, and is at the height `z` in mm, as far as the file has been analysed.
    """

    file: SelectedFile
    phase: Phase
    started_at: float
    user: str | None = None
    source: str | None = None
    position: int = 0
    line: int = 0
    elapsed: float = 0.0
    axes: dict[str, float] = {}
    message: str | None = None
    left: float | None = None
    left_origin: str | None = None
    layer: int | None = None
    layers: int | None = None
    z: float | None = None

    @property
    def completion(self) -> float | None:
        """Percent of the file's bytes."""
        return 100.0 * min(1.0, self.position / self.file.size) if self.file.size else None


class FileKnown(Event, frozen=True):
    """What is known of a file that is selected or being printed has been looked up, or has changed."""

    file: SelectedFile
    facts: FileFacts


class PhaseChanged(Event, frozen=True):
    """A print has begun, or has gone on to another phase."""

    print: Print


class PrintProgressed(Event, frozen=True):
    """How far the print is now; told once or twice a second."""

    print: Print


class PrintEnded(Event, frozen=True):
    """A print is over. `code` and `message` say why, where it was not done: a code of the contract's for a lost
    connection, `cancelled`, or `file` for a fault in the file. `ended_at` is in seconds since the epoch."""

    print: Print
    outcome: Outcome
    ended_at: float
    code: str | None = None
    message: str | None = None


class TransferEnded(Event, frozen=True):
    """A file has been written to the printer's card, or not: as PrintEnded, with `card` for what the printer says of
    its card."""

    print: Print
    outcome: Outcome
    ended_at: float
    code: str | None = None
    message: str | None = None
