"""A real Printer prints on the virtual one: whole, whatever a person, the printer or the disk does meanwhile."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import Conflict
from limpet.printer.print import Phase, PrintEnded, PrintProgressed, SelectedFile
from limpet.printer.printer import Printer
from limpet.printer.state import State
from limpet.printer.subscription import Subscription
from limpet.protocol.events import BusyReported, CommandAcknowledged, Event, LineSent
from tests.printer.rig import (
    TO_VIRTUAL,
    answered,
    connected,
    eventually,
    nothing_left,
    one_printer,
    operational,
    printer_at,
)


class Play:
    """A connected printer, all its events, and files to print on it."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.events: list[Event] = []
        self._task: asyncio.Task[None] | None = None
        self.stream = io.BytesIO()

    async def watch(self, events: Subscription) -> None:
        async for event, _ in events:
            self.events.append(event)

    def start(self, content: str, stream: io.BytesIO | None = None) -> None:
        size = len(content.encode())
        self.stream = stream or io.BytesIO(content.encode())
        self.printer.prints.start(
            SelectedFile(origin="local", path="a.gcode", name="a.gcode", display="a.gcode", size=size), self.stream
        )

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events if isinstance(event, PrintEnded)]

    @property
    def sent(self) -> list[str]:
        """Each numbered command, once, in order."""
        lines = [re.fullmatch(r"N(\d+) (.*)\*\d+", event.line) for event in self.events if isinstance(event, LineSent)]
        numbered = {int(match[1]): match[2] for match in lines if match}
        return [numbered[number] for number in sorted(numbered)]

    def sent_of(self, *commands: str) -> list[str]:
        return [text for text in self.sent if text in commands]

    async def until_waiting_for_user(self) -> None:
        await eventually(
            lambda: any(isinstance(event, BusyReported) and "paused" in event.reason for event in self.events)
        )

    async def until_phase(self, phase: Phase) -> None:
        await eventually(lambda: self.printer.snapshot.print is not None and self.printer.snapshot.print.phase is phase)

    async def until_sent(self, command: str) -> None:
        await eventually(lambda: command in self.sent)

    async def end(self, within: float = 5.0) -> PrintEnded:
        """How the print has ended; there is one end of it, and its file is closed."""
        await eventually(lambda: self.printer.snapshot.last_print is not None, within)
        await eventually(lambda: self.stream.closed)
        assert self.printer.snapshot.print is None
        assert not self.printer.is_printing
        await eventually(lambda: any(isinstance(event, PrintEnded) for event in self.events))
        (end,) = [event for event in self.events if isinstance(event, PrintEnded)]
        return end


@asynccontextmanager
async def playing(
    *, port: dict[str, Any] = TO_VIRTUAL, added: tuple[Path, ...] = (), **options: Any
) -> AsyncIterator[Play]:
    async with nothing_left(), one_printer(*added, **options) as printer:
        await connected(printer, **port)
        play = Play(printer)
        events = printer.subscribe()
        task = asyncio.create_task(play.watch(events))
        try:
            yield play
        finally:
            events.close()
            await task


MOVES = [f"G1 X{number} E{number}" for number in range(1, 2001)]
FILE = "; head\n" + "\n".join(MOVES) + "\n"


async def test_a_file_arrives_whole_and_in_order() -> None:
    async with playing(instant=True) as play:
        play.start(FILE)
        assert play.printer.is_printing
        end = await play.end()
        assert (end.outcome, end.print.position, end.print.line) == ("done", len(FILE), 2001)
        assert [text for text in play.sent if text.startswith("G1")] == MOVES


async def test_a_printer_prints_one_file_at_a_time() -> None:
    async with playing() as play:
        play.start("G4 P100\n")
        second = io.BytesIO(b"G28\n")
        with pytest.raises(Conflict, match="printing already"):
            play.printer.prints.start(SelectedFile(origin="local", path="b", name="b", display="b"), second)
        assert second.closed
        await play.end()


async def test_without_a_printer_nothing_is_printed() -> None:
    async with one_printer() as printer:
        stream = io.BytesIO(b"G28\n")
        with pytest.raises(Conflict, match="not operational"):
            printer.prints.start(SelectedFile(origin="local", path="a", name="a", display="a"), stream)
        assert stream.closed
        for verb in (printer.prints.pause, printer.prints.resume, printer.prints.cancel):
            with pytest.raises(Conflict, match="neither printing nor paused"):
                verb()


