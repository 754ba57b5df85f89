"""A link between a session and a transport: the virtual printer in memory, and a port that does as it is told."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest

from limpet.errors import PortError
from limpet.printer import link as link_module
from limpet.printer.link import MAX_KEPT, TRAFFIC, Link
from limpet.protocol.commands import Command
from limpet.protocol.events import (
    Acknowledged,
    ActionRequested,
    Event,
    FirmwareIdentified,
    LineReceived,
    LineSent,
    PrinterRestarted,
    SessionEnded,
    SessionOpened,
)
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.transports.memory import MemoryTransport, open_memory
from tests.printer.rig import alarms, at_most, eventually, nothing_left

HELLO = "> N0 M110 N0*125"


class Port:
    """A transport whose other end is the test; while `stuck` it takes nothing, and it may not let itself be closed."""

    def __init__(self, link: Link, *, closes: bool = True) -> None:
        self.link, self.closes = link, closes
        self.stuck = False
        self.taken = b""
        self.unsent = b""
        self.high = 65536
        self.rates: list[int] = []
        self.aborted = False
        link.attach(self, "/dev/fake", 115200)

    def write(self, data: bytes) -> None:
        was = len(self.unsent)
        self.unsent += data
        if not self.stuck:
            self.take(len(self.unsent))
        elif was <= self.high < len(self.unsent):
            self.link.pause_writing()

    def take(self, count: int) -> None:
        was = len(self.unsent)
        self.taken += self.unsent[:count]
        self.unsent = self.unsent[count:]
        if was > self.high and not self.unsent:
            self.link.resume_writing()

    def lines(self) -> list[str]:
        return self.taken.decode().split("\n")

    def says(self, *lines: str) -> None:
        self.link.data_received("".join(f"{line}\n" for line in lines).encode())

    def answers_the_greeting(self) -> None:
        self.says("ok")
        self.says("FIRMWARE_NAME:Marlin 2.1", "ok")
        self.says("ok T:20 /0 B:20 /0")

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.aborted:
            self.aborted = True
            asyncio.get_running_loop().call_soon(self.link.connection_lost, None)

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = 65536 if high is None else high

    async def set_baudrate(self, baudrate: int) -> None:
        self.rates.append(baudrate)

    async def wait_closed(self) -> None:
        if not self.closes:
            await asyncio.Event().wait()


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    link = Link()
    yield link
    await link.close()


@pytest.fixture
def port(link: Link) -> Port:
    return Port(link)


async def to_virtual_printer(link: Link, **options: Any) -> MemoryTransport:
    options = {"boot_time": 0.0} | options
    transport = await open_memory(VirtualPrinterOptions(**options), link, 115200)
    link.attach(transport, "VIRTUAL", 115200)
    return transport


async def greeted(link: Link, port: Port) -> None:
    """Our hello is out, the session waits for an answer."""
    link.greet()
    await eventually(lambda: HELLO in link.traffic)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def nothing() -> None:
    """A source of commands that has none."""


# -- events and commands --


async def test_a_greeting_is_told_in_the_order_in_which_it_happens(link: Link) -> None:
    events: list[Event] = []
    link.adopt(events.append, nothing)
    await to_virtual_printer(link)
    link.greet()
    async with asyncio.timeout(5):
        await link.opened
    order = [kinds(events).index(kind) for kind in (LineSent, Acknowledged, FirmwareIdentified, SessionOpened)]
    assert order == sorted(order)
    assert not link.ended.done()


async def test_a_line_is_told_before_what_it_means(link: Link, port: Port) -> None:
    events: list[Event] = []
    link.adopt(events.append, nothing)
    await greeted(link, port)
    port.says("ok")
    assert kinds(events) == [LineSent, LineReceived, Acknowledged, LineSent]


async def test_until_it_is_adopted_a_link_keeps_its_events_and_sends_nothing_of_its_own_accord(
    link: Link, port: Port
) -> None:
    await greeted(link, port)
    port.answers_the_greeting()
    assert link.opened.done()
    events: list[Event] = []
    commands = deque([Command("G28")])
    link.adopt(events.append, lambda: commands.popleft() if commands else None)
    assert events[0] == LineSent("N0 M110 N0*125")
    opened = kinds(events).index(SessionOpened)
    sent = [place for place, event in enumerate(events) if isinstance(event, LineSent) and "G28" in event.line]
    assert sent == [len(events) - 1]
    assert sent[0] > opened


async def test_what_a_link_keeps_has_an_end(link: Link, port: Port) -> None:
    await greeted(link, port)
    port.answers_the_greeting()
    for number in range(2 * MAX_KEPT):
        port.says(f"chatter {number}")
    events: list[Event] = []
    link.adopt(events.append, nothing)
    assert len([event for event in events if isinstance(event, LineReceived)]) <= MAX_KEPT
    assert LineReceived(f"chatter {2 * MAX_KEPT - 1}") in events


async def test_a_source_of_commands_is_emptied_as_the_printer_takes_them(link: Link) -> None:
    transport = await to_virtual_printer(link, instant=True)
    link.greet()
    await link.opened
    wanted = [f"G1 X{number}" for number in range(100)]
    commands = deque(map(Command, wanted))
    link.adopt(lambda event: None, lambda: commands.popleft() if commands else None)
    await eventually(lambda: [command for command in transport.printer.accepted if command[:2] == "G1"] == wanted)


async def test_a_command_is_taken_only_when_there_is_room_for_it(link: Link, port: Port) -> None:
    commands = deque([Command("G1 X1"), Command("G1 X2"), Command("G1 X3")])
    link.adopt(lambda event: None, lambda: commands.popleft() if commands else None)
    await greeted(link, port)
    port.answers_the_greeting()
    assert list(commands) == [Command("G1 X2"), Command("G1 X3")]
    port.says("ok")
    assert list(commands) == [Command("G1 X3")]


async def test_the_next_line_is_out_before_an_ok_is_told_and_after_all_else_is(link: Link, port: Port) -> None:
    """The printer waits for the one; but what it asks for may be that nothing more comes."""
    commands = deque([Command("G1 X1"), Command("G1 X2"), Command("G1 X3")])
    told: list[tuple[str, bool]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, LineReceived):
            told.append((event.line, Command("G1 X2") in commands))
        if isinstance(event, ActionRequested):
            commands.clear()

    link.adopt(on_event, lambda: commands.popleft() if commands else None)
    await greeted(link, port)
    port.answers_the_greeting()
    assert list(commands) == [Command("G1 X2"), Command("G1 X3")]
    told.clear()
    port.says("ok")
    assert told == [("ok", False)]
    port.says("//action:pause\nok")
    assert b"X3" not in port.taken


async def test_a_command_that_comes_later_goes_out_when_the_link_is_woken(link: Link, port: Port) -> None:
    commands: deque[Command] = deque()
    link.adopt(lambda event: None, lambda: commands.popleft() if commands else None)
    await greeted(link, port)
    port.answers_the_greeting()
    commands.append(Command("M118 late"))
    assert "M118" not in port.taken.decode()
    link.wake()
    assert "M118 late" in port.taken.decode()


async def test_a_lost_ok_is_repaired_by_hand(link: Link, port: Port) -> None:
    commands = deque([Command("G28"), Command("M84")])
    link.adopt(lambda event: None, lambda: commands.popleft() if commands else None)
    await greeted(link, port)
    port.answers_the_greeting()
    link.repair()
    assert "M84" in port.taken.decode()


async def test_the_last_lines_of_both_directions_are_kept(link: Link, port: Port) -> None:
    await greeted(link, port)
    assert list(link.traffic) == [HELLO]
    port.says("hello")
    assert link.traffic[-1] == "< hello"
    for number in range(2 * TRAFFIC):
        port.says(f"chatter {number}")
    assert list(link.traffic) == [f"< chatter {number}" for number in range(TRAFFIC, 2 * TRAFFIC)]


async def test_a_reset_of_the_printer_leads_to_a_new_greeting_on_the_same_link(link: Link, port: Port) -> None:
    events: list[Event] = []
    link.adopt(events.append, nothing)
    await greeted(link, port)
    port.answers_the_greeting()
    port.says("start")
    assert PrinterRestarted in kinds(events)
    await eventually(lambda: port.lines()[-2] == "N0 M110 N0*125")
    port.answers_the_greeting()
    assert kinds(events).count(SessionOpened) == 2
    assert not link.ended.done()


# -- how it ends --


async def test_a_greeting_that_nobody_answers_fails(link: Link, port: Port) -> None:
    link.greet(time=0.05)
    with pytest.raises(PortError) as failure:
        await link.opened
    assert failure.value.fault.code == "no_answer"
    assert not link.ended.done()


async def test_a_halted_firmware_ends_an_open_link(link: Link, port: Port) -> None:
    events: list[Event] = []
    link.adopt(events.append, nothing)
    await greeted(link, port)
    port.answers_the_greeting()
    port.says("Error:Printer halted. kill() called!")
    assert link.ended.result().code == "firmware_halted"
    assert isinstance(events[-1], SessionEnded)
    port.says("ok", "still talking")
    assert isinstance(events[-1], SessionEnded)


async def test_an_unplugged_port_ends_an_open_link(link: Link, port: Port) -> None:
    await greeted(link, port)
    port.answers_the_greeting()
    link.connection_lost(OSError(errno.EIO, "Input/output error"))
    assert link.ended.result().code == "unplugged"
    assert "the device is not there any more" in link.ended.result().message


async def test_an_unplugged_port_ends_a_greeting(link: Link, port: Port) -> None:
    link.greet()
    link.connection_lost(None)
    with pytest.raises(PortError) as failure:
        await link.opened
    assert failure.value.fault.code == "unplugged"
    assert link.ended.done()


async def test_a_greeting_on_a_lost_port_fails_at_once(link: Link, port: Port) -> None:
    link.connection_lost(None)
    link.greet()
    with pytest.raises(PortError) as failure:
        await link.opened
    assert failure.value.fault.code == "unplugged"
    assert port.taken == b""


@pytest.fixture
def short_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "WRITE_STALL", 0.05)


@pytest.mark.usefixtures("short_stall")
async def test_a_port_that_takes_no_byte_is_given_up(link: Link, port: Port) -> None:
    await greeted(link, port)
    port.answers_the_greeting()
    port.stuck = True
    link.adopt(lambda event: None, iter([Command("G28")]).__next__)
    async with asyncio.timeout(1):
        reason = await link.ended
    assert reason.code == "write_stalled"


@pytest.mark.usefixtures("short_stall")
async def test_a_port_that_stalls_in_the_greeting_fails_it(link: Link, port: Port) -> None:
    port.stuck = True
    link.greet()
    with pytest.raises(PortError) as failure:
        async with asyncio.timeout(1):
            await link.opened
    assert failure.value.fault.code == "write_stalled"


@pytest.mark.usefixtures("short_stall")
async def test_a_port_that_is_merely_slow_is_not_given_up(link: Link, port: Port) -> None:
    port.stuck = True
    await greeted(link, port)
    for _ in range(len(port.unsent)):
        port.take(1)
        await asyncio.sleep(0.02)
    assert not link.ended.done()
    assert port.lines() == ["", "N0 M110 N0*125", ""]
    await asyncio.sleep(0.1)
    assert not link.ended.done()


# -- rates --


async def test_a_change_of_rate_forgets_what_was_heard_before(link: Link, port: Port) -> None:
    await greeted(link, port)
    port.says("\x80\x81 noise")
    await link.retune(250000)
    port.says("in between")
    await greeted(link, port)
    port.answers_the_greeting()
    events: list[Event] = []
    link.adopt(events.append, nothing)
    assert (port.rates, link.baudrate) == ([250000], 250000)
    heard = [event.line for event in events if isinstance(event, LineReceived)]
    assert heard == ["ok", "FIRMWARE_NAME:Marlin 2.1", "ok", "ok T:20 /0 B:20 /0"]


# -- closing --


@pytest.mark.parametrize("state", ["new", "greeting", "open", "stuck"])
async def test_a_closed_link_says_nothing_and_leaves_nothing(state: str) -> None:
    async with nothing_left():
        link, events = Link(), list[Event]()
        port = Port(link)
        link.adopt(events.append, nothing)
        if state != "new":
            await greeted(link, port)
        if state == "open":
            port.answers_the_greeting()
        if state == "stuck":
            port.stuck = True
            port.says("ok")
            assert alarms() > 0
        said = len(events)
        with at_most(0.1):
            await link.close()
        port.says("ok", "more")
        await asyncio.sleep(0)
        assert len(events) == said
        assert not link.ended.done()


async def test_a_port_that_cannot_be_closed_is_waited_for_less_than_a_second() -> None:
    async with nothing_left():
        link = Link()
        port = Port(link, closes=False)
        link.greet()
        with at_most(1.0):
            await link.close()
        assert port.aborted


async def test_the_virtual_printer_is_free_after_closing() -> None:
    async with nothing_left():
        link = Link()
        transport = await to_virtual_printer(link)
        link.greet()
        await link.opened
        await link.close()
        assert transport.is_closing()


async def test_closing_twice_is_closing_once(link: Link, port: Port) -> None:
    link.greet()
    await asyncio.gather(link.close(), link.close())
    await link.close()
