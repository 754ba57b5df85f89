"""PURE: a G-code file, block by block, becomes an `Analysis`. Nothing in a file raises; everything has a limit.

Source: RepRap "G-code" page. Only what moves, extrudes or waits counts; heating takes as long as it takes.
"""

from __future__ import annotations

import re
from math import pi

from limpet.gcodefile.analysis import MAX_TOOLS, Analysis, Layer, Point, Summary, Thumbnail
from limpet.gcodefile.comments import Comments, seconds_of
from limpet.gcodefile.head import INCH, Head
from limpet.gcodefile.limits import SLOWEST, Limits
from limpet.gcodefile.motion import Planner
from limpet.gcodefile.thumbnails import Thumbnails

MAX_LINE = 1 << 16
"""Bytes; the rest of a longer line is passed over."""
MAX_LAYERS = 5000
MAX_ROWS = 2000
MAX_DWELL = 86400.0
NEW_LAYER = 0.04
"""mm by which the Z of what is printed differs between layers, where no comment tells of them."""
NAMES_UNTIL = 1000
"""Comments in which a slicer may say its name."""

_LINE = re.compile(
    rb"(?:G[01](?: F([-+.\d]{1,12}))?(?: X([-+.\d]{1,12}))?(?: Y([-+.\d]{1,12}))?(?: Z([-+.\d]{1,12}))?"
    rb"(?: E([-+.\d]{1,12}))?(?: F([-+.\d]{1,12}))? ?(?:;[^\n]{0,999})?\r?\n)"
    rb"|([^\n]*)\n"
)
"""A move as all slicers write it, or any other line."""
_WORD = re.compile(rb"([A-Z])\s*([-+]?(?:\d{1,12}\.?\d{0,12}|\.\d{1,12}))(?![\d.])")
_COMMAND = re.compile(rb"\s*(?:N\d+\s*)?([GMT])\s*(\d{1,4})(?![\d.])")
_SEPARATOR = re.compile(rb"[:=,]")
_KLIPPER = re.compile(rb"\b(ACCEL|SQUARE_CORNER_VELOCITY)\s*=\s*(\d{1,9}\.?\d{0,6})")

Words = dict[str, float]


