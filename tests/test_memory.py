"""What is learnt about printers: kept over a restart, used to find them sooner, and never a reason not to start."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from limpet.memory import MAX_FILE_BYTES, Known, Memory
from limpet.printer.identity import Identity
from tests.printer.rig import printer_at
from tests.web.server import IMPATIENT, running

MINE, TWIN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
KNOWN = Known(port="/dev/ttyUSB0", baudrate=250000, identity=Identity(uuid=MINE, machine_type="Ender-3"))


def test_what_was_learnt_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    memory = Memory(path)
    assert memory.get("mini") is None
    assert memory.learn("mini", KNOWN)
    assert not memory.learn("mini", KNOWN)
    memory.save()
    assert Memory(path).get("mini") == KNOWN
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"{", b'{"a": 1}', b"\xff", b"[" * 10_000, b" " * (MAX_FILE_BYTES + 1)])
def test_a_broken_file_is_told_and_starts_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "known.json"
    path.write_bytes(content)
    memory = Memory(path)
    assert memory.get("a") is None
    assert str(path) in caplog.text
    memory.learn("a", KNOWN)
    memory.save()
    assert Memory(path).get("a") == KNOWN


def test_a_file_that_cannot_be_written_is_told_and_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(tmp_path / "no folder" / "known.json")
    memory.learn("a", KNOWN)
    with caplog.at_level(logging.WARNING):
        memory.save()
    assert "not kept" in caplog.text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


async def test_a_saved_printer_is_known_after_a_restart_and_its_twin_is_left_alone(
    tmp_path: Path, folder: Path
) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, uuid=MINE), running(folder, ports=[str(link)]) as (limpet, _):
        await limpet.accepted("connect", port=str(link), baudrate=115200, save=True)
        assert (await limpet.until_state("Operational"))["identity"]["uuid"] == MINE
    async with (
        printer_at(link, uuid=TWIN),
        running(folder, ports=[str(link)], patience=IMPATIENT) as (limpet, _),
    ):
        await limpet.accepted("connect")
        now = await limpet.until(lambda now: now["error"])
        assert (now["error"]["code"], now["error"]["waiting"]) == ("other_printer", True)
        # Who names the port means what is there, and saving makes it the printer from now on.
        await limpet.accepted("connect", port=str(link), baudrate=115200, save=True)
        await limpet.until_state("Operational")
        await limpet.accepted("connect")
        assert (await limpet.until_state("Operational"))["identity"]["uuid"] == TWIN


async def test_the_rate_at_which_a_printer_was_found_is_asked_first_the_next_time(tmp_path: Path, folder: Path) -> None:
    link = tmp_path / "printer"
    async with printer_at(link, baudrate=9600) as _:
        for first in (False, True):
            async with running(folder, ports=[str(link)]) as (limpet, _):
                seen: set[int | None] = set()
                await limpet.accepted("connect", port="AUTO", baudrate=0)
                now = await limpet.until(lambda now: seen.add(now["baudrate"]) or now["state"] == "Operational")  # noqa: B023
                assert now["baudrate"] == 9600
                assert first is (seen - {None} == {9600})
