"""What a person may choose, and what `limpet.toml` means.

Settings are values: they are read once, checked as a whole and passed down. `docs/settings.md` lists them.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from limpet.profiles import DEFAULT_PROFILE, Profile
from limpet.toml_text import KeyPath, PlacedError, Value, quoted

BAUDRATES = (250000, 230400, 115200, 57600, 38400, 19200, 9600)
"""The rates that are always offered, as on OctoPrint's connection page."""
DEFAULT_PRINTER = "default"

Reset = Literal["auto", "yes", "no"]
"""Whether connecting restarts the board, by the lines DTR and RTS (docs/ports.md)."""

_Baudrate = Annotated[int, Meta(ge=1, le=12_000_000)]
_PortName = Annotated[str, Meta(min_length=1, max_length=1024)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Degrees = Annotated[float, Meta(ge=0, le=1000)]

COLORS = ("default", "red", "orange", "yellow", "green", "blue", "violet", "white")
"""What OctoPrint offers as the color of a server."""
_Origin = Annotated[str, Meta(max_length=300, pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+)$")]
_Line = Annotated[str, Meta(min_length=1, max_length=256, pattern="^[^\\x00-\\x1f]*$")]
_Network = Annotated[str, Meta(max_length=50)]
_ScriptName = Annotated[str, Meta(max_length=80)]
_Script = Annotated[str, Meta(max_length=1 << 14)]
_Folder = Annotated[str, Meta(min_length=1, max_length=1024, pattern="^[^\\x00]*$")]


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: where the HTTP server listens."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 5000
    cors_origins: tuple[_Origin, ...] = ()
    trusted_proxies: tuple[_Network, ...] = ()
    announce: bool = True


class PortSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[ports]`: which ports and baudrates are on offer."""

    added: tuple[_PortName, ...] = ()
    ignored: tuple[_PortName, ...] = ()
    virtual: bool = True
    additional_baudrates: tuple[_Baudrate, ...] = ()

    @property
    def baudrates(self) -> tuple[int, ...]:
        """All rates on offer in baud, fastest first, each once."""
        return tuple(sorted({*BAUDRATES, *self.additional_baudrates}, reverse=True))


class AppearanceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[appearance]`: what this server is called, and the color by which people tell it from others."""

    name: Annotated[str, Meta(max_length=64)] = ""
    color: str = "default"


class WebcamSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[webcam]`: where clients find the pictures; Limpet itself does not look at them."""

    stream: Annotated[str, Meta(max_length=1024)] = ""
    snapshot: Annotated[str, Meta(max_length=1024)] = ""
    flip_h: bool = False
    flip_v: bool = False
    rotate_90: bool = False


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[presets.<id>]`: degrees Celsius that clients offer for a material; None leaves a heater alone."""

    name: _Name
    extruder: _Degrees | None = None
    bed: _Degrees | None = None
    chamber: _Degrees | None = None


class CommandSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[commands.<id>]`: a program, with its arguments, that clients may run; `confirm` is what a person is asked."""

    name: _Name
    run: Annotated[tuple[str, ...], Meta(min_length=1)]
    confirm: Annotated[str, Meta(max_length=1024)] | None = None


class ControlSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[controls.<id>]`: a button that clients show, in a `group` of them; `commands` is G-code that they send."""

    name: _Name
    commands: Annotated[tuple[_Line, ...], Meta(min_length=1, max_length=100)]
    confirm: Annotated[str, Meta(max_length=1024)] | None = None
    group: _Name | None = None


class FileSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[files]`: where the files to print are, below the data folder or anywhere, and how large one may be, in MiB;
    whether they are read for what is in them."""

    uploads: _Folder = "uploads"
    max_upload: Annotated[int, Meta(ge=1, le=1 << 20)] = 4096
    analyse: bool = True


class PrinterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[printers.<id>]`: one printer; no `port` or no `baudrate` means that it is detected."""

    name: _Name
    port: _PortName | None = None
    baudrate: _Baudrate | None = None
    profile: str = DEFAULT_PROFILE
    autoconnect: bool = False
    reconnect: bool = True
    reset: Reset = "auto"
    passthrough: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    passthrough_group: _Name | None = None
    uploads: _Folder | None = None
    window: Annotated[int, Meta(ge=1, le=32)] | None = None
    receive_buffer: Annotated[int, Meta(ge=63, le=65535)] = 127
    scripts_on_reconnect: bool = False
    scripts: Annotated[dict[_ScriptName, _Script], Meta(max_length=100)] = {}


PRESETS = {
    "abs": Preset(name="ABS", extruder=210.0, bed=100.0),
    "pla": Preset(name="PLA", extruder=180.0, bed=60.0),
}
"""OctoPrint's, for whoever has set none."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file; ids of printers and profiles are keys, in the order of the file."""

    default_printer: str = DEFAULT_PRINTER
    server: ServerSettings = ServerSettings()
    ports: PortSettings = PortSettings()
    appearance: AppearanceSettings = AppearanceSettings()
    webcam: WebcamSettings = WebcamSettings()
    presets: dict[str, Preset] = field(default_factory=lambda: dict(PRESETS))
    commands: dict[str, CommandSettings] = {}
    controls: dict[str, ControlSettings] = {}
    files: FileSettings = FileSettings()
    profiles: dict[str, Profile] = field(default_factory=lambda: {DEFAULT_PROFILE: Profile(name="Default")})
    printers: dict[str, PrinterSettings] = field(
        default_factory=lambda: {DEFAULT_PRINTER: PrinterSettings(name=DEFAULT_PRINTER)}
    )
    virtual: dict[str, Value] = {}


# From TOML to settings


def decode(data: Mapping[str, Any]) -> Settings:
    """The settings in the content of a file. Raises PlacedError."""
    # Each table is converted alone because msgspec does not say under which key of a dict a fault is.
    _check_keys(data, Settings, ())
    profiles = {DEFAULT_PROFILE: Profile(name="Default")}
    for id_, table in _table(data, "profiles").items():
        profiles[id_] = _named(id_, table, Profile, ("profiles", id_))
    printers = {
        id_: _named(id_, table, PrinterSettings, ("printers", id_))
        for id_, table in (_table(data, "printers") or {DEFAULT_PRINTER: {}}).items()
    }
    virtual: dict[str, Value] = {
        key: _convert(value, Value, ("virtual", key)) for key, value in _table(data, "virtual").items()
    }
    settings = Settings(
        default_printer=_convert(data.get("default_printer", next(iter(printers))), str, ("default_printer",)),
        server=_convert(_table(data, "server"), ServerSettings, ("server",)),
        ports=_convert(_table(data, "ports"), PortSettings, ("ports",)),
        appearance=_convert(_table(data, "appearance"), AppearanceSettings, ("appearance",)),
        webcam=_convert(_table(data, "webcam"), WebcamSettings, ("webcam",)),
        presets={id_: _named(id_, table, Preset, ("presets", id_)) for id_, table in _table(data, "presets").items()}
        or dict(PRESETS),
        commands={
            id_: _named(id_, table, CommandSettings, ("commands", id_))
            for id_, table in _table(data, "commands").items()
        },
        controls={
            id_: _named(id_, table, ControlSettings, ("controls", id_))
            for id_, table in _table(data, "controls").items()
        },
        files=_convert(_table(data, "files"), FileSettings, ("files",)),
        profiles=profiles,
        printers=printers,
        virtual=virtual,
    )
    _check_references(settings)
    _check_repeats(settings)
    return settings


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    table: dict[str, Any] = _convert(data.get(key, {}), dict[str, Any], (key,))
    return table


_S = TypeVar("_S", bound=Struct)


_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
ID_RULE = "a-z, 0-9, _ and -, at most 32 of them, the first one a letter or digit"


def is_id(text: str) -> bool:
    """Whether a printer or a profile may have this id."""
    return _ID.fullmatch(text) is not None


def _named(id_: str, table: Any, kind: type[_S], path: KeyPath) -> _S:
    if not is_id(id_) and not (kind is Profile and id_ == DEFAULT_PROFILE):
        raise PlacedError(path, f"bad id, expected {ID_RULE}")
    name = "Default" if id_ == DEFAULT_PROFILE else id_
    named: _S = _convert({"name": name, **_convert(table, dict[str, Any], path)}, kind, path)
    return named


def _convert(value: Any, kind: Any, path: KeyPath) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        _check_keys(value, kind, path)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
    # The place is `.key`, `[index]` or both: the tables that come here are flat.
    names, item = re.findall(r"\.(\w+)", place), re.search(r"\[(\d+)\]", place)
    for name in names:
        value = value[name]
    if item:
        value = value[int(item[1])]
    if choices := _choices(kind, names):
        message = f"expected {' or '.join(map(quoted, choices))}"
    if "got" not in message:
        message += f", got {reprlib.repr(value)}"
    message = message.replace("`", "").replace(" | null", "").replace("object", "table")
    message = message[0].lower() + message[1:]
    raise PlacedError((*path, *names), f"item {int(item[1]) + 1}: {message}" if item else message)


def _choices(kind: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The words that the setting `names` of a table may be, if it may not be any."""
    if not names or not (isinstance(kind, type) and issubclass(kind, Struct)):
        return ()
    type_ = next(field.type for field in msgspec.structs.fields(kind) if field.name == names[0])
    return get_args(type_) if get_origin(type_) is Literal else ()


def _check_keys(table: Mapping[str, Any], kind: type[Struct], path: KeyPath) -> None:
    known = kind.__struct_fields__
    for key in table:
        if key not in known:
            near = _nearest(key, known)
            advice = f'did you mean "{near}"?' if near else f"known here: {', '.join(known)}"
            raise PlacedError((*path, key), f"unknown key, {advice}")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # imported when there is a fault, not at every start

    return next(iter(get_close_matches(word, list(known), n=1)), None)


def _check_references(settings: Settings) -> None:
    if settings.appearance.color not in COLORS:
        raise PlacedError(("appearance", "color"), _no_such("color", settings.appearance.color, COLORS))
    for number, network in enumerate(settings.server.trusted_proxies, 1):
        try:
            ip_network(network)
        except ValueError as error:
            raise PlacedError(("server", "trusted_proxies"), f"item {number}: {error}") from None
    for id_, printer in settings.printers.items():
        if printer.profile not in settings.profiles:
            raise PlacedError(("printers", id_, "profile"), _no_such("profile", printer.profile, settings.profiles))
    if settings.default_printer not in settings.printers:
        raise PlacedError(("default_printer",), _no_such("printer", settings.default_printer, settings.printers))


def _no_such(what: str, id_: str, known: Iterable[str]) -> str:
    return f"no {what} {quoted(id_)}, expected one of {', '.join(known)}"


def _check_repeats(settings: Settings) -> None:
    for key in ("added", "ignored"):
        seen: set[str] = set()
        for port in getattr(settings.ports, key):
            if port in seen:
                raise PlacedError(("ports", key), f"{quoted(port)} is there twice")
            seen.add(port)
    users: dict[str, str] = {}
    for id_, printer in settings.printers.items():
        path = ("printers", id_, "port")
        if printer.port == "AUTO":
            raise PlacedError(path, "leave this key out and the port is detected")
        # Each printer has a virtual printer of its own; any other port has one user.
        if printer.port and printer.port != "VIRTUAL" and users.setdefault(printer.port, id_) != id_:
            raise PlacedError(path, f"{quoted(printer.port)} is the port of printer {users[printer.port]} already")
    _check_passthroughs(settings)
    for key, value in settings.virtual.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise PlacedError(("virtual", key), f"expected a finite number, got {number}")


def _check_passthroughs(settings: Settings) -> None:
    taken = dict.fromkeys((*settings.ports.added, *(one.port or "" for one in settings.printers.values())), "a port")
    for id_, printer in settings.printers.items():
        link, path = printer.passthrough, ("printers", id_, "passthrough")
        if link is None and printer.passthrough_group is not None:
            raise PlacedError(("printers", id_, "passthrough_group"), "there is no passthrough that it could open")
        if link is None:
            continue
        if not link.startswith("/") or "\0" in link:
            raise PlacedError(path, f"expected an absolute path, got {quoted(link)}")
        if link in taken:
            raise PlacedError(path, f"{quoted(link)} is {taken[link]} already")
        taken[link] = f"the passthrough of printer {id_}"
