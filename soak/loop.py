"""An asyncio event loop with real descriptors and real threads, and a clock that is simulated.

The clock stands still while anything happens, and jumps to the next timer when nothing does:

- Before a jump every descriptor is asked by poll(2), not epoll. What was written to a pseudo-terminal is handed over
  by a worker of the kernel, some microseconds later; poll(2) asks the terminal itself, which lets that worker finish
  first (n_tty_poll), where epoll only looks at what has been handed over.
- A job for a thread runs in one, and is over before anything else happens; its result arrives `job_time` later.

So nothing is ever late, however busy the machine is, and a run is the same each time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent import futures
from contextvars import ContextVar
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

Result = TypeVar("Result")
Words = TypeVarTuple("Words")

OWNER: ContextVar[str] = ContextVar("OWNER", default="")
"""Whose work this is; tasks, timers and callbacks inherit it from what made them."""

LONGEST_JOB = 10.0
"""Real seconds that a thread may take."""
MOST_TURNS = 200_000
"""Turns of the loop at one moment after which something is said to go round in circles."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`job_time` says how many simulated seconds the next job for a thread takes; `at_rest` is called before each
    jump, when all has been done that could be done at this moment."""

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = futures.ThreadPoolExecutor(thread_name_prefix="job")
        self._owners: WeakKeyDictionary[asyncio.Task[Any], str] = WeakKeyDictionary()
        self.job_time: Callable[[], float] = lambda: 0.0
        self.at_rest: Callable[[], None] = lambda: None
        super().__init__(_Selector(self._jump))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def close(self) -> None:
        super().close()
        self._threads.shutdown()

    def tasks_of(self, owner: str) -> list[asyncio.Task[Any]]:
        """The unfinished tasks that were made in this owner's name."""
        return [task for task, made_by in self._owners.items() if made_by == owner and not task.done()]

    def timers_of(self, owner: str) -> list[asyncio.TimerHandle]:
        """The timers that were set in this owner's name and are still to ring; that a thread's job ends is none."""
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        waiting = [timer for timer in timers if not timer.cancelled() and timer._callback is not _hand_over]
        return [timer for timer in waiting if timer._context.get(OWNER) == owner]

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = super().create_task(coro, **options)
        context = options.get("context")
        self._owners[task] = OWNER.get() if context is None else context.get(OWNER, "")
        return task

    def run_in_executor(
        self, executor: futures.Executor | None, func: Callable[[*Words], Result], *args: *Words
    ) -> asyncio.Future[Result]:
        assert executor is None
        job = self._threads.submit(func, *args)
        if not futures.wait([job], LONGEST_JOB).done:
            raise RuntimeError(f"{func} takes more than {LONGEST_JOB:g} s of real time")
        result: asyncio.Future[Result] = self.create_future()
        self.call_later(self.job_time(), _hand_over, job, result)
        return result

    def _jump(self, seconds: float) -> None:
        self.at_rest()
        self._now += seconds


class _Selector(selectors.PollSelector):
    """Never waits: jumps instead."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self._turns += 1
        if self._turns > MOST_TURNS:
            self._turns = 0
            raise RuntimeError(f"something goes round in circles: {[key.data for key, _ in ready]}")
        if not ready and timeout is None:
            raise RuntimeError("nothing is left that could ever happen")
        if not ready and timeout:
            self._turns = 0
            self._jump(timeout)
        return ready


def _hand_over(job: futures.Future[Result], result: asyncio.Future[Result]) -> None:
    if result.done():  # whoever wanted it was cancelled
        return
    error = job.exception()
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(job.result())
