"""Connects and disconnects in quick succession: the last wish wins, ports have one owner, nothing is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import Fault, PortError
from limpet.printer.connection import Connection, Target
from limpet.printer.state import State, StateChanged
from limpet.protocol.events import Event
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.settings import Reset
from limpet.transports.memory import open_memory
from limpet.transports.ports import PortList
from limpet.transports.urls import SERIAL
from tests.printer.rig import QUICK, at_most, eventually, nothing_left, one_printer, operational, ports_of, printer_at

HASTY = replace(QUICK, look=0.005, pause=0.01, longest_pause=0.02)


class SlowPort:
    """The virtual printer on a port that is free only some time after it was closed."""

    def __init__(self, inner: Any, lasts: float, freed: Callable[[SlowPort], None]) -> None:
        self._inner, self._lasts, self._freed = inner, lasts, freed
        self._closed = asyncio.Event()
        self._aborted = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def abort(self) -> None:
        if not self._aborted:
            self._aborted = True
            self._inner.abort()
            asyncio.get_running_loop().call_later(self._lasts, self._free)

    def _free(self) -> None:
        self._freed(self)
        self._closed.set()

    async def wait_closed(self) -> None:
        await self._closed.wait()


class World:
    """A connection to ports that open and close slowly, fail, go away and do not care that they are cancelled."""

    def __init__(self, chance: random.Random, ports: PortList) -> None:
        self.chance = chance
        self.connection = Connection(ports, {SERIAL: self.open}, self.on_event, lambda: None, patience=HASTY)
        self.wish = 0
        self.unwanted: set[State] = set()
        self.open_ports: dict[SlowPort, tuple[str, int]] = {}
        self.trouble: list[str] = []
        self.is_calm = False

    async def open(self, path: str, baudrate: int, receiver: asyncio.Protocol, _: Reset) -> SlowPort:
        wish, chance = self.wish, self.chance
        for _ in range(chance.choice([0, 0, 1, 10])):
            try:
                await asyncio.sleep(0.003)
            except asyncio.CancelledError:
                if chance.random() < 0.7:
                    raise
        if not self.is_calm and chance.random() < 0.2:
            raise chance.choice([PortError(Fault("port_busy", f"{path} is busy", "Wait")), OSError("a bad day")])
        for other, since in self.open_ports.values():
            if other == path or since != wish:
                self.trouble.append(f"wish {wish} opens {path} while {other} is open since wish {since}")
        inner = await open_memory(VirtualPrinterOptions(boot_time=0.0, journal=0), receiver, baudrate)
        port = SlowPort(inner, chance.choice([0.0, 0.0, 0.01, 0.05]), self.open_ports.pop)
        self.open_ports[port] = path, wish
        return port

    def on_event(self, event: Event) -> None:
        if isinstance(event, StateChanged) and event.state in self.unwanted:
            self.trouble.append(f"{event.state} after wish {self.wish}")

    def connect(self, target: Target) -> None:
        self.wish += 1
        self.unwanted = {State.OFFLINE} if target.detects else {State.OFFLINE, State.DETECTING}
        self.connection.connect(target)

    async def disconnect(self) -> None:
        self.wish += 1
        self.unwanted = set(State) - {State.OFFLINE}
        await self.connection.disconnect()

    def unplug_something(self) -> None:
        for port in list(self.open_ports)[:1]:
            port.printer.go_away()


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_is_wished_in_a_row_the_last_wish_is_fulfilled(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.touch()
    async with nothing_left(within=1.0):
        world = World(chance, ports_of(*paths, virtual=False))
        disconnects: set[asyncio.Task[None]] = set()
        for _ in range(60):
            match chance.choice(["connect", "connect", "disconnect", "unplug", "sleep", "sleep"]):
                case "connect":
                    port = chance.choice([None, *map(str, paths), "/dev/missing"])
                    rate = chance.choice([None, 115200])
                    world.connect(Target(port, rate, patient=chance.random() < 0.5, faithful=chance.random() < 0.8))
                case "disconnect":
                    disconnects.add(asyncio.create_task(world.disconnect()))
                    await asyncio.sleep(0)
                case "unplug":
                    world.unplug_something()
                case "sleep":
                    await asyncio.sleep(chance.choice([0.0, 0.0, 0.001, 0.01, 0.03]))
        world.is_calm = True
        if seed % 2:
            path = chance.choice(paths)
            world.connect(Target(str(path), 115200))
            await eventually(lambda: world.connection.state is State.OPERATIONAL)
            assert [path for path, _ in world.open_ports.values()] == [str(path)]
        with at_most(1.0):
            await world.disconnect()
        assert world.connection.state is State.OFFLINE
        assert world.open_ports == {}
        await asyncio.gather(*disconnects)
    assert world.trouble == []
    surprises = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [error for error in surprises if "a bad day" not in str(error)] == []


@pytest.mark.parametrize("last", ["connect", "disconnect"])
async def test_a_storm_of_connects_and_disconnects_on_a_device_ends_as_the_last_one_asked(
    last: str, tmp_path: Path
) -> None:
    chance, link = random.Random(last), tmp_path / "printer"
    async with printer_at(link), nothing_left(within=1.0), one_printer(link) as printer:
        targets = [Target(str(link), 115200), Target(str(link)), Target()]
        disconnects = set()
        for _ in range(20):
            printer.connect(chance.choice(targets))
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.005, 0.02, 0.05]))
            disconnects.add(asyncio.create_task(printer.disconnect()))
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.005]))
        await asyncio.wait(disconnects)
        assert printer.snapshot.state is State.OFFLINE
        if last == "connect":
            printer.connect(targets[0])
            assert (await operational(printer)).port == str(link)


async def test_a_connect_while_a_disconnect_is_under_way_wins(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with printer_at(link), one_printer(link) as printer:
        printer.connect(Target(str(link), 115200))
        await operational(printer)
        disconnect = asyncio.create_task(printer.disconnect())
        await asyncio.sleep(0)
        printer.connect(Target(str(link), 115200))
        await disconnect
        await operational(printer)