async def test_a_print_pauses_goes_on_and_arrives_whole_all_the_same() -> None:
    async with playing(instant=True) as play:
        play.start(FILE)
        await play.until_sent(MOVES[100])
        play.printer.prints.pause()
        await play.until_phase(Phase.PAUSED)
        assert play.printer.is_paused
        before = len(play.sent_of(*MOVES))
        await asyncio.sleep(0.1)
        assert len(play.sent_of(*MOVES)) == before < len(MOVES)
        assert play.printer.snapshot.print is not None
        assert play.printer.snapshot.print.axes["X"] == before
        play.printer.prints.resume()
        assert (await play.end()).outcome == "done"
        assert play.sent_of(*MOVES) == MOVES


async def test_what_a_person_asks_for_goes_between_two_lines() -> None:
    async with playing(speed_factor=50.0) as play:
        play.start("\n".join(["G4 P500"] * 100))
        await play.until_sent("G4 P500")
        play.printer.send("M117 between")
        await play.until_sent("M117 between")
        # As many as the printer takes at a time may be before it, but not all.
        assert len(play.sent_of("G4 P500")) < 50
        play.printer.prints.cancel()
        await play.end()


async def test_a_jog_during_a_pause_is_undone_before_the_print_goes_on() -> None:
    async with playing(instant=True) as play:
        play.start("G28\nG1 X10 Y20 Z0.5 E3 F600\nM0\nG1 X11\n")
        await play.until_phase(Phase.PAUSED)
        play.printer.send("G1 Z50")
        await answered(play.printer)
        play.printer.prints.resume()
        assert (await play.end()).outcome == "done"
        assert play.sent[play.sent.index("G1 Z50") :][2:9] == [
            *("G21", "G90", "G1 X10 Y20 F3000", "G1 Z0.5 F300", "G92 E3", "G90", "M82")
        ]
        assert play.sent[-3:] == ["G1 F600", "G1 X11", "M400"]


async def test_a_cancel_stops_in_the_middle_and_runs_its_script() -> None:
    async with playing(instant=True) as play:
        play.printer.scripts = lambda name, _: ["M84"] if name == "afterPrintCancelled" else []
        play.start(FILE)
        await play.until_sent(MOVES[10])
        play.printer.prints.cancel()
        end = await play.end()
        assert (end.outcome, end.code) == ("cancelled", "cancelled")
        assert play.sent[-1] == "M84"
        assert 0 < end.print.line < 2001
        assert play.printer.snapshot.state is State.OPERATIONAL


async def test_a_cancel_while_heating_does_not_wait_for_the_heat() -> None:
    async with playing(heating_time=1000.0, emergency_parser=True) as play:
        play.start("M109 S200\nG1 X1\n")
        await play.until_sent("M109 S200")
        play.printer.prints.cancel()
        assert (await play.end(within=3.0)).outcome == "cancelled"
        assert "G1 X1" not in play.sent
        lines = [event.line for event in play.events if isinstance(event, LineSent)]
        assert any("M108" in line for line in lines)


async def test_a_cancel_waits_for_none_of_the_heaters_that_are_waited_for_one_after_the_other() -> None:
    async with playing(heating_time=1000.0, emergency_parser=True, advanced_ok=True) as play:
        play.start("M190 S60\nM109 S200\nG1 X1\n")
        await play.until_sent("M109 S200")
        play.printer.prints.cancel()
        assert (await play.end(within=3.0)).outcome == "cancelled"


async def test_a_cancel_waits_for_the_heat_that_its_script_asks_for() -> None:
    async with playing(heating_time=0.2, emergency_parser=True, advanced_ok=True) as play:
        play.printer.scripts = lambda name, _: ["M109 S200"] if name == "afterPrintCancelled" else []
        play.start("G4 P100\nG4 P200\nG1 X1\n")
        await play.until_sent("G4 P200")
        play.printer.prints.cancel()
        assert (await play.end()).outcome == "cancelled"
        assert play.printer.snapshot.temperatures["tool0"][1] == 200.0
        assert not any("M108" in line for line in play.sent)


async def test_what_the_last_print_has_sent_is_not_counted_as_done_by_the_next() -> None:
    async with playing(prompts=True, emergency_parser=True, advanced_ok=True) as play:
        play.start("M600\nG4 P1\nG4 P2\n")
        await play.until_sent("G4 P2")
        await play.until_phase(Phase.PAUSED)
        play.printer.prints.restart(io.BytesIO(b"G4 P300\nG4 P301\n"))
        play.printer.send("M108")
        await eventually(lambda: sum(isinstance(event, PrintEnded) for event in play.events) == 2)
        told = [
            event.command if isinstance(event, CommandAcknowledged) else event.outcome
            for event in play.events
            if isinstance(event, CommandAcknowledged | PrintEnded)
        ]
        assert told[-3:] == ["G4 P301", "M400", "done"]