class Reader:
    """`feed` it the file in blocks of any size, then `finish`."""

    def __init__(self) -> None:
        self._limits, self._planner = Limits(), Planner()
        self._head = Head(self._limits, self._planner)
        self._comments, self._thumbnails = Comments(), Thumbnails()
        self._rest = b""
        self._skipping = False
        self._byte = 0
        self._named = 0
        self._left: list[Point] = []
        self._elapsed: list[Point] = []
        self._told: list[Layer] = []
        self._seen: list[Layer] = []
        self._z: float | None = None
        self._awaits_z = False
        self._retraction = (1.0, 40.0)

    def feed(self, block: bytes) -> None:
        """The next bytes of the file."""
        if self._skipping:
            # The end of a line that was too long.
            end = block.find(b"\n") + 1
            self._byte += end or len(block)
            if not end:
                return
            block, self._skipping = block[end:], False
        block = self._rest + block
        cut = block.rfind(b"\n") + 1
        self._rest = block[cut:]
        self._read(block, cut)
        if len(self._rest) > MAX_LINE:
            self._byte += len(self._rest)
            self._rest, self._skipping = b"", True

    def finish(self) -> Analysis:
        """What is known after the last byte."""
        if self._rest:
            self.feed(b"\n")
            self._byte -= 1
        head, comments = self._head, self._comments
        done = self._planner.finish(self._byte)
        layers = self._told or self._seen
        head.travel.take(head.printing)
        return Analysis(
            summary=Summary(
                moves=head.moves,
                time=done[-1].seconds,
                time_left=self._left[0].seconds if self._left else None,
                printing=head.printing.box(),
                travel=head.travel.box(),
                filament=head.filament(comments.diameters),
                layers=len(layers),
                height=box.max_z if (box := head.printing.box()) else None,
                said=comments.said(),
                thumbnails=tuple(self._thumbnails.found),
            ),
            done=done,
            left=tuple(self._left or self._left_by_elapsed()),
            layers=tuple(layers),
        )

    @property
    def thumbnails(self) -> dict[Thumbnail, bytes]:
        """The pictures in the file, and their content."""
        return self._thumbnails.found

    def _read(self, block: bytes, end: int) -> None:
        """The whole lines of a block."""
        start = self._byte
        head, move = self._head, self._head.move
        for match in _LINE.finditer(block, 0, end):
            before, x, y, z, e, after, other = match.groups()
            if other is not None:
                if other and other != b"\r":
                    self._other(other, start + match.start(), start + match.end())
                continue
            try:
                if after or before:
                    head.feed = float(after or before) * head.scale / 60.0
                move(
                    None if x is None else float(x),
                    None if y is None else float(y),
                    None if z is None else float(z),
                    None if e is None else float(e),
                    start + match.end(),
                )
            except ValueError:
                continue
            if head.printed_z != self._z:
                self._printed_at(start + match.start())
        self._byte = start + end

    # -- comments --

    def _other(self, line: bytes, byte: int, end: int) -> None:
        """Any line but a plain move."""
        if len(line) > MAX_LINE:
            return
        if line.startswith(b";"):
            self._comment(line, byte)
            return
        self._thumbnails.abandon()
        self._command(line[:1024].partition(b";")[0].upper(), byte, end)

    def _comment(self, line: bytes, byte: int) -> None:
        if self._thumbnails.is_open:
            self._thumbnails.read(line.lstrip(b"; ").rstrip())
            return
        if self._named < NAMES_UNTIL and self._comments.slicer is None:
            self._named += 1
            self._comments.read_name(line.lstrip(b"; \t")[:200])
        text = line[:1024].lstrip(b"; \t").rstrip()
        match = _SEPARATOR.search(text)
        key = (text[: match.start()].rstrip() if match else text).lower()
        value = text[match.end() :].lstrip() if match else b""
        if key.startswith(b"thumbnail"):
            self._thumbnails.begin(text)
        elif key in _LAYER_KEYS or (key.startswith(b"layer ") and key[6:].isdigit()):
            self._begin_layer(byte, value if key.startswith((b"layer ", b"begin")) else b"")
        elif key in (b"z", b"z_height"):
            self._tell_z(value)
        elif key == b"time_elapsed":
            _keep(self._elapsed, byte, seconds_of(value))
        elif key == b"remaining_time":
            _keep(self._left, byte, seconds_of(value))
        else:
            self._comments.read(key, value)

    def _begin_layer(self, byte: int, value: bytes) -> None:
        if len(self._told) < MAX_LAYERS:
            self._told.append(Layer(byte, None))
            self._awaits_z = True
            self._z = self._head.printed_z = None
            self._tell_z(value)

    def _tell_z(self, value: bytes) -> None:
        if self._awaits_z and value and (z := seconds_of(value)) is not None:
            self._told[-1] = Layer(self._told[-1].byte, z)
            self._awaits_z = False

    def _printed_at(self, byte: int) -> None:
        """Something was printed at another Z than before."""
        z = self._head.printed_z
        if z is None:
            return
        if self._awaits_z:
            self._told[-1] = Layer(self._told[-1].byte, z)
            self._awaits_z = False
        if self._z is None or abs(z - self._z) >= NEW_LAYER:
            self._z = z
            if len(self._seen) < MAX_LAYERS:
                self._seen.append(Layer(byte, z))

    def _left_by_elapsed(self) -> list[Point]:
        """Cura tells how much is done."""
        if not self._elapsed:
            return []
        whole = max(self._comments.time or 0.0, self._elapsed[-1].seconds)
        return [Point(point.byte, whole - point.seconds) for point in self._elapsed]

    # -- commands --

    def _command(self, line: bytes, byte: int, end: int) -> None:
        """A line without its comment, in capital letters."""
        match = _COMMAND.match(line)
        if match is None:
            if line.startswith(b"SET_VELOCITY_LIMIT"):
                found = {name: float(number) for name, number in _KLIPPER.findall(line)}
                self._limits.set_klipper(found.get(b"ACCEL"), found.get(b"SQUARE_CORNER_VELOCITY"))
            return
        letter, number = match[1].decode(), int(match[2])
        words = {word.decode(): float(value) for word, value in _WORD.findall(line, match.end())}
        if letter == "T":
            if number < MAX_TOOLS:
                self._head.tool = number
        elif letter == "G":
            self._g(number, words, line, end)
            if self._head.printed_z != self._z:
                self._printed_at(byte)
        else:
            self._m(number, words, end)

    def _g(self, number: int, words: Words, line: bytes, end: int) -> None:
        head = self._head
        match number:
            case 0 | 1 | 2 | 3:
                if "F" in words:
                    head.feed = words["F"] * head.scale / 60.0
                x, y, z, e = (words.get(axis) for axis in "XYZE")
                if number < 2:
                    head.move(x, y, z, e, end)
                else:
                    centre = (words.get("I", 0.0), words.get("J", 0.0)) if {"I", "J"} & words.keys() else None
                    head.arc((x, y, z, e), centre, words.get("R"), number == 2, end)
            case 4:
                seconds = words.get("S", 0.0) + words.get("P", 0.0) / 1000.0
                self._planner.wait(min(max(seconds, 0.0), MAX_DWELL), end)
            case 10 | 11 if not words.keys() - {"S"}:
                head.retract(*self._retraction, end)
            case 20 | 21:
                head.scale = INCH if number == 20 else 1.0
                head.settle()
            case 28:
                head.home([axis for axis in "XYZ" if axis.encode() in line])
            case 90 | 91:
                head.set_absolute(number == 90)
            case 92:
                head.set_place({axis: words[axis] for axis in "XYZE" if axis in words})

    def _m(self, number: int, words: Words, end: int) -> None:
        head = self._head
        match number:
            case 73 if "R" in words:
                _keep(self._left, end, words["R"] * 60.0)
            case 82 | 83:
                head.set_absolute_e(number == 82)
            case 200 if "D" in words:
                diameter = words["D"]
                head.area_of_filament = pi * diameter * diameter / 4.0 if 0.1 <= diameter <= 10.0 else 0.0
                head.settle()
            case 201 | 203 | 204 | 205 | 220:
                self._limits.set(f"M{number}", words)
            case 207:
                length, speed = self._retraction
                length = min(abs(words.get("S", length)), 1000.0)
                self._retraction = (length, max(words.get("F", speed * 60.0) / 60.0, SLOWEST))


_LAYER_KEYS = frozenset({b"layer", b"layer_change", b"change_layer", b"begin_layer_object z"})
"""PrusaSlicer, SuperSlicer and OrcaSlicer; BambuStudio; Cura and ideaMaker; KISSlicer. Simplify3D's has a number."""


def _keep(rows: list[Point], byte: int, seconds: float | None) -> None:
    """Only where it changes; every second row of a table that gets too long."""
    if seconds is None or seconds < 0.0 or (rows and rows[-1].seconds == seconds):
        return
    rows.append(Point(byte, seconds))
    if len(rows) > MAX_ROWS:
        del rows[1::2]
