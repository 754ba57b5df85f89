"""The text of a TOML file: where a key stands in it, and edits that leave the rest as a person wrote it. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
Kept = Value | list[list[float]]
"""What the file may hold at a key."""
KeyPath = tuple[str, ...]
"""Where a setting is: `("printers", "default", "port")`."""
BY_HAND = "a program cannot set this in the file as it is written; edit it by hand"
"""What is the matter with a key that an edit cannot get at."""


class PlacedError(Exception):
    """A fault, and the key that it is at."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


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


_STRING = r'"(?:[^"\\\n]|\\.)*+"|\'[^\'\n]*+\''
_KEY = rf"(?:{_STRING}|[A-Za-z0-9_-]++|[ \t.])++"
_HEADER = re.compile(rf"[ \t]*+\[\[?({_KEY})\]")
_ASSIGNMENT = re.compile(rf"[ \t]*+({_KEY})=")
_TOKEN = re.compile(
    rf'"""(?:[^\\]|\\.)*?"{{3,5}}|\'\'\'.*?\'{{3,5}}|{_STRING}|#[^\n]*+|[^\n"\'#\[\]{{}}]++|.', re.DOTALL
)


def dotted(path: KeyPath) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else quoted(part) for part in path)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


# Edits


def edited(text: str, path: KeyPath, value: Kept | None) -> str:
    # tomlkit takes 40 ms to import, which a start has no use for.
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import InlineTable, Table

    # A reader drops a newline at the beginning, and takes those of Windows for plain ones.
    in_lines = isinstance(value, str) and "\n" in value and "\r" not in value and value[0] != "\n"
    shown = tomlkit.string(str(value), multiline=True) if in_lines else value
    try:
        document = tomlkit.parse(text)
        table: Any = document
        for part in path[:-1]:
            if part not in table and isinstance(table, InlineTable):
                table[part] = tomlkit.inline_table()
            elif part not in table:
                separator = "" if not text or text.endswith("\n") else "\n"
                blank = "\n" if text else ""
                line = tomlkit.dumps({path[-1]: shown})
                return f"{text}{separator}{blank}[{dotted(path[:-1])}]\n{line}"
            table = table[part]
        if value is None:
            del table[path[-1]]
        else:
            with _before_trailing_comments(table.value.body if isinstance(table, Table) else []):
                table[path[-1]] = shown
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError) as error:
        raise PlacedError(path, BY_HAND) from error


def without(text: str, path: KeyPath) -> str:
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
        return edited(text, path, None)
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
