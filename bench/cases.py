"""Finding a printer and holding on to it: what is plugged in, what is asked for, what must come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

RATES = (250000, 230400, 115200, 57600, 38400, 19200, 9600)
"""Baud."""


@dataclass(frozen=True)
class Printer:
    """A virtual printer: rate in baud, seconds from a reset to its first answer, options of `limpet virtual`."""

    baudrate: int
    boot_time: float = 1.0
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """`ports` in the order in which the host is told of them: kinds of impostors, and at most one printer.

    `named_rate` 0 asks for AUTO; otherwise for the port of the printer, or the first, at this rate in baud.
    `then`: what is done to a printer that is connected, and timed in place of connecting.
    `code`: the reason that must be given; None where the printer must be found.
    `reach`: seconds to arrive at. `limit`: seconds after which the host is given up. `quick`: part of a quick run.
    """

    title: str
    ports: tuple[Printer | str, ...]
    named_rate: int = 0
    then: Literal["unplug", "replug"] | None = None
    code: str | None = None
    reach: float | None = None
    limit: float = 65.0
    quick: bool = False

    @property
    def index(self) -> int:
        """Of the printer's port, or of the first where there is no printer."""
        return next((n for n, port in enumerate(self.ports) if isinstance(port, Printer)), 0)

    @property
    def printer(self) -> Printer | None:
        port = self.ports[self.index]
        return port if isinstance(port, Printer) else None


_ALL_SORTS = ("silent", "sensor", "noise", "gps", "temperatures", "echo", "silent")
_TWO = (250000, 57600)
"""Of several ports OctoPrint tries the first of these and 115200, and nothing else."""
_CONNECTED = Case("", (Printer(115200),), named_rate=115200, limit=20)

CASES = (
    *(Case(f"one port, {rate}", (Printer(rate),), reach=3, quick=rate in _TWO) for rate in RATES),
    *(Case(f"four ports, three silent, then {rate}", (*["silent"] * 3, Printer(rate)), reach=4) for rate in _TWO),
    *(
        Case(f"eight ports, seven of all sorts, then {rate}", (*_ALL_SORTS, Printer(rate)), reach=4, quick=True)
        for rate in _TWO
    ),
    Case("one port, 115200, 8 s boot", (Printer(115200, 8),), reach=10),
    Case("one port, 115200, 8 s boot, no banner", (Printer(115200, 8, ("--no-banner",)),), reach=11),
    *(
        Case(f"one port, {rate}, 4 blank lines at boot", (Printer(rate, 1, ("--blank-boot-lines", "4")),), reach=3)
        for rate in (115200, 57600)
    ),
    Case("two ports, a sensor that says `starting`, then 115200", ("starting", Printer(115200)), reach=4, quick=True),
    Case("four silent ports: until told", ("silent",) * 4, code="no_printer_found"),
    Case("locked by another program, AUTO: until told", ("locked",), code="port_busy", quick=True),
    Case("locked by another program, named: until told", ("locked",), 115200, code="port_busy", limit=45),
    Case("named port and rate, 8 s boot, no banner", (Printer(115200, 8, ("--no-banner",)),), 115200, reach=11),
    replace(_CONNECTED, title="unplugged: until told", then="unplug", code="unplugged", reach=1, quick=True),
    replace(_CONNECTED, title="plugged in again: until Operational", then="replug", reach=2),
)