async def test_lines_for_the_host_are_obeyed_and_go_to_no_printer() -> None:
    async with playing(instant=True) as play:
        play.printer.send("@pause")  # There is nothing to pause.
        play.start("G4 P1\n" * 200)
        play.printer.send("@pause when you can", "G4 P2", "@what is this")
        await play.until_phase(Phase.PAUSED)
        play.printer.send("@RESUME")
        await play.until_phase(Phase.PRINTING)
        play.printer.send("@cancel")
        assert (await play.end()).outcome == "cancelled"
        assert "G4 P2" in play.sent
        assert not any("@" in text for text in play.sent)


async def test_a_printer_that_asks_for_a_pause_and_to_go_on_is_obeyed() -> None:
    async with playing(instant=True) as play:
        play.start("G1 X1\n!!DEBUG:action_custom pause\n" + "G4 P1\n" * 50 + "G1 X2\n")
        await play.until_phase(Phase.PAUSED)
        play.printer.send("!!DEBUG:action_custom resume")
        assert (await play.end()).outcome == "done"
        assert play.sent_of("G1 X1", "G1 X2") == ["G1 X1", "G1 X2"]


async def test_a_printer_that_asks_for_a_cancel_is_obeyed() -> None:
    async with playing(instant=True) as play:
        play.start("G1 X1\n!!DEBUG:action_custom cancel\n" + "G4 P1\n" * 500 + "G1 X2\n")
        assert (await play.end()).outcome == "cancelled"
        assert play.sent_of("G1 X1", "G1 X2") == ["G1 X1"]


async def test_a_print_is_restarted_from_its_pause() -> None:
    async with playing(instant=True) as play:
        play.start("G1 X1\nM0\nG1 X2\n")
        await play.until_phase(Phase.PAUSED)
        play.printer.prints.restart(io.BytesIO(b"G1 X3\n"))
        await eventually(lambda: not play.printer.is_printing)
        await eventually(lambda: play.outcomes == ["cancelled", "done"])
        assert play.sent_of("G1 X1", "G1 X2", "G1 X3") == ["G1 X1", "G1 X3"]


async def test_a_print_that_cannot_be_begun_anew_goes_on_pausing() -> None:
    def refused(name: str, _: Mapping[str, Any]) -> list[str]:
        raise Conflict(f"{name} cannot be run")

    async with playing(instant=True) as play:
        play.start("G1 X1\nM0\nG1 X2\n")
        await play.until_phase(Phase.PAUSED)
        before, again = play.printer.scripts, io.BytesIO(b"G1 X3\n")
        play.printer.scripts = refused
        with pytest.raises(Conflict, match="beforePrintStarted cannot be run"):
            play.printer.prints.restart(again)
        play.printer.scripts = before
        assert again.closed
        assert play.printer.is_paused
        play.printer.prints.resume()
        assert (await play.end()).outcome == "done"


async def test_a_print_that_goes_on_is_not_restarted() -> None:
    async with playing(instant=True) as play:
        again = io.BytesIO(b"G1 X3\n")
        play.start("G4 P500\n" * 3)
        with pytest.raises(Conflict):
            play.printer.prints.restart(again)
        assert again.closed
        assert play.printer.is_printing


async def test_progress_is_told_while_it_prints() -> None:
    async with playing() as play:
        play.start("G4 P1200\n")
        assert (await play.end()).outcome == "done"
        assert sum(isinstance(event, PrintProgressed) for event in play.events) >= 2


# -- what goes wrong --


async def test_an_emergency_stop_goes_before_everything_and_ends_the_print() -> None:
    async with playing() as play:
        play.start("G4 P2000\n" * 10)
        await play.until_sent("G4 P2000")
        play.printer.send("M117 waits", "M112")
        end = await play.end(within=1.0)
        assert (end.outcome, end.code) == ("failed", "emergency_stop")
        lines = [event.line for event in play.events if isinstance(event, LineSent)]
        assert "M112" in lines
        assert not [line for line in lines[lines.index("M112") :] if "G4" in line]


