"""What of an OctoPrint is taken over, and what is left and why. Pure: the contents of its files in, a plan out.

Sources: the pages "config.yaml" and "Access Control" of OctoPrint's documentation, and the folder that 1.11.8 makes.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from limpet.keys import hash_of, is_name
from limpet.permissions import ADMIN, ADMINS, GROUPS, GUESTS, PERMISSIONS, USERS
from limpet.profiles import DEFAULT_PROFILE, Profile
from limpet.settings import (
    COLORS,
    DEFAULT_PRINTER,
    AppearanceSettings,
    CommandSettings,
    PortSettings,
    Preset,
    PrinterSettings,
    WebcamSettings,
)
from limpet.toml_text import KeyPath
from limpet.users import is_user_name

MAX_ENTRIES = 1000
"""More than this many profiles, users, keys or commands are not looked at."""
GLOBAL_KEY = "octoprint-global"

Fate = Literal["taken", "there", "left"]


class Line(Struct, frozen=True):
    """What became of one thing: taken over, there already, or left, with the reason in the text."""

    fate: Fate
    text: str


class NewUser(Struct, frozen=True, kw_only=True):
    """A user to add, without a password."""

    name: str
    groups: tuple[str, ...]
    permissions: tuple[str, ...]
    active: bool


class NewKey(Struct, frozen=True, kw_only=True):
    """A key to add; `text` is the secret itself. It acts for `user`, or has `permissions`."""

    text: str
    name: str
    user: str | None = None
    app: str | None = None
    permissions: tuple[str, ...] = ()


class Present(Struct, frozen=True, kw_only=True):
    """What Limpet has already: `settings` is limpet.toml as it is written, `keys` are hashes of keys.

    `own_keys` are users who have a key for themselves.
    """

    settings: Mapping[str, Any] = {}
    printer: str = DEFAULT_PRINTER
    users: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    own_keys: frozenset[str] = frozenset()


class Plan(Struct, frozen=True, kw_only=True):
    """What to write; `settings` are the changes to limpet.toml."""

    settings: dict[KeyPath, Any]
    users: tuple[NewUser, ...]
    keys: tuple[NewKey, ...]
    lines: tuple[Line, ...]


def plan(config: Any, users: Any, groups: Any, profiles: Mapping[str, Any], appkeys: Any, present: Present) -> Plan:
    """What to take over of the content of config.yaml, users.yaml, groups.yaml, printer profiles by id and keys.yaml.

    Each may be anything, None when there is no such file. What `present` has already is never changed.
    """
    moving = _Moving(present)
    config = _mapping(config)
    _serial(moving, _mapping(config.get("serial")))
    _looks(moving, config)
    _presets(moving, _mapping(config.get("temperature")).get("profiles"))
    _commands(moving, config)
    _profiles(moving, profiles, _mapping(config.get("printerProfiles")).get("default"))
    _users(moving, _mapping(users), _mapping(groups))
    _keys(moving, config, _mapping(users), _mapping(appkeys))
    _rest(moving, config)
    return Plan(settings=moving.settings, users=tuple(moving.users), keys=tuple(moving.keys), lines=tuple(moving.lines))


class _Moving:
    """The plan as it grows."""

    def __init__(self, present: Present) -> None:
        self.present = present
        self.settings: dict[KeyPath, Any] = {}
        self.users: list[NewUser] = []
        self.keys: list[NewKey] = []
        self.lines: list[Line] = []

    def tell(self, fate: Fate, text: str) -> None:
        self.lines.append(Line(fate, "".join(each if each.isprintable() else "?" for each in text)[:400]))

    def there(self, path: KeyPath) -> Any:
        """What limpet.toml has at this place; None for nothing."""
        found: Any = self.present.settings
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def set(self, source: str, path: KeyPath, value: Any, kind: type[Struct]) -> None:
        """One setting, a field of `kind`."""
        found, name = self.there(path), ".".join(path)
        if found is not None and found != value:
            self.tell("left", f"{source}: {_shown(value)}, because {name} is {_shown(found)} already")
        elif found is not None:
            self.tell("there", f"{source}: {name} is {_shown(value)}")
        elif fault := _fault(kind, {path[-1]: value}):
            self.tell("left", f"{source}: {fault}")
        else:
            self.settings[path] = value
            self.tell("taken", f"{source}: {name} = {_shown(value)}")

    def set_list(self, source: str, path: KeyPath, values: Any, kind: type[Struct]) -> None:
        """Items to add to a list that is a setting, a field of `kind`."""
        before = self.there(path)
        merged = list(before) if isinstance(before, list) else []
        for value in _items(values):
            if value in merged:
                self.tell("there", f"{source}: {_shown(value)} is among {'.'.join(path)}")
            elif fault := _fault(kind, {path[-1]: [value]}):
                self.tell("left", f"{source}: {fault}")
            else:
                merged.append(value)
                self.tell("taken", f"{source}: {_shown(value)} goes to {'.'.join(path)}")
        if merged != (before or []):
            self.settings[path] = merged

    def set_table(self, source: str, path: KeyPath, table: Mapping[str, Any], kind: type[Struct]) -> bool:
        """A whole table with an id, such as a preset; whether it is there, or will be."""
        found, name = self.there(path), ".".join(path)
        if found is not None:
            same = isinstance(found, dict) and all(found.get(key) == value for key, value in table.items())
            self.tell(
                "there" if same else "left", f"{source}: there is a {name} already{'' if same else ', not as here'}"
            )
        elif (*path, next(iter(table))) in self.settings:
            self.tell("left", f"{source}: another one has become {name}")
        elif fault := _fault(kind, table):
            self.tell("left", f"{source}: {fault}")
            return False
        else:
            self.settings.update({(*path, key): value for key, value in table.items()})
            self.tell("taken", f"{source}: becomes {name}")
        return True


# -- settings --


def _serial(moving: _Moving, serial: Mapping[str, Any]) -> None:
    printer = ("printers", moving.present.printer)
    port, baudrate = serial.get("port"), serial.get("baudrate")
    others = [table.get("port") for id_, table in _entries(moving.there(("printers",))) if id_ != printer[1]]
    if port in (None, "", "AUTO"):
        moving.tell("taken", "serial.port: it is detected, as it was")
    elif port in others and port != "VIRTUAL":
        moving.tell("left", f"serial.port: {_shown(port)} is the port of another printer here")
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


def _looks(moving: _Moving, config: Mapping[str, Any]) -> None:
    appearance = _mapping(config.get("appearance"))
    if name := appearance.get("name"):
        moving.set("appearance.name", ("appearance", "name"), name, AppearanceSettings)
    color = appearance.get("color", "default")
    if color not in COLORS:
        moving.tell("left", f"appearance.color: {_shown(color)} is none of {', '.join(COLORS)}")
    elif color != "default":
        moving.set("appearance.color", ("appearance", "color"), color, AppearanceSettings)
    old = _mapping(config.get("webcam"))
    new = _mapping(_mapping(config.get("plugins")).get("classicwebcam"))
    if old.get("webcamEnabled") is False:
        moving.tell("left", "webcam: it is switched off there")
        return
    for theirs, ours in _WEBCAM.items():
        source = "plugins.classicwebcam" if new.get(theirs) else "webcam"
        if value := new.get(theirs, old.get(theirs)):
            moving.set(f"{source}.{theirs}", ("webcam", ours), value, WebcamSettings)


def _presets(moving: _Moving, presets: Any) -> None:
    for number, preset in enumerate(map(_mapping, _items(presets)), 1):
        source = f"temperature.profiles, number {number}"
        heaters = {key: preset[key] for key in ("extruder", "bed", "chamber") if preset.get(key) is not None}
        if id_ := _id_of(moving, source, preset.get("name")):
            moving.set_table(source, ("presets", id_), {"name": preset["name"], **heaters}, Preset)


_CORE = (
    ("serverRestartCommand", "restart", "Restart"),
    ("systemRestartCommand", "reboot", "Reboot"),
    ("systemShutdownCommand", "shutdown", "Shut down"),
)
_SHELL = re.compile(r"[|&;<>$`*?\[\]{}()~#!\n]")


def _commands(moving: _Moving, config: Mapping[str, Any]) -> None:
    commands = _mapping(_mapping(config.get("server")).get("commands"))
    for theirs, ours, name in _CORE:
        if command := commands.get(theirs):
            _command(moving, f"server.commands.{theirs}", ours, {"name": name}, command)
    for number, action in enumerate(map(_mapping, _items(_mapping(config.get("system")).get("actions"))), 1):
        source = f"system.actions, number {number}"
        if action.get("action") == "divider" or not (id_ := _id_of(moving, source, action.get("action"))):
            continue
        confirm = {"confirm": action["confirm"]} if action.get("confirm") else {}
        table = {"name": action.get("name") or action["action"], **confirm}
        _command(moving, source, id_, table, action.get("command"))


def _command(moving: _Moving, source: str, id_: str, table: Mapping[str, Any], command: Any) -> None:
    text = command if isinstance(command, str) else ""
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        moving.tell("left", f"{source}: {_shown(command)} is no command")
    elif _SHELL.search(text) or "=" in words[0]:
        moving.tell(
            "left", f"{source}: {_shown(text)} needs a shell; put it into a script, and that into commands.{id_}"
        )
    elif "octoprint" in text.lower():
        moving.tell("left", f"{source}: {_shown(text)} is about OctoPrint; name what is right here in commands.{id_}")
    else:
        moving.set_table(source, ("commands", id_), {**table, "run": words}, CommandSettings)


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


def _profiles(moving: _Moving, profiles: Mapping[str, Any], default: Any) -> None:
    defaults = {each.name: each.default for each in msgspec.structs.fields(Profile)}
    known = {}
    for theirs, content in _entries(profiles):
        source = f"printer profile {theirs}"
        id_ = DEFAULT_PROFILE if theirs == DEFAULT_PROFILE else _id_of(moving, source, theirs)
        if id_ is None:
            continue
        table: dict[str, Any] = {}
        for field, path in _PROFILE.items():
            value = _at(content, path)
            if value is None or (field == "extruder_offsets" and not _has_offsets(value)):
                continue
            if fault := _fault(Profile, {field: value}):
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
        moving.tell("left", f"printerProfiles.default: there is no profile {_shown(default)} to take over")


def _has_offsets(value: Any) -> bool:
    return any(number for offset in _items(value) for number in (offset if isinstance(offset, list) else [1]))


# -- who may do what --


def _users(moving: _Moving, users: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    others = dict(_entries(groups.get("groups", groups)))
    for name, user in _entries(users):
        source = f"user {name}"
        if name in moving.present.users:
            moving.tell("there", f"{source}: there is one of this name")
            continue
        if not is_user_name(name):
            moving.tell("left", f"{source}: a user cannot have this name here")
            continue
        his = [*_words(user.get("groups", () if user.get("roles") else (USERS,)))]
        if "permissions" not in user:
            roles = _words(user.get("roles"))
            his += [ADMINS] * ("admin" in roles) + [USERS] * ("user" in roles)
        permissions = [*_words(user.get("permissions"))]
        for group in [each for each in his if each not in GROUPS]:
            if (found := others.get(group)) is None:
                moving.tell("left", f"{source}: there is no group {group} here")
                continue
            permissions += _words(found.get("permissions"))
            his += [each for each in _words(found.get("subgroups")) if each in GROUPS]
            moving.tell("taken", f"{source}: the permissions of the group {group} become his own")
        for permission in dict.fromkeys(each for each in permissions if each not in PERMISSIONS):
            moving.tell("left", f"{source}: there is no permission {permission} here")
        new = NewUser(
            name=name,
            groups=tuple(dict.fromkeys(each for each in his if each in GROUPS and each != GUESTS)),
            permissions=tuple(dict.fromkeys(each for each in permissions if each in PERMISSIONS)),
            active=user.get("active") is not False,
        )
        moving.users.append(new)
        rights = ", ".join((*new.groups, *new.permissions)) or "no rights"
        state = "" if new.active else ", not active"
        moving.tell(
            "taken", f"{source}: {rights}{state}; the password cannot be taken: limpet users passwd {shlex.quote(name)}"
        )


def _keys(moving: _Moving, config: Mapping[str, Any], users: Mapping[str, Any], appkeys: Mapping[str, Any]) -> None:
    if text := _mapping(config.get("api")).get("key"):
        _key(moving, "api.key", NewKey(text=_text(text), name=GLOBAL_KEY, permissions=(ADMIN,)))
    for name, user in _entries(users):
        if text := user.get("apikey"):
            _key(moving, f"key of {name}", NewKey(text=_text(text), name=f"{name}'s key", user=name))
    for name, keys in list(appkeys.items())[:MAX_ENTRIES]:
        for entry in map(_mapping, _items(keys)):
            name, app = _text(name), _text(entry.get("app_id")).strip()
            source = f"key of {app} for {name}"
            if is_name(app):
                _key(
                    moving,
                    source,
                    NewKey(text=_text(entry.get("api_key")), name=f"{app} for {name}", user=name, app=app),
                )
            else:
                moving.tell("left", f"{source}: an app cannot have this name here")


def _key(moving: _Moving, source: str, key: NewKey) -> None:
    known = moving.present.users.union(user.name for user in moving.users)
    taken = moving.present.keys.union(hash_of(other.text) for other in moving.keys)
    if not re.fullmatch(r"[!-~]{16,256}", key.text):
        moving.tell("left", f"{source}: it is no key of 16 to 256 plain characters")
    elif key.user is not None and key.user not in known:
        moving.tell("left", f"{source}: there is no such user here")
    elif hash_of(key.text) in taken:
        moving.tell("there", f"{source}: it is valid here")
    elif key.app is None and key.user in moving.present.own_keys:
        moving.tell("left", f"{source}: he has another one here")
    else:
        moving.keys.append(key)
        moving.tell("taken", f"{source}: it stays valid, as {key.name!r}")


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


def _rest(moving: _Moving, config: Mapping[str, Any]) -> None:
    """Names, never values: there are secrets among them."""
    for section, content in list(config.items())[:MAX_ENTRIES]:
        table = _mapping(content)
        if section == "plugins":
            if names := [_text(name) for name in table if name not in _PLUGINS]:
                moving.tell("left", f"plugins: {', '.join(names)}: Limpet has no plugins")
        elif section == "folder":
            for name in (name for name, value in table.items() if value):
                moving.tell("left", f"folder.{name}: only what is in the folder itself is looked at")
        else:
            names = [_text(name) for name in table if name not in _SEEN.get(section, ())] if table else []
            if section == "server" and set(_mapping(table.get("commands"))) <= {theirs for theirs, *_ in _CORE}:
                names = [name for name in names if name != "commands"]
            if names or (content and not table):
                what = f"{_text(section)}: {', '.join(names)}" if names else _text(section)
                moving.tell("left", f"{what}: Limpet has no such setting")


# -- whatever a file may hold --


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value[:MAX_ENTRIES] if isinstance(value, list) else []


def _entries(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Tables by name; what is none is passed over."""
    for name, table in list(_mapping(value).items())[:MAX_ENTRIES]:
        if isinstance(table, dict):
            yield _text(name), table


