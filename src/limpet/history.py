"""Follows prints into the history: its file has one thread, and neither the event loop nor a print waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from msgspec import structs

from limpet.errors import Conflict, LimpetError
from limpet.gcodefile.analysis import Filament
from limpet.history_file import HistoryFile, Place, Record
from limpet.printer.print import Outcome, Phase, PhaseChanged, Print, PrintEnded, PrintProgressed, SelectedFile
from limpet.protocol.events import Event

T = TypeVar("T")

JOURNAL_INTERVAL = 1.0
"""Seconds between two notes of how far a print is."""
ANSWER_TIME = 10.0
"""Seconds after which a disk that does not answer is not waited for any more."""
CLOSING_TIME = 1.0
"""The same at the end."""
MAX_WAITING = 1000
"""Pieces of work for the thread; what comes then is refused, or not written."""
MAX_UNWRITTEN = 100
"""Prints that have ended while the disk could not be written, and are written when it can."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _UnderWay:
    """A print of one printer. The thread has `id` to itself; `written_at` is of the loop's clock."""

    record: Record
    resends_before: int
    written_at: float
    id: int = 0
    waits: bool = False


class History:
    """All prints, in the file `path`. `fault` is what keeps them from being written, for as long as it does.

    `cut_off` are those that were under way when Limpet was killed. Made and used inside a running event loop.
    """

    def __init__(self, path: Path) -> None:
        self.fault: str | None = None
        self._path = path
        self._file = HistoryFile(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._waiting = 0
        self._under_way: dict[str, _UnderWay] = {}
        self._unwritten: deque[_UnderWay] = deque(maxlen=MAX_UNWRITTEN)
        self.cut_off = self._at_start(self._file.cut_off) or []
        for record in self.cut_off:
            log.warning("%s: %s (byte %d of %s)", record.printer, record.message, record.position, record.size)

    # -- what is known --

    def last(self, printer: str) -> PrintEnded | None:
        """The last print of a printer. Blocks, and is for the start."""
        records, _ = self._at_start(lambda: self._file.newest(printer, 1)) or ([], 0)
        return _ended(records[0]) if records else None

    async def ask(self, work: Callable[[HistoryFile], T]) -> T:
        """What this work on the file gives. Raises LimpetError, also when the disk does not answer."""
        if self._waiting >= MAX_WAITING:
            raise Conflict("The history is busy: the disk is slow")
        try:
            async with asyncio.timeout(ANSWER_TIME):
                return await asyncio.wrap_future(self._submit(lambda: work(self._file)))
        except TimeoutError:
            raise Conflict("The history does not answer: the disk is slow") from None

    # -- what happens --

    def follow(self, printer: str, event: Event, resends: int | None, place: Callable[[str], Place]) -> None:
        """Something has happened to a printer, perhaps to its print. `resends` is how many there have been on this
        connection, None when it is not there any more; `place` tells where files of an origin are."""
        match event:
            case PhaseChanged(print=job) if printer not in self._under_way:
                self._begin(printer, job, place(job.file.origin), resends or 0)
            case PhaseChanged(print=job) | PrintProgressed(print=job):
                self._progress(printer, job, resends)
            case PrintEnded():
                self._end(printer, event)

    def _begin(self, printer: str, job: Print, place: Place, resends: int) -> None:
        file = job.file
        record = Record(
            printer=printer,
            profile=place.profile,
            store=place.store,
            origin=file.origin,
            path=file.path,
            display=file.display,
            size=file.size,
            date=file.date,
            user=job.user,
            started=job.started_at,
            ended=job.started_at,
            skipped=job.position,
        )
        self._under_way[printer] = _UnderWay(record, resends, asyncio.get_running_loop().time())
        self._write(self._under_way[printer])

    def _progress(self, printer: str, job: Print, resends: int | None) -> None:
        if (entry := self._under_way.get(printer)) is None:
            return
        entry.record = _followed(entry.record, job, time.time())
        if resends is not None:
            entry.record = structs.replace(entry.record, resends=max(0, resends - entry.resends_before))
        now = asyncio.get_running_loop().time()
        if now - entry.written_at >= JOURNAL_INTERVAL and not entry.waits:
            entry.written_at = now
            self._write(entry)

    def needs(self, printer: str, file: SelectedFile, filament: dict[int, Filament]) -> None:
        """What this file needs of it, which may be the one that is being printed."""
        entry = self._under_way.get(printer)
        if entry is not None and (entry.record.path, entry.record.date) == (file.path, file.date):
            entry.record = structs.replace(entry.record, filament=filament)

    def _end(self, printer: str, event: PrintEnded) -> None:
        if (entry := self._under_way.pop(printer, None)) is not None:
            entry.record = structs.replace(
                _followed(entry.record, event.print, event.ended_at),
                outcome=event.outcome,
                code=event.code,
                message=event.message,
            )
            self._write(entry)

    async def close(self) -> None:
        """What has not been written yet is; the disk is not waited for longer than a second."""
        closing = self._submit(self._close)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_TIME):
                await asyncio.wrap_future(closing)

    # -- the thread --

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        self._waiting += 1
        future = self._thread.submit(work)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[T]) -> None:
        self._waiting -= 1

    def _write(self, entry: _UnderWay) -> None:
        if self._waiting >= MAX_WAITING:
            self._told("the disk is too slow to keep a history of the prints")
            return
        entry.waits = True
        self._submit(lambda: self._put(entry))

    def _put(self, entry: _UnderWay) -> None:
        entry.waits = False
        try:
            while self._unwritten:
                self._keep(self._unwritten[0])
                self._unwritten.popleft()
            self._keep(entry)
            self._told(None)
        except LimpetError as error:
            self._told(str(error))
            if entry.record.outcome is not None:
                self._unwritten.append(entry)

    def _keep(self, entry: _UnderWay) -> None:
        entry.id = self._file.put(structs.replace(entry.record, id=entry.id))

    def _told(self, fault: str | None) -> None:
        if fault is not None and fault != self.fault:
            log.warning("prints go on, but are not kept in the history: %s", fault)
        self.fault = fault

    def _close(self) -> None:
        with suppress(LimpetError):
            while self._unwritten:
                self._keep(self._unwritten.popleft())
        self._file.close()

    def _at_start(self, work: Callable[[], T]) -> T | None:
        if not self._path.exists():
            return None
        try:
            return self._submit(work).result(ANSWER_TIME)
        except (LimpetError, Late) as error:
            self._told(str(error) or "the disk does not answer")
            return None


def _followed(record: Record, job: Print, at: float) -> Record:
    return structs.replace(record, ended=at, elapsed=job.elapsed, position=job.position, line=job.line)


def _ended(record: Record) -> PrintEnded:
    file = SelectedFile(
        origin=record.origin,
        path=record.path,
        name=record.path.rpartition("/")[2],
        display=record.display,
        size=record.size,
        date=record.date,
        user=record.user,
    )
    job = Print(
        file=file,
        phase=Phase.FINISHING if record.outcome == "done" else Phase.PRINTING,
        started_at=record.started,
        user=record.user,
        position=record.position,
        line=record.line,
        elapsed=record.elapsed,
    )
    return PrintEnded(job, cast(Outcome, record.outcome or "failed"), record.ended, record.code, record.message)
