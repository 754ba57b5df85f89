"""What is known about stored files besides what the disk tells: one small file in the folder itself.

An entry holds for a file of this size and time of change; when somebody has replaced the file, it holds no more.
Whatever happens to the index, the files are there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from limpet.storage.analyses import Kept
from limpet.storage.folders import give_way, open_file, sync, temporary

NAME = ".limpet-index.json"
MAX_BYTES = 1 << 26
log = logging.getLogger(__name__)


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file: size in bytes, time of change in ns since the epoch; `hash` is its SHA-1 in hex.

    `analysis` is there once it has been read. A folder has only a `display`.
    """

    size: int = -1
    mtime: int = -1
    hash: str | None = None
    user: str | None = None
    display: str | None = None
    userdata: Any = None
    analysis: Kept | None = None

    def of(self, status: os.stat_result) -> bool:
        """Whether this is still about the file with this status."""
        return (self.size, self.mtime) == (status.st_size, status.st_mtime_ns)


class _Content(Struct, kw_only=True):
    version: int = 1
    entries: dict[str, Entry] = {}


class Index:
    """Entries by path. Not safe for threads: the store locks."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] | None = None
        self._dropped: dict[str, Kept] = {}

    def load(self, root: int) -> None:
        """Reads the index once; a broken one is told in the log, and begun anew."""
        if self._entries is not None:
            return
        entries: dict[str, Entry] = {}
        try:
            with os.fdopen(open_file(root, NAME), "rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ValueError("too large")
            entries = msgspec.json.decode(data, type=_Content).entries
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("the index of the uploads is begun anew: %s", error)
        self._entries = entries

    @property
    def is_loaded(self) -> bool:
        return self._entries is not None

    def get(self, path: str) -> Entry | None:
        return self._entries.get(path) if self._entries else None

    def put(self, path: str, entry: Entry | None) -> None:
        """None forgets it."""
        if self._entries is None:
            return
        before = self._entries.pop(path, None)
        if before is not None and before.analysis is not None:
            self._dropped[before.analysis.id] = before.analysis
        if entry is not None:
            self._entries[path] = entry

    @property
    def analyses(self) -> set[str]:
        """The ids of all that are known."""
        return {entry.analysis.id for entry in (self._entries or {}).values() if entry.analysis is not None}

    def take_dropped(self) -> list[Kept]:
        """Analyses that no file has any more; each is told once."""
        dropped, self._dropped = self._dropped, {}
        known = self.analyses if dropped else set()
        return [kept for id, kept in dropped.items() if id not in known]

    def below(self, path: str) -> list[str]:
        """This path and those of all that is in it."""
        return [other for other in self._entries or () if other == path or other.startswith(f"{path}/")]

    def keep(self, paths: set[str]) -> bool:
        """Forgets what is not among these; True when that was something."""
        gone = (self._entries or {}).keys() - paths
        for path in gone:
            self.put(path, None)
        return bool(gone)

    def _encoded(self) -> Iterator[bytes]:
        """A `_Content`, piece by piece: all at once, nothing else would run for as long as it takes."""
        separator = b'{"version":1,"entries":{'
        for number, (path, entry) in enumerate((self._entries or {}).items()):
            give_way(number)
            yield separator + msgspec.json.encode(path) + b":" + msgspec.json.encode(entry)
            separator = b",\n"
        yield b"}}" if self._entries else separator + b"}}"

    def save(self, root: int) -> None:
        """Writes all of it or nothing; when that fails, it is told in the log and lives on in memory."""
        try:
            with temporary(root) as (descriptor, name):
                with open(descriptor, "wb", closefd=False) as file:
                    file.writelines(self._encoded())
                os.fsync(descriptor)
                os.replace(name, NAME, src_dir_fd=root, dst_dir_fd=root)
            sync(root)
        except OSError as error:
            log.warning("who uploaded which file cannot be kept: %s", error.strerror or error)
