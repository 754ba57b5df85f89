"""Finding printers without a server: every port at the same time, each as a printer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limpet.printer.printer import Printer
from limpet.printer.state import CandidateTried, ConnectionFailed, State, StateChanged
from limpet.printer.target import Patience, Target
from limpet.transports.ports import Port, PortList
from limpet.transports.urls import Openers


@dataclass(frozen=True)
class Finding:
    """What a port turned out to be; baudrate and firmware are None when it is no printer, `code` says why then."""

    port: str
    verdict: str
    baudrate: int | None = None
    firmware: str | None = None
    code: str | None = None


async def find_printers(
    ports: Sequence[Port],
    ports_list: PortList,
    openers: Openers,
    tell: Callable[[str, str], None],
    *,
    named: bool = False,
    patience: Patience | None = None,
) -> list[Finding]:
    """Ask all ports at once; `tell(port, what)` is called while it goes on. Every port is free again at the end.

    What is known to be no printer is left alone, unless a person has `named` the ports.
    """
    return await asyncio.gather(*(_look_at(port, ports_list, openers, tell, named, patience) for port in ports))


async def _look_at(
    port: Port,
    ports_list: PortList,
    openers: Openers,
    tell: Callable[[str, str], None],
    named: bool,
    patience: Patience | None,
) -> Finding:
    if port.something_else is not None and not named:
        return Finding(port.path, f"left alone: it is {port.something_else}", code="not_a_printer")
    printer = Printer(port.path, ports_list, openers, patience=patience)
    events = printer.subscribe()
    printer.connect(Target(port=port.path, faithful=False))
    try:
        async for event, snapshot in events:
            match event:
                case CandidateTried(verdict=verdict):
                    tell(port.path, verdict)
                case StateChanged(state=State.OPERATIONAL):
                    name = snapshot.firmware or "firmware that does not tell its name"
                    verdict = f"a printer: {name}, at {snapshot.baudrate} baud"
                    return Finding(port.path, verdict, snapshot.baudrate, snapshot.firmware)
                case ConnectionFailed(fault=fault):
                    # Of a search over one port there is no more to tell than what came of that port.
                    told = snapshot.candidates.get(port.path)
                    verdict = told.verdict if told is not None and told.done else fault.message
                    return Finding(port.path, f"{verdict}. {fault.hint}", code=fault.code)
    finally:
        events.close()
        await printer.disconnect()
    return Finding(port.path, "it talks faster than it can be read", code="not_a_printer")
