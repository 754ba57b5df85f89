"""Going about in a folder without ever leaving it.

Every step is taken from an open folder to what lies in it by one name (openat with O_NOFOLLOW), never along a path:
a symbolic link is not followed, not even one that somebody puts there between a look and the deed. Links are not
listed either; whoever keeps files on another disk mounts it there, or sets the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from limpet.storage.names import MAX_DEPTH, is_shown, type_path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PREFIX, _SUFFIX = ".limpet-", ".tmp"


CHUNK = 1 << 20
"""Bytes that are read or written at a time."""


class Item(NamedTuple):
    """Something in a folder that is shown."""

    name: str
    is_folder: bool
    status: os.stat_result


def open_root(path: Path) -> int:
    """The folder itself, which may be a link; it is made when only it is missing."""
    flags = _FOLDER & ~os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        with suppress(FileExistsError):
            path.mkdir()
        return os.open(path, flags)


@contextmanager
def folder(root: int, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The open folder at these parts; with `make` those that are missing are made."""
    current = os.dup(root)
    try:
        for part in parts:
            below = _step(current, part, make)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _step(above: int, name: str, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, 0o777, dir_fd=above)
    sync(above)
    return os.open(name, _FOLDER, dir_fd=above)


def status_of(above: int, name: str) -> os.stat_result | None:
    """What has this name, itself and not what it may point to; None when nothing has."""
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return None


def open_file(above: int, name: str) -> int:
    """A regular file, to be read. Raises FileNotFoundError for everything else, links included."""
    # Without O_NONBLOCK a named pipe would keep us here for ever.
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return descriptor


def items(above: int) -> list[Item]:
    """The folders and the files to print in a folder, by name."""
    found = []
    with os.scandir(above) as entries:
        for number, entry in enumerate(entries):
            give_way(number)
            if not is_shown(entry.name):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if is_item(entry.name, status):
                    found.append(Item(entry.name, stat.S_ISDIR(status.st_mode), status))
    return sorted(found)


def give_way(done: int) -> None:
    """Between the pieces of a long piece of work: once in a while the other threads have their turn, at once.

    Without it the event loop, and so the line to the printer, would wait for 5 ms each time.
    """
    if done % 50 == 49:
        time.sleep(0.00005)


def is_item(name: str, status: os.stat_result) -> bool:
    """Whether this is a folder or a file to print, and no link, pipe or device."""
    return stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and type_path(name) is not None)


def sync(opened: int) -> None:
    """The names in a folder are on the disk when this returns."""
    with suppress(OSError):  # not every file system can do this with a folder
        os.fsync(opened)


@contextmanager
def temporary_folder(above: int) -> Iterator[tuple[int, str]]:
    """A hidden new folder, to be filled and renamed; what has not been renamed is removed."""
    name = hidden_name()
    os.mkdir(name, 0o777, dir_fd=above)
    try:
        with folder(above, [name]) as descriptor:
            _lock(descriptor)
            yield descriptor, name
    finally:
        if status_of(above, name) is not None:
            shutil.rmtree(name, dir_fd=above)


@contextmanager
def temporary(above: int) -> Iterator[tuple[int, str]]:
    """A hidden new file in a folder, to be written and renamed; what has not been renamed is removed."""
    descriptor, name = make_temporary(above)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=above)


def make_temporary(above: int) -> tuple[int, str]:
    """A hidden new file, open and locked: `sweep` leaves it alone for as long as it is open."""
    name = hidden_name()
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=above)
    _lock(descriptor)
    return descriptor, name


def _lock(descriptor: int) -> None:
    with suppress(OSError):  # not every network file system has locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def hidden_name() -> str:
    return f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"


def sweep(above: int, depth: int = 0) -> None:
    """Removes what a killed process has left half-done, in all folders."""
    with os.scandir(above) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in names:
        with suppress(OSError):
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                _remove_left_over(above, name, is_folder)
            elif is_folder and depth < MAX_DEPTH:
                with folder(above, [name]) as below:
                    sweep(below, depth + 1)


def _remove_left_over(above: int, name: str, is_folder: bool) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_folder:
            shutil.rmtree(name, dir_fd=above)
        else:
            os.unlink(name, dir_fd=above)
    finally:
        os.close(descriptor)


def copy_file(above: int, name: str, copy: int) -> None:
    """With its time of change."""
    with open(open_file(above, name), "rb") as source, open(copy, "wb", closefd=False) as target:
        shutil.copyfileobj(source, target, CHUNK)
        target.flush()
        status = os.fstat(source.fileno())
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.fsync(copy)


def copy_folder(source: int, copy: int, depth: int = 0) -> None:
    """What is shown of it."""
    for item in items(source) if depth < MAX_DEPTH else ():
        if item.is_folder:
            with folder(source, [item.name]) as inner, folder(copy, [item.name], make=True) as below:
                copy_folder(inner, below, depth + 1)
        else:
            descriptor = os.open(item.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=copy)
            try:
                copy_file(source, item.name, descriptor)
            finally:
                os.close(descriptor)
