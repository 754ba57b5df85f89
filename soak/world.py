"""The world around Limpet: printers, impostors, other programs, and all that happens to them at random."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from uuid import UUID

from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from soak.device import Core, Device, lock
from soak.impostors import KINDS, RATES
from soak.journal import Journal
from soak.usb import Ports, Usb

MOST_PRINTERS = 5
EVERY = 3.0
"""Seconds between two events, on average."""
MOST_IMPOSTORS = 4
SAYS_WHY_IT_HALTS = ("marlin", "prusa")
FORGIVES = ("marlin", "prusa", "repetier", "smoothie")
"""Firmwares on whose line something may get lost: the others do not look at the order of what they get."""


class Thing(Device):
    """A device and the truth about it; times are simulated seconds."""

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


class World:
    def __init__(self, chance: random.Random, ports: Ports, journal: Journal, printers: int) -> None:
        self.chance = chance
        self.ports = ports
        self.journal = journal
        self.printers: list[Thing] = []
        self.impostors: list[Thing] = []
        self.gone: list[Thing] = []
        self.paths: set[str] = set()
        self.lock_was_free: Callable[[Thing], None] = lambda _: None
        """Called when another program got the lock of a port."""
        self._loop = asyncio.get_running_loop()
        self._sockets = iter(range(1, 1_000_000))
        for number in range(1, printers + 1):
            self._add_printer(number)

    @property
    def things(self) -> list[Thing]:
        return [*self.printers, *self.impostors]

    def at(self, path: str | None) -> Thing | None:
        """What is plugged in there."""
        return next((thing for thing in self.things if thing.path is not None and path in self.names(thing)), None)

    def names(self, thing: Thing) -> list[str]:
        """By which it can be found, the one that is shown first."""
        names = [thing.path or thing.last_path, self.ports.by_path(thing.usb) if thing.usb is not None else None]
        return [str(name) for name in names if name is not None]

    def was_at(self, path: str | None) -> Thing | None:
        """What is there, or was there last."""
        there = [thing for thing in [*self.things, *self.gone] if str(thing.last_path) == path]
        return self.at(path) or max(there, key=lambda thing: thing.unplugged_at, default=None)

    async def rage(self, until: float) -> None:
        """Let things happen."""
        events = {
            self._unplug: 10,
            self._swap: 4,
            self._impostor_comes: 6,
            self._impostor_goes: 5,
            self._hold: 5,
            self._hang: 4,
            self._halt: 3,
            self._reset: 5,
            self._sleep: 4,
            self._flash: 3,
        }
        while self._loop.time() < until:
            await asyncio.sleep(self.chance.expovariate(1 / EVERY))
            self.chance.choices(list(events), list(events.values()))[0]()

    def heal(self) -> None:
        """All printers are plugged in and well, and nobody else uses their ports."""
        for thing in self.things:
            if thing.cure is not None:
                timer, cure = thing.cure
                timer.cancel()
                cure()

    def close(self) -> None:
        """Unplug everything."""
        for thing in self.things:
            if thing.cure is not None:
                thing.cure[0].cancel()
            self._release(thing)
            if thing.path is not None:
                self._pull(thing)

    # -- what happens --

    def _unplug(self) -> None:
        if thing := self._any_printer():
            self._pull(thing)
            away = self.chance.choice([0.3, 3.0, 30.0]) * self.chance.random()
            self._cure_in(away, thing, partial(self._plug, thing))

    def _swap(self) -> None:
        """Two devices are plugged in again in the other order, so that their names are swapped."""
        printer, other = self._any_printer(), self._any_of([t for t in self.things if t.path and not t.cure])
        if printer is None or other is None or other is printer:
            return
        away = self.chance.choice([0.0, 0.0, 2.0]) * self.chance.random()
        for thing in (printer, other):
            self._pull(thing)
        for thing in sorted((printer, other), key=lambda thing: str(thing.last_path), reverse=True):
            self._cure_in(away, thing, partial(self._plug, thing))

    def _impostor_comes(self) -> None:
        if len(self.impostors) >= MOST_IMPOSTORS:
            return
        kind = self.chance.choice(KINDS)
        socket = next(self._sockets)
        usb = self.chance.choice(
            [
                None,
                Usb(socket, 0x0403, 0x6001, "FT232R USB UART", f"A{socket:06}"),
                Usb(socket, 0x10C4, 0xEA60, "CP2102 USB to UART", f"{socket:04}"),
                Usb(socket, 0x1A86, 0x7523, "USB Serial"),
                Usb(socket, 0x1546, 0x01A7, "u-blox 7 - GPS/GNSS Receiver", tty="ttyACM", is_known=True),
                Usb(socket, 0x2341, 0x0043, "Arduino Uno", f"75{socket:08}", tty="ttyACM"),
            ]
        )
        if usb is None and len(self.ports.free_plain_ports()) < 2:
            return
        thing = Thing(f"{kind.name} {socket}", kind.make(self.chance), usb, is_printer=False)
        self.impostors.append(thing)
        self._plug(thing)

    def _impostor_goes(self) -> None:
        if thing := self._any_of([thing for thing in self.impostors if thing.cure is None]):
            self._pull(thing)
            self.impostors.remove(thing)
            self.gone = [*self.gone[-20:], thing]

    def _hold(self) -> None:
        """Another program tries to take the port of a printer for itself."""
        thing = self._any_printer()
        if thing is None:
            return
        descriptor = thing.open()
        if not lock(descriptor):
            self.journal.tell(thing.name, "refused to another program")
            os.close(descriptor)
            return
        self.journal.tell(thing.name, "taken by another program")
        self.lock_was_free(thing)
        thing.holder = descriptor
        self._cure_in(self.chance.uniform(0.5, 25.0), thing, partial(self._let_go, thing))

    def _hang(self) -> None:
        if thing := self._any_printer():
            self._fall_ill(thing, "hangs")

    def _halt(self) -> None:
        if thing := self._any_printer():
            core = _printer(thing)
            starts = self._loop.time() <= thing.started_at + thing.boot_time
            is_heard = thing.is_open and thing.baudrate in (0, thing.host_baudrate)
            says_why = is_heard and not starts and core.options.firmware in SAYS_WHY_IT_HALTS
            self._fall_ill(thing, "has halted" if says_why else "hangs")

    def _fall_ill(self, thing: Thing, sickness: str) -> None:
        core = _printer(thing)
        if sickness == "has halted":
            core.machine.halt("Error:Thermal Runaway, system stopped! Heater_ID: 0")
            thing.look()
        else:
            core.fall_silent()
        thing.sickness, thing.sick_since = sickness, self._loop.time()
        self.journal.tell(thing.name, sickness)
        self._cure_in(self.chance.uniform(5.0, 60.0), thing, partial(self._restart, thing))

    def _reset(self) -> None:
        if thing := self._any_printer():
            self._restart(thing)

    def _sleep(self) -> None:
        """Says nothing for a while, as printers do now and then."""
        if thing := self._any_printer():
            seconds = self.chance.uniform(1.0, 8.0)
            _printer(thing).sleep(seconds)
            thing.look()
            thing.sleeps_until = thing.troubled_at = self._loop.time() + seconds
            self.journal.tell(thing.name, "says nothing for a while", f"({seconds:.1f} s)")

    def _flash(self) -> None:
        """Another firmware, at another rate, on the port that stays plugged in."""
        if thing := self._any_printer():
            thing.troubled_at = thing.flashed_at = thing.reset_at = self._loop.time()
            thing.be(self._new_core(thing.name))
            self.journal.tell(thing.name, "is flashed", _printer_words(thing))

    # -- how it is done --

    def _add_printer(self, number: int) -> None:
        name = f"printer {number}"
        socket = next(self._sockets)
        usb = (
            Usb(socket, 0x2341, 0x0042, "Arduino Mega 2560", f"{socket:020}", tty="ttyACM"),
            None,
            Usb(socket, 0x1A86, 0x7523, "USB Serial"),
            Usb(socket, 0x0403, 0x6001, "FT232R USB UART", f"P{socket:06}"),
            Usb(socket, 0x1A86, 0x7523, "USB Serial"),
        )[number - 1]
        thing = Thing(name, self._new_core(name), usb, is_printer=True, resets=number % 3 != 0)
        self.printers.append(thing)
        self._plug(thing)

    def _new_core(self, name: str) -> VirtualPrinter:
        choice = self.chance.choice
        firmware = choice(["marlin", "marlin", "prusa", "repetier", "klipper", "smoothie", "reprapfirmware", "teacup"])
        forgives = firmware in FORGIVES
        return VirtualPrinter(
            VirtualPrinterOptions(
                firmware=firmware,
                seed=self.chance.randrange(1000),
                baudrate=choice([*RATES, 115200, 250000, 0, 500000]),
                boot_time=choice([0.1, 1.0, 2.0, 5.0, 8.0]),
                banner=choice([True, True, True, False]),
                wait=choice([True, False]),
                machine_type=name,
                uuid=str(UUID(int=int(name.split()[-1]))),
                resend_ratio=choice([0.0, 2.0]) if forgives else 0.0,
                lose_ok_every=choice([0, 40]) if forgives else 0,
                journal=200,
            )
        )

    def _plug(self, thing: Thing) -> None:
        if thing.usb is not None:
            path = self.ports.free_name(thing.usb)
        else:
            if not self.ports.free_plain_ports():
                self._make_room()
            path = self.chance.choice(self.ports.free_plain_ports())
        thing.plug_in(path)
        thing.path = thing.last_path = path
        self.paths.add(str(path))
        if thing.usb is not None:
            self.ports.add(path, thing.usb)
        thing.plugged_at = self._loop.time()
        thing.recover()
        self.journal.tell(thing.name, "is plugged in", f"as {path.name} {_printer_words(thing)}")

    def _make_room(self) -> None:
        impostor = next(thing for thing in self.impostors if thing.usb is None and thing.path is not None)
        self._pull(impostor)
        self.impostors.remove(impostor)

    def _pull(self, thing: Thing) -> None:
        assert thing.path is not None
        self.journal.tell(thing.name, "is unplugged", f"from {thing.path.name}")
        thing.unplug()
        if thing.usb is not None:
            self.ports.remove(thing.path, thing.usb)
        thing.path = None
        thing.unplugged_at = thing.troubled_at = self._loop.time()

    def _let_go(self, thing: Thing) -> None:
        self._release(thing)
        thing.recover()
        self.journal.tell(thing.name, "is free again")

    def _release(self, thing: Thing) -> None:
        if thing.holder is not None:
            os.close(thing.holder)
            thing.holder = None

    def _restart(self, thing: Thing) -> None:
        thing.restart()
        thing.reset_at = self._loop.time()
        thing.recover()
        self.journal.tell(thing.name, "restarts")

    def _cure_in(self, seconds: float, thing: Thing, cure: Callable[[], None]) -> None:
        thing.cure = self._loop.call_later(seconds, cure), cure

    def _any_printer(self) -> Thing | None:
        """One with which nothing is the matter yet."""
        return self._any_of([thing for thing in self.printers if thing.cure is None])

    def _any_of(self, things: list[Thing]) -> Thing | None:
        return self.chance.choice(things) if things else None


def _printer(thing: Thing) -> VirtualPrinter:
    assert isinstance(thing.core, VirtualPrinter)
    return thing.core


def _printer_words(thing: Thing) -> str:
    if not isinstance(thing.core, VirtualPrinter):
        return ""
    options = thing.core.options
    return f"({options.firmware}, {options.baudrate} baud, boots in {options.boot_time:g} s)"
