"""docs/api.md says what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import limpet
from limpet.printer.state import State
from limpet.web import events, hub
from limpet.web.api.sockjs import Connected
from limpet.web.app import ROUTES, TEXTS
from limpet.web.dialect import ConnectionInfo, ConnectionInfo2, Current, Current2, ErrorInfo, Options, Options2
from limpet.web.openapi import plain

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "api.md").read_text()
PUSH_PAGE = (DOCS / "api-push.md").read_text()
SOURCE = "\n".join(path.read_text() for path in sorted(Path(limpet.__file__).parent.rglob("*.py")))
CODES = set(
    re.findall(r'\b(?:[Ff]ault|self\._end)\(\s*"([a-z_]+)"', SOURCE)
    + re.findall(r'^ {4}"([a-z_]+)": \(\n {8}"', SOURCE.partition("_ROWS = {")[2].partition("\n}")[0], re.MULTILINE)
)


def test_every_route_is_listed_with_its_permission() -> None:
    rows = re.findall(r"^\| (GET|POST|PUT|PATCH|DELETE) \| `([^`]+)` \| (`[A-Z_]+`|none) \|", PAGE, re.MULTILINE)

    needs = [f"`{route.permission}`" if route.permission else "none" for route in ROUTES]
    told = [(route.method, plain(route.path), need) for route, need in zip(ROUTES, needs, strict=True)]
    assert sorted(rows) == sorted(told)
    assert [path for _, path, _ in rows] == sorted(path for _, path, _ in rows)


def test_every_error_code_is_explained() -> None:
    table = PAGE.partition("### `current.error`")[2].partition("\n## ")[0]

    assert len(CODES) > 10
    assert set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) - {"code"} == CODES


def test_every_state_is_named() -> None:
    assert [state for state in State if f"`{state}`" not in PAGE] == []


def test_every_status_of_a_refusal_is_named() -> None:
    described = {status for route in ROUTES for status in route.responses} | TEXTS.keys() - {500}

    assert [status for status in described if not re.search(rf"^\|[ 0-9,]*\b{status}\b", PAGE, re.MULTILINE)] == []


def test_everything_that_the_push_tells_is_named() -> None:
    names = set(re.findall(r'EventInfo\("(\w+)"', Path(events.__file__).read_text() + Path(hub.__file__).read_text()))
    fields = {*Connected.__struct_fields__, *hub.Current.__struct_fields__, *hub.ResendInfo.__struct_fields__}

    assert len(names) > 10
    assert [name for name in sorted(names | fields) if f"`{name}`" not in PUSH_PAGE] == []


def test_every_field_of_the_connection_is_named() -> None:
    shapes = (ConnectionInfo, Current, Options, ErrorInfo, ConnectionInfo2, Options2)
    fields = {field for shape in shapes for field in shape.__struct_fields__}
    fields |= set(Current2.__struct_fields__) - {"capabilities"}

    assert [field for field in sorted(fields) if not re.search(rf"[\"`.]{field}[\"`]", PAGE)] == []
