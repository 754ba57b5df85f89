"""Other programs at a printer of ours, through a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from grp import getgrgid
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import Conflict, LimpetError, SettingsError
from limpet.fleet import Fleet
from limpet.passthrough import Passthrough
from limpet.printer.printer import Printer
from limpet.printer.state import State
from limpet.printer.subscription import MAX_UNREAD
from limpet.protocol.commands import number_line
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.service import open_passthroughs
from limpet.settings import Reset
from limpet.settings_file import SettingsFile
from limpet.transports.memory import MemoryTransport, open_memory
from limpet.transports.ports import PortList
from limpet.transports.urls import VIRTUAL
from tests.printer.rig import QUICK, TO_VIRTUAL, at_most, connected, eventually, nothing_left, passed, ports_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


class Guest:
    """A program at the other end of the link; `lines` has what it has heard and not taken out yet."""

    def __init__(self, link: Path) -> None:
        self.descriptor = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.lines: deque[str] = deque()
        self._rest = b""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.descriptor, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.descriptor, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.deafen()
            self.lines.append("hung up")
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines.extend(line.decode() for line in lines)
        self._news.set()

    def says(self, *lines: str) -> None:
        os.write(self.descriptor, "".join(f"{line}\n" for line in lines).encode())

    async def hears(self, start: str, within: float = 5.0) -> str:
        """The next line that starts like this."""
        async with asyncio.timeout(within):
            while True:
                while self.lines:
                    line = self.lines.popleft()
                    if line.startswith(start):
                        return line
                self._news.clear()
                await self._news.wait()

    async def prints(self, lines: list[str]) -> int:
        """Print as Printrun does: numbered, the next line after an ok, again from where it is asked to; counts oks."""
        lines, number, oks = ["M110 N0", *lines], 0, 0
        while number < len(lines):
            os.write(self.descriptor, number_line(number, lines[number]))
            number += 1
            while not (line := await self.hears("")).startswith("ok"):
                if line.startswith("Resend:"):
                    number = int(line.partition(":")[2])
            oks += 1
        return oks

    def deafen(self) -> None:
        asyncio.get_running_loop().remove_reader(self.descriptor)

    def close(self) -> None:
        self.deafen()
        os.close(self.descriptor)


class Bench:
    """A printer at VIRTUAL with a pass-through at `link`."""

    def __init__(self, link: Path, **options: Any) -> None:
        self._options = VirtualPrinterOptions(**{"boot_time": 0.0, "instant": True, **options})
        self.virtual: MemoryTransport
        self.printer = Printer("one", ports_of(), {VIRTUAL: self._open}, patience=QUICK)
        self.passthrough = Passthrough(self.printer, link)
        self.guest: Guest

    async def _open(self, _: str, baudrate: int, receiver: asyncio.Protocol, _reset: Reset) -> MemoryTransport:
        self.virtual = await open_memory(self._options, receiver, baudrate)
        return self.virtual

    def accepted(self, start: str) -> list[str]:
        """What the printer has carried out of what starts like this."""
        return [command for command in self.virtual.printer.accepted if command.startswith(start)]

    async def answers_others(self) -> None:
        """A command that did not come by the mirror is carried out within a second."""
        self.printer.send("M117 others")
        with at_most(1.0):
            await eventually(lambda: self.accepted("M117 others"))


@asynccontextmanager
async def bench_at(link: Path, **options: Any) -> AsyncIterator[Bench]:
    async with nothing_left():
        bench = Bench(link, **options)
        await connected(bench.printer, **TO_VIRTUAL)
        bench.guest = Guest(link)
        try:
            yield bench
        finally:
            bench.guest.close()
            bench.passthrough.close()
            await bench.printer.disconnect()


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
async def bench(link: Path) -> AsyncIterator[Bench]:
    async with bench_at(link) as bench:
        yield bench


# -- one guest --


async def test_a_guest_gets_the_answer_and_then_the_ok(bench: Bench) -> None:
    bench.guest.says("M115")
    assert "Marlin" in await bench.guest.hears("FIRMWARE_NAME:")
    assert await bench.guest.hears("ok") == "ok"
    bench.guest.says("M105")
    assert (await bench.guest.hears("ok")).startswith("ok T:21.30 /0.00")


async def test_300_lines_go_through_once_and_in_order_between_commands_of_others_over_a_bad_line(link: Path) -> None:
    lines = [f"M117 line {n}" for n in range(300)]
    async with bench_at(link, lose_ok_every=200, wrong_checksum_every=23, resend_every=31) as bench:

        async def interfere() -> None:
            for n in range(1000):
                with suppress(Conflict):  # the queue is full while the line is stuck
                    bench.printer.send("M105", f"M117 other {n}")
                await asyncio.sleep(0.02)

        others = asyncio.create_task(interfere())
        async with asyncio.timeout(30):
            assert await bench.guest.prints(lines) == 301
        others.cancel()
        await eventually(lambda: bench.accepted("M117 line") == lines)
        assert len(bench.accepted("M117 other")) > 10
        assert not [line for line in bench.guest.lines if line.startswith("ok")]


async def test_the_ok_waits_for_the_printer(link: Path) -> None:
    async with bench_at(link, instant=False) as bench:
        clock = asyncio.get_running_loop().time
        start = clock()
        bench.guest.says("G4 P200")
        await bench.guest.hears("ok")
        assert clock() - start >= 0.2


async def test_an_m112_overtakes_what_the_guest_has_waiting(link: Path) -> None:
    async with bench_at(link, instant=False) as bench:
        bench.guest.says("G4 P100", *["M117 later"] * 8, "M112")
        await eventually(lambda: bench.accepted("M112"))
        assert bench.accepted("M117") == []


async def test_what_comes_by_the_mirror_is_in_the_log_of_the_wire(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "limpet.wire")
    bench.guest.says("M117 hello")
    await bench.guest.hears("ok")
    said = [record.getMessage() for record in caplog.records]
    assert "one mirror > M117 hello" in said
    assert any(line.startswith("one > N") and "M117 hello" in line for line in said)


async def test_a_shell_can_write_a_command_to_it(link: Path, bench: Bench) -> None:
    await asyncio.to_thread(link.write_text, "M117 from a shell\n")
    await eventually(lambda: bench.accepted("M117") == ["M117 from a shell"])


async def test_a_file_can_be_copied_to_it(link: Path) -> None:
    lines = [f"G1 X{n % 200} Y{n % 180} F3000" for n in range(2000)]
    async with bench_at(link) as bench:
        bench.guest.close()
        await asyncio.to_thread(link.write_text, "\n".join(lines) + "\n")
        await eventually(lambda: bench.accepted("G1") == lines, 10)
        bench.guest = Guest(link)


# -- a printer that is not there --


async def test_without_a_printer_a_command_is_an_error_and_nothing_is_kept_for_later(bench: Bench) -> None:
    await bench.printer.disconnect()
    bench.guest.lines.clear()
    bench.guest.says("M117 too early")
    assert await bench.guest.hears("") == "Error:The printer is not operational"
    assert await bench.guest.hears("") == "ok"
    await connected(bench.printer, **TO_VIRTUAL)
    bench.guest.says("M117 now")
    await eventually(lambda: bench.accepted("M117"))
    assert bench.accepted("M117") == ["M117 now"]


async def test_a_printer_that_goes_away_answers_what_it_had_taken_with_an_error(link: Path) -> None:
    async with bench_at(link, gone_after=8) as bench:
        bench.guest.says(*["G28"] * 10)
        assert "unplugged" in await bench.guest.hears("Error:")
        await eventually(lambda: bench.printer.snapshot.state is not State.OPERATIONAL)


async def test_a_print_does_not_go_on_after_a_reset_of_the_printer(bench: Bench) -> None:
    os.write(bench.guest.descriptor, number_line(1, "M117 line 1"))
    await bench.guest.hears("ok")
    events = bench.printer.subscribe()
    bench.printer.send("!!DEBUG:reset")
    await passed(events, State.CONNECTING, State.OPERATIONAL)
    events.close()
    await bench.guest.hears("start")
    os.write(bench.guest.descriptor, number_line(2, "M117 line 2"))
    assert "has restarted" in await bench.guest.hears("Error:")
    bench.guest.says("M117 by hand")
    await eventually(lambda: bench.accepted("M117 by hand"))
    assert bench.accepted("M117 line") == ["M117 line 1"]


# -- guests that are not nice --


async def flood(guest: Guest, data: bytes, times: int) -> None:
    for _ in range(times):
        with suppress(BlockingIOError):
            os.write(guest.descriptor, data)
        await asyncio.sleep(0)


@pytest.mark.parametrize("noise", [b"\xff\x00\x1b" * 1000, b"G1" * 1500, b"N5 G28*1\n" * 300, b"\n" * 3000])
async def test_garbage_slows_nobody_and_is_no_command(bench: Bench, noise: bytes) -> None:
    for _ in range(5):
        await flood(bench.guest, noise, 100)
        await bench.answers_others()
    await eventually(lambda: _says(bench.guest, b"\nM117 still here\n"))
    await eventually(lambda: bench.accepted("M117 still here"))
    assert {command[:4] for command in bench.virtual.printer.accepted} <= {
        "M105",
        "M110",
        "M115",
        "M117",
        "M155",
        "M20 ",
        "M27",
    }


async def test_a_flood_of_commands_leaves_room_for_others(bench: Bench) -> None:
    for _ in range(5):
        await flood(bench.guest, b"G1 X1\n" * 100, 100)
        await bench.answers_others()


async def test_a_guest_that_is_faster_than_the_printer_has_to_wait(link: Path) -> None:
    async with bench_at(link, instant=False) as bench:
        bench.guest.says("G4 P300")
        taken = 0
        while _says(bench.guest, b"M117\n"):
            taken += 5
            assert taken < 100_000
            await asyncio.sleep(0)
        await eventually(lambda: len(bench.accepted("M117")) >= taken // 5)


async def test_a_guest_that_has_left_costs_nothing(bench: Bench) -> None:
    bench.guest.says("M117")
    await bench.guest.hears("ok")
    bench.guest.close()
    await asyncio.sleep(0.05)
    before = time.process_time()
    await asyncio.sleep(0.3)
    assert time.process_time() - before < 0.1
    bench.guest = Guest(bench.passthrough.link)


async def test_a_guest_that_does_not_read_is_not_waited_for_and_may_read_again(bench: Bench) -> None:
    bench.guest.deafen()
    taken = -1
    while len(bench.accepted("M115")) > taken:
        taken = len(bench.accepted("M115"))
        await flood(bench.guest, b"M115\n" * 100, 100)
        await bench.answers_others()
    assert taken > 10
    asyncio.get_running_loop().add_reader(bench.guest.descriptor, bench.guest._read)
    await eventually(lambda: len(bench.accepted("M115")) > taken)


async def test_a_guest_that_reads_late_misses_no_answer(bench: Bench) -> None:
    bench.guest.deafen()
    asked = 0
    while _says(bench.guest, b"M110 N0\n" * 50):
        asked += 50
        assert asked < 100_000
        await asyncio.sleep(0.001)
    asyncio.get_running_loop().add_reader(bench.guest.descriptor, bench.guest._read)
    # There is an answer to each, though the last write may have been cut short.
    await eventually(lambda: sum(line == "ok" for line in bench.guest.lines) >= asked)


async def test_a_guest_that_comes_and_goes_disturbs_nothing(link: Path, bench: Bench) -> None:
    bench.guest.close()
    for _ in range(50):
        guest = Guest(link)
        guest.says("M105", "N1 half a l")
        guest.close()
        await asyncio.sleep(0)
    bench.guest = Guest(link)
    await bench.answers_others()
    await eventually(lambda: _says(bench.guest, b"M117 here\n"))
    await eventually(lambda: bench.accepted("M117 here"))


async def test_the_next_guest_does_not_hear_what_the_last_one_has_not_read(link: Path, bench: Bench) -> None:
    bench.guest.deafen()
    bench.guest.says("M115")
    await eventually(lambda: bench.accepted("M115")[1:])
    await bench.answers_others()
    bench.guest.close()
    bench.guest = Guest(link)
    await eventually(lambda: _says(bench.guest, b"M118 mine\n"))
    assert await bench.guest.hears("") == "mine"


async def test_so_much_at_once_that_it_cannot_be_followed_is_told_and_it_goes_on(link: Path) -> None:
    async with bench_at(link, instant=False) as bench:
        bench.guest.says("G4 P500")
        await eventually(lambda: bench.accepted("G4"))
        bench.virtual._receiver.data_received(b"echo:flood\n" * 2 * MAX_UNREAD)
        assert "could not follow" in await bench.guest.hears("Error:")
        assert await bench.guest.hears("ok") == "ok"
        bench.guest.says("M117 next")
        await bench.guest.hears("ok")
        assert bench.accepted("M117") == ["M117 next"]


def _says(guest: Guest, data: bytes) -> bool:
    """Whether there was room for it."""
    try:
        return os.write(guest.descriptor, data) == len(data)
    except BlockingIOError:
        return False


# -- who may use it, and where it is --


async def test_closing_hangs_up_and_removes_the_link(bench: Bench, link: Path) -> None:
    bench.passthrough.close()
    await bench.guest.hears("hung up")
    assert not is_there(link)
    bench.passthrough.close()
    await bench.answers_others()


async def test_with_its_printer_it_goes_too(bench: Bench, link: Path) -> None:
    await bench.printer.remove()
    await bench.guest.hears("hung up")
    await eventually(lambda: not is_there(link))


async def test_closing_while_a_guest_does_not_read_leaves_nothing_behind(bench: Bench) -> None:
    bench.guest.deafen()
    master = bench.passthrough._terminal.master
    await flood(bench.guest, b"M115\n" * 100, 100)
    await bench.answers_others()
    bench.passthrough.close()
    loop = asyncio.get_running_loop()
    assert not loop.remove_writer(master)
    assert not loop.remove_reader(master)


def is_there(link: Path) -> bool:
    return link.is_symlink()


def access(device: str | Path) -> tuple[int, int]:
    """Mode and group."""
    status = Path(device).stat()
    return stat.S_IMODE(status.st_mode), status.st_gid


def opens(device: str, group: int) -> bool:
    """Whether user nobody, in this group, may open the device."""
    shell = ["/bin/sh", "-c", 'exec 3<>"$0"', device]
    return not subprocess.run(shell, user=65534, group=group, extra_groups=[], stderr=subprocess.DEVNULL).returncode


@needs_root
async def test_nobody_else_may_open_it(bench: Bench) -> None:
    assert access(bench.passthrough.device)[0] == 0o600
    assert not opens(bench.passthrough.device, group=65534)


@needs_root
async def test_a_group_may_open_it_and_others_may_not(link: Path) -> None:
    passthrough = Passthrough(Printer("one", ports_of(), {}), link, group=20)
    assert access(passthrough.device) == (0o660, 20)
    assert opens(passthrough.device, group=20)
    assert not opens(passthrough.device, group=65534)
    passthrough.close()


@pytest.fixture
def precious(link: Path) -> Iterator[Path]:
    """A file at the place of the link, which is the same afterwards."""
    link.write_text("precious")
    yield link
    assert link.read_text() == "precious"


async def test_a_place_that_is_taken_is_refused_and_nothing_is_left(precious: Path) -> None:
    async with nothing_left():
        with pytest.raises(LimpetError, match="is there already"):
            Passthrough(Printer("one", ports_of(), {}), precious)


# -- from the settings --


@asynccontextmanager
async def started(folder: Path, *settings: str) -> AsyncIterator[Fleet]:
    """A fleet with the pass-throughs that these settings of the printer `mini` want."""
    file = SettingsFile(folder / "limpet.toml")
    file.path.write_text("\n".join(["[printers.mini]", *settings, "[printers.big]"]))
    fleet = Fleet(file, file.load(), {})
    with ExitStack() as opened:
        open_passthroughs(file, fleet, opened)
        yield fleet


async def test_without_the_setting_there_is_none(tmp_path: Path) -> None:
    async with started(tmp_path) as fleet:
        assert [len(printer._subscriptions) for printer in fleet] == [0, 0]


async def test_the_setting_makes_the_link_for_as_long_as_the_server_runs(tmp_path: Path, link: Path) -> None:
    async with started(tmp_path, f'passthrough = "{link}"'):
        guest = Guest(link)
        guest.says("M105")
        assert await guest.hears("Error:") == "Error:The printer is not operational"
        guest.close()
    assert not is_there(link)


async def test_the_group_of_the_setting_may_use_it(tmp_path: Path, link: Path) -> None:
    group = os.getgid()
    async with started(tmp_path, f'passthrough = "{link}"', f'passthrough_group = "{getgrgid(group).gr_name}"'):
        assert access(link) == (0o660, group)


async def test_a_group_that_there_is_not_is_told_with_its_place(tmp_path: Path, link: Path) -> None:
    with pytest.raises(SettingsError, match=r"limpet.toml, line 3: printers.mini.passthrough_group: .*'no-such-group'"):
        async with started(tmp_path, f'passthrough = "{link}"', 'passthrough_group = "no-such-group"'):
            pass
    assert not is_there(link)


async def test_a_link_that_cannot_be_made_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"limpet.toml, line 2: printers.mini.passthrough: .*nowhere/link"):
        async with started(tmp_path, f'passthrough = "{tmp_path}/nowhere/link"'):
            pass


async def test_it_is_no_port_to_connect_to(tmp_path: Path, link: Path) -> None:
    ports = PortList(added=["/dev/pts/*", str(link)], own=[str(link)], virtual=False)
    with_others = PortList(added=["/dev/pts/*", str(link)], virtual=False)
    passthrough = Passthrough(Printer("one", ports_of(), {}), link)
    assert passthrough.device in [port.device for port in with_others.look()]
    assert passthrough.device not in [port.device for port in ports.look()]
    passthrough.close()
