"""What a USB device is, by its numbers, by what it says of itself, and by the kernel's driver: data and one lookup.

Sources: linux-usb.org's usb.ids; the `usb` matchers of Home Assistant's integrations (zha, zwave_js,
homeassistant_sky_connect, insteon, modem_callerid, rainforest_raven, velbus); the fingerprints of zigbee-herdsman;
Prusa-Firmware-Buddy `printer_model_data.hpp` and the READMEs of Prusa's MMU2 and CW1; Marlin's and PlatformIO's board
files; the drivers below `drivers/usb/serial` of Linux; the udev rules of gpsd and ModemManager.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a USB device is to a print host, the likeliest printers first."""

    PRINTER = "printer"
    """A printer or its board, whatever the way in."""
    NATIVE = "native"
    """A microcontroller with USB of its own, which may be anything."""
    ADAPTER = "adapter"
    """A serial chip, alone or on a board; what is behind it may be anything, and may restart when it is opened."""
    OTHER = "other"
    """Known to be no printer: nothing may be written to it unasked."""


class Known(NamedTuple):
    """What is known of a device; `words` is a noun that takes the article "a" when the role is OTHER.

    `is_native`: its USB is the microcontroller's own: a baudrate means nothing to it, and opening does not restart it.
    """

    words: str
    role: Role
    is_native: bool = False


def known(vendor_id: int, product_id: int, says: str = "", driver: str | None = None) -> Known | None:
    """What the device is; None if nobody has told. `says` is its manufacturer and product, in its own words."""
    by_id, by_vendor = _BY_ID.get((vendor_id, product_id)), _BY_VENDOR.get(vendor_id)
    by_words = next((what for pattern, what in _BY_WORDS if pattern.search(says)), None)
    # "USB Serial" of a modem's driver, or the number of a common chip, tells less than what the maker has written.
    return by_words or _BY_DRIVER.get(driver or "") or by_id or by_vendor


_Ids = dict[tuple[int, int], str]

_PRINTERS: _Ids = {
    (0x27B1, 0x0001): "UltiMachine RAMBo",
    (0x28C7, 0x0001): "Ultimaker",
    (0x2C99, 0x0001): "Original Prusa i3 MK2",
    (0x2C99, 0x0002): "Original Prusa i3 MK3",
}

_NATIVE_PRINTERS: _Ids = {
    (0x1D50, 0x6015): "Smoothieboard",
    (0x1D50, 0x6019): "4pi motion controller",
    (0x1D50, 0x6029): "Marlin board",
    (0x1D50, 0x60EC): "Duet 2",
    (0x1D50, 0x60ED): "Duet 2 Maestro",
    (0x1D50, 0x60EE): "Duet 3",
    (0x2C99, 0x000C): "Original Prusa MINI",
    (0x2C99, 0x000D): "Original Prusa MK4",
    (0x2C99, 0x0010): "Prusa iX",
    (0x2C99, 0x0011): "Original Prusa XL",
    (0x2C99, 0x0015): "Original Prusa MK3.9",
    (0x2C99, 0x0017): "Original Prusa MK3.5",
    (0x2C99, 0x001A): "Original Prusa MK4S",
    (0x2C99, 0x001B): "Original Prusa MK3.9S",
    (0x2C99, 0x001C): "Original Prusa MK3.5S",
    (0x2C99, 0x001F): "Prusa CORE One",
}

_NATIVE: _Ids = {
    (0x0483, 0x5740): "STM32 board",
    (0x16C0, 0x0483): "Teensy or Printrboard",
    (0x16C0, 0x0487): "Teensy",
    (0x1D50, 0x606D): "TinyG motion controller",
    (0x1EAF, 0x0004): "STM32 board (Maple)",
    (0x2341, 0x003E): "Arduino Due, native port",
    (0x2341, 0x8036): "Arduino Leonardo",
    (0x28E9, 0x018A): "GD32 board",
    (0x2A03, 0x003E): "Arduino Due, native port",
    (0x2A03, 0x8036): "Arduino Leonardo",
    (0x2E8A, 0x000A): "RP2040 board",
    (0x303A, 0x1001): "ESP32 board",
    (0x303A, 0x4001): "ESP32 board",
}

