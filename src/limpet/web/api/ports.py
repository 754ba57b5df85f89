"""`/api/limpet/ports`: what each port is, and who holds it; what `limpet ports` shows."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from msgspec import Struct

from limpet.fleet import Fleet
from limpet.printer.state import CLOSED
from limpet.transports.ports import Port, as_json, find
from limpet.web.call import Call, Route, answer


class Holder(Struct, frozen=True, kw_only=True):
    """A process that has the port open."""

    pid: int
    name: str


class PortInfo(Struct, frozen=True, kw_only=True):
    """A port: `path` is its name in `options.ports`, `stable_name` and `by_path` are others that it keeps.

    USB ids are four hex digits; `role` is printer, native, adapter, other or null (docs/ports.md). `holder` is another
    process that has it open, `printer` the id of the printer of Limpet that is connected to it or being connected.
    """

    path: str
    kind: str
    description: str
    device: str
    stable_name: str | None
    by_path: str | None
    vendor_id: str | None
    product_id: str | None
    serial_number: str | None
    manufacturer: str | None
    product: str | None
    driver: str | None
    role: str | None
    is_native: bool
    holder: Holder | None
    printer: str | None


class PortsInfo(Struct, frozen=True, kw_only=True):
    """All of them, in the order of `options.ports`."""

    ports: list[PortInfo]


async def get_ports(call: Call) -> web.StreamResponse:
    ports, rows = await asyncio.to_thread(_look, call.fleet)
    ours = _held(call.fleet, ports)
    return answer({"ports": [{**row, "printer": ours.get(port.path)} for port, row in zip(ports, rows, strict=True)]})


def _look(fleet: Fleet) -> tuple[tuple[Port, ...], list[dict[str, Any]]]:
    ports = fleet.ports.look()
    return ports, as_json(ports)


def _held(fleet: Fleet, ports: tuple[Port, ...]) -> dict[str, str]:
    """Port -> id of the printer that has it; the virtual printer is there as often as it is wanted."""
    held: dict[str, str] = {}
    for printer in fleet:
        now = printer.snapshot
        port = find(ports, now.port) if now.port is not None and now.state not in CLOSED else None
        if port is not None and port.kind != "virtual":
            held[port.path] = printer.id
    return held


ROUTES = (
    Route(
        "GET",
        "/api/limpet/ports",
        "CONNECTION",
        get_ports,
        "What each port is, and who holds it",
        {200: (PortsInfo,)},
    ),
)
