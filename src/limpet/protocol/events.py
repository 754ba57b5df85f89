"""The vocabulary: what happens on the line to a printer, in the past tense.

Structs rather than dataclasses: some are made for each line on the wire, and these are made five times as fast.
"""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True):
    """Something that happened on the line."""


# -- what one line of the printer says (replies.py) --


class Acknowledged(Event, frozen=True):
    """`ok`: a command was taken. Some firmware adds its line number and how much room is left."""

    line_number: int | None = None
    planner_free: int | None = None
    buffer_free: int | None = None


class ResendRequested(Event, frozen=True):
    """The printer expects this line number next."""

    line_number: int


class LineRejected(Event, frozen=True):
    """A line arrived damaged or out of order; `last_line` is the last good one, where it says so."""

    message: str
    last_line: int | None = None


class LineSkipped(Event, frozen=True):
    """Repetier: this line was passed over. It has been executed before, or it comes after a line that is missing."""

    line_number: int


class BusyReported(Event, frozen=True):
    """The printer works on a long command and is alive (`busy: processing`, `busy: paused for user`)."""

    reason: str


class IdleReported(Event, frozen=True):
    """`wait`: the printer has nothing to do and waits for a line."""


class BootReported(Event, frozen=True):
    """A line that firmware prints only when it starts: the printer was just switched on or reset."""

    message: str


class FirmwareIdentified(Event, frozen=True):
    """The answer to M115: `name` is its FIRMWARE_NAME, `fields` all its `KEY:value` pairs."""

    name: str
    fields: dict[str, str] = {}


class CapabilityReported(Event, frozen=True):
    """A `Cap:NAME:0|1` line of the answer to M115."""

    name: str
    enabled: bool


class TemperaturesReported(Event, frozen=True):
    """Heaters in degrees Celsius: "tool0", "tool1" ..., "bed", "chamber" -> (actual, target).

    None stands for a value that the printer did not give or could not measure (`T:nan`).
    """

    readings: dict[str, tuple[float | None, float | None]]


class PositionReported(Event, frozen=True):
    """The answer to M114 in mm: "X", "Y", "Z", "E" -> coordinate."""

    axes: dict[str, float]


class SdPrintReported(Event, frozen=True):
    """The printer prints from its own card: bytes of the file that are done, and all."""

    printed: int
    total: int


class SdPrintEnded(Event, frozen=True):
    """The printer does not print from its card, or does not any more."""


class SdPrintDone(SdPrintEnded, frozen=True):
    """The printer has printed the file on its card to its end."""


class CardFileOpened(Event, frozen=True):
    """The printer has this file on its card open to print it; None for what it does not say."""

    name: str | None = None
    size: int | None = None


class CardFileBegun(Event, frozen=True):
    """From here on the printer writes the lines that it gets to a file on its card."""

    name: str


class CardFileSaved(Event, frozen=True):
    """The printer has closed the file that it has written, and does what it is told again."""


class CardRefused(Event, frozen=True):
    """The printer cannot open a file on its card, to read or to write it."""

    message: str


class CardReady(Event, frozen=True):
    """The printer has a card of its own that it can read."""


class CardGone(Event, frozen=True):
    """There is no such card, or not any more."""


class CardListed(Event, frozen=True):
    """The files on the printer's card: path -> (size in bytes, long name), None where the printer does not say."""

    files: dict[str, tuple[int | None, str | None]]


class PrintTimeReported(Event, frozen=True):
    """The answer to M31: seconds since the print began, by the printer's own clock."""

    seconds: int


class OtherDeviceHeard(Event, frozen=True):
    """Something that is known to be no printer speaks; `what` says in words what it is."""

    what: str


class ActionRequested(Event, frozen=True):
    """`//action:<action>`: the printer asks its host to do something."""

    action: str


class ErrorReported(Event, frozen=True):
    """The firmware complains (`Error:...`, `!! ...`) but goes on. By `!!` it `refuses` what it was told to do."""

    message: str
    refuses: bool = False


class CommandRefused(Event, frozen=True):
    """The firmware has not done this command, and says why."""

    command: str
    tag: int | None
    message: str


class FirmwareHalted(Event, frozen=True):
    """The firmware has stopped for safety, and mostly obeys nothing until it is reset.

    Without `tells_why` the message says no more than that; the reason is in what the firmware says next, if anywhere.
    """

    message: str
    tells_why: bool = True


# -- what happens to the session (session.py) --


class LineSent(Event, frozen=True):
    """A line as it was written, without its newline."""

    line: str


class LineReceived(Event, frozen=True):
    """A line as it was read, without its newline; unreadable bytes stand as latin-1 characters."""

    line: str


class CommandAcknowledged(Event, frozen=True):
    """The printer has taken this command, whether it said so with an `ok` or by asking for a later line.

    `tag` is what came with the command; None for the session's own.
    """

    command: str
    tag: int | None = None


class SessionOpened(Event, frozen=True):
    """The other end has proved that it is a printer, and takes commands now."""

    firmware_name: str


class PrinterRestarted(Event, frozen=True):
    """The printer was reset while a session was open; what was in flight is lost, a new greeting runs."""

    message: str
    lost_commands: int


class SessionEnded(Event, frozen=True):
    """The session is over. `code` is one of the contract's reason codes, `detail` what was seen."""

    code: str
    detail: str
