"""The recordings in tests/transcripts: `seconds direction text`, as real firmware and a host spoke.

A line with the direction `!` is a remark of whoever recorded.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "transcripts"
RECORDINGS = sorted(path for path in FOLDER.glob("*.txt"))
_LINE = re.compile(r" *(\d+\.\d+) ([<>!]) ?(.*)")


@dataclass(frozen=True)
class Spoken:
    """Bytes that were written (">") or answered ("<") at `seconds`."""

    seconds: float
    direction: str
    data: bytes


def read(path: Path) -> list[Spoken]:
    spoken = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _LINE.fullmatch(line)
        assert match, f"{path.name}, line {number} is not a line of a recording"
        seconds, direction, text = match.groups()
        if direction != "!":
            spoken.append(Spoken(float(seconds), direction, _bytes(text)))
    return spoken


def _bytes(text: str) -> bytes:
    if text.startswith("b'"):
        data = ast.literal_eval(text)
        assert isinstance(data, bytes)
        return data
    return text.replace("\\r", "\r").encode() + b"\n"
