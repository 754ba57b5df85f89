"""The virtual printer as a transport in this process."""

import asyncio

from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.transports.memory import MemoryTransport, open_memory


class Receiver(asyncio.Protocol):
    def __init__(self):
        self.transport = None
        self.heard = bytearray()
        self.lost = []
        self.happened = asyncio.Event()

    def connection_made(self, transport):
        assert self.transport is None
        self.transport = transport

    def data_received(self, data):
        assert not self.lost
        self.heard += data
        self.happened.set()

    def connection_lost(self, error):
        self.lost.append(error)
        self.happened.set()

    async def until(self, condition):
        async with asyncio.timeout(5.0):
            while not condition():
                self.happened.clear()
                await self.happened.wait()


async def opened(baudrate=115200, rate=0, **options) -> tuple[MemoryTransport, Receiver]:
    receiver = Receiver()
    options = VirtualPrinterOptions(**{"boot_time": 0.0, "banner_lines": ("start",), "baudrate": rate, **options})
    return await open_memory(options, receiver, baudrate), receiver


def timers():
    return [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]


async def test_opening_boots_the_printer():
    transport, receiver = await opened(boot_time=0.02)
    assert receiver.transport is transport
    assert receiver.heard == b""
    await receiver.until(lambda: receiver.heard == b"start\n")
    transport.close()
    await transport.wait_closed()
    assert receiver.lost == [None]


async def test_a_command_is_answered_but_never_from_within_write():
    transport, receiver = await opened()
    await receiver.until(lambda: receiver.heard)
    receiver.heard.clear()
    transport.write(b"M118 ")
    transport.write(bytearray(b"hi\n"))
    assert receiver.heard == b""
    assert transport.get_write_buffer_size() == 8
    await receiver.until(lambda: receiver.heard == b"hi\nok\n")
    assert transport.get_write_buffer_size() == 0
    transport.abort()
    await transport.wait_closed()


async def test_what_the_printer_says_later_arrives_by_itself():
    transport, receiver = await opened()
    transport.write(b"G4 P30\n")
    await receiver.until(lambda: receiver.heard.endswith(b"ok\n"))
    transport.close()
    await transport.wait_closed()


async def test_a_printer_that_goes_away_is_an_oserror():
    transport, receiver = await opened(gone_after=1)
    transport.write(b"M117\n")
    await receiver.until(lambda: receiver.lost)
    assert isinstance(receiver.lost[0], OSError)
    assert receiver.heard.endswith(b"ok\n")
    assert transport.is_closing()
    transport.close()
    transport.write(b"M117\n")
    await transport.wait_closed()
    assert len(receiver.lost) == 1


async def test_closing_leaves_no_timer_and_is_told_once():
    before = len(timers())
    transport, receiver = await opened(wait=True)
    transport.write(b"M155 S1\nG4 S100\n")
    await receiver.until(lambda: b"ok" in receiver.heard)
    assert len(timers()) > before
    transport.close()
    transport.close()
    transport.abort()
    assert transport.is_closing()
    assert receiver.lost == []
    await transport.wait_closed()
    await asyncio.sleep(0)
    assert receiver.lost == [None]
    assert len(timers()) == before


async def test_closing_still_delivers_what_was_written_and_aborting_does_not():
    transport, _ = await opened()
    transport.write(b"M117 last\n")
    transport.close()
    await transport.wait_closed()
    assert list(transport.printer.accepted) == ["M117 last"]
    transport, _ = await opened()
    transport.write(b"M117 last\n")
    transport.abort()
    await transport.wait_closed()
    assert list(transport.printer.accepted) == []


async def test_closing_from_within_data_received():
    class Closer(Receiver):
        def data_received(self, data):
            super().data_received(data)
            self.transport.close()

    receiver = Closer()
    transport = await open_memory(VirtualPrinterOptions(boot_time=0.0), receiver, 115200)
    await transport.wait_closed()
    assert receiver.lost == [None]


async def test_the_rate_can_be_changed_to_the_right_one():
    transport, receiver = await opened(baudrate=9600, rate=250000, banner_lines=("start" * 20,))
    await receiver.until(lambda: receiver.heard)
    assert b"start" not in receiver.heard
    transport.write(b"M118 dropped\n")
    await transport.set_baudrate(250000)
    receiver.heard.clear()
    transport.write(b"\nM118 now\n")
    await receiver.until(lambda: receiver.heard.endswith(b"now\nok\n"))
    assert b"dropped" not in receiver.heard
    transport.close()
    await transport.wait_closed()
