"""What the virtual printer does on each command: one function each, and the table that names them.

A function that takes time is a generator of moments: it yields when it wants to go on (`inf`: when somebody
continues). The `ok` is not its business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import inf

from limpet.protocol.commands import code_of, words_of
from limpet.protocol.virtual.machine import COLDEST_EXTRUSION, Heater, Machine

Steps = Iterator[float]
Handler = Callable[[Machine, str], Steps | None]

SETTINGS = (
    "echo:; Linear Units:",
    "echo:  G21 ; (mm)",
    "echo:; Steps per unit:",
    "echo:  M92 X80.00 Y80.00 Z400.00 E500.00",
    "echo:; Max feedrates (units/s):",
    "echo:  M203 X300.00 Y300.00 Z5.00 E25.00",
)
MESH = (
    "Bilinear Leveling Grid:",
    "      0      1      2",
    " 0 -0.018 +0.024 +0.051",
    " 1 -0.032 +0.009 +0.047",
    " 2 -0.026 +0.015 +0.038",
)
AREA = "{min:{x:0.0000,y:0.0000,z:0.0000},max:{x:200.0000,y:200.0000,z:200.0000}}"
MMU_FEEDING = ("Feeding to FINDA", "Feeding to extruder", "Feeding to FSensor", "Disengaging idler")

_SILENT_G = (17, 21)
_SILENT_M = (
    *(17, 18, 73, 75, 76, 77, 84, 92, 106, 107, 108, 110, 111, 112, 201, 202, 203, 204, 205, 206, 211, 221),
    *(300, 301, 304, 410, 413, 486, 876),
)
SILENT = frozenset(f"G{number}" for number in _SILENT_G) | frozenset(f"M{number}" for number in _SILENT_M)
"""Taken without an effect that can be seen here (or, as M108, with one when the line arrived)."""


def word_of(command: str) -> str:
    """`G1`, `M109`, `T0`, or the first word when it is in capitals, as Klipper's commands are; else empty."""
    word = command.partition(" ")[0]
    return (code_of(command) or (word if word.isupper() else "")) if command[:1].isupper() else ""


def text_of(command: str) -> str:
    """All after the first word."""
    return command.partition(" ")[2].strip()


def sleep(machine: Machine, duration: float) -> Steps:
    end = machine.now + duration * machine.factor
    while machine.now < end:
        yield end


def finish_moves(machine: Machine) -> Steps:
    while machine.planner.done_at(machine.now) > machine.now:
        yield machine.planner.done_at(machine.now)


def move(machine: Machine, command: str) -> Steps | None:
    duration = machine.move(words_of(command))
    if machine.planner.free(machine.now):
        machine.planner.add(duration, machine.now)
        return None
    return _move_when_there_is_room(machine, duration)


def _move_when_there_is_room(machine: Machine, duration: float) -> Steps:
    while not machine.planner.free(machine.now):
        yield machine.planner.next_free(machine.now)
    machine.planner.add(duration, machine.now)


def dwell(machine: Machine, command: str) -> Steps:
    words = words_of(command)
    yield from finish_moves(machine)
    yield from sleep(machine, words.get("S", words.get("P", 0) / 1000))


def home(machine: Machine, command: str) -> Steps:
    yield from finish_moves(machine)
    yield from sleep(machine, machine.options.homing_time)
    axes = [axis for axis in "XYZ" if axis in command] or list("XYZ")
    machine.position.update(dict.fromkeys(axes, 0.0))
    machine.say(machine.position_report())


def probe(machine: Machine, _: str) -> Steps:
    yield from finish_moves(machine)
    yield from sleep(machine, machine.options.probing_time)
    for line in MESH:
        machine.say(line)


def feedrate(machine: Machine, command: str) -> None:
    machine.feedrate = words_of(command).get("F", machine.feedrate) or machine.feedrate


