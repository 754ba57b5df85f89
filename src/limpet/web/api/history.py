"""`/api/limpet/history`: which prints there have been, and how they ended."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.errors import BadRequest
from limpet.history_file import HistoryFile, Record
from limpet.storage.folders import give_way
from limpet.web.api.files import TRUE
from limpet.web.call import Call, Route, answer, done

MAX_TOLD = 500
"""Prints in one answer."""


class PrintedFile(Struct, frozen=True, kw_only=True):
    """The file as it was: size in bytes, `date` of its last change in seconds since the epoch."""

    origin: str
    path: str
    display: str
    size: int | None
    date: int | None


class FilamentUsed(Struct, frozen=True, kw_only=True):
    """In mm, cm3 and g."""

    length: float
    volume: float
    weight: float | UnsetType = UNSET


class PrintInfo(Struct, frozen=True, kw_only=True):
    """A print. `outcome` is "done", "cancelled" or "failed", with `code` and `message` for a reason; null, like
    `endedAt`, while it is under way.

    Times in seconds since the epoch, `printTime` in seconds without pauses; `position` in bytes and `line` in lines of
    the file are what the printer has acknowledged. `filament` is by tool, and null where the file was not analysed.
    """

    id: int
    printer: str
    profile: str
    file: PrintedFile
    user: str | None
    outcome: str | None
    code: str | None
    message: str | None
    startedAt: float  # noqa: N815
    endedAt: float | None  # noqa: N815
    printTime: float  # noqa: N815
    position: int
    line: int
    resends: int
    filament: dict[str, FilamentUsed] | None


class HistoryInfo(Struct, frozen=True, kw_only=True):
    """Some of `total` prints, newest first; `fault` says why prints are not kept at the moment."""

    prints: list[PrintInfo]
    total: int
    fault: str | None


async def get_history(call: Call) -> web.StreamResponse:
    limit, offset = _number(call, "limit", 50), _number(call, "offset", 0)
    printer = None if call.request.query.get("all", "") in TRUE else call.printer.id
    history = call.fleet.history

    def look(file: HistoryFile) -> HistoryInfo:
        records, total = file.newest(printer, min(limit, MAX_TOLD), offset)
        prints = []
        for number, record in enumerate(records):
            give_way(number)
            prints.append(print_info(record))
        return HistoryInfo(prints=prints, total=total, fault=history.fault)

    return answer(await history.ask(look))


async def delete_history(call: Call) -> web.StreamResponse:
    printer = call.printer.id
    await call.fleet.history.ask(lambda file: file.clear(printer))
    call.fleet.history_has_changed()
    return done()


async def delete_print(call: Call) -> web.StreamResponse:
    printer, id = call.printer.id, int(call.request.match_info["id"])
    await call.fleet.history.ask(lambda file: file.delete(id, printer))
    call.fleet.history_has_changed()
    return done()


def print_info(record: Record) -> PrintInfo:
    used = record.used
    return PrintInfo(
        id=record.id,
        printer=record.printer,
        profile=record.profile,
        file=PrintedFile(
            origin=record.origin, path=record.path, display=record.display, size=record.size, date=record.date
        ),
        user=record.user,
        outcome=record.outcome,
        code=record.code,
        message=record.message,
        startedAt=record.started,
        endedAt=record.ended if record.outcome is not None else None,
        printTime=record.elapsed,
        position=record.position,
        line=record.line,
        resends=record.resends,
        filament=None
        if used is None
        else {
            f"tool{tool}": FilamentUsed(
                length=some.length, volume=some.volume, weight=UNSET if some.weight is None else some.weight
            )
            for tool, some in used.items()
        },
    )


def _number(call: Call, name: str, default: int) -> int:
    text = call.request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"{name} is invalid: expected a number from 0 on")
    return int(text)


ROUTES = (
    Route(
        "GET",
        "/api/limpet/history",
        "FILES_LIST",
        get_history,
        "The prints there have been, newest first",
        {200: (HistoryInfo,)},
        refusals=(400, 409, 507),
        query=("limit", "offset", "all"),
    ),
    Route(
        "DELETE",
        "/api/limpet/history",
        "FILES_DELETE",
        delete_history,
        "Forget all prints of this printer that have ended",
        {204: ()},
        refusals=(409, 507),
    ),
    Route(
        "DELETE",
        "/api/limpet/history/{id:[0-9]{1,18}}",
        "FILES_DELETE",
        delete_print,
        "Forget a print of this printer that has ended",
        {204: ()},
        refusals=(404, 409, 507),
    ),
)
