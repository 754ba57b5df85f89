"""What goes wrong while a printer is connected, or is about to be; docs/faults.md has the whole list."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import socket
import termios
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from limpet.printer import link as link_module
from limpet.printer.connection import Target
from limpet.printer.printer import Printer
from limpet.printer.state import Snapshot, State
from limpet.protocol import patience
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from limpet.transports.holders import is_open_here
from limpet.transports.ports import PortList
from tests.printer.rig import (
    QUICK,
    TO_VIRTUAL,
    answered,
    at_most,
    connected,
    device_at,
    eventually,
    failed,
    failure,
    garbage,
    held,
    nothing_left,
    one_printer,
    operational,
    passed,
    printer_at,
    printer_process,
    sensor,
    sent,
    states,
)

HUNG = replace(QUICK, opening=10.0)
PRINT = ("M21", "M28 A.GCO", *["G4 P300"] * 20, "M29", "M23 A.GCO", "M24")


class Board:
    """A printer with power of its own: it goes on while its cable is out. `noise` comes on top of what it says."""

    def __init__(self, noise: bytes = b"") -> None:
        self.noise = noise
        self._clock = asyncio.get_running_loop().time
        self.printer = VirtualPrinter(VirtualPrinterOptions(boot_time=0.0))
        self.printer.reset(self._clock())

    def hears(self, data: bytes) -> None:
        self.printer.receive_data(data, self._clock())

    def says(self) -> bytes:
        self.printer.handle_timer(self._clock())
        return self.printer.data_to_send() + self.noise


# -- what a printer says --


@pytest.mark.parametrize("end", [b"\n", b""])
async def test_a_flood_of_garbage_is_counted_changes_nothing_and_fills_no_memory(link: Path, end: bytes) -> None:
    board = Board()
    async with device_at(link, board.says, board.hears), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        await eventually(lambda: printer.snapshot.sd_files)
        before = printer.snapshot
        board.noise = bytes(random.Random(1).choices(range(0x80, 0x100), k=3000)) + end
        await unreadable(printer, at_least=50_000)
        tracemalloc.start()
        try:
            await unreadable(printer, at_least=200_000)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert grown < 120_000  # What is kept to be shown: the last lines, each of 1,024 bytes at most.
        printer.send("M118 still there")
        await eventually(lambda: "M118 still there" in board.printer.accepted)
        assert without_temperatures(printer.snapshot) == without_temperatures(before)


async def unreadable(printer: Printer, at_least: int) -> None:
    await eventually(lambda: (now := printer.figures()) is not None and now.unreadable_bytes >= at_least)


def without_temperatures(now: Snapshot) -> Snapshot:
    return replace(now, temperatures={})


@pytest.mark.parametrize(
    "line", ["Error:Probing Failed", "!! Must home axis first", "// something else", "echo:words nobody knows", "?"]
)
async def test_a_complaint_and_words_that_nobody_knows_end_nothing(printer: Printer, line: str) -> None:
    await connected(printer, **TO_VIRTUAL)
    await eventually(lambda: printer.snapshot.sd_files)
    before, events = printer.snapshot, printer.subscribe()
    printer.send(f"!!DEBUG:send {line}")
    await answered(printer)
    assert await states(events) == []
    assert without_temperatures(printer.snapshot) == without_temperatures(before)


async def test_a_printer_that_asks_for_the_same_line_for_ever_is_told_and_taken_up_again(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    printer.send("!!DEBUG:rerequest_last", "M118 once more")
    now = await failed(printer, "resend_loop")
    assert failure(now).waiting
    assert failure(now).traffic[-1].startswith(("< Resend:", "< Error:", "< ok"))
    await operational(printer)


async def test_a_printer_that_restarts_without_a_word_does_nothing_twice() -> None:
    async with nothing_left(), one_printer(banner=False) as printer:
        await connected(printer, **TO_VIRTUAL)
        printer.send("G28", "M104 S50")
        await answered(printer)
        events = printer.subscribe()
        printer.send("!!DEBUG:reset")
        await passed(events, State.CONNECTING, State.OPERATIONAL)
        await answered(printer)
        lines = await sent(events)
        assert not any(word in lines for word in ("G28", "M104"))


# -- a printer that hangs, and a host that sleeps --


async def test_a_printer_that_hangs_is_suspected_given_up_and_taken_up_when_it_goes_on(
    link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENCE", 1.5)
    with printer_process(link) as process:
        async with one_printer(link) as printer:
            await connected(printer, port=str(link), baudrate=115200)
            await eventually(lambda: printer.snapshot.sd_files)
            await answered(printer)
            process.send_signal(signal.SIGSTOP)
            printer.send("M114")
            await eventually(lambda: (now := printer.figures()) is not None and now.suspect, within=15.0)
            now = await failed(printer, "timeout", within=15.0)
            assert "M114" in failure(now).fault.message
            assert failure(now).waiting
            assert failure(await failed(printer, "no_answer", within=15.0)).waiting
            process.send_signal(signal.SIGCONT)
            await operational(printer, within=15.0)


async def test_a_host_that_has_slept_hears_what_it_was_told_meanwhile(
    link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENCE", 0.5)
    with printer_process(link) as process:
        async with one_printer(link) as printer:
            await connected(printer, port=str(link), baudrate=115200)
            await answered(printer)
            events = printer.subscribe()
            printer.send("M114")
            time.sleep(1.0)  # noqa: ASYNC251 - the whole host is asleep, its printer is not
            await answered(printer)
            assert await states(events) == []
            assert process.poll() is None


# -- a port that takes no more bytes --


@contextmanager
def wedged(port: Path) -> Iterator[None]:
    """The kernel takes no byte for this terminal, as when a device or its driver hangs."""
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        termios.tcflow(descriptor, termios.TCOOFF)
        yield
        termios.tcflow(descriptor, termios.TCOON)
    finally:
        os.close(descriptor)


async def test_a_port_that_takes_no_more_bytes_is_told_and_taken_up_when_it_does(
    link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "WRITE_STALL", 0.2)
    async with printer_at(link), nothing_left(), one_printer(link) as printer:
        await connected(printer, port=str(link), baudrate=115200)
        await answered(printer)
        with wedged(link):
            printer.send("M114")
            with at_most(1.0):
                now = await failed(printer, "write_stalled")
            assert failure(now).waiting
        await operational(printer)


# -- a cable that is pulled while the printer prints --


async def test_a_print_from_the_card_goes_on_without_the_cable_and_is_found_again(link: Path) -> None:
    board = Board()
    async with one_printer(link) as printer:
        async with device_at(link, board.says, board.hears):
            await connected(printer, port=str(link), baudrate=115200)
            printer.send(*PRINT, "M27")
            await eventually(lambda: printer.is_printing)
            printer.send("M104 S200")
        await failed(printer, "unplugged")
        assert not printer.is_printing
        events = printer.subscribe()
        async with device_at(link, board.says, board.hears):
            await operational(printer)
            await eventually(lambda: printer.is_printing)
            said = await sent(events)
            assert not any(word in said for word in ("G28", "M104", "M24", "M25", "M112"))
            await printer.disconnect()


# -- ports that somebody else has, or that hang --


async def test_a_port_that_was_busy_is_not_waited_for_and_can_be_connected_to_when_it_is_free(link: Path) -> None:
    async with printer_at(link), one_printer(link) as printer:
        with held(link):
            printer.connect(Target(port=str(link), baudrate=115200))
            assert not failure(await failed(printer, "port_busy")).waiting
        await connected(printer, port=str(link), baudrate=115200)


async def test_a_disconnect_during_detection_frees_every_port_within_a_second(tmp_path: Path) -> None:
    links = [tmp_path / name for name in ("silent", "sensor", "garbage", "booting")]
    async with (
        device_at(links[0]),
        device_at(links[1], sensor),
        device_at(links[2], garbage()),
        printer_at(links[3], boot_time=60.0),
        nothing_left(),
        one_printer(*links) as printer,
    ):
        printer.connect(Target())
        await eventually(lambda: all(is_open_here(str(link)) for link in links))
        with at_most(1.0):
            await printer.disconnect()
        assert all(is_free(link) for link in links)
        assert printer.snapshot.state is State.OFFLINE


def is_free(port: Path) -> bool:
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def host_that_answers_nobody() -> Iterator[str]:
    """A TCP port whose queue is full: who connects gets neither a yes nor a no."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for guest in (first, second):
            guest.setblocking(False)
            guest.connect_ex(listener.getsockname())
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("then", ["disconnect", "connect"])
async def test_an_opening_that_hangs_is_ended_by_a_disconnect_or_by_another_connect(then: str) -> None:
    with host_that_answers_nobody() as url:
        ports = PortList(added=[url], sys_root=Path("/nowhere"))
        async with nothing_left(), one_printer(ports=ports, patience=HUNG) as printer:
            printer.connect(Target(port=url, baudrate=115200))
            await asyncio.sleep(0.2)
            assert printer.snapshot.state is State.OPENING
            with at_most(1.0):
                if then == "disconnect":
                    await printer.disconnect()
                else:
                    await connected(printer, **TO_VIRTUAL)
            assert printer.snapshot.state is (State.OFFLINE if then == "disconnect" else State.OPERATIONAL)