def cold_extrusion(machine: Machine, command: str) -> None:
    words = words_of(command)
    if "P" in words:
        machine.coldest_extrusion = -inf if words["P"] else COLDEST_EXTRUSION
    if "S" in words:
        machine.coldest_extrusion = words["S"]


def wait_for_moves(machine: Machine, _: str) -> Steps:
    return finish_moves(machine)


def positioning(machine: Machine, command: str) -> None:
    axes = "E" if code_of(command) in ("M82", "M83") else "XYZE"
    machine.relative.update(dict.fromkeys(axes, code_of(command) in ("G91", "M83")))


def set_position(machine: Machine, command: str) -> None:
    words = words_of(command)
    named = {axis: words[axis] for axis in "XYZE" if axis in words}
    machine.position.update(named or dict.fromkeys("XYZE", 0.0))


def speed_factor(machine: Machine, command: str) -> None:
    machine.speed_percent = words_of(command).get("S", 100.0) or 100.0


def select_tool(machine: Machine, command: str) -> None:
    tool = int(words_of(command).get("T", 0))
    if tool < machine.options.extruders:
        machine.tool = tool
        for text in MMU_FEEDING if machine.options.mmu else ():
            machine.say(f"echo:MMU2:{text}")
        machine.say(f"echo:Active Extruder: {tool}")
    else:
        machine.say(f"echo:T{tool} Invalid extruder")


def heat(machine: Machine, command: str) -> Steps | None:
    """M104, M140, M141 set a target; M109, M190, M191 also wait for it."""
    code, words = code_of(command), words_of(command)
    tool = int(words.get("T", machine.tool))
    heater = machine.heater({"M140": "B", "M190": "B", "M141": "C", "M191": "C"}.get(code, f"T{tool}"))
    if heater is None:
        return None
    if "S" in words or "R" in words:
        heater.heat(words.get("S", words.get("R", 0.0)), machine.now)
    if code not in ("M109", "M190", "M191") or not (heater.is_too_cold(machine.now) or "R" in words):
        return None
    return _wait_for_heater(machine, heater)


def _wait_for_heater(machine: Machine, heater: Heater) -> Steps:
    machine.waits_for_heater = True
    next_report, ends = machine.now, inf
    while machine.waits_for_heater:
        reached_at = heater.reached_at(machine.now)
        if machine.now >= reached_at and ends == inf:
            ends = machine.now + machine.options.residency_time * machine.factor
        if machine.now >= ends:
            break
        if machine.now >= next_report:
            machine.say(machine.heating_report("?" if ends == inf else str(int(ends - machine.now))))
            next_report = machine.now + 1.0
        yield min(next_report, reached_at if ends == inf else ends)
    machine.waits_for_heater = False


def report_every(name: str) -> Handler:
    """M155, M154 and M27 with an S: a report on its own every S seconds."""

    def handler(machine: Machine, command: str) -> None:
        seconds = words_of(command).get("S", 0.0)
        if not machine.options.autoreport:
            machine.say(machine.firmware.unknown.format(command=command))
        elif seconds > 0:
            interval = min(max(seconds, 0.1), 60.0)
            machine.reports[name] = (interval, machine.now + interval)
        else:
            machine.reports.pop(name, None)

    return handler


def report_klipper_state(machine: Machine, _: str) -> None:
    machine.say("// Klipper state: Ready")


def report_position(machine: Machine, _: str) -> None:
    machine.say(machine.position_report())


