"""One printer: verbs in; snapshot and events out.

A verb returns when it is accepted, or raises from `errors.py`; what comes of it arrives as events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from itertools import count

from limpet.errors import BadRequest, Conflict
from limpet.printer.connection import Connection
from limpet.printer.state import (
    FileDeselected,
    FileSelected,
    LinkFigures,
    PrinterRecognised,
    SelectedFile,
    Snapshot,
    State,
    StateChanged,
    apply,
)
from limpet.printer.target import Patience, Target
from limpet.protocol.commands import Command, clean, code_of
from limpet.protocol.events import (
    CapabilityReported,
    CardReady,
    Event,
    LineReceived,
    LineSent,
    SdPrintEnded,
    SdPrintReported,
    SessionOpened,
    TemperaturesReported,
)
from limpet.protocol.gcode import list_card
from limpet.transports.ports import PortList
from limpet.transports.urls import Openers

log = logging.getLogger(__name__)
wire = logging.getLogger("limpet.wire")

MAX_QUEUED = 200
"""Commands that wait for room on the line."""
MAX_UNREAD = 1000
"""Events that wait for a subscriber; a reader that is slower is cut off."""
MAX_RECENT = 50
"""Lines on the wire that are kept for whoever begins to listen."""
MAX_TEMPERATURES = 900
"""Temperature reports that are kept: half an hour of them."""
REPORT_INTERVAL = 2
"""Seconds between temperature reports that the printer is asked to send on its own (M155)."""


Heaters = dict[str, tuple[float | None, float | None]]
"""Degrees Celsius: "tool0", "bed", "chamber" -> (actual, target)."""


class Printer:
    """One printer, connected or not.

    `temperature_history` has all heaters at each report, with its time in seconds since the epoch, `recent` the last
    lines on the wire with theirs. `tags` gives numbers to commands whose acknowledgement somebody waits for.
    """

    def __init__(
        self,
        id: str,
        ports: PortList,
        openers: Openers,
        *,
        additional_baudrates: Sequence[int] = (),
        reserved: Callable[[], Collection[str]] = frozenset,
        learn: Callable[[PrinterRecognised], None] = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        """`reserved` tells which devices belong to other printers; `learn` is told who was connected where."""
        self.id = id
        self.removed = False
        self._wish = 0
        self._card_unread = False
        self._learn = learn
        self.snapshot = Snapshot()
        self.temperature_history: deque[tuple[float, Heaters]] = deque(maxlen=MAX_TEMPERATURES)
        self.recent: deque[tuple[float, str]] = deque(maxlen=MAX_RECENT)
        self.tags = count(1)
        self._commands: deque[Command] = deque()
        self._subscriptions: set[Subscription] = set()
        self._connection = Connection(
            ports,
            openers,
            self._on_event,
            self._next_command,
            additional_baudrates=additional_baudrates,
            reserved=reserved,
            patience=patience,
        )

    @property
    def is_printing(self) -> bool:
        """A print is under way: one from the printer's own card, as there are no jobs yet."""
        return self.snapshot.sd_print is not None

    def figures(self) -> LinkFigures | None:
        """How the connection is doing; None while there is none."""
        return self._connection.figures()

    # -- verbs --

    def new_wish(self) -> int:
        """Whoever has to wait before connecting takes a number first, and looks whether it `is_latest_wish` after."""
        self._wish += 1
        return self._wish

    def is_latest_wish(self, number: int) -> bool:
        return number == self._wish

    def connect(self, target: Target) -> None:
        """Connect, reconnect, or replace the attempt that is under way."""
        self._connection.connect(target)

    async def disconnect(self) -> None:
        """End the connection or the attempt, and the wish for one; the port is free when this returns."""
        self.new_wish()
        await self._connection.disconnect()

    def send(self, *commands: str, tag: int | None = None) -> None:
        """Queue G-code lines. Raises Conflict when not operational or too much waits, BadRequest for a bad line.

        `tag` comes back with CommandAcknowledged; whoever gives one has a limit of his own to what waits. An M112
        goes before all that waits.
        """
        if self.snapshot.state is not State.OPERATIONAL:
            raise Conflict("The printer is not operational")
        try:
            cleaned = [Command(command, tag) for command in map(clean, commands) if command]
        except ValueError as error:
            raise BadRequest(str(error)) from None
        urgent = [command for command in cleaned if code_of(command.text) == "M112"]
        if tag is None and len(self._commands) + len(cleaned) > MAX_QUEUED + bool(urgent):
            raise Conflict("Too many commands wait to be sent; the printer is busy")
        self._commands.extendleft(urgent)
        self._commands.extend(command for command in cleaned if command not in urgent)
        self._wake()

    def select(self, file: SelectedFile | None) -> None:
        """Choose the file that a print would be of, or none. Raises Conflict when not operational."""
        if self.snapshot.state is not State.OPERATIONAL:
            raise Conflict("The printer is not operational")
        self.tell(FileDeselected() if file is None else FileSelected(file))

    def tell(self, event: Event) -> None:
        """Something has happened that is not the printer's doing, and that its subscribers want to know."""
        self._on_event(event)

    def repair(self) -> None:
        """Go on as if the printer had acknowledged its last line; nothing happens when no line is stuck."""
        if self._connection.link is not None:
            self._connection.link.repair()

    def subscribe(self) -> Subscription:
        """Every event from now on, each with the snapshot after it; none when the printer is `removed`."""
        subscription = Subscription(self._subscriptions)
        self._subscriptions.add(subscription)
        if self.removed:
            subscription.close()
        return subscription

    async def remove(self) -> None:
        """Disconnect for good; all subscriptions end."""
        self.removed = True
        await self.disconnect()
        for subscription in tuple(self._subscriptions):
            subscription.close()

    # -- the other street --

    def _on_event(self, event: Event) -> None:
        before = self.snapshot
        self.snapshot = apply(before, event)
        match event:
            case StateChanged(state=state) if state is not State.OPERATIONAL:
                # What waited for one printer, or for its life before a reset, is not for the next.
                self._commands.clear()
            case LineSent(line=line):
                wire.debug("%s > %s", self.id, line)
                self.recent.append((time.time(), f"> {line}"))
            case LineReceived(line=line):
                wire.debug("%s < %s", self.id, line)
                self.recent.append((time.time(), f"< {line}"))
            case CapabilityReported(name="AUTOREPORT_TEMP", enabled=True) if (
                "AUTOREPORT_TEMP" not in before.capabilities
            ):
                self._commands.append(Command(f"M155 S{REPORT_INTERVAL}"))
            case PrinterRecognised():
                self._learn(event)
            case TemperaturesReported():
                self.temperature_history.append((time.time(), self.snapshot.temperatures))
            case SessionOpened():
                # It may have been printing from its card all along, and is not disturbed by a look at it then.
                self._card_unread = self.snapshot.capabilities.get("SDCARD", True)
                self._commands.append(Command("M27"))
            case SdPrintEnded() if self._card_unread:
                self._card_unread = False
                self._list_card()
            case CardReady() if not before.sd_ready and not self._card_unread and before.state is State.OPERATIONAL:
                self._list_card()
            case SdPrintReported() if before.sd_print is None:
                self._commands.append(Command("M31"))
        for subscription in tuple(self._subscriptions):
            subscription.offer(event, self.snapshot)

    def _list_card(self) -> None:
        command = Command(list_card(self.snapshot.capabilities))
        if command not in self._commands:
            self._commands.append(command)

    def _next_command(self) -> Command | None:
        return self._commands.popleft() if self._commands else None

    def _wake(self) -> None:
        if self._connection.link is not None:
            self._connection.link.wake()


class Subscription:
    """An async iterator over (event, snapshot) that ends when its reader falls too far behind or closes it."""

    def __init__(self, peers: set[Subscription]) -> None:
        self._peers = peers
        self._unread: deque[tuple[Event, Snapshot]] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self.fell_behind = False

    def offer(self, event: Event, snapshot: Snapshot) -> None:
        if len(self._unread) >= MAX_UNREAD:
            self.fell_behind = True
            self.close()
        else:
            self._unread.append((event, snapshot))
            self._news.set()

    def close(self) -> None:
        self._closed = True
        self._peers.discard(self)
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[tuple[Event, Snapshot]]:
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
