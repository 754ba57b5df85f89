"""`/api/job`: what is selected to be printed, how far its print is, and commands to it.

Source: the page "Job operations" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.errors import BadRequest, Conflict, NotFound
from limpet.printer.print import PrintEnded, SelectedFile
from limpet.printer.prints import NOTHING_PAUSES
from limpet.printer.recovery import MUST_BE, place_of
from limpet.printer.state import CLOSED, State
from limpet.web.api.files import CARD
from limpet.web.call import Call, Route, answer, done
from limpet.web.shapes import JobFile, JobInfo, ProgressInfo, job, job_file, progress, state_text

T = TypeVar("T")


class LastPrint(Struct, frozen=True, kw_only=True):
    """How the last print ended: "done", "cancelled" or "failed", with `code` and `message` for a reason.

    Times in seconds since the epoch, `printTime` in seconds without pauses; the printer had acknowledged the file up to
    the byte `position` and the `line`. `hint`, where the command `recover` may go on with it, says what must be true.
    """

    file: JobFile
    outcome: str
    code: str | None
    message: str | None
    startedAt: float  # noqa: N815
    endedAt: float  # noqa: N815
    printTime: float  # noqa: N815
    position: int
    line: int
    hint: str | None = None


class JobAnswer(Struct, frozen=True, kw_only=True):
    """`state` is that of the printer; `error` is there when a connection ended for a reason, `lastPrint` when there
    was a print, be it before this server was started."""

    job: JobInfo
    progress: ProgressInfo
    state: str
    error: str | UnsetType = UNSET
    lastPrint: LastPrint | UnsetType = UNSET  # noqa: N815


async def get_job(call: Call) -> web.StreamResponse:
    now = call.printer.snapshot
    error = now.failure.fault.message if now.failure is not None and now.state in CLOSED else UNSET
    last = UNSET if now.last_print is None else _last(now.last_print, MUST_BE if now.interrupted else None)
    return answer(JobAnswer(job=job(now), progress=progress(now), state=state_text(now), error=error, lastPrint=last))


def _last(ended: PrintEnded, hint: str | None) -> LastPrint:
    return LastPrint(
        file=job_file(ended.print.file),
        outcome=ended.outcome,
        code=ended.code,
        message=ended.message,
        startedAt=ended.print.started_at,
        endedAt=ended.ended_at,
        printTime=ended.print.elapsed,
        position=ended.print.position,
        line=ended.print.line,
        hint=hint,
    )


async def post_job(call: Call) -> web.StreamResponse:
    body = await call.json()
    if call.printer.snapshot.state is not State.OPERATIONAL:
        raise Conflict("Printer is not operational")
    command = body.get("command") if isinstance(body, dict) else None
    if not isinstance(command, str) or command not in _COMMANDS:
        raise BadRequest("command is invalid")
    if body.get("action", "toggle") not in _ACTIONS:
        raise BadRequest("Unknown action")
    printer = call.printer
    match command:
        case "start":
            if printer.is_printing:
                raise Conflict("Printer already has an active print job, did you mean 'restart'?")
            # Without a file there is nothing to start, as with OctoPrint.
            if printer.snapshot.selected is not None:
                await start(call, printer.snapshot.selected)
        case "restart":
            if printer.snapshot.print is None or not printer.is_paused:
                raise Conflict(NOTHING_PAUSES)
            stream = await _stream(call, printer.snapshot.print.file)
            printer.prints.restart(stream, user=call.caller.name)
        case "recover":
            await _recover(call)
        case "cancel":
            printer.prints.cancel()
        case "pause":
            action = body.get("action", "toggle")
            paused = printer.is_paused
            if action == "resume" or (action == "toggle" and paused):
                printer.prints.resume()
            else:
                printer.prints.pause()
    return done()


async def start(call: Call, file: SelectedFile) -> None:
    """Print this file. Raises what a person has to be told."""
    call.printer.prints.start(file, await _stream(call, file), user=call.caller.name)


async def _stream(call: Call, file: SelectedFile) -> BinaryIO | None:
    """What the file is read from, if it is here."""
    return None if file.origin == CARD else await opened(call, file.path)


async def _recover(call: Call) -> None:
    """Go on with the print that was lost, if the printer is where it was left."""
    printer, ended = call.printer, call.printer.snapshot.interrupted
    if ended is None:
        raise Conflict("There is no print that was lost and could go on")
    lost = ended.print
    there = await _there(lost.file.path, call.fleet.store(printer).info)
    if (there.size, there.date) != (lost.file.size, lost.file.date):
        raise Conflict(f"{lost.file.path} is not the file any more that was being printed")
    stream = await opened(call, lost.file.path)
    try:
        point = await place_of(printer, lost, stream)
        await asyncio.to_thread(stream.seek, point.position)
    except BaseException:
        stream.close()
        raise
    if printer.snapshot.selected != lost.file:
        printer.select(lost.file)
    printer.prints.start(lost.file, stream, user=call.caller.name, resume=point)


async def opened(call: Call, path: str) -> BinaryIO:
    """A stored file, to be read as it is printed. Raises Conflict when it is not there any more."""
    return os.fdopen(await _there(path, call.fleet.store(call.printer).open), "rb", buffering=0)


async def _there(path: str, look: Callable[[str], T]) -> T:
    """What `look` finds of a file that was there when it was selected."""
    try:
        return await asyncio.to_thread(look, path)
    except NotFound:
        raise Conflict(f"{path} is not among the files any more; upload it again, or select another one") from None


_COMMANDS = ("start", "cancel", "pause", "restart", "recover")
_ACTIONS = ("pause", "resume", "toggle")

_BODY = {
    "type": "object",
    "required": ["command"],
    "properties": {
        "command": {"enum": list(_COMMANDS)},
        "action": {"enum": list(_ACTIONS), "description": "What `pause` does; without it, the one or the other"},
    },
}

ROUTES = (
    Route("GET", "/api/job", "STATUS", get_job, "What is selected to be printed", {200: (JobAnswer,)}),
    Route("POST", "/api/job", "PRINT", post_job, "Start, pause or cancel a print", {204: ()}, body=_BODY),
)
