"""A file on its way into the store: hidden until it is whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO

from limpet.storage import folders
from limpet.storage.faults import explained
from limpet.storage.folders import CHUNK


class Upload:
    """Bytes arrive by `write`; `Store.place` makes them a file, and `discard` ends it in any case. All of it blocks."""

    def __init__(self, root: int) -> None:
        self._root = os.dup(root)
        try:
            self._descriptor, self._name = folders.make_temporary(self._root)
        except OSError:
            os.close(self._root)
            raise
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._placed = False
        self._open = True

    @property
    def hash(self) -> str:
        """SHA-1 of all bytes so far, in hex."""
        return self._sha1.hexdigest()

    def write(self, pieces: Iterable[bytes]) -> None:
        """Raises NoRoom when the disk is full."""
        data = b"".join(pieces)
        self._sha1.update(data)
        rest = memoryview(data)
        with explained():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def complete(self) -> None:
        """All bytes are on the disk when this returns."""
        os.fsync(self._descriptor)

    def move(self, above: int, name: str) -> os.stat_result:
        """Makes it the file of this name, in place of one that is there."""
        try:
            os.replace(self._name, name, src_dir_fd=self._root, dst_dir_fd=above)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._move_to_other_disk(above, name)
        else:
            self._placed = True
        folders.sync(above)
        return os.stat(name, dir_fd=above, follow_symlinks=False)

    def _move_to_other_disk(self, above: int, name: str) -> None:
        """A folder in the store may be one where another disk is mounted."""
        with folders.temporary(above) as (copy, hidden), open(copy, "wb", closefd=False) as target:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            with open(self._descriptor, "rb", closefd=False) as source:
                shutil.copyfileobj(source, target, CHUNK)
            target.flush()
            os.fsync(copy)
            os.replace(hidden, name, src_dir_fd=above, dst_dir_fd=above)

    def discard(self) -> None:
        """Removes what has not been placed; harmless when called again."""
        if not self._open:
            return
        self._open = False
        os.close(self._descriptor)
        if not self._placed:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._root)
        os.close(self._root)


def hash_of(file: BinaryIO) -> str:
    """SHA-1 of what is left to read, in hex."""
    sha1 = hashlib.sha1(usedforsecurity=False)
    while chunk := file.read(CHUNK):
        sha1.update(chunk)
    return sha1.hexdigest()
