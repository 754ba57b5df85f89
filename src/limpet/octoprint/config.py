"""config.yaml and the printer profiles, as settings.

Source: the page "config.yaml" of OctoPrint's documentation, and the folder that 1.11.8 makes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from limpet.octoprint.moving import (
    MAX_ENTRIES,
    Moving,
    entries,
    fault_of,
    id_of,
    items,
    mapping,
    shown,
    text_of,
    value_at,
)
from limpet.profiles import DEFAULT_PROFILE, Profile
from limpet.scripts import BadScript, check
from limpet.settings import (
    COLORS,
    AppearanceSettings,
    CommandSettings,
    ControlSettings,
    PortSettings,
    Preset,
    PrinterSettings,
    WebcamSettings,
)
from limpet.toml_text import KeyPath


def take_settings(moving: Moving, config: Mapping[str, Any], profiles: Mapping[str, Any]) -> None:
    """config.yaml's settings that Limpet has, and the printer profiles by id."""
    _serial(moving, mapping(config.get("serial")))
    _looks(moving, config)
    _presets(moving, mapping(config.get("temperature")).get("profiles"))
    _commands(moving, config)
    _controls(moving, config.get("controls"), None)
    _profiles(moving, profiles, mapping(config.get("printerProfiles")).get("default"))


def _serial(moving: Moving, serial: Mapping[str, Any]) -> None:
    printer = ("printers", moving.present.printer)
    port, baudrate = serial.get("port"), serial.get("baudrate")
    others = [table.get("port") for id_, table in entries(moving.there(("printers",))) if id_ != printer[1]]
    if port in (None, "", "AUTO"):
        moving.tell("taken", "serial.port: it is detected, as it was")
    elif port in others and port != "VIRTUAL":
        moving.tell("left", f"serial.port: {shown(port)} is the port of another printer here")
    else:
        moving.set("serial.port", (*printer, "port"), port, PrinterSettings)
    if baudrate in (None, 0, "0", "", "AUTO"):
        moving.tell("taken", "serial.baudrate: it is detected, as it was")
    else:
        rate = int(baudrate) if isinstance(baudrate, str) and re.fullmatch("[0-9]{1,9}", baudrate) else baudrate
        moving.set("serial.baudrate", (*printer, "baudrate"), rate, PrinterSettings)
    if serial.get("autoconnect"):
        moving.set("serial.autoconnect", (*printer, "autoconnect"), serial["autoconnect"], PrinterSettings)
    for theirs, ours in (
        ("additionalPorts", "added"),
        ("blacklistedPorts", "ignored"),
        ("additionalBaudrates", "additional_baudrates"),
    ):
        moving.set_list(f"serial.{theirs}", ("ports", ours), serial.get(theirs), PortSettings)


_WEBCAM = {
    "stream": "stream",
    "snapshot": "snapshot",
    "flipH": "flip_h",
    "flipV": "flip_v",
    "rotate90": "rotate_90",
}


def _looks(moving: Moving, config: Mapping[str, Any]) -> None:
    appearance = mapping(config.get("appearance"))
    if name := appearance.get("name"):
        moving.set("appearance.name", ("appearance", "name"), name, AppearanceSettings)
    color = appearance.get("color", "default")
    if color not in COLORS:
        moving.tell("left", f"appearance.color: {shown(color)} is none of {', '.join(COLORS)}")
    elif color != "default":
        moving.set("appearance.color", ("appearance", "color"), color, AppearanceSettings)
    old = mapping(config.get("webcam"))
    new = mapping(mapping(config.get("plugins")).get("classicwebcam"))
    if old.get("webcamEnabled") is False:
        moving.tell("left", "webcam: it is switched off there")
        return
    for theirs, ours in _WEBCAM.items():
        source = "plugins.classicwebcam" if new.get(theirs) else "webcam"
        if value := new.get(theirs, old.get(theirs)):
            moving.set(f"{source}.{theirs}", ("webcam", ours), value, WebcamSettings)


def _presets(moving: Moving, presets: Any) -> None:
    for number, preset in enumerate(map(mapping, items(presets)), 1):
        source = f"temperature.profiles, number {number}"
        heaters = {key: preset[key] for key in ("extruder", "bed", "chamber") if preset.get(key) is not None}
        if id_ := id_of(moving, source, preset.get("name")):
            moving.set_table(source, ("presets", id_), {"name": preset["name"], **heaters}, Preset)


