"""The other end of the wire: a printer in memory, Marlin by default, with every fault that one may ask for.

Bytes come in by `receive_data`, go out by `data_to_send`; `now` is any clock in seconds that does not go back.

    bytes -> Uart (bounded, overflows silently) -> LineChecker (number, checksum) -> _queue (bounded) -> _start
    -> steps of a handler (virtual/commands.py) until it is done -> ok

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
from limpet.protocol.virtual.card_commands import HANDLERS as CARD_HANDLERS
from limpet.protocol.virtual.commands import HANDLERS as MACHINE_HANDLERS
from limpet.protocol.virtual.commands import SILENT, Steps
from limpet.protocol.virtual.faults import Faults
from limpet.protocol.virtual.lines import LineChecker, Refused
from limpet.protocol.virtual.machine import Machine
from limpet.protocol.virtual.options import VirtualPrinterOptions
from limpet.protocol.virtual.uart import MAX_LINE, Uart

__all__ = ["VirtualPrinter", "VirtualPrinterOptions"]

HANDLERS = MACHINE_HANDLERS | CARD_HANDLERS

DEFAULT_OPTIONS = VirtualPrinterOptions()
CARD_LINES_AT_ONCE = 100
RESEND_PAUSE = 0.2

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
    _repeat_resend: tuple[float, int, str] | None
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
        if not self._listens():
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
            self._say_what_is_due()

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
        glued = self.options.glued_file_deleted and text.startswith("File deleted")
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
            return
        heard = self.faults.line_in(line)
        if heard is None:
            return
        text = heard.decode("latin-1").partition(";")[0].strip()
        if not text:
            return
        checked = self._checker.check(text, writing=self.card.writing is not None)
        if isinstance(checked, Refused):
            self._refuse(checked)
            return
        self._repeat_resend = None
        if checked.command.startswith(debug.PREFIX):
            machine = self.machine
            debug.run(self, checked.command.removeprefix(debug.PREFIX))
            if self.machine is machine:  # after a reset nobody remembers the question
                self._ok(checked.number)
            return
        if not self.options.emergency_parser and checked.command.startswith("M"):
            self._emergency(code_of(checked.command))
        self._queue.append(_Task(checked.command, checked.number))

    def _refuse(self, refused: Refused) -> None:
        firmware, last = self.machine.firmware, self._checker.last
        if refused.kind == "old":
            self.say(f"skip {refused.number}")
            self.say("ok")
            return
        self._uart.flush()
        if refused.kind == "timeout":
            return
        self.say(firmware.errors[refused.kind].format(last=last, expected=last + 1, number=refused.number))
        resend = firmware.resend.format(number=last + 1)
        self.say(resend)
        if not self.options.broken_resend:
            for _ in range(2 if self.options.ok_after_resend else 1):
                self._say_ok("ok")
        if self.options.repeated_resends:
            self._repeat_resend = (self._now + RESEND_PAUSE, self.options.repeated_resends, resend)

    def _look_for_emergencies(self, data: bytes) -> None:
        *lines, rest = (self._arriving + data).split(b"\n")
        self._arriving = rest[: MAX_LINE - 1]
        for line in lines:
            match = _EMERGENCY.match(line.decode("latin-1").strip())
            if match:
                self._emergency(match[0][-4:])

    def _emergency(self, code: str) -> None:
        """What acts as soon as it is read, ahead of the queue."""
        if code == "M112":
            self.accepted.append(code)
            self.machine.halt()
        elif code in ("M108", "M876"):
            self.machine.user_continues()
            self._wake = self._now
        elif code == "M410":
            self.machine.planner.stop()
            self._wake = self._now

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
            self._busy_at = self._now + self.machine.busy_interval
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
        code = code_of(command) if command[:1].isupper() else ""
        to_card = self.card.writing is not None and not task.from_card
        if not task.from_card and (not to_card or code == "M29"):
            self.accepted.append(command)
        if (self.options.ok_before_output or machine.firmware.ok_before_output) and not task.from_card:
            self._ok(task.number)
            task.answered = True
        if to_card:
            self._write_to_card(task, code)
        elif machine.stopped and code != "M999":
            self.say(machine.stopped)
        elif machine.locked and code != "M511":
            self.say("echo:Printer locked! (Unlock with M511 or LCD)")
        elif code == "M105":
            self._report_temperatures(task)
        elif code in HANDLERS:
            task.steps = HANDLERS[code](machine, command)
        elif code not in SILENT and command:
            self.say(machine.firmware.unknown.format(command=command))

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
        self._say_ok(f"ok {report}")
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
        self._wait_at = self._now + self.options.wait_interval
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

    # Saying

    def _ok(self, number: int | None) -> None:
        planner, buffer = self.machine.planner.free(self._now), self._free_commands()
        if self.options.advanced_ok:
            line = "" if number is None else f" N{number}"
            text = f"ok{line} P{planner} B{buffer}"
        else:
            template = self.options.ok_format or self.machine.firmware.ok
            text = template.format(line=self._checker.last, planner=planner, buffer=buffer)
        self._say_ok(text)

    def _say_ok(self, text: str) -> None:
        for each in self.faults.oks(text):
            self.say(each)

    def _say_what_is_due(self) -> None:
        now, machine = self._now, self.machine
        if self._task is not None and now >= self._busy_at and machine.busy_interval > 0:
            self._busy_at = now + machine.busy_interval
            text = machine.firmware.busy_for_user if machine.waits_for_user else machine.firmware.busy
            if text:
                self.say(text)
        for name, (interval, moment) in list(machine.reports.items()):
            if now >= moment:
                machine.reports[name] = (interval, now + interval)
                self.say(self._report(name))
        if self.options.wait and self._is_idle() and now >= self._wait_at:
            self._wait_at = now + self.options.wait_interval
            self.say("wait")
        if self._repeat_resend is not None and now >= self._repeat_resend[0]:
            _, times, resend = self._repeat_resend
            self._repeat_resend = (now + RESEND_PAUSE, times - 1, resend) if times > 1 else None
            self.say(resend)
            self._say_ok("ok")

    def _report(self, name: str) -> str:
        if name == "temperature":
            return self.machine.firmware.report_prefix + self.machine.temperature_report()
        return self.machine.position_report() if name == "position" else self.machine.sd_report()

    # Power and state

    def _power_on(self, now: float) -> None:
        options = self.options
        self._now = now
        self.card.power_on()
        self.machine = Machine(options, self.say, self.card, now)
        self.faults = Faults(options)
        self._uart.power_on()
        self._arriving = b""
        self._queue: deque[_Task] = deque()
        self._task = None
        self._checker = LineChecker(self.machine.firmware, self.faults, options.force_checksum)
        self._executed = 0
        self._card_lines = 0
        self._silent = False
        self._wake = self._busy_at = self._asleep_until = now
        self._wait_at = now + options.wait_interval
        self._repeat_resend = None
        self._boot_at = now + options.boot_time
        self._gone_at = now + options.gone_after_seconds if options.gone_after_seconds else inf

    def _boot(self) -> None:
        self._boot_at = None
        self._wait_at = self._now + self.options.wait_interval
        for _ in range(self.options.blank_boot_lines):
            self.say("")
        lines = list(self.options.banner_lines or self.machine.firmware.banner) if self.options.banner else []
        if self.options.boot_noise:
            lines.insert(min(2, len(lines)), "\x80")
        for line in lines:
            self.say(line)

    def _next_work(self) -> float:
        if self._task is None and self.card.printing:
            return self._now
        moments = [moment for _, moment in self.machine.reports.values()]
        if self._task is not None:
            moments.append(self._wake)
            if self.machine.busy_interval > 0:
                moments.append(self._busy_at)
        if self.options.wait and self._is_idle():
            moments.append(self._wait_at)
        if self._repeat_resend is not None:
            moments.append(self._repeat_resend[0])
        return min(moments, default=inf)

    def _listens(self) -> bool:
        return self._powered and self._boot_at is None and not self._silent and not self.machine.halted

    def _is_asleep(self) -> bool:
        return self._now < self._asleep_until

    def _is_idle(self) -> bool:
        return self._task is None and not self._queue and not self.card.printing

    def _free_commands(self) -> int:
        working = self._task is not None and not self._task.from_card
        return self.options.command_buffer - len(self._queue) - working
