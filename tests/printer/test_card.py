"""The printer's own card: whether there is one, and what is on it."""

from __future__ import annotations

from limpet.printer.printer import Printer
from limpet.protocol.events import CardListed, LineSent
from tests.printer.rig import TO_VIRTUAL, answered, connected, eventually, one_printer, sent

ON_THE_CARD = {
    "SQUARE.GCO": (74, "SQUARE.GCO"),
    "CALIBR~1.GCO": (1480, "calibration cube v2.gcode"),
    "SUB/TINY.GCO": (17, "TINY.GCO"),
}


async def test_what_is_on_the_card_is_known_soon_after_connecting(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    await eventually(lambda: printer.snapshot.sd_files)
    assert printer.snapshot.sd_files == ON_THE_CARD
    assert printer.snapshot.sd_ready
    await printer.disconnect()
    assert printer.snapshot.sd_files == {}
    assert not printer.snapshot.sd_ready


async def test_without_a_card_there_is_none() -> None:
    async with one_printer(sd_card=False) as printer:
        await connected(printer, **TO_VIRTUAL)
        await eventually(lambda: any("M20" in line for _, line in printer.recent))
        await answered(printer)
        assert not printer.snapshot.sd_ready


async def test_a_printer_that_has_no_slot_is_not_asked_for_its_files() -> None:
    async with one_printer(capability=("SDCARD:0",)) as printer:
        events = printer.subscribe()
        await connected(printer, **TO_VIRTUAL)
        await eventually(lambda: any("Not SD printing" in line for _, line in printer.recent))
        await answered(printer)
        assert "M20" not in await sent(events)


async def test_a_card_that_goes_and_comes_is_read_anew(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    await eventually(lambda: printer.snapshot.sd_files)
    printer.send("M22")
    await eventually(lambda: not printer.snapshot.sd_ready)
    assert printer.snapshot.sd_files == {}
    printer.send("M21")
    await eventually(lambda: printer.snapshot.sd_files == ON_THE_CARD)
    assert printer.snapshot.sd_ready


async def test_a_list_that_is_asked_for_comes_once(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    await eventually(lambda: printer.snapshot.sd_files)
    printer.send("M22")
    await eventually(lambda: not printer.snapshot.sd_ready)
    events = printer.subscribe()
    printer.send("M21", "M20 L")
    await eventually(lambda: printer.snapshot.sd_files)
    await answered(printer)
    events.close()
    heard = [event async for event, _ in events]
    assert len([event for event in heard if isinstance(event, CardListed)]) == 1
    assert len([event for event in heard if isinstance(event, LineSent) and "M20" in event.line]) == 1


async def test_a_tool_that_we_select_is_known(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    printer.send("T1")
    await answered(printer)
    assert printer.snapshot.tool == 1
