"""Every choice one has about the virtual printer; command line and settings table are made from these fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from limpet.protocol.virtual.firmware import FIRMWARES, TEMPERATURE_STYLES, Firmware

T = TypeVar("T")

REFUSALS = ("line_number", "checksum", "no_checksum", "no_line_number")
"""Why a numbered line is not taken."""
ERRORS = (*REFUSALS, "maxtemp", "mintemp", "unknown")
"""What can be said differently: the keys of `Firmware.errors`, and `Firmware.unknown`."""

_HEATER: dict[str, object] = {"name": "T", "actual": 0.0, "target": 0.0}
_AXES: dict[str, object] = {**dict.fromkeys("XYZE", 0.0), **dict.fromkeys("xyz", 0)}
_TEMPLATES: dict[str, dict[str, object]] = {
    "ok_format": {"line": 0, "planner": 0, "buffer": 0},
    "m105_format": _HEATER,
    "m105_format_without_target": _HEATER,
    "m114_format": _AXES,
    "m115_format": {"firmware_name": "", "machine_type": "", "extruders": 0, "uuid": ""},
}
"""Options that are filled in, with values of the right type."""
_ERROR_WORDS: dict[str, object] = {"last": 0, "expected": 0, "number": 0, "command": "", "code": ""}


def option(default: T, text: str) -> T:
    """A field with its help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class VirtualPrinterOptions:
    """What the virtual printer is and what is wrong with it; seconds, degrees Celsius and bytes.

    Raises ValueError that names the field. "Every n" counts from power on, 0 is never.
    """

    firmware: str = option("marlin", "whose manners it has: " + ", ".join(FIRMWARES))
    seed: int = option(1, "of the generator behind everything that looks random")
    journal: int = option(10_000, "how many executed commands are remembered")

    baudrate: int = option(0, "the rate it speaks; 0 understands any")
    latency: float = option(0.0, "from saying a line to its leaving")
    throttle: float = option(0.0, "pause between two outgoing lines")
    rx_buffer: int = option(128, "bytes received while the queue is full, more are lost; 0 is 65536")
    command_buffer: int = option(4, "commands in the queue")
    planner: int = option(15, "moves in the planner")

    boot_time: float = option(0.1, "from power on to the banner; deaf until then")
    banner: bool = option(True, "says `start` and so on")
    banner_lines: tuple[str, ...] = option((), "said instead of the firmware's own banner")
    late_banner: float = option(0.0, "the banner comes this long after it has begun to answer")
    blank_boot_lines: int = option(0, "empty lines before the banner")
    boot_noise: bool = option(False, "a non-ASCII byte in the banner")

    firmware_name: str = option("", "FIRMWARE_NAME instead of the firmware's own")
    machine_type: str = option("Limpet Virtual", "MACHINE_TYPE")
    uuid: str = option("cede2a2f-41a2-4748-9b12-c55c62f367ff", "UUID; empty leaves it out")
    m115_format: str = option("", "first line of M115, with {firmware_name} {machine_type} {extruders} {uuid}")
    capabilities: bool = option(True, "Cap: lines after M115")
    capability: tuple[str, ...] = option((), "<NAME>:<0 or 1>, said instead of its own Cap: line or in addition")
    m115_area: bool = option(False, "an area:{...} line in M115")
    autoreport: bool = option(True, "M155, M154 and M27 S are there")

    ok_format: str = option("", "what an ok looks like, with {line} {planner} {buffer}")
    advanced_ok: bool = option(False, "ok N<line> P<free moves> B<free commands>")
    prepared_oks: tuple[str, ...] = option((), "the first oks, instead of the usual ones")
    ok_before_output: bool = option(False, "ok first, then the answer")
    ok_after_resend: bool = option(False, "one more ok after a Resend")
    broken_resend: bool = option(False, "no ok at all after a Resend")
    repeated_resends: int = option(0, "how often a Resend is said again until the right line comes")
    force_checksum: bool = option(False, "refuses lines without number and checksum")
    error_texts: tuple[str, ...] = option(
        (), "<" + "|".join(ERRORS) + ">:<what is said>, with {last} {expected} {number} or {command}"
    )
    echo_lines: bool = option(False, "says Got: and each line that it gets, as Repetier does when it is debugged")
    bare_f: bool = option(False, "F<speed> without a G1 is a command")
    m112: bool = option(True, "M112 halts it")
    eeprom: bool = option(True, "M500 to M503 are there")
    chatter: tuple[str, ...] = option((), "says this line every second; may be repeated")
    mmu: bool = option(False, "says echo:MMU2: lines, every second and when the tool changes")

    temperature_style: str = option("", "of whose reports, if not the firmware's: " + ", ".join(TEMPERATURE_STYLES))
    m105_format: str = option("", "a heater in a report, with {name} {actual} {target}")
    m105_format_without_target: str = option("{name}:{actual:.2f}", "the same where targets are lines of their own")
    m114_format: str = option("", "the line of M114, with {X} {Y} {Z} {E} and, in steps, {x} {y} {z}")
    current_tool_in_temperatures: bool = option(True, "T: stands before T0: and so on")
    repetier_targets: bool = option(False, "targets as lines of their own, TargetExtr0:")
    nan: bool = option(False, "the first nozzle's temperature is nan")
    busy: bool = option(True, "says busy while it works")
    busy_interval: float = option(2.0, "between two busy lines")
    wait: bool = option(False, "says wait while it has nothing to do")
    wait_interval: float = option(1.0, "between two wait lines")
    echo_m117: bool = option(False, "echoes the text of M117")
    prompts: bool = option(False, "says //action: lines for pauses and prompts")
    emergency_parser: bool = option(False, "M108, M112, M410 and M876 act even when the buffers are full")

    extruders: int = option(1, "1 to 8")
    bed: bool = option(True, "a heated bed")
    chamber: bool = option(False, "a heated chamber")
    shared_nozzle: bool = option(False, "all tools have the heater of the first")
    ambient: float = option(21.3, "temperature of all that is not heated")
    heating_time: float = option(4.0, "time constant of heating; the bed takes three times as long")
    cooling_time: float = option(30.0, "time constant of cooling")
    pinned_extruders: tuple[str, ...] = option((), "<tool>:<degrees>, which it always has")
    residency_time: float = option(0.0, "how long M109 and M190 stay at the target, counted down as W:")
    prevent_cold_extrusion: bool = option(False, "does not extrude below 170 degrees before M302 P1 or S0")
    homing_time: float = option(3.0, "of G28")
    probing_time: float = option(10.0, "of G29")
    speed_factor: float = option(1.0, "how much faster than life it moves, heats and dwells")
    instant: bool = option(False, "moving, heating and dwelling take no time")

    sd_card: bool = option(True, "a card is in the slot")
    sd_sizes: bool = option(True, "M20 tells sizes")
    sd_long_names: bool = option(False, "M20 tells long names unasked")
    sd_quoted_names: bool = option(False, "long names in double quotes")
    sd_lower_case: bool = option(False, "short names in lower case")
    sd_name_in_opened: bool = option(True, "M23 repeats the name")
    broken_m29: bool = option(False, "no ok after M29")
    broken_m30: bool = option(False, "no ok after M30")
    glued_file_deleted: bool = option(False, "no newline between `File deleted:` and its ok")

    locked: bool = option(False, "answers nothing useful before M511 P<passcode>")
    passcode: str = option("1234", "opens the lock")

    resend_every: int = option(0, "every n-th numbered line is asked for again")
    resend_ratio: float = option(0.0, "percentage of numbered lines that are asked for again")
    wrong_checksum_every: int = option(0, "a byte of every n-th line is damaged on its way in")
    drop_line_every: int = option(0, "every n-th line is not heard")
    lose_ok_every: int = option(0, "every n-th ok is not said")
    double_ok_every: int = option(0, "every n-th ok is said twice")
    simulated_errors: tuple[str, ...] = option(
        (), "<line number>:<" + "|".join((*REFUSALS, "timeout")) + ">, once each"
    )
    silence_after: int = option(0, "hangs after n commands")
    halt_after: int = option(0, "halts with an error after n commands")
    gone_after: int = option(0, "is unplugged after n commands")
    gone_after_seconds: float = option(0.0, "is unplugged this long after power on; 0 is never")

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, (int, float)) and each.name != "ambient" and not 0 <= value < 1e9:
                raise ValueError(f"{each.name}: {value} is not between 0 and 1e9")
        for name, known in (("firmware", FIRMWARES), ("temperature_style", {"", *TEMPERATURE_STYLES})):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not one of {', '.join(sorted(known))}")
        if not 1 <= self.extruders <= 8:
            raise ValueError(f"extruders: {self.extruders} is not between 1 and 8")
        for name in ("command_buffer", "planner", "busy_interval", "wait_interval", "speed_factor"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be more than 0")
        for name, values in _TEMPLATES.items():
            _fill_in(name, getattr(self, name), values)
        self.errors_by_line()
        self.own_capabilities()
        self.pinned_temperatures()
        self.manners()

    def errors_by_line(self) -> dict[int, str]:
        """`simulated_errors` as line number -> kind."""
        result = {}
        for each, number, kind in self._pairs("simulated_errors"):
            if not number.isdecimal() or kind not in (*REFUSALS, "timeout"):
                raise ValueError(f"simulated_errors: {each!r} is not <line number>:<kind>")
            result[int(number)] = kind
        return result

    def own_capabilities(self) -> dict[str, str]:
        """`capability` as name -> "0" or "1"."""
        result = {}
        for each, name, value in self._pairs("capability"):
            if not name or value not in ("0", "1"):
                raise ValueError(f"capability: {each!r} is not <NAME>:<0 or 1>")
            result[name] = value
        return result

    def pinned_temperatures(self) -> dict[int, float]:
        """`pinned_extruders` as tool -> degrees Celsius."""
        result = {}
        for each, tool, degrees in self._pairs("pinned_extruders"):
            tools = 1 if self.shared_nozzle else self.extruders
            if tool not in map(str, range(tools)) or not degrees.replace(".", "", 1).isdecimal():
                raise ValueError(f"pinned_extruders: {each!r} is not <one of {tools} tools>:<degrees>")
            result[int(tool)] = float(degrees)
        return result

    def manners(self) -> Firmware:
        """The firmware that it plays, with its own `error_texts`."""
        firmware = FIRMWARES[self.firmware]
        texts = {}
        for each, kind, text in self._pairs("error_texts"):
            if kind not in ERRORS or ":" not in each:
                raise ValueError(f"error_texts: {each!r} is not <one of {', '.join(ERRORS)}>:<what is said>")
            _fill_in("error_texts", text, _ERROR_WORDS)
            texts[kind] = text
        unknown = texts.pop("unknown", firmware.unknown)
        return replace(firmware, unknown=unknown, errors={**firmware.errors, **texts})

    def _pairs(self, name: str) -> Iterator[tuple[str, str, str]]:
        for each in getattr(self, name):
            before, _, after = each.partition(":")
            yield each, before, after


def _fill_in(name: str, template: str, values: dict[str, object]) -> None:
    try:
        template.format(**values)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{name}: {template!r} cannot be filled in ({error})") from None
