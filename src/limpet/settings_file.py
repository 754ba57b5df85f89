"""`limpet.toml`: read, with its faults and their lines, and edited."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from limpet.errors import SettingsError
from limpet.files import locked, read_limited, write_atomically
from limpet.settings import Settings, decode
from limpet.toml_text import BY_HAND, Kept, KeyPath, PlacedError, dotted, edited, line_of, without

MAX_FILE_BYTES = 1 << 20


class SettingsFile:
    """`limpet.toml`: read, checked, edited. Every fault is a SettingsError of one line.

    `host`, `port` and `added_ports` come from the command line and the environment: they win over the
    file (added ports are added to it), are never written, and are checked by whoever took them in.
    """

    def __init__(
        self,
        path: Path,
        *,
        host: str | None = None,
        port: int | None = None,
        added_ports: Sequence[str] = (),
    ) -> None:
        self.path = path
        self._server = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
        self._added_ports = tuple(added_ports)
        self._text = ""

    def load(self) -> Settings:
        """The settings of the file as it is now; the defaults when there is none. Writes nothing."""
        self._text, data = _parse(self.path, read_limited(self.path, MAX_FILE_BYTES) or b"")
        try:
            return self._overridden(decode(data))
        except PlacedError as fault:
            raise self.error_at(fault.path, fault.message) from None

    def edit(self, changes: Mapping[KeyPath, Kept | None]) -> Settings:
        """Sets each key to its value, or removes it (a whole table too) for None, and returns the new settings.

        Reads the file again first; comments, order and formatting of the rest survive (a list is replaced as
        a whole). The result is checked before it is written, and nothing is written when nothing changes.
        Blocks for a moment (lock, fsync).
        """
        with locked(self.path):
            text, settings = self._changed(changes)
            if text != self._text:
                write_atomically(self.path, text.encode())
                self._text = text
        return self._overridden(settings)

    def preview(self, changes: Mapping[KeyPath, Kept | None]) -> Settings:
        """What `edit` would make of it; writes nothing."""
        return self._overridden(self._changed(changes)[1])

    def _changed(self, changes: Mapping[KeyPath, Kept | None]) -> tuple[str, Settings]:
        settings = self.load()
        text, data = self._text, tomllib.loads(self._text)
        changes = {path: value for path, value in changes.items() if not _holds(data, path, value)}
        if not changes:
            return text, settings
        try:
            for path, value in changes.items():
                _change(data, path, value)
            settings = decode(data)
            for path, value in changes.items():
                text = edited(text, path, value) if value is not None else without(text, path)
            _check_meaning(text, settings, next(iter(changes)))
        except PlacedError as fault:
            raise SettingsError(f"{self.path}: not changed: {dotted(fault.path)}: {fault.message}") from None
        return text, settings

    def error_at(self, path: KeyPath, message: str) -> SettingsError:
        """The error for a fault that a higher layer finds in the settings last loaded."""
        place = _place(self.path, line_of(self._text, path))
        return SettingsError(f"{place}: {dotted(path)}: {message}")

    def _overridden(self, settings: Settings) -> Settings:
        replace = msgspec.structs.replace
        added = tuple(dict.fromkeys((*settings.ports.added, *self._added_ports)))
        return replace(
            settings,
            server=replace(settings.server, **self._server),
            ports=replace(settings.ports, added=added),
        )


def _parse(file: Path, content: bytes) -> tuple[str, dict[str, Any]]:
    line: int | None = None
    try:
        text = content.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        fault = "this is not UTF-8; save the file as UTF-8"
        line = content.count(b"\n", 0, error.start) + 1
    except tomllib.TOMLDecodeError as error:
        fault, _, position = str(error).partition(" (at ")
        number = re.match(r"line (\d+)", position)
        line = int(number[1]) if number else text.count("\n") + 1
    except (RecursionError, ValueError):
        fault = "a value is nested too deeply, or a number is too long"
    raise SettingsError(f"{_place(file, line)}: {fault}")


def _place(file: Path, line: int | None) -> str:
    return f"{file}, line {line}" if line else str(file)


def _holds(data: Mapping[str, Any], path: KeyPath, value: Kept | None) -> bool:
    found: Any = data
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return type(found) is type(value) and bool(found == value)


def _change(data: dict[str, Any], path: KeyPath, value: Kept | None) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise PlacedError(path, f"{part} is not a table")
    if value is None:
        data.pop(path[-1], None)
    else:
        data[path[-1]] = value


def _check_meaning(text: str, settings: Settings, path: KeyPath) -> None:
    try:
        if decode(tomllib.loads(text)) == settings and len(text.encode()) <= MAX_FILE_BYTES:
            return
    except (PlacedError, ValueError):
        pass
    raise PlacedError(path, BY_HAND)