_CORE = (
    ("serverRestartCommand", "restart", "Restart"),
    ("systemRestartCommand", "reboot", "Reboot"),
    ("systemShutdownCommand", "shutdown", "Shut down"),
)
MAX_CONTAINERS = 5
_SHELL = re.compile(r"[|&;<>$`*?\[\]{}()~#!\n]")


def _commands(moving: Moving, config: Mapping[str, Any]) -> None:
    commands = mapping(mapping(config.get("server")).get("commands"))
    for theirs, ours, name in _CORE:
        if command := commands.get(theirs):
            _command(moving, f"server.commands.{theirs}", ours, {"name": name}, command)
    for number, action in enumerate(map(mapping, items(mapping(config.get("system")).get("actions"))), 1):
        source = f"system.actions, number {number}"
        if action.get("action") == "divider" or not (id_ := id_of(moving, source, action.get("action"))):
            continue
        confirm = {"confirm": action["confirm"]} if action.get("confirm") else {}
        table = {"name": action.get("name") or action["action"], **confirm}
        _command(moving, source, id_, table, action.get("command"))


def _command(moving: Moving, source: str, id_: str, table: Mapping[str, Any], command: Any) -> None:
    text = command if isinstance(command, str) else ""
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        moving.tell("left", f"{source}: {shown(command)} is no command")
    elif _SHELL.search(text) or "=" in words[0]:
        moving.tell(
            "left", f"{source}: {shown(text)} needs a shell; put it into a script, and that into commands.{id_}"
        )
    elif "octoprint" in text.lower():
        moving.tell("left", f"{source}: {shown(text)} is about OctoPrint; name what is right here in commands.{id_}")
    else:
        moving.set_table(source, ("commands", id_), {**table, "run": words}, CommandSettings)


_MORE_THAN_A_BUTTON = ("input", "regex", "template", "script", "javascript", "enabled")


def _controls(moving: Moving, controls: Any, group: str | None, depth: int = 0) -> None:
    """Buttons, and containers of them, which are one group each however deep they are."""
    for number, control in enumerate(map(mapping, items(controls)), 1):
        name = text_of(control.get("name"))
        source = f"controls, {group + ', ' if group else ''}{shown(name) if name else f'number {number}'}"
        if (children := control.get("children")) and depth < MAX_CONTAINERS:
            _controls(moving, children, group or name or None, depth + 1)
        elif more := [key for key in _MORE_THAN_A_BUTTON if control.get(key)]:
            moving.tell("left", f"{source}: Limpet's controls have no {more[0]}")
        elif id_ := id_of(moving, source, f"{group or ''} {name}"):
            commands = [control["command"]] if control.get("command") else control.get("commands")
            given = {"name": name, "commands": commands, "confirm": control.get("confirm") or None, "group": group}
            table = {key: value for key, value in given.items() if value is not None or key == "commands"}
            moving.set_table(source, ("controls", id_), table, ControlSettings)


_PROFILE: dict[str, KeyPath] = {
    "name": ("name",),
    "model": ("model",),
    "color": ("color",),
    "width": ("volume", "width"),
    "depth": ("volume", "depth"),
    "height": ("volume", "height"),
    "form_factor": ("volume", "formFactor"),
    "origin": ("volume", "origin"),
    **{f"{axis}_{end}": ("volume", "custom_box", f"{axis}_{end}") for axis in "xyz" for end in ("min", "max")},
    "heated_bed": ("heatedBed",),
    "heated_chamber": ("heatedChamber",),
    **{f"{axis}_speed": ("axes", axis, "speed") for axis in "xyze"},
    **{f"{axis}_inverted": ("axes", axis, "inverted") for axis in "xyze"},
    "extruders": ("extruder", "count"),
    "extruder_offsets": ("extruder", "offsets"),
    "nozzle_diameter": ("extruder", "nozzleDiameter"),
    "shared_nozzle": ("extruder", "sharedNozzle"),
    "default_extrusion_length": ("extruder", "defaultExtrusionLength"),
}
"""Where OctoPrint has what a profile of ours has."""


