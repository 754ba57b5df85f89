"""What the virtual printer says that is no answer of a command: its oks, its complaints, and what nobody asked for."""

from __future__ import annotations

from collections.abc import Callable

from limpet.protocol.virtual.faults import Faults
from limpet.protocol.virtual.lines import Refused
from limpet.protocol.virtual.machine import Machine

RESEND_PAUSE = 0.2
CHATTER_INTERVAL = 1.0
MMU_CHATTER = ("echo:MMU2:>Q0*ea.", "echo:MMU2:<X0 F0*87.")
"""What a Prusa MMU is asked and answers, as its firmware 3.13 logs it (Prusa-Firmware 4414)."""


class Voice:
    """Speaks for one machine from power on; moments are computed, never ticked. `free_commands`: room in the queue."""

    def __init__(self, machine: Machine, faults: Faults, free_commands: Callable[[], int]) -> None:
        self._machine, self._faults, self._free_commands = machine, faults, free_commands
        self._options = machine.options
        self._chatter = (
            *machine.firmware.chatter,
            *(MMU_CHATTER if machine.options.mmu else ()),
            *machine.options.chatter,
        )
        self._repeats: tuple[float, int, str] | None = None  # moment, how many more times, Resend
        self._busy_at = machine.now
        self.rest()

    def rest(self) -> None:
        """There is nothing to do from now on: `wait` is due after a while."""
        self._wait_at = self._machine.now + self._options.wait_interval
        self._chatter_at = self._machine.now + CHATTER_INTERVAL

    def work(self) -> None:
        """A command has begun: `busy` is due after a while."""
        self._busy_at = self._machine.now + self._machine.busy_interval

    def ok(self, number: int | None, last: int, seen: int) -> None:
        """For the command that came with this number, None without; `last` line that was taken, last that was `seen` at
        all."""
        planner, buffer = self._machine.planner.free(self._machine.now), self._free_commands()
        if self._options.advanced_ok:
            line = "" if number is None else f" N{number}"
            text = f"ok{line} P{planner} B{buffer}"
        else:
            template = self._options.ok_format or self._machine.firmware.ok
            seen = seen if number is None else number
            text = template.format(line=last, seen=seen, planner=planner, buffer=buffer)
        self.say_ok(text)

    def say_ok(self, text: str) -> None:
        """`text` for an ok, or what the faults make of it."""
        for each in self._faults.oks(text):
            self._machine.say(each)

    def refuse(self, refused: Refused, last: int) -> None:
        """Why a line is not taken, and which one is wanted."""
        firmware, options, say = self._machine.firmware, self._options, self._machine.say
        if refused.kind == "old":
            say(f"skip {refused.number}")
            say("ok")
        if refused.kind in ("old", "timeout") or not firmware.resend:
            return
        words = {"number": refused.number, "last": last, "expected": last + 1}
        if firmware.errors[refused.kind]:
            say(firmware.errors[refused.kind].format(**words))
        resend = firmware.resend.format(number=last + 1, checksum=refused.checksum)
        say(resend)
        if not options.broken_resend:
            for _ in range(firmware.ok_after_resend + options.ok_after_resend):
                self.say_ok("ok")
        if options.repeated_resends:
            self._repeats = (self._machine.now + RESEND_PAUSE, options.repeated_resends, resend)

    def line_taken(self) -> None:
        """What was asked for has come."""
        self._repeats = None

    def say_what_is_due(self, working: bool, idle: bool) -> None:
        """All that nobody asked for."""
        machine, now = self._machine, self._machine.now
        for text in machine.announcements_until(now):
            machine.say(text)
        if working and now >= self._busy_at and machine.busy_interval > 0:
            self._busy_at = now + machine.busy_interval
            text = machine.firmware.busy_for_user if machine.waits_for_user else machine.firmware.busy
            if text:
                machine.say(text)
        for name, (interval, moment) in list(machine.reports.items()):
            if now >= moment:
                machine.reports[name] = (interval, now + interval)
                machine.say(machine.report(name))
        if self._options.wait and idle and now >= self._wait_at:
            self._wait_at = now + self._options.wait_interval
            machine.say("wait")
        if self._chatter and now >= self._chatter_at:
            self._chatter_at = now + CHATTER_INTERVAL
            for text in self._chatter:
                machine.say(text)
        if self._repeats is not None and now >= self._repeats[0]:
            _, times, resend = self._repeats
            self._repeats = (now + RESEND_PAUSE, times - 1, resend) if times > 1 else None
            machine.say(resend)
            self.say_ok("ok")

    def next_due(self, working: bool, idle: bool) -> float:
        """When `say_what_is_due` has something to say; `inf` for never."""
        machine = self._machine
        moments = [moment for _, moment in machine.reports.values()]
        moments.append(machine.next_announcement())
        if working and machine.busy_interval > 0:
            moments.append(self._busy_at)
        if self._options.wait and idle:
            moments.append(self._wait_at)
        if self._chatter:
            moments.append(self._chatter_at)
        if self._repeats is not None:
            moments.append(self._repeats[0])
        return min(moments)