def report_firmware(machine: Machine, _: str) -> None:
    options, firmware = machine.options, machine.firmware
    words = {
        "firmware_name": options.firmware_name or firmware.name,
        "machine_type": options.machine_type,
        "extruders": options.extruders,
        "uuid": options.uuid,
    }
    with_uuid = " UUID:{uuid}" if options.uuid and firmware.uuid else ""
    machine.say((options.m115_format or firmware.m115 + with_uuid).format(**words))
    flags = {
        "autoreport": int(options.autoreport),
        "emergency": int(options.emergency_parser),
        "prompts": int(options.prompts),
        "chamber": int(options.chamber),
        "eeprom": int(options.eeprom),
    }
    own = options.own_capabilities()
    for each in firmware.capabilities if options.capabilities else ():
        prefix, name, value = each.format(**flags).split(":")
        machine.say(f"{prefix}:{name}:{own.pop(name, value)}")
    for name, value in own.items():
        machine.say(f"Cap:{name}:{value}")
    if options.m115_area:
        machine.say(f"area:{{full:{AREA},work:{AREA}}}")
    for line in firmware.m115_ends:
        machine.say(line)


def report_endstops(machine: Machine, _: str) -> None:
    machine.say("Reporting endstop status")
    for axis in "XYZ":
        machine.say(f"{axis.lower()}_min: {'open' if machine.position[axis] else 'TRIGGERED'}")


def show_text(machine: Machine, command: str) -> None:
    if machine.options.echo_m117:
        machine.say(f"echo:{text_of(command)}")
    if machine.firmware.shows_text:
        machine.say(machine.firmware.shows_text)


def say_text(machine: Machine, command: str) -> None:
    text, prefix = text_of(command), ""
    while match := re.match(r"([AEP])(\d)\s*", text):
        prefix += {"E1": "echo:", "A1": "//"}.get(match[1] + match[2], "")
        text = text[match.end() :]
    machine.say(prefix + text)


def wait_for_user(machine: Machine, _: str) -> Steps:
    """M0, M1, M600: until M108 or an answer to the prompt comes."""
    machine.action("paused", "prompt_end", "prompt_begin Paused", "prompt_button Continue", "prompt_show")
    machine.waits_for_user = True
    while machine.waits_for_user:
        yield inf
    machine.action("prompt_end", "resumed")


def unlock(machine: Machine, command: str) -> None:
    if text_of(command).lstrip("P") == machine.options.passcode:
        machine.locked = False
    else:
        machine.say("echo:Incorrect passcode")


def restart(machine: Machine, _: str) -> None:
    machine.go_on()


def restart_klipper(machine: Machine, _: str) -> None:
    machine.go_on()
    machine.announce(0.03, "// Klipper state: Disconnect")
    machine.announce(1.6, "// Klipper state: Ready")


def busy_interval(machine: Machine, command: str) -> None:
    machine.busy_interval = min(words_of(command).get("S", machine.busy_interval), 60.0)


def settings(machine: Machine, command: str) -> None:
    code = code_of(command)
    lines = {
        "M500": ("echo:Settings Stored (618 bytes; crc 28377)",),
        "M501": ("echo:V87 stored settings retrieved (618 bytes; crc 28377)", *SETTINGS),
        "M502": ("echo:Hardcoded Default Settings Loaded",),
    }
    for line in lines.get(code, SETTINGS):
        machine.say(line)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("G0", "G1", "G2", "G3"), move),
    "G4": dwell,
    "G28": home,
    "G29": probe,
    "M400": wait_for_moves,
    **dict.fromkeys(("G90", "G91", "M82", "M83"), positioning),
    "G92": set_position,
    "M220": speed_factor,
    **{f"T{number}": select_tool for number in range(100)},
    **dict.fromkeys(("M104", "M109", "M140", "M190", "M141", "M191"), heat),
    "M155": report_every("temperature"),
    "M154": report_every("position"),
    "M114": report_position,
    "M115": report_firmware,
    "M119": report_endstops,
    "M117": show_text,
    "M118": say_text,
    **dict.fromkeys(("M0", "M1", "M600"), wait_for_user),
    "M511": unlock,
    "M302": cold_extrusion,
    "M999": restart,
    **dict.fromkeys(("FIRMWARE_RESTART", "RESTART"), restart_klipper),
    "STATUS": report_klipper_state,
    "M113": busy_interval,
    **dict.fromkeys(("M500", "M501", "M502", "M503"), settings),
}
