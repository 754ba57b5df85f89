"""Which lines the virtual printer takes: numbers and checksums, after Marlin's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from limpet.protocol.commands import checksum
from limpet.protocol.virtual.faults import Faults
from limpet.protocol.virtual.firmware import Firmware

_NUMBERED = re.compile(r"N\s*(-?\d{1,18})(?!\d)\s*")
_M110 = re.compile(r"M110(?!\d)(?:.*N\s*(-?\d{1,18}))?")
_TRAILING_CHECKSUM = re.compile(r"\s*\*\s*\d*$")

SKIPPED_LINES = 30
"""After a refused line, how many that were in flight behind it are skipped without another request (Repetier)."""


@dataclass(frozen=True)
class Taken:
    """A line that is fine; without a number it came unprotected."""

    command: str
    number: int | None


@dataclass(frozen=True)
class Refused:
    """`kind` is a key of `Firmware.errors`, "timeout" (refused without a word) or "old" (had that one already).

    `checksum`: what it should have been.
    """

    kind: str
    number: int | None
    checksum: int = 0


class LineChecker:
    """Remembers the last line number that was taken, and the last it has `seen`, taken or not.

    `only_numbered` is for firmware that takes nothing unprotected.
    """

    def __init__(self, firmware: Firmware, faults: Faults, only_numbered: bool) -> None:
        self.last = self.seen = 0
        self._skip = 0
        self._firmware = firmware
        self._faults = faults
        self._only_numbered = only_numbered

    def check(self, text: str, writing: bool) -> Taken | Refused:
        """`text` has no comment and no outer blanks; `writing`: lines go to a file and must be protected."""
        match = _NUMBERED.match(text)
        if match is None:
            if self._only_numbered or (writing and not text.startswith("M29")):
                return Refused("no_checksum", None)
            return self._take(_TRAILING_CHECKSUM.sub("", text), None)
        number = self.seen = int(match[1])
        body, star, given = text.rpartition("*")
        command = (body if star else text)[match.end() :].strip()
        right = checksum((body if star else text).encode("latin-1"))
        faults = [self._fault_of_number(number, command), self._fault_of_checksum(star, given, right)]
        if self._firmware.skips_old_lines:
            faults.reverse()  # Repetier looks at the checksum first, Marlin at the number.
        kind = self._faults.refusal(number) or faults[0] or faults[1]
        return self._refuse(kind, number, right) if kind else self._take(command, number)

    def _fault_of_checksum(self, star: str, given: str, right: int) -> str | None:
        if not self._firmware.checks_checksums:
            return None
        if not star:
            return "no_checksum" if self._firmware.wants_checksums or self._only_numbered else None
        return None if given.strip() == str(right) else "checksum"

    def _fault_of_number(self, number: int, command: str) -> str | None:
        if _M110.match(command) or not self._firmware.checks_numbers or number == self.last + 1:
            return None
        return "old" if self._firmware.skips_old_lines and (number <= self.last or self._skip) else "line_number"

    def _refuse(self, kind: str, number: int, right: int) -> Refused:
        self._skip = max(0, self._skip - 1) if kind == "old" else SKIPPED_LINES
        return Refused(kind, number, right)

    def _take(self, command: str, number: int | None) -> Taken:
        if number is not None:
            self._skip = 0
        match = _M110.match(command)
        if match and match[1]:
            self.last = int(match[1])
        elif number is not None:
            self.last = number
        return Taken(command, number)