_ADAPTERS: _Ids = {
    (0x03EB, 0x204B): "serial adapter (LUFA)",
    (0x0403, 0x6001): "FT232R serial adapter",
    (0x0403, 0x6010): "FT2232 serial adapter",
    (0x0403, 0x6011): "FT4232H serial adapter",
    (0x0403, 0x6014): "FT232H serial adapter",
    (0x0403, 0x6015): "FT231X serial adapter",
    (0x0483, 0x374B): "ST-LINK's serial adapter",
    (0x0483, 0x374E): "ST-LINK's serial adapter",
    (0x0483, 0x3752): "ST-LINK's serial adapter",
    (0x04E2, 0x1410): "XR21V1410 serial adapter",
    (0x0557, 0x2008): "UC-232A serial adapter",
    (0x067B, 0x2303): "PL2303 serial adapter",
    (0x067B, 0x23A3): "PL2303GC serial adapter",
    (0x10C4, 0xEA60): "CP210x serial adapter",
    (0x10C4, 0xEA61): "CP210x serial adapter",
    (0x10C4, 0xEA63): "CP210x serial adapter",
    (0x10C4, 0xEA70): "CP2105 serial adapter",
    (0x10C4, 0xEA71): "CP2108 serial adapter",
    (0x1A86, 0x5523): "CH341 serial adapter",
    (0x1A86, 0x55D2): "CH342 serial adapter",
    (0x1A86, 0x55D3): "CH343 serial adapter",
    (0x1A86, 0x55D4): "CH9102 serial adapter",
    (0x1A86, 0x7522): "CH340 serial adapter",
    (0x1A86, 0x7523): "CH340 serial adapter",
    (0x2341, 0x0001): "Arduino Uno",
    (0x2341, 0x0010): "Arduino Mega 2560",
    (0x2341, 0x003D): "Arduino Due, programming port",
    (0x2341, 0x0042): "Arduino Mega 2560 R3",
    (0x2341, 0x0043): "Arduino Uno R3",
    (0x2341, 0x0044): "Arduino Mega ADK R3",
    (0x2A03, 0x0010): "Arduino Mega 2560",
    (0x2A03, 0x003D): "Arduino Due, programming port",
    (0x2A03, 0x0042): "Arduino Mega 2560 R3",
    (0x2A03, 0x0043): "Arduino Uno R3",
    (0x4348, 0x5523): "CH340 serial adapter",
    (0x9986, 0x7523): "CH340 serial adapter",
}

_OTHER: _Ids = {
    (0x03EB, 0x6124): "boot loader of an Atmel chip without firmware",
    (0x0403, 0x8A28): "smart meter receiver",
    (0x0451, 0x16A8): "Zigbee stick",
    (0x0451, 0x16C8): "Zigbee stick",
    (0x0451, 0xBEF3): "TI LaunchPad",
    (0x0572, 0x1340): "modem",
    (0x0658, 0x0200): "Z-Wave stick",
    (0x0E8D, 0x3329): "GPS receiver",
    (0x10C4, 0x89FB): "Zigbee stick",
    (0x10C4, 0x8A2A): "Zigbee and Z-Wave stick",
    (0x10C4, 0x8B34): "Zigbee stick",
    (0x10CF, 0x0516): "Velbus interface",
    (0x10CF, 0x0517): "Velbus interface",
    (0x10CF, 0x0518): "Velbus interface",
    (0x10CF, 0x0B1B): "Velbus interface",
    (0x1CF1, 0x0030): "Zigbee stick",
    (0x1D50, 0x6018): "debug probe",
    (0x1D50, 0x614E): "board with Klipper's firmware, which knows no G-code",
    (0x2458, 0x0001): "Bluetooth stick",
    (0x2C99, 0x0003): "Prusa MMU2",
    (0x2C99, 0x0004): "Prusa MMU2",
    (0x2C99, 0x0007): "Prusa CW1 curing machine",
    (0x2C99, 0x0008): "Prusa CW1 curing machine",
    (0x2C99, 0x000E): "Prusa CW1S curing machine",
    (0x2C99, 0x000F): "Prusa CW1S curing machine",
    (0x2E8A, 0x000C): "debug probe",
    (0x2FE3, 0x0100): "Zigbee stick",
}

