"""The plan as it grows, and what the files of an OctoPrint may hold, whoever wrote them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from limpet.permissions import GROUPS, Group
from limpet.settings import DEFAULT_PRINTER, CommandSettings, ControlSettings
from limpet.toml_text import KeyPath

MAX_ENTRIES = 1000
"""More than this many profiles, users, keys or commands are not looked at."""
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
    groups: Mapping[str, Group] = field(default_factory=lambda: GROUPS)
    users: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    own_keys: frozenset[str] = frozenset()


class Plan(Struct, frozen=True, kw_only=True):
    """What to write; `settings` are the changes to limpet.toml; a group that is one of ours is to be changed."""

    settings: dict[KeyPath, Any]
    groups: tuple[Group, ...]
    users: tuple[NewUser, ...]
    keys: tuple[NewKey, ...]
    lines: tuple[Line, ...]


class Moving:
    """The plan as it grows."""

    def __init__(self, present: Present) -> None:
        self.present = present
        self.settings: dict[KeyPath, Any] = {}
        self.groups: list[Group] = []
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
            self.tell("left", f"{source}: {shown(value)}, because {name} is {shown(found)} already")
        elif found is not None:
            self.tell("there", f"{source}: {name} is {shown(value)}")
        elif fault := fault_of(kind, {path[-1]: value}):
            self.tell("left", f"{source}: {fault}")
        else:
            self.settings[path] = value
            self.tell("taken", f"{source}: {name} = {shown(value)}")

    def set_list(self, source: str, path: KeyPath, values: Any, kind: type[Struct]) -> None:
        """Items to add to a list that is a setting, a field of `kind`."""
        before = self.there(path)
        merged = list(before) if isinstance(before, list) else []
        for value in items(values):
            if value in merged:
                self.tell("there", f"{source}: {shown(value)} is among {'.'.join(path)}")
            elif fault := fault_of(kind, {path[-1]: [value]}):
                self.tell("left", f"{source}: {fault}")
            else:
                merged.append(value)
                self.tell("taken", f"{source}: {shown(value)} goes to {'.'.join(path)}")
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
        elif fault := fault_of(kind, table):
            self.tell("left", f"{source}: {fault}")
            return False
        else:
            self.settings.update({(*path, key): value for key, value in table.items()})
            self.tell("taken", f"{source}: becomes {name}")
        return True


# -- whatever a file may hold --


def mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    return value[:MAX_ENTRIES] if isinstance(value, list) else []


def entries(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Tables by name; what is none is passed over."""
    for name, table in list(mapping(value).items())[:MAX_ENTRIES]:
        if isinstance(table, dict):
            yield text_of(name), table


def words(value: Any) -> Iterable[str]:
    return [each for each in value[:MAX_ENTRIES] if isinstance(each, str)] if isinstance(value, list | tuple) else []


def text_of(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def value_at(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = mapping(value).get(part)
    return value


def shown(value: Any) -> str:
    """Bounded, whatever a file holds."""
    return repr(value)[:120] if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def id_of(moving: Moving, source: str, name: Any) -> str | None:
    """The id for what has this name there."""
    id_ = re.sub(r"[^a-z0-9_-]+", "_", text_of(name).lower()).strip("_-")[:32]
    if not id_:
        moving.tell("left", f"{source}: no id can be made of its name, {shown(name)}")
    return id_ or None


_NEEDED: dict[type[Struct], dict[str, Any]] = {
    CommandSettings: {"run": ["run"]},
    ControlSettings: {"commands": ["commands"]},
}
"""Fields that there have to be, for the look at another one alone."""


def fault_of(kind: type[Struct], table: Mapping[str, Any]) -> str:
    """What is wrong with these fields; nothing is the empty text."""
    named = {"name": "name"} if "name" in kind.__struct_fields__ else {}
    needed = _NEEDED.get(kind, {})
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
