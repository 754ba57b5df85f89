"""Our side of a port that another program takes for a printer: its commands take their turn with ours.

    bytes -> lines -> LineChecker (number, checksum) -> next_command ... the printer ... CommandAcknowledged -> ok

Its rules:

- Each line of the guest has one answer, in the order of the lines; a command has its `ok` when our printer has
  acknowledged that very command, and not before. M110 numbers the guest's lines, not ours, and stays here.
- What the printer says is passed on, but for what is about our own line to it: the oks of others, requests to send
  again, complaints about numbers and checksums, `wait`. A report that rides on an ok goes along.
- A printer that is lost takes its commands with it: they are answered with an error. After that, numbered lines are
  refused until the guest begins anew (M110, or by opening the port): a print must not go on at a printer that was
  reset.
- Every buffer has a limit. A guest that does not read hears less and is obeyed no more; one that writes faster than
  the printer prints waits (`wants_data`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from limpet.protocol.commands import Command, code_of, is_emergency_stop
from limpet.protocol.events import (
    Acknowledged,
    CommandAcknowledged,
    Event,
    IdleReported,
    LineReceived,
    LineRejected,
    LineSkipped,
    ResendRequested,
)
from limpet.protocol.replies import events_of, printable, without_noise
from limpet.protocol.virtual.faults import Faults
from limpet.protocol.virtual.firmware import FIRMWARES
from limpet.protocol.virtual.lines import LineChecker, Refused
from limpet.protocol.virtual.options import VirtualPrinterOptions

MAX_SENT = 4
"""Commands of the guest that wait in the printer's queue or for their ok, so that they cannot crowd out others."""
MAX_ANSWERS = 16
"""Lines that are read ahead; an M112 among them is seen."""
MAX_LINE = 1024
"""Bytes of a line of the guest, its comment included."""
MAX_UNSENT = 65_536
"""Bytes kept for a guest that does not read; what the printer says beyond is lost to it."""

_MANNERS = FIRMWARES["marlin"]
_OURS = (Acknowledged, ResendRequested, LineRejected, LineSkipped, IdleReported)
# The numbers in `ok N12 P15 B3` are those of our lines.
_OK = re.compile(r"^ok\s*(?:N?\d+(?![\w.]))?(?:\s*\b[PB]\d+\b)*\s*|\s*ok$", re.IGNORECASE)
# What our line has damaged must not be an answer to the guest, which may look at no more than this.
_LOOKS_OURS = re.compile(r"ok|resend|rs", re.IGNORECASE)


@dataclass(slots=True)
class _Answer:
    """What a line of the guest is answered; `text` is None until the printer has acknowledged `command`."""

    command: Command | None
    text: str | None
    mute: bool
    sent: bool = False


