"""The push: what happens to a printer, told to all who listen, in OctoPrint's messages.

A hub follows one printer for as long as somebody listens to it. Readers who want the same are one audience, for which
each message is made and encoded once. The printer waits for nobody: what a reader has not fetched yet waits in a queue
of its own, in which one `current` takes up the one before, and a reader whose queue is full is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct, structs

from limpet.printer.printer import Heaters, Printer
from limpet.printer.state import LinkFigures, Snapshot
from limpet.protocol.events import Event, LineReceived, LineSent, TemperaturesReported
from limpet.protocol.replies import printable
from limpet.web.events import events_of, log_line
from limpet.web.shapes import JobInfo, ProgressInfo, StateInfo, heaters, job, progress, state_info
from limpet.web.wishes import Wish, selected

log = logging.getLogger(__name__)
T = TypeVar("T")

INTERVAL = 0.5
"""Seconds between two `current` for a reader who has not asked for fewer."""
MAX_READERS = 1000
MAX_STRANGERS = 500
"""Readers who have not said yet who they are."""
MAX_WAITING = 1000
MAX_WAITING_BYTES = 1 << 22
"""Messages that wait for one reader; one that is slower is cut off. The largest single one is well below that."""
MAX_LINES = 300
"""Lines, and temperatures, in one `current`: the newest ones."""
MAX_LINE = 1024
MAX_WRONG = 10
"""Wrong names and sessions in a row, after which a reader is sent away."""


class Caller(Protocol):
    """Somebody with permissions: a key, or a user."""

    def permits(self, permission: str, /) -> bool: ...


Check = Callable[[str, str], Caller | None]
"""Who has logged in under this name and has this session; None when nobody has."""


@dataclass(frozen=True)
class Times:
    """In seconds: between two signs of life, for a stranger to say who he is, and for a client that fetches its
    messages one by one to come back."""

    heartbeat: float = 25.0
    stranger: float = 60.0
    session: float = 5.0


class TooManyReaders(Exception):
    """There are as many readers as there may be."""


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
    busyFiles: list[Any] | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


class Message:
    """One message, encoded once for everybody who gets it."""

    __slots__ = ("current", "json")

    def __init__(self, kind: str, content: object) -> None:
        self.json: bytes = msgspec.json.encode({kind: content})
        self.current = content if kind == "current" and isinstance(content, Current) else None


class Push:
    """All readers of all printers. `greeting` makes what each is told first, whoever he is."""

    def __init__(self, check: Check, greeting: Callable[[], object], times: Times | None = None) -> None:
        self.check = check
        self.times = times or Times()
        self._greeting = greeting
        self._hubs: dict[str, Hub] = {}
        self._readers: set[Reader] = set()

    def open(self, printer: Printer) -> Reader:
        """A new reader, who is told who we are, and nothing else before he has said who he is.

        Raises TooManyReaders.
        """
        if len(self._readers) >= MAX_READERS:
            raise TooManyReaders
        if sum(reader.caller is None for reader in self._readers) >= MAX_STRANGERS:
            raise TooManyReaders
        reader = Reader(self, printer)
        self._readers.add(reader)
        reader.offer(Message("connected", self._greeting()))
        return reader

    def close(self) -> None:
        """The server ends: all readers go."""
        for reader in tuple(self._readers):
            reader.close()

    def hub(self, printer: Printer) -> Hub:
        """The one that follows this printer, from now on if there was none."""
        hub = self._hubs.get(printer.id)
        if hub is None:
            hub = self._hubs[printer.id] = Hub(printer, lambda: self._hubs.pop(printer.id))
        return hub

    def forget(self, reader: Reader) -> None:
        self._readers.discard(reader)


class Reader:
    """Somebody who listens to one printer: what he wants, and what waits for him.

    `on_close` is set by who carries the messages, and called at the end: `at_once` when the reader is too slow to be
    told.
    """

    def __init__(self, push: Push, printer: Printer) -> None:
        self.caller: Caller | None = None
        self.wish = Wish()
        self.on_close: Callable[[bool], None] = nothing
        self.closed = False
        self._push = push
        self._printer = printer
        self._hub: Hub | None = None
        self._name = self._session = ""
        self._wrong = 0
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._waiting_current: Message | None = None
        self._beats = False
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._timer = self._loop.call_later(push.times.heartbeat, self._beat)

    # -- for who carries the messages --

    def receive(self, text: str | bytes) -> None:
        """A message of the reader's; what is not understood is passed over."""
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return
        if not isinstance(message, dict) or self.closed:
            return
        wish = self.wish
        if "subscribe" in message:
            wish = wish.subscribed(message["subscribe"])
        if "throttle" in message:
            wish = wish.throttled(message["throttle"])
        if wish != self.wish:
            self.wish = wish
            self._sit_down()
        if isinstance(claim := message.get("auth"), str):
            name, colon, session = claim.rpartition(":")
            if colon:
                self._authenticate(name, session)

    async def next(self) -> list[bytes] | None:
        """What waits, as soon as something does: JSON texts; none of them as a mere sign of life. None at the end."""
        while not self.closed:
            if self._waiting:
                messages = [message.json for message in self._waiting]
                self._drop_waiting()
                return messages
            if self._beats:
                self._beats = False
                return []
            self._news.clear()
            await self._news.wait()
        return None

    def close(self, *, at_once: bool = False) -> None:
        """He hears nothing any more."""
        if not self.closed:
            self.closed = True
            self._timer.cancel()
            self._stand_up()
            self._push.forget(self)
            self._drop_waiting()
            self._news.set()
            self.on_close(at_once)

    # -- for the hub --

    def offer(self, message: Message) -> None:
        if message.current is not None:
            if (last := self._waiting_current) is not None and last.current is not None:
                self._waiting.remove(last)
                self._waiting_bytes -= len(last.json)
                message = Message("current", _merged(last.current, message.current))
            self._waiting_current = message
        self._waiting.append(message)
        self._waiting_bytes += len(message.json)
        self._news.set()
        if len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
            self.close(at_once=True)

    # -- inside --

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._waiting_current = None

    def _authenticate(self, name: str, session: str) -> None:
        caller = self._push.check(name, session)
        if caller is None:
            self.offer(Message("reauthRequired", {"reason": "stale"}))
            self._wrong += 1
            if self._wrong >= MAX_WRONG:
                self.close(at_once=True)
            return
        self.caller, self._name, self._session, self._wrong = caller, name, session, 0
        self._sit_down()
        if self._hub is not None and self.wish.state:
            self.offer(self._hub.history(self))
        self.offer(Message("timelapse", None))

    def _sit_down(self) -> None:
        """Take a place among those who want and may hear the same, once it is known who asks."""
        if self.caller is not None and self.caller.permits("STATUS"):
            self._hub = self._push.hub(self._printer)
            self._hub.join(self)
        else:
            self._stand_up()

    def _stand_up(self) -> None:
        if self._hub is not None:
            self._hub.leave(self)
            self._hub = None

    def _beat(self) -> None:
        times = self._push.times
        if self.caller is None and self._loop.time() - self._opened_at >= times.stranger:
            self.close()
            return
        self._timer = self._loop.call_later(times.heartbeat, self._beat)
        self._beats = True
        self._news.set()
        if self.caller is not None:
            self._look_again()

    def _look_again(self) -> None:
        """A key may have been revoked, a session may have ended, or may now do other things."""
        caller = self._push.check(self._name, self._session)
        if caller is None:
            self.caller = None
            self._opened_at = self._loop.time()
            self._stand_up()
            self.offer(Message("reauthRequired", {"reason": "stale"}))
        elif caller != self.caller:
            self.caller = caller
            self._sit_down()


