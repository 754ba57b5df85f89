"""Things to connect to: printers, and what is none, behind real pseudo-terminals; and a watch over what is left."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from limpet.printer.connection import Patience, Target
from limpet.printer.link import Link
from limpet.printer.printer import Printer
from limpet.printer.state import ConnectionFailed, Snapshot, State, StateChanged
from limpet.printer.subscription import Subscription
from limpet.protocol.events import LineReceived, LineSent
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.transports.memory import MemoryTransport, open_memory
from limpet.transports.ports import PortList
from limpet.transports.pseudo_terminal import PseudoTerminal, serve_virtual_printer
from limpet.transports.urls import OPENERS, VIRTUAL, Openers

QUICK = Patience(
    opening=1.0,
    greeting=1.0,
    wrong_rate=0.5,
    detection=10.0,
    listening=0.05,
    dwell=0.1,
    long_dwell=0.1,
    settled=1.0,
    wrong_dwell=0.05,
    grace=0.2,
    look=0.05,
    pause=0.1,
    longest_pause=0.2,
)
"""Real times, but short ones: what is to be found here answers at once."""


TO_VIRTUAL: dict[str, Any] = {"port": VIRTUAL, "baudrate": 115200}


async def eventually(condition: Callable[[], object], within: float = 5.0) -> None:
    """Wait until the condition holds; fails when it does not in time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def printer_at(
    link: Path, *, returns_after: float | None = None, reset_on_open: bool = True, **options: Any
) -> AsyncIterator[None]:
    """The virtual printer behind a pty; opening the port resets it, as long as it is not told otherwise."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        serve_virtual_printer(
            link,
            VirtualPrinterOptions(**{"boot_time": 0.0, **options}),
            stop=stop,
            on_event=lambda _: ready.set(),
            reset_on_open=reset_on_open,
            returns_after=returns_after,
        )
    )
    try:
        async with asyncio.timeout(5.0):
            await ready.wait()
        yield
    finally:
        stop.set()
        await task


@asynccontextmanager
async def device_at(
    link: Path, says: Callable[[], bytes] = bytes, hears: Callable[[bytes], object] = len
) -> AsyncIterator[None]:
    """Something that is no printer: every 20 ms it hears what was sent and says what it says, at whatever rate."""

    async def talk(terminal: PseudoTerminal) -> None:
        while True:
            hears(terminal.read())
            if terminal.is_open():
                terminal.write(says())
            await asyncio.sleep(0.02)

    with PseudoTerminal(link) as terminal:
        task = asyncio.create_task(talk(terminal))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def sensor() -> bytes:
    return b"Sensor node starting ... ok T 21.3\r\n"


def garbage() -> Callable[[], bytes]:
    return partial(random.Random(1).randbytes, 40)


@contextmanager
def printer_process(link: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The virtual printer behind a pty, in a process of its own, which can be stopped and go on."""
    command = [sys.executable, "-m", "limpet", "virtual", "--link", str(link), "--boot-time", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready")
            yield process
        finally:
            process.kill()


def openers(**options: Any) -> Openers:
    """Serial devices, and a virtual printer that boots in no time."""
    virtual = VirtualPrinterOptions(**{"boot_time": 0.0, **options})
    return {**OPENERS, VIRTUAL: lambda _, baudrate, receiver, _reset: open_memory(virtual, receiver, baudrate)}


HOLD = """
import fcntl, os, sys
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(port, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(port: Path) -> Iterator[int]:
    """Another process has the port for itself; its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid


async def open_never(*_: object) -> Any:
    await asyncio.Event().wait()


@asynccontextmanager
async def one_printer(
    *added: Path, ports: PortList | None = None, patience: Patience = QUICK, **options: Any
) -> AsyncIterator[Printer]:
    """A printer that knows these ports and VIRTUAL (with these options); it is disconnected at the end."""
    ports = ports or ports_of(*added)
    printer = Printer("one", ports, openers(**options), patience=patience)
    try:
        yield printer
    finally:
        await printer.disconnect()


def ports_of(*added: Path, **options: Any) -> PortList:
    """The added ports and VIRTUAL, and none of this machine."""
    return PortList(added=[str(path) for path in added], sys_root=Path("/nowhere"), **options)


async def operational(printer: Printer, within: float = 5.0) -> Snapshot:
    await eventually(lambda: printer.snapshot.state is State.OPERATIONAL, within)
    return printer.snapshot


async def failed(printer: Printer, code: str, within: float = 5.0) -> Snapshot:
    """The snapshot once the printer is closed for this reason."""

    def has_failed() -> bool:
        now = printer.snapshot
        return now.state is State.OFFLINE_AFTER_ERROR and now.failure is not None and now.failure.fault.code == code

    try:
        await eventually(has_failed, within)
    except TimeoutError:
        raise AssertionError(f"not {code}, but {printer.snapshot}") from None
    return printer.snapshot


async def connected(printer: Printer, **target: Any) -> Snapshot:
    printer.connect(Target(**target))
    return await operational(printer)


async def answered(printer: Printer) -> None:
    """All that was sent before has been carried out: the printer echoes a word that was sent after it."""
    events = printer.subscribe()
    printer.send("M118 answered")
    async with asyncio.timeout(5.0):
        async for event, _ in events:
            if event == LineReceived("answered"):
                break
    events.close()


async def passed(events: Subscription, *states: State) -> list[Snapshot]:
    """The snapshots at each change of state until these states have been passed, in this order and no others."""
    seen: list[Snapshot] = []
    async with asyncio.timeout(5.0):
        async for event, now in events:
            if isinstance(event, StateChanged) and event.state not in [each.state for each in seen[-1:]]:
                seen.append(now)
                if len(seen) == len(states):
                    break
    assert [now.state for now in seen] == list(states)
    return seen


async def states(events: Subscription) -> list[State]:
    """The states that have been passed since the subscription, which ends."""
    events.close()
    return [event.state async for event, _ in events if isinstance(event, StateChanged)]


def failure(now: Snapshot) -> ConnectionFailed:
    assert now.failure is not None
    return now.failure


async def sent(events: Subscription) -> str:
    """The lines that have been sent since the subscription, which ends."""
    events.close()
    return "\n".join([event.line async for event, _ in events if isinstance(event, LineSent)])


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def alarms() -> int:
    """Timers of links and of the virtual printer in memory that are still to ring."""
    scheduled: list[Any] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    owners = [getattr(handle._callback, "__self__", None) for handle in scheduled if not handle.cancelled()]
    return sum(isinstance(owner, Link | MemoryTransport) for owner in owners)


@asynccontextmanager
async def nothing_left(within: float = 0.3) -> AsyncIterator[None]:
    """Afterwards there are as many tasks, timers and descriptors as before."""

    def left() -> tuple[int, ...]:
        return len(asyncio.all_tasks()), descriptors(), alarms()

    before = left()
    yield
    clock = asyncio.get_running_loop().time
    deadline = clock() + within
    # A descriptor is closed by a thread. A timeout() here would be a timer itself.
    while any(now > then for now, then in zip(left(), before, strict=True)):
        if clock() > deadline:
            found = f"{before} before, {left()} after: {asyncio.all_tasks()}"
            raise AssertionError(f"tasks, descriptors, timers: {found}")
        await asyncio.sleep(0.01)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    clock = asyncio.get_running_loop().time
    start = clock()
    yield
    assert clock() - start <= seconds
