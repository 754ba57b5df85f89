"""Documentation is tested: what it names exists, and what exists is named."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from limpet.protocol.virtual.debug import ACTIONS
from limpet.protocol.virtual_printer import VirtualPrinterOptions

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LIFE = (DOCS / "life-of-a-line.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(limpet\.[\w.]+)`", LIFE))))
def test_every_name_in_the_life_of_a_line_exists(name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return
    pytest.fail(f"{name} is no module")


def test_the_life_of_a_line_names_functions() -> None:
    assert len(set(re.findall(r"`limpet\.[\w.]+`", LIFE))) > 25


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(VirtualPrinterOptions)])
def test_every_option_of_the_virtual_printer_is_documented(name: str) -> None:
    assert f"| `{name}` |" in (DOCS / "virtual-printer.md").read_text()


@pytest.mark.parametrize("what", sorted(ACTIONS))
def test_every_debug_command_is_documented(what: str) -> None:
    assert f"`{what}" in (DOCS / "virtual-printer.md").read_text()


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *DOCS.rglob("*.md")]), ids=lambda page: page.name)
def test_no_link_leads_nowhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_contributing_fits_on_a_screen() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 40
