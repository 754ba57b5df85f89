"""What a person may choose: `limpet.toml`, its meaning, its faults with their lines, and its edits.

Settings are values: they are read once, checked as a whole and passed down. `docs/settings.md` lists them.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from limpet.errors import SettingsError
from limpet.files import locked, read_limited, write_atomically
from limpet.profiles import DEFAULT_PROFILE, Profile

MAX_FILE_BYTES = 1 << 20
BAUDRATES = (250000, 230400, 115200, 57600, 38400, 19200, 9600)
"""The rates that are always offered, as on OctoPrint's connection page."""
DEFAULT_PRINTER = "default"

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
Kept = Value | list[list[float]]
"""What the file may hold at a key."""
KeyPath = tuple[str, ...]
"""Where a setting is: `("printers", "default", "port")`."""

Reset = Literal["auto", "yes", "no"]
"""Whether connecting restarts the board, by the lines DTR and RTS (docs/ports.md)."""

_Baudrate = Annotated[int, Meta(ge=1, le=12_000_000)]
_PortName = Annotated[str, Meta(min_length=1, max_length=1024)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Degrees = Annotated[float, Meta(ge=0, le=1000)]

COLORS = ("default", "red", "orange", "yellow", "green", "blue", "violet", "white")
"""What OctoPrint offers as the color of a server."""
_Origin = Annotated[str, Meta(max_length=300, pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+)$")]
_Folder = Annotated[str, Meta(min_length=1, max_length=1024, pattern="^[^\\x00]*$")]


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: where the HTTP server listens."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 5000
    cors_origins: tuple[_Origin, ...] = ()
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


class FileSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[files]`: where the files to print are, below the data folder or anywhere, and how large one may be, in MiB."""

    uploads: _Folder = "uploads"
    max_upload: Annotated[int, Meta(ge=1, le=1 << 20)] = 4096


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
    files: FileSettings = FileSettings()
    profiles: dict[str, Profile] = field(default_factory=lambda: {DEFAULT_PROFILE: Profile(name="Default")})
    printers: dict[str, PrinterSettings] = field(
        default_factory=lambda: {DEFAULT_PRINTER: PrinterSettings(name=DEFAULT_PRINTER)}
    )
    virtual: dict[str, Value] = {}


class SettingsFile:
    """`limpet.toml`: read, checked, edited. Every fault is a SettingsError of one line.

    `host`, `port` and `added_ports` come from the command line and the environment: they win over the
    file (added ports are added to it), are never written, and are checked by whoever took them in.
    """

    def __init__(
        self,
        path: Path,
        *,
        host: str | None = None,
        port: int | None = None,
        added_ports: Sequence[str] = (),
    ) -> None:
        self.path = path
        self._server = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
        self._added_ports = tuple(added_ports)
        self._text = ""

    def load(self) -> Settings:
        """The settings of the file as it is now; the defaults when there is none. Writes nothing."""
        self._text, data = _parse(self.path, read_limited(self.path, MAX_FILE_BYTES) or b"")
        try:
            return self._overridden(_decode(data))
        except _PlacedError as fault:
            raise self.error_at(fault.path, fault.message) from None

    def edit(self, changes: Mapping[KeyPath, Kept | None]) -> Settings:
        """Sets each key to its value, or removes it (a whole table too) for None, and returns the new settings.

        Reads the file again first; comments, order and formatting of the rest survive (a list is replaced as
        a whole). The result is checked before it is written, and nothing is written when nothing changes.
        Blocks for a moment (lock, fsync).
        """
        with locked(self.path):
            text, settings = self._changed(changes)
            if text != self._text:
                write_atomically(self.path, text.encode())
                self._text = text
        return self._overridden(settings)

    def preview(self, changes: Mapping[KeyPath, Kept | None]) -> Settings:
        """What `edit` would make of it; writes nothing."""
        return self._overridden(self._changed(changes)[1])

    def _changed(self, changes: Mapping[KeyPath, Kept | None]) -> tuple[str, Settings]:
        settings = self.load()
        text, data = self._text, tomllib.loads(self._text)
        changes = {path: value for path, value in changes.items() if not _holds(data, path, value)}
        if not changes:
            return text, settings
        try:
            for path, value in changes.items():
                _change(data, path, value)
            settings = _decode(data)
            for path, value in changes.items():
                text = _edited(text, path, value) if value is not None else _without(text, path)
            _check_meaning(text, settings, next(iter(changes)))
        except _PlacedError as fault:
            raise SettingsError(f"{self.path}: not changed: {_dotted(fault.path)}: {fault.message}") from None
        return text, settings

    def error_at(self, path: KeyPath, message: str) -> SettingsError:
        """The error for a fault that a higher layer finds in the settings last loaded."""
        place = _place(self.path, line_of(self._text, path))
        return SettingsError(f"{place}: {_dotted(path)}: {message}")

    def _overridden(self, settings: Settings) -> Settings:
        replace = msgspec.structs.replace
        added = tuple(dict.fromkeys((*settings.ports.added, *self._added_ports)))
        return replace(
            settings,
            server=replace(settings.server, **self._server),
            ports=replace(settings.ports, added=added),
        )


class _PlacedError(Exception):
    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


# From TOML to settings


def _parse(file: Path, content: bytes) -> tuple[str, dict[str, Any]]:
    line: int | None = None
    try:
        text = content.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        fault = "this is not UTF-8; save the file as UTF-8"
        line = content.count(b"\n", 0, error.start) + 1
    except tomllib.TOMLDecodeError as error:
        fault, _, position = str(error).partition(" (at ")
        number = re.match(r"line (\d+)", position)
        line = int(number[1]) if number else text.count("\n") + 1
    except (RecursionError, ValueError):
        fault = "a value is nested too deeply, or a number is too long"
    raise SettingsError(f"{_place(file, line)}: {fault}")


def _place(file: Path, line: int | None) -> str:
    return f"{file}, line {line}" if line else str(file)


def _decode(data: Mapping[str, Any]) -> Settings:
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


def is_id(text: str) -> bool:
    """Whether a printer or a profile may have this id."""
    return _ID.fullmatch(text) is not None


def _named(id_: str, table: Any, kind: type[_S], path: KeyPath) -> _S:
    if not is_id(id_) and not (kind is Profile and id_ == DEFAULT_PROFILE):
        raise _PlacedError(path, f"bad id, expected {ID_RULE}")
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
        message = f"expected {' or '.join(map(_quoted, choices))}"
    if "got" not in message:
        message += f", got {reprlib.repr(value)}"
    message = message.replace("`", "").replace(" | null", "").replace("object", "table")
    message = message[0].lower() + message[1:]
    raise _PlacedError((*path, *names), f"item {int(item[1]) + 1}: {message}" if item else message)


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
            raise _PlacedError((*path, key), f"unknown key, {advice}")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # imported when there is a fault, not at every start

    return next(iter(get_close_matches(word, list(known), n=1)), None)


def _check_references(settings: Settings) -> None:
    if settings.appearance.color not in COLORS:
        raise _PlacedError(("appearance", "color"), _no_such("color", settings.appearance.color, COLORS))
    for id_, printer in settings.printers.items():
        if printer.profile not in settings.profiles:
            raise _PlacedError(("printers", id_, "profile"), _no_such("profile", printer.profile, settings.profiles))
    if settings.default_printer not in settings.printers:
        raise _PlacedError(("default_printer",), _no_such("printer", settings.default_printer, settings.printers))


def _no_such(what: str, id_: str, known: Iterable[str]) -> str:
    return f"no {what} {_quoted(id_)}, expected one of {', '.join(known)}"


def _check_repeats(settings: Settings) -> None:
    for key in ("added", "ignored"):
        seen: set[str] = set()
        for port in getattr(settings.ports, key):
            if port in seen:
                raise _PlacedError(("ports", key), f"{_quoted(port)} is there twice")
            seen.add(port)
    users: dict[str, str] = {}
    for id_, printer in settings.printers.items():
        path = ("printers", id_, "port")
        if printer.port == "AUTO":
            raise _PlacedError(path, "leave this key out and the port is detected")
        # Each printer has a virtual printer of its own; any other port has one user.
        if printer.port and printer.port != "VIRTUAL" and users.setdefault(printer.port, id_) != id_:
            raise _PlacedError(path, f"{_quoted(printer.port)} is the port of printer {users[printer.port]} already")
    _check_passthroughs(settings)
    for key, value in settings.virtual.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise _PlacedError(("virtual", key), f"expected a finite number, got {number}")


def _check_passthroughs(settings: Settings) -> None:
    taken = dict.fromkeys((*settings.ports.added, *(one.port or "" for one in settings.printers.values())), "a port")
    for id_, printer in settings.printers.items():
        link, path = printer.passthrough, ("printers", id_, "passthrough")
        if link is None and printer.passthrough_group is not None:
            raise _PlacedError(("printers", id_, "passthrough_group"), "there is no passthrough that it could open")
        if link is None:
            continue
        if not link.startswith("/") or "\0" in link:
            raise _PlacedError(path, f"expected an absolute path, got {_quoted(link)}")
        if link in taken:
            raise _PlacedError(path, f"{_quoted(link)} is {taken[link]} already")
        taken[link] = f"the passthrough of printer {id_}"


# Places in the text


def line_of(text: str, path: KeyPath) -> int | None:
    """The line (from 1) of a key in valid TOML, else of the nearest table around it, else None."""
    best, place = 0, -1
    for statement, offset, _ in _statements(text):
        common = next((i for i, (a, b) in enumerate(zip(statement, path, strict=False)) if a != b), None)
        common = min(len(statement), len(path)) if common is None else common
        if common > best:
            best, place = common, offset
    return text.count("\n", 0, place) + 1 if place >= 0 else None


def _statements(text: str) -> Iterator[tuple[KeyPath, int, int]]:
    """The full key of each `[table]` and each `key = value`, and where its lines begin and end, in order."""
    table: KeyPath = ()
    at = 0
    while at < len(text):
        begin, statement = at, None
        if header := _HEADER.match(text, at):
            table = statement = _parts(header[1])
            at = header.end()
        elif assignment := _ASSIGNMENT.match(text, at):
            statement = table + _parts(assignment[1])
            at = _end_of_value(text, assignment.end())
        newline = text.find("\n", at)
        at = newline + 1 if newline >= 0 else len(text)
        if statement is not None:
            yield statement, begin, at


def _end_of_value(text: str, at: int) -> int:
    depth = 0
    while token := _TOKEN.match(text, at):
        if token[0] == "\n" and depth == 0:
            return at
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        at = token.end()
    return len(text)


def _parts(dotted: str) -> KeyPath:
    table: Any = tomllib.loads(f"{dotted} = 0")
    parts: list[str] = []
    while isinstance(table, dict):
        ((part, table),) = table.items()
        parts.append(part)
    return tuple(parts)


_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
ID_RULE = "a-z, 0-9, _ and -, at most 32 of them, the first one a letter or digit"
_STRING = r'"(?:[^"\\\n]|\\.)*+"|\'[^\'\n]*+\''
_KEY = rf"(?:{_STRING}|[A-Za-z0-9_-]++|[ \t.])++"
_HEADER = re.compile(rf"[ \t]*+\[\[?({_KEY})\]")
_ASSIGNMENT = re.compile(rf"[ \t]*+({_KEY})=")
_TOKEN = re.compile(
    rf'"""(?:[^\\]|\\.)*?"{{3,5}}|\'\'\'.*?\'{{3,5}}|{_STRING}|#[^\n]*+|[^\n"\'#\[\]{{}}]++|.', re.DOTALL
)


def _dotted(path: KeyPath) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else _quoted(part) for part in path)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


# Edits


def _holds(data: Mapping[str, Any], path: KeyPath, value: Kept | None) -> bool:
    found: Any = data
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return type(found) is type(value) and bool(found == value)


def _change(data: dict[str, Any], path: KeyPath, value: Kept | None) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise _PlacedError(path, f"{part} is not a table")
    if value is None:
        data.pop(path[-1], None)
    else:
        data[path[-1]] = value


def _edited(text: str, path: KeyPath, value: Kept | None) -> str:
    # tomlkit takes 40 ms to import, which a start has no use for.
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import InlineTable, Table

    try:
        document = tomlkit.parse(text)
        table: Any = document
        for part in path[:-1]:
            if part not in table and isinstance(table, InlineTable):
                table[part] = tomlkit.inline_table()
            elif part not in table:
                separator = "" if not text or text.endswith("\n") else "\n"
                blank = "\n" if text else ""
                line = tomlkit.dumps({path[-1]: value})
                return f"{text}{separator}{blank}[{_dotted(path[:-1])}]\n{line}"
            table = table[part]
        if value is None:
            del table[path[-1]]
        else:
            with _before_trailing_comments(table.value.body if isinstance(table, Table) else []):
                table[path[-1]] = value
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError) as error:
        raise _PlacedError(path, _BY_HAND) from error


