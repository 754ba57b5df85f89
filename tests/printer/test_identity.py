"""Who a printer is: known again elsewhere, and not taken for its twin."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from limpet.printer.identity import SHARED_UUIDS, Identity, identity_of
from limpet.printer.state import State
from limpet.printer.target import Target
from tests.printer.rig import (
    QUICK,
    connected,
    device_at,
    failed,
    failure,
    one_printer,
    operational,
    printer_at,
)
from tests.printer.test_holding_on import Usb

MINE, TWIN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SAVED = Identity(uuid=MINE, machine_type="Ender-3", usb="2c99:0002")


@pytest.mark.parametrize(
    ("found", "is_other"),
    [
        (SAVED, False),
        (Identity(), False),
        (Identity(uuid=MINE, machine_type="Ender-3 with new firmware"), False),
        (Identity(uuid=TWIN, machine_type="Ender-3"), True),
        (Identity(machine_type="Prusa-mini"), True),
        (Identity(machine_type="Ender-3"), False),
    ],
)
def test_a_uuid_tells_twins_apart_and_a_machine_type_the_rest(found: Identity, is_other: bool) -> None:
    assert (found.contradicts(SAVED) is not None) is is_other


def test_the_serial_number_of_the_usb_device_decides_alone() -> None:
    saved = Identity(uuid=MINE, machine_type="Ender-3", serial="A1")
    assert Identity(uuid=TWIN, machine_type="flashed", serial="A1").contradicts(saved) is None
    assert Identity(uuid=MINE, machine_type="Ender-3", serial="B2").contradicts(saved) is not None


def test_a_uuid_that_whole_series_share_is_none() -> None:
    shared = next(iter(SHARED_UUIDS))
    assert identity_of({"UUID": shared.upper(), "MACHINE_TYPE": "3D Printer"}) == Identity(machine_type="3D Printer")
    assert not identity_of({"UUID": shared}).is_unique


async def test_a_twin_at_the_place_of_the_saved_printer_is_not_taken_for_it(link: Path) -> None:
    async with printer_at(link, uuid=TWIN), one_printer(link) as printer:
        printer.connect(Target(port=str(link), baudrate=115200, awaits_port=True, identity=SAVED))
        now = await failed(printer, "other_printer")
        assert TWIN in failure(now).fault.message
        assert failure(now).waiting
        assert now.identity is None


async def test_detection_passes_over_the_twin(link: Path) -> None:
    async with printer_at(link, uuid=TWIN, baudrate=250000), one_printer(link) as printer:
        printer.connect(Target(port=str(link), identity=SAVED))
        await failed(printer, "other_printer")


async def test_a_printer_with_a_uuid_is_found_where_it_was_plugged_in_instead(tmp_path: Path) -> None:
    """As with a CH340, which has no serial number: the name that was saved is that of its place."""
    usb = Usb(tmp_path)
    usb.facts(serial=None)
    place = tmp_path / "dev/serial/by-path/usb-0:2"  # Nothing is plugged in there any more.
    mine = {"uuid": MINE, "machine_type": "Ender-3"}
    async with (
        printer_at(tmp_path / "behind", **mine),
        one_printer(ports=usb.ports()) as printer,
    ):
        printer.connect(Target(port=str(place), baudrate=115200, awaits_port=True, identity=SAVED))
        await failed(printer, "port_missing")
        usb.plug("ttyUSB1", tmp_path / "behind")
        now = await operational(printer)
        assert now.port == str(usb.dev / "ttyUSB1")
        assert now.identity is not None
        assert now.identity.is_same(SAVED)


async def test_of_twins_without_a_serial_number_the_one_at_its_place_is_taken(tmp_path: Path) -> None:
    """The by-id name that was saved while it was alone may lead to the twin: udev gives it to the last that came."""
    here, there = Usb(tmp_path, "1-1"), Usb(tmp_path, "1-2")
    for usb in (here, there):
        usb.facts(serial=None)
    async with (
        printer_at(tmp_path / "mine", machine_type="Mine"),
        printer_at(tmp_path / "twin", machine_type="Twin"),
        one_printer(ports=here.ports()) as printer,
    ):
        here.plug("ttyUSB0", tmp_path / "mine")
        name = here.ports().look()[0].stable_name
        assert name is not None
        there.plug("ttyUSB1", tmp_path / "twin")
        for place, expected in ((here.place, "Mine"), (there.place, "Twin")):
            target = Target(port=name, baudrate=115200, identity=Identity(place=str(place)))
            printer.connect(target)
            now = await operational(printer)
            assert now.identity is not None
            assert now.identity.machine_type == expected


async def test_a_device_without_a_serial_number_that_was_named_by_its_place_stays_there(
    tmp_path: Path,
) -> None:
    """Its twin, at another place, is not taken for it, even while it is the only one of its kind that is plugged in."""
    here, there = Usb(tmp_path, "1-1"), Usb(tmp_path, "1-2")
    for usb in (here, there):
        usb.facts(serial=None)
    async with one_printer(ports=here.ports()) as printer:
        async with printer_at(tmp_path / "mine"):
            here.plug("ttyUSB0", tmp_path / "mine")
            await connected(printer, port=str(here.place), baudrate=115200)
        here.unplug("ttyUSB0")
        await failed(printer, "unplugged")
        async with printer_at(tmp_path / "twin"):
            there.plug("ttyUSB1", tmp_path / "twin")
            await asyncio.sleep(6 * QUICK.look)
            assert printer.snapshot.state is State.OFFLINE_AFTER_ERROR
        async with printer_at(tmp_path / "again"):
            here.plug("ttyUSB2", tmp_path / "again")
            assert (await operational(printer)).port == str(here.dev / "ttyUSB2")
            await printer.disconnect()


async def test_a_device_of_its_kind_that_says_not_who_it_is_is_not_taken_for_a_printer_that_has_moved(
    tmp_path: Path,
) -> None:
    usb = Usb(tmp_path)
    usb.facts(serial=None)
    async with printer_at(tmp_path / "behind", machine_type="Ender-3"), one_printer(ports=usb.ports()) as printer:
        usb.plug("ttyUSB1", tmp_path / "behind")
        printer.connect(Target(port=str(tmp_path / "nowhere"), baudrate=115200, identity=SAVED))
        now = await failed(printer, "port_missing")
        assert "nothing tells" in now.candidates[str(usb.dev / "ttyUSB1")].verdict


async def test_who_names_a_port_gets_what_is_there(link: Path) -> None:
    async with printer_at(link, uuid=TWIN), one_printer(link) as printer:
        now = await connected(printer, port=str(link), baudrate=115200)
        assert now.identity is not None
        assert now.identity.uuid == TWIN


async def test_a_lost_printer_is_not_replaced_by_another_one_that_is_plugged_in_at_its_place(link: Path) -> None:
    async with one_printer(link) as printer:
        async with printer_at(link, uuid=MINE):
            await connected(printer, port=str(link), baudrate=115200)
        await failed(printer, "unplugged")
        async with printer_at(link, uuid=TWIN):
            assert failure(await failed(printer, "other_printer")).waiting
        async with printer_at(link, uuid=MINE):
            await operational(printer)


async def test_of_two_printers_the_one_that_was_connected_last_is_taken(tmp_path: Path) -> None:
    quick, slow = tmp_path / "quick", tmp_path / "slow"
    patience = replace(QUICK, grace=5.0)
    async with (
        printer_at(quick),
        printer_at(slow, boot_time=0.3),
        one_printer(quick, slow, patience=patience) as printer,
    ):
        assert (await connected(printer, likely_port=str(slow))).port == str(slow)


async def test_a_printer_that_was_connected_last_and_is_off_keeps_nobody_waiting(tmp_path: Path) -> None:
    here, off = tmp_path / "here", tmp_path / "off"
    async with printer_at(here), device_at(off), one_printer(here, off) as printer:
        assert (await connected(printer, likely_port=str(off))).port == str(here)


async def test_the_rate_that_was_right_last_is_tried_first(link: Path) -> None:
    async with printer_at(link, baudrate=9600), one_printer(link) as printer:
        events = printer.subscribe()
        await connected(printer, likely_baudrate=9600)
        events.close()
        assert {now.baudrate async for _, now in events} - {None} == {9600}
