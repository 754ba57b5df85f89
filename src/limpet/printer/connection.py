"""Which port, which speed, handshake, lost, again: a state table and one loop.

    wanted? -> candidates -> open -> handshake within a deadline -> wait for loss -> back off -> again

Detection is only "more than one candidate". Every state that waits has a deadline: opening a port 5 s, a greeting
15 s (more only while a banner is being read), a detection DETECTION_TIME. A printer that was lost, or that is to be
connected at startup, is waited for; that is a closed state, and it is left by `disconnect` at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from limpet.errors import Fault, PortError
from limpet.printer.faults import fault
from limpet.printer.link import Link
from limpet.printer.state import CLOSED, CandidateTried, ConnectionFailed, State, StateChanged
from limpet.protocol.events import Event, PrinterRestarted, SessionOpened
from limpet.protocol.firmware import LIKELY_BAUDRATES
from limpet.transports.ports import Port, PortList, find, stable
from limpet.transports.urls import VIRTUAL, Openers, open_port

log = logging.getLogger(__name__)

DETECTION_TIME = 25.0
"""Seconds for a whole detection, over all ports and rates."""
DWELL = 0.75
"""Seconds at one rate before the next is tried; a banner or an answer makes it longer."""
WRONG_RATE_TIME = 0.2
"""Seconds of unreadable bytes after which a rate is left at once."""
LOOK_INTERVAL = 0.5
"""Seconds between two looks for a port that is waited for."""
BACKOFF = (1.0, 30.0)

NEXT = {
    State.OFFLINE: {State.OPENING, State.DETECTING, State.OFFLINE_AFTER_ERROR},
    State.OPENING: {State.OPENING, State.DETECTING, State.CONNECTING, State.OFFLINE, State.OFFLINE_AFTER_ERROR},
    State.DETECTING: {State.DETECTING, State.OPENING, State.OPERATIONAL, State.OFFLINE, State.OFFLINE_AFTER_ERROR},
    State.CONNECTING: {
        State.OPERATIONAL,
        State.OPENING,
        State.DETECTING,
        State.OFFLINE,
        State.OFFLINE_AFTER_ERROR,
    },
    State.OPERATIONAL: {
        State.CONNECTING,
        State.OPENING,
        State.DETECTING,
        State.OFFLINE,
        State.OFFLINE_AFTER_ERROR,
    },
    State.OFFLINE_AFTER_ERROR: {State.OPENING, State.DETECTING, State.OFFLINE, State.OFFLINE_AFTER_ERROR},
}
"""The states that may follow each state."""


@dataclass(frozen=True)
class Target:
    """What is wanted: None for port or baudrate means to detect it.

    `awaits_port`: a port that is not plugged in yet is waited for (a preference, which need not be there).
    `patient`: a first attempt is repeated until it succeeds, whatever the reason (autoconnect).
    `faithful`: a printer that was connected once and is lost is taken up again.
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
    ) -> None:
        self.state = State.OFFLINE
        self.link: Link | None = None
        self._ports = ports
        self._openers = openers
        self._on_event = on_event
        self._next_command = next_command
        self._rates = (*LIKELY_BAUDRATES, *additional_baudrates)
        self._target = Target()
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def connect(self, target: Target) -> None:
        """Start towards `target`, in place of whatever was there; returns at once."""
        before = self._task
        self.link = None
        if before is not None:
            before.cancel()
            self._ending.add(before)
            before.add_done_callback(self._ending.discard)
        self._target = target
        self._enter(State.DETECTING if target.detects else State.OPENING, target.port, target.baudrate)
        self._task = asyncio.create_task(self._run(before), name="connection")

    async def disconnect(self) -> None:
        """End whatever there is, within a second; the port is free when this returns."""
        tasks = [task for task in (self._task, *self._ending) if task is not None]
        self._task = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        if self._task is None and self.state is not State.OFFLINE:
            self._enter(State.OFFLINE)

    # -- the loop --

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before], timeout=2.0)
        pauses = _Backoff()
        was_connected = False
        traffic: tuple[str, ...]
        while True:
            try:
                link = await self._attempt()
            except PortError as error:
                reason, traffic = error.fault, ()
                missing = reason.code == "port_missing"
                again = self._target.patient or was_connected or (self._target.awaits_port and missing)
            else:
                was_connected = True
                pauses = _Backoff()
                reason, traffic = await self._hold(link)
                again = self._target.faithful and reason.code != "firmware_halted"
            self._fail(reason, traffic, waiting=again)
            if not again:
                return
            await self._wait_for_port(pauses.next())

    async def _hold(self, link: Link) -> tuple[Fault, tuple[str, ...]]:
        """Stay on an operational link until it is lost; then say why."""
        # The same printer is to be found again, wherever its port turns up.
        self._target = replace(self._target, port=self._stable_name(link.port), baudrate=link.baudrate)
        try:
            reason = await link.ended
            return reason, tuple(link.traffic)
        finally:
            await self._drop(link)

    async def _drop(self, link: Link) -> None:
        if self.link is link:
            self.link = None
        await link.close()

    async def _attempt(self) -> Link:
        target = self._target
        if target.port is not None and target.baudrate is not None:
            port = self._port_named(target.port)
            return await self._connect_to(port, target.baudrate)
        return await self._detect(target)

    async def _connect_to(self, port: Port, baudrate: int) -> Link:
        self._enter(State.OPENING, port.path, baudrate)
        link = Link()
        try:
            await self._open(link, port, baudrate)
            self._enter(State.CONNECTING, port.path, baudrate)
            self._adopt(link)
            link.greet()
            await link.opened
        except BaseException:
            await self._drop(link)
            raise
        return link

    def _adopt(self, link: Link) -> None:
        self.link = link
        link.adopt(self._event_of_link, self._next_command)

    async def _open(self, link: Link, port: Port, baudrate: int) -> None:
        transport = await open_port(port.path, baudrate, link, self._openers)
        link.attach(transport, port.path, baudrate)

    # -- detection --

    async def _detect(self, target: Target) -> Link:
        self._enter(State.DETECTING, target.port, target.baudrate)
        candidates = self._candidates(target)
        if not candidates:
            raise PortError(fault("no_printer_found", port=None, detail="there is no port to look at"))
        rates = (target.baudrate,) if target.baudrate else self._rates
        probes = {asyncio.create_task(self._probe(port, rates)): port for port in candidates}
        try:
            link = await self._first_success(probes)
        finally:
            for task in probes:
                task.cancel()
            await asyncio.wait(probes)
        self._adopt(link)
        return link

    async def _first_success(self, probes: dict[asyncio.Task[Link], Port]) -> Link:
        """The link of the first probe that found a printer; a second one found at the same moment is closed again."""
        heard: list[Fault] = []
        pending: set[asyncio.Task[Link]] = set(probes)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            links = []
            for task in done:
                error = task.exception()
                if error is None:
                    links.append(task.result())
                elif isinstance(error, PortError):
                    heard.append(error.fault)
                    self._on_event(CandidateTried(probes[task].path, error.fault.message))
                else:
                    raise error
            for link in links[1:]:
                await link.close()
            if links:
                return links[0]
        if len(heard) == 1 and heard[0].code in ("port_missing", "port_busy", "permission_denied"):
            raise PortError(heard[0])
        detail = "; ".join(reason.message for reason in heard)
        raise PortError(fault("no_printer_found", port=None, detail=detail))

    def _candidates(self, target: Target) -> list[Port]:
        """What may be asked: each device once, and nothing on the line of the kernel's console."""
        if target.port is not None:
            return [self._port_named(target.port)]
        ports = self._ports.look()
        real = {port.device: port for port in reversed(ports) if port.kind not in ("virtual", "console")}
        return [port for port in ports if port in real.values()] or [port for port in ports if port.path == VIRTUAL]

    async def _probe(self, port: Port, rates: Sequence[int]) -> Link:
        """Try the rates in turn on the port, which stays open, until a printer proves itself or time is up."""
        link = Link()
        verdicts: dict[int, Fault] = {}
        try:
            async with asyncio.timeout(DETECTION_TIME):
                while True:
                    for baudrate in rates:
                        self._enter(State.DETECTING, port.path, baudrate)
                        self._on_event(CandidateTried(port.path, f"asking at {baudrate} baud", baudrate))
                        if not link.port:
                            await self._open(link, port, baudrate)
                        elif link.baudrate != baudrate:
                            await link.retune(baudrate)
                        link.greet(time=DWELL, wrong_rate_time=WRONG_RATE_TIME)
                        try:
                            await link.opened
                            return link
                        except PortError as error:
                            if link.ended.done():
                                raise
                            verdicts[baudrate] = error.fault
        except TimeoutError:
            await link.close()
            raise PortError(_most_telling(list(verdicts.values()), port)) from None
        except BaseException:
            await link.close()
            raise

    # -- waiting for a printer that is not there --

    async def _wait_for_port(self, pause: float) -> None:
        """Until the wanted port has come back; when it never went away, for `pause` seconds."""
        name = self._target.port
        was_there = name is None or find(self._ports.look(), name) is not None
        deadline = asyncio.get_running_loop().time() + pause
        while asyncio.get_running_loop().time() < deadline or not self._is_there(name):
            await asyncio.sleep(LOOK_INTERVAL * random.uniform(0.8, 1.0))  # noqa: S311
            if not was_there and self._is_there(name):
                return
            was_there = was_there and self._is_there(name)

    def _is_there(self, name: str | None) -> bool:
        ports = self._ports.look()
        return bool(ports) if name is None else find(ports, name) is not None

    def _port_named(self, name: str) -> Port:
        port = find(self._ports.look(), name)
        if port is None:
            raise PortError(fault("port_missing", port=name, detail="it is not plugged in"))
        return port

    def _stable_name(self, path: str) -> str:
        ports = self._ports.look()
        port = find(ports, path)
        return stable(port, ports) if port is not None else path

    # -- the one setter, and what the link says --

    def _enter(self, state: State, port: str | None = None, baudrate: int | None = None) -> None:
        if state not in NEXT[self.state] and state is not self.state:
            raise AssertionError(f"a connection cannot go from {self.state!r} to {state!r}")
        if state is not self.state:
            log.info("%s -> %s (%s, %s)", self.state, state, port, baudrate)
        self.state = state
        self._on_event(StateChanged(state, port, baudrate, None if state in CLOSED else self._target.profile))

    def _fail(self, reason: Fault, traffic: tuple[str, ...], *, waiting: bool) -> None:
        log.warning("%s: %s", reason.code, reason.message)
        self._on_event(ConnectionFailed(reason, time.time(), traffic, waiting))
        self._enter(State.OFFLINE_AFTER_ERROR)

    def _event_of_link(self, event: Event) -> None:
        link = self.link
        if link is None:
            return  # The last words of a link that has been replaced.
        self._on_event(event)
        match event:
            case SessionOpened():
                self._enter(State.OPERATIONAL, link.port, link.baudrate)
            case PrinterRestarted(message=message):
                reason = fault("reset", port=link.port, detail=f"it said {message!r}")
                self._on_event(ConnectionFailed(reason, time.time(), tuple(link.traffic)))
                self._enter(State.CONNECTING, link.port, link.baudrate)


class _Backoff:
    """Pauses that double from BACKOFF[0] to BACKOFF[1] seconds, with jitter so that many printers do not march."""

    def __init__(self) -> None:
        self._pause = BACKOFF[0]

    def next(self) -> float:
        pause = self._pause * random.uniform(0.8, 1.2)  # noqa: S311
        self._pause = min(2 * self._pause, BACKOFF[1])
        return pause


_TELLING = ("no_answer", "wrong_baudrate", "not_a_printer")


def _most_telling(verdicts: list[Fault], port: Port) -> Fault:
    """Of what came of each rate, the verdict that tells most about the device."""
    silent = Fault("no_answer", f"Nothing answered on {port.path} at any baudrate", "Check power and cable")
    told = [verdict for verdict in verdicts if verdict.code in _TELLING[1:]]
    return max(told, key=lambda verdict: _TELLING.index(verdict.code), default=silent)
