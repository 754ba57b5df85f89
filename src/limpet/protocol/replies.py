"""One line of a printer -> events: a table, one row per kind of reply.

The rows are tried in order and the first that matches speaks; an `ok` may carry a second reply behind it
(`ok T:21.3 /0.0`), which is read by the same table. What no row knows is not an event. Nothing here raises,
whatever the line is.

Sources: recordings of Marlin, Prusa, Repetier, Teacup and Klipper; the RepRap wiki's "G-code" page; Marlin
`queue.cpp`, `M115.cpp`, `temperature.cpp`; which messages Klipper's `klippy` has (`gcode.py`, `error_mcu.py`,
`verify_heater.py`); Smoothieware and RepRapFirmware documentation; which
heater faults RepRapFirmware has (1.x `PID.cpp`, 2 and 3 `LocalHeater.cpp`, from 3.4 on `Event.cpp`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from re import Match

from limpet.protocol.events import (
    Acknowledged,
    ActionRequested,
    BootReported,
    BusyReported,
    CapabilityReported,
    CardFileBegun,
    CardFileOpened,
    CardFileSaved,
    CardGone,
    CardReady,
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

_NUMBER = r"-?(?:\d+\.?\d*|\.\d+|nan|inf)"
_HEATER = re.compile(rf"(?<![A-Za-z@])(T\d{{0,2}}|B|C):\s*({_NUMBER})(?:\s*/\s*({_NUMBER}))?", re.IGNORECASE)
_AXIS = re.compile(rf"\b([XYZE]):\s*({_NUMBER})")
_FIELD = re.compile(r"^(NAME)\.|(?:^|[\s,]+)((?:X-)?[A-Z][A-Z0-9_]*):(?=\s*\S)")
_OK_NUMBER = re.compile(r"N?(\d{1,10})(?![\w.])")
_OK_ROOM = re.compile(r"\b([PB])(\d{1,5})\b")
_DURATION = re.compile(r"(\d{1,6})\s*([dhms])", re.IGNORECASE)
_LAST_LINE = re.compile(r"Last Line:\s*(\d{1,10})", re.IGNORECASE)
_EXPECTED = re.compile(r"expected line (\d{1,10})", re.IGNORECASE)
_ONLY_OK = (Acknowledged(),)
_NOISE = "".join(map(chr, [*range(0x20), *range(0x7F, 0x100)]))

# A host that pauses on these words would pause a print for a damaged line; a host that ignores the
# others would print on with cold heaters. Hence two lists.
_REJECTED = re.compile(r"checksum|line number|no line|expected line|format error|last line", re.IGNORECASE)
_KLIPPER_HALTED = (
    r"(?:heater \S+ not heating at expected rate|shutdown due to\b|firmware shutdown:|(?:previous )?mcu '.*?' shutdown|"
    r"lost communication with mcu|mcu protocol error)"
)
# Duet's boards go on with one heater off; a print that goes on with them is spoilt.
_HEATER_FAULT = r"(?:(?:heating|temperature reading) fault on heater \d|heater \d+ fault\b)"
_HALTED = re.compile(
    r"kill\(\) called|printer halted|printer is (?:halted|shutdown)|printer stopped|system stopped|"
    r"thermal runaway|temperature runaway|heating failed|halt asserted|(?:min|max)temp\b|shutdown due to|"
    r"lost communication with mcu|mcu '.*' shutdown|"
    rf"^{_KLIPPER_HALTED}|^{_HEATER_FAULT}",
    re.IGNORECASE,
)
# A comment may be anything, also what a person has written: it has to begin with a halt.
_HALTED_COMMENT = re.compile(_KLIPPER_HALTED, re.IGNORECASE)
# How Klipper ends the reason for which it does nothing any more; after that it has only "!!" and the reason again.
_HALTED_SOMEHOW = re.compile(
    r"(?:klipper state: shutdown|printer is (?:shutdown|halted)|error configuring printer)$", re.IGNORECASE
)
_KLIPPER_STARTS = re.compile(r"(?:klipper state: disconnect|printer is not ready)$", re.IGNORECASE)
# Words of a person or names of files, as firmware puts them into a complaint.
_QUOTED = re.compile(r"(?<!\w)(['\"]).*?\1")


def without_noise(line: str) -> str:
    """The line without what sticks to its ends when a printer is reset or plugged in."""
    return line if line.isascii() and line.isprintable() else line.strip(_NOISE)


def printable(line: str) -> str:
    """The line as it may be shown in a terminal: a tab as a blank, other control characters as `\\x1b`."""
    if line.isprintable():
        return line
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in line.replace("\t", " "))
    return "".join(shown)


def events_of(line: str) -> tuple[Event, ...]:
    """What this line says, in the order in which it says it; empty for chatter."""
    if line == "ok":
        return _ONLY_OK
    return tuple(_read(line.strip()))


def _read(line: str) -> Iterator[Event]:
    for pattern, read in _ROWS:
        match = pattern.match(line)
        if match:
            yield from read(match)
            return


def _ok(match: Match[str]) -> Iterator[Event]:
    rest = match.group(1).strip()
    number = _OK_NUMBER.match(rest)
    room = dict(_OK_ROOM.findall(rest)) if number or rest.startswith(("P", "B")) else {}
    yield Acknowledged(
        int(number.group(1)) if number else None,
        int(room["P"]) if "P" in room else None,
        int(room["B"]) if "B" in room else None,
    )
    if rest and not number:
        yield from _read(rest)


def _resend(match: Match[str]) -> Iterator[Event]:
    yield ResendRequested(int(match.group(1)))


def _skip(match: Match[str]) -> Iterator[Event]:
    yield LineSkipped(int(match.group(1)))


def _then_resend(match: Match[str]) -> Iterator[Event]:
    yield from _read(match.group(1))
    yield ResendRequested(int(match.group(2)))


def _both(match: Match[str]) -> Iterator[Event]:
    yield from _read(match.group(1))
    yield from _read(match.group(2))


def _error(match: Match[str]) -> Iterator[Event]:
    sign, message = match.group(1), match.group(2).strip()
    if not message and sign == "!!":
        yield FirmwareHalted("it answers !! to everything")  # Smoothie, until M999.
    elif _HALTED.search(_QUOTED.sub("''", message)):
        yield FirmwareHalted(message)
    elif _REJECTED.search(message):
        yield LineRejected(message, _last_line(message))
    else:
        yield ErrorReported(message, refuses=sign == "!!")


def _last_line(message: str) -> int | None:
    """The last line that it has taken, as Marlin says it, or before the one that it expects, as Repetier does."""
    if (last := _LAST_LINE.search(message)) is not None:
        return int(last.group(1))
    expected = _EXPECTED.search(message)
    return int(expected.group(1)) - 1 if expected is not None else None


def _fatal(match: Match[str]) -> Iterator[Event]:
    yield FirmwareHalted(match.group(1).strip())


def _comment(match: Match[str]) -> Iterator[Event]:
    text = match.group(1).strip()
    if text.startswith("action:"):
        yield ActionRequested(text.removeprefix("action:").strip())
    elif _HALTED_COMMENT.match(text):
        yield FirmwareHalted(text)
    elif _HALTED_SOMEHOW.match(text):
        yield FirmwareHalted(text, tells_why=False)
    elif _KLIPPER_STARTS.match(text):
        yield BootReported(text)


def _busy(match: Match[str]) -> Iterator[Event]:
    yield BusyReported(match.group(1).strip())


def _wait(_: Match[str]) -> Iterator[Event]:
    yield IdleReported()


def _boot(match: Match[str]) -> Iterator[Event]:
    yield BootReported(match.group())


def _firmware(match: Match[str]) -> Iterator[Event]:
    line = match.group()
    found = list(_FIELD.finditer(line))
    ends = [*(field.start() for field in found), len(line)][1:]
    fields = {
        (f.group(1) or f.group(2)): line[f.end() : end].strip(" \t,") for f, end in zip(found, ends, strict=False)
    }
    yield FirmwareIdentified(fields.get("FIRMWARE_NAME") or fields.get("NAME", ""), fields)


def _capability(match: Match[str]) -> Iterator[Event]:
    yield CapabilityReported(match.group(1).upper(), match.group(2) == "1")


def _temperatures(match: Match[str]) -> Iterator[Event]:
    readings: dict[str, tuple[float | None, float | None]] = {}
    for heater, actual, target in _HEATER.findall(match.string):
        name = _heater_name(heater.upper())
        # Marlin names the current tool "T" and then lists every tool by number: the numbered one counts.
        if name not in readings or heater[1:]:
            readings[name] = (_degrees(actual), _degrees(target))
    if readings:
        yield TemperaturesReported(readings)


def _repetier_target(match: Match[str]) -> Iterator[Event]:
    name = "bed" if match.group(1).lower() == "bed" else f"tool{match.group(2) or 0}"
    yield TemperaturesReported({name: (None, _degrees(match.group(3)))})


def _position(match: Match[str]) -> Iterator[Event]:
    # "X:1 Y:2 Z:3 E:4 Count X:80 ...": what stands behind "Count" is in steps.
    axes = {axis: float(value) for axis, value in _AXIS.findall(match.string.partition("Count")[0])}
    yield PositionReported(axes)


def _card(match: Match[str]) -> Iterator[Event]:
    printed, total = int(match.group(1)), int(match.group(2))
    # Some firmware says 0/0 for a card that has not been read.
    yield SdPrintReported(printed, total) if total else SdPrintEnded()


def _card_idle(_: Match[str]) -> Iterator[Event]:
    yield SdPrintEnded()


def _card_done(_: Match[str]) -> Iterator[Event]:
    yield SdPrintDone()


def _file_opened(match: Match[str]) -> Iterator[Event]:
    yield CardFileOpened(match.group(1) or None, int(match.group(2)))


def _current_file(match: Match[str]) -> Iterator[Event]:
    yield CardFileOpened(match.group(1))


def _file_begun(match: Match[str]) -> Iterator[Event]:
    yield CardFileBegun(match.group(1).strip())


def _file_saved(_: Match[str]) -> Iterator[Event]:
    yield CardFileSaved()


def _card_refused(match: Match[str]) -> Iterator[Event]:
    yield CardRefused(match.group().rstrip("."))


def _card_ready(_: Match[str]) -> Iterator[Event]:
    yield CardReady()


def _card_gone(_: Match[str]) -> Iterator[Event]:
    yield CardGone()


def _print_time(match: Match[str]) -> Iterator[Event]:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    seconds = sum(int(number) * units[unit.lower()] for number, unit in _DURATION.findall(match.group(1)))
    yield PrintTimeReported(seconds)


def _nmea(_: Match[str]) -> Iterator[Event]:
    yield OtherDeviceHeard("it speaks NMEA, as GPS receivers do")


def _deleted_ok(_: Match[str]) -> Iterator[Event]:
    # Marlin prints no newline between "File deleted:NAME" and "ok" (MarlinFirmware/Marlin, cardreader).
    yield Acknowledged()


def _heater_name(heater: str) -> str:
    if heater == "B":
        return "bed"
    if heater == "C":
        return "chamber"
    return f"tool{int(heater[1:] or 0)}"


def _degrees(text: str) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


_Read = Callable[[Match[str]], Iterator[Event]]


def _row(pattern: str, read: _Read) -> tuple[re.Pattern[str], _Read]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL), read


_ROWS = (
    # The everyday ones. A line number has at most 10 digits (32 bits); a longer one is damage.
    _row(r"ok(?![A-Za-z])(.*)", _ok),
    _row(r"(?:resend|rs)\b\s*:?\s*N?:?\s*(\d{1,10})\b", _resend),
    # Replies that lost the newline between them, and some that never had one.
    _row(r"file deleted:.*ok$", _deleted_ok),
    _row(r"(ok|wait|start)((?:ok|wait|start|echo:|error:|resend:|t:|//).*)", _both),
    _row(r"((?:t\d{0,2}:|b:|x:|(?:echo:\s*)?busy:).*)(ok)$", _both),
    _row(r"([^\"]+)resend:\s*(\d{1,10})\b", _then_resend),
    _row(r"(?:echo:\s*)?busy:(.*)", _busy),
    _row(r"wait$", _wait),
    _row(r"skip (\d{1,10})$", _skip),
    _row(r"(?:t\d{0,2}|b|c):\s*-?(?:[\d.]|nan|inf)", _temperatures),
    _row(r"target(extr|bed)(\d{0,2}):\s*(-?[\d.]+|nan)$", _repetier_target),
    # Complaints.
    _row(r"(fatal:.*|emergency stop(?:!| requested).*)", _fatal),
    _row(r"(error:|!!)(.*)", _error),
    _row(r"//(.*)", _comment),
    # Facts about the printer.
    _row(r"(?:echo:\s*)?(?:name[:.]|firmware_name:).*", _firmware),
    _row(r"cap:\s*([A-Z0-9_]+):([01])\b", _capability),
    _row(r"(?:C:\s*)?X:\s*-?[\d.]+[\s,]+Y:", _position),
    _row(r"SD printing byte (\d{1,10})/(\d{1,10})", _card),
    _row(r"not SD printing", _card_idle),
    _row(r"done printing file", _card_done),
    _row(r"file opened:\s*(.*?)\s*size:\s*(\d{1,10})", _file_opened),
    _row(r"current file: (?!\(no file\))(\S+)", _current_file),
    _row(r"writing to file:(.*)", _file_begun),
    _row(r"done saving file", _file_saved),
    _row(r"open failed\b.*", _card_refused),
    _row(r"(?:echo:\s*)?SD card ok\b", _card_ready),
    _row(r"(?:echo:\s*)?(?:no SD card|no media|SD init fail|SD card (?:released|removed)|card removed)\b", _card_gone),
    _row(r"(?:echo:\s*)?print time:\s*(\d.*)", _print_time),
    _row(r"(?:echo:\s*)?(\d{1,6} min, \d{1,2} sec)", _print_time),
    _row(r"\$G[A-Z]{4},", _nmea),
    # What only a printer that has just started says.
    _row(
        r"start$|smoothie$|(?:echo:\s*|info:\s*)?(?:powerup|external reset|brown ?out reset|watchdog reset)\b",
        _boot,
    ),
    _row(r"(?:echo:\s*)?marlin (?:bugfix-)?\d[\w.]*$|grbl \d", _boot),
)
