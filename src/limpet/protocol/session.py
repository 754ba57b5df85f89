"""THE machine: greeting, numbering, ok, resend, timeouts, for one printer on one line.

Its rules:

- Three outputs: events, bytes and a deadline. It never calls back, and time comes in as `now` (seconds, any epoch).
- Every command gets a line number and a checksum, so the firmware takes each line once and in order. That is
  what makes it safe to guess: a line that is sent twice is refused, never executed twice. The few firmwares that do
  not look at the order (firmware.py) get a line again only when they ask for it.
- A window of lines is in flight (window.py); the next command is taken when there is room.
- `Resend: n` says that everything below n has arrived: writing goes on at n. An `ok` that follows belongs to it.
- A line without an answer is written again, later and later; a printer that stays silent ends the session.
- A printer has to prove itself before the session opens: it acknowledges our hello and answers M115 with a
  firmware name, or it asks for the very line that we damaged on purpose.

    GREETING -> IDENTIFYING -> OPEN -> ENDED
                    |  ^         |
               CHALLENGING   (reset) -> GREETING
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from limpet.protocol.commands import clean, number_line
from limpet.protocol.events import (
    Acknowledged,
    BootReported,
    BusyReported,
    Event,
    FirmwareHalted,
    FirmwareIdentified,
    IdleReported,
    LineReceived,
    LineRejected,
    LineSent,
    LineSkipped,
    PrinterRestarted,
    ResendRequested,
    SessionEnded,
    SessionOpened,
    TemperaturesReported,
)
from limpet.protocol.firmware import UNKNOWN, Firmware, firmware_named
from limpet.protocol.patience import BUSY_GRACE, may_repeat, silence_limit, takes_long, until_retry
from limpet.protocol.replies import events_of
from limpet.protocol.window import Line, Window

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
POLL_INTERVAL = 5.0
POLL_INTERVAL_REPORTED = 10.0
"""Seconds of idle line between our own M105: it brings temperatures, and a number that reveals a lost line."""

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
        window: int = 1,
    ) -> None:
        self.firmware: Firmware = UNKNOWN
        self.bytes_received = 0
        self.unreadable_bytes = 0
        self.lines_sent = 0
        self.resends = 0
        self._window = Window(window)
        self._greeting_time = greeting_time
        self._wrong_rate_time = wrong_rate_time
        self._events: deque[Event] = deque()
        self._out = bytearray()
        self._buffer = bytearray()
        self._heard_at = now
        self._busy_seen = False
        self._rejected = False
        self._skipped = False
        self._hold_until: float | None = None
        self._reported_at: float | None = None
        self._firmware_name: str | None = None
        self._begin_greeting(now)

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
    def illegible(self) -> bool:
        """What was heard is mostly unreadable: the rate is wrong, or this is no printer."""
        return self.unreadable_bytes >= 8 and self.unreadable_bytes > 0.3 * self.bytes_received

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
                return self._line_deadline() or self._poll_at

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

    def send(self, command: str, now: float) -> None:
        """Number and send one command. Raises RuntimeError when not `ready`, ValueError when it is not one line."""
        command = clean(command)
        if not command:
            raise ValueError("there is no command in this line")
        if not self.ready:
            raise RuntimeError("the session cannot take a command now")
        self._append(command, now)

    def repair(self, now: float) -> None:
        """Go on as if the printer had acknowledged; frees a line that is stuck on a lost `ok`."""
        if self._state is _State.OPEN and (self._window.in_flight or self._hold_until is not None):
            self._rejected = False
            self._on_ok(None, now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what the printer says, in pieces of any size. Never raises."""
        if self._state is _State.ENDED or not data:
            return
        self._heard_at = now
        self.bytes_received += len(data)
        self.unreadable_bytes += len(data.translate(None, _READABLE))
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
        elif self._window.in_flight and now >= self._retry_at:
            self._retry(now)
        elif self.idle and now >= self._poll_at:
            self._append("M105", now)

    # -- greeting --

    def _begin_greeting(self, now: float) -> None:
        self._state = _State.GREETING
        self._greeting_started = now
        self._greeting_ends = now + self._greeting_time
        self._rate_judged_at = now + self._wrong_rate_time
        self._hello_at = now
        self._hello_sent = -HELLO_INTERVAL
        self._hellos = 0
        self._oks = 0
        self._firmware_name = None
        self._phase_ends = self._greeting_ends
        self._forget_lines(now)

    def _forget_lines(self, now: float) -> None:
        self._window.clear()
        self._rejected = False
        self._skipped = False
        self._hold_until = None
        self._retry_at = now
        self._poll_at = now
        self._stuck: tuple[int, int] = (0, 0)
        self._implausible = 0
        self._reported_at = None

    def _greet(self, now: float) -> None:
        if now >= self._greeting_ends or (
            self.illegible and now >= self._greeting_started + self._wrong_rate_time and not self._oks
        ):
            self._give_up()
            return
        if now >= self._rate_judged_at:
            self._rate_judged_at = now + HELLO_INTERVAL
        if self._state is _State.GREETING and now >= self._hello_at:
            self._write(_HELLO)
            self._hellos += 1
            self._hello_sent = now
            self._hello_at = now + HELLO_INTERVAL
        elif self._state is _State.IDENTIFYING and now >= self._phase_ends:
            if self._firmware_name is not None:
                self._open(now)
            else:
                self._challenge(now)
        elif self._state is _State.CHALLENGING and now >= self._phase_ends:
            self._state = _State.GREETING
            self._hello_at = now
            self._forget_lines(now)

    def _extend_greeting(self, until: float) -> None:
        limit = self._greeting_started + self._greeting_time + GREETING_TIME
        self._greeting_ends = min(max(self._greeting_ends, until), limit)

    def _identify(self, now: float) -> None:
        self._extend_greeting(now + IDENTIFY_TIME + CHALLENGE_TIME + QUIET)
        self._state = _State.IDENTIFYING
        self._phase_ends = now + IDENTIFY_TIME
        self._forget_lines(now)
        self._append("M115", now)

    def _challenge(self, now: float) -> None:
        """Ask for a resend that nobody asks for by chance: a line whose checksum is wrong."""
        self._state = _State.CHALLENGING
        self._phase_ends = now + CHALLENGE_TIME
        self._window.in_flight.clear()
        good = number_line(self._window.next_number, "M105")
        body, _, checksum = good.strip().rpartition(b"*")
        self._write(b"%b*%d\n" % (body, int(checksum) ^ 1))

    def _open_when_quiet(self, now: float) -> None:
        if self._state is not _State.IDENTIFYING or self._firmware_name is None or self._window.in_flight:
            return
        if self._oks > self._hellos:
            self._open(now)
        else:
            self._phase_ends = now + QUIET

    def _open(self, now: float) -> None:
        name = self._firmware_name or ""
        self.firmware = firmware_named(name)
        self._state = _State.OPEN
        self._events.append(SessionOpened(name))
        self._append("M105", now)

    def _give_up(self) -> None:
        if not self.bytes_received:
            self._end("no_answer", "nothing was heard")
        elif self.illegible:
            share = round(100 * self.unreadable_bytes / self.bytes_received)
            self._end("wrong_baudrate", f"{share} % of {self.bytes_received} bytes were unreadable")
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
        self._events.append(LineReceived(line))
        # Noise around a reset sticks to the line that follows it.
        readable = line if line.isascii() and line.isprintable() else line.strip(_NOISE)
        for event in events_of(readable):
            self._events.append(event)
            self._on_reply(event, now)

    def _on_reply(self, event: Event, now: float) -> None:
        match event:
            case _ if self._state is _State.ENDED:
                pass
            case Acknowledged(line_number=number):
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
            case TemperaturesReported() if not self._asked_for_temperatures():
                self._reported_at = now
            case FirmwareIdentified(name=name) if name and self._state is _State.IDENTIFYING:
                self._firmware_name = name
                self._open_when_quiet(now)
            case BootReported(message=message):
                self._on_boot(message, now)
            case FirmwareHalted(message=message):
                self._end("firmware_halted", message)

    def _on_ok(self, number: int | None, now: float) -> None:
        if self._hold_until is not None:
            # The ok that goes with a Resend.
            self._hold_until = None
        elif self._skipped:
            # It cannot have been executed before: the printer misses an earlier line, and asks for that.
            self._skipped = False
        elif self._rejected:
            # The Resend itself was lost on the way; the complaint before it told as much.
            if not self._rewind(self._window.oldest):
                return
        elif self._window.in_flight and self._window.acknowledge(number):
            self._made_progress(now)
        self._rejected = False
        self._write_more(now)

    def _made_progress(self, now: float) -> None:
        self._stuck = (0, 0)
        self._implausible = 0
        if self._window.in_flight:
            self._retry_at = now + self._patience(self._window.in_flight[0])
        self._poll_at = now + self._poll_interval(now)

    def _on_resend(self, number: int, now: float) -> None:
        if self._state is _State.CHALLENGING and 1 <= number <= self._window.next_number:
            self._window.rewind(number)
            self._hold(now)
            self._open(now)
        elif self._numbering and not self._is_held_at(number) and self._rewind(number):
            self._hold(now)

    def _is_held_at(self, number: int) -> bool:
        """It is about to be written anyway: the complaint before the Resend has said the same."""
        return self._hold_until is not None and self._window.oldest == number

    def _hold(self, now: float) -> None:
        self._rejected = False
        self._skipped = False
        self._hold_until = now + self.firmware.resend_ok

    def _rewind(self, number: int) -> bool:
        """Everything below `number` has arrived; go on writing there. False when the session ends instead."""
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
        self.resends += self._window.rewind(number)
        return True

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

    def _append(self, command: str, now: float) -> None:
        self._window.append(command)
        self._write_more(now)

    def _write_more(self, now: float) -> None:
        while self._hold_until is None and self._numbering and (line := self._window.take(now)) is not None:
            if len(self._window.in_flight) == 1:
                self._retry_at = now + self._patience(line)
            self._poll_at = now + self._poll_interval(now)
            self._write(line.data)

    def _write(self, data: bytes) -> None:
        self._out += data
        self.lines_sent += 1
        self._events.append(LineSent(data.decode("utf-8", "replace").strip()))

    def _retry(self, now: float) -> None:
        """No answer in time: write the oldest line again, or give up."""
        line = self._window.in_flight[0]
        # Before our question the printer owed nothing.
        silent = now - max(self._heard_at, line.asked_at)
        if silent >= silence_limit(line.command, self.firmware, says_busy=self._busy_seen):
            self._end("timeout", f"no answer to {line.command} for {silent:.0f} s")
            return
        if line.retries >= MAX_RETRIES and not takes_long(line.command, self.firmware):
            self._end("timeout", f"it talks, but did not acknowledge {line.command} in {line.retries} attempts")
            return
        line.retries += 1
        if may_repeat(line.command, self.firmware):
            self.resends += self._window.rewind(line.number)
            self._write_more(now)
        else:
            self._retry_at = now + self._patience(line)

    def _patience(self, line: Line) -> float:
        return until_retry(line.command, self.firmware, retries=line.retries, says_busy=self._busy_seen)

    def _poll_interval(self, now: float) -> float:
        reported = self._reported_at is not None and now - self._reported_at < POLL_INTERVAL_REPORTED
        return POLL_INTERVAL_REPORTED if reported else POLL_INTERVAL

    def _asked_for_temperatures(self) -> bool:
        in_flight = self._window.in_flight
        return bool(in_flight and in_flight[0].command.startswith("M105"))

    def _line_deadline(self) -> float | None:
        if self._hold_until is not None:
            return self._hold_until
        return self._retry_at if self._window.in_flight else None


_NOISE = "".join(map(chr, [*range(0x20), *range(0x7F, 0x100)]))
