"""THE machine: greeting, numbering, ok, resend, timeouts, for one printer on one line.

Its rules:

- Three outputs: events, bytes and a deadline. It never calls back, and time comes in as `now` (seconds, any epoch).
- Every command gets a line number and a checksum, so the firmware takes each line once and in order. That is
  what makes it safe to guess: a line that is sent twice is refused, never executed twice. The few firmwares that do
  not look at the order (firmware.py) get a line again only when they ask for it.
- Which lines are in flight, and when one is written again, is the stream's business (stream.py); a printer that stays
  silent ends the session.
- An idle line is asked M105 now and then, and at once when reports that used to come have stopped coming. While the
  printer writes what it gets to a file on its card nothing is asked: the question would be in the file.
- A printer has to prove itself before the session opens: it acknowledges our hello and answers M115 with a
  firmware name, or it asks for the very line that we damaged on purpose. Klipper does so with its machine dead: it is
  asked for its state, too, and greeted again while it starts.
- It listens before it speaks where a boot loader may be listening too: a byte would keep a board in there.

    GREETING -> IDENTIFYING -> OPEN -> (HALTED, if it does not say why) -> ENDED
                    |  ^         |
               CHALLENGING   (reset) -> GREETING
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from limpet.protocol.card_list import CardList
from limpet.protocol.commands import clean, is_emergency_stop
from limpet.protocol.events import (
    Acknowledged,
    BootReported,
    BusyReported,
    CardFileBegun,
    CardFileSaved,
    CommandAcknowledged,
    CommandRefused,
    ErrorReported,
    Event,
    FirmwareHalted,
    FirmwareIdentified,
    IdleReported,
    LineReceived,
    LineRejected,
    LineSent,
    LineSkipped,
    OtherDeviceHeard,
    PrinterRestarted,
    ResendRequested,
    SdPrintEnded,
    SdPrintReported,
    SessionEnded,
    SessionOpened,
    TemperaturesReported,
)
from limpet.protocol.figures import Figures
from limpet.protocol.firmware import STATE_QUESTION, UNKNOWN, Firmware, firmware_named
from limpet.protocol.patience import POLL_INTERVAL_CARD, POLL_INTERVAL_REPORTED, until_poll
from limpet.protocol.replies import events_of, without_noise
from limpet.protocol.stream import Stream
from limpet.protocol.window import AS_SHOWN, Flow

MAX_LINE = 1024
"""Bytes without a newline after which what has come counts as a line. Marlin's longest is under 300."""
GREETING_TIME = 15.0
"""Seconds for the whole greeting; a board that resets on open may take 8 s and more to boot."""
HELLO_INTERVAL = 1.0
BOOT_TIME = 9.0
"""Seconds that a board is given after the last line of a boot banner."""
IDENTIFY_TIME = 3.0
CHALLENGE_TIME = 1.5
QUIET = 0.3
"""Seconds of silence after which no late `ok` of an earlier hello is expected any more."""
WHY_TIME = 2.0
"""Seconds for which the reason of a halt is waited for; Klipper is busy for up to one more after a halt."""
WRONG_RATE_TIME = 3.0
"""A rate is called wrong when this much time has brought little but unreadable bytes."""

UNASKED_TIME = 5.0
"""Seconds for which a device that tells a firmware name unasked has to prove itself otherwise."""
READS_WELL = 64
"""Bytes without an unreadable one that settle a rate."""

_READABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_HELLO = b"\nN0 M110 N0*125\n"


class _State(Enum):
    GREETING = auto()
    IDENTIFYING = auto()
    CHALLENGING = auto()
    OPEN = auto()
    HALTED = auto()
    ENDED = auto()


