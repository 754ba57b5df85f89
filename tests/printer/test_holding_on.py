"""A printer that is lost is told, waited for and taken up again, or left alone where that is right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from limpet.printer.connection import Target
from limpet.printer.printer import Printer
from limpet.printer.state import State
from limpet.protocol import patience
from limpet.transports.ports import PortList
from limpet.transports.urls import VIRTUAL
from tests.printer.rig import (
    QUICK,
    TO_VIRTUAL,
    answered,
    at_most,
    connected,
    device_at,
    eventually,
    failed,
    failure,
    held,
    nothing_left,
    one_printer,
    operational,
    passed,
    printer_at,
    sent,
    states,
)


async def test_an_unplugged_printer_is_told_within_a_second_and_taken_up_when_it_is_back(link: Path) -> None:
    patience = replace(QUICK, pause=30.0, longest_pause=30.0)  # It need not be waited out.
    async with printer_at(link, returns_after=0.3), one_printer(link, patience=patience) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        with at_most(1.0):
            printer.send("!!DEBUG:drop_connection")
            now = await failed(printer, "unplugged")
        assert (failure(now).waiting, now.port) == (True, None)
        assert failure(now).traffic
        now = await operational(printer)
        assert (now.port, now.baudrate, now.failure) == (str(link), 115200, None)


async def test_a_detected_printer_is_taken_up_again_without_another_detection(link: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    async with printer_at(link, baudrate=250000, returns_after=0.1), one_printer(link) as printer:
        await connected(printer)
        events = printer.subscribe()
        async with printer_at(other, baudrate=250000):
            printer.send("!!DEBUG:drop_connection")
            await failed(printer, "unplugged")
            await operational(printer)
        assert State.DETECTING not in await states(events)


class Usb:
    """A made-up /sys and /dev with a USB printer in one socket, which is plugged in as now this, now that tty."""

    def __init__(self, root: Path, socket: str = "1-1") -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        self.interface = self.sys / f"devices/usb1/{socket}/{socket}:1.0"
        self.place = self.dev / f"serial/by-path/usb-{socket}"
        (self.interface / "driver").mkdir(parents=True)
        (self.sys / "class/tty").mkdir(parents=True, exist_ok=True)
        self.place.parent.mkdir(parents=True, exist_ok=True)
        (self.interface / "bInterfaceNumber").write_text("00\n")
        self.facts(idVendor="2c99", idProduct="0002", product="MK3", manufacturer="Prusa", serial="CZ1")

    def facts(self, **facts: str | None) -> None:
        """What the device says of itself; None for nothing."""
        for name, text in facts.items():
            path = self.interface.parent / name
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text + "\n")

    def plug(self, name: str, behind: Path) -> None:
        tty = self.interface / "tty" / name
        tty.mkdir(parents=True)
        (tty / "device").symlink_to(self.interface)
        (self.sys / "class/tty" / name).symlink_to(tty)
        (self.dev / name).symlink_to(behind)
        self.place.symlink_to(self.dev / name)

    def unplug(self, name: str) -> None:
        (self.sys / "class/tty" / name).unlink()
        (self.dev / name).unlink()
        self.place.unlink()

    def ports(self) -> PortList:
        return PortList(virtual=False, sys_root=self.sys, dev_root=self.dev)


async def test_a_printer_is_taken_up_again_under_another_device_name(tmp_path: Path) -> None:
    usb = Usb(tmp_path)
    async with one_printer(ports=usb.ports()) as printer:
        async with printer_at(tmp_path / "first"):
            usb.plug("ttyACM0", tmp_path / "first")
            now = await connected(printer, port=str(usb.dev / "ttyACM0"), baudrate=115200)
            assert now.port == str(usb.dev / "ttyACM0")
        usb.unplug("ttyACM0")
        await failed(printer, "unplugged")
        async with printer_at(tmp_path / "second"):
            usb.plug("ttyACM1", tmp_path / "second")
            assert (await operational(printer)).port == str(usb.dev / "ttyACM1")
            await printer.disconnect()


async def test_a_printer_that_is_to_be_left_alone_once_lost_is_left_alone(link: Path) -> None:
    async with printer_at(link, returns_after=0.1), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200, faithful=False)
        events = printer.subscribe()
        printer.send("!!DEBUG:drop_connection")
        assert not failure(await failed(printer, "unplugged")).waiting
        await eventually(link.exists)
        await asyncio.sleep(4 * QUICK.look)
        assert await states(events) == [State.OFFLINE_AFTER_ERROR]


async def test_a_disconnect_ends_the_wait_for_a_lost_printer(link: Path) -> None:
    async with nothing_left(), one_printer(link) as printer:
        async with printer_at(link):
            await connected(printer, port=str(link), baudrate=115200)
        await failed(printer, "unplugged")
        await printer.disconnect()
        assert (printer.snapshot.state, failure(printer.snapshot).fault.code) == (State.OFFLINE, "unplugged")
        async with printer_at(link):
            await asyncio.sleep(4 * QUICK.look)
            assert printer.snapshot.state is State.OFFLINE


async def test_a_preferred_port_that_is_not_plugged_in_is_waited_for(link: Path) -> None:
    async with one_printer(link) as printer:
        printer.connect(Target(port=str(link), baudrate=115200, awaits_port=True))
        assert failure(await failed(printer, "port_missing")).waiting
        # It appears, but is no use yet: for a moment udev, or a modem manager, has it for itself.
        async with device_at(link):
            with held(link):
                await failed(printer, "port_busy")
                assert failure(printer.snapshot).waiting
        async with printer_at(link):
            await operational(printer)
            await printer.disconnect()


async def test_a_printer_wanted_at_startup_is_tried_until_it_answers(link: Path) -> None:
    patience = replace(QUICK, greeting=0.1)
    async with one_printer(link, patience=patience) as printer:
        async with device_at(link):
            printer.connect(Target(port=str(link), baudrate=115200, patient=True))
            assert failure(await failed(printer, "no_answer")).waiting
        async with printer_at(link):
            await operational(printer)
            await printer.disconnect()


async def test_a_halted_firmware_is_told_and_not_taken_up_again(link: Path) -> None:
    async with printer_at(link), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200, patient=True)
        events = printer.subscribe()
        printer.send("!!DEBUG:trigger_fatal_error_marlin")
        now = await failed(printer, "firmware_halted")
        assert "Thermal Runaway" in failure(now).fault.message
        assert not failure(now).waiting
        await asyncio.sleep(4 * QUICK.look)
        assert await states(events) == [State.OFFLINE_AFTER_ERROR]


async def test_a_firmware_that_is_halted_when_it_is_asked_is_left_alone_too(link: Path) -> None:
    def halted() -> bytes:
        return b"Error:Printer halted. kill() called!\n"

    async with device_at(link, halted), one_printer(link) as printer:
        printer.connect(Target(port=str(link), baudrate=115200, patient=True))
        assert not failure(await failed(printer, "firmware_halted")).waiting


async def test_a_printer_that_resets_itself_is_greeted_again(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("!!DEBUG:reset")
    connecting, again = await passed(events, State.CONNECTING, State.OPERATIONAL)
    assert (failure(connecting).fault.code, failure(connecting).waiting) == ("reset", False)
    assert (connecting.port, connecting.baudrate) == (VIRTUAL, 115200)
    assert again.failure is None
    await answered(printer)
    assert (await sent(events)).count("M155 S2") == 1


async def test_a_printer_that_falls_silent_is_given_up_and_waited_for(
    printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENCE", 0.5)
    await connected(printer, **TO_VIRTUAL)
    printer.send("!!DEBUG:go_awol")
    assert failure(await failed(printer, "timeout")).waiting
    await operational(printer)


async def test_commands_for_a_printer_that_is_lost_are_not_for_the_next(link: Path) -> None:
    async with printer_at(link, returns_after=0.1), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        events = printer.subscribe()
        printer.send("!!DEBUG:drop_connection", "M104 S200", "M140 S60")
        await failed(printer, "unplugged")
        await operational(printer)
        await answered(printer)
        assert "M118 answered" in (lines := await sent(events))
        assert "M104" not in lines
        assert "M140" not in lines


async def test_commands_from_before_a_reset_are_not_sent_after_it(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("!!DEBUG:reset", *["M104 S200"] * 20)
    await passed(events, State.CONNECTING, State.OPERATIONAL)
    await answered(printer)
    assert "M104" not in await sent(events)