_MODEM, _GPS = Known("modem", Role.OTHER), Known("GPS receiver", Role.OTHER)

_BY_ID = {
    **{ids: Known(words, Role.PRINTER) for ids, words in _PRINTERS.items()},
    **{ids: Known(words, Role.PRINTER, is_native=True) for ids, words in _NATIVE_PRINTERS.items()},
    **{ids: Known(words, Role.NATIVE, is_native=True) for ids, words in _NATIVE.items()},
    **{ids: Known(words, Role.ADAPTER) for ids, words in _ADAPTERS.items()},
    **{ids: Known(words, Role.OTHER) for ids, words in _OTHER.items()},
}

_BY_VENDOR = {
    0x05C6: _MODEM,  # Qualcomm
    0x091E: _GPS,  # Garmin
    0x0AF0: _MODEM,  # Option
    0x0BDB: _MODEM,  # Ericsson
    0x10BF: Known("PowerLinc modem", Role.OTHER),
    0x1163: _GPS,  # DeLorme
    0x1199: _MODEM,  # Sierra Wireless
    0x12D1: _MODEM,  # Huawei
    0x1410: _MODEM,  # Novatel
    0x1519: _MODEM,  # Comneon
    0x1546: Known("GPS receiver or modem", Role.OTHER),  # u-blox
    0x16D8: _MODEM,  # CMOTECH
    0x19D2: _MODEM,  # ZTE
    0x1BBB: _MODEM,  # Alcatel
    0x1BC7: _MODEM,  # Telit
    0x1C9E: _MODEM,  # Longcheer
    0x1E0E: _MODEM,  # SIMCom
    0x1E2D: _MODEM,  # Cinterion
    0x2639: Known("motion sensor", Role.OTHER),  # Xsens
    0x2C7C: _MODEM,  # Quectel
    0x2CB7: _MODEM,  # Fibocom
    0x305A: _MODEM,  # GosunCn
}

_BY_DRIVER = {
    **dict.fromkeys(("hso", "ipw", "moto-modem", "moto_modem", "option", "option1", "qcaux", "qcserial"), _MODEM),
    **dict.fromkeys(("motorola_tetra", "sierra"), _MODEM),
    **dict.fromkeys(("earthmate", "garmin_gps", "navman", "novatel_gps"), _GPS),
    "suunto": Known("watch receiver", Role.OTHER),
    "vivopay": Known("payment terminal", Role.OTHER),
}

_BY_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), Known(words, role, native))
    for pattern, words, role, native in (
        (r"\barchim", "UltiMachine Archim", Role.PRINTER, True),
        (r"\bmarlin", "Marlin board", Role.PRINTER, True),
        (r"^klipper\b", "board with Klipper's firmware, which knows no G-code", Role.OTHER, True),
        (r"^katapult\b", "boot loader of a Klipper board", Role.OTHER, True),
        (r"zigbee|zigate|zigstar|conbee|raspbee|tubeszb|slzb-\d|bv 2010/10", "Zigbee stick", Role.OTHER, False),
        (r"sonoff.*(plus|max)|skyconnect|zbt-\d|cc2652|electrolama", "Zigbee stick", Role.OTHER, False),
        (r"z-?wave|zwa-\d", "Z-Wave stick", Role.OTHER, False),
        (r"enocean|rfxcom|rfxtrx", "home automation receiver", Role.OTHER, False),
        (r"rainforest|\bemu-2\b", "smart meter receiver", Role.OTHER, False),
        (r"\bgps\b|\bgnss\b|u-blox", "GPS receiver", Role.OTHER, False),
        (r"\bmodem\b|simcom|quectel|sim7\d00", "modem", Role.OTHER, False),
        (r"\bups\b", "UPS", Role.OTHER, False),
        (r"barcode|\bscanner\b", "barcode scanner", Role.OTHER, False),
        (r"flipper devices", "Flipper Zero", Role.OTHER, True),
        (r"nanovna|tinysa", "measuring instrument", Role.OTHER, True),
    )
)