class Session:
    """A conversation with one printer, from the first hello; see the head of this file."""

    def __init__(
        self,
        now: float,
        *,
        greeting_time: float = GREETING_TIME,
        wrong_rate_time: float = WRONG_RATE_TIME,
        settled_time: float = 0.0,
        listening: float = 0.0,
        flow: Flow = AS_SHOWN,
    ) -> None:
        """Seconds for a printer to prove itself: `greeting_time`, or `settled_time` where what it says is text, if
        that is more, after `listening` in silence; `wrong_rate_time` of unreadable bytes make the rate wrong."""
        self.figures = Figures(now)
        self._stream = Stream(self.figures, flow)
        self._greeting_time = greeting_time
        self._wrong_rate_time = wrong_rate_time
        self._settled_time = settled_time
        self._events: deque[Event] = deque()
        self._out = bytearray()
        self._buffer = bytearray()
        self._pieces = 0
        self._begin_greeting(now, listening)

    # -- outputs --

    @property
    def ready(self) -> bool:
        """May I give you a command?"""
        return self._state is _State.OPEN and self._stream.has_room

    @property
    def idle(self) -> bool:
        """Everything that was sent has been acknowledged."""
        return self.ready and not self._stream.in_flight

    @property
    def waits_for_heat(self) -> bool:
        """The printer is busy with a command that waits for a temperature."""
        return self._stream.waits_for_heat

    @property
    def waits_for_user(self) -> bool:
        """The printer is busy with a command that waits for a person in front of it (M0, M600)."""
        return bool(self._stream.in_flight) and self._stream.oldest == self._held_at

    @property
    def illegible(self) -> bool:
        """What was heard is mostly unreadable: the rate is wrong, or this is no printer."""
        unreadable = self.figures.unreadable_bytes
        return unreadable >= 8 and unreadable > 0.3 * self.figures.bytes_received

    @property
    def reads_well(self) -> bool:
        """What was heard is text: the rate is right, whoever speaks."""
        return self._familiar or (self.figures.bytes_received >= READS_WELL and not self.figures.unreadable_bytes)

    @property
    def suspect(self) -> bool:
        """A question has gone unanswered, and nothing was heard since it was asked again."""
        return self._stream.suspect

    @property
    def deadline(self) -> float | None:
        """Wake me then."""
        match self._state:
            case _State.ENDED:
                return None
            case _State.GREETING:
                return min(self._hello_at, self._rate_judged_at, self._greeting_ends)
            case _State.IDENTIFYING | _State.CHALLENGING:
                return min(self._phase_ends, self._greeting_ends, self._stream.deadline or self._phase_ends)
            case _State.OPEN:
                return self._stream.deadline or (None if self._is_saving else self._poll_at())
            case _State.HALTED:
                return self._phase_ends

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    @property
    def _numbering(self) -> bool:
        """Numbered lines may be under way."""
        return self._state in (_State.IDENTIFYING, _State.OPEN)

    # -- inputs --

    def send(self, command: str, now: float, tag: int | None = None) -> None:
        """Number and send one command; `tag` comes back with CommandAcknowledged.

        Raises RuntimeError when not `ready`, ValueError when it is not one line.
        """
        command = clean(command)
        if not command:
            raise ValueError("there is no command in this line")
        if not self.ready:
            raise RuntimeError("the session cannot take a command now")
        self._stream.append(command, now, tag)
        self._drain()

    def send_urgent(self, command: str, now: float, tag: int | None = None) -> None:
        """Write a command ahead of whatever is in flight; but for M112, it does nothing unless the session is open.

        M112 goes out bare first: firmware obeys it as soon as it has read it, whatever number it is waiting for.
        Raises ValueError when the command is not one line.
        """
        command = clean(command)
        is_stop = is_emergency_stop(command)
        if is_stop and self._state is not _State.ENDED:
            self._write(b"M112\n")
        if self._state is not _State.OPEN:
            return
        if not self._stream.append_urgent(command, now, tag) and not is_stop:
            self._write(command.encode() + b"\n")
        self._drain()

    def repair(self, now: float) -> None:
        """Go on as if the printer had acknowledged; frees a line that is stuck on a lost `ok`."""
        if self._state is _State.OPEN:
            self._stream.repair(now)
            self._drain()

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what the printer says, in pieces of any size. Never raises."""
        if self._state is _State.ENDED or not data:
            return
        self._pieces += 1
        unreadable = len(data.translate(None, _READABLE))
        if unreadable and not self.figures.unreadable_bytes:
            self._rate_judged_at = now + self._wrong_rate_time
        self.figures.received(len(data), unreadable, now)
        self._buffer += data
        if len(self._buffer) > MAX_LINE or b"\n" in data or b"\r" in data:
            *lines, self._buffer = self._buffer.replace(b"\r", b"\n").split(b"\n")
            while len(self._buffer) > MAX_LINE:
                lines.append(self._buffer[:MAX_LINE])
                del self._buffer[:MAX_LINE]
            for line in lines:
                for start in range(0, len(line), MAX_LINE):
                    self._receive_line(line[start : start + MAX_LINE], now)

    def handle_timer(self, now: float) -> None:
        """The deadline has come (or not yet: calling too early does nothing)."""
        if self._state is _State.HALTED:
            if now >= self._phase_ends:
                self._end("firmware_halted", self._halted_as)
            return
        if self._state in (_State.GREETING, _State.IDENTIFYING, _State.CHALLENGING):
            self._greet(now)
        if self._stream.handle_timer(now):
            self._drain()
        elif self.idle and not self._is_saving and now >= self._poll_at():
            self._poll(now)

    @property
    def firmware(self) -> Firmware:
        """What is known of what the printer runs."""
        return self._stream.firmware

    # -- greeting --

    def _begin_greeting(self, now: float, listening: float = 0.0) -> None:
        self._go(_State.GREETING)
        self._greeting_started = now
        self._greeting_ends = now + listening + self._greeting_time
        self._rate_judged_at = now + self._wrong_rate_time
        self._hello_at = now + listening
        self._hello_sent = -HELLO_INTERVAL
        self._hellos = 0
        self._oks = 0
        self._last_ok = 0
        self._asked_in = -1
        self._noise_before = self.figures.unreadable_bytes
        self._unasked_at = now - UNASKED_TIME - 1
        self._familiar = False
        self._complaint: str | None = None
        self._halted_as = ""
        self._firmware_name: str | None = None
        self._phase_ends = self._greeting_ends
        self._forget_lines(now)

    def _forget_lines(self, now: float) -> None:
        self._stream.forget(now)
        self._held_at = -1
        """The line in which the printer has said that it waits for a person."""
        self._anew = (0, 0)
        """The line that was due when the printer asked for line 1 again, and how often it did."""
        self._reported_at: float | None = None
        self._report_interval: float | None = None
        self._stream.waits_for_card = False
        self._is_saving = False
        self._card_list = CardList()

    def _greet(self, now: float) -> None:
        if self.reads_well:
            # The right rate is found, so what there is may take its time to answer, or to boot.
            self._extend_greeting(self._greeting_started + self._settled_time)
        if now >= self._greeting_ends or (self.illegible and now >= self._rate_judged_at and not self._oks):
            self._give_up()
            return
        if now >= self._rate_judged_at:
            self._rate_judged_at = now + self._wrong_rate_time
        if self._state is _State.GREETING and now >= self._hello_at:
            self._write(_HELLO)
            self._hellos += 1
            self._hello_sent = now
            self._hello_at = now + HELLO_INTERVAL
        elif self._state is _State.IDENTIFYING and now >= self._phase_ends:
            self._open_or_challenge(now)
        elif self._state is _State.CHALLENGING and now >= self._phase_ends:
            self._greet_again(now)

    def _greet_again(self, now: float) -> None:
        self._go(_State.GREETING)
        self._hello_at = self._next_hello(now)
        self._hellos = self._oks = 0
        self._forget_lines(now)

    def _next_hello(self, now: float) -> float:
        """The soonest; a printer that is not ready is asked again and again."""
        return max(now, self._hello_sent + 0.2)

    def _extend_greeting(self, until: float) -> None:
        limit = self._greeting_started + self._greeting_time + GREETING_TIME
        self._greeting_ends = min(max(self._greeting_ends, until), limit)

    def _identify(self, now: float) -> None:
        self._extend_greeting(now + IDENTIFY_TIME + CHALLENGE_TIME + QUIET)
        self._go(_State.IDENTIFYING)
        self._phase_ends = now + IDENTIFY_TIME
        self._asked_in = self._pieces
        self._asked_state_in = -1
        self._forget_lines(now)
        self._ask("M115", now)

    def _challenge(self, now: float) -> None:
        """Ask for a resend that nobody asks for by chance: a line whose checksum is wrong."""
        self._go(_State.CHALLENGING)
        self._phase_ends = now + CHALLENGE_TIME
        self._write(self._stream.damage())

    def _open_when_quiet(self, now: float) -> None:
        if self._state is not _State.IDENTIFYING or self._firmware_name is None or self._stream.in_flight:
            return
        if self._asked_state_in == self._pieces:
            return  # It was on its way before our question was.
        if self._oks > self._hellos:
            self._open_or_challenge(now)
        else:
            self._phase_ends = now + QUIET

    def _open_or_challenge(self, now: float) -> None:
        # Whoever has told its name unasked has not answered our question by telling it again.
        if self._firmware_name is None or now - self._unasked_at <= UNASKED_TIME:
            self._challenge(now)
        elif firmware_named(self._firmware_name).tells_state and self._asked_state_in < 0:
            self._asked_state_in = self._pieces
            self._phase_ends = now + IDENTIFY_TIME
            self._write(STATE_QUESTION)
        else:
            self._open(now)

    def _open(self, now: float) -> None:
        name = self._firmware_name or ""
        self._stream.firmware = firmware_named(name)
        # What came while the rate was sought, or while the board booted, says nothing about the line.
        self.figures.unreadable_bytes = self._noise_before
        self._go(_State.OPEN)
        self._events.append(SessionOpened(name))
        if not name:
            # One that is still writing to its card, for a host that is gone, acknowledges all and answers nothing.
            self._ask("M29", now)
            self._ask("M115", now)
        self._ask("M105", now)

    def _give_up(self) -> None:
        heard, unreadable = self.figures.bytes_received, self.figures.unreadable_bytes
        if not heard:
            self._end("no_answer", "nothing was heard")
        elif self.illegible:
            self._end("wrong_baudrate", f"{round(100 * unreadable / heard)} % of {heard} bytes were unreadable")
        elif self._complaint is not None:
            self._end("firmware_error", self._complaint)
        elif self._oks:
            self._end("not_a_printer", "it says ok, but does not answer M115 or ask for a damaged line")
        else:
            self._end("not_a_printer", "what it says is readable, but no answer to our questions")

    def _go(self, state: _State) -> None:
        self._state = state
        self._stream.may_write = self._numbering

    def _end(self, code: str, detail: str) -> None:
        self._go(_State.ENDED)
        self._out.clear()
        self._events.append(SessionEnded(code, detail))

    # -- what the printer says --

    def _receive_line(self, raw: bytearray, now: float) -> None:
        if self._state is _State.ENDED:
            return
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            line = raw.decode("latin-1")
        if not line.strip():
            return
        self.figures.lines_received += 1
        self._events.append(LineReceived(line))
        readable = without_noise(line)
        if readable == line and self._state is _State.GREETING and not self._hellos:
            self._hello_at = self._next_hello(now)  # A boot loader does not talk.
        of_list = self._card_list.read(readable)
        for event in events_of(readable) if of_list is None else of_list:
            self._events.append(event)
            self._on_reply(event, now)

    def _on_reply(self, event: Event, now: float) -> None:
        match event:
            case _ if self._state is _State.ENDED:
                pass
            case _ if self._state is _State.HALTED:
                self._on_last_words(event)
            case Acknowledged(line_number=number, buffer_free=free):
                if free is not None:
                    self._stream.learn_room(free)
                self._last_ok = self.figures.lines_received
                self._oks += self._state is not _State.OPEN
                if self._state is _State.GREETING and self._hellos:
                    self._identify(now)
                else:
                    self._stream.on_ok(number, now)
                    self._drain()
                    self._open_when_quiet(now)
            case ResendRequested(line_number=number):
                self._on_resend(number, now)
            case LineRejected(last_line=None) if self._numbering:
                self._stream.on_rejected()
            case LineRejected(last_line=int(last)):
                # As good as the Resend that follows, which may get lost.
                self._on_resend(last + 1, now)
            case LineSkipped(line_number=number) if self._numbering:
                self._stream.on_skipped(number)
            case BusyReported(reason=reason):
                self._held_at = self._stream.oldest if reason.startswith("paused") else -1
                self._stream.on_busy(now)
            case IdleReported():
                self._stream.on_idle(now)
                self._drain()
            case TemperaturesReported() if not self._is_answer():
                self._familiar = True
                self._on_report(now)
            case FirmwareIdentified(name=name) if name and self._state is not _State.OPEN:
                if self._state is not _State.IDENTIFYING or self._asked_in == self._pieces:
                    self._unasked_at = now  # It was on its way before our question was.
                else:
                    self._firmware_name = name
                    self._open_when_quiet(now)
            case FirmwareIdentified(name=name) if self.firmware is UNKNOWN:
                self._stream.firmware = firmware_named(name)
            case SdPrintReported() | SdPrintEnded():
                self._stream.waits_for_card = isinstance(event, SdPrintReported)
            case CardFileBegun() | CardFileSaved() if self._state is _State.OPEN:
                self._is_saving = isinstance(event, CardFileBegun)
            case BootReported(message=message):
                self._familiar = True
                self._on_boot(message, now)
            case ErrorReported(message=message, refuses=refuses):
                self._complaint = message
                if refuses and (in_flight := self._stream.in_flight):
                    self._events.append(CommandRefused(in_flight[0].command, in_flight[0].tag, message))
            case FirmwareHalted(message=message, tells_why=False):
                self._ask_why(message, now)
            case FirmwareHalted(message=message):
                self._end("firmware_halted", message)
            case OtherDeviceHeard(what=what) if self._state is _State.GREETING and not self._oks:
                self._end("not_a_printer", what)

    def _ask_why(self, message: str, now: float) -> None:
        """Nothing else is sent any more; without an answer, `message` is all that is known."""
        self._go(_State.HALTED)
        self._halted_as = message
        self._phase_ends = now + WHY_TIME
        self._out.clear()
        self._write(STATE_QUESTION)

    def _on_last_words(self, event: Event) -> None:
        match event:
            case FirmwareHalted(tells_why=False):
                pass
            case FirmwareHalted(message=why) | ErrorReported(message=why) | LineRejected(message=why):
                self._end("firmware_halted", why)

    def _on_report(self, now: float) -> None:
        if self._reported_at is not None:
            self._report_interval = now - self._reported_at
        self._reported_at = now

    def _on_resend(self, number: int, now: float) -> None:
        due = self._stream.oldest
        if self._state is _State.OPEN and number == 1 < due:
            # It has had line 1: it counts anew, so it has restarted, and what it did before is not to be done again.
            # Once it may be a damaged number: ask again with the line that is due.
            self._anew = (due, self._anew[1] + 1 if self._anew[0] == due else 1)
            if self._anew[1] > 1:
                self._on_boot("it counts its lines from 1 again", now)
                return
            number = due
        if self._state is _State.CHALLENGING and 1 <= number <= self._stream.next_number:
            self._stream.on_answer_to_damage(number, now)
            self._drain()
            self._open(now)
        elif self._state is _State.IDENTIFYING and not self._stream.knows(number):
            # It counts from elsewhere: our hello was not understood, or it still asks another host.
            self._greet_again(now)
        elif self._numbering:
            self._stream.on_resend(number, now)
            self._drain()

    def _on_boot(self, message: str, now: float) -> None:
        if self._state is _State.OPEN:
            lost = self._stream.unacknowledged
            self._begin_greeting(now)
            self._events.append(PrinterRestarted(message, lost))
        elif self._state in (_State.IDENTIFYING, _State.CHALLENGING):
            self._firmware_name = None
            self._greet_again(now)  # What it acknowledges now is none of our hellos.
        # A banner proves that the board is starting: give it time, and do not wait for the next hello.
        self._extend_greeting(now + BOOT_TIME)
        self._hello_at = min(self._hello_at, self._next_hello(now))

    # -- lines --

    def _poll(self, now: float) -> None:
        """Temperatures, a number that reveals a lost line, and a sign of life."""
        if self._reported_at is None or now - self._reported_at > POLL_INTERVAL_REPORTED:
            self._report_interval = None
        self._ask("M105", now)
        if self._stream.waits_for_card:
            self._ask("M27", now)

    def _ask(self, command: str, now: float) -> None:
        self._stream.append(command, now)
        self._drain()

    def _drain(self) -> None:
        """What has come of the last call of the stream."""
        for line in self._stream.newly_acknowledged():
            if line.command.startswith("M29"):
                self._is_saving = False
            self._events.append(CommandAcknowledged(line.command, line.tag))
        while self._stream.written:
            self._write(self._stream.written.popleft())
        if self._stream.fault is not None and self._state is not _State.ENDED:
            self._end(*self._stream.fault)

    def _write(self, data: bytes) -> None:
        self._out += data
        self.figures.lines_sent += 1
        self._events.append(LineSent(data.decode("utf-8", "replace").strip()))

    def _poll_at(self) -> float:
        wait = until_poll(self._report_interval, self._stream.active_at, self.figures.heard_at)
        return self._stream.active_at + (min(wait, POLL_INTERVAL_CARD) if self._stream.waits_for_card else wait)

    def _is_answer(self) -> bool:
        """The temperatures in this line were asked for: they ride on an ok, or the ok is still to come."""
        in_flight = self._stream.in_flight
        asked = bool(in_flight and in_flight[0].command.startswith("M105"))
        return asked or self._last_ok == self.figures.lines_received
