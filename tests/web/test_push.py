"""Readers of the push, without a network: what waits for whom, and who is cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from limpet.keys import Key
from limpet.printer.print import SelectedFile
from limpet.printer.printer import Printer
from limpet.printer.state import FileSelected, SettingsChanged
from limpet.protocol.events import LineReceived, TemperaturesReported
from limpet.web import push as module
from limpet.web.hub import INTERVAL, MAX_LINES
from limpet.web.push import MAX_WAITING, MAX_WRONG, Push, Reader, Times, TooManyReaders
from tests.printer.rig import one_printer

MAY = {"admin": ("ADMIN",), "viewer": ("STATUS",), "lister": ("FILES_LIST",)}


class House:
    """A printer and its push; sessions are called like those who have them."""

    def __init__(self, printer: Printer, times: Times | None = None) -> None:
        self.printer = printer
        self.may = dict(MAY)
        self.ports = ["VIRTUAL"]
        self.push = Push(self.check, lambda: {"version": "1"}, lambda: [*self.ports], times)

    def check(self, name: str, session: str) -> Key | None:
        if session not in self.may:
            return None
        return Key(name=name, hash="0" * 64, permissions=self.may[session], created="")

    async def reader(self, session: str | None = "admin", *said: object, address: str = "10.0.0.1") -> Reader:
        """Who has said this, then who he is, and has read what came of it."""
        reader = self.push.open(self.printer, address)
        for message in said:
            reader.receive(json.dumps(message))
        if session is not None:
            reader.receive(json.dumps({"auth": f"me:{session}"}))
        await read(reader)
        return reader


async def read(reader: Reader) -> list[Any]:
    async with asyncio.timeout(5.0):
        messages = await reader.next()
    assert messages is not None
    return [json.loads(message) for message in messages]


async def settled() -> None:
    """The hub has taken what was told."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with one_printer() as printer:
        yield House(printer)


def file(size: int) -> SelectedFile:
    return SelectedFile(origin="local", path="x" * size, name="x", display="x")


async def test_a_stranger_is_told_who_we_are_and_nothing_else(house: House) -> None:
    stranger = house.push.open(house.printer, "10.0.0.1")
    assert await read(stranger) == [{"connected": {"version": "1"}}]

    house.printer.tell(SettingsChanged())
    await settled()
    stranger.receive('{"auth": "me:wrong"}')

    assert await read(stranger) == [{"reauthRequired": {"reason": "stale"}}]


async def test_who_says_who_he_is_gets_the_history_first(house: House) -> None:
    reader = house.push.open(house.printer, "10.0.0.1")
    reader.receive('{"auth": "a:name:with:colons:admin"}')

    assert [next(iter(message)) for message in await read(reader)] == ["connected", "history", "timelapse"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "{}",
        "[]",
        "null",
        "5",
        '"auth"',
        '{"auth": "nocolon"}',
        '{"auth": null}',
        '{"auth": {"a": 1}}',
        '{"throttle": "much"}',
        '{"throttle": 1e999}',
        '{"subscribe": 7}',
        '{"auth": "\\ud800:\\ud800"}',
        "[" * 60_000,
        '{"a":' * 10_000,
        "\x00",
        "\ud800",
    ],
    ids=lambda text: repr(text[:20]),
)
async def test_nonsense_changes_nothing(house: House, text: str) -> None:
    reader = await house.reader()
    reader.receive(text)
    reader.receive('{"auth": "me:wrong"}')

    assert {"reauthRequired": {"reason": "stale"}} in await read(reader)
    assert not reader.closed


async def test_who_guesses_is_sent_away(house: House) -> None:
    reader = house.push.open(house.printer, "10.0.0.1")
    ended: list[bool] = []
    reader.on_close = ended.append
    for _ in range(MAX_WRONG):
        assert not reader.closed
        reader.receive('{"auth": "me:wrong"}')

    assert reader.closed
    assert ended == [True]
    assert await reader.next() is None


async def test_equal_wishes_are_served_with_the_same_bytes(house: House) -> None:
    first, second = await house.reader(), await house.reader()
    other = await house.reader("admin", {"throttle": 2})

    house.printer.tell(SettingsChanged())
    await settled()
    one, two, three = [await reader.next() for reader in (first, second, other)]

    assert one
    assert two
    assert three
    assert [id(message) for message in one] == [id(message) for message in two]
    assert one[0] is three[0], "an event is the same for everybody"
    assert one[1] is not three[1]


async def test_without_readers_nobody_follows_the_printer(house: House) -> None:
    stranger = house.push.open(house.printer, "10.0.0.1")
    assert not house.printer._subscriptions

    readers = [await house.reader(), await house.reader("viewer")]
    assert len(house.printer._subscriptions) == 1
    for reader in (*readers, stranger):
        reader.close()

    assert not house.printer._subscriptions
    assert house.push._hubs == {}
    assert await house.reader()