def _profiles(moving: Moving, profiles: Mapping[str, Any], default: Any) -> None:
    defaults = {each.name: each.default for each in msgspec.structs.fields(Profile)}
    known = {}
    for theirs, content in entries(profiles):
        source = f"printer profile {theirs}"
        id_ = DEFAULT_PROFILE if theirs == DEFAULT_PROFILE else id_of(moving, source, theirs)
        if id_ is None:
            continue
        table: dict[str, Any] = {}
        for field, path in _PROFILE.items():
            value = value_at(content, path)
            if value is None or (field == "extruder_offsets" and not _has_offsets(value)):
                continue
            if fault := fault_of(Profile, {field: value}):
                moving.tell("left", f"{source}, {'.'.join(path)}: {fault}")
            elif value != defaults[field]:
                table[field] = value
        if id_ == DEFAULT_PROFILE and table.get("name") == "Default":
            del table["name"]
        elif id_ != DEFAULT_PROFILE:
            table.setdefault("name", id_)
        if not table:
            moving.tell("there", f"{source}: it is as Limpet's own")
        elif not moving.set_table(source, ("profiles", id_), table, Profile):
            continue
        known[theirs] = id_
    if default in (None, "", DEFAULT_PROFILE):
        return
    if isinstance(default, str) and default in known:
        path = ("printers", moving.present.printer, "profile")
        moving.set("printerProfiles.default", path, known[default], PrinterSettings)
    else:
        moving.tell("left", f"printerProfiles.default: there is no profile {shown(default)} to take over")


def take_scripts(moving: Moving, scripts: Mapping[str, str]) -> None:
    """G-code scripts by name, "snippets/disable_bed" among them; each with the snippets that there will be."""
    place = ("printers", moving.present.printer, "scripts")
    profile = Profile(name="Default")
    known = {name: text for name, text in mapping(moving.there(place)).items() if isinstance(text, str)}
    # Snippets first: the others may name them.
    for name, text in sorted(scripts.items(), key=lambda each: (not each[0].startswith("snippets/"), each[0])):
        source, path, text = f"scripts/gcode/{name}", (*place, name), text.replace("\r\n", "\n")
        if name in known:
            same = known[name].split() == text.split()
            moving.tell("there" if same else "left", f"{source}: there is one already{'' if same else ', not as here'}")
            continue
        try:
            check({**known, name: text}, profile)
        except BadScript as error:
            moving.tell("left", f"{source}: {error.message}")
            continue
        known[name] = moving.settings[path] = text
        moving.tell("taken", f"{source}: becomes {'.'.join(path)}")


def _has_offsets(value: Any) -> bool:
    return any(number for offset in items(value) for number in (offset if isinstance(offset, list) else [1]))


# -- the rest --

_SEEN = {
    "serial": {"port", "baudrate", "autoconnect", "additionalPorts", "blacklistedPorts", "additionalBaudrates"},
    "appearance": {"name", "color"},
    "webcam": {*_WEBCAM, "webcamEnabled"},
    "temperature": {"profiles"},
    "system": {"actions"},
    "printerProfiles": {"default"},
    "api": {"key"},
}
_PLUGINS = ("_disabled", "_flags", "_forcedCompatible", "_sortingOrder", "classicwebcam")


def tell_rest(moving: Moving, config: Mapping[str, Any]) -> None:
    """What is left of config.yaml. Names, never values: there are secrets among them."""
    for section, content in list(config.items())[:MAX_ENTRIES]:
        table = mapping(content)
        if section == "controls" and isinstance(content, list):
            continue
        if section == "plugins":
            if names := [text_of(name) for name in table if name not in _PLUGINS]:
                moving.tell("left", f"plugins: {', '.join(names)}: Limpet has no plugins")
        elif section == "folder":
            for name in (name for name, value in table.items() if value):
                moving.tell("left", f"folder.{name}: only what is in the folder itself is looked at")
        else:
            names = [text_of(name) for name in table if name not in _SEEN.get(section, ())] if table else []
            if section == "server" and set(mapping(table.get("commands"))) <= {theirs for theirs, *_ in _CORE}:
                names = [name for name in names if name != "commands"]
            if names or (content and not table):
                what = f"{text_of(section)}: {', '.join(names)}" if names else text_of(section)
                moving.tell("left", f"{what}: Limpet has no such setting")
