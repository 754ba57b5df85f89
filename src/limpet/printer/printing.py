"""asyncio <-> Course: joins a print to its file, which is read ahead in a thread, and to the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import BinaryIO

from limpet.aside import close_aside
from limpet.printer.course import Course
from limpet.printer.tape import BLOCK
from limpet.protocol.commands import Command
from limpet.protocol.events import Event

log = logging.getLogger(__name__)

REPORT_INTERVAL = 0.5
"""Seconds between two reports of how far a print is."""
READ_TIME = 60.0
"""Seconds after which a disk that gives nothing counts as broken."""


class Printing:
    """A print under way. `tell` gets its events; `wake` is called when there may be something to send again.

    Without a `stream` there is no file to be read here.
    """

    def __init__(
        self, job: Course, stream: BinaryIO | None, tell: Callable[[Event], None], wake: Callable[[], None]
    ) -> None:
        self.job = job
        self._tell = tell
        self._wake = wake
        self._clock = asyncio.get_running_loop().time
        self._hungry = asyncio.Event()
        self._tasks = [asyncio.create_task(self._report())]
        if stream is not None:
            self._tasks.append(asyncio.create_task(self._feed(stream)))

    def next_command(self) -> Command | None:
        command = self.job.next_command(self._clock())
        if self.job.wants_data:
            self._hungry.set()
        self.tell_events()
        return command

    def tell_events(self) -> None:
        """Hand on what has come of the last call of the job."""
        while event := self.job.next_event():
            self._tell(event)

    def hear(self, event: Event) -> None:
        """The printer has said something that concerns it."""
        self.job.hear(event, self._clock())
        self.tell_events()
        self._wake()

    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        """The print is over."""
        for task in self._tasks:
            task.cancel()

    async def _feed(self, stream: BinaryIO) -> None:
        try:
            while self.job.wants_data or await self._hungry.wait():
                self._hungry.clear()
                if not self.job.wants_data:
                    continue
                try:
                    async with asyncio.timeout(READ_TIME):
                        block = await asyncio.to_thread(stream.read, BLOCK)
                except (OSError, TimeoutError) as error:
                    place = f"The file could not be read beyond byte {self.job.print.position}"
                    self.job.abort("file", f"{place}: {error or 'the disk does not answer'}", self._clock())
                    block = b""
                self.job.feed(block, self._clock())
                self.tell_events()
                self._wake()
                if not block:
                    return
        finally:
            # A read that hangs would hang here, too.
            close_aside(stream.close)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            self.job.report(self._clock())
            self.tell_events()
            self._wake()  # Time itself may be what it has waited for.
