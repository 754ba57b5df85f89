"""What the firmwares that the virtual printer can play say differently: rows of data.

Source: recordings of the real ones; Smoothieware and RepRapFirmware after their documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TemperatureStyle:
    """How a temperature report is put together.

    `order` lists heaters: `T` is the current tool, `T*` all tools, `B` bed, `C` chamber; `several` is the order
    where there is more than one tool.
    """

    heater: str
    order: tuple[str, ...]
    several: tuple[str, ...]
    power: bool = False
    suffix: str = ""


TEMPERATURE_STYLES = {
    "marlin": TemperatureStyle(
        heater="{name}:{actual:.2f} /{target:.2f}", order=("T", "B", "C"), several=("T", "B", "C", "T*"), power=True
    ),
    "prusa": TemperatureStyle(
        heater="{name}:{actual:.1f} /{target:.1f}",
        order=("T", "B", "T*"),
        several=("T", "B", "T*"),
        power=True,
        suffix=" P:39.4 A:37.9",
    ),
    "repetier": TemperatureStyle(
        heater="{name}:{actual:.2f} /{target:.0f}", order=("T", "B", "C"), several=("T", "B", "C", "T*"), power=True
    ),
    "klipper": TemperatureStyle(
        heater="{name}:{actual:.1f} /{target:.1f}", order=("B", "C", "T*"), several=("B", "C", "T*")
    ),
    "smoothie": TemperatureStyle(
        heater="{name}:{actual:.1f} /{target:.1f} @0", order=("T", "B", "C"), several=("T", "T*", "B", "C")
    ),
    "reprapfirmware": TemperatureStyle(
        heater="{name}:{actual:.1f} /{target:.1f}", order=("T", "T*", "B", "C"), several=("T", "T*", "B", "C")
    ),
    "teacup": TemperatureStyle(heater="{name}:{actual:.1f}/{target:.1f}", order=("T", "B"), several=("T", "B")),
}


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """The manners of one firmware; texts are templates, their fields are named where they are filled in."""

    name: str
    m115: str = (
        "FIRMWARE_NAME:{firmware_name} SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin PROTOCOL_VERSION:1.0 "
        "MACHINE_TYPE:{machine_type} EXTRUDER_COUNT:{extruders}"
    )
    capabilities: bool = True
    banner: tuple[str, ...]
    line_end: str = "\n"
    temperatures: str
    report_prefix: str = ""
    ok: str = "ok"
    ok_before_output: bool = False
    ok_with_temperatures: bool = True
    position: str = "X:{X:.2f} Y:{Y:.2f} Z:{Z:.2f} E:{E:.2f} Count X:{x} Y:{y} Z:{z}"
    busy: str = "echo:busy: processing"
    busy_for_user: str = "echo:busy: paused for user"
    unknown: str = 'echo:Unknown command: "{command}"'
    resend: str = "Resend: {number}"
    errors: Mapping[str, str] = field(
        default_factory=lambda: {
            "line_number": "Error:Line Number is not Last Line Number+1, Last Line: {last}",
            "checksum": "Error:checksum mismatch, Last Line: {last}",
            "no_checksum": "Error:No Checksum with line number, Last Line: {last}",
            "no_line_number": "Error:No Line Number with checksum, Last Line: {last}",
        }
    )
    checks_numbers: bool = True
    checks_checksums: bool = True
    skips_old_lines: bool = False
    halt: tuple[str, ...] = ("Error:Printer halted. kill() called!",)


_MARLIN_BANNER = (
    "start",
    "echo:PowerUp",
    "Marlin 2.1.2",
    "echo: Last Updated: 2022-12-17 | Author: (Limpet virtual printer)",
    "echo: Free Memory: 4096  PlannerBufferBytes: 1280",
    "echo:Hardcoded Default Settings Loaded",
    "echo:SD card ok",
)
_SHORT_ERRORS = {
    "line_number": "Error:expected line {expected} got {number}",
    "checksum": "Error:Wrong checksum",
    "no_checksum": "Error:Missing checksum",
    "no_line_number": "Error:Missing linenumber",
}

FIRMWARES = {
    "marlin": Firmware(name="Marlin 2.1.2 (Virtual)", banner=_MARLIN_BANNER, temperatures="marlin", report_prefix=" "),
    "prusa": Firmware(
        name="Prusa-Firmware 3.9.3 based on Marlin",
        banner=("start", "echo: 3.9.3-3556", "PowerUp", "echo:SD init fail", "LCD status changed"),
        line_end="\r\n",
        temperatures="prusa",
        unknown='echo:Unknown command: "{command}"(2)',
    ),
    "repetier": Firmware(
        name="Repetier_1.0.4",
        banner=("start", "Info:PowerUp", "Free RAM:3503", "SelectExtruder:0", "FlowMultiply:100"),
        line_end="\r\n",
        temperatures="repetier",
        ok="ok {line}",
        ok_before_output=True,
        ok_with_temperatures=False,
        position="X:{X:.2f} Y:{Y:.2f} Z:{Z:.3f} E:{E:.4f}",
        busy="busy:processing",
        busy_for_user="busy:processing",
        unknown="Unknown command:{command} ",
        resend="\r\nResend:{number}",
        errors=_SHORT_ERRORS,
        skips_old_lines=True,
        halt=("fatal:Printer halted, restart with M999",),
    ),
    "klipper": Firmware(
        name="Klipper",
        m115="ok FIRMWARE_NAME:{firmware_name} FIRMWARE_VERSION:v0.13.0-730-g84104bbbd",
        capabilities=False,
        banner=(),
        temperatures="klipper",
        position="X:{X:.3f} Y:{Y:.3f} Z:{Z:.3f} E:{E:.3f}",
        busy="",
        busy_for_user="",
        unknown='// Unknown command:"{command}"',
        checks_numbers=False,
        checks_checksums=False,
        halt=("!! Shutdown due to M112 command", "// Klipper state: Shutdown"),
    ),
    "smoothie": Firmware(
        name="Smoothieware",
        m115="FIRMWARE_NAME:{firmware_name}, FIRMWARE_URL:http%3A//smoothieware.org, MACHINE_TYPE:{machine_type}",
        capabilities=False,
        banner=("Smoothie", "ok"),
        line_end="\r\n",
        temperatures="smoothie",
        position="ok C: X:{X:.4f} Y:{Y:.4f} Z:{Z:.4f} E:{E:.4f}",
        busy="",
        busy_for_user="",
        resend="rs N{number}",
        halt=("!!",),
    ),
    "reprapfirmware": Firmware(
        name="RepRapFirmware for Duet 2 WiFi/Ethernet",
        m115="FIRMWARE_NAME: {firmware_name} FIRMWARE_VERSION: 3.4.5 ELECTRONICS: Duet WiFi 1.02 or later",
        capabilities=False,
        banner=(),
        temperatures="reprapfirmware",
        position="X:{X:.3f} Y:{Y:.3f} Z:{Z:.3f} E:{E:.3f} E0:{E:.1f} Count {x} {y} {z} Machine {X:.3f} {Y:.3f} {Z:.3f}",
        busy="",
        busy_for_user="",
        unknown="Error: {command}: Command is not supported",
        checks_numbers=False,
        halt=("Error: Emergency stop",),
    ),
    "teacup": Firmware(
        name="Teacup",
        banner=("start",),
        temperatures="teacup",
        ok_with_temperatures=False,
        position="X:{X:.3f},Y:{Y:.3f},Z:{Z:.3f},E:{E:.3f},F:50",
        busy="",
        busy_for_user="",
        unknown="E: Bad command {command}",
        resend="rs N{number} Expected checksum 0",
        checks_numbers=False,
        halt=("Stop",),
    ),
}
"""Firmware by the word that the `firmware` option takes."""
