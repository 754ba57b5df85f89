"""Prints over real transports to a printer in C, which tells by a hash whether what it took is the file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from bench.printing import File, file_of
from bench.simulator import Board, Told, build, compiler, simulated

from limpet.printer.print import SelectedFile
from limpet.printer.printer import Printer
from limpet.printer.target import Target
from limpet.protocol.window import Flow
from limpet.transports.ports import PortList
from limpet.transports.urls import OPENERS
from tests.printer.rig import QUICK, operational
from tests.transports.test_network import ser2net, ser2net_for

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

MANY, COUNT = 20_000, 1_000
"""Moves on a line that loses nothing, and where each loss costs half a second."""
PLAIN, ADVANCED = Board(), Board(advanced_ok=True)
EVERYTHING = {"corrupt_lines": 0.01, "drop_lines": 0.005, "drop_oks": 0.005, "double_oks": 0.01}
BOARDS = {
    "one line at a time": (PLAIN, None),
    "one line at a time, no ok after Resend": (replace(PLAIN, mute_resends=True), None),
    "ADVANCED_OK": (ADVANCED, None),
    "ADVANCED_OK, no ok after Resend": (replace(ADVANCED, mute_resends=True), None),
    "a window of 4": (PLAIN, 4),
}
"""Each with the window that is set for it."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("printer"))


@asynccontextmanager
async def reached_by(way: str, device: Path, folder: Path) -> AsyncIterator[str]:
    """The port by which the device is reached."""
    if way == "pty":
        yield str(device)
        return
    accepter = {"socket": "tcp", "rfc2217": "telnet(rfc2217),tcp"}[way]
    async with ser2net_for(device, folder, accepter) as number:
        yield f"{way}://127.0.0.1:{number}"


async def print_by(way: str, program: Path, folder: Path, board: Board, window: int | None, count: int) -> Told:
    """What the printer tells when it has got all of the file."""
    file, device = file_of(folder, count), folder / "printer"
    with simulated(program, device, board, count) as simulator:
        async with reached_by(way, device, folder) as port:
            printer = Printer("one", PortList(added=[port], sys_root=Path("/nowhere")), OPENERS, patience=QUICK)
            printer.connect(Target(port=port, baudrate=115200, flow=Flow(window)))
            try:
                await operational(printer)
                printer.prints.start(selected(file), file.path.open("rb", buffering=0))
                told = await asyncio.to_thread(simulator.wait, "done", 60)
            finally:
                await printer.disconnect()
        assert told is not None, f"{simulator.ask()} after a minute"
    assert (told.moves, told.crc) == (file.moves, file.crc)
    return told


def selected(file: File) -> SelectedFile:
    return SelectedFile(origin="local", path="a", name="a", display="a", size=file.path.stat().st_size)


WAYS = ["pty", pytest.param("socket", marks=ser2net), pytest.param("rfc2217", marks=ser2net)]


@pytest.mark.parametrize("way", WAYS)
async def test_20000_moves_arrive_whole_on_a_clean_line(way: str, program: Path, tmp_path: Path) -> None:
    told = await print_by(way, program, tmp_path, ADVANCED, None, MANY)
    assert told.resends == told.overflow == 0


async def test_20000_moves_arrive_whole_although_1_percent_of_lines_is_corrupted(program: Path, tmp_path: Path) -> None:
    told = await print_by("pty", program, tmp_path, replace(PLAIN, corrupt_lines=0.01), None, MANY)
    assert told.bad_lines > 100


@pytest.mark.parametrize("board", BOARDS)
async def test_a_file_arrives_whole_by_pty_although_everything_happens(
    board: str, program: Path, tmp_path: Path
) -> None:
    chosen, window = BOARDS[board]
    told = await print_by("pty", program, tmp_path, replace(chosen, **EVERYTHING), window, COUNT)
    assert told.lost_lines
    assert told.lost_oks
    assert told.bad_lines


@ser2net
@pytest.mark.parametrize(("way", "board"), [("socket", "ADVANCED_OK"), ("rfc2217", "one line at a time")])
async def test_a_file_arrives_whole_over_the_network_although_everything_happens(
    way: str, board: str, program: Path, tmp_path: Path
) -> None:
    chosen, window = BOARDS[board]
    await print_by(way, program, tmp_path, replace(chosen, **EVERYTHING), window, COUNT)