class GuestPort:
    """One such port, for one guest after the other; `tags` gives numbers that nobody else has."""

    def __init__(self, tags: Iterator[int]) -> None:
        self._tags = tags
        self._answers: deque[_Answer] = deque()
        self._out = bytearray()
        self._report = ""
        self._lost = ""
        self._open = False
        self.begin()
        self.end()

    def begin(self) -> None:
        """A guest has come; commands of the one before that wait for their ok are still carried out."""
        self.end()
        self._open = True
        self._lost = ""
        self._arriving = bytearray()
        self._checker = LineChecker(_MANNERS, Faults(VirtualPrinterOptions()), only_numbered=False)

    def end(self) -> None:
        """The guest has left; what it has written before is still obeyed."""
        self._open = False
        self._out.clear()
        for answer in self._answers:
            answer.mute = True

    # -- what the guest says --

    @property
    def wants_data(self) -> bool:
        """Whether `receive_data` may be called; else the guest has to wait."""
        return len(self._arriving) <= MAX_LINE + 1

    def receive_data(self, data: bytes) -> None:
        """Take what the guest writes, any bytes. Never raises."""
        self._arriving += data.replace(b"\r", b"\n")
        self._work()

    def next_command(self) -> Command | None:
        """What is to be sent to the printer, an M112 first; None when there is nothing, or enough is on its way."""
        waiting = [answer for answer in self._answers if answer.text is None]
        unsent = [answer for answer in waiting if not answer.sent]
        urgent = [answer for answer in unsent if answer.command and is_emergency_stop(answer.command.text)]
        if not urgent and (not unsent or len(waiting) - len(unsent) >= MAX_SENT):
            return None
        answer = (urgent or unsent)[0]
        answer.sent = True
        return answer.command

    def _work(self) -> None:
        """Give the answers that are due, and take lines as long as there is room for theirs."""
        self._give_answers()
        while len(self._answers) < MAX_ANSWERS and len(self._out) < MAX_UNSENT:
            line, newline, rest = self._arriving.partition(b"\n")
            if not newline:
                # One byte more than a line may have tells, when its end comes, that it was too long.
                del self._arriving[MAX_LINE + 1 :]
                return
            self._arriving = rest
            self._take_line(bytes(line))
            self._give_answers()

    def _take_line(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            self._owe(text=_error(f"a line has at most {MAX_LINE} bytes"))
            return
        text = line.decode("latin-1").partition(";")[0].strip()
        if not text:
            return
        checked = self._checker.check(text, writing=False)
        if isinstance(checked, Refused):
            self._refuse_line(checked)
            return
        command = _text_of(checked.command)
        code = code_of(command)
        if code == "M110":
            self._lost = ""
            self._owe(text="ok")
        elif self._lost and checked.number is not None and not is_emergency_stop(command):
            self._owe(text=_error(f"{self._lost}; begin anew with M110"))
        elif command:
            self._owe(command=Command(command, next(self._tags)))
        else:
            self._owe(text="ok")

    def _refuse_line(self, refused: Refused) -> None:
        expected = self._checker.last + 1
        why = _MANNERS.errors[refused.kind].format(last=self._checker.last)
        self._owe(text=f"{why}\n{_MANNERS.resend.format(number=expected)}\nok")
        # The numbered lines behind it are sent again anyway; a second complaint would have them sent twice.
        *lines, rest = self._arriving.split(b"\n")
        self._arriving = bytearray(b"\n").join([*(line for line in lines if not line.lstrip().startswith(b"N")), rest])

    def _owe(self, *, command: Command | None = None, text: str | None = None) -> None:
        self._answers.append(_Answer(command, text, mute=not self._open))

    # -- what becomes of its commands, and what the printer says --

    def handle_event(self, event: Event) -> None:
        """Everything that happens to the printer, in order."""
        match event:
            case LineReceived(line=line) if self._open:
                self._pass_on_report()
                text, has_ok = _without_ours(line)
                if has_ok:
                    self._report = text  # Whose ok it is comes next.
                else:
                    self._say(text)
            case Acknowledged():
                pass
            case CommandAcknowledged(tag=int(tag)):
                self._acknowledge(tag)
            case _:
                self._pass_on_report()

    def refuse(self, command: Command, why: str) -> None:
        """The printer does not take this command of `next_command`."""
        self._settle(command.tag, _error(why))

    def lose_printer(self, why: str) -> None:
        """The printer is gone or was reset, and with it every command that waits for its ok."""
        self._pass_on_report()
        self._lost = why
        for answer in self._answers:
            answer.text = answer.text or _error(why)
        self._work()

    def _acknowledge(self, tag: int) -> None:
        report, self._report = self._report, ""
        if not self._settle(tag, f"ok {report}" if report else "ok"):
            self._say(report)

    def _settle(self, tag: int | None, text: str) -> bool:
        """False when nobody hears it."""
        found = next((each for each in self._answers if each.command and each.command.tag == tag), None)
        if found is None:
            return False
        found.text = text
        heard = not found.mute
        self._work()
        return heard

    def _give_answers(self) -> None:
        while self._answers and (text := self._answers[0].text) is not None:
            if not self._answers.popleft().mute:
                self._out += text.encode() + b"\n"

    def _pass_on_report(self) -> None:
        report, self._report = self._report, ""
        self._say(report)

    def _say(self, text: str) -> None:
        if text and self._open and len(self._out) < MAX_UNSENT:
            self._out += text.encode() + b"\n"

    # -- what the guest hears --

    def data_to_send(self) -> bytes:
        """The next bytes to be written to the guest; they stay here until they are `sent`."""
        return bytes(self._out[:4096])

    def sent(self, count: int) -> None:
        """So many bytes have been written."""
        del self._out[:count]
        self._work()


def _without_ours(line: str) -> tuple[str, bool]:
    """What of a line of the printer is for the guest as well, and whether there was an ok in it."""
    text = without_noise(line).strip()
    events = events_of(text)
    has_ok = any(isinstance(event, Acknowledged) for event in events)
    if has_ok:
        line = text = _OK.sub("", text)
        events = events_of(text)
    ours = _LOOKS_OURS.match(text) or any(isinstance(event, _OURS) for event in events)
    return "" if ours else printable(line.strip()), has_ok


def _text_of(command: str) -> str:
    """Checksums are over bytes, commands are UTF-8."""
    try:
        return command.encode("latin-1").decode().strip()
    except UnicodeDecodeError:
        return command


def _error(why: str) -> str:
    return f"Error:{printable(why)}\nok"
