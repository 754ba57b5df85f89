"""PURE: how fast a printer may move, as the file sets it. Speeds in mm/s, accelerations in mm/s².

Source: RepRap "G-code" page, M201 to M205 and M220; Klipper's SET_VELOCITY_LIMIT.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

SLOWEST, WEAKEST = 0.05, 1.0
"""A file that asks for less does not mean it."""


class Limits:
    """What holds unless the file says otherwise is what is common among printers for the table.

    `jerk` is by how much the speed of an axis may jump; a `deviation` in mm takes its place where one is set.
    """

    def __init__(self) -> None:
        self.printing, self.travel, self.retract = 1000.0, 1000.0, 1000.0
        self.max_accel = {"X": 5000.0, "Y": 5000.0, "Z": 200.0, "E": 5000.0}
        self.max_speed = {"X": 500.0, "Y": 500.0, "Z": 15.0, "E": 80.0}
        self.jerks = {"X": 8.0, "Y": 8.0, "Z": 0.4, "E": 3.0}
        self.deviation = 0.0
        self.factor = 1.0
        self._settle()

    def _settle(self) -> None:
        """Both axes of the plane are taken for one, the weaker: each move would have to be looked at otherwise."""
        top = min(self.max_accel["X"], self.max_accel["Y"])
        self.accel_printing, self.accel_travel = min(self.printing, top), min(self.travel, top)
        self.accel_e = min(self.retract, self.max_accel["E"])
        self.speed = min(self.max_speed["X"], self.max_speed["Y"])
        self.jerk = min(self.jerks["X"], self.jerks["Y"])

    def along(self, speed: float, accel: float, part: float) -> tuple[float, float]:
        """Speed and acceleration of a move of which this part is up or down."""
        return min(speed, self.max_speed["Z"] / part), min(accel, self.max_accel["Z"] / part)

    def corner(self, turn: float, cosine: float, accel: float) -> float:
        """Square of the speed at a corner: `turn` is by how much the direction changes along one axis, at most,
        `cosine` that of the angle between the directions."""
        if not self.deviation:
            return (self.jerk / turn) ** 2 if turn > 1e-6 else 1e12
        if cosine > 0.999999:
            return 1e12
        half = sqrt(max(0.0, (1.0 + cosine) / 2.0))
        return accel * self.deviation * half / (1.0 - half)

    def set(self, command: str, words: Mapping[str, float]) -> None:
        """A command that changes limits."""
        match command:
            case "M201":
                self._set_each(self.max_accel, words, WEAKEST)
            case "M203":
                self._set_each(self.max_speed, words, SLOWEST)
            case "M204":
                self.printing = max(words.get("P", words.get("S", self.printing)), WEAKEST)
                self.travel = max(words.get("T", words.get("S", self.travel)), WEAKEST)
                self.retract = max(words.get("R", self.retract), WEAKEST)
            case "M205":
                self._set_each(self.jerks, words, SLOWEST)
                self.deviation = words.get("J", 0.0 if "X" in words else self.deviation)
                self.deviation = min(max(self.deviation, 0.0), 10.0)
            case "M220" if words.get("S", 0.0) > 0.0:
                self.factor = words["S"] / 100.0
        self._settle()

    def set_klipper(self, accel: float | None, corner: float | None) -> None:
        """SET_VELOCITY_LIMIT: its speed is that at a right angle, where it is the jerk of an axis."""
        if accel is not None:
            self.printing = self.travel = max(accel, WEAKEST)
            self.max_accel |= {"X": self.printing, "Y": self.printing}
        if corner is not None:
            self.jerks |= {"X": max(corner, SLOWEST), "Y": max(corner, SLOWEST)}
        self._settle()

    def _set_each(self, values: dict[str, float], words: Mapping[str, float], least: float) -> None:
        for axis in values:
            if axis in words:
                values[axis] = max(words[axis], least)
