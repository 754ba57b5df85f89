"""What Limpet has learnt about its printers by itself, in `known.json`: to be forgotten at no loss but time.

What a person chooses is in `limpet.toml`; this file only helps to find a printer sooner, and to know it again.
"""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

from limpet.errors import SettingsError
from limpet.files import read_limited, write_atomically
from limpet.printer.identity import Identity

MAX_FILE_BYTES = 1 << 18

log = logging.getLogger(__name__)


def instance_id(path: Path) -> str:
    """The UUID that is kept in the file at `path`, made when there is none; blocks for a moment then (fsync)."""
    try:
        kept = read_limited(path, 100)
        if kept is not None:
            return str(uuid.UUID(kept.decode().strip()))
    except (SettingsError, ValueError) as error:
        log.warning("%s is not read, and made anew: %s", path, error)
    made = str(uuid.uuid4())
    try:
        write_atomically(path, f"{made}\n".encode())
    except SettingsError as error:
        log.warning("this server will have another identity after the next start: %s", error)
    return made


class Known(Struct, frozen=True, kw_only=True):
    """Where a printer was found last, by the name that stays true, at which rate, and who it was."""

    port: str
    baudrate: int
    identity: Identity


class Memory:
    """The file `path`. A broken or unwritable one is told in the log, once, and is no reason not to print."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Known] = {}
        try:
            data = read_limited(path, MAX_FILE_BYTES)
            if data is not None:
                self._known = msgspec.json.decode(data, type=dict[str, Known])
        except (SettingsError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("%s is not read: %s", path, error)

    def get(self, printer: str) -> Known | None:
        """What is known about the printer with this id."""
        return self._known.get(printer)

    def learn(self, printer: str, known: Known) -> bool:
        """True when this is new; `save` keeps it."""
        new = self._known.get(printer) != known
        self._known = {**self._known, printer: known}
        return new

    def forget(self, printer: str) -> bool:
        """True when something was known about the printer with this id; `save` keeps that nothing is."""
        known = printer in self._known
        self._known = {id: one for id, one in self._known.items() if id != printer}
        return known

    def save(self) -> None:
        """Blocks for a moment (fsync)."""
        try:
            data = msgspec.json.format(msgspec.json.encode(self._known), indent=2)
            write_atomically(self._path, data + b"\n", mode=0o600)
        except SettingsError as error:
            log.warning("what was learnt about the printers is not kept: %s", error)
