"""Which of several ports and which of several rates: real pseudo-terminals, some with a printer behind them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from limpet.errors import Fault, PortError
from limpet.printer.connection import Target
from limpet.printer.printer import Printer
from limpet.printer.state import CandidateTried, State
from limpet.protocol.firmware import LIKELY_BAUDRATES
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from limpet.settings import Reset
from limpet.transports.serial_port import SerialPort, open_serial
from limpet.transports.urls import SERIAL, VIRTUAL, Transport
from tests.printer.rig import (
    QUICK,
    at_most,
    connected,
    device_at,
    failed,
    garbage,
    nothing_left,
    one_printer,
    openers,
    operational,
    ports_of,
    printer_at,
    sensor,
)
from tests.printer.test_holding_on import Usb

SHORT = replace(QUICK, detection=0.6, dwell=0.05, settled=0.3, greeting=0.2)


@pytest.fixture
async def others(tmp_path: Path) -> AsyncIterator[list[Path]]:
    """A port that is silent, one that talks of other things, and one that babbles."""
    links = [tmp_path / name for name in ("silent", "sensor", "garbage")]
    async with device_at(links[0]), device_at(links[1], sensor), device_at(links[2], garbage()):
        yield links


async def test_a_printer_is_found_at_each_of_the_seven_rates(tmp_path: Path) -> None:
    async def found(baudrate: int) -> int | None:
        link = tmp_path / str(baudrate)
        async with printer_at(link, baudrate=baudrate), one_printer(link) as printer:
            return (await connected(printer)).baudrate

    rates = (250000, 230400, 115200, 57600, 38400, 19200, 9600)
    assert set(rates) == set(LIKELY_BAUDRATES)
    assert await asyncio.gather(*map(found, rates)) == list(rates)


async def test_the_one_printer_is_found_among_what_is_none(tmp_path: Path, others: list[Path]) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, baudrate=250000), nothing_left(), one_printer(*others, link) as printer:
        now = await connected(printer)
        assert (now.port, now.baudrate) == (str(link), 250000)
        assert set(now.candidates) == {str(path) for path in [*others, link]}
        assert now.candidates[str(link)].verdict == "a printer, at 250000 baud"


@pytest.mark.parametrize("baudrate", [115200, 250000, 57600])
async def test_blank_lines_of_a_booting_board_never_make_a_wrong_rate_right(tmp_path: Path, baudrate: int) -> None:
    link = tmp_path / "printer"
    faults = {"blank_boot_lines": 4, "boot_noise": True, "boot_time": 0.1}
    async with printer_at(link, baudrate=baudrate, **faults), one_printer(link) as printer:
        assert (await connected(printer)).baudrate == baudrate


async def test_a_board_that_boots_slowly_is_still_found(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, baudrate=57600, boot_time=0.8), one_printer(link) as printer:
        assert (await connected(printer)).baudrate == 57600


async def test_a_banner_holds_a_rate_until_the_board_answers(tmp_path: Path) -> None:
    """`start` comes at once, an answer only after several times the dwell."""
    link = tmp_path / "printer"
    board = VirtualPrinter(VirtualPrinterOptions(boot_time=0.0, banner=False))
    clock = asyncio.get_running_loop().time
    silence = itertools.chain([b"start\n"], itertools.repeat(b"", 20))

    def says() -> bytes:
        for said in silence:
            return said
        board.handle_timer(clock())
        return board.data_to_send()

    board.reset(clock())
    async with (
        device_at(link, says, lambda data: board.receive_data(data, clock())),
        one_printer(link) as printer,
    ):
        assert (await connected(printer)).baudrate == LIKELY_BAUDRATES[0]


async def test_only_the_rate_is_detected_when_the_port_is_given(tmp_path: Path, others: list[Path]) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, baudrate=250000), one_printer(*others, link) as printer:
        now = await connected(printer, port=str(link))
        assert (now.port, now.baudrate) == (str(link), 250000)
        assert set(now.candidates) == {str(link)}


async def test_only_the_port_is_detected_when_the_rate_is_given(tmp_path: Path, others: list[Path]) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, baudrate=38400), one_printer(*others, link) as printer:
        events = printer.subscribe()
        now = await connected(printer, baudrate=38400)
        assert (now.port, now.baudrate) == (str(link), 38400)
        events.close()
        tried = {event.baudrate async for event, _ in events if isinstance(event, CandidateTried)}
        assert tried == {38400}


async def test_an_additional_rate_is_tried_too(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, baudrate=500000):
        printer = Printer("one", ports_of(link), openers(), additional_baudrates=(500000,), patience=QUICK)
        try:
            assert (await connected(printer)).baudrate == 500000
        finally:
            await printer.disconnect()


async def test_a_rate_that_the_driver_cannot_do_is_passed_over(tmp_path: Path) -> None:
    class Limited(SerialPort):
        async def set_baudrate(self, baudrate: int) -> None:
            if baudrate == 250000:
                raise PortError(Fault("not_a_printer", "cannot do 250000 baud", "Choose another"))
            await super().set_baudrate(baudrate)

    async def open_limited(path: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset) -> SerialPort:
        port = await open_serial(path, baudrate, receiver, reset)
        port.__class__ = Limited
        return port

    link = tmp_path / "printer"
    async with printer_at(link, baudrate=57600):
        printer = Printer("one", ports_of(link), {**openers(), SERIAL: open_limited}, patience=QUICK)
        try:
            assert (await connected(printer)).baudrate == 57600
        finally:
            await printer.disconnect()


async def test_the_other_ports_are_free_once_the_printer_is_found(tmp_path: Path, others: list[Path]) -> None:
    link = tmp_path / "printer"
    async with printer_at(link), one_printer(*others, link) as printer, one_printer(*others, patience=SHORT) as second:
        await connected(printer)
        second.connect(Target(port=str(others[0]), baudrate=9600))
        await failed(second, "no_answer")  # and not port_busy


async def test_of_two_printers_one_is_taken_and_the_other_left_alone(tmp_path: Path) -> None:
    links = [tmp_path / "one", tmp_path / "two"]
    async with printer_at(links[0]), printer_at(links[1]), one_printer(*links) as first, one_printer(*links) as second:
        taken = (await connected(first)).port
        left = (await connected(second)).port
        assert {taken, left} == {str(link) for link in links}


async def test_what_is_known_to_be_something_else_is_not_even_opened(tmp_path: Path) -> None:
    stick, usb = Usb(tmp_path, "1-1"), Usb(tmp_path, "1-2")
    stick.facts(idVendor="1cf1", idProduct="0030", product="ConBee II", manufacturer="dresden elektronik")
    opened: list[str] = []

    async def open_noted(path: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset) -> Transport:
        opened.append(path)
        return await open_serial(path, baudrate, receiver, reset)

    async with printer_at(tmp_path / "behind"), device_at(tmp_path / "zigbee"):
        stick.plug("ttyACM0", tmp_path / "zigbee")
        usb.plug("ttyACM1", tmp_path / "behind")
        printer = Printer("one", usb.ports(), {**openers(), SERIAL: open_noted}, patience=QUICK)
        try:
            now = await connected(printer)
            assert now.port == str(usb.dev / "ttyACM1")
            assert "left alone: it is a Zigbee stick" in now.candidates[str(usb.dev / "ttyACM0")].verdict
            assert opened == [now.port]
        finally:
            await printer.disconnect()


async def test_a_board_with_usb_of_its_own_is_asked_at_one_rate_alone(tmp_path: Path) -> None:
    usb = Usb(tmp_path)
    usb.facts(idVendor="0483", idProduct="5740", product="Marlin STM32")
    async with printer_at(tmp_path / "behind", boot_time=0.6), one_printer(ports=usb.ports()) as printer:
        usb.plug("ttyACM0", tmp_path / "behind")
        events = printer.subscribe()
        await connected(printer)
        events.close()
        assert len({now.baudrate async for _, now in events} - {None}) == 1


async def test_when_nothing_is_found_it_is_told_what_was_heard_on_each_port(others: list[Path]) -> None:
    async with nothing_left(), one_printer(*others, patience=SHORT) as printer:
        printer.connect(Target())
        with at_most(SHORT.detection + 0.5):
            now = await failed(printer, "no_printer_found")
        assert now.failure is not None
        message = now.failure.fault.message
        assert f"Nothing answered on {others[0]}" in message
        assert f"{others[1]} is not a printer" in message
        assert f"What {others[2]} says at" in message
        assert "unreadable" in message
        assert any("starting ..." in line for line in now.failure.traffic)
        assert set(now.candidates) == {str(path) for path in others}
        assert not now.failure.waiting


async def test_virtual_is_what_detection_falls_back_to_when_there_is_no_other_port() -> None:
    async with one_printer() as printer:
        assert (await connected(printer)).port == VIRTUAL


async def test_virtual_is_not_tried_where_there_is_a_real_port(tmp_path: Path) -> None:
    link = tmp_path / "silent"
    async with device_at(link), one_printer(link, patience=SHORT) as printer:
        printer.connect(Target())
        assert VIRTUAL not in (await failed(printer, "no_printer_found")).candidates


async def test_no_port_at_all_is_told(tmp_path: Path) -> None:
    async with one_printer(ports=ports_of(virtual=False)) as printer:
        printer.connect(Target())
        now = await failed(printer, "no_printer_found")
        assert now.failure is not None
        assert "no port" in now.failure.fault.message


async def test_a_halted_printer_is_told_as_such_and_not_as_silence(tmp_path: Path) -> None:
    def halted() -> bytes:
        return b"Error:Printer halted. kill() called!\n"

    links = [tmp_path / "silent", tmp_path / "halted"]
    async with device_at(links[0]), device_at(links[1], halted), one_printer(*links, patience=SHORT) as printer:
        printer.connect(Target(patient=True))
        now = await failed(printer, "firmware_halted")
        assert now.failure is not None
        assert not now.failure.waiting


async def test_a_device_that_goes_away_while_it_is_asked_ends_only_its_own_probe(tmp_path: Path) -> None:
    fleeting, link = tmp_path / "fleeting", tmp_path / "printer"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(printer_at(fleeting, baudrate=9600, gone_after_seconds=0.1))
        await stack.enter_async_context(printer_at(link, baudrate=230400))
        printer = await stack.enter_async_context(one_printer(fleeting, link))
        now = await connected(printer)
        assert (now.port, now.baudrate) == (str(link), 230400)
        assert now.candidates[str(fleeting)].done


async def test_the_candidate_is_shown_while_it_is_asked(tmp_path: Path) -> None:
    link = tmp_path / "silent"
    async with device_at(link), one_printer(link, patience=SHORT) as printer:
        events = printer.subscribe()
        printer.connect(Target())
        await failed(printer, "no_printer_found")
        events.close()
        shown = {(now.port, now.baudrate) async for _, now in events if now.state is State.DETECTING}
        assert shown == {(None, None)} | {(str(link), baudrate) for baudrate in LIKELY_BAUDRATES}


async def test_a_detection_for_a_printer_at_startup_goes_on_until_one_is_plugged_in(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with one_printer(ports=ports_of(link, virtual=False)) as printer:
        printer.connect(Target(patient=True))
        now = await failed(printer, "no_printer_found")
        assert now.failure is not None
        assert now.failure.waiting
        async with printer_at(link):
            assert (await operational(printer)).port == str(link)
            await printer.disconnect()
