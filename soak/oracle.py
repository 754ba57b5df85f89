"""Knows the truth about the world, hears what Limpet claims, and complains when the two differ.

It hears every event of every printer, and looks at everything before each jump of the clock, when Limpet has done all
that it can do at that moment. What it holds Limpet to is in docs/soak.md, in words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from limpet.errors import Fault
from limpet.printer.print import Phase, PhaseChanged, Print, PrintEnded, PrintProgressed
from limpet.printer.state import CLOSED, ConnectionFailed, Snapshot, State, StateChanged
from limpet.protocol.events import Event
from soak.device import open_terminals
from soak.host import PATIENCE, Host, Wish
from soak.journal import Journal
from soak.loop import SimulatedLoop
from soak.sheet import Sheet, moves_of
from soak.thing import Thing
from soak.world import World

CODES = frozenset(
    {
        *("port_missing", "port_busy", "wrong_baudrate", "no_answer", "not_a_printer", "no_printer_found", "unplugged"),
        *("timeout", "firmware_halted", "firmware_error", "reset", "other_printer"),
    }
)
"""The reasons that the API may give, but for those that there are not in this world."""

MOMENT = 1.0
"""Seconds for whatever happens at once: an unplugged port is told, a closed one is free."""
PROOF = 4.0
"""Seconds that the last answer of a printer may be old when it is called operational."""
NOTICE = {"is unplugged": MOMENT, "has halted": MOMENT}
SILENCE = 30.0
"""Seconds after which a printer that is silent, or has become unreadable, is no longer called operational: up to 10 s
until it is asked, and 15 s without an answer."""
SLOW_SILENCE = 630.0
"""The same when it may be carrying out a slow command."""
LONGEST_STATE = 60.0
LONGEST_WAIT = 1.2 * PATIENCE.longest_pause + 50.0
"""Seconds after which a printer that is there and well is connected: a pause, the rest of an attempt, another one."""
LONGEST_SEARCH = 1.2 * PATIENCE.longest_search_pause + 60.0
RETURN = 6.0
"""Seconds, beside its boot time, after which a printer that is back is connected."""
STALL = 220.0
"""Seconds that a print stands still while nothing is wrong: a printer that has restarted without a word, and whose
firmware does not look at the order of lines, is given up after 180."""
AUDIT_EVERY = 0.5
"""Seconds between two looks at all descriptors."""
COUNT_EVERY = 2.0
"""Seconds between two looks at all that the printers have got."""


@dataclass
class Claim:
    """What was last heard of one printer, and since when."""

    state: State = State.OFFLINE
    since: float = 0.0
    closed_at: float = float("-inf")
    attempt_at: float = 0.0
    operational: bool = False
    thing: Thing | None = None
    snapshot: Snapshot = field(default_factory=Snapshot)


class Oracle:
    def __init__(self, loop: SimulatedLoop, world: World, hosts: list[Host], journal: Journal) -> None:
        self._loop, self._world, self._hosts, self._journal = loop, world, hosts, journal
        self._claims = {host.name: Claim() for host in hosts}
        self._touched: dict[tuple[str, str], float] = {}
        self._audited_at = self._counted_at = float("-inf")
        for host in hosts:
            host.on_event = self._hear
            host.before_connect = self._begin
            host.after_disconnect = self._check_disconnected
        world.lock_was_free = self._check_unlocked

    # -- what is said --

    def _begin(self, host: Host) -> None:
        claim = self._claims[host.name]
        claim.attempt_at = claim.since = self._loop.time()
        claim.operational = False

    def _hear(self, host: Host, event: Event, snapshot: Snapshot) -> None:
        claim = self._claims[host.name]
        match event:
            case ConnectionFailed(fault=fault, waiting=waiting):
                self._journal.tell(host.name, f"says {fault.code}", f"{fault.message}{' (waits)' * waiting}")
                self._check_fault(host, claim, fault)
            case StateChanged(state=state) if state is not claim.state:
                again = " again" if state is State.OPERATIONAL and host.wish is not None and host.wish.thing else ""
                self._journal.tell(host.name, f"is {state}{again}", f"({_words(snapshot)})")
                self._enter(host, claim, state, snapshot)
            case StateChanged():
                self._check_port(host, snapshot)
            case PhaseChanged(print=print):
                self._journal.tell(host.name, f"is {print.phase}", f"at line {print.line}")
                self._check_print(host, print)
            case PrintProgressed(print=print):
                self._check_print(host, print)
            case PrintEnded(print=print):
                self._journal.tell(host.name, f"has {event.outcome}", f"at line {print.line}: {event.message}")
                self._check_print(host, print)
                self._check_print_ended(host, event)
        claim.snapshot = snapshot

    def _enter(self, host: Host, claim: Claim, state: State, snapshot: Snapshot) -> None:
        now = self._loop.time()
        was, claim.state, claim.since = claim.state, state, now
        self._check_port(host, snapshot)
        if was in CLOSED and state not in CLOSED:
            self._check_haste(host, claim)
            claim.attempt_at, claim.operational = now, False
        if state in CLOSED:
            claim.closed_at = now
        if state is State.OPERATIONAL:
            claim.operational = True
            claim.thing = self._world.was_at(snapshot.port)
            self._check_fulfilled(host, claim, snapshot)
        if state is State.OFFLINE and host.wish is not None:
            self._complain(host, "is Offline although nobody wanted that")
        if state is State.OFFLINE_AFTER_ERROR:
            self._check_ended(host, claim, snapshot)

    def _check_port(self, host: Host, snapshot: Snapshot) -> None:
        """Port and rate are null when closed, else possible, and known when operational."""
        port, baudrate = snapshot.port, snapshot.baudrate
        if snapshot.state in CLOSED and (port, baudrate) != (None, None):
            self._complain(host, f"names {port} at {baudrate} in a closed state")
        wanted = host.wish.target.port if host.wish is not None else None
        is_stable = port is not None and "/serial/by-" in port and snapshot.state is not State.OPERATIONAL
        if port is not None and port not in self._world.paths and port != wanted and not is_stable:
            self._complain(host, f"names a port that there is not: {port}")
        if (baudrate is not None and baudrate <= 0) or (snapshot.state is State.OPERATIONAL and baudrate is None):
            self._complain(host, f"names {baudrate} as baudrate")

    def _check_fulfilled(self, host: Host, claim: Claim, snapshot: Snapshot) -> None:
        thing, wish = claim.thing, host.wish
        if thing is None:
            self._complain(host, f"is connected to {snapshot.port}, where nothing was ever plugged in")
            return
        if wish is None:
            self._complain(host, "is connected although nobody wanted that")
            return
        if wish.thing is not None and wish.thing is not thing:
            self._complain(host, f"has taken {thing.name} for {wish.thing.name}")
        if wish.target.baudrate is not None and snapshot.baudrate != wish.target.baudrate:
            self._complain(host, f"is connected at {snapshot.baudrate}, not at {wish.target.baudrate}")
        wish.thing, wish.path, wish.baudrate = thing, snapshot.port, snapshot.baudrate

    def _check_fault(self, host: Host, claim: Claim, fault: Fault) -> None:
        """The reason is one that there is, has words, and happened."""
        if fault.code not in CODES or not fault.message or not fault.hint:
            self._complain(host, f"gives a reason that is none: {fault}")
        if not self._is_so(host, claim, fault.code):
            self._complain(host, f"says {fault.code}, which is not so: {fault.message}")

    def _is_so(self, host: Host, claim: Claim, code: str) -> bool:
        now, things = self._loop.time(), self._world.things
        begun = min(claim.attempt_at, now) - 2 * MOMENT
        match code:
            case "unplugged":
                return any(thing.unplugged_at >= now - MOMENT for thing in [*things, *self._world.gone])
            case "port_missing":
                moved = [max(thing.unplugged_at, thing.plugged_at) for thing in [*things, *self._world.gone]]
                return any(moment >= begun for moment in moved) or not self._wanted(host.wish)
            case "port_busy":
                taken = any(thing.holder is not None or thing.troubled_at >= begun for thing in things)
                return taken or any(self._is_about(peer, None) for peer in self._hosts if peer is not host)
            case "firmware_halted":
                return any(thing.sickness == "has halted" for thing in things)
            case "reset":
                return any(thing.reset_at >= now - 2 * SILENCE for thing in things)
        return True

    def _check_ended(self, host: Host, claim: Claim, snapshot: Snapshot) -> None:
        """There is a reason, it waits as it should, and neither an attempt nor a connection fails on a well printer."""
        failure, wish = snapshot.failure, host.wish
        if failure is None or wish is None:
            self._complain(host, "has failed without a reason" if wish else "has failed although nothing was wanted")
            return
        target, code = wish.target, failure.fault.code
        missing = target.awaits_port and code == "port_missing"
        waits = target.faithful if claim.operational else (target.patient or wish.waits or missing)
        waits = waits and code != "firmware_halted"
        if failure.waiting != waits:
            self._complain(host, f"{'waits' if failure.waiting else 'does not wait'} after {code}, against the wish")
        wish.waits = waits
        if claim.operational:
            lost = [claim.thing] if claim.thing is not None and claim.thing.is_well(self._loop.time()) else []
            since = claim.attempt_at
        else:
            lost, since = self._wanted(wish), claim.attempt_at
        for thing in lost:
            if self._fine_since(host, thing, claim.operational) < since and thing.understands(_rate(wish)):
                self._complain(host, f"has failed ({code}) although {thing.name} was well all the time")
        if not waits:
            host.wish = None

    def _check_haste(self, host: Host, claim: Claim) -> None:
        """Nothing is tried again before its pause is over, unless a port has come, or become free, meanwhile."""
        wish, now = host.wish, self._loop.time()
        if wish is None or not wish.waits:
            return
        searches = wish.target.port is None and wish.thing is None
        pause = 0.8 * (PATIENCE.search_pause if searches else PATIENCE.pause)
        news = [thing.plugged_at for thing in self._world.things]
        if now - claim.closed_at < pause and max(news) < claim.closed_at - MOMENT:
            self._complain(host, f"tries again after {now - claim.closed_at:.1f} s, and nothing is new")

    def _check_disconnected(self, host: Host, seconds: float) -> None:
        if seconds > MOMENT:
            self._complain(host, f"took {seconds:.3f} s to disconnect")
        if host.printer.snapshot.state is not State.OFFLINE:
            self._complain(host, f"is {host.printer.snapshot.state} after a disconnect")
        self._check_nothing_runs(host, 0)
        self._audit(closed=host)

    def _check_unlocked(self, thing: Thing) -> None:
        for host in self._hosts:
            if self._claims[host.name].state is State.OPERATIONAL and self._claims[host.name].thing is thing:
                self._complain(host, f"is connected to {thing.name} without having its lock")

    def _check_print(self, host: Host, print: Print) -> None:
        """It prints what it was told to, and not further than the printer has got."""
        sheet, now = host.sheet, self._loop.time()
        if sheet is None or sheet.ended is not None or sheet.file != print.file:
            self._complain(host, f"prints {print.file.name}, which it was not told to")
            return
        if print.phase is not sheet.phase:
            sheet.phase, sheet.moved_at = print.phase, now
        sheet.line = print.line
        self._check_arrived(sheet)

    def _check_print_ended(self, host: Host, event: PrintEnded) -> None:
        """For a reason that there is: and only what was wanted reaches a printer, and only that printer."""
        sheet, code = host.sheet, event.code
        if sheet is None or sheet.ended is not None:
            return
        sheet.ended = event
        self._check_arrived(sheet)
        wrong = {
            "done": code is not None,
            "cancelled": not sheet.stopped,
            "failed": code not in CODES | {"disconnected"} or not self._is_so(host, self._claims[host.name], str(code)),
        }
        if wrong[event.outcome] or (event.outcome != "done" and not event.message):
            self._complain(host, f"says of print {sheet.number} that it is {event.outcome} for {code}: {event.message}")
        for thing in self._world.things:
            if thing is not sheet.thing and moves_of(thing.accepted, sheet.number):
                self._complain(host, f"has sent moves of print {sheet.number} to {thing.name}")

    def _check_arrived(self, sheet: Sheet) -> None:
        if (wrong := sheet.look(self._loop.time())) is not None:
            self._complain(None, f"{sheet.thing.name} {wrong}")

    def _check_printing(self, host: Host) -> None:
        """A print goes on while nothing is wrong, and there is none without a printer."""
        sheet, now = host.sheet, self._loop.time()
        if sheet is None or not host.is_printing:
            return
        if host.printer.snapshot.state is not State.OPERATIONAL:
            self._complain(host, f"prints, and is {host.printer.snapshot.state}")
        since = max(sheet.moved_at, sheet.thing.troubled_at, host.slow_at)
        well = sheet.thing.is_well(now) and sheet.thing.core is sheet.core
        stands = sheet.phase is not Phase.PAUSED and well and now - since > STALL
        if stands and not sheet.look(now) and now - sheet.moved_at > STALL:
            self._complain(host, f"is {sheet.phase} and stands still since {since:.3f}")

    # -- what is --

    def look(self) -> None:
        """Nothing more will happen at this moment: compare."""
        now = self._loop.time()
        for host in self._hosts:
            for thing in self._world.things:
                if self._is_taken(host, thing):
                    self._touched[host.name, thing.name] = now
        for host in self._hosts:
            claim = self._claims[host.name]
            if host.printer.snapshot.state is not claim.state:
                self._complain(host, f"is {host.printer.snapshot.state} without having said so")
            if claim.state is State.OPERATIONAL:
                self._check_operational(host, claim)
            elif claim.state not in CLOSED and now - claim.since > LONGEST_STATE:
                self._complain(host, f"has been {claim.state} for {LONGEST_STATE:g} s")
            elif claim.state in CLOSED and now - claim.closed_at > MOMENT:
                waits = claim.snapshot.failure is not None and claim.snapshot.failure.waiting
                self._check_nothing_runs(host, int(waits))
            if claim.state is not State.OPERATIONAL:
                self._check_progress(host, claim)
            self._check_printing(host)
        if now - self._audited_at >= AUDIT_EVERY:
            self._audited_at = now
            self._audit()
        if now - self._counted_at >= COUNT_EVERY:
            self._counted_at = now
            self._count()

    def _check_operational(self, host: Host, claim: Claim) -> None:
        thing, now = claim.thing, self._loop.time()
        if thing is None:
            return
        wrong = thing.what_is_wrong(claim.snapshot.baudrate, now)
        if wrong is None:
            return
        what, since = wrong
        false_when_made = since < claim.since - PROOF
        slow = host.is_printing or host.slow_at > since - 2 * LONGEST_STATE
        notice = NOTICE.get(what, SLOW_SILENCE if slow else SILENCE)
        if false_when_made or now > max(since, claim.since) + notice:
            self._complain(
                host, f"is Operational at {claim.snapshot.baudrate}, but {thing.name} {what} since {since:.3f}"
            )

    def _check_progress(self, host: Host, claim: Claim) -> None:
        """Whoever waits for a printer that is there and well gets it."""
        wish, now = host.wish, self._loop.time()
        if wish is None:
            return
        for thing in self._wanted(wish):
            if not thing.understands(_rate(wish)):
                continue
            limit = LONGEST_SEARCH if wish.target.port is None and wish.thing is None else LONGEST_WAIT
            fine_since = max(self._fine_since(host, thing), wish.since)
            returned = thing.plugged_at == fine_since and thing.plugged_at - thing.unplugged_at > 2 * MOMENT
            idle = claim.closed_at < thing.plugged_at and (claim.state in CLOSED or claim.since >= thing.plugged_at)
            if returned and wish.waits and idle:
                limit = RETURN + thing.boot_time
            if now - fine_since > limit:
                self._complain(host, f"is {claim.state}, but {thing.name} is there and well since {fine_since:.3f}")

    def _check_nothing_runs(self, host: Host, allowed: int) -> None:
        tasks, timers = self._loop.tasks_of(host.name), self._loop.timers_of(host.name)
        if len(tasks) > allowed or len(timers) > allowed:
            self._complain(host, f"is closed, but {tasks} and {timers} are left")

    def _audit(self, closed: Host | None = None) -> None:
        """Every open descriptor of a port has a printer to which it belongs."""
        own = {str(thing.holder) for thing in self._world.things if thing.holder is not None}
        devices = {thing.terminal.device: thing for thing in self._world.things if thing.terminal is not None}
        for number, target in open_terminals():
            if number in own:
                continue
            thing = devices.get(target)
            if not any(self._is_about(host, thing) for host in self._hosts if host is not closed):
                self._complain(None, f"descriptor {number} is left open on {thing.name if thing else target}")
        for thing in self._world.things:
            self._check_left_alone(thing)

    def _count(self) -> None:
        """What the printers have got."""
        for host in self._hosts:
            if host.sheet is not None:
                self._check_arrived(host.sheet)
        for thing in self._world.things:
            marks = Counter(command for command in thing.accepted if command.startswith("M118"))
            if marks and max(marks.values()) > 1:
                self._complain(None, f"{thing.name} has carried out a command twice: {marks.most_common(1)}")

    def _check_left_alone(self, thing: Thing) -> None:
        """What its USB numbers tell to be no printer is not opened, unless somebody names it."""
        if thing.usb is None or not thing.usb.is_known or not thing.is_open:
            return
        named = [
            host for host in self._hosts if host.wish is not None and self._world.at(host.wish.target.port) is thing
        ]
        settles = [claim for claim in self._claims.values() if self._loop.time() - claim.since <= MOMENT]
        if not named and not settles:
            self._complain(None, f"{thing.name} has been opened although nobody named it")

    # -- who may and should do what --

    def _is_about(self, host: Host, thing: Thing | None) -> bool:
        """Whether the host may have the port of this thing open (None: of something that was unplugged, or any)."""
        claim, now = self._claims[host.name], self._loop.time()
        if now - claim.since <= MOMENT:
            return True
        if claim.state in CLOSED:
            return False
        return thing is None or claim.state is State.DETECTING or str(thing.path) == host.printer.snapshot.port

    def _wanted(self, wish: Wish | None) -> list[Thing]:
        """What fulfils the wish, of what is there."""
        if wish is None:
            return []
        if wish.thing is not None:
            # A plain port is a place; a USB device is found wherever it is plugged in.
            there = wish.thing.path is not None and (wish.thing.usb is not None or str(wish.thing.path) == wish.path)
            return [wish.thing] if there else []
        if wish.target.port is None:
            return [thing for thing in self._world.printers if thing.path is not None]
        thing = self._world.at(wish.target.port)
        return [thing] if thing is not None else []

    def _fine_since(self, host: Host, thing: Thing, held: bool = False) -> float:
        """Since when it would answer this host, had the host its port open; infinity when it would not."""
        now = self._loop.time()
        if not thing.is_well(now) or (not held and self._is_taken(host, thing)):
            return float("inf")
        return thing.troubled_at if held else max(thing.troubled_at, self._touched.get((host.name, thing.name), 0.0))

    def _is_taken(self, host: Host, thing: Thing) -> bool:
        """Whether somebody else has its port, or may have it."""
        return thing.holder is not None or any(self._is_about(peer, thing) for peer in self._hosts if peer is not host)

    def _complain(self, host: Host | None, what: str) -> None:
        self._journal.complain(f"{host.name} {what}" if host is not None else what)


def _rate(wish: Wish) -> int | None:
    return wish.baudrate if wish.baudrate is not None else wish.target.baudrate


def _words(snapshot: Snapshot) -> str:
    return f"{(snapshot.port or 'no port').rpartition('/')[2]} at {snapshot.baudrate}"
