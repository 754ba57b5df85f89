"""PURE: templates as OctoPrint's scripts have them, held to what G-code needs, so that none runs long or fills memory.

Whoever may write one is trusted with the printer, not with the server: the sandbox keeps it to its values, and what
could grow without limit is refused when it is saved.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment, Template

MAX_LOOPS = 2
"""Loops within loops."""
MAX_RANGE = 1000
MAX_STRING = 10_000
MAX_NUMBER = 10**12
_FILTERS = (
    *("abs", "d", "default", "first", "float", "int", "last", "length", "lower", "max", "min", "round"),
    *("sum", "trim", "upper"),
)
_REFUSED = ("AssignBlock", "Block", "CallBlock", "Extends", "FilterBlock", "FromImport", "Import", "Include", "Macro")


class BadTemplate(Exception):
    """A template that cannot be used; the text names the line."""


def parsed(text: str) -> Template:
    """The template, ready to be rendered. Raises BadTemplate."""
    from jinja2 import TemplateError, TemplateSyntaxError, nodes

    environment = _environment()
    try:
        tree = environment.parse(text)
        for kind in _REFUSED:
            for node in tree.find_all(getattr(nodes, kind)):
                raise BadTemplate(f"line {node.lineno}: this is not possible in a script")
        for assignment in tree.find_all(nodes.Assign):
            if assignment.find(nodes.Concat):
                raise BadTemplate(f"line {assignment.lineno}: ~ is not possible in a set")
        _check_loops(tree, 0)
        return environment.from_string(text)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}") from None
    except (TemplateError, RecursionError, ValueError) as error:
        raise BadTemplate(str(error) or "it is nested too deeply") from None


def unknown_names(text: str, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and name of whatever a part is asked of though it is not `known` and never set: that can only fail.

    A name that is also used by itself, as in `{% if name %}` and `{{ name|default(…) }}`, is taken to be looked after.
    """
    from jinja2 import nodes

    tree = _environment().parse(text)
    parts: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    owners = [part.node for part in parts if isinstance(part.node, nodes.Name)]
    # By identity: nodes that say the same are equal.
    places = {id(owner) for owner in owners}
    looked_after = {name.name for name in tree.find_all(nodes.Name) if id(name) not in places}
    for owner in owners:
        if owner.name not in looked_after | {*known, "loop"}:
            yield owner.lineno, owner.name


def _check_loops(node: Any, depth: int) -> None:
    from jinja2 import nodes

    for child in node.iter_child_nodes():
        within = depth + isinstance(child, nodes.For)
        if within > MAX_LOOPS or (isinstance(child, nodes.For) and child.recursive):
            raise BadTemplate(f"line {child.lineno}: loops are at the most {MAX_LOOPS} deep")
        _check_loops(child, within)


@lru_cache(1)
def _environment() -> Environment:
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Held(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"+", "*", "**", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if left is None or right is None:
                raise SecurityError(f"a value that is not known (none) has no {operator}")
            if operator == "%" and isinstance(left, str):
                return _formatted(left, *(right if isinstance(right, tuple) else (right,)))
            if operator != "+" and not all(isinstance(each, int | float) for each in (left, right)):
                raise SecurityError(f"{operator} is for numbers here")
            if operator == "**" and (abs(left) > MAX_STRING or abs(right) > 10):
                raise SecurityError("this number is too large")
            if operator == "+" and not isinstance(left, int | float | str):
                raise SecurityError("+ is for numbers and texts here")
            return _bounded(super().call_binop(context, operator, left, right))

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            # Of a text no method: some make it as long as they are told to.
            return not isinstance(obj, str) and super().is_safe_attribute(obj, attr, value)

    def _bounded(value: Any) -> Any:
        if isinstance(value, str) and len(value) > MAX_STRING:
            raise SecurityError(f"a text is at most {MAX_STRING} characters")
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise SecurityError("this number is too large")
        return value

    def _formatted(text: str, *values: Any) -> Any:
        if re.search(r"\d{4}|\*", text):
            raise SecurityError("a number is at most 999 characters wide")
        return _bounded(text % values)

    def _joined(values: Any, between: str = "") -> Any:
        return _bounded(between.join(map(str, values)))

    def _range(*bounds: int) -> range:
        numbers = range(*bounds)
        if len(numbers) > MAX_RANGE:
            raise SecurityError(f"a range is at most {MAX_RANGE} numbers")
        return numbers

    environment = Held(autoescape=False)
    filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters = filters | {"format": _formatted, "join": _joined}
    environment.globals = {"range": _range}
    environment.tests = {
        name: test for name, test in environment.tests.items() if name in ("defined", "none", "number", "undefined")
    }
    return environment
