"""The oracle finds out a Limpet that is broken: one thing goes wrong, in a world in which nothing else happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from serialx.platforms.serial_posix import PosixSerial
from soak.loop import SimulatedLoop
from soak.stage import Stage, stage

from limpet.printer.connection import Connection
from limpet.printer.link import Link
from limpet.printer.state import ConnectionFailed, State
from limpet.printer.target import Target
from limpet.protocol import patience
from limpet.protocol.session import Session

Scene = Callable[[Stage], Awaitable[object]]


def trouble_of(scene: Scene, folder: Path) -> str:
    """The first thing that the oracle has complained about, "" for nothing."""

    async def play() -> str:
        async with stage(folder, seed=1, printers=1) as there:
            await scene(there)
        return (there.journal.trouble or "").partition("\n")[0]

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(play())


async def connect(there: Stage, **wanted: Any) -> None:
    """To the printer, by its name and rate; half a minute is enough for that."""
    printer = there.world.printers[0]
    known = {"port": str(printer.path), "baudrate": printer.baudrate}
    await there.hosts[0].connect(Target(**{**known, **wanted}))
    await asyncio.sleep(30.0)


async def hangs(there: Stage) -> None:
    await connect(there)
    there.world.hang(seconds=90.0)
    await asyncio.sleep(100.0)


async def is_unplugged(there: Stage) -> None:
    await connect(there)
    there.world.unplug(seconds=10.0)
    await asyncio.sleep(50.0)


async def is_wanted_by_others(there: Stage) -> None:
    await connect(there)
    there.world.hold()
    await asyncio.sleep(5.0)


async def is_let_go(there: Stage) -> None:
    await connect(there)
    await there.hosts[0].disconnect()
    await asyncio.sleep(5.0)


async def is_not_there_yet(there: Stage) -> None:
    there.world.unplug(seconds=10.0)
    await connect(there, awaits_port=True)
    await asyncio.sleep(60.0)


async def has_impostors_beside_it(there: Stage) -> None:
    there.world.close()
    for kind in ("logger", "yes-man", "sensor", "milling machine"):
        there.world.impostor_comes(kind)
    await there.hosts[0].connect(Target())
    await asyncio.sleep(60.0)


def keep_open(self: Connection, link: Link) -> None:
    self.link = None if self.link is link else self.link


async def wait_for_ever(*_: Any) -> None:
    await asyncio.Event().wait()


async def disconnect_slowly(self: Connection) -> None:
    self._let_go()
    self._enter(State.OFFLINE)
    await asyncio.sleep(1.5)


def say_nothing_true(self: Connection, reason: Any, traffic: tuple[str, ...], *, waiting: bool) -> None:
    self._on_event(ConnectionFailed(reason, 0.0, (), not waiting))
    self._enter(State.OFFLINE_AFTER_ERROR)


def nothing(*_: Any) -> None: ...


def believe(self: Session, now: float) -> None:
    self._open(now)


SCENES: list[Scene] = [hangs, is_unplugged, is_wanted_by_others, is_let_go, is_not_there_yet, has_impostors_beside_it]


@pytest.mark.parametrize("scene", SCENES)
def test_limpet_as_it_is_does_nothing_wrong(scene: Scene, tmp_path: Path) -> None:
    assert trouble_of(scene, tmp_path) == ""


@pytest.mark.parametrize(
    ("scene", "whose", "what", "instead", "complaint"),
    [
        (hangs, patience, "SILENCE", 1000.0, "is Operational at .* hangs since"),
        (is_unplugged, Link, "connection_lost", nothing, "is unplugged since"),
        (is_unplugged, Connection, "_wait_for_port", wait_for_ever, "is there and well since"),
        (is_unplugged, Connection, "_fail", say_nothing_true, "does not wait after unplugged, against the wish"),
        (is_not_there_yet, Connection, "_fail", say_nothing_true, "does not wait after port_missing"),
        (is_wanted_by_others, PosixSerial, "_lock", nothing, "without having its lock"),
        (is_let_go, Connection, "disconnect", disconnect_slowly, "is closed, but|to disconnect"),
        (is_let_go, Connection, "_close", keep_open, "is closed, but|left"),
        (has_impostors_beside_it, Session, "_identify", believe, "is no printer since"),
    ],
)
def test_a_limpet_that_is_broken_is_found_out(
    scene: Scene,
    whose: Any,
    what: str,
    instead: Any,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whose, what, instead)
    trouble = trouble_of(scene, tmp_path)
    assert re.search(complaint, trouble), trouble
