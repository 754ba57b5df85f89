"""PURE: what OctoPrint's events tell of a print; its scripts are told the same, as `event`.

Source: the pages "Events" and "GCODE Scripts" of OctoPrint's documentation, and what OctoPrint 1.11.8 tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpet.printer.print import Print


def payload_for(script: str, job: Print) -> dict[str, Any]:
    """Of the event at whose moment the script of a print runs."""
    match script:
        case "afterPrintDone":
            return printed(job) | {"time": job.elapsed}
        case "afterPrintCancelled":
            return stopped(job) | who(job) | {"time": job.elapsed}
        case "afterPrintPaused":
            return stopped(job) | who(job)
    return printed(job) | who(job)


def printed(job: Print) -> dict[str, Any]:
    """Which file it is of, and whose."""
    file = job.file
    told = {"name": file.name, "path": file.path, "origin": file.origin, "size": file.size}
    return told if job.user is None else {**told, "owner": job.user}


def who(job: Print) -> dict[str, Any]:
    return {} if job.user is None else {"user": job.user}


def stopped(job: Print) -> dict[str, Any]:
    """The same of one that does not go on, or not now, and where that was."""
    return {
        **printed(job),
        "position": position_in(job.axes),
        "fileposition": job.position,
        "progress": None if job.completion is None else int(job.completion),
    }


def position_in(axes: Mapping[str, float]) -> dict[str, float | None]:
    """Where the head was, by OctoPrint's names; what is not known is None."""
    where = {letter: axes.get(letter.upper()) for letter in "xyzeft"}
    # A tool has a number: scripts send it as `T1`, not as `T1.0`.
    return {**where, "t": int(axes["T"])} if "T" in axes else where
