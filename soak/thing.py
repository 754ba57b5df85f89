"""A device that is plugged in as this or that, falls ill and recovers, and the truth about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from limpet.protocol.virtual_printer import VirtualPrinter
from soak.device import Core, Device
from soak.impostors import RATES
from soak.usb import Usb


class Thing(Device):
    """Times are simulated seconds. `sickness` says what is the matter with it, `holder` is another program's descriptor
    of its port, `troubled_at` when anything was the matter last; `cure` ends it."""

    def __init__(self, name: str, core: Core, usb: Usb | None, *, is_printer: bool, resets: bool = True) -> None:
        super().__init__(core, resets=resets)
        self.name = name
        self.usb = usb
        self.is_printer = is_printer
        self.path: Path | None = None
        self.last_path: Path | None = None
        self.holder: int | None = None
        self.sickness = ""
        self.sick_since = self.flashed_at = self.unplugged_at = self.plugged_at = self.reset_at = float("-inf")
        self.sleeps_until = 0.0
        self.troubled_at = 0.0
        self.cure: tuple[asyncio.TimerHandle, Callable[[], None]] | None = None

    def begin(self) -> None:
        super().begin()
        if self.sickness:
            self.recover()

    def recover(self) -> None:
        """Nothing is the matter with it from now on."""
        if self.cure is not None:
            self.cure[0].cancel()
        self.cure = None
        self.sickness = ""
        self.sleeps_until = 0.0
        self.troubled_at = self._loop.time()

    @property
    def baudrate(self) -> int:
        """0: any."""
        return self.core.options.baudrate if isinstance(self.core, VirtualPrinter) else 0

    @property
    def accepted(self) -> Collection[str]:
        """Commands that it has carried out."""
        return self.core.accepted if isinstance(self.core, VirtualPrinter) else ()

    @property
    def boot_time(self) -> float:
        return self.core.options.boot_time if isinstance(self.core, VirtualPrinter) else 0.0

    def is_well(self, now: float) -> bool:
        """A printer that would answer whoever opens its port at the right rate."""
        return self.is_printer and self.path is not None and not self.sickness and now >= self.sleeps_until

    def understands(self, baudrate: int | None) -> bool:
        return self.baudrate in (0, baudrate) or (baudrate is None and self.baudrate in RATES)

    def what_is_wrong(self, baudrate: int | None, now: float) -> tuple[str, float] | None:
        """Why nobody can be connected to it at this rate, and since when; None when all is well."""
        if not self.is_printer:
            return "is no printer", float("-inf")
        if self.path is None:
            return "is unplugged", self.unplugged_at
        if self.sickness:
            return self.sickness, self.sick_since
        if not self.understands(baudrate):
            return f"speaks {self.baudrate} baud", self.flashed_at
        if now < self.started_at + self.boot_time:
            return "starts", self.started_at
        return None


def printer_of(thing: Thing) -> VirtualPrinter:
    assert isinstance(thing.core, VirtualPrinter)
    return thing.core


def words_of(thing: Thing) -> str:
    """What kind of printer it is."""
    if not isinstance(thing.core, VirtualPrinter):
        return ""
    options = thing.core.options
    return f"({options.firmware}, {options.baudrate} baud, boots in {options.boot_time:g} s)"
