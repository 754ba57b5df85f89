"""The vocabulary: what happens on the line to a printer, in the past tense."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on the line."""


# -- what one line of the printer says (replies.py) --


@dataclass(frozen=True, slots=True)
class Acknowledged(Event):
    """`ok`: a command was taken. Some firmware adds its line number and how much room is left."""

    line_number: int | None = None
    planner_free: int | None = None
    buffer_free: int | None = None


@dataclass(frozen=True, slots=True)
class ResendRequested(Event):
    """The printer expects this line number next."""

    line_number: int


@dataclass(frozen=True, slots=True)
class LineRejected(Event):
    """A line arrived damaged or out of order; `last_line` is the last good one, where it says so."""

    message: str
    last_line: int | None = None


@dataclass(frozen=True, slots=True)
class BusyReported(Event):
    """The printer works on a long command and is alive (`busy: processing`, `busy: paused for user`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class IdleReported(Event):
    """`wait`: the printer has nothing to do and waits for a line."""


@dataclass(frozen=True, slots=True)
class BootReported(Event):
    """A line that firmware prints only when it starts: the printer was just switched on or reset."""

    message: str


@dataclass(frozen=True, slots=True)
class FirmwareIdentified(Event):
    """The answer to M115: `name` is its FIRMWARE_NAME, `fields` all its `KEY:value` pairs."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CapabilityReported(Event):
    """A `Cap:NAME:0|1` line of the answer to M115."""

    name: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class TemperaturesReported(Event):
    """Heaters in degrees Celsius: "tool0", "tool1" ..., "bed", "chamber" -> (actual, target).

    None stands for a value that the printer did not give or could not measure (`T:nan`).
    """

    readings: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class PositionReported(Event):
    """The answer to M114 in mm: "X", "Y", "Z", "E" -> coordinate."""

    axes: dict[str, float]


@dataclass(frozen=True, slots=True)
class ActionRequested(Event):
    """`//action:<action>`: the printer asks its host to do something."""

    action: str


@dataclass(frozen=True, slots=True)
class ErrorReported(Event):
    """The firmware complains (`Error:...`, `!! ...`) but goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class FirmwareHalted(Event):
    """The firmware has stopped for safety and obeys nothing until it is reset."""

    message: str


# -- what happens to the session (session.py) --


@dataclass(frozen=True, slots=True)
class LineSent(Event):
    """A line as it was written, without its newline."""

    line: str


@dataclass(frozen=True, slots=True)
class LineReceived(Event):
    """A line as it was read, without its newline; unreadable bytes stand as latin-1 characters."""

    line: str


@dataclass(frozen=True, slots=True)
class SessionOpened(Event):
    """The other end has proved that it is a printer, and takes commands now."""

    firmware_name: str


@dataclass(frozen=True, slots=True)
class PrinterRestarted(Event):
    """The printer was reset while a session was open; what was in flight is lost, a new greeting runs."""

    message: str
    lost_commands: int


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """The session is over. `code` is one of the contract's reason codes, `detail` what was seen."""

    code: str
    detail: str
