"""What a process and all its descendants use, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    # The second field is the program's name in parentheses and may hold spaces: count from behind it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """The process `root` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_stat(int(entry.name))[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def pss_bytes(root: int) -> int:
    """Proportional set size of the tree, in bytes: shared pages count in parts."""
    total = 0
    for pid in tree(root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(root: int) -> float:
    """User and system time of the tree so far, with that of children that have ended, in seconds."""
    ticks = 0
    for pid in tree(root):
        ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks / TICKS_PER_SECOND
