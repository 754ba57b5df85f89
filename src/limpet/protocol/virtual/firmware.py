"""What the firmwares that the virtual printer can play say differently: rows of data.

Sources, row by row: marlin, prusa, repetier, klipper and teacup after recordings of the real ones in tests/transcripts,
to which `test_virtual_recordings.py` holds them. smoothie after Smoothieware's `GcodeDispatch.cpp`, `Robot.cpp` and
`TemperatureControl.cpp` (July 2023), reprapfirmware after Duet's `GCodes.cpp`, `GCodes2.cpp` and `StringParser.cpp`
(3.4.5 and 3.5.3): read, never heard. malyan after logs in public issues (OctoPrint 1762, ArcWelderPlugin 236); the
shape of its temperature report is a guess. grbl after its documentation (banner, error codes, an ok for an empty line).
sensor is made up: any microcontroller that prints what it measures.
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
class Stopped:
    """It answers every command with `text`, but for those in `still`, until one comes that is in `until`.

    `parting`: what it says when that one comes. Without `with_ok` the text stands in the place of the ok.
    """

    text: str
    until: frozenset[str] = frozenset({"M999"})
    still: frozenset[str] = frozenset()
    with_ok: bool = True
    parting: str = ""


_MARLIN_ERRORS = {
    "line_number": "Error:Line Number is not Last Line Number+1, Last Line: {last}",
    "checksum": "Error:checksum mismatch, Last Line: {last}",
    "no_checksum": "Error:No Checksum with line number, Last Line: {last}",
    "no_line_number": "Error:No Line Number with checksum, Last Line: {last}",
    "maxtemp": "Error:MAXTEMP triggered, system stopped! Heater_ID: 0",
    "mintemp": "Error:MINTEMP triggered, system stopped! Heater_ID: 0",
}
_NO_LINE_ERRORS = dict.fromkeys(("line_number", "checksum", "no_checksum", "no_line_number"), "")


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """The manners of one firmware; texts are templates, their fields are named where they are filled in.

    `letters`: what a command that it knows begins with; `lacks`: which of those it does not know all the same.
    `errors`: why a line is not taken -> what is said; empty: nothing. Without `resend` such a line is dropped silently.
    `skips_old_lines`: what it had already, and what follows a refused line, is skipped with an ok.
    `halted`: what it is like after an emergency stop; None: deaf and dumb until a reset.
    `chatter`: said every second, unasked. `listens`: False for what is no printer and only talks.
    """

    name: str
    letters: str = "GMT"
    lacks: frozenset[str] = frozenset()
    listens: bool = True

    banner: tuple[str, ...] = ()
    line_end: str = "\n"
    chatter: tuple[str, ...] = ()
    ok: str = "ok"
    ok_before_output: bool = False
    ok_for_empty_lines: bool = False
    busy: str = "echo:busy: processing"
    busy_for_user: str = "echo:busy: paused for user"
    unknown: str = 'echo:Unknown command: "{command}"'
    unknown_instead_of_ok: bool = False
    shows_text: str = ""

    m115: str = (
        "FIRMWARE_NAME:{firmware_name} SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin PROTOCOL_VERSION:1.0 "
        "MACHINE_TYPE:{machine_type} EXTRUDER_COUNT:{extruders}"
    )
    uuid: bool = False
    capabilities: tuple[str, ...] = ()
    m115_ends: tuple[str, ...] = ()

    temperatures: str = "marlin"
    report_prefix: str = ""
    heating: str = "{report}"
    ok_with_temperatures: bool = True
    position: str = "X:{X:.2f} Y:{Y:.2f} Z:{Z:.2f} E:{E:.2f} Count X:{x} Y:{y} Z:{z}"

    checks_numbers: bool = True
    checks_checksums: bool = True
    wants_checksums: bool = True
    skips_old_lines: bool = False
    errors: Mapping[str, str] = field(default_factory=lambda: _MARLIN_ERRORS)
    resend: str = "Resend: {number}"
    ok_after_resend: bool = True

    halt: tuple[str, ...] = ("Error:Printer halted. kill() called!",)
    halted: Stopped | None = None
    halt_restarts: bool = False


def _flags(words: str) -> tuple[str, ...]:
    return tuple(f"Cap:{word}" for word in words.split())


_MARLIN_CAPABILITIES = _flags(
    "SERIAL_XON_XOFF:0 EEPROM:{eeprom} VOLUMETRIC:1 AUTOREPORT_POS:{autoreport} AUTOREPORT_TEMP:{autoreport} "
    "PROGRESS:0 PRINT_JOB:1 AUTOLEVEL:0 RUNOUT:0 Z_PROBE:0 BUILD_PERCENT:0 SOFTWARE_POWER:0 "
    "EMERGENCY_PARSER:{emergency} HOST_ACTION_COMMANDS:{prompts} PROMPT_SUPPORT:{prompts} SDCARD:1 SD_WRITE:1 "
    "AUTOREPORT_SD_STATUS:{autoreport} LONG_FILENAME:1 LFN_WRITE:1 EXTENDED_M20:1 THERMAL_PROTECTION:1 ARCS:0 "
    "CHAMBER_TEMPERATURE:{chamber}"
)
_MARLIN_BANNER = (
    "start",
    "echo:PowerUp",
    "Marlin 2.1.2",
    "echo: Last Updated: 2022-12-17 | Author: (Limpet virtual printer)",
    "echo: Free Memory: 4096  PlannerBufferBytes: 1280",
    "echo:Hardcoded Default Settings Loaded",
    "echo:SD card ok",
)
_REPORTS = frozenset({"M105", "M110", "M114", "M115", "M119"})

LOST_MCU = Stopped(
    text="!! Lost communication with MCU 'mcu'", until=frozenset({"FIRMWARE_RESTART", "RESTART"}), still=_REPORTS
)
"""Klipper without its microcontroller."""
HEATER_FAILURE = Stopped(
    text="fatal:Heater/sensor failure Printer stopped and heaters disabled due to this error. "
    "Fix error and restart with M999."
)
"""Repetier without a thermistor (Repetier-Firmware-4-Davinci 195)."""
SWITCHED_OFF = Stopped(
    text="Error:Printer stopped due to errors. Fix the error and use M999 to restart. "
    "(Temperature is reset. Set it after restarting)",
    still=_REPORTS,
)
"""Marlin 1.0 after too much heat (OctoPrint 1033)."""

PRINTERS = {
    "marlin": Firmware(
        name="Marlin 2.1.2 (Virtual)",
        banner=_MARLIN_BANNER,
        uuid=True,
        capabilities=_MARLIN_CAPABILITIES,
        report_prefix=" ",
        heating=" {report} W:{rest}",
    ),
    "prusa": Firmware(
        name="Prusa-Firmware 3.9.3 based on Marlin",
        banner=("start", "echo: 3.9.3-3556", "PowerUp", "echo:SD init fail", "LCD status changed"),
        line_end="\r\n",
        shows_text="LCD status changed",
        uuid=True,
        capabilities=("Cap:AUTOREPORT_TEMP:{autoreport}",),
        temperatures="prusa",
        heating="T:{nozzle:.1f} E:0 W:{rest}",
        position="X:{X:.2f} Y:{Y:.2f} Z:{Z:.2f} E:{E:.2f} Count X: {X:.2f} Y:{Y:.2f} Z:{Z:.2f} E:{E:.2f}",
        unknown='echo:Unknown command: "{command}"(2)',
    ),
    "repetier": Firmware(
        name="Repetier_1.0.4",
        lacks=frozenset({"M0", "M1"}),
        banner=("start", "Info:PowerUp", "Free RAM:3503", "SelectExtruder:0", "FlowMultiply:100"),
        line_end="\r\n",
        m115="FIRMWARE_NAME:{firmware_name} FIRMWARE_URL:https://github.com/repetier/Repetier-Firmware/ "
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine_type} EXTRUDER_COUNT:{extruders} REPETIER_PROTOCOL:3",
        capabilities=_flags(
            "PROGRESS:0 AUTOREPORT_TEMP:{autoreport} HOST_RESCUE:1 EEPROM:{eeprom} AUTOLEVEL:0 Z_PROBE:0 "
            "SOFTWARE_POWER:0 TOGGLE_LIGHTS:0 PAUSESTOP:1 PREHEAT:1 EMERGENCY_PARSER:1"
        ),
        m115_ends=("Printed filament:0.00m Printing time:0 days 0 hours 0 min", "PrinterMode:FFF"),
        temperatures="repetier",
        ok="ok {seen}",
        ok_before_output=True,
        ok_with_temperatures=False,
        position="X:{X:.2f} Y:{Y:.2f} Z:{Z:.3f} E:{E:.4f}",
        busy="busy:processing",
        busy_for_user="busy:processing",
        unknown="Unknown command:{command} ",
        wants_checksums=False,
        skips_old_lines=True,
        resend="\r\nResend:{number}",
        errors={
            **_MARLIN_ERRORS,
            "line_number": "Error:expected line {expected} got {number}",
            "checksum": "Error:Wrong checksum\r\nError:Wrong checksum",
            "no_checksum": "Error:Missing checksum",
            "no_line_number": "Error:Missing linenumber",
        },
        halt=(),
        halt_restarts=True,
    ),
    "klipper": Firmware(
        name="Klipper",
        letters="GMTFRS",
        m115="ok FIRMWARE_NAME:{firmware_name} FIRMWARE_VERSION:v0.13.0-730-g84104bbbd",
        temperatures="klipper",
        position="X:{X:.3f} Y:{Y:.3f} Z:{Z:.3f} E:{E:.3f}",
        busy="",
        busy_for_user="",
        unknown='// Unknown command:"{command}"',
        checks_numbers=False,
        checks_checksums=False,
        halt=("// Klipper state: Shutdown",),
        halted=Stopped(
            text="// Shutdown due to M112 command\n// Printer is shutdown\n!! Shutdown due to M112 command",
            until=LOST_MCU.until,
            still=_REPORTS | {"M112"},
        ),
    ),
    "smoothie": Firmware(
        name="Smoothieware",
        banner=("Smoothie", "ok"),
        m115="FIRMWARE_NAME:{firmware_name}, FIRMWARE_URL:http%3A//smoothieware.org, "
        "X-SOURCE_CODE_URL:https://github.com/Smoothieware/Smoothieware, FIRMWARE_VERSION:edge-94de12c, "
        "PROTOCOL_VERSION:1.0, X-FIRMWARE_BUILD_DATE:Oct 28 2014 13:24:47, X-SYSTEM_CLOCK:120MHz, X-AXES:5, "
        "X-GRBL_MODE:0, X-ARCS:1",
        temperatures="smoothie",
        position="ok C: X:{X:.4f} Y:{Y:.4f} Z:{Z:.4f} E:{E:.4f}",
        busy="",
        busy_for_user="",
        unknown="",
        wants_checksums=False,
        resend="rs N{number}",
        ok_after_resend=False,
        errors={
            **_NO_LINE_ERRORS,
            "maxtemp": "ERROR: MINTEMP or MAXTEMP triggered on T. Check your temperature sensors!",
            "mintemp": "ERROR: MINTEMP or MAXTEMP triggered on T. Check your temperature sensors!",
        },
        halt=("ok Emergency Stop Requested - reset or M999 required to exit HALT state",),
        halted=Stopped(
            text="!!",
            still=_REPORTS,
            with_ok=False,
            parting="WARNING: After HALT you should HOME as position is currently unknown",
        ),
    ),
    "reprapfirmware": Firmware(
        name="RepRapFirmware for Duet 2 WiFi/Ethernet",
        banner=("RepRapFirmware for Duet 2 WiFi/Ethernet is up and running.",),
        m115="FIRMWARE_NAME: {firmware_name} FIRMWARE_VERSION: 3.4.5 ELECTRONICS: Duet WiFi 1.02 or later",
        temperatures="reprapfirmware",
        position="X:{X:.3f} Y:{Y:.3f} Z:{Z:.3f} E:{E:.3f} E0:{E:.1f} "
        "Count {x} {y} {z} Machine {X:.3f} {Y:.3f} {Z:.3f} Bed comp 0.000",
        busy="",
        busy_for_user="",
        unknown="Warning: {command}: Command is not supported",
        checks_numbers=False,
        wants_checksums=False,
        resend="",
        errors={**_MARLIN_ERRORS, **_NO_LINE_ERRORS},
        halt=("Emergency Stop! Reset the controller to continue.",),
    ),
    "teacup": Firmware(
        name="Teacup",
        lacks=frozenset({"M108", "M109", "M111", "M117", "M118", "M999"}),
        banner=("start",),
        m115="FIRMWARE_NAME:{firmware_name} FIRMWARE_URL:http://github.com/traumflug/Teacup_Firmware/ "
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine_type} EXTRUDER_COUNT:{extruders} TEMP_SENSOR_COUNT:2 "
        "HEATER_COUNT:3",
        capabilities=("cap:AUTOREPORT_TEMP:{autoreport}",),
        temperatures="teacup",
        ok_with_temperatures=False,
        position="X:{X:.3f},Y:{Y:.3f},Z:{Z:.3f},E:{E:.3f},F:50",
        busy="",
        busy_for_user="",
        unknown="E: Bad M-code {code}",
        checks_numbers=False,
        wants_checksums=False,
        resend="rs N{number} Expected checksum {checksum}",
        errors={**_MARLIN_ERRORS, **_NO_LINE_ERRORS},
        halt=(),
    ),
    "malyan": Firmware(
        name="Malyan",
        m115="NAME. {firmware_name}\tVER: 3.8\tMODEL: M200\tHW: HH02",
        m115_ends=("CLK:EXT BUILD: Aug 10 2017 09:53:33",),
        report_prefix=" ",
        ok="ok N{line} P{planner} B15",
        ok_with_temperatures=False,
        busy="",
        busy_for_user="",
    ),
}
IMPOSTORS = {
    "grbl": Firmware(
        name="Grbl",
        letters="G",
        lacks=frozenset({"G29"}),
        banner=("", "Grbl 1.1f ['$' for help]"),
        line_end="\r\n",
        busy="",
        busy_for_user="",
        ok_for_empty_lines=True,
        unknown="error:20",
        unknown_instead_of_ok=True,
        checks_numbers=False,
        checks_checksums=False,
    ),
    "sensor": Firmware(
        name="Sensor node", banner=("Sensor node starting v1.2",), listens=False, chatter=("ok T 21.3",)
    ),
}
"""What else hangs on serial ports, and must not be taken for a printer."""

FIRMWARES = {**PRINTERS, **IMPOSTORS}
"""Firmware by the word that the `firmware` option takes."""
