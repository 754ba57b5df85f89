"""Small files read and written so that a full disk, a kill or a power cut never leaves half of one."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from limpet.errors import SettingsError

LOCK_SECONDS = 5.0
"""How long one writer waits for another one, in seconds."""

_POLL_SECONDS = 0.01
_BUSY = "another program is writing it"

_HINTS = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space within the quota of this user",
    errno.EFBIG: "raise the limit on file sizes of this process",
    errno.EROFS: "mount that disk writable or choose another folder",
    errno.EACCES: "give this user the right to use the file and its folder",
    errno.EPERM: "give this user the right to use the file and its folder",
    errno.ENOENT: "create its folder first",
    errno.ENOTDIR: "choose a path whose parents are all folders",
    errno.EEXIST: "remove what is there or choose another path",
    errno.ELOOP: "make the symbolic link point to a file",
    errno.ETIMEDOUT: "try again when the other program is done",
}


def read_limited(path: Path, limit: int) -> bytes | None:
    """The whole of a regular file of at most `limit` bytes; None when there is no such file.

    Raises SettingsError when it cannot be read, is no regular file or is larger.
    """
    with _explained("read", path):
        try:
            # Without O_NONBLOCK a named pipe would keep us here for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            _check_regular(path, os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(descriptor)
    if len(data) > limit:
        raise SettingsError(f"{path}: too large, at most {limit} bytes are read")
    return data


def make_private_folder(path: Path) -> None:
    """Makes the folder for its owner alone; one that is there stays as it is.

    Folders above it that are missing follow the umask. Raises SettingsError, which says what to do.
    """
    with _explained("make", path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Makes `data` the content of `path`; whatever happens, the file is the old or the new one.

    A file that exists keeps its owner, and its mode unless `mode` is given; a symbolic link stays and the
    file behind it is replaced. Raises SettingsError, which says what to do; nothing is left behind then.
    """
    with _explained("write", path):
        try:
            before = path.stat()
            _check_regular(path, before)
        except FileNotFoundError:
            before = None
        target = Path(os.path.realpath(path))
        if mode is None and before is not None:
            mode = stat.S_IMODE(before.st_mode)
        # A fixed name: what a killed writer left is taken over by the next one and cannot pile up.
        temporary = target.with_name(f".{target.name}.tmp")
        with _locked_file(temporary, 0o666 if mode is None else 0o600, LOCK_SECONDS) as descriptor:
            try:
                _fill(descriptor, data, before, mode)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        _sync_folder(target.parent)


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Keeps other processes and threads that use `locked` for `path` out while the block runs.

    The lock is on `.<name>.lock` beside the file, which stays. Raises SettingsError when it is not free
    within `seconds`.
    """
    lock_file = path.with_name(f".{path.name}.lock")
    with _explained("lock", path):
        descriptor = os.open(lock_file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        with _explained("lock", path):
            _lock(descriptor, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if error.filename and error.filename != str(path):
            why += f" ({error.filename})"
        hint = _HINTS.get(error.errno or 0, "check that disk")
        raise SettingsError(f"{path}: cannot {verb} it: {why}; {hint}") from error


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(f"{path}: not a regular file; name one, or remove what is there")


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, _BUSY) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


@contextmanager
def _locked_file(path: Path, mode: int, seconds: float) -> Iterator[int]:
    deadline = time.monotonic() + seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            _lock(descriptor, deadline)
            # While we waited, the other writer may have renamed the file that we opened.
            if _is_named(descriptor, path):
                yield descriptor
                return
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, _BUSY)
        finally:
            os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _fill(descriptor: int, data: bytes, before: os.stat_result | None, mode: int | None) -> None:
    if before is not None:
        with suppress(PermissionError):  # only root can give a file away, and only then it matters
            os.fchown(descriptor, before.st_uid, before.st_gid)
    if mode is not None:
        os.fchmod(descriptor, mode)
    os.ftruncate(descriptor, 0)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
