"""Analyses of stored files, and the pictures in them: small files in a folder of their own, which may be lost.

What goes wrong with them is told in the log, and hurts nobody.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

import msgspec
from msgspec import Raw, Struct

from limpet.errors import SettingsError
from limpet.files import make_private_folder, read_limited, write_atomically
from limpet.gcodefile.analysis import Analysis, Found, Summary, Thumbnail

MAX_BYTES = 1 << 24
MAX_FOUND = 1 << 25
"""Bytes that an analysis may have, with its pictures."""
log = logging.getLogger(__name__)


class Kept(Struct, frozen=True):
    """Under which name an analysis is kept, and its summary as JSON, which is seldom looked at."""

    id: str
    summary: Raw

    def read(self) -> Summary:
        """The summary; an empty one when another version of Limpet has written it."""
        try:
            return msgspec.json.decode(self.summary, type=Summary)
        except msgspec.DecodeError:
            return Summary()


class Reading:
    """A file that another process analyses: it reads from `source`, and writes what it has found to `result`."""

    def __init__(self, path: str, source: int, status: os.stat_result) -> None:
        self.path, self.source, self.status = path, source, status
        self.result = TemporaryFile()  # noqa: SIM115 - closed with the rest

    def found(self) -> Found:
        """What has been written, once that is all; nothing when it makes no sense."""
        self.result.seek(0)
        try:
            return msgspec.json.decode(self.result.read(MAX_FOUND), type=Found)
        except msgspec.DecodeError:
            return Found()

    def close(self) -> None:
        os.close(self.source)
        self.result.close()


class Analyses:
    """Those in `folder`, which is made when the first one is kept. Without a folder, none is kept."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def keep(self, found: Found) -> Kept:
        """Writes all of it down."""
        kept = Kept(secrets.token_hex(8), Raw(msgspec.json.encode(found.analysis.summary)))
        if self.folder is None or not found.analysis.summary.moves:
            return kept
        try:
            make_private_folder(self.folder)
            write_atomically(self.folder / f"{kept.id}.json", msgspec.json.encode(found.analysis), mode=0o600)
            for thumbnail, content in zip(found.analysis.summary.thumbnails, found.pictures, strict=False):
                write_atomically(self.folder / _name(kept, thumbnail), content, mode=0o600)
        except SettingsError as error:
            log.warning("an analysis cannot be kept: %s", error)
        return kept

    def read(self, kept: Kept) -> Analysis:
        """All that is known; where the tables have been lost, only the summary."""
        if (content := self._content(f"{kept.id}.json")) is not None:
            try:
                return msgspec.json.decode(content, type=Analysis)
            except msgspec.DecodeError:
                pass
        return Analysis(summary=kept.read())

    def picture(self, kept: Kept, thumbnail: Thumbnail) -> bytes | None:
        """Its content."""
        return self._content(_name(kept, thumbnail))

    def forget(self, kept: Kept) -> None:
        """Removes what is kept under this name."""
        if self.folder is not None:
            names = [f"{kept.id}.json", *(_name(kept, thumbnail) for thumbnail in kept.read().thumbnails)]
            self._remove(self.folder / name for name in names)

    def sweep(self, ids: set[str]) -> None:
        """Removes all but these."""
        if self.folder is not None and self.folder.is_dir():
            self._remove(path for path in self.folder.iterdir() if path.name.partition(".")[0] not in ids)

    def _content(self, name: str) -> bytes | None:
        if self.folder is None:
            return None
        try:
            return read_limited(self.folder / name, MAX_BYTES)
        except SettingsError as error:
            log.warning("an analysis cannot be read: %s", error)
            return None

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be removed: %s", path, error.strerror or error)


def _name(kept: Kept, thumbnail: Thumbnail) -> str:
    return f"{kept.id}.{thumbnail.size}.{thumbnail.kind}"
