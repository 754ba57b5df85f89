from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from limpet.errors import Conflict
from limpet.printer.print import PrintEnded, SelectedFile
from limpet.printer.printer import Printer
from limpet.printer.recovery import place_of
from limpet.printer.state import State
from limpet.printer.target import Target
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from limpet.transports.memory import MemoryTransport
from limpet.transports.ports import PortList
from limpet.transports.urls import VIRTUAL
from tests.printer.rig import QUICK, TO_VIRTUAL, eventually

MOVES = [f"G1 X{n % 200}.5 Y{n % 180}.25 E{n / 100} F6000" for n in range(2000)]
LINES = ["; a part", "M104 S0", "G92 X0 Y0 Z0 E0", "G1 Z0.2 F300", *MOVES]
FILE = "\n".join(LINES).encode() + b"\n"
PART = SelectedFile(origin="local", path="part.gcode", name="part.gcode", display="part.gcode", size=len(FILE))


class Board(VirtualPrinter):
    """Opening its port does not restart it; `restart` does."""

    def __init__(self, options: VirtualPrinterOptions) -> None:
        self.booted = False
        super().__init__(options)

    def reset(self, now: float) -> None:
        if not self.booted:
            super().reset(now)
        self.booted = True


@pytest.fixture
def board() -> Board:
    return Board(VirtualPrinterOptions(boot_time=0.0, speed_factor=20.0))


@pytest.fixture
async def printer(board: Board) -> Printer:
    return await printer_with(board)


async def printer_with(board: Board) -> Printer:
    async def opened(_: str, baudrate: int, receiver: asyncio.Protocol, __: object) -> MemoryTransport:
        return MemoryTransport(board, receiver)

    printer = Printer("x", PortList(added=(), ignored=(), virtual=True), {VIRTUAL: opened}, patience=QUICK)
    await operational(printer)
    return printer


async def operational(printer: Printer) -> None:
    printer.connect(Target(**TO_VIRTUAL))
    await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)


async def lost_in_the_middle(printer: Printer, tmp_path: Path) -> PrintEnded:
    path = tmp_path / "part.gcode"
    path.write_bytes(FILE)
    printer.prints.start(PART, path.open("rb", buffering=0))
    await eventually(lambda: printer.snapshot.print is not None and printer.snapshot.print.line > 100)
    await printer.disconnect()
    ended = printer.snapshot.interrupted
    assert ended is not None
    assert 100 < ended.print.line < len(LINES)
    return ended


async def test_a_print_that_was_lost_goes_on_where_the_printer_is_and_is_whole(
    printer: Printer, board: Board, tmp_path: Path
) -> None:
    ended = await lost_in_the_middle(printer, tmp_path)
    await operational(printer)
    assert printer.snapshot.print is None  # Nothing goes on by itself.

    stream = (tmp_path / "part.gcode").open("rb", buffering=0)
    point = await place_of(printer, ended.print, stream)
    assert ended.print.line <= point.line <= ended.print.line + 20
    stream.seek(point.position)
    printer.prints.start(PART, stream, resume=point)
    await eventually(lambda: not printer.is_printing, within=30.0)

    assert printer.snapshot.last_print is not None
    assert printer.snapshot.last_print.outcome == "done"
    assert printer.snapshot.last_print.print.position == len(FILE)
    assert [command for command in board.accepted if command.startswith("G1 X")] == MOVES
    await printer.disconnect()


async def test_a_printer_that_was_restarted_is_told_from_one_that_kept_its_place(
    printer: Printer, board: Board, tmp_path: Path
) -> None:
    ended = await lost_in_the_middle(printer, tmp_path)
    board.booted = False
    await operational(printer)

    with (tmp_path / "part.gcode").open("rb", buffering=0) as file, pytest.raises(Conflict, match="just restarted"):
        await place_of(printer, ended.print, file)
    assert not printer.is_printing
    await printer.disconnect()


async def test_a_printer_that_says_ok_before_its_answer_is_waited_for(tmp_path: Path) -> None:
    printer = await printer_with(
        Board(VirtualPrinterOptions(boot_time=0.0, speed_factor=20.0, ok_before_output=True, throttle=0.002))
    )
    ended = await lost_in_the_middle(printer, tmp_path)
    await operational(printer)
    with (tmp_path / "part.gcode").open("rb", buffering=0) as file:
        point = await place_of(printer, ended.print, file)
    assert ended.print.line <= point.line <= ended.print.line + 20
    await printer.disconnect()


async def test_a_head_that_was_moved_is_noticed(printer: Printer, tmp_path: Path) -> None:
    ended = await lost_in_the_middle(printer, tmp_path)
    await operational(printer)
    printer.send("G1 X10.1 Y10.1 Z50")

    with (tmp_path / "part.gcode").open("rb", buffering=0) as file, pytest.raises(Conflict, match=r"X10\.1 Y10\.1 Z50"):
        await place_of(printer, ended.print, file)
    await printer.disconnect()


async def test_a_head_at_zero_is_that_of_a_printer_that_has_restarted_even_if_it_was_left_there(
    printer: Printer, tmp_path: Path
) -> None:
    (tmp_path / "part.gcode").write_bytes(b"G92 X0 Y0 Z0 E0\n" + b"G4 P10\n" * 1000)
    printer.prints.start(PART, (tmp_path / "part.gcode").open("rb", buffering=0))
    await eventually(lambda: printer.snapshot.print is not None and printer.snapshot.print.line > 10)
    await printer.disconnect()
    ended = printer.snapshot.interrupted
    assert ended is not None
    await operational(printer)
    with (tmp_path / "part.gcode").open("rb", buffering=0) as file, pytest.raises(Conflict, match="just restarted"):
        await place_of(printer, ended.print, file)
    await printer.disconnect()


async def test_a_print_whose_printer_has_restarted_is_not_offered(
    printer: Printer, board: Board, tmp_path: Path
) -> None:
    (tmp_path / "part.gcode").write_bytes(FILE)
    printer.prints.start(PART, (tmp_path / "part.gcode").open("rb", buffering=0))
    board.booted = False
    printer.send("!!DEBUG:reset")
    await eventually(lambda: printer.snapshot.last_print is not None)
    assert printer.snapshot.last_print is not None
    assert printer.snapshot.last_print.code == "reset"
    assert printer.snapshot.interrupted is None
    await printer.disconnect()
