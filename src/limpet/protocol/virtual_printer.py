"""The other end of the wire: a printer in memory, Marlin by default, with every fault that one may ask for.

Bytes come in by `receive_data`, go out by `data_to_send`; `now` is any clock in seconds that does not go back.

    bytes -> Uart (bounded, overflows silently) -> LineChecker (number, checksum) -> _queue (bounded) -> _start
    -> steps of a handler (virtual/table.py, commands.py, card_commands.py) until it is done -> ok (virtual/voice.py)

A line that is refused throws away all that waits in the Uart. Bytes that come before the printer has booted, or after
it has halted, are not heard. Source: Marlin's queue.cpp as described in its G-code documentation; recordings.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from math import inf

from limpet.protocol.commands import code_of
from limpet.protocol.virtual import debug
from limpet.protocol.virtual.card import SdCard
from limpet.protocol.virtual.commands import Steps, word_of
from limpet.protocol.virtual.faults import Faults
from limpet.protocol.virtual.lines import LineChecker, Refused
from limpet.protocol.virtual.machine import Machine
from limpet.protocol.virtual.options import VirtualPrinterOptions
from limpet.protocol.virtual.table import Table
from limpet.protocol.virtual.uart import MAX_LINE, Uart
from limpet.protocol.virtual.voice import Voice

__all__ = ["VirtualPrinter", "VirtualPrinterOptions"]

DEFAULT_OPTIONS = VirtualPrinterOptions()
CARD_LINES_AT_ONCE = 100

_EMERGENCY = re.compile(r"(?:N\s*-?\d+\s*)?(?:M108|M112|M410|M876)(?!\d)")


@dataclass
class _Task:
    """A command on its way: the line number it came with (None without), and the rest of its work."""

    command: str
    number: int | None
    from_card: bool = False
    steps: Steps | None = None
    answered: bool = False
    rested: bool = False


class VirtualPrinter:
    """A printer, as seen from its port. Nothing happens before `reset` turns it on.

    `accepted`: the commands of the host that it has executed, in order, without number and checksum, over all
    resets; what went into a file on the card is in `card.files`.
    `gone`: it has been unplugged; `reset` plugs it in again.
    """

    machine: Machine
    faults: Faults
    _arriving: bytes
    _task: _Task | None
    _boot_at: float | None

    def __init__(self, options: VirtualPrinterOptions = DEFAULT_OPTIONS) -> None:
        self.options = options
        self.accepted: deque[str] = deque(maxlen=options.journal)
        self.gone = False
        self.card = SdCard(options)
        self._uart = Uart(options)
        self._powered = False
        self._power_on(0.0)

    def reset(self, now: float) -> None:
        """Power on, or a pulse on DTR: all is forgotten but the files on the card; then it boots."""
        self._powered, self.gone = True, False
        self._power_on(now)
        self.handle_timer(now)

    def host_baudrate(self, baudrate: int) -> None:
        """The rate in baud that the host has set; with another than its own, both hear noise."""
        self._uart.host_baudrate(baudrate)

    @property
    def deadline(self) -> float | None:
        """When `handle_timer` wants to be called; None: not before something is received."""
        if self.gone or not self._powered:
            return None
        moments = [self._gone_at, self._uart.next_due(self._now)]
        if self._boot_at is not None:
            moments.append(self._boot_at)
        elif self._listens():
            moments.append(self._asleep_until if self._is_asleep() else self._next_work())
        earliest = min(moments)
        return None if earliest == inf else earliest

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes from the host, any bytes."""
        self._now = self.machine.now = now
        if self._boot_at is not None:
            self.handle_timer(now)
        if not (self._listens() and self.machine.firmware.listens):
            return
        data = self._uart.hear(data)
        if self.options.emergency_parser:
            self._look_for_emergencies(data)
        elif b"\n" not in data and self._uart.is_empty() and self._free_commands() > 0 and not self._is_asleep():
            self._uart.continue_line(data)
            return
        self.handle_timer(now)
        while data and self._listens():
            taken = self._uart.receive(data)
            if not taken:
                return
            data = data[taken:]
            if not self._is_asleep():
                self._work()

    def handle_timer(self, now: float) -> None:
        """Does what is due by now."""
        self._now = self.machine.now = now
        if now >= self._gone_at:
            self.go_away()
        if self._boot_at is not None and now >= self._boot_at:
            self._boot()
        if self._listens() and not self._is_asleep():
            self._work()
            self._voice.say_what_is_due(self._task is not None, self._is_idle())

    def data_to_send(self) -> bytes:
        """What has left the printer by the last `now`, each byte once."""
        return self._uart.take(self._now)

    # What handlers, faults and debug commands do to it

    def say(self, text: str) -> None:
        """One line to the host; nothing from a printer that is off, silent or halted."""
        if not self._listens():
            return
        if self._task is not None and text.startswith("ok "):
            self._task.answered = True
        deleted = text.startswith("File deleted")
        if self._task is not None and deleted and self.options.broken_m30:
            self._task.answered = True
        glued = deleted and self.options.glued_file_deleted
        self._uart.put(text + ("" if glued else self.machine.firmware.line_end), self._now)

    def go_away(self) -> None:
        """Unplugged."""
        self.gone = True
        self._powered = False

    def fall_silent(self) -> None:
        """Hung: neither hears nor says anything until it is reset."""
        self._silent = True

    def sleep(self, seconds: float) -> None:
        """Does and says nothing for a while; what comes in waits."""
        self._asleep_until = self._now + seconds

    def stop_waiting(self) -> None:
        """Whatever it is busy with is over."""
        self.machine.user_continues()
        self.machine.planner.stop()
        if self._task is not None:
            self._task.steps, self._wake = iter(()), self._now

    # From bytes to commands

    def _take_lines(self) -> None:
        while self._free_commands() > 0 and self._listens() and not self._is_asleep():
            line = self._uart.next_line()
            if line is None:
                return
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            self._ignore()
            return
        heard = self.faults.line_in(line)
        if heard is None:
            return
        text = heard.decode("latin-1").partition(";")[0].strip()
        if not text:
            self._ignore()
            return
        if self.options.echo_lines:
            self.say(f"Got:{text}")
        checked = self._checker.check(text, writing=self.card.writing is not None)
        if isinstance(checked, Refused):
            self._refuse(checked)
            return
        self._voice.line_taken()
        if checked.command.startswith(debug.PREFIX):
            machine = self.machine
            debug.run(self, checked.command.removeprefix(debug.PREFIX))
            if self.machine is machine:  # after a reset nobody remembers the question
                self._ok(checked.number)
            return
        early = checked.command.startswith("M") and not self.options.emergency_parser
        if not (early and self._emergency(code_of(checked.command))):
            self._queue.append(_Task(checked.command, checked.number))

    def _ignore(self) -> None:
        if self.machine.firmware.ok_for_empty_lines:
            self._ok(None)

    def _refuse(self, refused: Refused) -> None:
        if refused.kind != "old":
            self._uart.flush()
        self._voice.refuse(refused, self._checker.last)

    def _look_for_emergencies(self, data: bytes) -> None:
        *lines, rest = (self._arriving + data).split(b"\n")
        self._arriving = rest[: MAX_LINE - 1]
        for line in lines:
            match = _EMERGENCY.match(line.decode("latin-1").strip())
            if match:
                self._emergency(match[0][-4:])

    def _emergency(self, code: str) -> bool:
        """What acts as soon as it is read, ahead of the queue; True when that was all."""
        if not self._table.knows(code):
            return False
        if code == "M112" and self.options.m112:
            self.accepted.append(code)
            if self.machine.firmware.halt_restarts:
                self.reset(self._now)
                return True
            self.machine.halt()
            return self.machine.stopped is not None and not self.machine.stopped.with_ok
        if code in ("M108", "M876"):
            self.machine.user_continues()
            self._wake = self._now
        elif code == "M410":
            self.machine.planner.stop()
            self._wake = self._now
        return False

    # From commands to answers

    def _work(self) -> None:
        self._card_lines = CARD_LINES_AT_ONCE
        while self._listens() and not self._is_asleep():
            self._take_lines()
            if not self._step():
                return

    def _step(self) -> bool:
        """Goes on with the command in work, or begins the next; False when there is nothing to do now."""
        task = self._task
        if task is None:
            task = self._task = self._next_task()
            if task is None:
                return False
            self._voice.work()
            self._wake = self._now
            self._start(task)
        if task.steps is not None and self._listens():
            if self._now < self._wake:
                return False
            wake = next(task.steps, None)
            if wake is not None:
                self._wake = wake
                return True
        if self._task is task:
            self._finish(task)
        return True

    def _next_task(self) -> _Task | None:
        if self._queue:
            return self._queue.popleft()
        if self.card.printing and self._card_lines > 0:
            self._card_lines -= 1
            line = self.card.next_line()
            if line is not None:
                return _Task(line, None, from_card=True, answered=True)
            self.card.printing = False
            self.say("Done printing file")
        return None

    def _start(self, task: _Task) -> None:
        command, machine = task.command, self.machine
        code = word_of(command)
        to_card = self.card.writing is not None and not task.from_card
        if not task.from_card and (not to_card or code == "M29"):
            self.accepted.append(command)
        if (self.options.ok_before_output or machine.firmware.ok_before_output) and not task.from_card:
            self._ok(task.number)
            task.answered = True
        if to_card:
            self._write_to_card(task, code)
        elif machine.stopped is not None and code not in machine.stopped.until | machine.stopped.still:
            self.say(machine.stopped.text)
            task.answered = task.answered or not machine.stopped.with_ok
        elif machine.locked and code != "M511":
            self.say("echo:Printer locked! (Unlock with M511 or LCD)")
        elif not self._table.knows(code):
            self._complain(task, code)
        elif code == "M105":
            self._report_temperatures(task)
        elif handler := self._table.handler(code):
            task.steps = handler(machine, command)

    def _complain(self, task: _Task, code: str) -> None:
        firmware = self.machine.firmware
        if not task.command:
            return
        if firmware.unknown:
            self.say(firmware.unknown.format(command=task.command, code=code.lstrip("GMT")))
        task.answered = task.answered or firmware.unknown_instead_of_ok

    def _write_to_card(self, task: _Task, code: str) -> None:
        if code == "M29":
            self.card.writing = None
            self.say("Done saving file.")
            task.answered = task.answered or self.options.broken_m29
        elif not self.card.write(task.command):
            self.say("Error:error writing to file")

    def _report_temperatures(self, task: _Task) -> None:
        report = self.machine.temperature_report()
        if task.answered or not self.machine.firmware.ok_with_temperatures:
            self.say(report)
            return
        self._voice.say_ok(f"ok {report}")
        task.answered = True

    def _finish(self, task: _Task) -> None:
        if not task.rested:
            task.rested = True
            seconds = self.faults.sleep(code_of(task.command))
            if seconds:
                task.steps = iter(())
                self.sleep(seconds)
                return
        if not task.answered:
            self._ok(task.number)
        self._task = None
        self._voice.rest()
        if not task.from_card:
            self._wear_out()

    def _wear_out(self) -> None:
        self._executed += 1
        if self._executed == self.options.silence_after:
            self.fall_silent()
        if self._executed == self.options.halt_after:
            self.machine.halt()
        if self._executed == self.options.gone_after:
            self.go_away()

    def _ok(self, number: int | None) -> None:
        self._voice.ok(number, self._checker.last, self._checker.seen)

    # Power and state

    def _power_on(self, now: float) -> None:
        options = self.options
        self._now = now
        self.card.power_on()
        self.machine = Machine(options, self.say, self.card, now)
        self.faults = Faults(options)
        self._voice = Voice(self.machine, self.faults, self._free_commands)
        self._uart.power_on()
        self._arriving = b""
        self._queue: deque[_Task] = deque()
        self._task = None
        self._table = Table(self.machine.firmware, options)
        self._checker = LineChecker(self.machine.firmware, self.faults, options.force_checksum)
        self._executed = 0
        self._card_lines = 0
        self._silent = False
        self._wake = self._asleep_until = now
        self._boot_at = now + options.boot_time
        self._gone_at = now + options.gone_after_seconds if options.gone_after_seconds else inf

    def _boot(self) -> None:
        self._boot_at = None
        self._voice.rest()
        lines = list(self.options.banner_lines or self.machine.firmware.banner) if self.options.banner else []
        if self.options.boot_noise:
            lines.insert(min(2, len(lines)), "\x80")
        for line in [""] * self.options.blank_boot_lines + lines:
            if self.options.late_banner:
                self.machine.announce(self.options.late_banner, line)
            else:
                self.say(line)

    def _next_work(self) -> float:
        if self._task is None and self.card.printing:
            return self._now
        due = self._voice.next_due(self._task is not None, self._is_idle())
        return due if self._task is None else min(due, self._wake)

    def _listens(self) -> bool:
        return self._powered and self._boot_at is None and not self._silent and not self.machine.halted

    def _is_asleep(self) -> bool:
        return self._now < self._asleep_until

    def _is_idle(self) -> bool:
        return self._task is None and not self._queue and not self.card.printing

    def _free_commands(self) -> int:
        working = self._task is not None and not self._task.from_card
        return self.options.command_buffer - len(self._queue) - working
