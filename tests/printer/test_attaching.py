"""A printer that has been at work before Limpet came: it is not disturbed, and what it is doing is shown."""

from __future__ import annotations

from pathlib import Path

from limpet.printer.printer import Printer
from limpet.printer.state import SdPrint
from tests.printer.rig import TO_VIRTUAL, answered, connected, eventually, one_printer, printer_at, sent

PRINT = ("M21", "M28 A.GCO", *["G4 P500"] * 100, "M29", "M23 A.GCO", "M24")


async def test_a_print_from_the_card_that_was_going_on_is_found_and_shown(link: Path) -> None:
    async with printer_at(link, reset_on_open=False):
        async with one_printer(link) as first:
            await connected(first, port=str(link), baudrate=115200)
            first.send(*PRINT)
            await answered(first)
        async with one_printer(link) as second:
            events = second.subscribe()
            await connected(second, port=str(link), baudrate=115200)
            await eventually(lambda: second.snapshot.sd_print and second.snapshot.sd_print.elapsed is not None)
            assert second.is_printing
            found = second.snapshot.sd_print
            assert found is not None
            assert 0 <= found.printed < found.total
            said = await sent(events)
            assert "M27" in said
            assert not any(word in said for word in ("G28", "M104", "M24", "M25", "M112"))


async def test_a_printer_that_prints_nothing_is_asked_once(printer: Printer) -> None:
    events = printer.subscribe()
    await connected(printer, **TO_VIRTUAL)
    await answered(printer)
    said = await sent(events)
    assert (said.count("M27"), said.count("M31")) == (1, 0)
    assert not printer.is_printing


async def test_a_print_from_the_card_is_over_when_the_printer_says_so(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    printer.send("!!DEBUG:send SD printing byte 5/10")
    await eventually(lambda: printer.snapshot.sd_print is not None)
    assert printer.snapshot.sd_print in (SdPrint(5, 10), SdPrint(5, 10, 0))
    printer.send("!!DEBUG:send Done printing file")
    await eventually(lambda: printer.snapshot.sd_print is None)
