"""The world around Limpet: printers, impostors, other programs, and all that happens to them at random."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from functools import partial
from uuid import UUID

from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from soak.device import lock
from soak.impostors import IMPOSTORS, RATES
from soak.journal import Journal
from soak.thing import Thing, printer_of, words_of
from soak.usb import Ports, Usb

MOST_PRINTERS = 5
EVERY = 3.0
"""Seconds between two events, on average."""
MOST_IMPOSTORS = 4
SAYS_WHY_IT_HALTS = ("marlin", "prusa")
FORGIVES = ("marlin", "prusa", "repetier", "smoothie")
"""Firmwares on whose line something may get lost: the others do not look at the order of what they get."""


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
            self.unplug: 10,
            self.swap: 4,
            self.impostor_comes: 6,
            self.impostor_goes: 5,
            self.hold: 5,
            self.hang: 4,
            self.halt: 3,
            self.reset: 5,
            self.sleep: 4,
            self.flash: 3,
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

    def unplug(self, seconds: float | None = None) -> None:
        if thing := self._any_printer():
            self._pull(thing)
            away = self.chance.choice([0.3, 3.0, 30.0]) * self.chance.random() if seconds is None else seconds
            self._cure_in(away, thing, partial(self._plug, thing))

    def swap(self) -> None:
        """Two devices are plugged in again in the other order, so that their names are swapped."""
        printer, other = self._any_printer(), self._any_of([t for t in self.things if t.path and not t.cure])
        if printer is None or other is None or other is printer:
            return
        away = self.chance.choice([0.0, 0.0, 2.0]) * self.chance.random()
        for thing in (printer, other):
            self._pull(thing)
        for thing in sorted((printer, other), key=lambda thing: str(thing.last_path), reverse=True):
            self._cure_in(away, thing, partial(self._plug, thing))

    def impostor_comes(self, kind: str | None = None) -> None:
        if len(self.impostors) >= MOST_IMPOSTORS:
            return
        kind = kind or self.chance.choice(list(IMPOSTORS))
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
        thing = Thing(f"{kind} {socket}", IMPOSTORS[kind](self.chance), usb, is_printer=False)
        self.impostors.append(thing)
        self._plug(thing)

    def impostor_goes(self) -> None:
        if thing := self._any_of([thing for thing in self.impostors if thing.cure is None]):
            self._pull(thing)
            self.impostors.remove(thing)
            self.gone = [*self.gone[-20:], thing]

    def hold(self) -> None:
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

    def hang(self, seconds: float | None = None) -> None:
        if thing := self._any_printer():
            self._fall_ill(thing, "hangs", seconds)

    def halt(self) -> None:
        if thing := self._any_printer():
            core = printer_of(thing)
            starts = self._loop.time() <= thing.started_at + thing.boot_time
            is_heard = thing.is_open and thing.baudrate in (0, thing.host_baudrate)
            says_why = is_heard and not starts and core.options.firmware in SAYS_WHY_IT_HALTS
            self._fall_ill(thing, "has halted" if says_why else "hangs")

    def _fall_ill(self, thing: Thing, sickness: str, seconds: float | None = None) -> None:
        core = printer_of(thing)
        if sickness == "has halted":
            core.machine.halt("Error:Thermal Runaway, system stopped! Heater_ID: 0")
            thing.look()
        else:
            core.fall_silent()
        thing.sickness, thing.sick_since = sickness, self._loop.time()
        self.journal.tell(thing.name, sickness)
        lasts = self.chance.uniform(5.0, 120.0) if seconds is None else seconds
        self._cure_in(lasts, thing, partial(self._restart, thing))

    def reset(self) -> None:
        if thing := self._any_printer():
            self._restart(thing)

    def sleep(self) -> None:
        """Says nothing for a while, as printers do now and then."""
        if thing := self._any_printer():
            seconds = self.chance.uniform(1.0, 8.0)
            printer_of(thing).sleep(seconds)
            thing.look()
            thing.sleeps_until = thing.troubled_at = self._loop.time() + seconds
            self.journal.tell(thing.name, "says nothing for a while", f"({seconds:.1f} s)")

    def flash(self) -> None:
        """Another firmware, at another rate, on the port that stays plugged in."""
        if thing := self._any_printer():
            thing.troubled_at = thing.flashed_at = thing.reset_at = self._loop.time()
            thing.be(self._new_core(thing.name))
            self.journal.tell(thing.name, "is flashed", words_of(thing))

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
                latency=0.002,
                boot_time=choice([0.1, 1.0, 2.0, 5.0, 8.0]),
                banner=choice([True, True, True, False]),
                wait=choice([True, False]),
                machine_type=name,
                uuid=str(UUID(int=int(name.split()[-1]))),
                resend_ratio=choice([0.0, 2.0]) if forgives else 0.0,
                lose_ok_every=choice([0, 40]) if forgives else 0,
                journal=2000,
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
        self.journal.tell(thing.name, "is plugged in", f"as {path.name} {words_of(thing)}")

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
