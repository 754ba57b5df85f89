"""PURE: G-code scripts, which run at certain moments: their text, what they may refer to, and the lines they come to.

Source: the page "GCODE Scripts" of OctoPrint's documentation. Templates are Jinja's, which is imported for the first
script that has a `{` in it: most people have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from limpet.profiles import Profile
from limpet.protocol import gcode
from limpet.protocol.commands import clean, is_for_host
from limpet.templates import BadTemplate, parsed, unknown_names

if TYPE_CHECKING:
    from jinja2 import Template

MAX_LINES = 200
"""Commands of one script."""
MAX_TEXT = 1 << 14
"""Characters of one script."""
MAX_DEPTH = 5
"""Snippets within snippets."""

_FANS = ("last_fanspeed", "pause_fanspeed", "cancel_fanspeed")
"""Names that newer OctoPrints have. Limpet does not follow the fan: they are none, rather than made up."""
ALWAYS = frozenset(
    {"printer_profile", "script", "last_position", "pause_position", "cancel_position", *_FANS}
    | {"last_temperature", "pause_temperature", "cancel_temperature"}
)
"""What every script may refer to."""
AT_MOMENTS = {
    "afterPrinterConnected": ("event", "reconnected"),
    "beforePrinterDisconnected": (),
    "beforePrintStarted": ("event",),
    "afterPrintPaused": ("event",),
    "beforePrintResumed": ("event",),
    "afterPrintCancelled": ("event",),
    "afterPrintDone": ("event",),
    "beforeToolChange": ("tool",),
    "afterToolChange": ("tool",),
}
"""What scripts that run by themselves may refer to besides."""

_SNIPPET = re.compile(r"\{%[-+]?\s*snippet\s+(['\"])([\w.-]+)\1\s*[-+]?%\}")
_NO_VALUE = re.compile(r"\b[A-Za-z]None\b")
_NAME = re.compile(r"(snippets/)?[\w.-]{1,64}")


class BadScript(Exception):
    """A script that cannot be run; the text names the line where it can."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


def defaults(profile: Profile) -> dict[str, str]:
    """The scripts of whoever has written none. After a print that was cancelled nothing is left on."""
    heaters = [heater for heater in profile.heaters if heater != "chamber"]
    off = {
        heater: gcode.set_target(heater, 0, only_tool=profile.extruders == 1 or profile.shared_nozzle)
        for heater in heaters
    }
    hotends = "\n".join(line for heater, line in off.items() if heater != "bed")
    bed = off.get("bed", "")
    cancelled = ["; motors, heaters and fan off", "M84", hotends, bed, "M106 S0"]
    return {
        "afterPrintCancelled": "\n".join(filter(None, cancelled)),
        "snippets/disable_hotends": hotends,
        "snippets/disable_bed": bed,
    }


def check(own: Mapping[str, str], profile: Profile) -> None:
    """Raises BadScript for the first script that cannot be run."""
    scripts = {**defaults(profile), **own}
    for name, text in own.items():
        if not _NAME.fullmatch(name):
            raise BadScript(name, "a name has letters, digits, `_`, `-` and `.`, with snippets/ before those")
        if len(text) > MAX_TEXT:
            raise BadScript(name, f"it is longer than {MAX_TEXT} characters")
        _check_lines(name, text)
        for match in _SNIPPET.finditer(text):
            if f"snippets/{match[2]}" not in scripts:
                raise BadScript(name, f"line {_line_at(text, match.start())}: there is no snippet {match[2]}")
        without = _SNIPPET.sub("", text)
        expanded = _expanded(name, scripts)
        try:
            # The first one has the right lines; the second is what will be rendered, and is kept ready for that.
            for template in (without, expanded):
                if "{" in template:
                    _template(template)
                    _check_names(name, template)
        except BadTemplate as error:
            raise BadScript(name, str(error)) from None


