"""Which commands the virtual printer knows, and who carries them out: as its firmware and its options will have it."""

from __future__ import annotations

import re

from limpet.protocol.virtual import card_commands, commands
from limpet.protocol.virtual.commands import SILENT, Handler
from limpet.protocol.virtual.firmware import Firmware
from limpet.protocol.virtual.options import VirtualPrinterOptions

HANDLERS = commands.HANDLERS | card_commands.HANDLERS

ANSWERED_BY_THE_PRINTER = frozenset({"M29", "M105"})
"""The answer takes the place of the ok, or the command ends a mode of the printer: see virtual_printer.py."""
EEPROM = frozenset({"M500", "M501", "M502", "M503"})
_FEEDRATE = re.compile(r"F\d+(?:\.\d+)?")


class Table:
    """The commands of one printer, by the code that `word_of` makes of them."""

    def __init__(self, firmware: Firmware, options: VirtualPrinterOptions) -> None:
        self._letters = tuple(firmware.letters)
        self._lacks = firmware.lacks | (frozenset() if options.eeprom else EEPROM)
        self._bare_f = options.bare_f

    def knows(self, code: str) -> bool:
        """Whether it takes the command at all."""
        if self._bare_f and _FEEDRATE.fullmatch(code):
            return True
        known = code in HANDLERS or code in SILENT or code in ANSWERED_BY_THE_PRINTER
        return known and code.startswith(self._letters) and code not in self._lacks

    def handler(self, code: str) -> Handler | None:
        """Who carries it out; None for nobody."""
        if not self.knows(code):
            return None
        return commands.feedrate if code[0] == "F" and code not in HANDLERS else HANDLERS.get(code)
