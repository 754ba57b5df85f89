"""PURE: what is in a file, in OctoPrint's words.

Source: the page "File operations" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers; `weight` is of 2.0.
Lengths in mm, volumes in cm3, weights in g, times in seconds.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from limpet.gcodefile.analysis import Box, Filament, Said, Summary


class FilamentUse(Struct, frozen=True):
    """What a tool uses."""

    length: float
    volume: float
    weight: float | UnsetType = UNSET


class Area(Struct, frozen=True, kw_only=True):
    """The room that some moves need."""

    minX: float  # noqa: N815
    minY: float  # noqa: N815
    minZ: float  # noqa: N815
    maxX: float  # noqa: N815
    maxY: float  # noqa: N815
    maxZ: float  # noqa: N815


class Dimensions(Struct, frozen=True, kw_only=True):
    """X, Y and Z."""

    width: float
    depth: float
    height: float


class Slicer(Struct, frozen=True):
    """Who has made the file."""

    name: str
    version: str | None


class AnalysisInfo(Struct, frozen=True, kw_only=True):
    """What is in a file. `estimatedPrintTimeOrigin` is "slicer", "m73" or "model"; `layers` is how many there are."""

    estimatedPrintTime: float | None  # noqa: N815
    filament: dict[str, FilamentUse]
    printingArea: Area  # noqa: N815
    dimensions: Dimensions
    travelArea: Area  # noqa: N815
    travelDimensions: Dimensions  # noqa: N815
    estimatedPrintTimeOrigin: str | None  # noqa: N815
    layers: int
    layerHeight: float | UnsetType = UNSET  # noqa: N815
    slicer: Slicer | UnsetType = UNSET


_NOWHERE = Box(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def analysis_of(summary: Summary) -> AnalysisInfo:
    """`gcodeAnalysis` of a file."""
    said, printing, travel = summary.said, summary.printing or _NOWHERE, summary.travel or _NOWHERE
    return AnalysisInfo(
        estimatedPrintTime=summary.estimate,
        filament={f"tool{tool}": _use(used, said, tool) for tool, used in summary.filament.items()},
        printingArea=_area(printing),
        dimensions=_dimensions(printing),
        travelArea=_area(travel),
        travelDimensions=_dimensions(travel),
        estimatedPrintTimeOrigin=summary.estimate_origin,
        layers=said.layers or summary.layers,
        layerHeight=said.layer_height or UNSET,
        slicer=Slicer(said.slicer, said.version) if said.slicer else UNSET,
    )


def _use(used: Filament, said: Said, tool: int) -> FilamentUse:
    """The moves tell how much it is, and only the slicer what that weighs."""
    weight = said.filament[tool].weight if tool in said.filament else None
    return FilamentUse(used.length, used.volume, UNSET if weight is None else weight)


def _area(box: Box) -> Area:
    return Area(minX=box.min_x, minY=box.min_y, minZ=box.min_z, maxX=box.max_x, maxY=box.max_y, maxZ=box.max_z)


def _dimensions(box: Box) -> Dimensions:
    return Dimensions(width=box.max_x - box.min_x, depth=box.max_y - box.min_y, height=box.max_z - box.min_z)