def _without(text: str, path: KeyPath) -> str:
    """Without this key, or all of this table from its header to its last key. Comments around it stay."""
    gone: list[tuple[int, int]] = []
    inside = False
    for statement, begin, end in _statements(text):
        belongs = statement[: len(path)] == path
        if belongs and inside:
            gone[-1] = gone[-1][0], end
        elif belongs:
            gone.append((begin, end))
        inside = belongs
    if not gone:
        return _edited(text, path, None)
    for begin, end in reversed(gone):
        before, after = text[:begin], text[end:]
        # One blank line is enough between what is left, and none at the end.
        text = before + (after.removeprefix("\n") if before.endswith("\n\n") else after)
        text = text if after else before.rstrip("\n") + "\n" * bool(before.strip())
    return text


@contextmanager
def _before_trailing_comments(body: list[Any]) -> Iterator[None]:
    """Keeps what stands below a table's last key there: most often it belongs to the next table."""
    tail: list[Any] = []
    while body and body[-1][0] is None:
        tail.insert(0, body.pop())
    yield
    body.extend(tail)


_BY_HAND = "a program cannot set this in the file as it is written; edit it by hand"


def _check_meaning(text: str, settings: Settings, path: KeyPath) -> None:
    try:
        if _decode(tomllib.loads(text)) == settings and len(text.encode()) <= MAX_FILE_BYTES:
            return
    except (_PlacedError, ValueError):
        pass
    raise _PlacedError(path, _BY_HAND)
