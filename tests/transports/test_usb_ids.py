"""What is known of USB devices: the facts that detection leans on, and that the tables do not contradict each other."""

from __future__ import annotations

from itertools import combinations

import pytest

from limpet.transports import usb_ids
from limpet.transports.usb_ids import Role, known

TABLES = (usb_ids._PRINTERS, usb_ids._NATIVE_PRINTERS, usb_ids._NATIVE, usb_ids._ADAPTERS, usb_ids._OTHER)
EVERYTHING = [
    *usb_ids._BY_ID.values(),
    *usb_ids._BY_VENDOR.values(),
    *usb_ids._BY_DRIVER.values(),
    *(what for _, what in usb_ids._BY_WORDS),
]


@pytest.mark.parametrize(
    ("ids", "says", "role", "is_native"),
    [
        ((0x2C99, 0x0002), "Prusa Research (prusa3d.com) Original Prusa i3 MK3", Role.PRINTER, False),
        ((0x2C99, 0x000C), "Prusa Research (prusa3d.com) Original Prusa MINI - CDC", Role.PRINTER, True),
        ((0x27B1, 0x0001), "UltiMachine (ultimachine.com) RAMBo", Role.PRINTER, False),
        ((0x27B1, 0x0001), "UltiMachine Archim", Role.PRINTER, True),
        ((0x1D50, 0x60EC), "Duet3D Duet", Role.PRINTER, True),
        ((0x1D50, 0x6029), "marlinfw.org Marlin USB Device", Role.PRINTER, True),
        ((0x0483, 0x5740), "STMicroelectronics MARLIN_BIGTREE_OCTOPUS_V1 CDC in FS Mode", Role.PRINTER, True),
        ((0x0483, 0x5740), "STMicroelectronics STM32 Virtual ComPort", Role.NATIVE, True),
        ((0x16C0, 0x0483), "Teensyduino USB Serial", Role.NATIVE, True),
        ((0x1A86, 0x7523), "USB Serial", Role.ADAPTER, False),
        ((0x2341, 0x0042), "Arduino (www.arduino.cc)", Role.ADAPTER, False),
    ],
)
def test_printers_boards_and_adapters_are_told_apart(
    ids: tuple[int, int], says: str, role: Role, is_native: bool
) -> None:
    what = known(*ids, says)
    assert what is not None
    assert (what.role, what.is_native) == (role, is_native)


@pytest.mark.parametrize(
    ("ids", "says", "driver", "words"),
    [
        ((0x10C4, 0xEA60), "Silicon Labs Sonoff Zigbee 3.0 USB Dongle Plus", "cp210x", "Zigbee stick"),
        ((0x1A86, 0x55D4), "ITEAD SONOFF Zigbee 3.0 USB Dongle Plus V2", "cdc_acm", "Zigbee stick"),
        ((0x10C4, 0xEA60), "SONOFF SONOFF Dongle Max MG24", "cp210x", "Zigbee stick"),
        ((0x10C4, 0xEA60), "Nabu Casa SkyConnect v1.0", "cp210x", "Zigbee stick"),
        ((0x10C4, 0xEA60), "Nabu Casa Home Assistant Connect ZBT-1", "cp210x", "Zigbee stick"),
        ((0x10C4, 0xEA60), "Silicon Labs slae.sh cc2652rb stick - slaesh's iot stuff", "cp210x", "Zigbee stick"),
        ((0x10C4, 0xEA60), "SMLIGHT SMLIGHT SLZB-07", "cp210x", "Zigbee stick"),
        ((0x1A86, 0x7523), "ZigStar LAN", "ch341-uart", "Zigbee stick"),
        ((0x0403, 0x6015), "dresden elektronik ConBee III", "ftdi_sio", "Zigbee stick"),
        ((0x1CF1, 0x0030), "dresden elektronik ingenieurtechnik GmbH ConBee II", "cdc_acm", "Zigbee stick"),
        ((0x0658, 0x0200), "", "cdc_acm", "Z-Wave stick"),
        ((0x303A, 0x4001), "Nabu Casa ZWA-2", "cdc_acm", "Z-Wave stick"),
        ((0x1546, 0x01A8), "u-blox AG - www.u-blox.com u-blox GNSS receiver", "cdc_acm", "GPS receiver"),
        ((0x1546, 0x01A7), "", "cdc_acm", "GPS receiver or modem"),
        ((0x091E, 0x0003), "", "garmin_gps", "GPS receiver"),
        ((0x12D1, 0x1001), "HUAWEI Mobile", "option1", "modem"),
        ((0x2C7C, 0x0125), "Quectel EC25", "option1", "modem"),
        ((0xABCD, 0x0001), "", "qcserial", "modem"),
        ((0xABCD, 0x0001), "", "sierra", "modem"),
        ((0x0403, 0x6001), "RFXCOM RFXtrx433", "ftdi_sio", "home automation receiver"),
        ((0x0483, 0x5740), "Flipper Devices Inc. Flipper Dut1", "cdc_acm", "Flipper Zero"),
        ((0x2C99, 0x0004), "Original Prusa i3 MK3 Multi Material 2.0 upgrade", "cdc_acm", "Prusa MMU2"),
    ],
)
def test_what_is_no_printer_is_known_for_what_it_is(ids: tuple[int, int], says: str, driver: str, words: str) -> None:
    what = known(*ids, says, driver)
    assert what is not None
    assert (what.role, what.words) == (Role.OTHER, words)


def test_a_board_with_klippers_firmware_is_left_alone() -> None:
    what = known(0x1D50, 0x614E, "Klipper stm32f446xx", "cdc_acm")
    assert what is not None
    assert what.role is Role.OTHER


def test_a_device_that_nobody_has_told_of_is_unknown() -> None:
    assert known(0xABCD, 0x0001, "ACME Thing", "cdc_acm") is None


def test_no_device_is_in_two_tables() -> None:
    for one, other in combinations(TABLES, 2):
        assert not one.keys() & other.keys()


def test_no_printer_is_taken_for_something_else_by_its_name() -> None:
    for table in (usb_ids._PRINTERS, usb_ids._NATIVE_PRINTERS):
        for ids, words in table.items():
            what = known(*ids, words, "cdc_acm")
            assert what is not None
            assert what.role is Role.PRINTER, words


def test_what_is_no_printer_takes_the_article_a() -> None:
    words = {what.words for what in EVERYTHING if what.role is Role.OTHER}
    assert [noun for noun in words if noun[0] in "aeioAEIO"] == []
