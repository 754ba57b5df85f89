"""Which port, which speed, handshake, lost, again: a state table and one loop.

    wanted? -> candidates -> open -> handshake within a deadline -> wait for loss -> back off -> again

Detection is only "more than one candidate". Every state that waits has a deadline (Patience). A printer that was
lost, or that is to be connected at startup, is waited for; that is a closed state.

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
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from limpet.errors import Fault, PortError
from limpet.printer.faults import fault, most_telling
from limpet.printer.link import Link
from limpet.printer.state import CLOSED, CandidateTried, ConnectionFailed, State, StateChanged
from limpet.protocol.events import Event, PrinterRestarted, SessionOpened
from limpet.protocol.firmware import LIKELY_BAUDRATES
from limpet.transports.ports import Port, PortList, find, stable
from limpet.transports.urls import VIRTUAL, Openers, open_port

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


@dataclass(frozen=True)
class Patience:
    """How long is waited for what, in seconds."""

    opening: float = 10.0
    """For a port to open; transports have shorter limits of their own."""
    greeting: float = 15.0
    """For a printer to prove itself at a given rate; longer only while it says that it boots."""
    wrong_rate: float = 3.0
    """Of unreadable bytes before a given rate is called wrong."""
    detection: float = 25.0
    """For a whole detection, over all ports and rates."""
    dwell: float = 0.75
    """At one rate before the next is tried; a banner or an answer makes it longer."""
    wrong_dwell: float = 0.2
    """Of unreadable bytes before the next rate is tried."""
    look: float = 0.5
    """Between two looks for a port that is waited for."""
    pause: float = 1.0
    """Between two attempts at a port that is there; doubles each time, up to `longest_pause`."""
    longest_pause: float = 30.0
    search_pause: float = 60.0
    """The same between two detections, which write to every port; a port that appears is looked at at once."""
    longest_search_pause: float = 600.0


@dataclass(frozen=True)
class Target:
    """What is wanted: None for port or baudrate means to detect it.

    `awaits_port`: a port that is not plugged in yet is waited for (a preference, which need not be there).
    `patient`: a first attempt is repeated until it succeeds, whatever the reason (autoconnect).
    `faithful`: a printer that was connected once and is lost is taken up again.
    A firmware that has halted is left alone in any case.
    """

    port: str | None = None
    baudrate: int | None = None
    profile: str | None = None
    awaits_port: bool = False
    patient: bool = False
    faithful: bool = True

    @property
    def detects(self) -> bool:
        return self.port is None or self.baudrate is None


class Connection:
    """Holds at most one link to a printer; `on_event` hears of everything that happens to it."""

    def __init__(
        self,
        ports: PortList,
        openers: Openers,
        on_event: Callable[[Event], None],
        next_command: Callable[[], str | None],
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

    def connect(self, target: Target) -> None:
        """Start towards `target`, in place of whatever was there; returns at once."""
        self._let_go()
        self._target = target
        self._enter(State.DETECTING if target.detects else State.OPENING, target.port, target.baudrate)
        self._start(self._run())

    async def disconnect(self) -> None:
        """End whatever there is; the port is free when this returns, within a second."""
        self._let_go()
        if self.state is not State.OFFLINE:
            self._enter(State.OFFLINE)
        await self._settle(DISCONNECT_TIME)

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
        traffic: tuple[str, ...]
        try:
            while True:
                await self._settle(SETTLE_TIME)
                try:
                    link = await self._attempt()
                except PortError as error:
                    reason, traffic = error.fault, ()
                    missing = reason.code == "port_missing" and self._target.port is not None
                    waits = waits or (self._target.awaits_port and missing)
                else:
                    since = time.monotonic()
                    reason, traffic = await self._hold(link)
                    waits = self._target.faithful
                    if time.monotonic() - since >= self._patience.longest_pause:
                        pauses = self._pauses()
                waits = waits and reason.code != "firmware_halted"
                self._fail(reason, traffic, waiting=waits)
                if not waits:
                    return
                await self._wait_for_port(next(pauses))
        except Exception as error:
            log.exception("the connection has failed")
            self._fail(fault("internal_error", port=self._target.port, detail=repr(error)), (), waiting=False)

    async def _attempt(self) -> Link:
        target = self._target
        candidates = self._candidates(target.port)
        if not candidates and target.port is not None:
            raise PortError(fault("port_missing", port=target.port, detail="it is not plugged in"))
        if not candidates:
            raise PortError(fault("no_printer_found", port=None, detail="there is no port to look at"))
        if target.port is None or target.baudrate is None:
            return await self._detect(candidates, target)
        return await self._connect_to(candidates[0], target.baudrate)

    async def _connect_to(self, port: Port, baudrate: int) -> Link:
        self._enter(State.OPENING, port.path, baudrate)
        link = Link()
        try:
            with _as_port_error(port):
                await self._open(link, port, baudrate)
                self._enter(State.CONNECTING, port.path, baudrate)
                self._adopt(link)
                link.greet(time=self._patience.greeting, wrong_rate_time=self._patience.wrong_rate)
                await link.opened
        except BaseException:
            self._close(link)
            raise
        return link

    async def _hold(self, link: Link) -> tuple[Fault, tuple[str, ...]]:
        """Stay on an operational link until it is lost; then say why."""
        try:
            # The same printer is to be found again, wherever its port turns up.
            self._target = replace(self._target, port=self._stable_name(link.port), baudrate=link.baudrate)
            reason = await link.ended
        finally:
            self._close(link)
        return reason, tuple(link.traffic)

    async def _open(self, link: Link, port: Port, baudrate: int) -> None:
        try:
            async with asyncio.timeout(self._patience.opening):
                transport = await open_port(port.path, baudrate, link, self._openers)
        except TimeoutError:
            detail = f"it did not open within {self._patience.opening:g} s"
            raise PortError(fault("timeout", port=port.path, detail=detail)) from None
        link.attach(transport, port.path, baudrate)
        self._stop_if_let_go()

    def _adopt(self, link: Link) -> None:
        self.link = link
        link.adopt(partial(self._event_of_link, link), self._next_command)

    # -- detection --

    def _candidates(self, name: str | None) -> list[Port]:
        """What may be asked: each device once, nothing of other printers, and not the line of the kernel's console."""
        ports = self._ports.look()
        if name is not None:
            port = find(ports, name)
            return [port] if port is not None else []
        real = {port.device: port for port in reversed(ports) if port.kind not in ("virtual", "console")}
        if not real:
            return [port for port in ports if port.path == VIRTUAL]
        reserved = self._reserved()
        return [port for port in ports if port in real.values() and port.device not in reserved]

    async def _detect(self, candidates: Sequence[Port], target: Target) -> Link:
        """The first of the candidates that proves to be a printer."""
        self._enter(State.DETECTING, target.port, target.baudrate)
        rates = (target.baudrate,) if target.baudrate else self._rates
        probes = {self._start(self._probe(port, rates)): port for port in candidates}
        found = None
        try:
            found = await self._first_found(probes)
        finally:
            self._end(probes)
            for task in probes:
                # Two printers may be found at the same moment, or one at the moment of a `disconnect`.
                if task.done() and not task.cancelled() and not task.exception() and task.result() is not found:
                    self._close(task.result())
        self._adopt(found)
        if self.state is State.DETECTING:
            # A flood of lines has pushed SessionOpened out of what the link keeps.
            self._enter(State.OPERATIONAL, found.port, found.baudrate)
        return found

    async def _first_found(self, probes: dict[asyncio.Task[Link], Port]) -> Link:
        heard: list[Fault] = []
        pending: set[asyncio.Task[Link]] = set(probes)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                path = probes[task].path
                try:
                    link = task.result()
                except PortError as error:
                    heard.append(error.fault)
                    self._on_event(CandidateTried(path, error.fault.message))
                else:
                    self._on_event(CandidateTried(path, f"a printer, at {link.baudrate} baud", link.baudrate))
                    return link
        halted = [reason for reason in heard if reason.code == "firmware_halted"]
        if halted or (len(heard) == 1 and heard[0].code in ("port_missing", "port_busy", "permission_denied")):
            raise PortError((halted or heard)[0])
        detail = "; ".join(reason.message for reason in heard)
        raise PortError(fault("no_printer_found", port=None, detail=detail))

    async def _probe(self, port: Port, rates: Sequence[int]) -> Link:
        """A link on the port, which stays open meanwhile, at the rate at which a printer has proved itself."""
        link = Link()
        verdicts: dict[int, Fault] = {}
        try:
            with _as_port_error(port):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience.detection):
                        await self._find_rate(link, port, rates, verdicts)
                        return link
                raise PortError(most_telling(list(verdicts.values()), port.path))
        except BaseException:
            self._close(link)
            raise

    async def _find_rate(self, link: Link, port: Port, rates: Sequence[int], verdicts: dict[int, Fault]) -> None:
        """Try the rates in turn, again and again, as a board may still be booting; a verdict on each is left."""
        while True:
            for baudrate in rates:
                self._enter(State.DETECTING, port.path, baudrate)
                self._on_event(CandidateTried(port.path, f"asking at {baudrate} baud", baudrate))
                if not link.port:
                    await self._open(link, port, baudrate)
                elif link.baudrate != baudrate:
                    try:
                        await link.retune(baudrate)
                    except PortError as error:
                        if error.fault.code != "not_a_printer":
                            raise
                        continue  # The driver cannot do this rate; it could do the first.
                link.greet(time=self._patience.dwell, wrong_rate_time=self._patience.wrong_dwell)
                try:
                    await link.opened
                    return
                except PortError as error:
                    if link.ended.done() or error.fault.code == "firmware_halted":
                        raise
                    verdicts[baudrate] = error.fault

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

    def _wanted_devices(self) -> set[str]:
        return {port.device for port in self._candidates(self._target.port)}

    def _pauses(self) -> Iterator[float]:
        """Seconds between attempts, with jitter so that many printers do not march in step."""
        pause, longest = self._patience.pause, self._patience.longest_pause
        if self._target.port is None:
            pause, longest = self._patience.search_pause, self._patience.longest_search_pause
        while True:
            yield pause * random.uniform(0.8, 1.2)  # noqa: S311
            pause = min(2 * pause, longest)

    def _stable_name(self, path: str) -> str:
        ports = self._ports.look()
        port = find(ports, path)
        return stable(port, ports) if port is not None else path

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

    def _event_of_link(self, link: Link, event: Event) -> None:
        self._on_event(event)
        match event:
            case SessionOpened():
                self._enter(State.OPERATIONAL, link.port, link.baudrate)
            case PrinterRestarted(message=message):
                reason = fault("reset", port=link.port, detail=f"it said {message!r}")
                self._on_event(ConnectionFailed(reason, time.time(), tuple(link.traffic)))
                self._enter(State.CONNECTING, link.port, link.baudrate)


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
