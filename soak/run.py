"""One soak: storms, in which everything happens, and calms, in which everybody must get what he wants."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from soak.journal import Journal
from soak.loop import SimulatedLoop
from soak.oracle import LONGEST_SEARCH
from soak.stage import Stage, stage

STORM = (60.0, 180.0)
"""Shortest and longest, in seconds."""
REST = 40.0
"""Seconds at the most for which everybody keeps what he has got."""


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
    """Run it, until the first trouble; `tell` is called every simulated minute."""
    started, before = time.monotonic(), _resources()
    jitter = random.getstate()
    random.seed(plan.seed)  # Limpet waits at random between two attempts.
    try:
        with TemporaryDirectory() as folder, asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            journal, seconds = runner.run(_run(plan, Path(folder), started, tell))
    finally:
        random.setstate(jitter)
    if _resources() != before:
        journal.complain(f"descriptors and threads: {before} at the beginning, {_resources()} at the end")
    return Outcome(seconds, time.monotonic() - started, journal.counts, journal.trouble)


async def _run(plan: Plan, folder: Path, started: float, tell: Callable[[Progress], None]) -> tuple[Journal, float]:
    async with stage(folder, plan.seed, plan.printers) as scene:
        clock, journal = scene.loop.time, scene.journal

        async def tell_every_minute() -> None:
            while True:
                await asyncio.sleep(60.0)
                tell(Progress(clock(), time.monotonic() - started, journal.counts))

        telling = asyncio.create_task(tell_every_minute())
        weather = asyncio.create_task(_weather(scene, plan))
        trouble = asyncio.create_task(journal.troubled.wait())
        await asyncio.wait({weather, trouble}, return_when=asyncio.FIRST_COMPLETED)
        seconds = clock()
        for task in (telling, weather, trouble):
            task.cancel()
        for error in await asyncio.gather(telling, weather, trouble, return_exceptions=True):
            if isinstance(error, Exception):
                raise error
    return journal, seconds


async def _weather(scene: Stage, plan: Plan) -> None:
    clock, chance, end = scene.loop.time, random.Random(f"{plan.seed} weather"), plan.minutes * 60.0
    while clock() < end:
        until = min(clock() + chance.uniform(*STORM), end)
        await asyncio.gather(scene.world.rage(until), *(host.act(until) for host in scene.hosts))
        scene.world.heal()
        scene.journal.tell("world", "calms down")
        # The oracle knows how long it may take until everybody is content.
        deadline = clock() + LONGEST_SEARCH + 1.0
        while clock() < deadline and not all(host.is_content for host in scene.hosts):  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        await asyncio.sleep(chance.uniform(0.0, REST))
        if chance.random() < 0.5:
            await asyncio.gather(*(host.disconnect() for host in scene.hosts))


def _resources() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
