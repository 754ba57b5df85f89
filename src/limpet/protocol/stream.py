"""Numbered lines on their way to a printer: which to write when, what an `ok` or a `Resend` is about, when to guess.

- A window of lines is in flight (window.py); the next command is taken when there is room.
- `Resend: n` says that everything below n has arrived: writing goes on at n. An `ok` that follows belongs to it.
- A line without an answer is written again, later and later; a printer that stays silent is given up.
- A guess may be wrong. Then the printer complains of it, and what it says of one line must not be taken for what it
  says of the next, or every line would go out twice from then on.

It knows nothing of greetings and questions: see session.py.
"""

from __future__ import annotations

from collections import deque

from limpet.protocol.commands import number_line
from limpet.protocol.figures import Figures
from limpet.protocol.firmware import UNKNOWN, Firmware
from limpet.protocol.patience import (
    BUSY_GRACE,
    Pace,
    answers_at_once,
    gives_up_at,
    may_repeat,
    takes_long,
    until_asked,
    until_retry,
)
from limpet.protocol.window import Echoes, Flow, Line, Width, Window

MAX_RETRIES = 12
MAX_RESENDS = 20
"""Requests for the same line without progress after which the line is given up as stuck."""
MAX_IMPLAUSIBLE = 5
"""Requests for a line that is not there, one after the other, before they are no damage any more."""
CROSSED = 0.6
"""Seconds within which a line and a `wait` may have crossed."""
OKS_MISSED = 2
"""Requests in a row whose `ok` did not come, after which this firmware is thought to send none."""
MOST_OWED = 64
"""Lines whose `ok` may come late."""
SHORT_HOLD = 0.1
"""Seconds that it is waited for all the same."""
HEATING = frozenset({"M109", "M116", "M190", "M191"})


