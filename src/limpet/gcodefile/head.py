"""PURE: where the head is, what it has touched, and what has gone through it, move by move.

Lengths in mm, speeds in mm/s. `move` runs once for each line of a file, of which there may be millions: that is why
it is written out.
"""

from __future__ import annotations

from math import atan2, hypot, pi, sqrt

from limpet.gcodefile.analysis import MAX_TOOLS, Box, Filament
from limpet.gcodefile.limits import SLOWEST, Limits
from limpet.gcodefile.motion import BATCH, Planner

INCH = 25.4
FULL_TURN = 2.0 * pi
_STRAIGHT_ON = 1e12
_OUTERMOST = ((0.0, 1, 0), (pi / 2, 0, 1), (pi, -1, 0), (1.5 * pi, 0, -1))
"""Where on a circle it reaches farthest: angle, and which way."""


class Bounds:
    """A box that grows."""

    __slots__ = ("max_x", "max_y", "max_z", "min_x", "min_y", "min_z")

    def __init__(self) -> None:
        self.min_x = self.min_y = self.min_z = float("inf")
        self.max_x = self.max_y = self.max_z = float("-inf")

    def add(self, x: float, y: float, z: float) -> None:
        if x < self.min_x:
            self.min_x = x
        if x > self.max_x:
            self.max_x = x
        if y < self.min_y:
            self.min_y = y
        if y > self.max_y:
            self.max_y = y
        if z < self.min_z:
            self.min_z = z
        if z > self.max_z:
            self.max_z = z

    def take(self, other: Bounds) -> None:
        """All that is in the other one."""
        if other.min_x <= other.max_x:
            self.add(other.min_x, other.min_y, other.min_z)
            self.add(other.max_x, other.max_y, other.max_z)

    def box(self) -> Box | None:
        if self.min_x > self.max_x:
            return None
        return Box(self.min_x, self.min_y, self.min_z, self.max_x, self.max_y, self.max_z)


