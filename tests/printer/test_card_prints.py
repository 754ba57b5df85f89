"""Prints from the virtual printer's card, and files that are written to it."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TypeVar

import pytest

from limpet.errors import Conflict
from limpet.printer.print import Phase, PhaseChanged, PrintEnded, SelectedFile, TransferEnded
from limpet.printer.printer import Printer
from limpet.printer.state import FileSelected, State
from limpet.printer.target import Target
from limpet.protocol.events import Event
from tests.printer.rig import TO_VIRTUAL, answered, connected, eventually, one_printer, printer_at, sent
from tests.printer.test_printing import Play, playing

T = TypeVar("T", bound=Event)
CUBE = SelectedFile(origin="sdcard", path="CALIBR~1.GCO", name="CALIBR~1.GCO", display="calibration cube", size=1480)
CONTENT = "".join(f"G1 X{n} E{n / 10}\n" for n in range(200))
LOCAL = SelectedFile(
    origin="local", path="a/cube.gcode", name="cube.gcode", display="cube", size=len(CONTENT), user="me"
)


def phases(play: Play) -> list[str]:
    return [str(event.print.phase) for event in play.events if isinstance(event, PhaseChanged)]


def last(play: Play, kind: type[T]) -> T:
    return [event for event in play.events if isinstance(event, kind)][-1]


async def over(play: Play, kind: type[Event], within: float = 5.0) -> None:
    await eventually(lambda: any(isinstance(event, kind) for event in play.events), within)


async def test_a_file_on_the_card_is_printed_to_its_end() -> None:
    async with playing(speed_factor=1000.0) as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        play.printer.prints.start(CUBE, None, user="me")
        await over(play, PrintEnded)
        end = last(play, PrintEnded)

        assert (end.outcome, end.print.completion, end.print.user) == ("done", 100.0, "me")
        assert phases(play) == ["Starting", "Printing", "Finishing"]
        assert play.sent_of("M23 /CALIBR~1.GCO", "M24", "M25", "M524") == ["M23 /CALIBR~1.GCO", "M24"]
        assert not play.printer.is_printing


@pytest.mark.parametrize("autoreport", [True, False])
async def test_how_far_it_is_is_known_whether_the_printer_tells_or_is_asked(autoreport: bool) -> None:
    async with playing(autoreport=autoreport, speed_factor=6.0) as play:
        play.printer.prints.start(CUBE, None)
        await eventually(lambda: play.printer.snapshot.print and play.printer.snapshot.print.position > 0, 8.0)
        assert play.printer.snapshot.sd_print is not None
        play.printer.prints.cancel()
        # The printer hears us between two moves of its file.
        await over(play, PrintEnded, 15.0)
        assert last(play, PrintEnded).outcome == "cancelled"
        await answered(play.printer)
        assert play.printer.snapshot.sd_print is None
        assert ("M27 S0" in play.sent) == autoreport


async def test_a_print_from_the_card_pauses_and_goes_on() -> None:
    async with playing(speed_factor=20.0, prompts=True) as play:
        play.printer.prints.start(CUBE, None)
        await play.until_phase(Phase.PRINTING)
        play.printer.prints.pause()
        await play.until_phase(Phase.PAUSED)
        assert play.printer.is_paused
        play.printer.prints.resume()
        await play.until_phase(Phase.PRINTING)
        await over(play, PrintEnded, 15.0)
        assert last(play, PrintEnded).outcome == "done"


async def test_a_file_that_is_not_there_is_told() -> None:
    async with playing() as play:
        play.printer.prints.start(SelectedFile(origin="sdcard", path="NOPE.GCO", name="NOPE.GCO", display="nope"), None)
        await over(play, PrintEnded)
        end = last(play, PrintEnded)

        assert (end.outcome, end.code) == ("failed", "card")
        assert "open failed, File: /NOPE.GCO" in (end.message or "")


async def test_a_print_that_is_started_at_the_printer_is_followed_under_its_name() -> None:
    async with playing(speed_factor=2.0) as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        play.printer.send("M23 SUB/TINY.GCO", "M23 CALIBR~1.GCO", "M24")
        await play.until_phase(Phase.PRINTING)
        job = play.printer.snapshot.print
        assert job is not None
        assert (job.file.path, job.file.display) == ("CALIBR~1.GCO", "calibration cube v2.gcode")
        assert last(play, FileSelected).file == job.file
        play.printer.prints.cancel()
        await over(play, PrintEnded, 15.0)
        assert "M524" in play.sent


async def test_a_print_goes_on_without_the_cable_and_is_taken_up_again(link: Path) -> None:
    async with printer_at(link, reset_on_open=False), one_printer(link) as printer:
        events = printer.subscribe()
        play = Play(printer)
        watching = asyncio.create_task(play.watch(events))
        await connected(printer, port=str(link), baudrate=115200)
        await eventually(lambda: printer.snapshot.sd_files)
        printer.send("M28 A.GCO", *["G4 P500"] * 100, "M29", "M20")
        await answered(printer)
        printer.prints.start(SelectedFile(origin="sdcard", path="A.GCO", name="A.GCO", display="a"), None)
        await eventually(lambda: printer.snapshot.print and printer.snapshot.print.position > 0)
        started_at = printer.snapshot.print.started_at if printer.snapshot.print else None
        await printer.disconnect()
        assert printer.snapshot.print is None
        assert printer.snapshot.state is State.OFFLINE

        printer.connect(Target(port=str(link), baudrate=115200))
        await play.until_phase(Phase.PRINTING)
        assert printer.snapshot.print is not None
        assert printer.snapshot.print.started_at == started_at
        assert not [event for event in play.events if isinstance(event, PrintEnded)]
        printer.prints.cancel()
        await over(play, PrintEnded)
        events.close()
        await watching


async def test_a_print_that_has_ended_while_the_printer_was_lost_is_told_when_it_is_back() -> None:
    async with playing(speed_factor=2.0) as play:
        play.printer.prints.start(CUBE, None)
        await play.until_phase(Phase.PRINTING)
        await play.printer.disconnect()
        # The virtual printer is switched off with its connection.
        await connected(play.printer, **TO_VIRTUAL)
        await over(play, PrintEnded)
        end = last(play, PrintEnded)

        assert (end.outcome, end.code) == ("failed", "disconnected")
        assert "ended unseen" in (end.message or "")


# -- to the card --


def begin(printer: Printer, name: str = "cube.gco", content: str = CONTENT, **wishes: bool) -> io.BytesIO:
    stream = io.BytesIO(content.encode())
    printer.prints.transfer(LOCAL, stream, name, **wishes)
    return stream


@pytest.mark.parametrize("options", [{}, {"broken_m29": True}, {"lose_ok_every": 30, "wrong_checksum_every": 25}])
async def test_a_file_is_written_and_listed(options: dict[str, object]) -> None:
    async with playing(**options) as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        stream = begin(play.printer)
        await over(play, TransferEnded, 30.0)
        assert last(play, TransferEnded).outcome == "done"
        await eventually(lambda: "CUBE.GCO" in play.printer.snapshot.sd_files)
        assert play.printer.snapshot.sd_files["CUBE.GCO"][0] == len(CONTENT)
        assert play.printer.snapshot.last_print is None
        await eventually(lambda: stream.closed)


async def test_what_somebody_sends_meanwhile_is_not_in_the_file() -> None:
    async with playing() as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        play.printer.send("M118 before")
        begin(play.printer)
        await play.until_phase(Phase.PRINTING)
        with pytest.raises(Conflict, match="would be in it"):
            play.printer.send("G28")
        await over(play, TransferEnded)
        await answered(play.printer)
        assert play.printer.snapshot.sd_files["CUBE.GCO"][0] == len(CONTENT)


async def test_a_file_can_be_printed_as_soon_as_it_is_there() -> None:
    async with playing(speed_factor=1000.0) as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        begin(play.printer, print=True)
        await over(play, PrintEnded, 10.0)
        end = last(play, PrintEnded)

        assert (end.outcome, end.print.file.path, end.print.user) == ("done", "CUBE.GCO", "me")
        assert play.printer.snapshot.selected == end.print.file


async def test_a_transfer_that_is_cancelled_leaves_nothing_on_the_card() -> None:
    async with playing() as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        before = play.printer.snapshot.sd_files
        begin(play.printer, content=CONTENT * 50)
        await play.until_phase(Phase.PRINTING)
        play.printer.prints.cancel()
        await over(play, TransferEnded)
        assert last(play, TransferEnded).outcome == "cancelled"
        await answered(play.printer)
        assert play.printer.snapshot.sd_files == before


async def test_without_a_card_the_reason_is_told() -> None:
    async with playing(sd_card=False) as play:
        begin(play.printer)
        await over(play, TransferEnded)

        assert last(play, TransferEnded).code == "card"


async def test_a_card_that_is_full_is_told_and_the_half_file_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limpet.protocol.virtual.card.CAPACITY", 3000)
    async with playing() as play:
        await eventually(lambda: play.printer.snapshot.sd_files)
        begin(play.printer)
        await over(play, TransferEnded)
        assert last(play, TransferEnded).message == "The printer cannot write to its card: error writing to file"
        await answered(play.printer)
        assert "CUBE.GCO" not in play.printer.snapshot.sd_files


async def test_a_printer_that_goes_away_ends_a_transfer_with_that_reason() -> None:
    async with playing(gone_after=60) as play:
        begin(play.printer)
        await over(play, TransferEnded, 10.0)

        assert (last(play, TransferEnded).outcome, last(play, TransferEnded).code) == ("failed", "unplugged")


async def test_a_printer_that_was_left_writing_to_its_card_is_told_to_stop(link: Path) -> None:
    async with printer_at(link, reset_on_open=False):
        async with one_printer(link) as first:
            await connected(first, port=str(link), baudrate=115200)
            await eventually(lambda: first.snapshot.sd_files)
            first.send("M28 HALF.GCO", "G28")
            await eventually(lambda: any("G28" in line for _, line in first.recent))
        async with one_printer(link) as second:
            events = second.subscribe()
            await connected(second, port=str(link), baudrate=115200)
            await answered(second)
            assert second.snapshot.firmware
            assert "M29" in await sent(events)
