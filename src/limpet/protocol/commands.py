"""One command as it goes over the wire: what is sent, its line number and its checksum.

Source: RepRap "G-code" page, section "Checking"; Marlin `queue.cpp` (`GCodeQueue::get_serial_commands`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_COMMAND_LENGTH = 256
"""Longest command in bytes. Marlin itself cuts lines at MAX_CMD_SIZE (96) and would reject a longer one."""

_WORD = re.compile(r"([A-Z])\s*([-+]?(?:\d+\.?\d*|\.\d+))")
_NUMBER = re.compile(r"N\s*\d+\s*", re.IGNORECASE)
_STOP = re.compile(r"\s*(?:N\s*\d+\s*)?M\s*0*112(?!\d|\.\d)", re.IGNORECASE)
_CODE = re.compile(r"([GMT]\d+(?:\.\d+)?)(?!\d)", re.IGNORECASE)


class Command(NamedTuple):
    """One line for the printer; `tag` comes back with its acknowledgement, for whoever waits for that."""

    text: str
    tag: int | None = None


def checksum(line: bytes) -> int:
    """XOR of all bytes before the `*`: 0 to 255."""
    folded = int.from_bytes(line, "big")
    # Half upon half, a few times as fast as byte upon byte.
    bits = 4 << len(line).bit_length()
    while bits >= 8:
        folded ^= folded >> bits
        bits >>= 1
    return folded & 0xFF


def number_line(number: int, command: str) -> bytes:
    """`N<number> <command>*<checksum>` and a newline, ready to be written."""
    body = b"N%d %b" % (number, command.encode("utf-8", "replace"))
    return b"%b*%d\n" % (body, checksum(body))


def clean(command: str) -> str:
    """The command without comment and outer blanks; empty when nothing is left to send.

    A `;` starts a comment. A line number goes, and the checksum with it: the line gets its own. Raises ValueError on
    control characters (a newline would smuggle in a second command, or have it dropped as part of a comment) and on
    more than MAX_COMMAND_LENGTH bytes.
    """
    command = command.strip()
    if ";" in command:
        if "\n" in command or "\r" in command:
            raise ValueError("a command is one line without control characters")
        command = command.partition(";")[0].rstrip()
    if command[:1] in "Nn" and (number := _NUMBER.match(command)):
        command = _without_checksum(command[number.end() :])
    plain = command.isascii() and command.isprintable()
    if not plain and any(character < " " and character != "\t" for character in command):
        raise ValueError("a command is one line without control characters")
    if len(command if plain else command.encode("utf-8", "replace")) > MAX_COMMAND_LENGTH:
        raise ValueError(f"a command is at most {MAX_COMMAND_LENGTH} bytes")
    return command


def _without_checksum(command: str) -> str:
    body, star, given = command.rpartition("*")
    return body.rstrip() if star and not given.strip("0123456789 ") else command


def code_of(command: str) -> str:
    """`G1`, `M109`, `T0` ... in upper case; empty when the command has no such code."""
    if command.startswith("G1 "):
        return "G1"  # Nearly every line of a print.
    match = _CODE.match(command)
    return match.group(1).upper() if match else ""


def family_of(command: str) -> str:
    """Its code, but "T" for every change of the tool."""
    code = code_of(command)
    return "T" if code.startswith("T") else code


def is_emergency_stop(command: str) -> bool:
    """M112, also with a line number: it goes before everything else, whatever the printer is doing."""
    return _STOP.match(command) is not None


def is_for_host(command: str) -> bool:
    """What must not reach the printer: a line that begins with @, as with OctoPrint; and M110, for the line numbers are
    the session's: after those of somebody else the printer would refuse all that it is sent."""
    return command.startswith("@") or code_of(command) == "M110"


def words_of(command: str) -> dict[str, float]:
    """`G1 X1 Y-2.5` -> {"G": 1.0, "X": 1.0, "Y": -2.5}."""
    return {letter: float(number) for letter, number in _WORD.findall(command)}
