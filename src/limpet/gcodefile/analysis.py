"""PURE: what is known of a G-code file once it has been read. Lengths in mm, times in seconds, volumes in cm3.

A `Summary` is short, and told with each file; an `Analysis` has the tables besides, with which a print is followed.
"""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct

MAX_TOOLS = 32


class Box(Struct, frozen=True):
    """From the least to the greatest coordinates of some moves."""

    min_x: float
    min_y: float
    min_z: float
    max_x: float
    max_y: float
    max_z: float


class Filament(Struct, frozen=True):
    """What one tool uses; grams only where the slicer tells."""

    length: float
    volume: float
    weight: float | None = None


class Thumbnail(Struct, frozen=True):
    """A picture that the slicer has put in: pixels, and "png" or "jpg"."""

    width: int
    height: int
    kind: str

    @property
    def size(self) -> str:
        """`220x124`."""
        return f"{self.width}x{self.height}"


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the slicer says in comments; `filament` is by the number of the tool."""

    slicer: str | None = None
    version: str | None = None
    time: float | None = None
    layer_height: float | None = None
    layers: int | None = None
    filament: dict[int, Filament] = {}


class Summary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`time` is the motion model's; `filament` is by the number of the tool, as the moves have it.

    `printing` is the box of the moves that extrude, `travel` that of all. `layers` is how many there are, `height` the
    Z of the highest one. `time_left` is what an M73 at the beginning says.
    """

    moves: int = 0
    time: float = 0.0
    time_left: float | None = None
    printing: Box | None = None
    travel: Box | None = None
    filament: dict[int, Filament] = {}
    layers: int = 0
    height: float | None = None
    said: Said = Said()
    thumbnails: tuple[Thumbnail, ...] = ()

    @property
    def estimate(self) -> float | None:
        """How long the print takes: the slicer knows the printer better than the model does."""
        return self.said.time or self.time_left or self.time or None

    @property
    def estimate_origin(self) -> str | None:
        """Where `estimate` is from: "slicer", "m73" or "model"."""
        return "slicer" if self.said.time else "m73" if self.time_left else "model" if self.time else None


class Point(Struct, frozen=True, array_like=True):
    """At this byte of the file, so many seconds are done, or left."""

    byte: int
    seconds: float


class Layer(Struct, frozen=True, array_like=True):
    """A layer begins at this byte of the file; `z` is None where nothing tells it."""

    byte: int
    z: float | None


class Analysis(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All tables are in the order of the file, and have at most some thousand rows.

    `done` is the motion model's: seconds that have passed when all before this byte is printed; it never goes back.
    `left` is M73's: seconds that are left when this byte is reached.
    """

    summary: Summary = Summary()
    done: tuple[Point, ...] = ()
    left: tuple[Point, ...] = ()
    layers: tuple[Layer, ...] = ()

    def layer_at(self, byte: int) -> int | None:
        """Index in `layers` of the one that is printed at this byte; None before the first."""
        index = bisect_right(self.layers, byte, key=lambda layer: layer.byte) - 1
        return index if index >= 0 else None


class Found(Struct, frozen=True, kw_only=True):
    """All that reading a file has brought to light: `pictures` are the contents of the summary's thumbnails."""

    analysis: Analysis = Analysis()
    pictures: tuple[bytes, ...] = ()
