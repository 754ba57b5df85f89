"""One printer: verbs in; snapshot and events out.

A verb returns when it is accepted, or raises from `errors.py`; what comes of it arrives as events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from limpet.errors import BadRequest, Conflict
from limpet.printer.connection import Connection
from limpet.printer.course import JOB, Scripts, no_scripts
from limpet.printer.print import (
    Phase,
    PhaseChanged,
    PrintEnded,
    PrintProgressed,
    SelectedFile,
    TransferEnded,
)
from limpet.printer.prints import HEEDED, Prints
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
from limpet.protocol.commands import Command, clean, code_of, is_emergency_stop, is_for_host
from limpet.protocol.events import (
    Acknowledged,
    ActionRequested,
    CapabilityReported,
    CardReady,
    CommandAcknowledged,
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
        self.prints = Prints(self._connection, lambda: self.snapshot, self._script, self._on_event, self._ask)

    @property
    def is_printing(self) -> bool:
        """A print is under way, or pauses: one of ours, or one from the printer's own card."""
        return self.prints.under_way

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
        if not self.is_printing:
            await self._say_farewell()
        elif self.prints.here:
            self._ending = True
            self.prints.fail("server_ended", "The server was ended")
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
        if self.snapshot.state is not State.OPERATIONAL or self.prints.on_card or self.prints.owns_line:
            return
        lines = [*self._script("beforePrinterDisconnected", {})]
        if not lines:
            return
        self.prints.lose(StateChanged(State.OFFLINE))
        self._farewell.clear()
        self._commands = deque([*map(Command, lines[:-1]), Command(lines[-1], FAREWELL)])
        self._wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_TIME):
                await self._farewell.wait()

    def send(self, *commands: str, tag: int | None = None) -> None:
        """Queue G-code lines. Raises Conflict when not operational or too much waits, BadRequest for a bad line.

        `tag` comes back with CommandAcknowledged; whoever gives one has a limit of his own to what waits. An M112
        goes before all that waits, and to a printer that is still being greeted, as after a reset.
        """
        is_stop = self._connection.link is not None and all(map(is_emergency_stop, commands))
        if self.snapshot.state is not State.OPERATIONAL and not is_stop:
            raise Conflict("The printer is not operational")
        try:
            cleaned = [Command(command, tag) for command in map(clean, commands) if command]
        except ValueError as error:
            raise BadRequest(str(error)) from None
        if tag is None:
            cleaned = [command for command in cleaned if not self._is_for_us(command.text)]
        urgent = [command for command in cleaned if self._is_urgent(command)]
        if tag is None and len(self._commands) + len(cleaned) > MAX_QUEUED + bool(urgent):
            raise Conflict("Too many commands wait to be sent; the printer is busy")
        for command in urgent:
            self._send_urgent(command)
        if self.prints.owns_line and not all(is_emergency_stop(command.text) for command in cleaned):
            raise Conflict("A file is being written to the printer's card; all that is sent would be in it")
        self._commands.extend(command for command in cleaned if command not in urgent)
        for command in cleaned:
            self.prints.disturb(command.text)
        self._wake()

    def select(self, file: SelectedFile | None) -> None:
        """Choose the file that a print would be of, or none. Raises Conflict when not operational."""
        if self.snapshot.state is not State.OPERATIONAL:
            raise Conflict("The printer is not operational")
        self.tell(FileDeselected() if file is None else FileSelected(file))

    def recall(self, last: PrintEnded | None) -> None:
        """How the last print went, before this server was started."""
        self.snapshot = replace(self.snapshot, last_print=last)

    def tell(self, event: Event) -> None:
        """Something has happened that is not the printer's doing, and that its subscribers want to know."""
        self._on_event(event)

    def answer(self, choice: int) -> None:
        """Answer what the printer asks by the number of a choice. Raises Conflict when it asks nothing, or would not
        read the answer."""
        prompt = self.snapshot.prompt
        if prompt is None:
            raise Conflict("No active prompt")
        if not 0 <= choice < len(prompt.choices):
            raise BadRequest(f"{choice} is not a valid value for choice")
        link, reads_early = self._connection.link, self.snapshot.capabilities.get("EMERGENCY_PARSER", True)
        if link is not None and link.waits_for_user and not reads_early:
            raise Conflict(
                "The printer reads nothing while it waits for a person (it has no EMERGENCY_PARSER): answer it there"
            )
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
        match event:
            case LineSent(line=line):
                self._note("> ", line)
            case LineReceived(line=line):
                self._note("< ", line)
            case Acknowledged():
                pass
            case CommandAcknowledged(tag=tag):
                self.snapshot = apply(self.snapshot, event)
                if tag == JOB:
                    self.prints.acknowledged()
                elif tag == FAREWELL:
                    self._farewell.set()
            case _:
                self._take_in(event)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event, self.snapshot)

    def _take_in(self, event: Event) -> None:
        """What does not come with every line."""
        if isinstance(event, StateChanged) and event.state is not State.OPERATIONAL:
            # What waited for one printer, or for its life before a reset, is not for the next.
            self._stop_greeting()
            self.prints.lose(event)
            self._commands.clear()
        before = self.snapshot
        self.snapshot = apply(before, event)
        if type(event) in HEEDED:
            self.prints.hear(event, before)
        match event:
            case PrintProgressed():
                self._ask_temperatures()
            case TransferEnded():
                self._list_card()
            case ActionRequested(action=action):
                if (said := self._dialog.read(action, time.time())) is not None:
                    self._on_event(said)
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
            case SdPrintEnded() if self._card_unread or self._greeting:
                self._greet()
                if self._card_unread:
                    self._card_unread = False
                    self._list_card()
            case CardReady() if not before.sd_ready and not self._card_unread and before.state is State.OPERATIONAL:
                self._list_card()
            case SdPrintReported() if before.sd_print is None and self.snapshot.sd_print is not None:
                self._stop_greeting()
        if type(event) in _FOLLOWED and (self.snapshot.print is None or self.snapshot.print.source is None):
            self._follow(self, event)

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
            event = {"port": self.snapshot.port, "baudrate": self.snapshot.baudrate}
            lines = self._script("afterPrinterConnected", {"reconnected": again, "event": event})
            self._commands.extend(map(Command, lines))
            self._wake()

    def _list_card(self) -> None:
        self._ask(Command(list_card(self.snapshot.capabilities)))

    def _ask(self, command: Command) -> None:
        if command not in self._commands:
            self._commands.append(command)
            self._wake()

    # -- what is sent --

    def _script(self, name: str, context: Mapping[str, Any]) -> Iterable[str]:
        """As the scripts are now: a setting may change while a print goes on."""
        return self.scripts(name, context)

    def _note(self, direction: str, line: str) -> None:
        if wire.isEnabledFor(logging.DEBUG):
            wire.debug("%s %s%s", self.id, direction, line)
        self.recent.append((time.time(), direction + line))

    def _next_command(self) -> Command | None:
        """What goes to the printer next: what somebody has asked for goes between two lines of a print."""
        if self._ending:
            return None
        if self._commands and not self.prints.owns_line:
            return self._commands.popleft()
        return self.prints.next_command()

    def _is_for_us(self, text: str) -> bool:
        """It is obeyed at once then, if it is anything that is known."""
        if not is_for_host(text):
            return False
        with suppress(Conflict):  # There is no print.
            match text.split(maxsplit=1)[0].lower():
                case "@pause":
                    self.prints.pause()
                case "@resume":
                    self.prints.resume()
                case "@cancel" | "@abort":
                    self.prints.cancel()
        return True

    def _is_urgent(self, command: Command) -> bool:
        obeyed_when_read = self.snapshot.capabilities.get("EMERGENCY_PARSER", False)
        return is_emergency_stop(command.text) or (obeyed_when_read and code_of(command.text) in _EMERGENCY)

    def _send_urgent(self, command: Command) -> None:
        if is_emergency_stop(command.text) and self.is_printing:
            self._commands.clear()
            self.prints.fail("emergency_stop", "It was ended by an emergency stop (M112)")
        if self._connection.link is not None:
            self._connection.link.send_urgent(command)

    def _wake(self) -> None:
        if self._connection.link is not None:
            self._connection.link.wake()
