"""Has stored files analysed: one after the other, each by a process of the lowest priority that no print notices."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from limpet.aside import close_aside
from limpet.errors import LimpetError
from limpet.printer.state import AnalysisFinished, AnalysisStarted
from limpet.protocol.events import Event
from limpet.storage.analyses import Reading
from limpet.storage.store import Store

MAX_WAITING = 1000
"""Files that wait; what comes then is not taken, and can be asked for again."""
TIME_LIMIT = 3600.0
"""Seconds after which a file is given up."""
CLOSE_TIME = 1.0
"""Seconds that a disk is waited for when the server ends."""
COMMAND = (sys.executable, "-P", "-m", "limpet.gcodefile")
log = logging.getLogger(__name__)


class Analyst:
    """Started and stopped once; `tell` is given what happens to the files of a store."""

    def __init__(self, tell: Callable[[Store, Event], None]) -> None:
        self._tell = tell
        self._waiting: OrderedDict[tuple[Store, str], None] = OrderedDict()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reading: tuple[Store, str] | None = None

    def is_reading(self, store: Store, path: str) -> bool:
        return self._reading == (store, path)

    def want(self, store: Store, path: str, *, first: bool = False) -> bool:
        """The file at this path is to be analysed, `first` before all others; False when too many wait."""
        if (store, path) not in self._waiting:
            if len(self._waiting) >= MAX_WAITING and not first:
                return False
            self._waiting[store, path] = None
        if first:
            self._waiting.move_to_end((store, path), last=False)
            while len(self._waiting) > MAX_WAITING:
                self._waiting.popitem()
        self._more.set()
        return True

    def start(self) -> None:
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Whatever is being read is given up at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            (store, path), _ = self._waiting.popitem(last=False)
            self._reading = store, path
            try:
                await self._analyse(store, path)
            except LimpetError as error:
                log.info("%s is not analysed: %s", path, error)
            except OSError as error:
                log.warning("%s cannot be analysed: %s", path, error.strerror or error)
            finally:
                self._reading = None

    async def _analyse(self, store: Store, path: str) -> None:
        reading = await _opened(store, path)
        try:
            self._tell(store, AnalysisStarted(path))
            good = await _read(reading)
            if not good:
                log.warning("%s could not be analysed", path)
            summary = await asyncio.to_thread(store.keep, reading, good=good)
        finally:
            close_aside(reading.close)
        if summary is not None:
            self._tell(store, AnalysisFinished(path, summary))


async def _opened(store: Store, path: str) -> Reading:
    """The file, to be closed by the caller; what is opened while the server ends is given back."""
    opening = asyncio.get_running_loop().run_in_executor(None, store.read, path)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening], timeout=CLOSE_TIME)
        opening.add_done_callback(_give_back)
        raise


def _give_back(opening: asyncio.Future[Reading]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _read(reading: Reading) -> bool:
    """Whether a process of its own has read the file to its end."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=reading.source, stdout=reading.result, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        _calm(process.pid)
        async with asyncio.timeout(TIME_LIMIT):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _calm(pid: int) -> None:
    """It has what nobody else wants of the processor, and of the disk too where the kernel goes by that."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
