"""Documentation is tested: what it names exists, and what exists is named."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import re
from pathlib import Path

import pytest

from limpet.errors import Fault
from limpet.printer.faults import fault
from limpet.protocol.virtual.debug import ACTIONS
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.transports.serial_port import fault_of

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LIFE = (DOCS / "life-of-a-line.md").read_text()
FAULTS = (DOCS / "faults.md").read_text()


def rows(page: str, heading: str) -> list[str]:
    """The rows of the table below a heading, without its own head."""
    text = page.partition(f"# {heading}\n")[2].partition("\n#")[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


FAULT_ROWS = rows(FAULTS, "Beside other hosts") + rows(FAULTS, "Further faults")
ERROR_CODES = [row.split("`")[1] for row in rows((DOCS / "api.md").read_text(), "`current.error`")]


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


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", FAULTS))))
def test_every_test_that_the_page_on_faults_names_exists(name: str) -> None:
    file, _, function = name.partition("::")
    assert re.search(rf"^(async )?def {function}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", FAULT_ROWS, ids=lambda row: row[2:40])
def test_every_fault_has_a_test_that_shows_it(row: str) -> None:
    assert ".py::test_" in row


def test_every_reason_why_a_connection_ends_is_among_the_faults() -> None:
    assert len(ERROR_CODES) > 10
    assert [code for code in ERROR_CODES if not any(f"`{code}`" in row for row in FAULT_ROWS)] == []


@pytest.mark.parametrize("code", ERROR_CODES)
def test_the_words_of_each_reason_are_those_that_are_said(code: str) -> None:
    assert any(f"`{code}`" in row and words(code).message in row for row in rows(FAULTS, "The words"))


def words(code: str) -> Fault:
    port = "/dev/ttyUSB0"
    match code:
        case "port_busy":
            return fault_of(port, OSError(errno.EBUSY, ""))
        case "permission_denied":
            return fault_of(port, OSError(errno.EACCES, ""))
    return fault(code, port=port, baudrate=115200, detail="…")


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
