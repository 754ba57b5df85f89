"""PURE: a G-code file as commands, in order, from blocks of bytes of any size."""

from __future__ import annotations

from collections import deque

from limpet.protocol.commands import clean

BLOCK = 1 << 16
"""Bytes that are read at a time."""
LOW = 500
"""Lines below which more is wanted, so that the reader is never waited for."""
MAX_LINE = 1 << 20
"""Bytes of the longest line; slicers write comments of some KB."""

_BINARY_GCODE = b"GCDE"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadFile(Exception):
    """A file that cannot be printed any further; the text names the line."""


class Tape:
    """Gives out one command at a time. `position` (bytes) and `line` are where the last one given out ends."""

    def __init__(self, position: int = 0, line: int = 0) -> None:
        """It begins at byte `position`, after line `line`."""
        self.position = position
        self.line = line
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._fed = position
        self._complete = False

    @property
    def wants_data(self) -> bool:
        return not self._complete and len(self._lines) < LOW

    @property
    def ended(self) -> bool:
        """Everything has been given out."""
        return self._complete and not self._lines

    def feed(self, data: bytes) -> None:
        """The next block; an empty one is the end of the file. Raises BadFile for what is no G-code at all."""
        if not self._fed and (b"\0" in data or data.startswith(_BINARY_GCODE)):
            raise BadFile("this is no G-code in text form (binary G-code has to be converted first)")
        self._fed += len(data)
        if not data:
            self._complete = True
            if self._rest:
                self._lines.append(self._rest)
            return
        first, *lines = data.split(b"\n")
        if not lines:
            self._rest += first
            if len(self._rest) > MAX_LINE:
                raise BadFile(f"line {self.line + len(self._lines) + 1} is longer than {MAX_LINE} bytes")
            return
        self._lines.append(self._rest + first)
        self._rest = lines.pop()
        self._lines.extend(lines)

    def next(self) -> str | None:
        """The next command without comment, number and checksum; None when none is there now.

        Raises BadFile for a line that no printer would take.
        """
        while self._lines:
            raw = self._lines.popleft()
            self.line += 1
            self.position = min(self.position + len(raw) + 1, self._fed)
            text = raw.partition(b";")[0].strip()
            if self.line == 1:
                text = text.removeprefix(_BYTE_ORDER_MARK).lstrip()
            if text and (command := self._command(text)):
                return command
        return None

    def _command(self, text: bytes) -> str:
        try:
            return clean(text.decode("utf-8", "replace"))
        except ValueError as error:
            raise BadFile(f"line {self.line} cannot be sent: {error}") from None
