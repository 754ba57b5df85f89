"""THE machine: greeting, numbering, ok, resend, timeouts, for one printer on one line.

Its rules:

- Three outputs: events, bytes and a deadline. It never calls back, and time comes in as `now` (seconds, any epoch).
- Every command gets a line number and a checksum, so the firmware takes each line once and in order. That is
  what makes it safe to guess: a line that is sent twice is refused, never executed twice. The few firmwares that do
  not look at the order (firmware.py) get a line again only when they ask for it.
- A window of lines is in flight (window.py); the next command is taken when there is room.
- `Resend: n` says that everything below n has arrived: writing goes on at n. An `ok` that follows belongs to it.
- A line without an answer is written again, later and later; a printer that stays silent ends the session.
- An idle line is asked M105 now and then, and at once when reports that used to come have stopped coming. While the
  printer writes what it gets to a file on its card nothing is asked: the question would be in the file.
- A printer has to prove itself before the session opens: it acknowledges our hello and answers M115 with a
  firmware name, or it asks for the very line that we damaged on purpose.
- It listens before it speaks where a boot loader may be listening too: a byte would keep a board in there.

    GREETING -> IDENTIFYING -> OPEN -> ENDED
                    |  ^         |
               CHALLENGING   (reset) -> GREETING
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from limpet.protocol.card_list import CardList
from limpet.protocol.commands import clean, code_of, number_line
from limpet.protocol.events import (
    Acknowledged,
    BootReported,
    BusyReported,
    CardFileBegun,
    CardFileSaved,
    CommandAcknowledged,
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
from limpet.protocol.firmware import UNKNOWN, Firmware, firmware_named
from limpet.protocol.patience import (
    BUSY_GRACE,
    POLL_INTERVAL_CARD,
    POLL_INTERVAL_REPORTED,
    Pace,
    answers_at_once,
    gives_up_at,
    may_repeat,
    takes_long,
    until_poll,
    until_retry,
)
from limpet.protocol.replies import events_of, without_noise
from limpet.protocol.window import AS_SHOWN, Echoes, Flow, Line, Width, Window

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
WRONG_RATE_TIME = 3.0
"""A rate is called wrong when this much time has brought little but unreadable bytes."""

MAX_RETRIES = 12
MAX_RESENDS = 20
"""Requests for the same line without progress after which the line is given up as stuck."""
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
        self.firmware: Firmware = UNKNOWN
        self.figures = Figures(now)
        self._width = Width(flow.lines)
        self._window = Window(1, flow.room)
        self._echoes = Echoes()
        self._pace = Pace()
        self._greeting_time = greeting_time
        self._wrong_rate_time = wrong_rate_time
        self._settled_time = settled_time
        self._events: deque[Event] = deque()
        self._out = bytearray()
        self._buffer = bytearray()
        self._busy_seen = False
        self._rejected = False
        self._skipped = False
        self._hold_until: float | None = None
        self._echo_until: float | None = None
        self._late: float | None = None
        """When the line was first written whose `ok` may still come, although it is known to have arrived."""
        self._excused = 0
        """The line during which such an `ok` has come."""
        self._guess = (0, 0.0)
        """The line after one that was written again on a guess, and how long that one took."""
        self._pieces = 0
        self._begin_greeting(now, listening)

    # -- outputs --

    @property
    def ready(self) -> bool:
        """May I give you a command?"""
        return self._state is _State.OPEN and self._hold_until is None and self._window.has_room

    @property
    def idle(self) -> bool:
        """Everything that was sent has been acknowledged."""
        return self.ready and not self._window.in_flight

    @property
    def waits_for_heat(self) -> bool:
        """The printer is busy with a command that waits for a temperature."""
        in_flight = self._window.in_flight
        return bool(in_flight) and code_of(in_flight[0].command) in ("M109", "M116", "M190", "M191")

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
        in_flight = self._window.in_flight
        return bool(in_flight and in_flight[0].retries and self.figures.heard_at < in_flight[0].sent_at)

    @property
    def deadline(self) -> float | None:
        """Wake me then."""
        match self._state:
            case _State.ENDED:
                return None
            case _State.GREETING:
                return min(self._hello_at, self._rate_judged_at, self._greeting_ends)
            case _State.IDENTIFYING | _State.CHALLENGING:
                return min(self._phase_ends, self._greeting_ends, self._line_deadline() or self._phase_ends)
            case _State.OPEN:
                return self._line_deadline() or (None if self._is_saving else self._poll_at())

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
        self._append(command, now, tag)

    def send_urgent(self, command: str, now: float, tag: int | None = None) -> None:
        """Write a command ahead of whatever is in flight; it does nothing unless the session is open.

        M112 goes out bare first: firmware obeys it as soon as it has read it, whatever number it is waiting for.
        Raises ValueError when the command is not one line.
        """
        command = clean(command)
        if self._state is not _State.OPEN:
            return
        if command.startswith("M112"):
            self._write(b"M112\n")
        if self._hold_until is None and self._window.all_written:
            self._window.append(command, tag)
            self._write_line(self._window.take(now, beyond=True), now)
        elif not command.startswith("M112"):
            self._write(command.encode() + b"\n")

    def repair(self, now: float) -> None:
        """Go on as if the printer had acknowledged; frees a line that is stuck on a lost `ok`."""
        if self._state is _State.OPEN and (self._window.in_flight or self._hold_until is not None):
            self._rejected = False
            self._on_ok(None, now)

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
        if self._state in (_State.GREETING, _State.IDENTIFYING, _State.CHALLENGING):
            self._greet(now)
        if self._hold_until is not None and now >= self._hold_until:
            self._hold_until = None
            self._write_more(now)
        elif self._window.in_flight:
            if now >= min(self._retry_at, self._gives_up_at()):
                self._retry(now)
        elif self.idle and not self._is_saving and now >= self._poll_at():
            self._poll(now)

    # -- greeting --

    def _begin_greeting(self, now: float, listening: float = 0.0) -> None:
        self._state = _State.GREETING
        self._greeting_started = now
        self._greeting_ends = now + listening + self._greeting_time
        self._rate_judged_at = now + self._wrong_rate_time
        self._hello_at = now + listening
        self._hello_sent = -HELLO_INTERVAL
        self._hellos = 0
        self._oks = 0
        self._last_ok = 0
        self._asked_in = -1
        self._unasked_at = now - UNASKED_TIME - 1
        self._familiar = False
        self._complaint: str | None = None
        self._firmware_name: str | None = None
        self._phase_ends = self._greeting_ends
        self._forget_lines(now)

    def _forget_lines(self, now: float) -> None:
        self._window.clear()
        self._rejected = False
        self._skipped = False
        self._hold_until = None
        self._echo_until = None
        self._late = None
        self._excused = 0
        self._echoes = Echoes()
        self._retry_at = now
        self._active_at = now
        self._stuck: tuple[int, int] = (0, 0)
        self._implausible = 0
        self._anew = 0
        self._reported_at: float | None = None
        self._report_interval: float | None = None
        self._prints_from_card = False
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
        self._state = _State.GREETING
        self._hello_at = max(now, self._hello_sent + 0.2)
        self._hellos = self._oks = 0
        self._forget_lines(now)

    def _extend_greeting(self, until: float) -> None:
        limit = self._greeting_started + self._greeting_time + GREETING_TIME
        self._greeting_ends = min(max(self._greeting_ends, until), limit)

    def _identify(self, now: float) -> None:
        self._extend_greeting(now + IDENTIFY_TIME + CHALLENGE_TIME + QUIET)
        self._state = _State.IDENTIFYING
        self._phase_ends = now + IDENTIFY_TIME
        self._asked_in = self._pieces
        self._forget_lines(now)
        self._append("M115", now)

    def _challenge(self, now: float) -> None:
        """Ask for a resend that nobody asks for by chance: a line whose checksum is wrong."""
        self._state = _State.CHALLENGING
        self._phase_ends = now + CHALLENGE_TIME
        self._window.forget_flight()
        good = number_line(self._window.next_number, "M105")
        body, _, checksum = good.strip().rpartition(b"*")
        self._write(b"%b*%d\n" % (body, int(checksum) ^ 1))

    def _open_when_quiet(self, now: float) -> None:
        if self._state is not _State.IDENTIFYING or self._firmware_name is None or self._window.in_flight:
            return
        if self._oks > self._hellos:
            self._open_or_challenge(now)
        else:
            self._phase_ends = now + QUIET

    def _open_or_challenge(self, now: float) -> None:
        # Whoever has told its name unasked has not answered our question by telling it again.
        if self._firmware_name is not None and now - self._unasked_at > UNASKED_TIME:
            self._open(now)
        else:
            self._challenge(now)

    def _open(self, now: float) -> None:
        name = self._firmware_name or ""
        self.firmware = firmware_named(name)
        self._state = _State.OPEN
        self._events.append(SessionOpened(name))
        if not name:
            # One that is still writing to its card, for a host that is gone, acknowledges all and answers nothing.
            self._append("M29", now)
            self._append("M115", now)
        self._append("M105", now)

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

    def _end(self, code: str, detail: str) -> None:
        self._state = _State.ENDED
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
            self._hello_at = now  # A boot loader does not talk.
        of_list = self._card_list.read(readable)
        for event in events_of(readable) if of_list is None else of_list:
            self._events.append(event)
            self._on_reply(event, now)

    def _on_reply(self, event: Event, now: float) -> None:
        match event:
            case _ if self._state is _State.ENDED:
                pass
            case Acknowledged(line_number=number, buffer_free=free):
                if free is not None:
                    self._width.learn(free)
                self._last_ok = self.figures.lines_received
                self._oks += self._state is not _State.OPEN
                if self._state is _State.GREETING and self._hellos:
                    self._identify(now)
                else:
                    self._on_ok(number, now)
                    self._open_when_quiet(now)
            case ResendRequested(line_number=number):
                self._on_resend(number, now)
            case LineRejected(last_line=None) if self._numbering:
                self._rejected = True
            case LineRejected(last_line=int(last)):
                # As good as the Resend that follows, which may get lost.
                self._on_resend(last + 1, now)
            case LineSkipped(line_number=number) if self._numbering:
                self._skipped = self._window.is_fresh(number)
            case BusyReported():
                self._busy_seen = True
                self._retry_at = max(self._retry_at, now + BUSY_GRACE)
            case IdleReported():
                self._on_wait(now)
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
                self.firmware = firmware_named(name)
            case SdPrintReported() | SdPrintEnded():
                self._prints_from_card = isinstance(event, SdPrintReported)
            case CardFileBegun() | CardFileSaved() if self._state is _State.OPEN:
                self._is_saving = isinstance(event, CardFileBegun)
            case BootReported(message=message):
                self._familiar = True
                self._on_boot(message, now)
            case ErrorReported(message=message):
                self._complaint = message
            case FirmwareHalted(message=message):
                self._end("firmware_halted", message)
            case OtherDeviceHeard(what=what) if self._state is _State.GREETING and not self._oks:
                self._end("not_a_printer", what)

    def _on_ok(self, number: int | None, now: float) -> None:
        if self._hold_until is not None:
            # The ok that goes with a Resend.
            self._hold_until = None
        elif self._echo_until is not None and now < self._echo_until:
            self._echo_until = None
        elif self._late is not None and self._is_late_one(number, now):
            pass
        elif self._skipped:
            # It cannot have been executed before: the printer misses an earlier line, and asks for that.
            self._skipped = False
        elif self._rejected:
            # The Resend itself was lost on the way; the complaint before it told as much.
            if not self._rewind(self._window.oldest, now):
                return
        elif self._window.in_flight:
            oldest = self._window.in_flight[0]
            self._measure(oldest, now)
            if self._window.acknowledge(number):
                if oldest.retries:
                    # It has had the line all along, and will complain of each one that we wrote on a guess.
                    self._echoes.expect(oldest.number + 1, oldest.retries)
                    self._guess = (oldest.number + 1, now - oldest.asked_at)
                self._window.size = self._width.at(self._window.next_number)
                self._report_acknowledged()
                self._made_progress(now)
        self._rejected = False
        self._write_more(now)

    def _made_progress(self, now: float) -> None:
        self._stuck = (0, 0)
        self._anew = 0
        self._implausible = 0
        if self._window.in_flight:
            self._retry_at = now + self._patience(self._window.in_flight[0])
        self._active_at = now

    def _measure(self, line: Line, now: float) -> None:
        # The answer to a line that was written twice may be to either.
        if line.writes == 1 and not takes_long(line.command, self.firmware):
            self._pace.measured(now - line.sent_at)
            if answers_at_once(line.command, self.firmware):
                self.figures.answered(now - line.sent_at)

    def _on_report(self, now: float) -> None:
        if self._reported_at is not None:
            self._report_interval = now - self._reported_at
        self._reported_at = now

    def _on_resend(self, number: int, now: float) -> None:
        if self._state is _State.OPEN and number == 1 < self._window.oldest:
            # It has had line 1: it counts anew, so it has restarted, and what it did before is not to be done again.
            # Once it may be a damaged number: ask again with the line that is due.
            self._anew += 1
            if self._anew > 1:
                self._on_boot("it counts its lines from 1 again", now)
                return
            number = self._window.oldest
        if number == self._guess[0]:
            self._pace.measured(self._guess[1])  # It was not lost, but late.
            self._guess = (0, 0.0)
        if self._state is _State.CHALLENGING and 1 <= number <= self._window.next_number:
            self._window.rewind(number)
            self._report_acknowledged()
            self._hold(now)
            self._open(now)
        elif self._numbering and not self._is_known(number, now):
            others = len(self._window.in_flight) - 1
            if number < self._window.next_number:
                self._narrow()
            self._expect_late_ok(number)
            if self._rewind(number, now):
                self._echoes.expect(number, others)
                self._hold(now)

    def _expect_late_ok(self, number: int) -> None:
        """A line that was written again on a guess has arrived, and is perhaps still being worked on: then its `ok`
        is to come, and is not that of the line after it. If that was wrong, the next guess will show it."""
        oldest = self._window.in_flight[0] if self._window.in_flight else None
        if oldest is not None and oldest.retries and number == oldest.number + 1:
            self._late = oldest.asked_at if oldest.number != self._excused else None

    def _is_late_one(self, number: int | None, now: float) -> bool:
        """This is the `ok` of the line before, which is known to have arrived: it comes too late to be a prompt
        answer to the line that has been written since."""
        asked_at, self._late = self._late, None
        in_flight = self._window.in_flight
        if asked_at is None or number is not None or not in_flight:
            return False
        if now - in_flight[0].sent_at < self._pace.prompt:
            return False
        self._pace.measured(now - asked_at)
        self._excused = self._window.oldest
        self._retry_at = now + self._patience(in_flight[0])
        return True

    def _is_known(self, number: int, now: float) -> bool:
        """It is about to be written anyway, or has just been: another request has said the same."""
        if self._window.oldest != number:
            return False
        if self._hold_until is not None or (self._echo_until is not None and now < self._echo_until):
            return True  # The complaint before this Resend.
        if self._window.in_flight and self._echoes.is_one(number):
            self._echo_until = now + self.firmware.resend_ok
            return True
        return False

    def _narrow(self) -> None:
        self._width.narrow(self._window.next_number)
        self._window.size = 1

    def _hold(self, now: float) -> None:
        self._rejected = False
        self._skipped = False
        self._hold_until = now + self.firmware.resend_ok

    def _rewind(self, number: int, now: float) -> bool:
        """Everything below `number` has arrived; go on writing there. False when that cannot be."""
        if not self._window.can_rewind(number) and self._state is _State.IDENTIFYING:
            # It counts from elsewhere: our hello was not understood, or it still asks another host.
            self._greet_again(now)
            return False
        if not self._window.can_rewind(number):
            # Damage, unless it insists.
            self._implausible += 1
            if self._implausible > 5:
                self._end("resend_loop", f"it asks for line {number}, which is not there to be sent again")
                return False
            number = self._window.oldest
        else:
            same, times = self._stuck
            self._stuck = (number, times + 1 if same == number else 1)
            if self._stuck[1] > MAX_RESENDS and number != self._window.next_number:
                self._end("resend_loop", f"it asked for line {number} {MAX_RESENDS} times")
                return False
        self.figures.resends += self._window.rewind(number)
        self._report_acknowledged()
        return True

    def _report_acknowledged(self) -> None:
        for line in self._window.newly_acknowledged():
            if line.command.startswith("M29"):
                self._is_saving = False
            self._events.append(CommandAcknowledged(line.command, line.tag))

    def _on_wait(self, now: float) -> None:
        # It has nothing to do, so what is in flight got lost, unless the two have just crossed.
        in_flight = self._window.in_flight
        if in_flight and now >= in_flight[0].sent_at + 2 * QUIET and may_repeat(in_flight[0].command, self.firmware):
            self._retry_at = min(self._retry_at, now)
            self._retry(now)

    def _on_boot(self, message: str, now: float) -> None:
        if self._state is _State.OPEN:
            lost = self._window.unacknowledged
            self._begin_greeting(now)
            self._events.append(PrinterRestarted(message, lost))
        elif self._state in (_State.IDENTIFYING, _State.CHALLENGING):
            self._state = _State.GREETING
            self._forget_lines(now)
        # A banner proves that the board is starting: give it time, and do not wait for the next hello.
        self._extend_greeting(now + BOOT_TIME)
        self._hello_at = min(self._hello_at, max(now, self._hello_sent + 0.2))

    # -- lines --

    def _append(self, command: str, now: float, tag: int | None = None) -> None:
        if command.startswith("M113"):
            self._busy_seen = False  # From here on it may say so at another pace, or not at all.
        self._window.append(command, tag)
        self._write_more(now)

    def _poll(self, now: float) -> None:
        """Temperatures, a number that reveals a lost line, and a sign of life."""
        if self._reported_at is None or now - self._reported_at > POLL_INTERVAL_REPORTED:
            self._report_interval = None
        self._append("M105", now)
        if self._prints_from_card:
            self._append("M27", now)

    def _write_more(self, now: float) -> None:
        while self._hold_until is None and self._numbering and self._write_line(self._window.take(now), now):
            pass

    def _write_line(self, line: Line | None, now: float) -> bool:
        if line is None:
            return False
        if len(self._window.in_flight) == 1:
            self._retry_at = now + self._patience(line)
        self._active_at = now
        self._write(line.data)
        return True

    def _write(self, data: bytes) -> None:
        self._out += data
        self.figures.lines_sent += 1
        self._events.append(LineSent(data.decode("utf-8", "replace").strip()))

    def _retry(self, now: float) -> None:
        """No answer in time: write the oldest line again, or give up."""
        line = self._window.in_flight[0]
        if now >= self._gives_up_at():
            silent = now - self.figures.heard_at
            self._end("timeout", f"no answer to {line.command}, and nothing at all for {silent:.0f} s")
            return
        waits_for_card = self._prints_from_card  # Behind a command of the file, which may take as long as it likes.
        if line.retries >= MAX_RETRIES and not waits_for_card and not takes_long(line.command, self.firmware):
            self._end("timeout", f"it talks, but did not acknowledge {line.command} in {line.retries} attempts")
            return
        line.retries += 1
        self._retry_at = now + self._patience(line)
        if may_repeat(line.command, self.firmware):
            # One line is enough to be told what it expects.
            self.figures.resends += 1
            self._echoes = Echoes()
            self._echo_until = None
            self._write(self._window.write_again(now).data)

    def _patience(self, line: Line) -> float:
        return until_retry(line.command, self.firmware, self._pace, retries=line.retries, says_busy=self._busy_seen)

    def _gives_up_at(self) -> float:
        line = self._window.in_flight[0]
        return gives_up_at(
            line.command,
            self.firmware,
            asked_at=line.asked_at,
            heard_at=self.figures.heard_at,
            says_busy=self._busy_seen,
        )

    def _poll_at(self) -> float:
        wait = until_poll(self._report_interval, self._active_at, self.figures.heard_at)
        return self._active_at + (min(wait, POLL_INTERVAL_CARD) if self._prints_from_card else wait)

    def _is_answer(self) -> bool:
        """The temperatures in this line were asked for: they ride on an ok, or the ok is still to come."""
        in_flight = self._window.in_flight
        asked = bool(in_flight and in_flight[0].command.startswith("M105"))
        return asked or self._last_ok == self.figures.lines_received

    def _line_deadline(self) -> float | None:
        if self._hold_until is not None:
            return self._hold_until
        return min(self._retry_at, self._gives_up_at()) if self._window.in_flight else None
