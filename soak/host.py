"""One Printer of Limpet, and its user, who does at random what users do."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from limpet.errors import Conflict
from limpet.printer.print import Phase
from limpet.printer.printer import Printer
from limpet.printer.state import Snapshot, State
from limpet.printer.target import Patience, Target
from limpet.protocol.events import Event
from limpet.transports.ports import PortList, find
from limpet.transports.urls import OPENERS
from soak.impostors import RATES
from soak.journal import Journal
from soak.loop import OWNER, SimulatedLoop
from soak.sheet import Sheet
from soak.thing import Thing
from soak.world import World

EVERY = 15.0
"""Seconds between two actions of a user, on average."""
PATIENCE = Patience(search_pause=20.0, longest_search_pause=60.0)
"""As it is used, but for the pauses of a search: its longest one is a sixth of an hour."""
SHORT_COMMANDS = ("M105", "M114", "M117 soak", "M115")
LENGTHS = (20, 300, 1500)
"""Moves of a print."""
STEERING = {
    Phase.PRINTING: ("pause", "pause", "pause", "cancel"),
    Phase.PAUSED: ("resume", "resume", "resume", "cancel"),
}
"""What a user does with a print, each as often as it is here."""
SLOW_COMMANDS = ("G28", "G1 X10 F600", "G4 S8", "G92 E0")
"""Those that a full planner holds back among them."""


@dataclass
class Wish:
    """What the user wants, and how it goes; `thing`, `path` and `baudrate` are those with which it was fulfilled."""

    target: Target
    since: float
    thing: Thing | None = None
    path: str | None = None
    baudrate: int | None = None
    waits: bool = False


class Host:
    """`on_event` hears of all that the printer says, in order."""

    def __init__(self, name: str, world: World, ports: PortList, journal: Journal, chance: random.Random) -> None:
        self.name = name
        self.wish: Wish | None = None
        self.peers: list[Host] = []
        self.on_event: Callable[[Host, Event, Snapshot], None] = lambda *_: None
        self.before_connect: Callable[[Host], None] = lambda _: None
        self.after_disconnect: Callable[[Host, float], None] = lambda *_: None
        self._wishes = 0
        self.sheet: Sheet | None = None
        """The last file that it was told to print."""
        self._sheets = count(1000 * int(name.split()[-1]))
        self.slow_at = float("-inf")
        self._world, self._ports, self._journal, self._chance = world, ports, journal, chance
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        self._loop = loop
        self._context = contextvars.copy_context()
        self._context.run(OWNER.set, name)
        self._begin()

    def _begin(self) -> None:
        self.printer = Printer(self.name, self._ports, OPENERS, reserved=self._reserved, patience=PATIENCE)
        self._events = self.printer.subscribe()
        self._reader = self._loop.create_task(self._read())

    async def _read(self) -> None:
        async for event, snapshot in self._events:
            self.on_event(self, event, snapshot)

    def _reserved(self) -> set[str]:
        """What detection leaves alone, as a fleet tells it: ports that the others have open."""
        ports = self._ports.look()
        names = [peer.printer.snapshot.port for peer in self.peers if peer is not self]
        return {port.device for name in names if name and (port := find(ports, name)) is not None}

    @property
    def is_content(self) -> bool:
        """There is nothing that it could still get."""
        return self.wish is None or self.printer.snapshot.state is State.OPERATIONAL

    @property
    def is_printing(self) -> bool:
        return self.sheet is not None and self.sheet.ended is None

    # -- what a user does --

    async def act(self, until: float) -> None:
        """Do something every now and then."""
        actions: dict[Callable[[], Coroutine[Any, Any, None]], int] = {
            self._connect: 10,
            self._connect_twice: 2,
            self._disconnect_and_connect: 2,
            self.disconnect: 3,
            self._restart: 1,
            self._send: 8,
            self._print: 12,
        }
        while self._loop.time() < until:
            await asyncio.sleep(self._chance.expovariate(1 / EVERY))
            await self._chance.choices(list(actions), list(actions.values()))[0]()

    async def connect(self, target: Target) -> None:
        await self._catch_up()
        self._journal.tell(self.name, "is told to connect", _words(target))
        self._wishes += 1
        self.wish = Wish(target, self._loop.time())
        self.before_connect(self)
        self._context.run(self.printer.connect, target)

    async def disconnect(self) -> None:
        await self._catch_up()
        wishes = self._wishes
        seconds = await self._loop.create_task(self._disconnect(), context=self._context)
        await self._catch_up()
        if self._wishes == wishes:
            self.after_disconnect(self, seconds)

    async def _disconnect(self) -> float:
        self._journal.tell(self.name, "is told to disconnect")
        self.wish = None
        started = self._loop.time()
        await self.printer.disconnect()
        return self._loop.time() - started

    async def close(self) -> None:
        await self.disconnect()
        self._events.close()
        await self._reader

    async def _connect(self) -> None:
        await self.connect(self._any_target())

    async def _connect_twice(self) -> None:
        await self._connect()
        await asyncio.sleep(self._chance.choice([0.0, 0.01, 0.1, 3.0]))
        await self._connect()

    async def _disconnect_and_connect(self) -> None:
        """Without waiting for the end of the first."""
        disconnecting = self._loop.create_task(self.disconnect())
        await asyncio.sleep(self._chance.choice([0.0, 0.01]))
        await self._connect()
        await disconnecting

    async def _restart(self) -> None:
        """As when Limpet is started anew with autoconnect."""
        await self.close()
        self._begin()
        await self.connect(replace(self._any_target(), patient=True))

    async def _send(self) -> None:
        if self.printer.snapshot.state is not State.OPERATIONAL:
            return
        commands = self._chance.choices([*SHORT_COMMANDS * 3, *SLOW_COMMANDS], k=4)
        commands.append(f"M118 {self.name} {self._journal.counts.total()}")
        if set(commands) & set(SLOW_COMMANDS):
            self.slow_at = self._loop.time()
        self._journal.tell(self.name, "is told to send", ", ".join(commands))
        try:
            self._context.run(self.printer.send, *commands)
        except Conflict:
            self._context.run(self.printer.repair)

    async def _print(self) -> None:
        """Begin a print, or steer the one that is under way."""
        await self._catch_up()
        if self.printer.snapshot.state is not State.OPERATIONAL:
            return
        sheet = self.sheet
        if sheet is None or not self.is_printing:
            self._begin_print()
            return
        steer = self._chance.choice(STEERING.get(sheet.phase, ("cancel",)))
        sheet.stopped |= steer == "cancel"
        self._journal.tell(self.name, f"is told to {steer}")
        self._context.run(getattr(self.printer.prints, steer))

    def _begin_print(self) -> None:
        thing = self._world.at(self.printer.snapshot.port)
        if thing is None:
            return  # It has been unplugged this moment.
        self.sheet = Sheet(next(self._sheets), self._chance.choice(LENGTHS), thing, self._loop.time())
        self._journal.tell(self.name, "is told to print", f"{self.sheet.count} moves: {self.sheet.file.name}")
        self._context.run(self.printer.prints.start, self.sheet.file, self.sheet.stream())

    def _any_target(self) -> Target:
        """Mostly one that a printer can fulfil."""
        choice = self._chance.choice
        thing = choice(self._world.printers)
        path = choice(self._world.names(thing))
        target = Target(
            port=choice([None, path, path, path, path, choice(sorted(self._world.paths))]),
            baudrate=choice([None, None, thing.baudrate or 115200, thing.baudrate or 115200, choice(RATES)]),
            awaits_port=choice([True, False]),
            patient=choice([True, False, False]),
            faithful=choice([True, True, True, False]),
        )
        return target if target.port is not None else replace(target, baudrate=None, awaits_port=False)

    async def _catch_up(self) -> None:
        """Whatever was said so far is heard before the user goes on."""
        for _ in range(5):
            await asyncio.sleep(0)


def _words(target: Target) -> str:
    flags = [name for name in ("awaits_port", "patient", "faithful") if getattr(target, name)]
    port = target.port.rpartition("/")[2] if target.port else "any port"
    return f"to {port} at {target.baudrate or 'any rate'} ({', '.join(flags)})"
