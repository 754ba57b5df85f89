"""What a person at the controls asks for, as G-code lines. Nothing is checked here: see printer/control.py.

Lengths in mm, speeds in mm/min, temperatures in degrees Celsius, factors in percent.
Source: RepRap "G-code" page. Absolute positioning is what a printer is left in, as a print expects it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

RELEASE_CARD = "M22"
INIT_CARD = "M21"
START_CARD, PAUSE_CARD = "M24", "M25"
REPORT_CARD, REPORT_NO_CARD = "M27 S2", "M27 S0"
"""Tell every two seconds how far the print from the card is, and no more; AUTOREPORT_SD_STATUS says who can."""
END_CARD_FILE = "M29"

_TARGET = {"bed": "M140", "chamber": "M141"}
_REACHED = {"bed": "M190", "chamber": "M191"}
_S = re.compile(r"\b([SR])\s*[-+]?[\d.]+")
_MARLIN_2 = re.compile(r"Marlin (?:bugfix-)?2\b", re.IGNORECASE)
_TRAVEL, _LIFT = 3000.0, 300.0
"""Speeds of the way back to a print."""


def set_target(heater: str, degrees: float, *, only_tool: bool) -> str:
    """The target of "tool0" ..., "bed" or "chamber", without waiting for it.

    `only_tool`: there is one nozzle, and some firmware does not know numbers then.
    """
    tool = "" if only_tool or heater in _TARGET else f" T{heater.removeprefix('tool')}"
    return f"{_TARGET.get(heater, 'M104')}{tool} S{number(degrees)}"


def heat_up(targets: Mapping[str, float]) -> list[str]:
    """Set all these, then wait for all of them: "tool0" ..., "bed", "chamber" -> degrees."""
    words = {
        heater: ("" if heater in _TARGET else f" T{heater.removeprefix('tool')}") + f" S{number(degrees)}"
        for heater, degrees in targets.items()
    }
    return [
        *(_TARGET.get(heater, "M104") + rest for heater, rest in words.items()),
        *(_REACHED.get(heater, "M109") + rest for heater, rest in words.items()),
    ]


def with_target(command: str, degrees: float) -> str:
    """The same command for another temperature."""
    return _S.sub(lambda match: f"{match[1]}{number(degrees)}", command, count=1)


def return_to(axes: Mapping[str, float], tool: int) -> list[str]:
    """Back to "X", "Y", "Z", and with `E` as the position of the extruder: over the print first, then down to it."""
    return [
        *([select_tool(tool)] if tool else ()),
        "G21",
        "G90",
        f"G1 X{number(axes['X'])} Y{number(axes['Y'])} F{number(_TRAVEL)}",
        f"G1 Z{number(axes['Z'])} F{number(_LIFT)}",
        f"G92 E{number(axes['E'])}",
    ]


def set_speed(value: float) -> str:
    """Moves that do not name a speed have this one from now on."""
    return f"G1 F{number(value)}"


def jog(axes: Mapping[str, float], *, relative: bool, speed: float | None) -> tuple[str, ...]:
    """Move the head by, or to, these: "x" -> mm; without a speed at the one that the printer used last."""
    words = [f"{axis.upper()}{number(value)}" for axis, value in axes.items()]
    if speed is not None:
        words.append(f"F{number(speed)}")
    move = " ".join(["G1", *words])
    return ("G91", move, "G90") if relative else ("G90", move)


def home(axes: Iterable[str]) -> str:
    """Home "x", "y", "z"; all three are one command, which some firmware does in an order of its own."""
    named = sorted(set(axes))
    return "G28" if len(named) == 3 else " ".join(["G28", *(f"{axis.upper()}0" for axis in named)])


def extrude(amount: float, speed: float) -> tuple[str, ...]:
    """Push filament, or pull it where `amount` is negative, at the tool that is selected."""
    return "G91", "M83", f"G1 E{number(amount)} F{number(speed)}", "M82", "G90"


def select_tool(number: int) -> str:
    return f"T{number}"


def feedrate(percent: int) -> str:
    return f"M220 S{percent}"


def flowrate(percent: int) -> str:
    return f"M221 S{percent}"


def list_card(capabilities: Mapping[str, bool]) -> str:
    """List the files on the printer's card, with long names from firmware that can tell them."""
    return "M20 L" if capabilities.get("EXTENDED_M20") else "M20"


def open_card_file(path: str, firmware: str) -> str:
    """Have this file ready to be printed."""
    return f"M23 {_from_root(path, firmware)}"


def begin_card_file(path: str, firmware: str) -> str:
    """Write all that follows to this file, until END_CARD_FILE."""
    return f"M28 {_from_root(path, firmware)}"


def delete_card_file(path: str, firmware: str) -> str:
    return f"M30 {_from_root(path, firmware)}"


def stop_card(firmware: str) -> tuple[str, ...]:
    """End the print from the card. Marlin 2 has a word for that; after a mere pause it would be told as unfinished."""
    return ("M524",) if _MARLIN_2.match(firmware) else (PAUSE_CARD, "M26 S0")


def _from_root(path: str, firmware: str) -> str:
    # Marlin looks in the folder where the last file was; others do not know such a root.
    return f"/{path}" if "marlin" in firmware.lower() and not path.startswith("/") else path


def number(value: float) -> str:
    """Without an exponent, which firmware does not read."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