async def test_events_are_told_at_once_and_one_by_one(house: House) -> None:
    reader = await house.reader("admin", {"subscribe": {"events": True}})
    for _ in range(3):
        house.printer.tell(SettingsChanged())

    assert await read(reader) == 3 * [{"event": {"type": "SettingsUpdated", "payload": None}}]


async def test_only_the_events_that_were_named_are_told(house: House) -> None:
    reader = await house.reader("admin", {"subscribe": {"events": ["FileSelected"]}})
    house.printer.tell(SettingsChanged())
    house.printer.tell(FileSelected(file(1)))

    assert [message["event"]["type"] for message in await read(reader)] == ["FileSelected"]


async def test_lines_and_temperatures_come_with_the_next_current(house: House) -> None:
    reader = await house.reader()
    house.printer.tell(LineReceived("ok"))
    house.printer.tell(LineReceived("T:20 /0\x1b"))
    house.printer.tell(TemperaturesReported({"tool0": (20.0, 0.0)}))
    (message,) = await read(reader)
    current = message["current"]

    assert current["logs"] == ["Recv: ok", "Recv: T:20 /0\\x1b"]
    assert current["messages"] == ["T:20 /0\\x1b"]
    assert [{**temps, "time": 0} for temps in current["temps"]] == [
        {"time": 0, "tool0": {"actual": 20.0, "target": 0.0}}
    ]
    house.printer.tell(LineReceived("wait"))
    (message,) = await read(reader)
    assert (message["current"]["logs"], message["current"]["temps"]) == (["Recv: wait"], [])


async def test_lines_are_chosen_by_patterns(house: House) -> None:
    reader = await house.reader("admin", {"subscribe": {"state": {"logs": "^Recv: Cap", "messages": False}}})
    house.printer.tell(LineReceived("Cap:EEPROM:1"))
    house.printer.tell(LineReceived("wait"))
    (message,) = await read(reader)

    assert (message["current"]["logs"], message["current"]["messages"]) == (["Recv: Cap:EEPROM:1"], [])


async def test_the_wire_is_shown_to_who_may_see_it(house: House) -> None:
    viewer = await house.reader("viewer")
    house.printer.tell(LineReceived("wait"))
    (message,) = await read(viewer)

    assert (message["current"]["logs"], message["current"]["messages"]) == ([], [])


async def test_who_may_not_see_the_state_is_told_nothing_of_it(house: House) -> None:
    reader = house.push.open(house.printer, "10.0.0.1")
    reader.receive('{"auth": "me:lister"}')
    house.printer.tell(SettingsChanged())
    await settled()

    assert [next(iter(message)) for message in await read(reader)] == ["connected", "timelapse"]


async def test_the_history_and_the_next_current_have_each_line_once(house: House) -> None:
    first = await house.reader()
    house.printer.tell(LineReceived("one"))
    await read(first)
    house.printer.tell(LineReceived("two"))
    await settled()
    late = house.push.open(house.printer, "10.0.0.1")
    late.receive('{"auth": "me:admin"}')
    _, history, _ = await read(late)
    (current,) = await read(late)

    assert history["history"]["logs"] == ["Recv: one"]
    assert current["current"]["logs"] == ["Recv: two"]


async def test_current_comes_as_seldom_as_was_asked_for(house: House) -> None:
    often, seldom = await house.reader(), await house.reader("admin", {"throttle": 2})
    told: dict[Reader, list[Any]] = {often: [], seldom: []}
    for _ in range(3):
        house.printer.tell(LineReceived("wait"))
        told[often].append((await read(often))[0]["current"])
        if seldom._waiting:
            told[seldom].append((await read(seldom))[0]["current"])
    if len(told[seldom]) < 2:
        told[seldom].append((await read(seldom))[0]["current"])

    for reader, pause in ((often, INTERVAL), (seldom, 2 * INTERVAL)):
        times = [current["serverTime"] for current in told[reader]]
        assert all(later - earlier > 0.9 * pause for earlier, later in pairwise(times))
        assert [line for current in told[reader] for line in current["logs"]] == 3 * ["Recv: wait"]
    assert [len(told[often]), len(told[seldom])] == [3, 2]


async def test_what_is_waiting_is_taken_up_by_the_next_current(house: House) -> None:
    slow, quick = await house.reader(), await house.reader()
    for line in ("one", "two"):
        house.printer.tell(LineReceived(line))
        house.printer.tell(SettingsChanged())
        while "current" not in (await read(quick))[-1]:
            pass
    messages = await read(slow)

    assert [next(iter(message)) for message in messages] == ["event", "event", "current"]
    assert messages[-1]["current"]["logs"] == ["Recv: one", "Recv: two"]


