"""Where in a file a print was lost, by what the printer says of its head; `python -m limpet.gcodefile.resume`.

A printer that has kept its position is where one of the lines has led that it was sent last. A printer that was
restarted, or moved since, is somewhere else, and its print cannot go on. Coordinates are the file's own, as M114
tells them. A process of its own, since it reads the file from its beginning.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

NEAR = 0.011
"""mm: M114 has two decimals."""

_WORD = re.compile(r"([A-Z])\s*([-+]?(?:\d+\.?\d*|\.\d+))")
_HEATERS = {"M104": "tool", "M109": "tool", "M140": "bed", "M190": "bed", "M141": "chamber", "M191": "chamber"}
MAX_TOOLS = 32


class ResumePoint(Struct, frozen=True, kw_only=True):
    """After line `line`, which ends at byte `position`: what the file has set until then.

    `targets` in degrees Celsius ("tool0", "bed" ...); `fans` are the commands that set them; `speed` in the file's
    units a minute.
    """

    position: int
    line: int
    targets: dict[str, float] = {}
    fans: list[str] = []
    relative: bool = False
    relative_e: bool = False
    inches: bool = False
    tool: int = 0
    speed: float | None = None


class Place:
    """What a printer knows after each line: Marlin's rules."""

    def __init__(self) -> None:
        self.axes: dict[str, float] = {}
        self.targets: dict[str, float] = {}
        self.fans: dict[str, str] = {}
        self.relative = self.relative_e = self.inches = False
        self.tool = 0
        self.speed: float | None = None

    def take(self, line: str) -> None:
        text = line.partition(";")[0].strip()
        words = {letter: float(value) for letter, value in _WORD.findall(text)}
        code = f"{text[0]}{words[text[0]]:g}" if text[:1] in words else ""
        match code:
            case "G0" | "G1" | "G2" | "G3":
                self._move(words)
            case "G28":
                named = [axis for axis in "XYZ" if axis in text[1:]] or list("XYZ")
                for axis in named:
                    self.axes.pop(axis, None)
            case "G92":
                self.axes.update({axis: words[axis] for axis in "XYZE" if axis in words} or dict.fromkeys("XYZE", 0.0))
            case "G90" | "G91":
                self.relative = self.relative_e = code == "G91"
            case "M82" | "M83":
                self.relative_e = code == "M83"
            case "G20" | "G21":
                self.inches = code == "G20"
            case "M106" | "M107":
                self.fans[f"{words.get('P', 0):g}"] = text
            case _ if code in _HEATERS:
                self._heat(_HEATERS[code], words)
            case _ if code[:1] == "T" and 0 <= words["T"] < MAX_TOOLS:
                self.tool = int(words["T"])

    def is_at(self, axes: Mapping[str, float]) -> bool:
        return all(axis in self.axes and abs(self.axes[axis] - axes[axis]) <= NEAR for axis in "XYZE")

    def point(self, position: int, line: int) -> ResumePoint:
        return ResumePoint(
            position=position,
            line=line,
            targets={name: target for name, target in self.targets.items() if target > 0},
            fans=list(self.fans.values())[:MAX_TOOLS],
            relative=self.relative,
            relative_e=self.relative_e,
            inches=self.inches,
            tool=self.tool,
            speed=self.speed,
        )

    def _move(self, words: dict[str, float]) -> None:
        scale = 25.4 if self.inches else 1.0
        for axis in "XYZE":
            if axis in words:
                relative = self.relative_e if axis == "E" else self.relative
                if not relative:
                    self.axes[axis] = words[axis] * scale
                elif axis in self.axes or axis == "E":
                    self.axes[axis] = self.axes.get(axis, 0.0) + words[axis] * scale
        self.speed = words.get("F", self.speed)

    def _heat(self, heater: str, words: dict[str, float]) -> None:
        tool = int(words.get("T", self.tool))
        if 0 <= tool < MAX_TOOLS and ("S" in words or "R" in words):
            self.targets[f"tool{tool}" if heater == "tool" else heater] = words.get("S", words.get("R", 0.0))


def find(lines: Iterable[bytes], axes: Mapping[str, float], first: int, last: int) -> ResumePoint | None:
    """The first of the lines `first` to `last` (the first line of a file is 1) after which the head is at `axes`."""
    place, position = Place(), 0
    for number, line in enumerate(lines, 1):
        if number > last:
            break
        position += len(line)
        place.take(line.decode("utf-8", "replace"))
        if number >= first and place.is_at(axes):
            return place.point(position, number)
    return None


def main() -> int:
    """Arguments: X Y Z E, first line, last line; the file is the standard input, the answer JSON."""
    *axes, first, last = sys.argv[1:]
    where = dict(zip("XYZE", map(float, axes), strict=True))
    point = find(sys.stdin.buffer, where, int(first), int(last))
    sys.stdout.buffer.write(msgspec.json.encode(point))
    return 0


if __name__ == "__main__":
    sys.exit(main())
