"""`[profiles.<id>]` of the settings: what a kind of printer is like, how far it may move and how hot it may get."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

DEFAULT_PROFILE = "_default"
MAX_EXTRUDERS = 32

FormFactor = Literal["rectangular", "circular"]
Origin = Literal["lowerleft", "center"]

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Text = Annotated[str, Meta(max_length=64)]
_Length = Annotated[float, Meta(gt=0, le=100_000)]
_Coordinate = Annotated[float, Meta(ge=-100_000, le=100_000)]
_Speed = Annotated[int, Meta(ge=1, le=1_000_000)]
_Degrees = Annotated[float, Meta(ge=0, le=2000)]
_Offset = tuple[_Coordinate, _Coordinate]


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of printer, with OctoPrint's defaults.

    Lengths and coordinates in mm, speeds in mm/min, temperatures in degrees Celsius. A circular bed is as deep as it
    is wide, with its origin in the middle. `x_min` to `z_max`: how far the head may go where that is beyond the volume.
    """

    name: _Name
    model: _Text = "Generic RepRap Printer"
    color: _Text = "default"
    width: _Length = 200.0
    depth: _Length = 200.0
    height: _Length = 200.0
    form_factor: FormFactor = "rectangular"
    origin: Origin = "lowerleft"
    x_min: _Coordinate | None = None
    y_min: _Coordinate | None = None
    z_min: _Coordinate | None = None
    x_max: _Coordinate | None = None
    y_max: _Coordinate | None = None
    z_max: _Coordinate | None = None
    heated_bed: bool = True
    heated_chamber: bool = False
    x_speed: _Speed = 6000
    y_speed: _Speed = 6000
    z_speed: _Speed = 200
    e_speed: _Speed = 300
    x_inverted: bool = False
    y_inverted: bool = False
    z_inverted: bool = False
    e_inverted: bool = False
    extruders: Annotated[int, Meta(ge=1, le=MAX_EXTRUDERS)] = 1
    extruder_offsets: Annotated[tuple[_Offset, ...], Meta(max_length=MAX_EXTRUDERS)] = ()
    nozzle_diameter: _Length = 0.4
    shared_nozzle: bool = False
    default_extrusion_length: Annotated[int, Meta(ge=1, le=1000)] = 5
    max_hotend: _Degrees = 350.0
    max_bed: _Degrees = 150.0
    max_chamber: _Degrees = 100.0
    min_extrusion_temperature: _Degrees = 170.0

    @property
    def heaters(self) -> tuple[str, ...]:
        """The heaters that it has: "tool0" ..., "bed", "chamber"."""
        tools = 1 if self.shared_nozzle else self.extruders
        return (
            *(f"tool{number}" for number in range(tools)),
            *(("bed",) if self.heated_bed else ()),
            *(("chamber",) if self.heated_chamber else ()),
        )

    @property
    def is_centered(self) -> bool:
        """The origin is in the middle of the bed."""
        return self.form_factor == "circular" or self.origin == "center"

    @property
    def volume(self) -> tuple[float, float, float]:
        """Width, depth and height."""
        return self.width, self.width if self.form_factor == "circular" else self.depth, self.height

    @property
    def box(self) -> dict[str, tuple[float, float]]:
        """How far the head may go: "x" -> (least, greatest coordinate)."""
        width, depth, height = self.volume
        left, front = (-width / 2, -depth / 2) if self.is_centered else (0.0, 0.0)
        return {
            "x": _wider(left, left + width, self.x_min, self.x_max),
            "y": _wider(front, front + depth, self.y_min, self.y_max),
            "z": _wider(0.0, height, self.z_min, self.z_max),
        }

    @property
    def goes_beyond(self) -> bool:
        """The head goes farther than the volume."""
        return self.box != structs.replace(self, **dict.fromkeys(_ENDS)).box

    def limit(self, heater: str) -> float:
        """The highest target that a heater may be given."""
        return {"bed": self.max_bed, "chamber": self.max_chamber}.get(heater, self.max_hotend)

    def offset(self, tool: int) -> tuple[float, float]:
        """Where the nozzle of a tool is, as seen from the first."""
        return self.extruder_offsets[tool] if tool < len(self.extruder_offsets) else (0.0, 0.0)


_ENDS = ("x_min", "y_min", "z_min", "x_max", "y_max", "z_max")


def _wider(least: float, most: float, lower: float | None, upper: float | None) -> tuple[float, float]:
    return min(least, least if lower is None else lower), max(most, most if upper is None else upper)
