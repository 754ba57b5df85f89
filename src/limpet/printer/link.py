"""asyncio <-> Session: the only place where bytes, clock and core meet."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from limpet.errors import Fault, PortError
from limpet.printer.faults import TRAFFIC, fault
from limpet.printer.state import LinkFigures
from limpet.protocol.commands import Command
from limpet.protocol.events import (
    Acknowledged,
    BootReported,
    CommandAcknowledged,
    Event,
    FirmwareIdentified,
    LineReceived,
    LineSent,
    PrinterRestarted,
    SessionEnded,
    SessionOpened,
)
from limpet.protocol.session import GREETING_TIME, WRONG_RATE_TIME, Session
from limpet.protocol.window import AS_SHOWN, Flow
from limpet.transports.urls import Transport

WRITE_STALL = 5.0
"""Seconds that a port may refuse to take a byte before it counts as stuck."""
CLOSE_TIME = 0.8
"""Seconds after which nobody waits any longer for a port to be free."""
MAX_KEPT = 500
_WITH_EVERY_LINE = frozenset({LineSent, LineReceived, Acknowledged, CommandAcknowledged})


class Link(asyncio.Protocol):
    """One open port with a session on it.

    Until it is adopted it keeps its events to itself and sends nothing of its own accord: a port that is only
    probed must not disturb what is known about the printer. `opened` is done when the greeting is over, with a
    PortError when it failed; `ended` when the port or an opened session is lost.
    """

    def __init__(self, flow: Flow = AS_SHOWN) -> None:
        self._flow = flow
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._on_event: Callable[[Event], None] = self._kept.append
        self._next_command: Callable[[], Command | None] = lambda: None
        self._on_change: Callable[[SessionOpened | PrinterRestarted], None] = lambda _: None
        self._loop = asyncio.get_running_loop()
        self._transport: Transport | None = None
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._pumping = False
        self._closing = False
        self._written = 0
        self.port = ""
        self.baudrate = 0
        self.traffic: deque[str] = deque(maxlen=TRAFFIC)
        self.firmware_fields: dict[str, str] = {}
        self.read_well = False
        """What the session that has ended had heard was text."""
        self.booted_at: float | None = None
        """When a boot banner was last read on the port, at whatever rate; of the loop's clock."""
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[Fault] = self._loop.create_future()

    # -- for the connection --

    def adopt(
        self,
        on_event: Callable[[Event], None],
        next_command: Callable[[], Command | None],
        on_change: Callable[[SessionOpened | PrinterRestarted], None] = lambda _: None,
    ) -> None:
        """From now on `on_event` gets every event in order, first those that were kept, and `on_change` after it those
        with which a session begins anew; `next_command` is asked whenever the session has room, and returns None when
        there is nothing to send."""
        self._on_event, self._next_command, self._on_change = on_event, next_command, on_change
        while self._kept:
            self._tell(self._kept.popleft())
        self._pump()

    def attach(self, transport: Transport, port: str, baudrate: int) -> None:
        """Take over the transport that was opened with this link as its receiver."""
        self._transport, self.port, self.baudrate = transport, port, baudrate
        # A printer takes a few lines at a time: whatever has to wait is worth watching.
        transport.set_write_buffer_limits(0)

    def figures(self, *, connected_at: float, reconnects: int) -> LinkFigures | None:
        """How the line is doing; None without a session."""
        if self._session is None:
            return None
        known = self._session.figures
        half, most = known.round_trip() or (None, None)
        return LinkFigures(
            connected_at=connected_at,
            reconnects=reconnects,
            lines_sent=known.lines_sent,
            lines_received=known.lines_received,
            resends=known.resends,
            bytes_received=known.bytes_received,
            unreadable_bytes=known.unreadable_bytes,
            round_trip_p50=half,
            round_trip_p95=most,
            silent_for=self._loop.time() - known.heard_at,
            suspect=self._session.suspect,
        )

    @property
    def resets_board(self) -> bool:
        """Opening the port has probably just restarted the board behind it."""
        return self._transport is not None and self._transport.resets_board

    def greet(
        self,
        *,
        time: float = GREETING_TIME,
        settled_time: float = 0.0,
        wrong_rate_time: float = WRONG_RATE_TIME,
        listening: float = 0.0,
    ) -> None:
        """Start a session on the open port, in place of the one before; times are in seconds (session.py)."""
        self._kept.clear()
        self.traffic.clear()
        self.opened = self._loop.create_future()
        if self.ended.done():
            self._end(self.ended.result())
            return
        self._session = Session(
            self._loop.time(),
            greeting_time=time,
            settled_time=settled_time,
            wrong_rate_time=wrong_rate_time,
            listening=listening,
            flow=self._flow,
        )
        self._pump()

    async def retune(self, baudrate: int) -> None:
        """Change the rate on the open port, and forget what was heard at the old one."""
        if self._transport is None:
            return
        self._session = None
        self.baudrate = baudrate
        await self._transport.set_baudrate(baudrate)

    def refuse(self, reason: Fault) -> None:
        """What is at the other end is not wanted."""
        self._end(reason)

    def abort(self) -> None:
        """Drop everything; from here on the link neither says nor asks anything."""
        self._closing = True
        self._session = None
        self._set_timer()
        self.resume_writing()
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the port is free, for a second at the most."""
        if self._transport is not None:
            # When the driver hangs, the descriptor is closed by its thread some day.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIME):
                    await self._transport.wait_closed()

    async def close(self) -> None:
        """Drop everything and free the port; takes a second at the most."""
        self.abort()
        await self.wait_closed()

    def wake(self) -> None:
        """There may be something to send."""
        self._pump()

    def send_urgent(self, command: Command) -> None:
        """Write this before everything that waits, whatever the printer is busy with."""
        if self._session is not None:
            self._session.send_urgent(command.text, self._loop.time(), command.tag)
            self._pump()

    @property
    def idle(self) -> bool:
        """All that was sent has been acknowledged."""
        return self._session is None or self._session.idle

    @property
    def waits_for_heat(self) -> bool:
        """The printer is busy with a command that waits for a temperature."""
        return self._session is not None and self._session.waits_for_heat

    @property
    def waits_for_user(self) -> bool:
        """The printer is busy with a command that waits for a person in front of it (M0, M600)."""
        return self._session is not None and self._session.waits_for_user

    def repair(self) -> None:
        if self._session is not None:
            self._session.repair(self._loop.time())
            self._pump()

    # -- asyncio.Protocol, called by the transport --

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            self._session.receive_data(data, self._loop.time())
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._lose(fault("unplugged", port=self.port, detail=_words(exc)))

    def pause_writing(self) -> None:
        if not self._closing:
            self._stall_timer = self._loop.call_later(WRITE_STALL, self._watch_writing, self._taken())

    def resume_writing(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # -- inside --

    def _watch_writing(self, taken: int) -> None:
        self._stall_timer = None
        if self._taken() > taken:
            self.pause_writing()
        else:
            detail = f"it has not taken a byte for {WRITE_STALL:g} s"
            self._lose(fault("write_stalled", port=self.port, detail=detail))

    def _taken(self) -> int:
        """Bytes that the port has taken so far."""
        return self._written - (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def _pump(self) -> None:
        """Events out, commands in, bytes out, until there is nothing left to do; then sleep until the deadline."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._session is not None and self._turn(self._session):
                pass
        finally:
            self._pumping = False
        self._set_timer()

    def _turn(self, session: Session) -> bool:
        """Whether there may be more to do: a command has been taken, or what was told has made room for one."""
        events = [*iter(session.next_event, None)]
        # What comes with every line can wait until the next one is out: the printer does nothing until then.
        hurries = _WITH_EVERY_LINE.issuperset(map(type, events))
        if not hurries:
            self._handle_all(events)
        taken = False
        if self._session is session and session.ready and (command := self._next_command()) is not None:
            taken = True
            session.send(command.text, self._loop.time(), command.tag)
        if (data := session.data_to_send()) and self._transport is not None:
            self._written += len(data)
            self._transport.write(data)
        if hurries:
            self._handle_all(events)
        return taken or (bool(events) and session.ready)

    def _handle_all(self, events: list[Event]) -> None:
        for event in events:
            self._handle(event)

    def _handle(self, event: Event) -> None:
        match event:
            case LineSent(line=line):
                self.traffic.append(f"> {line}")
                self._on_event(event)
            case LineReceived(line=line):
                self.traffic.append(f"< {line}")
                self._on_event(event)
            case Acknowledged() | CommandAcknowledged():
                self._on_event(event)
            case _:
                self._handle_rare(event)

    def _tell(self, event: Event) -> None:
        self._on_event(event)
        if isinstance(event, SessionOpened | PrinterRestarted):
            self._on_change(event)

    def _handle_rare(self, event: Event) -> None:
        """What does not come with every line."""
        match event:
            case FirmwareIdentified(fields=fields):
                self.firmware_fields = fields
            case BootReported():
                self.booted_at = self._loop.time()
        self._tell(event)
        match event:
            case SessionOpened():
                if not self.opened.done():
                    self.opened.set_result(None)
            case SessionEnded(code=code, detail=detail):
                self.read_well = self._session is not None and self._session.reads_well
                self._end(fault(code, port=self.port, baudrate=self.baudrate, detail=detail))

    def _lose(self, reason: Fault) -> None:
        """The port is gone, whatever the session was doing."""
        self._end(reason)
        if not self.ended.done():
            self.ended.set_result(reason)

    def _end(self, reason: Fault) -> None:
        self._session = None
        if not self.opened.done():
            self.opened.set_exception(PortError(reason, tuple(self.traffic)))
            self.opened.exception()  # Asked for here, so that an attempt that nobody waits for any more is no leak.
        elif not self.ended.done():
            self.ended.set_result(reason)

    def _set_timer(self) -> None:
        deadline = self._session.deadline if self._session is not None else None
        if self._timer is not None:
            # One that comes too early does nothing but set the next; each line puts the deadline off.
            if deadline is not None and self._timer.when() <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._wake_session)

    def _wake_session(self) -> None:
        self._timer = None
        if self._session is not None:
            self._session.handle_timer(self._loop.time())
            self._pump()


def _words(exc: Exception | None) -> str:
    if isinstance(exc, OSError) and exc.errno == errno.EIO:
        return "the device is not there any more"  # What EIO means on a port, for a person.
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc or "") or "the other side has closed it"