def lines(name: str, scripts: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """The commands of a script; none when there is no such script. Raises BadScript."""
    if name not in scripts:
        return []
    text = _expanded(name, scripts)
    try:
        if "{" in text:
            text = _template(text).render(values)
        commands = [command for line in text.splitlines() if (command := clean(line)) and not is_for_host(command)]
    except Exception as error:  # Whatever a template does with a value that is not there.
        raise BadScript(name, str(error)) from None
    if len(commands) > MAX_LINES:
        raise BadScript(name, f"it comes to more than {MAX_LINES} lines")
    for command in commands:
        # Firmware would take `ZNone` for `Z0`.
        if _NO_VALUE.search(command) and not command.startswith(("M117", "M118")):
            raise BadScript(name, f"{command}: that value is not known")
    return commands


Heaters = Mapping[str, tuple[float | None, float | None]]
_Temperatures = dict[int | str, dict[str, float | None]]


def values_for(
    profile_id: str,
    profile: Profile,
    context: Mapping[str, Any],
    *,
    heaters: Heaters | None = None,
    position: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What a script may refer to, by OctoPrint's names; `context` is what the moment adds. `heaters` are as they are
    now, (actual, target), and `position` is where the printer has told last that the head is, both by our names."""
    last = {
        _heater(heater): {"actual": actual, "target": target} for heater, (actual, target) in (heaters or {}).items()
    }
    told = {axis.lower(): value for axis, value in (position or {}).items()}
    paused, cancelled = (context.get(f"{moment}_position") for moment in ("pause", "cancel"))
    return {
        **dict.fromkeys(_FANS),
        "printer_profile": _profile(profile_id, profile),
        "last_position": _position(profile, paused, told),
        **context,
        "pause_position": _position(profile, paused),
        "cancel_position": _position(profile, cancelled),
        "pause_temperature": _paused(last, context.get("pause_temperature", {})),
        "cancel_temperature": last,
        "last_temperature": last,
    }


def _position(profile: Profile, *told: Any) -> dict[str, float | None]:
    """By axis, what was told last of it."""
    known = {axis: value for each in told if isinstance(each, Mapping) for axis, value in each.items()}
    tool = 0 if profile.extruders == 1 else None
    return {**dict.fromkeys("xyzef"), "t": tool, **{axis: value for axis, value in known.items() if value is not None}}


def _paused(last: _Temperatures, targets: Mapping[str, float]) -> _Temperatures:
    """With what each heater is to reach again after a pause; where nothing is known of one, or none was on, as now."""
    if not targets:
        return last
    wanted = {_heater(heater): target for heater, target in targets.items()}
    off = {heater: {**now, "target": 0.0} for heater, now in last.items()}
    on = {heater: {**last.get(heater, {"actual": None}), "target": target} for heater, target in wanted.items()}
    return off | on


def _heater(name: str) -> int | str:
    """OctoPrint's name in temperatures: 0, 1 ..., "b", "c"."""
    number = name.removeprefix("tool")
    return int(number) if number.isdecimal() else {"bed": "b", "chamber": "c"}.get(name, name)


def _profile(id: str, profile: Profile) -> dict[str, Any]:
    width, depth, height = profile.volume
    return {
        "id": id,
        "name": profile.name,
        "model": profile.model,
        "color": profile.color,
        "heatedBed": profile.heated_bed,
        "heatedChamber": profile.heated_chamber,
        "volume": {
            "width": width,
            "depth": depth,
            "height": height,
            "origin": profile.origin,
            "formFactor": profile.form_factor,
        },
        "extruder": {
            "count": profile.extruders,
            "nozzleDiameter": profile.nozzle_diameter,
            "sharedNozzle": profile.shared_nozzle,
            "offsets": [profile.offset(tool) for tool in range(profile.extruders)],
        },
        "axes": {axis: {"speed": getattr(profile, f"{axis}_speed")} for axis in "xyze"},
    }


def _check_names(name: str, template: str) -> None:
    """Whoever runs any other script may give it what he likes."""
    if (more := AT_MOMENTS.get(name)) is not None:
        for line, unknown in unknown_names(template, ALWAYS.union(more)):
            raise BadScript(name, f"line {line}: there is no {unknown} in this script")


def _check_lines(name: str, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            line.encode()
            # A line of a template may come to less than it is long.
            clean(line if "{" not in line else "".join(each for each in line if each < " "))
        except UnicodeEncodeError:
            raise BadScript(name, f"line {number}: half a character") from None
        except ValueError as error:
            raise BadScript(name, f"line {number}: {error}") from None


def _expanded(name: str, scripts: Mapping[str, str], depth: int = 0) -> str:
    """The text with its snippets in place."""
    if depth > MAX_DEPTH:
        raise BadScript(name, f"snippets are more than {MAX_DEPTH} deep in it, or within themselves")
    text = _SNIPPET.sub(lambda match: _expanded(f"snippets/{match[2]}", scripts, depth + 1), scripts.get(name, ""))
    if len(text) > MAX_TEXT:
        raise BadScript(name, f"with its snippets it is longer than {MAX_TEXT} characters")
    return text


def _line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


@lru_cache(256)
def _template(text: str) -> Template:
    return parsed(text)


def names_of(scripts: Mapping[str, str]) -> Iterator[str]:
    """Those that can be run by their name."""
    return (name for name in scripts if not name.startswith("snippets/"))
