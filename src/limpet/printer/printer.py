"""One printer: verbs in; snapshot and events out.

A verb returns when it is accepted, or raises from `errors.py`; what comes of it arrives as events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import BinaryIO

from limpet.errors import BadRequest, Conflict
from limpet.gcodefile.resume import ResumePoint
from limpet.printer.card_files import card_file
from limpet.printer.card_job import CardJob
from limpet.printer.connection import Connection
from limpet.printer.course import HEARD, JOB, Course, Scripts, no_scripts
from limpet.printer.job import Job
from limpet.printer.print import (
    FileKnown,
    Phase,
    PhaseChanged,
    PrintEnded,
    PrintProgressed,
    SelectedFile,
    TransferEnded,
)
from limpet.printer.printing import Printing
from limpet.printer.prompts import Dialog, PrintWanted, PromptClosed
from limpet.printer.state import (
    AnalysisFinished,
    FileDeselected,
    FileSelected,
    LinkFigures,
    PrinterRecognised,
    Snapshot,
    State,
    StateChanged,
    apply,
)
from limpet.printer.subscription import Subscription
from limpet.printer.target import Patience, Target
from limpet.printer.transfer import Transfer, on_card
from limpet.protocol.commands import Command, clean, code_of
from limpet.protocol.events import (
    Acknowledged,
    ActionRequested,
    CapabilityReported,
    CardFileOpened,
    CardListed,
    CardReady,
    CommandAcknowledged,
    Event,
    LineReceived,
    LineSent,
    SdPrintDone,
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
MAX_RECENT = 50
"""Lines on the wire that are kept for whoever begins to listen."""
MAX_TEMPERATURES = 900
"""Temperature reports that are kept: half an hour of them."""
ASK_TEMPERATURES = Command("M105")
FAREWELL = -2
"""The tag of the last command to a printer."""
CARD_TIME = 2.0
"""Seconds after which a printer that has not said whether it prints from its card does not."""
FAREWELL_TIME = 0.6
"""Seconds that the script before a disconnect may take; then it is dropped."""
LAST_LINE_TIME = 1.0
"""Seconds that the line in flight is waited for when the server ends."""
REPORT_INTERVAL = 2
"""Seconds between temperature reports that the printer is asked to send on its own (M155)."""


_PAUSED = frozenset({Phase.PAUSING, Phase.PAUSED, Phase.RESUMING})
_FOLLOWED = frozenset({AnalysisFinished, PrintWanted, FileSelected, PhaseChanged, PrintProgressed, PrintEnded})
_EMERGENCY = frozenset({"M108", "M410", "M876"})
"""What firmware with an emergency parser acts on as soon as it has read it."""

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
        follow: Callable[[Printer, Event], None] = lambda _, __: None,
        patience: Patience | None = None,
    ) -> None:
        """`reserved` tells which devices belong to other printers; `learn` is told who was connected where, `follow`
        how prints go, and of which files more should be known."""
        self.id = id
        self.removed = False
        self._wish = 0
        self._card_unread = False
        self._learn = learn
        self._follow = follow
        self._dialog = Dialog()
        self._greets = False
        self._greeting: asyncio.TimerHandle | None = None
        self._ending = False
        self._farewell = asyncio.Event()
        self.scripts: Scripts = no_scripts
        self._printing: Printing | None = None
        self._left_behind: CardJob | None = None
        self._wanted: SelectedFile | None = None
        self._wants_print = False
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
        """A print is under way, or pauses: one of ours, or one from the printer's own card."""
        return self._printing is not None or self.snapshot.sd_print is not None

    @property
    def _is_writing(self) -> bool:
        """The printer writes all that it gets to a file on its card."""
        return self._printing is not None and self._printing.job.owns_line

    @property
    def is_paused(self) -> bool:
        """A print of ours pauses."""
        return self.snapshot.print is not None and self.snapshot.print.phase is Phase.PAUSED

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
        self._greets = True
        self._connection.connect(target)

    async def disconnect(self) -> None:
        """End the connection or the attempt, and the wish for one; the port is free when this returns, unless
        somebody has had another wish meanwhile."""
        wish = self.new_wish()
        await self._say_farewell()
        if self.is_latest_wish(wish):
            await self._connection.disconnect()

    async def end(self) -> None:
        """Disconnect because the server ends. A print ends as failed; what is in flight is waited for, and nothing
        else is sent. One from the printer's card goes on without us."""
        self.new_wish()
        if self._printing is None:
            await self._say_farewell()
        elif not isinstance(self._printing.job, CardJob):
            self._ending = True
            self._printing.job.fail("server_ended", "The server was ended", self._printing.now())
            self._printing.tell_events()
            await self._settle()
        await self._connection.disconnect()

    async def _settle(self) -> None:
        """Wait until all that was sent has been acknowledged, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_LINE_TIME):
                while self._connection.link is not None and not self._connection.link.idle:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    async def _say_farewell(self) -> None:
        """Run the script before a disconnect, if it can be done in time; it does not disturb a print from the card."""
        from_card = self.snapshot.sd_print is not None or isinstance(self._printing and self._printing.job, CardJob)
        if self.snapshot.state is not State.OPERATIONAL or from_card or self._is_writing:
            return
        lines = [*self.scripts("beforePrinterDisconnected", {})]
        if not lines:
            return
        self._lose_print(StateChanged(State.OFFLINE))
        self._farewell.clear()
        self._commands = deque([*map(Command, lines[:-1]), Command(lines[-1], FAREWELL)])
        self._wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_TIME):
                await self._farewell.wait()

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
        urgent = [command for command in cleaned if self._is_urgent(command)]
        if tag is None and len(self._commands) + len(cleaned) > MAX_QUEUED + bool(urgent):
            raise Conflict("Too many commands wait to be sent; the printer is busy")
        for command in urgent:
            self._send_urgent(command)
        if self._is_writing and any(map(self._is_no_stop, cleaned)):
            raise Conflict("A file is being written to the printer's card; all that is sent would be in it")
        self._commands.extend(command for command in cleaned if command not in urgent)
        if self.snapshot.print is not None and self.snapshot.print.phase in _PAUSED and self._printing is not None:
            for command in cleaned:
                self._printing.job.disturb(command.text)
        self._wake()

    def select(self, file: SelectedFile | None) -> None:
        """Choose the file that a print would be of, or none. Raises Conflict when not operational."""
        if self.snapshot.state is not State.OPERATIONAL:
            raise Conflict("The printer is not operational")
        self.tell(FileDeselected() if file is None else FileSelected(file))

    # -- the print --

    def start(
        self, file: SelectedFile, stream: BinaryIO | None, *, user: str | None = None, resume: ResumePoint | None = None
    ) -> None:
        """Print `file`, which is read from `stream`, from its beginning or from where it can be resumed; or, without
        one, by the printer from its card.

        Raises Conflict when the printer cannot; then the stream is closed.
        """
        self._require_free(stream)
        now, started_at = asyncio.get_running_loop().time(), time.time()
        if stream is None:
            self._begin(self._card_job(file, user), None)
            return
        job = Job(
            file,
            now,
            started_at=started_at,
            user=user,
            scripts=self.scripts,
            offsets=lambda: self.snapshot.offsets,
            heaters=lambda: self.snapshot.temperatures,
            resume=resume,
        )
        self._begin(job, stream)

    def transfer(
        self, file: SelectedFile, stream: BinaryIO, name: str, *, select: bool = False, print: bool = False
    ) -> None:
        """Write `file`, which is read from `stream`, to the printer's card, and `select` or `print` it there then.

        Raises Conflict as `start` does.
        """
        self._require_free(stream)
        now, started_at = asyncio.get_running_loop().time(), time.time()
        new, firmware = on_card(file, name), self.snapshot.firmware or ""
        job = Transfer(new, file.path, now, started_at=started_at, user=file.user, firmware=firmware)
        self._wanted, self._wants_print = new if select or print else None, print
        self._begin(job, stream)

    def _require_free(self, stream: BinaryIO | None) -> None:
        try:
            if self.snapshot.state is not State.OPERATIONAL:
                raise Conflict("The printer is not operational")
            if self.is_printing:
                raise Conflict("The printer is printing already")
        except Conflict:
            if stream is not None:
                stream.close()
            raise

    def _begin(self, job: Course, stream: BinaryIO | None) -> None:
        self._left_behind = None
        self._printing = Printing(job, stream, self._on_event, self._wake)
        self._go_on(self._printing)

    def pause(self) -> None:
        """Stop the print where it can go on. Raises Conflict when there is none."""
        printing = self._under_way("pause")
        printing.job.pause(printing.now())
        self._go_on(printing)

    def resume(self) -> None:
        """Go on with the print that pauses. Raises Conflict when there is none."""
        printing = self._under_way("resume")
        if isinstance(printing.job, CardJob) and printing.job.is_held:
            self._send_urgent(Command("M108"))
        printing.job.resume(printing.now())
        self._go_on(printing)

    def cancel(self) -> None:
        """End the print. Raises Conflict when there is none."""
        printing = self._under_way("cancel")
        printing.job.cancel(printing.now())
        link = self._connection.link
        asks = self.snapshot.prompt is not None
        if link is not None and (asks or link.waits_for_heat or isinstance(printing.job, CardJob)):
            self._send_urgent(Command("M108"))
        self._go_on(printing)

    def drop(self) -> None:
        """End the print that pauses as it is, for another one to begin."""
        printing = self._under_way("restart")
        printing.job.replace(printing.now())
        printing.tell_events()

    def _under_way(self, verb: str) -> Printing:
        if self._printing is None:
            raise Conflict(f"Printer is neither printing nor paused, '{verb}' command cannot be performed")
        return self._printing

    def _go_on(self, printing: Printing) -> None:
        printing.tell_events()
        self._wake()

    def recall(self, last: PrintEnded | None) -> None:
        """How the last print went, before this server was started."""
        self.snapshot = replace(self.snapshot, last_print=last)

    def tell(self, event: Event) -> None:
        """Something has happened that is not the printer's doing, and that its subscribers want to know."""
        self._on_event(event)

    def answer(self, choice: int) -> None:
        """Answer what the printer asks by the number of a choice. Raises Conflict when it asks nothing."""
        prompt = self.snapshot.prompt
        if prompt is None:
            raise Conflict("No active prompt")
        if not 0 <= choice < len(prompt.choices):
            raise BadRequest(f"{choice} is not a valid value for choice")
        self.send(f"M876 S{choice}")
        self._on_event(PromptClosed())

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
        await self._connection.disconnect()
        for subscription in tuple(self._subscriptions):
            subscription.close()

    # -- the other street --

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StateChanged) and event.state is not State.OPERATIONAL:
            # What waited for one printer, or for its life before a reset, is not for the next.
            self._stop_greeting()
            self._lose_print(event)
            self._commands.clear()
            self._wanted = None
        before = self.snapshot
        self.snapshot = apply(before, event)
        if self._printing is not None and type(event) in HEARD:
            self._printing.hear(event)
        match event:
            case LineSent(line=line):
                self._note("> ", line)
            case LineReceived(line=line):
                self._note("< ", line)
            case Acknowledged():
                pass
            case CommandAcknowledged(tag=tag):
                if tag == JOB and self._printing is not None:
                    self._printing.job.acknowledged()
                elif tag == FAREWELL:
                    self._farewell.set()
            case PrintProgressed():
                self._ask_temperatures()
            case FileKnown(file=file, facts=facts) if (
                self._printing is not None and file == self._printing.job.print.file
            ):
                self._printing.job.learn(facts)
            case PrintEnded() | TransferEnded() if self._printing is not None:
                self._printing.close()
                self._printing = None
                if isinstance(event, TransferEnded):
                    self._wanted = self._wanted if event.outcome == "done" else None
                    self._list_card()
            case CardFileOpened() if self._printing is not None:
                self._identify(self._printing.job)
            case CardFileOpened():
                self._look_at_card()
            case ActionRequested(action=action):
                if (said := self._dialog.read(action, time.time())) is not None:
                    self._on_event(said)
                self._obey(action)
            case CapabilityReported(name="PROMPT_SUPPORT", enabled=True) if not before.capabilities.get(
                "PROMPT_SUPPORT"
            ):
                self._commands.append(Command("M876 P1"))
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
                self._prepare_to_greet()
            case SdPrintEnded() if self._card_unread or self._greeting or self._left_behind:
                self._end_left_behind(done=isinstance(event, SdPrintDone))
                self._greet()
                if self._card_unread:
                    self._card_unread = False
                    self._list_card()
            case CardListed() if self._wanted is not None:
                self._use_new_file(self._wanted)
            case CardReady() if not before.sd_ready and not self._card_unread and before.state is State.OPERATIONAL:
                self._list_card()
            case SdPrintReported() if before.sd_print is None and self.snapshot.sd_print is not None:
                self._stop_greeting()
                self._ask(Command("M31"))
                if self._printing is None:
                    self._take_up()
        if type(event) in _FOLLOWED and (self.snapshot.print is None or self.snapshot.print.source is None):
            self._follow(self, event)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event, self.snapshot)

    def _ask_temperatures(self) -> None:
        """While it prints the session has no pause to ask in, and not all firmware reports by itself."""
        last = self.temperature_history[-1][0] if self.temperature_history else 0.0
        if time.time() - last > 2 * REPORT_INTERVAL and ASK_TEMPERATURES not in self._commands:
            self._commands.append(ASK_TEMPERATURES)

    def _prepare_to_greet(self) -> None:
        """The script after connecting must not run into a print from the card. An `ok` is no proof that there is none:
        it may be of a command from before. What the printer says of its card is, or that it says nothing."""
        self._stop_greeting()
        delay = CARD_TIME if self._card_unread else 0.0
        self._greeting = asyncio.get_running_loop().call_later(delay, self._greet)

    def _stop_greeting(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None

    def _greet(self) -> None:
        """Run the script after connecting; it is told whether the printer is back by itself."""
        if self._greeting is not None and not self._ending:
            self._stop_greeting()
            again, self._greets = not self._greets, False
            self._commands.extend(map(Command, self.scripts("afterPrinterConnected", {"reconnected": again})))
            self._wake()

    def _list_card(self) -> None:
        self._ask(Command(list_card(self.snapshot.capabilities)))

    def _ask(self, command: Command) -> None:
        if command not in self._commands:
            self._commands.append(command)
            self._wake()

    # -- prints from the printer's own card --

    def _card_job(self, file: SelectedFile, user: str | None, *, foreign: bool = False) -> CardJob:
        return CardJob(
            file,
            asyncio.get_running_loop().time(),
            started_at=time.time(),
            user=user,
            scripts=self.scripts,
            firmware=self.snapshot.firmware or "",
            reports=self.snapshot.capabilities.get("AUTOREPORT_SD_STATUS", False),
            foreign=foreign,
        )

    def _take_up(self) -> None:
        """Follow a print from the card that goes on, whoever has started it."""
        under_way, job = self.snapshot.sd_print, self._left_behind
        if under_way is None:
            return
        if job is not None and job.print.file.size in (None, under_way.total):
            job.take_up(asyncio.get_running_loop().time())
        else:
            self._end_left_behind(done=False)
            file = card_file(self.snapshot.sd_files, self.snapshot.sd_open, size=under_way.total)
            job = self._card_job(file, None, foreign=True)
        if job.print.file.path:
            self.tell(FileSelected(job.print.file))
        else:
            self._ask(Command("M27 C"))
        self._begin(job, None)

    def _look_at_card(self) -> None:
        """Somebody at the printer may have started a print from its card."""
        if self._printing is None:
            self._ask(Command("M27"))

    def _identify(self, job: Course) -> None:
        """The printer has said which file it has open."""
        if isinstance(job, CardJob) and not job.print.file.path and self.snapshot.sd_open:
            job.identify(card_file(self.snapshot.sd_files, self.snapshot.sd_open, size=job.print.file.size))
            self.tell(FileSelected(job.print.file))

    def _end_left_behind(self, *, done: bool) -> None:
        """The print that went on without us has ended."""
        if (job := self._left_behind) is None:
            return
        self._left_behind = None
        job.end_unseen(asyncio.get_running_loop().time(), done=done)
        while event := job.next_event():
            self._on_event(event)

    def _use_new_file(self, new: SelectedFile) -> None:
        """What was to be done with the file that has been written to the card."""
        self._wanted = None
        file = card_file(self.snapshot.sd_files, new.path, size=new.size, user=new.user)
        self.tell(FileSelected(file))
        if self._wants_print and not self.is_printing:
            self.start(file, None, user=new.user)

    # -- what is sent --

    def _note(self, direction: str, line: str) -> None:
        if wire.isEnabledFor(logging.DEBUG):
            wire.debug("%s %s%s", self.id, direction, line)
        self.recent.append((time.time(), direction + line))

    def _next_command(self) -> Command | None:
        """What goes to the printer next: what somebody has asked for goes between two lines of a print."""
        if self._ending:
            return None
        if self._commands and not self._is_writing:
            return self._commands.popleft()
        return self._printing.next_command() if self._printing is not None else None

    def _lose_print(self, event: StateChanged) -> None:
        """The connection is not there any more, and the print with it: it is never gone on with by itself.

        What the printer reads from its own card goes on without us.
        """
        if self._printing is None:
            return
        failure = self.snapshot.failure
        if failure is not None and (event.state is State.OFFLINE_AFTER_ERROR or failure.fault.code == "reset"):
            code, message = failure.fault.code, failure.fault.message
        else:
            code, message = "disconnected", "The printer was disconnected by a user"
        job = self._printing.job
        if isinstance(job, CardJob) and code not in ("reset", "firmware_halted"):
            self._left_behind = job
            self._printing.close()
            self._printing = None
        else:
            job.fail(code, message, self._printing.now())
            self._printing.tell_events()

    def _obey(self, action: str) -> None:
        """The printer asks for a print, or somebody there has started one; what else it asks for the print hears."""
        if action == "start" and not self.is_printing and self.snapshot.selected is not None:
            self._on_event(PrintWanted())
        elif action in ("start", "resume", "resumed"):
            self._look_at_card()

    def _is_no_stop(self, command: Command) -> bool:
        return code_of(command.text) != "M112"

    def _is_urgent(self, command: Command) -> bool:
        code = code_of(command.text)
        return code == "M112" or (code in _EMERGENCY and self.snapshot.capabilities.get("EMERGENCY_PARSER", False))

    def _send_urgent(self, command: Command) -> None:
        if code_of(command.text) == "M112" and self._printing is not None:
            self._commands.clear()
            self._printing.job.fail("emergency_stop", "It was ended by an emergency stop (M112)", self._printing.now())
            self._printing.tell_events()
        if self._connection.link is not None:
            self._connection.link.send_urgent(command)

    def _wake(self) -> None:
        if self._connection.link is not None:
            self._connection.link.wake()