class Stream:
    """Outputs: `written` (whoever writes takes from it), `newly_acknowledged`, `deadline`, and `fault` when it is over:
    one of the contract's reason codes, and what was seen. `may_write` is when the printer is spoken to in numbered
    lines."""

    def __init__(self, figures: Figures, flow: Flow) -> None:
        self.firmware: Firmware = UNKNOWN
        self.written: deque[bytes] = deque()
        self.fault: tuple[str, str] | None = None
        self.may_write = False
        self.waits_for_card = False
        """The printer may be behind a command of a file on its card, which takes as long as it likes."""
        self.active_at = 0.0
        """When a line was last written or acknowledged."""
        self._figures = figures
        self._width = Width(flow.lines)
        self._window = Window(1, flow.room)
        self._pace = Pace()
        self._busy_seen = False
        self._owed: deque[float] = deque(maxlen=MOST_OWED)
        """When the lines were first written whose `ok` may still come, although they are known to have arrived."""
        self._owed_at = 0.0
        """When an `ok` was last taken for one of those."""
        self._oks_missed = 0
        """Requests without an `ok`, since one had it."""
        self._after_guess = 0
        """The line that the printer asks for when all has arrived that was written before a guess."""
        self._guess = (0, 0.0)
        """The same for one whose line is acknowledged, and how long that took."""
        self.forget(0.0)

    def forget(self, now: float) -> None:
        """Start again at line 1."""
        self._window.clear()
        self._echoes = Echoes()
        self._rejected = False
        self._skipped = False
        self._hold_until: float | None = None
        self._echo_until: float | None = None
        self._owed.clear()
        self._retry_at = now
        self.active_at = now
        self._stuck: tuple[int, int] = (0, 0)
        self._implausible = 0

    # -- outputs --

    @property
    def has_room(self) -> bool:
        """A new command could be written at once."""
        return self._hold_until is None and self._window.has_room

    @property
    def holds(self) -> bool:
        """It waits for the `ok` that goes with a Resend."""
        return self._hold_until is not None

    @property
    def in_flight(self) -> deque[Line]:
        return self._window.in_flight

    @property
    def oldest(self) -> int:
        """The first line that is not acknowledged."""
        return self._window.oldest

    @property
    def next_number(self) -> int:
        return self._window.next_number

    @property
    def unacknowledged(self) -> int:
        return self._window.unacknowledged

    @property
    def waits_for_heat(self) -> bool:
        """The printer is busy with a command that waits for a temperature."""
        in_flight = self._window.in_flight
        return bool(in_flight) and in_flight[0].family in HEATING

    @property
    def suspect(self) -> bool:
        """A question has gone unanswered, and nothing was heard since it was asked again."""
        in_flight = self._window.in_flight
        return bool(in_flight and in_flight[0].retries and self._figures.heard_at < in_flight[0].sent_at)

    @property
    def deadline(self) -> float | None:
        """Wake me then; None when nothing is awaited."""
        if self._hold_until is not None:
            return self._hold_until
        return min(self._retry_at, self._gives_up_at()) if self._window.in_flight else None

    def knows(self, number: int) -> bool:
        """Whether line `number` could be written, now or again."""
        return self._window.can_rewind(number)

    def newly_acknowledged(self) -> list[Line]:
        """Lines that have been acknowledged since this was last asked, each once, in order."""
        return self._window.newly_acknowledged()

    # -- what is to be written --

    def append(self, command: str, now: float, tag: int | None = None) -> None:
        """The next line; it is written when there is room."""
        if command.startswith("M113"):
            self._busy_seen = False  # From here on it may say so at another pace, or not at all.
        self._window.append(command, tag)
        self._write_more(now)

    def append_urgent(self, command: str, now: float, tag: int | None = None) -> bool:
        """The next line, written at once whatever is in flight; False when others have to be written again first."""
        if self._hold_until is not None or not self._window.all_written:
            return False
        self._window.append(command, tag)
        self._write(self._window.take(now, beyond=True), now)
        return True

    def damage(self) -> bytes:
        """A line that would be the next, with a wrong checksum: whoever asks for it knows lines. Nothing else is
        awaited any more."""
        self._window.forget_flight()
        body, _, checksum = number_line(self._window.next_number, "M105").strip().rpartition(b"*")
        return b"%b*%d\n" % (body, int(checksum) ^ 1)

    def repair(self, now: float) -> None:
        """Go on as if the printer had acknowledged; nothing happens when nothing is awaited."""
        if self._window.in_flight or self._hold_until is not None:
            self._rejected = False
            self.on_ok(None, now)

    # -- what the printer says --

    def learn_room(self, free: int) -> None:
        """An `ok` says that there is room for so many commands."""
        self._width.learn(free)

    def on_ok(self, number: int | None, now: float) -> None:
        """It has taken a line; some firmware says which."""
        if self._hold_until is not None:
            # The ok that goes with a Resend.
            self._hold_until = None
            self._oks_missed = 0
        elif self._echo_until is not None and now < self._echo_until:
            self._echo_until = None
        elif self._owed and self._is_late_one(number, now):
            pass
        elif self._skipped:
            # That of a line that was passed over, and not of the one in flight.
            self._skipped = False
        elif self._rejected:
            # The Resend itself was lost on the way; the complaint before it told as much.
            if not self._rewind(self._window.oldest):
                return
        elif self._window.in_flight:
            self._acknowledge(number, now)
        self._rejected = False
        self._write_more(now)

    def on_resend(self, number: int, now: float) -> None:
        """The printer expects line `number` next."""
        if number == self._guess[0]:
            self._pace.measured(self._guess[1])  # It was not lost, but late.
            self._guess = (0, 0.0)
        if not self.may_write or self._is_known(number, now):
            return
        others = sum(line.number > number for line in self._window.in_flight)
        if number < self._window.next_number:
            self._narrow()
        self._expect_late_oks(number)
        if self._rewind(number):
            self._echoes.expect(number, others)
            self._hold(now)

    def on_answer_to_damage(self, number: int, now: float) -> None:
        """It asks for the line that was damaged."""
        self._window.rewind(number)
        self._hold(now)

    def on_rejected(self) -> None:
        """A line was refused, it does not say which."""
        self._rejected = True

    def on_skipped(self, number: int) -> None:
        """Repetier has passed over line `number`, as one that it has had or while it waits for an earlier one, and says
        ok to that."""
        self._skipped = self._window.passed_over(number) or number < self._window.oldest

    def on_busy(self, now: float) -> None:
        self._busy_seen = True
        self._retry_at = max(self._retry_at, now + BUSY_GRACE)

    def on_idle(self, now: float) -> None:
        """It has nothing to do, so what is in flight got lost, unless the two have just crossed."""
        in_flight = self._window.in_flight
        if in_flight and now >= in_flight[0].sent_at + CROSSED and may_repeat(in_flight[0].family, self.firmware):
            self._retry_at = min(self._retry_at, now)
            self._retry(now)

    def handle_timer(self, now: float) -> bool:
        """The deadline has come, or not yet; False when there is nothing that is awaited."""
        if self._hold_until is not None and now >= self._hold_until:
            self._hold_until = None
            self._oks_missed += 1
            self._write_more(now)
        elif self._window.in_flight:
            if now >= min(self._retry_at, self._gives_up_at()):
                self._retry(now)
        else:
            return self._hold_until is not None
        return True

    # -- inside --

    def _acknowledge(self, number: int | None, now: float) -> None:
        oldest = self._window.in_flight[0]
        if not self._window.acknowledge(number):
            # Of a line that is known to have arrived: it still works on those before this one, which is not overdue.
            if (asked_at := self._window.asked_at(number)) is not None:
                self._pace.measured(now - asked_at)
            self._retry_at = now + self._patience(oldest)
            return
        self._measure(oldest, now)
        if oldest.retries:
            # If it has had the line all along, and those behind it, it will complain of each that we wrote on a guess.
            self._echoes.expect(self._after_guess, oldest.retries)
            self._guess = (self._after_guess, now - oldest.asked_at)
        self._window.size = self._width.at(self._window.next_number)
        self._made_progress(now)

    def _made_progress(self, now: float) -> None:
        self._stuck = (0, 0)
        self._implausible = 0
        if self._window.in_flight:
            self._retry_at = now + self._patience(self._window.in_flight[0])
        self.active_at = now

    def _measure(self, line: Line, now: float) -> None:
        # The answer to a line that was written twice may be to either.
        if line.writes == 1 and not takes_long(line.family, self.firmware):
            self._pace.measured(now - line.sent_at)
            if answers_at_once(line.family, self.firmware):
                self._figures.answered(now - line.sent_at)

    def _expect_late_oks(self, number: int) -> None:
        """All that was written has arrived, as a guess has brought to light, and waits perhaps in the printer. Then
        their `ok`s are to come, and are not those of the lines after them. If that was wrong, the next guess shows
        it."""
        in_flight = self._window.in_flight
        if not in_flight or number != in_flight[-1].number + 1:
            return
        if in_flight[0].asked_at <= self._owed_at < in_flight[0].sent_at:
            self._owed.clear()  # What was taken for a late one was its own, so the others are lost.
        else:
            self._owed.extend(line.asked_at for line in in_flight)

    def _is_late_one(self, number: int | None, now: float) -> bool:
        """This is the `ok` of a line before, which is known to have arrived."""
        in_flight = self._window.in_flight
        is_prompt = bool(in_flight) and now - in_flight[0].sent_at < self._pace.prompt
        if number is not None or (is_prompt and len(self._owed) == 1):
            # It says so, or comes as quickly as the answer to the line that has been written since: one `ok` gets lost
            # more often than several do.
            self._owed.clear()
            return False
        asked_at = self._owed.popleft()
        if not is_prompt:
            self._pace.measured(now - asked_at)
        self._owed_at = now
        if in_flight:  # It may have been the line's own after all.
            family = in_flight[0].family
            self._retry_at = now + until_asked(family, self.firmware, self._pace, says_busy=self._busy_seen)
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
        wait = self.firmware.resend_ok
        self._hold_until = now + (wait if self._oks_missed < OKS_MISSED else min(wait, SHORT_HOLD))

    def _rewind(self, number: int) -> bool:
        """Everything below `number` has arrived; go on writing there. False when that cannot be."""
        if not self._window.can_rewind(number):
            # Damage, unless it insists.
            self._implausible += 1
            if self._implausible > MAX_IMPLAUSIBLE:
                self.fault = "resend_loop", f"it asks for line {number}, which is not there to be sent again"
                return False
            number = self._window.oldest
        else:
            same, times = self._stuck
            self._stuck = (number, times + 1 if same == number else 1)
            if self._stuck[1] > MAX_RESENDS and number != self._window.next_number:
                self.fault = "resend_loop", f"it asked for line {number} {MAX_RESENDS} times"
                return False
        self._figures.resends += self._window.rewind(number)
        return True

    def _write_more(self, now: float) -> None:
        while self._hold_until is None and self.may_write and self._write(self._window.take(now), now):
            pass

    def _write(self, line: Line | None, now: float) -> bool:
        if line is None:
            return False
        if len(self._window.in_flight) == 1:
            self._retry_at = now + self._patience(line)
        self.active_at = now
        self.written.append(line.data)
        return True

    def _retry(self, now: float) -> None:
        """No answer in time: write the oldest line again, or give up."""
        line = self._window.in_flight[0]
        if now >= self._gives_up_at():
            silent = now - self._figures.heard_at
            self.fault = ("timeout", f"no answer to {line.command}, and nothing at all for {silent:.0f} s")
            return
        if line.retries >= MAX_RETRIES and not self.waits_for_card and not takes_long(line.family, self.firmware):
            self.fault = ("timeout", f"it talks, but did not acknowledge {line.command} in {line.retries} attempts")
            return
        line.retries += 1
        self._retry_at = now + self._patience(line)
        if may_repeat(line.family, self.firmware):
            # One line is enough to be told what it expects.
            self._figures.resends += 1
            self._echoes = Echoes()
            self._echo_until = None
            self._after_guess = self._window.in_flight[-1].number + 1
            self.written.append(self._window.write_again(now).data)

    def _patience(self, line: Line) -> float:
        return until_retry(line.family, self.firmware, self._pace, retries=line.retries, says_busy=self._busy_seen)

    def _gives_up_at(self) -> float:
        line = self._window.in_flight[0]
        return gives_up_at(
            line.family,
            self.firmware,
            asked_at=line.asked_at,
            heard_at=self._figures.heard_at,
            says_busy=self._busy_seen,
        )
