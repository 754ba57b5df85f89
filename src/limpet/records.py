"""A list of records in a JSON file that several processes read and write: what one changes holds for all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from limpet.errors import SettingsError
from limpet.files import read_limited, write_atomically

MAX_FILE_BYTES = 1 << 20

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)


class Records(Generic[T]):
    """Those in `path`, for its owner alone; each of `unique` is a field that no two of them share.

    `loss` says in the log what it means when the file cannot be used.
    """

    def __init__(self, path: Path, kind: type[T], *, unique: tuple[str, ...], loss: str) -> None:
        self.path = path
        self._kind = kind
        self._unique = unique
        self._loss = loss
        self._stamp: tuple[int, ...] | None = None
        self._fault = ""

    @property
    def is_broken(self) -> bool:
        """Whether the file could not be used when it was last looked at by `refresh`."""
        return self._fault != ""

    def refresh(self, use: Callable[[tuple[T, ...]], None]) -> None:
        """Calls `use` with all records when they may have changed; with none while the file is broken. Never raises."""
        try:
            stamp = _stamp(self.path)
            if stamp is not None and stamp == self._stamp:
                return
            # The stamp is older than what is read now: a change in between is seen at the next call.
            use(self.read())
            self._stamp, self._fault = stamp, ""
        except SettingsError as error:
            # No stamp: what fails now (too many open files, say) may work at the next call.
            self._stamp = None
            use(())
            if self._fault != str(error):
                self._fault = str(error)
                _log.warning("%s: %s", self._loss, error)

    def read(self) -> tuple[T, ...]:
        """All of them, oldest first. Raises SettingsError when the file cannot be used."""
        data = read_limited(self.path, MAX_FILE_BYTES)
        if data is None:
            return ()
        try:
            records = msgspec.json.decode(data, type=tuple[self._kind, ...])  # type: ignore[name-defined]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self.path}: {error}; repair it, or delete it and add what it had anew") from None
        for field in self._unique:
            if len({getattr(record, field) for record in records}) != len(records):
                raise SettingsError(f"{self.path}: two entries have the same {field}; delete one of them")
        return records

    def write(self, records: tuple[T, ...]) -> None:
        """Replaces all of them. Raises SettingsError; `limpet.files.locked` keeps others from doing so meanwhile."""
        data = msgspec.json.format(msgspec.json.encode(records), indent=2)
        if len(data) >= MAX_FILE_BYTES:
            raise SettingsError(f"{self.path}: it would be larger than {MAX_FILE_BYTES} bytes; remove something first")
        write_atomically(self.path, data + b"\n", mode=0o600)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
