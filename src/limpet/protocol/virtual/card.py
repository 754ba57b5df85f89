"""The SD card of the virtual printer: a few files in memory, one of them open."""

from __future__ import annotations

from limpet.protocol.virtual.options import VirtualPrinterOptions

CAPACITY = 4 * 1024 * 1024
"""Bytes on the card; what is written beyond is refused."""
MAX_FILES = 1000

_SQUARE = "G28\nM104 S60\nG1 X0 Y0 F6000\nG1 X20 E1\nG1 Y20 E2\nG1 X0 E3\nG1 Y0 E4\nM104 S0\n"


class SdCard:
    """Files by short name (upper case, `SUB/TINY.GCO`), each with a long name; survives a reset of the printer."""

    def __init__(self, options: VirtualPrinterOptions) -> None:
        self._options = options
        self.inserted = options.sd_card
        self.files = {
            "SQUARE.GCO": bytearray(_SQUARE.encode()),
            "CALIBR~1.GCO": bytearray((_SQUARE * 20).encode()),
            "SUB/TINY.GCO": bytearray(b"M117 tiny\nG4 P10\n"),
        }
        self.long_names = {"CALIBR~1.GCO": "calibration cube v2.gcode"}
        self.power_on()

    def power_on(self) -> None:
        """Nothing is open any more."""
        self.selected: str | None = None
        self.position = 0
        self.printing = False
        self.writing: str | None = None

    def find(self, name: str) -> str | None:
        """Short name of the file that `name` (short or long, any case, with or without `/`) means."""
        name = name.strip().lstrip("/").upper()
        for short in self.files if self.inserted else ():
            if name in (short, self.long_names.get(short, "").upper()):
                return short
        return None

    def listing(self, long_names: bool, timestamps: bool) -> list[str]:
        """The lines of M20 between `Begin file list` and `End file list`."""
        lines = []
        for short, content in self.files.items():
            words = [short.lower() if self._options.sd_lower_case else short]
            if self._options.sd_sizes:
                words.append(str(len(content)))
            if timestamps:
                words.append("0x5D764408")
            if long_names or self._options.sd_long_names:
                name = self.long_names.get(short, short.rpartition("/")[2])
                words.append(f'"{name}"' if self._options.sd_quoted_names else name)
            lines.append(" ".join(words))
        return lines

    def select(self, name: str) -> int | None:
        """Opens a file for printing; its size, or None when there is no such file."""
        self.printing = False
        self.selected, self.position = self.find(name), 0
        return len(self.files[self.selected]) if self.selected else None

    def next_line(self) -> str | None:
        """The next line of the open file; None at its end."""
        if self.selected not in self.files:
            return None
        content = self.files[self.selected]
        if self.position >= len(content):
            return None
        end = content.find(b"\n", self.position)
        end = len(content) if end < 0 else end
        line = content[self.position : end].decode("latin-1")
        self.position = min(end + 1, len(content))
        return line.partition(";")[0].strip()

    def create(self, name: str) -> bool:
        """Opens a file for writing, empty; False without a card or with too many files on it."""
        if not self.inserted or len(self.files) >= MAX_FILES:
            return False
        short = self.find(name) or self._short_name(name.strip().lstrip("/"))
        self.files[short] = bytearray()
        self.writing = short
        return True

    def write(self, line: str) -> bool:
        """Appends to the file that is being written; False when the card is full."""
        if self.writing is None or sum(map(len, self.files.values())) + len(line) >= CAPACITY:
            return False
        self.files[self.writing] += line.encode("latin-1", "replace") + b"\n"
        return True

    def delete(self, name: str) -> bool:
        """False when there is no such file."""
        short = self.find(name)
        if short is None:
            return False
        del self.files[short]
        self.long_names.pop(short, None)
        if self.selected == short:
            self.selected, self.printing = None, False
        return True

    def _short_name(self, name: str) -> str:
        folder, slash, long_name = name.rpartition("/")
        stem, _, extension = long_name.upper().replace(" ", "").rpartition(".")
        stem, extension = (stem, extension[:3]) if stem else (extension, "GCO")
        short, number = f"{stem}.{extension}", 0
        while len(stem) > 8 or (folder + slash).upper() + short in self.files:
            number += 1
            short = f"{stem[:6]}~{number}.{extension}"
            if (folder + slash).upper() + short not in self.files:
                break
        short = (folder + slash).upper() + short
        self.long_names[short] = long_name
        return short
