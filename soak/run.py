"""One soak: storms, in which everything happens, and calms, in which everybody must get what he wants."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from soak.device import open_terminals
from soak.host import Host
from soak.journal import Journal
from soak.loop import SimulatedLoop
from soak.oracle import LONGEST_SEARCH, Oracle
from soak.usb import Ports
from soak.world import World

STORM = (60.0, 180.0)
"""Shortest and longest, in seconds."""
REST = 40.0
"""Seconds at the most for which everybody keeps what he has got."""
SLOWEST_JOB = 0.03
"""Seconds that a thread takes to open, set or close a port; a few in a row are far below every limit."""


@dataclass(frozen=True)
class Plan:
    """What is to be simulated; `printers` is how many there are, and how many Limpet looks after."""

    seed: int
    minutes: float
    printers: int = 3


@dataclass(frozen=True)
class Progress:
    """Seconds simulated and in truth, and how often what has happened so far."""

    simulated: float
    real: float
    counts: Counter[str]


@dataclass(frozen=True)
class Outcome(Progress):
    """`trouble` is the first thing that was wrong and what had happened before; None when nothing was."""

    trouble: str | None


def soak(plan: Plan, tell: Callable[[Progress], None] = lambda _: None) -> Outcome:
    """Run it; `tell` is called every simulated minute."""
    started, before = time.monotonic(), _resources()
    jitter = random.getstate()
    random.seed(plan.seed)  # Limpet waits at random between two attempts.
    try:
        with TemporaryDirectory() as folder, asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            journal, seconds = runner.run(_Soak(plan, Path(folder), started, tell).run())
    finally:
        random.setstate(jitter)
    if _resources() != before:
        journal.complain(f"descriptors and threads: {before} at the beginning, {_resources()} at the end")
    return Outcome(seconds, time.monotonic() - started, journal.counts, journal.trouble)


class _Soak:
    def __init__(self, plan: Plan, folder: Path, started: float, tell: Callable[[Progress], None]) -> None:
        self._plan, self._folder, self._started, self._tell = plan, folder, started, tell

    async def run(self) -> tuple[Journal, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        self._loop = loop
        self._journal = Journal(loop.time)
        jobs, self._chance, of_world, *of_hosts = (
            random.Random(f"{self._plan.seed} {what}") for what in range(3 + self._plan.printers)
        )
        loop.job_time = lambda: jobs.uniform(0.0, SLOWEST_JOB)
        ports = Ports(self._folder)
        self._world = World(of_world, ports, self._journal, self._plan.printers)
        self._hosts = [
            Host(f"limpet {number}", self._world, ports.look(), self._journal, chance)
            for number, chance in enumerate(of_hosts, start=1)
        ]
        for host in self._hosts:
            host.peers = self._hosts
        self._oracle = Oracle(loop, self._world, self._hosts, self._journal)
        with _surprises(loop, self._journal):
            await self._weather_until_trouble()
            seconds = loop.time()
            await self._close()
        return self._journal, seconds

    async def _weather_until_trouble(self) -> None:
        self._loop.at_rest = self._oracle.look
        self._loop.call_later(60.0, self._tell_progress)
        weather = self._loop.create_task(self._weather())
        trouble = self._loop.create_task(self._journal.troubled.wait())
        await asyncio.wait({weather, trouble}, return_when=asyncio.FIRST_COMPLETED)
        self._loop.at_rest = lambda: None
        for task in (weather, trouble):
            task.cancel()
        for error in await asyncio.gather(weather, trouble, return_exceptions=True):
            if isinstance(error, Exception):
                raise error

    async def _weather(self) -> None:
        end = self._plan.minutes * 60.0
        while self._loop.time() < end:
            until = min(self._loop.time() + self._chance.uniform(*STORM), end)
            await asyncio.gather(self._world.rage(until), *(host.act(until) for host in self._hosts))
            self._world.heal()
            self._journal.tell("world", "calms down")
            await self._wait_until_content()
            await asyncio.sleep(self._chance.uniform(0.0, REST))
            if self._chance.random() < 0.5:
                await asyncio.gather(*(host.disconnect() for host in self._hosts))

    async def _wait_until_content(self) -> None:
        """The oracle knows how long that may take."""
        deadline = self._loop.time() + LONGEST_SEARCH + 1.0
        while self._loop.time() < deadline and not all(host.is_content for host in self._hosts):
            await asyncio.sleep(1.0)

    async def _close(self) -> None:
        for host in self._hosts:
            await host.close()
        self._world.close()
        await asyncio.sleep(1.0)
        left: list[object] = [*asyncio.all_tasks() - {asyncio.current_task()}, *open_terminals()]
        for host in self._hosts:
            left += self._loop.timers_of(host.name)
        if left:
            self._journal.complain(f"left at the end: {left}")

    def _tell_progress(self) -> None:
        self._tell(Progress(self._loop.time(), time.monotonic() - self._started, self._journal.counts))
        self._loop.call_later(60.0, self._tell_progress)


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


def _resources() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), threading.active_count()
