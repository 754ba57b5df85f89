"""`/api/printer`, and what is below it to be read: state, temperatures, card and error.

Source: the page "Printer operations" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.errors import Conflict
from limpet.printer.printer import Heaters
from limpet.printer.state import State
from limpet.web.call import Call, Handler, Route, answer
from limpet.web.events import consequence_of, log_line, reason_of
from limpet.web.shapes import HeaterInfo, StateInfo, state_info

NOT_OPERATIONAL = "Printer is not operational"
NO_BED = "Printer does not have a heated bed"
NO_CHAMBER = "Printer does not have a heated chamber"
DEFAULT_HISTORY = 300
"""Temperature reports in an answer, where the request does not say."""

_REASONS = {"no_printer_found": "autodetect", "firmware_error": "firmware", "firmware_halted": "firmware"}
"""Code of a fault -> OctoPrint's word; what is not here has to do with the connection."""
_TRUE = frozenset({"true", "yes", "y", "1", "on"})


class Temperature(Struct, frozen=True, kw_only=True):
    """Degrees Celsius; null is what the printer has not told. `offset` is for the targets of a print."""

    actual: float | None
    target: float | None
    offset: float


class SdState(Struct, frozen=True, kw_only=True):
    """Whether the printer can read a card of its own."""

    ready: bool


Temperatures = dict[str, Temperature | list[dict[str, int | HeaterInfo]]]
"""By heater; `history`, when it was asked for, is a list: the time in seconds since the epoch, and by heater."""


class PrinterInfo(Struct, frozen=True, kw_only=True):
    """Parts that were excluded are left out."""

    state: StateInfo | UnsetType = UNSET
    temperature: Temperatures | UnsetType = UNSET
    sd: SdState | UnsetType = UNSET


class PrinterError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the last connection ended; `error` and `reason` are empty when there is nothing to tell."""

    error: str
    reason: str
    consequence: str | UnsetType = UNSET
    faq: str | UnsetType | None = UNSET
    logs: list[str] | UnsetType = UNSET
    hint: str | UnsetType = UNSET


def require_operational(call: Call) -> None:
    if call.printer.snapshot.state is not State.OPERATIONAL:
        raise Conflict(NOT_OPERATIONAL)


async def get_printer(call: Call) -> web.StreamResponse:
    require_operational(call)
    now, excluded = call.printer.snapshot, call.request.query.get("exclude", "").split(",")
    return answer(
        PrinterInfo(
            state=UNSET if "state" in excluded else state_info(now),
            temperature=UNSET if "temperature" in excluded else _temperatures(call, lambda _: True),
            sd=UNSET if "sd" in excluded else SdState(ready=now.sd_ready),
        )
    )


async def get_tool(call: Call) -> web.StreamResponse:
    require_operational(call)
    return answer(_temperatures(call, lambda heater: heater.startswith("tool")))


async def get_bed(call: Call) -> web.StreamResponse:
    require_operational(call)
    if not call.fleet.profile(call.printer).heated_bed:
        raise Conflict(NO_BED)
    return answer(_temperatures(call, lambda heater: heater == "bed"))


async def get_chamber(call: Call) -> web.StreamResponse:
    require_operational(call)
    if not call.fleet.profile(call.printer).heated_chamber:
        raise Conflict(NO_CHAMBER)
    return answer(_temperatures(call, lambda heater: heater == "chamber"))


async def get_sd(call: Call) -> web.StreamResponse:
    return answer(SdState(ready=call.printer.snapshot.sd_ready))


async def get_error(call: Call) -> web.StreamResponse:
    failure = call.printer.snapshot.failure
    if failure is None:
        return answer(PrinterError(error="", reason=""))
    return answer(
        PrinterError(
            error=failure.fault.message,
            reason=reason_of(failure.fault),
            consequence=consequence_of(failure.fault),
            faq=None,
            logs=[log_line(line) for line in failure.traffic],
            hint=failure.fault.hint,
        )
    )


def _temperatures(call: Call, wanted: Callable[[str], bool]) -> Temperatures:
    heaters = [heater for heater in call.fleet.profile(call.printer).heaters if wanted(heater)]
    now = call.printer.snapshot
    told: Temperatures = {
        heater: Temperature(
            actual=now.temperatures[heater][0], target=now.temperatures[heater][1], offset=now.offsets.get(heater, 0)
        )
        for heater in heaters
        if heater in now.temperatures
    }
    query = call.request.query
    if query.get("history", "").lower() in _TRUE:
        limit = query.get("limit", "")
        count = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 10 else DEFAULT_HISTORY
        history = list(call.printer.temperature_history)
        told["history"] = [_past(at, then, heaters) for at, then in history[max(0, len(history) - count) :]]
    return told


def _past(at: float, then: Heaters, heaters: list[str]) -> dict[str, int | HeaterInfo]:
    past: dict[str, int | HeaterInfo] = {"time": int(at)}
    for heater in heaters:
        if heater in then:
            past[heater] = HeaterInfo(actual=then[heater][0], target=then[heater][1])
    return past


def _route(path: str, handler: Handler, summary: str, kind: Any, *refusals: int, query: tuple[str, ...] = ()) -> Route:
    return Route("GET", path, "STATUS", handler, summary, {200: (kind,)}, refusals=refusals, query=query)


_HISTORY = ("history", "limit")

ROUTES = (
    _route(
        "/api/printer",
        get_printer,
        "State, temperatures and card",
        PrinterInfo,
        409,
        query=("exclude", *_HISTORY),
    ),
    _route("/api/printer/bed", get_bed, "Temperatures of the bed", Temperatures, 409, query=_HISTORY),
    _route("/api/printer/chamber", get_chamber, "Temperatures of the chamber", Temperatures, 409, query=_HISTORY),
    _route("/api/printer/error", get_error, "Why the last connection ended", PrinterError),
    _route("/api/printer/sd", get_sd, "The printer's card", SdState),
    _route("/api/printer/tool", get_tool, "Temperatures of the tools", Temperatures, 409, query=_HISTORY),
)
