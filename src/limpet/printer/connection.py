"""Which port, which speed, handshake, lost, again: a state table and one loop.

    wanted? -> candidates -> open -> handshake within a deadline -> wait for loss -> back off -> again

Detection is only "more than one candidate" (probe.py asks each). Every state that waits has a deadline (Patience).
A printer that was lost, or that is to be connected at startup, is waited for; that is a closed state.

`connect` and `disconnect` first let go of all that was there: its tasks are cancelled and its link is cut at that
moment, so that nothing of it can speak any more, and no port is opened before all of it has come to its end.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from limpet.errors import Fault, PortError
from limpet.printer.candidates import detectable, elsewhere, recognise, wanted_port, why_not
from limpet.printer.faults import fault, summary
from limpet.printer.link import Link
from limpet.printer.probe import Probe, silence_after_opening
from limpet.printer.state import (
    CLOSED,
    CandidateTried,
    ConnectionFailed,
    LinkFigures,
    PrinterRecognised,
    State,
    StateChanged,
)
from limpet.printer.target import Patience, Target
from limpet.protocol.commands import Command
from limpet.protocol.events import Event, PrinterRestarted, SessionOpened
from limpet.protocol.firmware import LIKELY_BAUDRATES
from limpet.transports.ports import Port, PortList, find, plugged_at
from limpet.transports.urls import Openers, open_port

log = logging.getLogger(__name__)

DISCONNECT_TIME = 1.0
"""Seconds after which `disconnect` returns although something still hangs."""
SETTLE_TIME = 2.0
"""Seconds after which the next attempt goes on although something of the last one still hangs."""

_ALWAYS = {State.OPENING, State.DETECTING, State.OFFLINE, State.OFFLINE_AFTER_ERROR}
NEXT = {
    State.OFFLINE: {State.OPENING, State.DETECTING},
    State.OPENING: _ALWAYS | {State.CONNECTING},
    State.DETECTING: _ALWAYS | {State.OPERATIONAL},
    State.CONNECTING: _ALWAYS | {State.OPERATIONAL},
    State.OPERATIONAL: _ALWAYS | {State.CONNECTING},
    State.OFFLINE_AFTER_ERROR: {State.OPENING, State.DETECTING, State.OFFLINE},
}
"""The other states that may follow each state."""


class Connection:
    """Holds at most one link to a printer; `on_event` hears of everything that happens to it."""

    def __init__(
        self,
        ports: PortList,
        openers: Openers,
        on_event: Callable[[Event], None],
        next_command: Callable[[], Command | None],
        *,
        additional_baudrates: Sequence[int] = (),
        reserved: Callable[[], Collection[str]] = frozenset,
        patience: Patience | None = None,
    ) -> None:
        self.state = State.OFFLINE
        self.link: Link | None = None
        self._ports = ports
        self._openers = openers
        self._on_event = on_event
        self._next_command = next_command
        self._rates = (*LIKELY_BAUDRATES, *additional_baudrates)
        self._reserved = reserved
        self._patience = patience or Patience()
        self._target = Target()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: set[asyncio.Task[Any]] = set()
        self._connections = 0
        self._connected_at = 0.0

    def connect(self, target: Target) -> None:
        """Start towards `target`, in place of whatever was there; returns at once."""
        self._let_go()
        self._target = target
        self._connections = 0
        self._enter(State.DETECTING if target.detects else State.OPENING, target.port, target.baudrate)
        self._start(self._run())

    async def disconnect(self) -> None:
        """End whatever there is; the port is free when this returns, within a second."""
        self._let_go()
        if self.state is not State.OFFLINE:
            self._enter(State.OFFLINE)
        await self._settle(DISCONNECT_TIME)

    def figures(self) -> LinkFigures | None:
        """How the connection is doing; None while there is none."""
        if self.link is None or not self._connections:
            return None
        return self.link.figures(connected_at=self._connected_at, reconnects=self._connections - 1)

    # -- tasks: those of the present attempt or connection, and those that come to their end --

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _end(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        for task in tuple(tasks):
            self._tasks.discard(task)
            # To cancel it again would cut short how it frees its port.
            if task not in self._ending and task.cancel():
                self._ending.add(task)

    def _close(self, link: Link) -> None:
        if self.link is link:
            self.link = None
        link.abort()
        closing = asyncio.create_task(link.wait_closed())
        self._ending.add(closing)
        closing.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._ending.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PortError):
            log.error("a task of the connection has failed", exc_info=error)

    def _let_go(self) -> None:
        if self.link is not None:
            self._close(self.link)
        self._end(self._tasks)

    async def _settle(self, limit: float) -> None:
        """Wait until everything that was let go of has freed its port, `limit` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._ending:
                    await asyncio.wait(self._ending)

    # -- the loop --

    async def _run(self) -> None:
        waits = self._target.patient
        pauses = self._pauses()
        clock = asyncio.get_running_loop().time
        traffic: tuple[str, ...]
        try:
            while True:
                await self._settle(SETTLE_TIME)
                try:
                    link = await self._attempt()
                except PortError as error:
                    reason, traffic = error.fault, error.traffic
                    missing = reason.code in ("port_missing", "other_printer") and self._target.port is not None
                    waits = waits or (self._target.awaits_port and missing)
                else:
                    since = clock()
                    reason, traffic = await self._hold(link)
                    waits = self._target.faithful
                    if clock() - since >= self._patience.longest_pause:
                        pauses = self._pauses()
                waits = waits and reason.code != "firmware_halted"
                self._fail(reason, traffic, waiting=waits)
                if not waits:
                    return
                # The other printer is left in peace: what can change is that the right one is plugged in.
                other = reason.code == "other_printer"
                await self._wait_for_port(self._patience.longest_search_pause if other else next(pauses))
        except Exception as error:
            log.exception("the connection has failed")
            self._fail(fault("internal_error", port=self._target.port, detail=repr(error)), (), waiting=False)

    async def _attempt(self) -> Link:
        target = self._target
        ports = self._ports.look()
        if target.port is None:
            return await self._detect(detectable(ports, self._reserved()), target)
        port = wanted_port(ports, target)
        reason = fault("port_missing", port=target.port, detail="it is not plugged in")
        if port is not None:
            try:
                if target.baudrate is None:
                    return await self._detect([port], target)
                return await self._connect_to(port, target.baudrate)
            except PortError as error:
                if error.fault.code != "other_printer":
                    raise
                reason = error.fault
        moved = elsewhere(ports, target, self._reserved())
        if moved:
            with suppress(PortError):
                return await self._detect(moved, target)
        raise PortError(reason)

    async def _connect_to(self, port: Port, baudrate: int) -> Link:
        self._enter(State.OPENING, port.path, baudrate)
        link = Link(self._target.flow)
        try:
            with _as_port_error(port):
                await self._open(link, port, baudrate)
                self._enter(State.CONNECTING, port.path, baudrate)
                self._adopt(link)
                link.greet(
                    time=self._patience.greeting,
                    wrong_rate_time=self._patience.wrong_rate,
                    listening=silence_after_opening(link, port, self._patience),
                )
                await link.opened
        except BaseException:
            self._close(link)
            raise
        return link

    async def _hold(self, link: Link) -> tuple[Fault, tuple[str, ...]]:
        """Stay on an operational link until it is lost; then say why."""
        try:
            # The same printer is to be found again, wherever its port turns up.
            port, identity = recognise(self._ports.look(), link.port, link.firmware_fields, self._target.port)
            self._target = replace(self._target, port=port, baudrate=link.baudrate, identity=identity)
            reason = await link.ended
        finally:
            self._close(link)
        return reason, tuple(link.traffic)

    async def _open(self, link: Link, port: Port, baudrate: int) -> None:
        try:
            async with asyncio.timeout(self._patience.opening):
                transport = await open_port(port.path, baudrate, link, self._openers, self._target.reset)
        except TimeoutError:
            detail = f"it did not open within {self._patience.opening:g} s"
            raise PortError(fault("timeout", port=port.path, detail=detail)) from None
        link.attach(transport, port.path, baudrate)
        self._stop_if_let_go()

    def _adopt(self, link: Link) -> None:
        self.link = link
        link.adopt(self._on_event, self._next_command, partial(self._follow, link))

    # -- detection --

    async def _detect(self, candidates: Sequence[Port], target: Target) -> Link:
        """The first of the candidates that proves to be a printer."""
        self._enter(State.DETECTING, target.port, target.baudrate)
        if target.port is None:
            candidates = [port for port in candidates if not self._left_alone(port)]
        if not candidates:
            raise PortError(fault("no_printer_found", port=None, detail="there is no port to look at"))
        probes = {self._start(self._probe(port, self._rates_for(target))): port for port in candidates}
        likely = find(candidates, target.likely_port) if target.likely_port else None
        found = None
        try:
            found = await self._first_found(probes, likely)
        finally:
            self._end(probes)
            for task in probes:
                # Two printers may be found at the same moment, or one at the moment of a `disconnect`.
                if task.done() and not task.cancelled() and not task.exception() and task.result() is not found:
                    self._close(task.result())
        self._adopt(found)
        if self.state is State.DETECTING:
            # A flood of lines has pushed SessionOpened out of what the link keeps.
            self._on_opened(found)
        return found

    def _left_alone(self, port: Port) -> bool:
        """What is known to be no printer is not even opened, unless somebody names it."""
        if port.something_else is not None:
            self._on_event(CandidateTried(port.path, f"left alone: it is {port.something_else}", done=True))
        return port.something_else is not None

    def _rates_for(self, target: Target) -> tuple[int, ...]:
        if target.baudrate is not None:
            return (target.baudrate,)
        first = () if target.likely_baudrate is None else (target.likely_baudrate,)
        return tuple(dict.fromkeys((*first, *self._rates)))

    async def _first_found(self, probes: dict[asyncio.Task[Link], Port], likely: Port | None) -> Link:
        failed: dict[asyncio.Task[Link], PortError] = {}
        pending: set[asyncio.Task[Link]] = set(probes)
        while pending:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            awaited = {task for task in pending if probes[task] == likely}
            if awaited and any(task.done() and not task.exception() for task in pending - awaited):
                await asyncio.wait(awaited, timeout=self._patience.grace)
            for task in sorted(
                (task for task in probes if task in pending and task.done()), key=lambda t: t not in awaited
            ):
                pending.discard(task)
                path = probes[task].path
                try:
                    link = task.result()
                except PortError as error:
                    failed[task] = error
                    self._on_event(CandidateTried(path, error.fault.message, done=True))
                else:
                    found = CandidateTried(path, f"a printer, at {link.baudrate} baud", link.baudrate, done=True)
                    self._on_event(found)
                    return link
        raise summary([failed[task] for task in probes])

    async def _probe(self, port: Port, rates: Sequence[int]) -> Link:
        """A link on the port at the rate at which the wanted printer has proved itself."""
        link = Link(self._target.flow)
        try:
            with _as_port_error(port):
                await Probe(port, rates, self._patience, self._open, self._tell_candidate).run(link)
                stranger = why_not(self._ports.look(), self._target, link.port, link.firmware_fields)
                if stranger is not None:
                    raise PortError(stranger, tuple(link.traffic))
        except BaseException:
            self._close(link)
            raise
        return link

    def _tell_candidate(self, candidate: CandidateTried) -> None:
        self._enter(State.DETECTING, candidate.port, candidate.baudrate)
        self._on_event(candidate)

    # -- waiting for a printer that is not there --

    async def _wait_for_port(self, pause: float) -> None:
        """Until a wanted port appears; while one is there all along, for `pause` seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + pause
        before = self._wanted_devices()
        while True:
            await asyncio.sleep(self._patience.look * random.uniform(0.8, 1.0))  # noqa: S311
            there = self._wanted_devices()
            if there - before or (there and clock() >= deadline):
                return
            before = there

    def _wanted_devices(self) -> set[tuple[str, int]]:
        """The devices that may be it, each with the moment when it was plugged in."""
        ports = self._ports.look()
        if self._target.port is None:
            # What others are looking at just now comes and goes; it has not been plugged in for that.
            wanted = detectable(ports, ())
        else:
            port = wanted_port(ports, self._target)
            wanted = [*([port] if port else []), *elsewhere(ports, self._target, ())]
        return {(port.device, plugged_at(port)) for port in wanted}

    def _pauses(self) -> Iterator[float]:
        """Seconds between attempts, with jitter so that many printers do not march in step."""
        pause, longest = self._patience.pause, self._patience.longest_pause
        if self._target.port is None:
            pause, longest = self._patience.search_pause, self._patience.longest_search_pause
        while True:
            yield pause * random.uniform(0.8, 1.2)  # noqa: S311
            pause = min(2 * pause, longest)

    # -- the one setter, and what the link says --

    def _enter(self, state: State, port: str | None = None, baudrate: int | None = None) -> None:
        self._stop_if_let_go()
        if state is not self.state:
            if state not in NEXT[self.state]:
                raise AssertionError(f"a connection cannot go from {self.state!r} to {state!r}")
            log.info("%s -> %s (%s, %s)", self.state, state, port, baudrate)
        self.state = state
        self._on_event(StateChanged(state, port, baudrate, None if state in CLOSED else self._target.profile))

    def _fail(self, reason: Fault, traffic: tuple[str, ...], *, waiting: bool) -> None:
        self._stop_if_let_go()
        log.warning("%s: %s", reason.code, reason.message)
        self._on_event(ConnectionFailed(reason, time.time(), traffic, waiting))
        self._enter(State.OFFLINE_AFTER_ERROR)

    def _stop_if_let_go(self) -> None:
        if asyncio.current_task() in self._ending:
            raise asyncio.CancelledError  # What it has awaited swallowed the first one (wait_for did, up to 3.11).

    def _follow(self, link: Link, event: SessionOpened | PrinterRestarted) -> None:
        match event:
            case SessionOpened():
                self._on_opened(link)
            case PrinterRestarted(message=message):
                reason = fault("reset", port=link.port, detail=f"it said {message!r}")
                self._on_event(ConnectionFailed(reason, time.time(), tuple(link.traffic)))
                self._enter(State.CONNECTING, link.port, link.baudrate)

    def _on_opened(self, link: Link) -> None:
        ports = self._ports.look()
        if (stranger := why_not(ports, self._target, link.port, link.firmware_fields)) is not None:
            link.refuse(stranger)
            return
        self._connections += 1
        self._connected_at = time.time()
        port, identity = recognise(ports, link.port, link.firmware_fields, self._target.port)
        self._on_event(PrinterRecognised(port, link.baudrate, identity))
        self._enter(State.OPERATIONAL, link.port, link.baudrate)


@contextmanager
def _as_port_error(port: Port) -> Iterator[None]:
    """What nobody has foreseen ends an attempt at `port` like any other fault; the log has the whole of it."""
    try:
        yield
    except PortError:
        raise
    except Exception as error:
        log.exception("an attempt at %s has failed", port.path)
        raise PortError(fault("internal_error", port=port.path, detail=repr(error))) from error