async def test_a_reader_who_does_not_read_is_cut_off_and_nobody_else(house: House) -> None:
    slow, quick = await house.reader(), await house.reader()
    ended: list[bool] = []
    slow.on_close = ended.append
    seen = 0
    for _ in range(MAX_WAITING + 1):
        house.printer.tell(SettingsChanged())
        seen += sum("event" in message for message in await read(quick))
    while seen <= MAX_WAITING:
        seen += sum("event" in message for message in await read(quick))

    assert ended == [True]
    assert slow.closed
    assert await slow.next() is None
    assert not quick.closed


async def test_bytes_that_wait_have_a_limit_too(house: House) -> None:
    slow = await house.reader("admin", {"subscribe": {"events": True}})
    for _ in range(10):
        house.printer.tell(FileSelected(file(500_000)))
        await settled()

    assert slow.closed


async def test_a_current_is_never_larger_than_its_lines_allow(house: House) -> None:
    reader = await house.reader()
    for number in range(3 * MAX_LINES):
        house.printer.tell(LineReceived(f"{number:05}" + 5000 * "x"))
    (message,) = await read(reader)

    assert len(message["current"]["logs"]) == MAX_LINES
    assert message["current"]["logs"][-1].startswith(f"Recv: {3 * MAX_LINES - 1:05}x")
    assert max(map(len, message["current"]["logs"])) < 1100


async def test_readers_of_a_printer_that_says_too_much_are_sent_away(house: House) -> None:
    reader = await house.reader()
    # All of it within one turn of the loop: nobody can have listened.
    for _ in range(2000):
        house.printer.tell(LineReceived("wait"))
    async with asyncio.timeout(5.0):
        while await reader.next() is not None:
            pass

    assert reader.closed
    assert not house.printer._subscriptions


async def test_a_sign_of_life_comes_when_nothing_else_does() -> None:
    async with one_printer() as printer:
        reader = await House(printer, Times(heartbeat=0.02)).reader()

        assert await read(reader) == []
        assert await read(reader) == []


async def test_a_stranger_may_not_stay() -> None:
    async with one_printer() as printer:
        house = House(printer, Times(heartbeat=0.02, stranger=0.03))
        stranger, reader = house.push.open(printer, "10.0.0.1"), await house.reader()
        async with asyncio.timeout(5.0):
            while await stranger.next() is not None:
                pass

        assert stranger.closed
        assert not reader.closed


async def test_a_session_that_has_ended_is_noticed() -> None:
    async with one_printer() as printer:
        house = House(printer, Times(heartbeat=0.02))
        reader, viewer = await house.reader("admin"), await house.reader("viewer")
        del house.may["admin"]
        house.may["viewer"] = ("FILES_LIST",)
        while {"reauthRequired": {"reason": "stale"}} not in await read(reader):
            pass
        while viewer._hub is not None:
            await read(viewer)

        assert reader.caller is None
        assert not printer._subscriptions


async def test_there_are_limits_to_how_many_listen(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STRANGERS", 2)
    monkeypatch.setattr(module, "MAX_READERS", 3)
    strangers = [house.push.open(house.printer, "10.0.0.1") for _ in range(2)]
    with pytest.raises(TooManyReaders):
        house.push.open(house.printer, "10.0.0.1")

    strangers[0].receive('{"auth": "me:admin"}')
    house.push.open(house.printer, "10.0.0.1").receive('{"auth": "me:admin"}')
    with pytest.raises(TooManyReaders):
        house.push.open(house.printer, "10.0.0.1")

    strangers[1].close()
    assert house.push.open(house.printer, "10.0.0.1")


async def test_strangers_at_one_address_take_no_place_from_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STRANGERS_EACH", 2)
    for host in (1, 2):
        await house.reader(None, address=f"2001:db8::{host}")

    with pytest.raises(TooManyReaders):
        await house.reader(None, address="2001:db8::3")
    await house.reader(None, address="2001:db8:1::3")
    await house.reader(None, address="10.0.0.1")


async def test_a_port_that_comes_while_the_printer_is_closed_is_told() -> None:
    async with one_printer() as printer:
        house = House(printer, Times(ports=0.01))
        reader = await house.reader()
        deaf = await house.reader("admin", {"subscribe": {"events": ["Connected"]}})
        house.ports.insert(0, "/dev/ttyACM0")

        payload = {"ports": ["/dev/ttyACM0", "VIRTUAL"]}
        assert await read(reader) == [{"event": {"type": "ConnectionsAutorefreshed", "payload": payload}}]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.gather(reader.next(), deaf.next())
