"""Scripts that are tied to connecting, and how a printer is left when the server ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limpet.printer.print import Phase, PrintEnded
from limpet.printer.printer import Printer
from limpet.printer.state import State
from limpet.protocol.events import LineSent
from tests.printer.rig import (
    TO_VIRTUAL,
    answered,
    at_most,
    connected,
    eventually,
    nothing_left,
    one_printer,
    operational,
    printer_at,
)
from tests.printer.test_printing import playing


def scripted(printer: Printer, scripts: Mapping[str, list[str]]) -> list[Mapping[str, Any]]:
    """What the scripts were asked for with."""
    asked: list[Mapping[str, Any]] = []

    def lines(name: str, context: Mapping[str, Any]) -> list[str]:
        asked.append({"name": name, **context})
        return scripts.get(name, [])

    printer.scripts = lines
    return asked


async def test_a_script_greets_the_printer_after_connecting_and_one_takes_leave() -> None:
    async with nothing_left(), one_printer() as printer:
        scripted(printer, {"afterPrinterConnected": ["M117 hello"], "beforePrinterDisconnected": ["M117 a", "M117 b"]})
        sent: list[str] = []
        events = printer.subscribe()
        await connected(printer, **TO_VIRTUAL)
        await eventually(lambda: any("M117 hello" in line for _, line in printer.recent))
        with at_most(1.0):
            await printer.disconnect()
        assert printer.snapshot.state is State.OFFLINE
        events.close()
        sent = [event.line async for event, _ in events if isinstance(event, LineSent)]
        assert ["M117 a" in sent[-2], "M117 b" in sent[-1]] == [True, True]


async def test_a_printer_that_comes_back_by_itself_is_told_apart(link: Path) -> None:
    async with printer_at(link, returns_after=0.2), one_printer(link) as printer:
        asked = scripted(printer, {})
        await connected(printer, port=str(link), baudrate=115200)
        await eventually(lambda: asked)
        printer.send("!!DEBUG:drop_connection")
        await eventually(lambda: printer.snapshot.state is not State.OPERATIONAL)
        await operational(printer)
        await eventually(lambda: len(asked) == 2)
        assert [each["reconnected"] for each in asked] == [False, True]
        await connected(printer, port=str(link), baudrate=115200)
        await eventually(lambda: len([each for each in asked if each["name"] == "afterPrinterConnected"]) == 3)
        assert asked[-1]["reconnected"] is False


async def test_a_print_from_the_card_is_not_disturbed_by_scripts(link: Path) -> None:
    async with printer_at(link, reset_on_open=False), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        printer.send("M21", "M28 A.GCO", *["G4 P300"] * 50, "M29", "M23 A.GCO", "M24", "M27")
        await eventually(lambda: printer.snapshot.sd_print is not None)
        asked = scripted(printer, {"afterPrinterConnected": ["G28"], "beforePrinterDisconnected": ["M104 S0"]})
        await printer.disconnect()
        await connected(printer, port=str(link), baudrate=115200)
        await eventually(lambda: printer.snapshot.sd_print is not None)
        await answered(printer)
        assert asked == [], "\n".join(line for _, line in printer.recent)


async def test_a_farewell_that_takes_too_long_is_dropped() -> None:
    async with nothing_left(), one_printer() as printer:
        scripted(printer, {"beforePrinterDisconnected": ["G4 P5000", "M117 too late"]})
        await connected(printer, **TO_VIRTUAL)
        with at_most(1.2):
            await printer.disconnect()
        assert not any("too late" in line for _, line in printer.recent)


async def test_whoever_wants_to_connect_during_a_farewell_gets_what_he_wants() -> None:
    async with one_printer() as printer:
        scripted(printer, {"beforePrinterDisconnected": ["G4 P300"]})
        await connected(printer, **TO_VIRTUAL)
        leaving = asyncio.create_task(printer.disconnect())
        await asyncio.sleep(0.05)
        wish = printer.new_wish()
        await leaving
        assert printer.is_latest_wish(wish)
        assert printer.snapshot.state is State.OPERATIONAL


async def test_a_disconnect_ends_the_print_before_it_takes_leave() -> None:
    async with playing() as play:
        scripted(play.printer, {"beforePrinterDisconnected": ["M104 S0"]})
        play.start("G4 P100\n" * 50)
        await play.until_sent("G4 P100")
        await play.printer.disconnect()
        end = await play.end()
        assert (end.outcome, end.code) == ("failed", "disconnected")
        assert play.sent[-1] == "M104 S0"


# -- the server ends --


async def test_the_end_of_the_server_ends_the_print_after_the_line_in_flight() -> None:
    async with playing(ok_before_output=False) as play:
        scripted(play.printer, {"beforePrinterDisconnected": ["M117 never"], "afterPrintCancelled": ["M117 never"]})
        play.start("G4 P300\n" * 50)
        await play.until_sent("G4 P300")
        before = play.sent.copy()
        with at_most(1.8):
            await play.printer.end()
        end = await play.end()
        assert (end.outcome, end.code, end.message) == ("failed", "server_ended", "The server was ended")
        assert play.sent == before
        assert play.printer.snapshot.state is State.OFFLINE
        assert [event for event in play.events if isinstance(event, PrintEnded)] == [end]


async def test_a_print_from_the_card_goes_on_when_the_server_ends() -> None:
    async with playing() as play:
        scripted(play.printer, {"beforePrinterDisconnected": ["M104 S0"]})
        play.printer.send("M23 CALIBR~1.GCO", "M24", "M27")
        await play.until_phase(Phase.PRINTING)
        await play.printer.end()
        assert play.printer.snapshot.state is State.OFFLINE
        assert not [event for event in play.events if isinstance(event, PrintEnded)]
        assert not {"M104 S0", "M25", "M524"} & set(play.sent)


async def test_a_line_that_takes_for_ever_does_not_keep_the_server() -> None:
    async with playing(heating_time=1000.0) as play:
        play.start("M109 S200\n")
        await play.until_sent("M109 S200")
        with at_most(1.9):
            await play.printer.end()
        assert (await play.end()).code == "server_ended"


async def test_a_printer_that_is_closed_ends_at_once() -> None:
    async with one_printer() as printer:
        with at_most(0.1):
            await printer.end()
