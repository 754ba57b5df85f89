"""The simulated clock: it jumps, and overtakes nothing."""

from __future__ import annotations

import asyncio
import os
import time
import tty
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from soak.loop import OWNER, SimulatedLoop


def simulated(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work())


def the_loop() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


def test_an_hour_passes_in_no_time() -> None:
    started = time.monotonic()
    simulated(lambda: asyncio.sleep(3600))
    assert time.monotonic() - started < 5


def test_timers_ring_in_order_each_at_its_moment() -> None:
    async def work() -> list[tuple[str, float]]:
        loop = the_loop()
        rung: list[tuple[str, float]] = []

        def ring(name: str) -> None:
            rung.append((name, loop.time()))

        for name, delay in [("c", 7.25), ("a", 0.1), ("b", 3.0), ("also b", 3.0), ("d", 1000.5)]:
            loop.call_later(delay, ring, name)
        await asyncio.sleep(2000)
        return rung

    assert simulated(work) == [("a", 0.1), ("b", 3.0), ("also b", 3.0), ("c", 7.25), ("d", 1000.5)]


def test_the_clock_stands_still_while_something_happens() -> None:
    async def work() -> float:
        loop = the_loop()
        loop.call_later(0.001, lambda: None)
        for _ in range(100):
            time.sleep(0.0001)  # noqa: ASYNC251
            await asyncio.sleep(0)
        return loop.time()

    assert simulated(work) == 0.0


def test_what_is_written_to_a_terminal_is_not_overtaken_by_a_jump() -> None:
    """With epoll in place of poll, about half of it is."""

    async def work() -> int:
        loop = the_loop()
        master, slave = os.openpty()
        tty.setraw(slave)
        overtaken = 0
        for here, there in [(master, slave), (slave, master)] * 1000:
            arrived = asyncio.Event()
            loop.add_reader(there, arrived.set)
            os.write(here, b"hello")
            try:
                async with asyncio.timeout(0.001):
                    await arrived.wait()
            except TimeoutError:
                overtaken += 1
            assert os.read(there, 100) == b"hello"
            loop.remove_reader(there)
        os.close(master)
        os.close(slave)
        return overtaken

    assert simulated(work) == 0


async def slowly(real_seconds: float) -> Any:
    return await asyncio.to_thread(time.sleep, real_seconds)


@pytest.mark.parametrize(("takes", "late"), [(0.5, False), (2.0, True)])
def test_a_thread_takes_as_long_as_it_is_said_to_take_and_not_as_long_as_it_takes(takes: float, late: bool) -> None:
    async def work() -> tuple[float, bool]:
        loop = the_loop()
        loop.job_time = lambda: takes
        try:
            async with asyncio.timeout(1.0):
                await slowly(0.05)
        except TimeoutError:
            return loop.time(), True
        return loop.time(), False

    assert simulated(work) == (min(takes, 1.0), late)


def test_what_a_thread_raises_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        simulated(lambda: asyncio.to_thread(os.open, "/nowhere", 0))


def test_it_says_so_when_nothing_can_ever_happen() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing is left"):
        simulated(work)


def test_it_is_told_when_all_is_at_rest() -> None:
    async def work() -> list[float]:
        loop = the_loop()
        at: list[float] = []
        loop.at_rest = lambda: at.append(loop.time())
        await asyncio.sleep(1.0)
        await asyncio.sleep(2.0)
        return at

    assert simulated(work) == [0.0, 1.0]


def test_it_knows_whose_tasks_and_timers_there_are() -> None:
    async def work() -> None:
        loop = the_loop()

        async def inner() -> None:
            await asyncio.gather(asyncio.sleep(5), asyncio.sleep(6))

        OWNER.set("one")
        task = loop.create_task(inner())
        OWNER.set("two")
        await asyncio.sleep(0.1)
        assert len(loop.tasks_of("one")) == 3
        assert len(loop.timers_of("one")) == 2
        assert loop.tasks_of("two") == loop.timers_of("two") == []
        await task
        assert loop.tasks_of("one") == loop.timers_of("one") == []

    simulated(work)


def test_the_loop_leaves_nothing_open() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    simulated(lambda: slowly(0.0))
    assert open_files() == before


def test_it_says_so_when_something_goes_round_in_circles() -> None:
    async def work() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="in circles"):
        simulated(work)
