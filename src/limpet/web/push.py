"""The push: what happens to a printer, told to all who listen, in OctoPrint's messages.

The printer waits for nobody: what a reader has not fetched yet waits in a queue of its own, in which one `current`
takes up the one before, and a reader whose queue is full is cut off.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from limpet.limits import network_of
from limpet.printer.printer import Printer
from limpet.web.hub import Hub, Message, merged
from limpet.web.wishes import Wish

MAX_READERS = 1000
MAX_STRANGERS = 500
"""Readers who have not said yet who they are,"""
MAX_STRANGERS_EACH = 250
"""and those of them at one address."""
MAX_WAITING = 1000
MAX_WAITING_BYTES = 1 << 22
"""Messages that wait for one reader; one that is slower is cut off. The largest single one is well below that."""
MAX_WRONG = 10
"""Wrong names and sessions in a row, after which a reader is sent away."""


class Caller(Protocol):
    """Somebody with permissions: a key, or a user."""

    def permits(self, permission: str, /) -> bool: ...


Check = Callable[[str, str], Caller | None]
"""Who has logged in under this name and has this session; None when nobody has."""


@dataclass(frozen=True)
class Times:
    """In seconds: between two signs of life, for a stranger to say who he is, for a client that fetches its messages
    one by one to come back, and between two looks at which ports there are."""

    heartbeat: float = 25.0
    stranger: float = 60.0
    session: float = 5.0
    ports: float = 1.0


class TooManyReaders(Exception):
    """There are as many readers as there may be."""


class Push:
    """All readers of all printers.

    `greeting` makes what each is told first, whoever he is; `ports` are the names of the ports on offer.
    """

    def __init__(
        self,
        check: Check,
        greeting: Callable[[], object],
        ports: Callable[[], list[str]],
        times: Times | None = None,
    ) -> None:
        self.check = check
        self.times = times or Times()
        self._greeting = greeting
        self._ports = ports
        self._hubs: dict[str, Hub] = {}
        self._readers: set[Reader] = set()

    def open(self, printer: Printer, address: str) -> Reader:
        """A new reader at this address, who is told who we are, and nothing else before he has said who he is.

        Raises TooManyReaders.
        """
        if len(self._readers) >= MAX_READERS:
            raise TooManyReaders
        network = network_of(address)
        strangers = Counter(reader.network for reader in self._readers if reader.caller is None)
        if strangers.total() >= MAX_STRANGERS or strangers[network] >= MAX_STRANGERS_EACH:
            raise TooManyReaders
        reader = Reader(self, printer, network)
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
            hub = self._hubs[printer.id] = Hub(
                printer, self._ports, self.times.ports, lambda: self._hubs.pop(printer.id)
            )
        return hub

    def forget(self, reader: Reader) -> None:
        self._readers.discard(reader)


class Reader:
    """Somebody who listens to one printer: what he wants, and what waits for him.

    `on_close` is set by who carries the messages, and called at the end: `at_once` when the reader is too slow to be
    told.
    """

    def __init__(self, push: Push, printer: Printer, network: str) -> None:
        self.caller: Caller | None = None
        self.network = network
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
                message = Message("current", merged(last.current, message.current))
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
            self._hub.join(self, self.wish, self.caller.permits("MONITOR_TERMINAL"))
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