def _words(value: Any) -> Iterable[str]:
    return [each for each in value[:MAX_ENTRIES] if isinstance(each, str)] if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _at(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = _mapping(value).get(part)
    return value


def _shown(value: Any) -> str:
    """Bounded, whatever a file holds."""
    return repr(value)[:120] if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _id_of(moving: _Moving, source: str, name: Any) -> str | None:
    """The id for what has this name there."""
    id_ = re.sub(r"[^a-z0-9_-]+", "_", _text(name).lower()).strip("_-")[:32]
    if not id_:
        moving.tell("left", f"{source}: no id can be made of its name, {_shown(name)}")
    return id_ or None


def _fault(kind: type[Struct], table: Mapping[str, Any]) -> str:
    """What is wrong with these fields; nothing is the empty text."""
    named = {"name": "name"} if "name" in kind.__struct_fields__ else {}
    needed = {"run": ["run"]} if kind is CommandSettings else {}
    try:
        msgspec.convert({**named, **needed, **table}, kind)
    except msgspec.ValidationError as error:
        return str(error).replace("`", "").replace(" | null", "")
    return "" if all(map(_is_plain, table.values())) else "there is something in it that cannot be written"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return value.replace("\n", "").isprintable()
    return not isinstance(value, float) or math.isfinite(value)