def nothing(_: bool) -> None:
    """Nobody carries the messages."""


Audience = tuple[Wish, bool]
"""What is wanted, and whether the lines on the wire may be seen."""


class Hub:
    """Follows one printer; `on_empty` is called when the last reader has left."""

    def __init__(self, printer: Printer, on_empty: Callable[[], object]) -> None:
        self._printer = printer
        self._on_empty = on_empty
        self._places: dict[Reader, Gathering] = {}
        self._gatherings: dict[Audience, Gathering] = {}
        self._events = printer.subscribe()
        self._before = printer.snapshot
        self._following = asyncio.create_task(self._follow())

    def join(self, reader: Reader) -> None:
        audience = (reader.wish, reader.caller is not None and reader.caller.permits("MONITOR_TERMINAL"))
        gathering = self._gatherings.get(audience)
        if gathering is None:
            gathering = self._gatherings[audience] = Gathering(self._printer, *audience)
        gathering.readers.add(reader)
        before, self._places[reader] = self._places.get(reader), gathering
        if before is not None and before is not gathering:
            self._leave(before, reader)

    def leave(self, reader: Reader) -> None:
        self._leave(self._places.pop(reader), reader)
        if not self._places:
            self._events.close()
            self._on_empty()

    def history(self, reader: Reader) -> Message:
        return self._places[reader].history()

    def _leave(self, gathering: Gathering, reader: Reader) -> None:
        gathering.readers.discard(reader)
        if not gathering.readers:
            gathering.close()
            del self._gatherings[gathering.wish, gathering.sees_terminal]

    async def _follow(self) -> None:
        try:
            async for event, now in self._events:
                told = [(info.type, Message("event", info)) for info in events_of(self._before, event, now)]
                self._before = now
                for gathering in tuple(self._gatherings.values()):
                    gathering.take(event, now, told)
        except Exception:
            log.exception("the push of %s has failed", self._printer.id)
        # Nobody is told only half of what has happened: whoever comes back gets the whole state.
        if self._events.fell_behind:
            log.warning("%s has said more than can be told; its readers are sent away", self._printer.id)
        for reader in tuple(self._places):
            reader.close()


class Gathering:
    """Readers of one printer who want the same, and what has come up since they were last told how things are."""

    def __init__(self, printer: Printer, wish: Wish, sees_terminal: bool) -> None:
        self.wish = wish
        self.sees_terminal = sees_terminal
        self.readers: set[Reader] = set()
        self._printer = printer
        self._traffic: deque[str] = deque(maxlen=MAX_LINES)
        self._temps: deque[tuple[float, Heaters]] = deque(maxlen=MAX_LINES)
        self._untold_lines = self._untold_temps = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def take(self, event: Event, now: Snapshot, told: Iterable[tuple[str, Message]]) -> None:
        for name, message in told:
            if self.wish.wants_event(name):
                self._offer(message)
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
        current = structs.replace(self._current(self._traffic, self._temps), busyFiles=[])
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


def _merged(old: Current, new: Current) -> Current:
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
