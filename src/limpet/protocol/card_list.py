"""The list of files on the printer's own card (M20), which is many lines.

Sources: recordings of Marlin, Prusa and Klipper; Marlin `cardreader.cpp`; Prusa-Firmware `cardreader.cpp`.
"""

from __future__ import annotations

import re

from limpet.protocol.events import CardListed, Event

MAX_FILES = 2000
"""Files that are remembered; a longer list is cut."""

_BEGIN = "begin file list"
_END = "end file list"
# No colon: that is in temperatures, positions and complaints, which may come between the files.
_PATH = r"/?([^:\"*?<>|]+\.[\w~-]{1,10})"
_ENTRIES = (
    re.compile(rf"{_PATH}\s+(\d{{1,12}})(?:\s+0x[0-9a-f]+)?$", re.IGNORECASE),
    re.compile(r"/?([^\s:]+\.[\w~-]{1,10})\s+(\d{1,12})(?:\s+0x[0-9a-f]+)?\s+(.+)$", re.IGNORECASE),
    re.compile(rf"{_PATH}$", re.IGNORECASE),
)
"""`NAME SIZE [TIME]`, where the name may have blanks; `NAME SIZE [TIME] LONG NAME`; a name alone."""

Files = dict[str, tuple[int | None, str | None]]


class CardList:
    """Collects the lines between the first and the last of a list."""

    def __init__(self) -> None:
        self._files: Files | None = None

    def read(self, line: str) -> tuple[Event, ...] | None:
        """What the line says, if it belongs to a list; None if it does not."""
        line = line.strip()
        match line.lower():
            case s if s == _BEGIN:
                self._files = {}
                return ()
            case s if s == _END and self._files is not None:
                files, self._files = self._files, None
                return (CardListed(files),)
        if self._files is None:
            return None
        if line.lower() == "ok":
            # The end was lost on the way, and others may have been: this is no list.
            self._files = None
            return None
        return self._entry(self._files, line)

    def _entry(self, files: Files, line: str) -> tuple[Event, ...] | None:
        match = next((found for entry in _ENTRIES if (found := entry.match(line))), None)
        if match is None:
            return None
        path, *rest = match.groups()
        if len(files) < MAX_FILES:
            files[path] = (int(rest[0]) if rest else None, _base(rest[1]) if len(rest) > 1 else None)
        return ()


def _base(long_name: str) -> str:
    """Marlin tells the long name of a file in a folder as `/name`, Prusa in quotes."""
    return long_name.strip('"').rpartition("/")[2]
