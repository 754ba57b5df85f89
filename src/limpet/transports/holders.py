"""Which process has a device open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def holder_of(device: str) -> tuple[int, str] | None:
    """Process id and name of the first other process that has `device` open, else None.

    Source: `/proc/*/fd`. Processes whose descriptors we may not see (other users', unless we are root) are
    passed over. Takes a few milliseconds, more on a machine with many processes: not for the event loop.
    """
    own = os.getpid()
    pids = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    pid = _first_with((pid for pid in pids if pid != own), device)
    return (pid, _name_of(pid)) if pid is not None else None


def is_open_here(device: str) -> bool:
    """Whether this process itself has `device` open."""
    return _first_with((os.getpid(),), device) is not None


def _first_with(pids: Iterable[int], device: str) -> int | None:
    path = Path(os.path.realpath(device))
    try:
        status = path.stat()
    except OSError:
        return None
    number = status.st_rdev if stat.S_ISCHR(status.st_mode) else None
    return next((pid for pid in pids if _has_open(pid, path, number)), None)


def _has_open(pid: int, path: Path, number: int | None) -> bool:
    # A process may end, or close the file, at any moment of this.
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = descriptor.readlink()
                if target == path:
                    return True
                # The same device under another name; stat of anything outside /dev could hang (a dead NFS).
                if number and target.parts[:2] == ("/", "dev") and descriptor.stat().st_rdev == number:
                    return True
    return False


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "a process that has ended"
