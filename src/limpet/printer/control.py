"""PURE: what a person at the controls may ask of a printer, as G-code lines, or why not.

Every value is a finite number by now, and every name a text; what a handler has to check is their type. BadRequest
says that this printer must never be asked such a thing, Conflict that it must not be asked now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from limpet.errors import BadRequest, Conflict
from limpet.printer.state import Snapshot
from limpet.profiles import Profile
from limpet.protocol import gcode

MAX_OFFSET = 50.0
"""Degrees Celsius either way."""
MAX_EXTRUSION = 1000.0
"""Millimetres of filament in one go: a long Bowden tube, and some."""
MAX_SPEED = 100_000.0
"""Millimetres in a minute."""
FACTORS = range(1, 1001)
"""Percent of the speed, or of the flow, that a print was made for."""


def set_targets(profile: Profile, targets: Mapping[str, float]) -> tuple[str, ...]:
    """Targets in degrees Celsius of "tool0" ..., "bed", "chamber"; 0 is off."""
    only_tool = profile.shared_nozzle or profile.extruders == 1
    for heater, degrees in targets.items():
        limit = profile.limit(heater)
        if not 0 <= degrees <= limit:
            what = called(profile, heater)
            raise BadRequest(f"{what} may be set to 0 to {limit:.10g} degrees by its profile, not to {degrees:.10g}")
    return tuple(gcode.set_target(heater, degrees, only_tool=only_tool) for heater, degrees in targets.items())


def called(profile: Profile, heater: str) -> str:
    """A heater as a person calls it, at the head of a sentence."""
    if not heater.startswith("tool"):
        return f"The {heater}"
    # Programs count from 0, people from 1.
    return "The nozzle" if "tool1" not in profile.heaters else f"Nozzle {int(heater[4:]) + 1} ({heater})"


def has_tool(profile: Profile, number: int) -> bool:
    return number < profile.extruders


def jog(profile: Profile, axes: Mapping[str, float], *, relative: bool, speed: float | None) -> tuple[str, ...]:
    """Move the head by (or to) these: "x", "y", "z" -> mm; at `speed` in mm/min, where one is given."""
    _check_speed(speed)
    for axis, value in axes.items():
        least, most = profile.box[axis]
        if relative and abs(value) > most - least:
            raise BadRequest(f"{axis} may move {most - least:.10g} mm by its profile, not {value:.10g}")
        if not relative and not least <= value <= most:
            raise BadRequest(f"{axis} goes from {least:.10g} to {most:.10g} mm by its profile, not to {value:.10g}")
    return gcode.jog(axes, relative=relative, speed=speed)


def slowest(profile: Profile, axes: Iterable[str]) -> float:
    """The speed at which all of these axes may move, in mm/min."""
    speeds = {"x": profile.x_speed, "y": profile.y_speed, "z": profile.z_speed}
    return min(speeds[axis] for axis in axes)


def extrude(profile: Profile, now: Snapshot, amount: float, speed: float | None) -> tuple[str, ...]:
    """Push or pull `amount` mm of filament, where it is not known to be solid; no faster than the profile has it."""
    _check_speed(speed)
    if abs(amount) > MAX_EXTRUSION:
        raise BadRequest(f"amount may be {MAX_EXTRUSION:g} mm at the most, not {amount:.10g}")
    heater = "tool0" if profile.shared_nozzle else f"tool{now.tool}"
    actual, _ = now.temperatures.get(heater, (None, None))
    if actual is not None and actual < profile.min_extrusion_temperature:
        raise Conflict(
            f"{called(profile, heater)} has {actual:g} degrees: too cold to extrude, which its profile allows from "
            f"{profile.min_extrusion_temperature:g} degrees on"
        )
    return gcode.extrude(amount, min(speed or profile.e_speed, profile.e_speed))


def factor(value: float) -> int:
    """A factor in percent: a whole number is one, and a fraction up to 10 is one of 1, as OctoPrint has it."""
    percent = round(value * 100 if isinstance(value, float) and value <= 10 else value)
    if percent not in FACTORS:
        raise BadRequest(f"{percent} % is not from {FACTORS[0]} to {FACTORS[-1]} %")
    return percent


def _check_speed(speed: float | None) -> None:
    if speed is not None and not 0 < speed <= MAX_SPEED:
        raise BadRequest(f"speed may be up to {MAX_SPEED:.10g} mm/min, not {speed:.10g}")
