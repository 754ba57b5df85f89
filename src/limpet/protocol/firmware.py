"""What firmwares do differently, and how long commands may take: rows of data."""

from __future__ import annotations

from dataclasses import dataclass

LIKELY_BAUDRATES = (115200, 250000, 57600, 230400, 38400, 19200, 9600)
"""Bits per second in the order in which detection tries them: what boards are sold with comes first."""


@dataclass(frozen=True)
class Firmware:
    """One family of firmware.

    `marker` is looked for in FIRMWARE_NAME, in lower case. `resend_ok` is how long to wait, in seconds, for
    the `ok` that follows a `Resend:` before going on without it (some builds never send one). `checks_order`:
    it refuses a line whose number is not the next one, so that a line may be written again on a mere guess.
    `has_macros`: commands that no table knows may take minutes. `tells_state`: asked STATE_QUESTION, it says
    whether it is ready, and why not; M115 and M105 it answers all the same, and each move that it refuses gets an ok.
    """

    family: str
    marker: str
    resend_ok: float = 0.5
    checks_order: bool = True
    has_macros: bool = False
    tells_state: bool = False


UNKNOWN = Firmware("unknown", "")
STATE_QUESTION = b"STATUS\n"

FIRMWARES = (
    # Prusa's name contains "based on Marlin" and Klipper may imitate others: the special ones come first.
    Firmware("Prusa", "prusa"),
    # It takes numbers and checksums and looks at neither; its line is a pseudo-terminal, which loses nothing.
    Firmware("Klipper", "klipper", checks_order=False, has_macros=True, tells_state=True),
    # It drops a line with a wrong checksum without a word, and does not look at the number (Duet, StringParser.cpp).
    Firmware("RepRapFirmware", "reprapfirmware", checks_order=False, has_macros=True),
    Firmware("Smoothie", "smoothie"),
    # Repetier repeats its request every 200 ms until it is obeyed.
    Firmware("Repetier", "repetier", resend_ok=0.15),
    # It checks the checksum alone (tests/transcripts/teacup.txt: line 7 after line 3 is taken).
    Firmware("Teacup", "teacup", checks_order=False),
    Firmware("Malyan", "malyan"),
    Firmware("Marlin", "marlin"),
)


def firmware_named(name: str) -> Firmware:
    """The row for a FIRMWARE_NAME; UNKNOWN when there is none."""
    lowered = name.lower()
    return next((row for row in FIRMWARES if row.marker in lowered), UNKNOWN)


# Seconds that a command may take before its `ok`, with the printer saying nothing at all: homing, probing,
# heating, waiting for a person. Marlin's and Prusa's host keepalive shortens the wait (session.py).
LONG_COMMANDS = {
    "G4": 600.0,
    "G28": 300.0,
    "G29": 900.0,
    "G30": 120.0,
    "G32": 600.0,
    "G33": 900.0,
    "G34": 600.0,
    "G76": 3600.0,
    "G80": 900.0,
    "M0": 86400.0,
    "M1": 86400.0,
    "M20": 60.0,
    "M21": 30.0,
    "M25": 60.0,
    "M48": 600.0,
    "M109": 1800.0,
    "M116": 1800.0,
    "M125": 300.0,
    "M190": 3600.0,
    "M191": 3600.0,
    "M226": 86400.0,
    "M303": 3600.0,
    "M400": 600.0,
    "M500": 30.0,
    "M600": 86400.0,
    "M701": 600.0,
    "M702": 600.0,
    "T": 600.0,
}

MOVE_COMMANDS = frozenset({"G0", "G1", "G2", "G3", "G5", "G92", "M204", "M205", "M106", "M107"})
"""What the planner holds: its `ok` comes when a slot is free, which can take as long as the slowest move."""

HARMLESS_COMMANDS = frozenset({"M105", "M110", "M114", "M115", "M27", "M31", "M155"})
"""What may be said twice to any firmware."""
