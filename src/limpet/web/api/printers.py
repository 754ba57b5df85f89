"""`/api/limpet/printers`: which printers there are; adding, changing and removing them while the server runs."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from limpet.errors import BadRequest
from limpet.fleet import AUTO, Fleet
from limpet.printer.printer import Printer
from limpet.settings import Reset
from limpet.transports.ports import find
from limpet.web.auth import base_of
from limpet.web.call import Call, Refused, Route, answer, done, schema_of
from limpet.web.shapes import HeaterInfo, ProgressInfo, heaters, progress, state_text

_Id = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Port = Annotated[str, Meta(min_length=1, max_length=1024, description="A port, or AUTO to detect it")]
_Baudrate = Annotated[int, Meta(ge=0, le=12_000_000, description="0 to detect it")]


class NewPrinter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A printer to be added; what is left out is detected, or as in the settings."""

    id: _Id
    name: _Name | UnsetType = UNSET
    port: _Port | UnsetType | None = UNSET
    baudrate: _Baudrate | UnsetType | None = UNSET
    profile: str | UnsetType = UNSET
    autoconnect: bool | UnsetType = UNSET


class PrinterChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; a port or baudrate of null is detected."""

    name: _Name | UnsetType = UNSET
    port: _Port | UnsetType | None = UNSET
    baudrate: _Baudrate | UnsetType | None = UNSET
    profile: str | UnsetType = UNSET
    autoconnect: bool | UnsetType = UNSET
    reconnect: bool | UnsetType = UNSET
    reset: Reset | UnsetType = UNSET
    default: bool | UnsetType = UNSET


class PrinterError(Struct, frozen=True, kw_only=True):
    """Why it is not connected: the first words of `current.error`."""

    code: str
    message: str
    waiting: bool


class Preferences(Struct, frozen=True, kw_only=True):
    """What the settings say; no port or baudrate: it is detected."""

    port: str | None
    baudrate: int | None
    autoconnect: bool
    reconnect: bool
    reset: Reset


class PrinterInfo(Struct, frozen=True, kw_only=True):
    """One printer; `port` and `baudrate` are those of the connection, `url` is where it is an OctoPrint of its own.

    `text`, `file`, `progress` and `temperatures` are what it is doing, as `/api/job` and `/api/printer` tell it.
    """

    id: str
    name: str
    default: bool
    state: str
    text: str
    file: str | None
    progress: ProgressInfo
    temperatures: dict[str, HeaterInfo]
    port: str | None
    baudrate: int | None
    error: PrinterError | None
    profile: str
    preferences: Preferences
    url: str


class PrintersInfo(Struct, frozen=True, kw_only=True):
    """All of them, in the order of the settings."""

    printers: list[PrinterInfo]


def info_of(fleet: Fleet, printer: Printer) -> PrinterInfo:
    now, row = printer.snapshot, fleet.preferences(printer)
    error = None
    if (failure := now.failure) is not None:
        error = PrinterError(code=failure.fault.code, message=failure.fault.message, waiting=failure.waiting)
    return PrinterInfo(
        id=printer.id,
        name=row.name,
        default=printer is fleet.default,
        state=now.state,
        text=state_text(now),
        file=now.selected.display if now.selected is not None else None,
        progress=progress(now),
        temperatures=heaters(now.temperatures),
        port=now.port,
        baudrate=now.baudrate,
        error=error,
        profile=now.profile or row.profile,
        preferences=Preferences(
            port=fleet.preferred_port(printer),
            baudrate=row.baudrate,
            autoconnect=row.autoconnect,
            reconnect=row.reconnect,
            reset=row.reset,
        ),
        url=f"/p/{printer.id}/",
    )


async def get_printers(call: Call) -> web.StreamResponse:
    return answer(PrintersInfo(printers=[info_of(call.fleet, printer) for printer in call.fleet]))


async def get_printer(call: Call) -> web.StreamResponse:
    return answer(info_of(call.fleet, _named(call)))


async def post_printer(call: Call) -> web.StreamResponse:
    new = await call.read(NewPrinter)
    values = _checked(call, new, None)
    del values["id"]
    printer = await call.fleet.add(new.id, values)
    response = answer(info_of(call.fleet, printer), 201)
    response.headers["Location"] = f"{base_of(call.request)}{call.prefix}/api/limpet/printers/{printer.id}"
    return response


async def patch_printer(call: Call) -> web.StreamResponse:
    printer = _named(call)
    change = await call.read(PrinterChange)
    values = _checked(call, change, call.fleet.preferences(printer).port)
    default = values.pop("default", None)
    if default is False:
        raise BadRequest("default is invalid: make another printer the default one instead")
    await call.fleet.change_printer(printer, values, default=default is True)
    return answer(info_of(call.fleet, printer))


async def delete_printer(call: Call) -> web.StreamResponse:
    await call.fleet.remove(_named(call))
    return done()


def _named(call: Call) -> Printer:
    printer = call.fleet.get(call.request.match_info["id"])
    if printer is None:
        raise Refused(404, "There is no such printer")
    return printer


def _checked(call: Call, given: NewPrinter | PrinterChange, before: str | None) -> dict[str, Any]:
    """What was given, if it fits; `before` is the port that the printer has had so far."""
    values: dict[str, Any] = to_builtins(given)
    if "profile" in values and values["profile"] not in call.fleet.profiles:
        raise BadRequest("profile is invalid")
    port = values.get("port")
    if port is not None and port != AUTO and not port.isprintable():
        raise BadRequest("port is invalid")
    if port not in (None, AUTO, before) and not call.caller.is_admin and find(call.fleet.ports.look(), port) is None:
        # Whoever names a file or an address has it opened, and written to, by us.
        raise Refused(403, "Only an admin may name a port that is none of those on offer")
    return values


ROUTES = (
    Route("GET", "/api/limpet/printers", "STATUS", get_printers, "All printers", {200: (PrintersInfo,)}),
    Route(
        "POST",
        "/api/limpet/printers",
        "SETTINGS",
        post_printer,
        "Add a printer",
        {201: (PrinterInfo,)},
        body=schema_of(NewPrinter),
    ),
    Route(
        "GET", "/api/limpet/printers/{id}", "STATUS", get_printer, "One of them", {200: (PrinterInfo,)}, refusals=(404,)
    ),
    Route(
        "PATCH",
        "/api/limpet/printers/{id}",
        "SETTINGS",
        patch_printer,
        "Change a printer, or make it the default one",
        {200: (PrinterInfo,)},
        body=schema_of(PrinterChange),
        refusals=(404,),
    ),
    Route(
        "DELETE",
        "/api/limpet/printers/{id}",
        "SETTINGS",
        delete_printer,
        "Remove a printer",
        {204: ()},
        refusals=(404, 409),
    ),
)
