"""Limpet, the world around it, and the oracle that watches both."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak.device import open_terminals
from soak.host import Host
from soak.journal import Journal
from soak.loop import SimulatedLoop
from soak.oracle import AUDIT_EVERY, Oracle
from soak.usb import Ports
from soak.world import World

SLOWEST_JOB = 0.03
"""Seconds that a thread takes to open, set or close a port; a few in a row are far below every limit."""


@dataclass(frozen=True)
class Stage:
    loop: SimulatedLoop
    journal: Journal
    world: World
    hosts: list[Host]


@asynccontextmanager
async def stage(folder: Path, seed: int, printers: int) -> AsyncIterator[Stage]:
    """As many printers as Limpet is to look after, all plugged in; in the end all is unplugged and nothing may be left.

    What is wrong is in the journal. Needs a running SimulatedLoop.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    of_jobs, of_world, *of_hosts = (random.Random(f"{seed} {what}") for what in range(2 + printers))
    loop.job_time = lambda: of_jobs.uniform(0.0, SLOWEST_JOB)
    journal = Journal(loop.time)
    ports = Ports(folder)
    world = World(of_world, ports, journal, printers)
    hosts = [
        Host(f"limpet {number}", world, ports.as_limpet_sees_them(), journal, chance)
        for number, chance in enumerate(of_hosts, start=1)
    ]
    for host in hosts:
        host.peers = hosts
    loop.at_rest = Oracle(loop, world, hosts, journal).look
    with _surprises(loop, journal):
        ticking = loop.create_task(_tick())
        yield Stage(loop, journal, world, hosts)
        ticking.cancel()
        for host in hosts:
            await host.close()
        loop.at_rest = lambda: None
        world.close()
        await asyncio.sleep(1.0)
        left: list[object] = [*asyncio.all_tasks() - {asyncio.current_task()}, *open_terminals()]
        for host in hosts:
            left += loop.timers_of(host.name)
        if left:
            journal.complain(f"left at the end: {left}")


async def _tick() -> None:
    """The oracle looks whenever the clock jumps, and that is often enough."""
    while True:  # noqa: ASYNC110
        await asyncio.sleep(AUDIT_EVERY)


@contextmanager
def _surprises(loop: SimulatedLoop, journal: Journal) -> Iterator[None]:
    """Whatever Limpet logs as an error, whatever nobody has caught, and whatever was not closed is trouble."""

    def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        journal.complain(f"nobody has caught: {context}")

    handler = _Errors(journal)
    loop.set_exception_handler(complain)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            yield
            gc.collect()
            for warning in caught:
                journal.complain(str(warning.message))
    finally:
        logging.getLogger().removeHandler(handler)
        loop.set_exception_handler(None)


class _Errors(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.ERROR)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.complain(f"logged: {self.format(record)}")
