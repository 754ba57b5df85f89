"""What does not fit in a request, in words for whoever has typed it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}
_BOUNDS = {">": "above", ">=": "of at least", "<": "below", "<=": "of at most"}
_EXPECTED = re.compile(r"Expected `([\w |]+)`(?: (of length )?([<>]=?) (\S+))?(?:, got `(\w+)`)?")


def in_words(error: msgspec.ValidationError, content: Any) -> str:
    """ "x speed has to be a whole number, not 1.5" for "Expected `int`, got `float` - at `$.x_speed`" of `content`."""
    message, _, place = str(error).partition(" - at ")
    value = content
    names = []
    for name, item in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        names += [name.replace("_", " ")] if name else []
        value = value.get(name) if isinstance(value, dict) else value[int(item)] if isinstance(value, list) else None
    what = ", ".join(names) or "the body"
    if choice := re.fullmatch("Invalid enum value (.*)", message):
        return f"{what} cannot be {choice[1]}"
    if field := re.fullmatch("Object missing required field `(.*)`", message):
        return f"{field[1]} is missing"
    if not (expected := _EXPECTED.fullmatch(message)):
        return f"{what}: {message.replace('`', '')}"
    kinds, is_length, bound, limit, got = expected.groups()
    words = " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))
    if bound:
        words += f" {_BOUNDS[bound]} {float(limit):.10g}"
    if is_length:
        words += f" {'character' if kinds == 'str' else 'item'}{'' if limit == '1' else 's'}"
    # A text may be a secret.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    came = f"{value:.10g}" if is_number else _KINDS.get(got, got) if got else ""
    return f"{what} has to be {words}{f', not {came}' if came else ''}"
