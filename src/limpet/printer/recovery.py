"""A print that was lost goes on from where the printer says that its head is, if that is where the print was left."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import BinaryIO

import msgspec

from limpet.errors import Conflict
from limpet.gcodefile.resume import ResumePoint
from limpet.printer.print import Print
from limpet.printer.printer import Printer
from limpet.protocol.events import CommandAcknowledged, PositionReported

TIME_LIMIT = 120.0
"""Seconds for reading the file up to there."""
LOCATE_TIME = 30.0
"""Seconds in which the printer comes to a rest and tells where it is."""
MAX_AHEAD = 20_000
"""Lines after the last one that is known to have arrived: what was on its way, or not noted down yet."""
COMMAND = (sys.executable, "-P", "-m", "limpet.gcodefile.resume")

MUST_BE = (
    "It can go on if the printer has kept its position and its heat: it was not switched off or restarted, nobody has "
    "moved its head, and the part is still in its place. Before anything is sent, Limpet asks the printer where its "
    "head is, and goes on only if that is where the print was left."
)


async def place_of(printer: Printer, lost: Print, stream: BinaryIO) -> ResumePoint:
    """Where in the file `stream` the print can go on. Raises Conflict with the reason when it cannot."""
    axes = await _locate(printer)
    told = f"The printer says that its head is at {' '.join(f'{axis}{axes[axis]:g}' for axis in 'XYZE')}"
    if not any(axes[axis] for axis in "XYZE"):
        # Also where a print was left that was still heating: not worth the risk.
        raise Conflict(f"{told}, as a printer does that was just restarted. It cannot go on from there; start it again")
    point = await _find(stream, axes, lost.line)
    if point is None:
        raise Conflict(
            f"{told}, which is not where the file leads from line {lost.line} on: it was restarted or moved since, or "
            "the file had not led it anywhere yet. It cannot go on from there; start it again"
        )
    return point


async def _locate(printer: Printer) -> dict[str, float]:
    tag, axes = next(printer.tags), None
    events = printer.subscribe()
    try:
        printer.send("M400", "M114", tag=tag)
        waits = 2
        async with asyncio.timeout(LOCATE_TIME):
            async for event, _ in events:
                match event:
                    case PositionReported():
                        axes = event.axes
                    case CommandAcknowledged() if event.tag == tag:
                        waits -= 1
                if not waits and axes is not None:
                    break  # Some firmware says ok first.
    except TimeoutError:
        raise Conflict(f"The printer did not say within {LOCATE_TIME:g} s where its head is") from None
    finally:
        events.close()
    if axes is None or not {"X", "Y", "Z", "E"} <= axes.keys():
        raise Conflict("The printer does not say where its head is, so that a print cannot go on")
    return axes


async def _find(stream: BinaryIO, axes: dict[str, float], line: int) -> ResumePoint | None:
    """Read by a process of its own: other printers may be printing."""
    where = [str(axes[axis]) for axis in "XYZE"]
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *where, str(max(1, line)), str(line + MAX_AHEAD), stdin=stream, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIME_LIMIT):
            answer, _ = await process.communicate()
    except TimeoutError:
        raise Conflict(f"The file could not be read up to line {line} within {TIME_LIMIT:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
    if process.returncode:
        raise Conflict("The file could not be read up to where the print was left")
    return msgspec.json.decode(answer, type=ResumePoint | None)