async def test_a_disconnect_ends_the_print_and_says_so() -> None:
    async with playing() as play:
        play.start("G4 P500\n" * 10)
        await play.until_sent("G4 P500")
        await play.printer.disconnect()
        end = await play.end(within=1.0)
        assert (end.outcome, end.code) == ("failed", "disconnected")
        assert play.printer.snapshot.state is State.OFFLINE


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("reset", "reset"),
        ("trigger_fatal_error_marlin", "firmware_halted"),
        ("drop_connection", "unplugged"),
    ],
)
async def test_a_print_that_loses_its_printer_fails_with_the_reason_and_never_goes_on_by_itself(
    fault: str, code: str
) -> None:
    async with playing(speed_factor=20.0) as play:
        play.start(f"G1 X1\n!!DEBUG:{fault}\n" + "G4 P200\n" * 200)
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", code)
        assert end.message
        assert end.print.line >= 1
        if code != "firmware_halted":
            await operational(play.printer)
            await answered(play.printer)
        assert len(play.sent_of("G4 P200")) < 200
        assert play.printer.snapshot.print is None


async def test_a_heater_fault_of_a_duet_stops_the_print_with_its_words_and_position() -> None:
    fault = "Heating fault on heater 1, temperature excursion exceeded 15.0C"
    async with playing(instant=True, firmware="reprapfirmware") as play:
        play.start("\n".join(["G1 X1", f"!!DEBUG:send Error: {fault}", *MOVES[:50]]))
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "firmware_halted")
        assert end.message == f"The firmware has halted: {fault}"
        assert end.print.line >= 1
        assert len(play.sent) < 10


async def test_a_print_that_klipper_refuses_line_by_line_is_not_done_but_failed_with_klippers_reason() -> None:
    async with playing(instant=True, firmware="klipper") as play:
        play.start("\n".join(["G1 X1", "M112", *MOVES[:50]]))
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "firmware_halted")
        assert end.message == "The firmware has halted: Shutdown due to M112 command"
        assert end.print.line >= 1
        assert len(play.sent) < 10


async def test_a_print_of_which_klipper_refuses_a_line_ends_with_the_reason() -> None:
    async with playing(instant=True, firmware="klipper") as play:
        play.start("G1 X1\n!!DEBUG:send !! Must home axis first\n" + "G4 P1\n" * 500 + "G1 X2\n")
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "refused")
        assert end.message == "The printer has refused !!DEBUG:send !! Must home axis first: Must home axis first"
        assert "G1 X2" not in play.sent
        assert play.printer.snapshot.state is State.OPERATIONAL


async def test_what_is_refused_of_what_somebody_else_sends_ends_no_print() -> None:
    async with playing(instant=True, firmware="klipper") as play:
        play.start("G4 P1\n" * 100)
        play.printer.send("!!DEBUG:send !! Move out of range")
        assert (await play.end()).outcome == "done"
        assert "!!DEBUG:send !! Move out of range" in play.sent


async def test_a_printer_that_is_unplugged_from_a_port_ends_the_print(link: Path) -> None:
    async with (
        printer_at(link, returns_after=0.2),
        playing(port={"port": str(link), "baudrate": 115200}, added=(link,)) as play,
    ):
        play.start("G1 X1\n!!DEBUG:drop_connection\n" + "G4 P200\n" * 200)
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "unplugged")
        await operational(play.printer)
        assert play.printer.snapshot.last_print == end


class Broken(io.BytesIO):
    """A file on a disk that gives the first block and no more."""

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        if not block:
            raise OSError(5, "Input/output error")
        return block


async def test_a_file_that_cannot_be_read_any_further_ends_the_print_with_its_script() -> None:
    async with playing(instant=True) as play:
        play.printer.scripts = lambda name, _: ["M84"] if name == "afterPrintCancelled" else []
        play.start("", Broken(b"G1 X1\nG1 X2\n"))
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "file")
        assert end.message is not None
        assert end.message.startswith("The file could not be read beyond byte")
        assert play.sent[-1] == "M84"
        assert play.printer.snapshot.state is State.OPERATIONAL


async def test_a_broken_line_in_the_middle_ends_the_print() -> None:
    async with playing(instant=True) as play:
        play.start("G1 X1\nM117 \x07\nG1 X2\n")
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "file")
        assert "G1 X2" not in play.sent


@pytest.mark.parametrize(
    "options",
    [{}, {"firmware": "repetier"}, {"advanced_ok": True}, {"ok_after_resend": True}, {"ok_before_output": True}],
)
async def test_faults_of_the_line_cost_no_line_of_the_file(options: dict[str, Any]) -> None:
    faults = ["!!DEBUG:trigger_resend_checksum", "!!DEBUG:trigger_resend_lineno", "!!DEBUG:double_ok"]
    lines = [*MOVES[:100], *faults, *MOVES[100:200]]
    async with playing(instant=True, **options) as play:
        play.start("\n".join(lines))
        assert (await play.end(within=20.0)).outcome == "done"
        assert play.sent_of(*lines) == lines