class Head:
    """What moves, and how far it has come.

    `offsets` are what G92 has added to the file's coordinates, `scale` is what its unit is in mm. `printed_z` is the
    Z of the last move that has extruded something on its way.
    """

    def __init__(self, limits: Limits, planner: Planner) -> None:
        self.limits, self.planner = limits, planner
        self.x = self.y = self.z = self.e = 0.0
        self.offsets = {"X": 0.0, "Y": 0.0, "Z": 0.0}
        self.scale = 1.0
        self.absolute = self.absolute_e = True
        self._wants_absolute_e = True
        self.simple = True
        self.feed = 25.0
        self.tool = 0
        self.area_of_filament = 0.0
        """mm² by which E is divided where it counts mm³ (M200), else 0."""
        self.moves = 0
        self.printing, self.travel = Bounds(), Bounds()
        self.printed_z: float | None = None
        self._extruded = [0.0] * MAX_TOOLS
        self._most = [0.0] * MAX_TOOLS
        self._direction = (0.0, 0.0, 0.0)
        self._was_printing: bool | None = None

    def move(self, x: float | None, y: float | None, z: float | None, e: float | None, byte: int) -> None:
        """G0 and G1 with these words, in the file's units; the line ends at this byte."""
        if not self.simple:
            x, y, z, e = self._in_mm(x, y, z, e)
        elif e is not None and not self.absolute_e:
            e += self.e
        was_x, was_y, was_z = self.x, self.y, self.z
        x = was_x if x is None else x
        y = was_y if y is None else y
        z = was_z if z is None else z
        pushed = 0.0 if e is None else e - self.e
        self.x, self.y, self.z = x, y, z
        if pushed:
            self.e += pushed
            self._push(pushed)
        dx, dy, dz = x - was_x, y - was_y, z - was_z
        distance = sqrt(dx * dx + dy * dy + dz * dz)
        if not distance:
            if pushed:
                self._run_extruder(abs(pushed), byte)
            return
        prints = pushed > 0.0 and (dx != 0.0 or dy != 0.0)
        bounds = self.printing if prints else self.travel
        if prints is not self._was_printing:
            self._was_printing = prints
            bounds.add(was_x, was_y, was_z)
        bounds.add(x, y, z)
        if prints:
            self.printed_z = z
        direction = (dx / distance, dy / distance, dz / distance)
        self._run(distance, direction, direction, prints, byte)

    def arc(
        self,
        end: tuple[float | None, float | None, float | None, float | None],
        centre: tuple[float, float] | None,
        radius: float | None,
        clockwise: bool,
        byte: int,
    ) -> None:
        """G2 and G3: to `end` around a centre, given as seen from the beginning, or by the radius."""
        x, y, z, e = self._in_mm(*end)
        was_x, was_y, was_z = self.x, self.y, self.z
        x, y, z = (was_x if x is None else x), (was_y if y is None else y), (was_z if z is None else z)
        if centre is None:
            centre = _centre_of(x - was_x, y - was_y, (radius or 0.0) * self.scale, clockwise)
        else:
            centre = (centre[0] * self.scale, centre[1] * self.scale)
        size = hypot(*centre)
        if size < 1e-6:
            self._straight(x, y, z, e, byte)
            return
        middle_x, middle_y = was_x + centre[0], was_y + centre[1]
        begin, over = atan2(-centre[1], -centre[0]), atan2(y - middle_y, x - middle_x)
        turn = (begin - over if clockwise else over - begin) % FULL_TURN or FULL_TURN
        pushed = 0.0 if e is None else e - self.e
        self.x, self.y, self.z, self.e = x, y, z, self.e + pushed
        self._push(pushed)
        prints = self._was_printing = pushed > 0.0
        bounds = self.printing if prints else self.travel
        bounds.add(was_x, was_y, was_z)
        bounds.add(x, y, z)
        for angle, way_x, way_y in _OUTERMOST:
            if (begin - angle if clockwise else angle - begin) % FULL_TURN <= turn:
                bounds.add(middle_x + way_x * size, middle_y + way_y * size, z)
        if prints:
            self.printed_z = z
        distance = hypot(size * turn, z - was_z)
        rise = (z - was_z) / distance
        side = (-turn if clockwise else turn) / distance
        first = (centre[1] * side, -centre[0] * side, rise)
        last = (-(y - middle_y) * side, (x - middle_x) * side, rise)
        # As fast as it may go round: it accelerates towards the middle all the time.
        accel = self.limits.accel_printing if prints else self.limits.accel_travel
        self._run(distance, first, last, prints, byte, sqrt(accel * size))

    def set_place(self, words: dict[str, float]) -> None:
        """G92: from now on, this place is called so; without words, it is the origin."""
        words = words or dict.fromkeys("XYZE", 0.0)
        for axis, at in (("X", self.x), ("Y", self.y), ("Z", self.z)):
            if axis in words:
                self.offsets[axis] = at - words[axis] * self.scale
        if "E" in words:
            self.e = self._pushed_by(words["E"])
        self.settle()

    def home(self, axes: list[str]) -> None:
        """G28: these axes are at their origin, whatever they were called."""
        for axis in axes or ["X", "Y", "Z"]:
            setattr(self, axis.lower(), 0.0)
            self.offsets[axis] = 0.0
        self.stop()
        self.settle()

    def set_absolute(self, absolute: bool) -> None:
        """G90 and G91. Firmwares differ about E: here it goes along with G91, and is with G90 again what it was."""
        self.absolute = absolute
        self.absolute_e = absolute and self._wants_absolute_e
        self.settle()

    def set_absolute_e(self, absolute: bool) -> None:
        """M82 and M83."""
        self.absolute_e = self._wants_absolute_e = absolute

    def settle(self) -> None:
        """What a coordinate means has changed."""
        self.simple = (
            self.absolute and self.scale == 1.0 and not self.area_of_filament and not any(self.offsets.values())
        )

    def stop(self) -> None:
        """The next move begins from standstill."""
        self.planner.plan(all=True)
        self._direction = (0.0, 0.0, 0.0)

    def retract(self, length: float, speed: float, byte: int) -> None:
        """G10 and G11: the firmware knows how far; what is pulled is pushed again."""
        feed, self.feed = self.feed, speed
        self._run_extruder(length, byte)
        self.feed = feed

    def filament(self, diameters: tuple[float, ...]) -> dict[int, Filament]:
        """What each tool has used; diameters in mm by tool, the last one holds for all others."""
        used = {}
        for tool, length in enumerate(self._most):
            if length > 0.0:
                diameter = diameters[min(tool, len(diameters) - 1)]
                used[tool] = Filament(length, length * pi * diameter * diameter / 4000.0)
        return used

    # -- the parts of it --

    def _in_mm(
        self, x: float | None, y: float | None, z: float | None, e: float | None
    ) -> tuple[float | None, float | None, float | None, float | None]:
        """The place that these words mean."""
        scale, offsets = self.scale, self.offsets
        if self.absolute:
            x = None if x is None else x * scale + offsets["X"]
            y = None if y is None else y * scale + offsets["Y"]
            z = None if z is None else z * scale + offsets["Z"]
        else:
            x = None if x is None else x * scale + self.x
            y = None if y is None else y * scale + self.y
            z = None if z is None else z * scale + self.z
        if e is not None:
            e = self._pushed_by(e)
            e = e if self.absolute_e else e + self.e
        return x, y, z, e

    def _pushed_by(self, e: float) -> float:
        return e / self.area_of_filament if self.area_of_filament else e * self.scale

    def _push(self, length: float) -> None:
        """What is pulled back in the end was not used."""
        extruded = self._extruded[self.tool] + length
        self._extruded[self.tool] = extruded
        if extruded > self._most[self.tool]:
            self._most[self.tool] = extruded

    def _straight(self, x: float, y: float, z: float, e: float | None, byte: int) -> None:
        simple, self.simple = self.simple, True
        absolute, self.absolute_e = self.absolute_e, True
        self.move(x, y, z, e, byte)
        self.simple, self.absolute_e = simple, absolute

    def _run(
        self,
        distance: float,
        first: tuple[float, float, float],
        last: tuple[float, float, float],
        prints: bool,
        byte: int,
        speed: float = float("inf"),
    ) -> None:
        """`first` and `last` are unit vectors: which way it goes at its beginning and at its end."""
        limits = self.limits
        accel = limits.accel_printing if prints else limits.accel_travel
        speed = min(self.feed * limits.factor, limits.speed, speed)
        ux, uy, uz = first
        if uz:
            speed, accel = limits.along(speed, accel, abs(uz))
        speed = max(speed, SLOWEST)
        square = speed * speed
        px, py, pz = self._direction
        if pz or uz:
            corner = self._slope(first)
        elif px or py:
            turn = max(abs(ux - px), abs(uy - py))
            corner = limits.corner(turn, ux * px + uy * py, accel)
        else:
            corner = limits.jerk * limits.jerk
        planner = self.planner
        moves = planner.moves
        if moves and moves[-1][1] < corner:
            corner = moves[-1][1]
        moves.append((distance, square, accel, min(corner, square), byte))
        self._direction = last
        self.moves += 1
        if len(moves) >= BATCH:
            planner.plan()

    def _slope(self, first: tuple[float, float, float]) -> float:
        """Square of the speed at a corner with a way up or down, of which there are few."""
        px, py, pz = self._direction
        turn = max(abs(first[0] - px), abs(first[1] - py))
        rise = abs(first[2] - pz)
        corner = (self.limits.jerk / turn) ** 2 if turn > 1e-6 else _STRAIGHT_ON
        return min(corner, (self.limits.jerks["Z"] / rise) ** 2) if rise > 1e-6 else corner

    def _run_extruder(self, length: float, byte: int) -> None:
        """Only the filament moves."""
        limits = self.limits
        speed = max(min(self.feed * limits.factor, limits.max_speed["E"]), SLOWEST)
        corner = min(limits.jerks["E"], speed) ** 2
        moves = self.planner.moves
        if moves:
            corner = min(corner, moves[-1][1])
        moves.append((length, speed * speed, limits.accel_e, corner, byte))
        self._direction = (0.0, 0.0, 0.0)
        self.moves += 1
        if len(moves) >= BATCH:
            self.planner.plan()


def _centre_of(dx: float, dy: float, radius: float, clockwise: bool) -> tuple[float, float]:
    """Where the middle of an arc is, seen from its beginning; a negative radius means the longer arc."""
    chord = hypot(dx, dy)
    if chord < 1e-9:
        return 0.0, 0.0
    height = sqrt(max(0.0, radius * radius - chord * chord / 4.0))
    if clockwise == (radius > 0.0):
        height = -height
    return dx / 2.0 - dy / chord * height, dy / 2.0 + dx / chord * height
