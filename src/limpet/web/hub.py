"""What happens to one printer, as messages: each made and encoded once for all who want the same.

A hub follows a printer for as long as somebody listens to it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct, structs

from limpet.printer.printer import Heaters, Printer
from limpet.printer.state import CLOSED, LinkFigures, Snapshot
from limpet.protocol.events import Event, LineReceived, LineSent, TemperaturesReported
from limpet.protocol.replies import printable
from limpet.web.events import EventInfo, events_of, log_line, plugins_of
from limpet.web.shapes import BusyFile, JobInfo, ProgressInfo, StateInfo, busy_files, heaters, job, progress, state_info
from limpet.web.wishes import Wish, selected

log = logging.getLogger(__name__)
T = TypeVar("T")

INTERVAL = 0.5
"""Seconds between two `current` for a reader who has not asked for fewer."""
MAX_LINES = 300
"""Lines, and temperatures, in one `current`: the newest ones."""
MAX_LINE = 1024


class ResendInfo(Struct, frozen=True):
    """How many lines the printer has wanted again, of how many; `ratio` in percent."""

    count: int
    transmitted: int
    ratio: int


class Current(Struct, frozen=True, kw_only=True):
    """How things are, and what has come up since this was last told; `history` has the same fields but `busyFiles`."""

    state: StateInfo
    job: JobInfo
    currentZ: float | None = None  # noqa: N815
    progress: ProgressInfo
    offsets: dict[str, float]
    resends: ResendInfo
    serverTime: float  # noqa: N815
    temps: list[dict[str, Any]]
    logs: list[str]
    messages: list[str]
    markings: list[Any] = []
    busyFiles: list[BusyFile] | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


class Message:
    """One message, encoded once for everybody who gets it."""

    __slots__ = ("current", "json")

    def __init__(self, kind: str, content: object) -> None:
        self.json: bytes = msgspec.json.encode({kind: content})
        self.current = content if kind == "current" and isinstance(content, Current) else None


class Listener(Protocol):
    """Somebody who is told."""

    def offer(self, message: Message, /) -> None: ...

    def close(self) -> None: ...


Audience = tuple[Wish, bool]
"""What is wanted, and whether the lines on the wire may be seen."""


class Hub:
    """Follows one printer; `on_empty` is called when the last reader has left.

    While it is closed, it is looked every `look_time` seconds whether `ports`, the names of those on offer, are others.
    """

    def __init__(
        self, printer: Printer, ports: Callable[[], list[str]], look_time: float, on_empty: Callable[[], object]
    ) -> None:
        self._printer = printer
        self._ports = ports
        self._ports_told = ports()
        self._look_time = look_time
        self._on_empty = on_empty
        self._places: dict[Listener, Gathering] = {}
        self._gatherings: dict[Audience, Gathering] = {}
        self._events = printer.subscribe()
        self._before = printer.snapshot
        self._following = asyncio.create_task(self._follow())
        self._looking = asyncio.create_task(self._look())

    def join(self, reader: Listener, wish: Wish, sees_terminal: bool) -> None:
        audience = (wish, sees_terminal)
        gathering = self._gatherings.get(audience)
        if gathering is None:
            gathering = self._gatherings[audience] = Gathering(self._printer, *audience)
        gathering.readers.add(reader)
        before, self._places[reader] = self._places.get(reader), gathering
        if before is not None and before is not gathering:
            self._leave(before, reader)

    def leave(self, reader: Listener) -> None:
        self._leave(self._places.pop(reader), reader)
        if not self._places:
            self._events.close()
            self._looking.cancel()
            self._on_empty()

    def history(self, reader: Listener) -> Message:
        return self._places[reader].history()

    def _leave(self, gathering: Gathering, reader: Listener) -> None:
        gathering.readers.discard(reader)
        if not gathering.readers:
            gathering.close()
            del self._gatherings[gathering.wish, gathering.sees_terminal]

    async def _follow(self) -> None:
        try:
            async for event, now in self._events:
                told = [(info.type, Message("event", info)) for info in events_of(self._before, event, now)]
                spoken = [(info.plugin, Message("plugin", info)) for info in plugins_of(self._before, now)]
                self._before = now
                for gathering in tuple(self._gatherings.values()):
                    gathering.take(event, now, told)
                    for plugin, message in spoken:
                        gathering.speak(plugin, message)
        except Exception:
            log.exception("the push of %s has failed", self._printer.id)
        # Nobody is told only half of what has happened: whoever comes back gets the whole state.
        if self._events.fell_behind:
            log.warning("%s has said more than can be told; its readers are sent away", self._printer.id)
        for reader in tuple(self._places):
            reader.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_time)
            if self._printer.snapshot.state in CLOSED and (now := self._ports()) != self._ports_told:
                self._ports_told = now
                told = EventInfo("ConnectionsAutorefreshed", {"ports": now})
                message = Message("event", told)
                for gathering in tuple(self._gatherings.values()):
                    gathering.tell(told.type, message)


class Gathering:
    """Listeners of one printer who want the same, and what has come up since they were last told how things are."""

    def __init__(self, printer: Printer, wish: Wish, sees_terminal: bool) -> None:
        self.wish = wish
        self.sees_terminal = sees_terminal
        self.readers: set[Listener] = set()
        self._printer = printer
        self._traffic: deque[str] = deque(maxlen=MAX_LINES)
        self._temps: deque[tuple[float, Heaters]] = deque(maxlen=MAX_LINES)
        self._untold_lines = self._untold_temps = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, event: str, message: Message) -> None:
        """Something has happened that OctoPrint calls by this name."""
        if self.wish.wants_event(event):
            self._offer(message)

    def speak(self, plugin: str, message: Message) -> None:
        """One of OctoPrint's plugins would say this."""
        if self.wish.wants_plugin(plugin):
            self._offer(message)

    def take(self, event: Event, now: Snapshot, told: Iterable[tuple[str, Message]]) -> None:
        for name, message in told:
            self.tell(name, message)
        if not self.wish.state or not self.readers:
            return
        match event:
            case LineSent(line=line):
                self._traffic.append(f"> {line}")
                self._untold_lines += 1
            case LineReceived(line=line):
                self._traffic.append(f"< {line}")
                self._untold_lines += 1
            case TemperaturesReported():
                self._temps.append((time.time(), now.temperatures))
                self._untold_temps += 1
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._due, loop.time()), self._tell_current)

    def history(self) -> Message:
        """Everything that is known, but for what the next `current` will tell."""
        traffic = [line for _, line in _older(self._printer.recent, self._untold_lines)]
        temps = _older(self._printer.temperature_history, self._untold_temps)
        return Message("history", self._current(traffic, temps))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tell_current(self) -> None:
        self._timer = None
        self._due = asyncio.get_running_loop().time() + self.wish.throttle * INTERVAL
        busy = busy_files(self._printer.snapshot)
        current = structs.replace(self._current(self._traffic, self._temps), busyFiles=busy)
        self._traffic.clear()
        self._temps.clear()
        self._untold_lines = self._untold_temps = 0
        self._offer(Message("current", current))

    def _offer(self, message: Message) -> None:
        for reader in tuple(self.readers):
            reader.offer(message)

    def _current(self, traffic: Iterable[str], temps: Iterable[tuple[float, Heaters]]) -> Current:
        now = self._printer.snapshot
        lines = [printable(line)[:MAX_LINE] for line in traffic] if self.sees_terminal else []
        return Current(
            state=state_info(now),
            job=job(now),
            progress=progress(now),
            offsets=now.offsets,
            resends=_resends(self._printer.figures()),
            serverTime=time.time(),
            temps=[{"time": int(at), **heaters(readings)} for at, readings in temps],
            logs=selected(map(log_line, lines), self.wish.logs),
            messages=selected((line[2:] for line in lines if _is_message(line)), self.wish.messages),
        )


def merged(old: Current, new: Current) -> Current:
    """What `new` says, and what `old` said had come up."""
    return structs.replace(
        new,
        temps=[*old.temps, *new.temps][-MAX_LINES:],
        logs=[*old.logs, *new.logs][-MAX_LINES:],
        messages=[*old.messages, *new.messages][-MAX_LINES:],
    )


def _older(kept: deque[T], newest: int) -> list[T]:
    return list(kept)[: max(0, len(kept) - newest)]


def _is_message(line: str) -> bool:
    """What the printer says beside acknowledging."""
    return line.startswith("<") and not line.startswith("< ok")


def _resends(figures: LinkFigures | None) -> ResendInfo:
    if figures is None or not figures.lines_sent:
        return ResendInfo(0, 0, 0)
    return ResendInfo(figures.resends, figures.lines_sent, 100 * figures.resends // figures.lines_sent)
