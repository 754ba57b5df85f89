"""A peer that vanishes without a word: another host, in a network namespace of its own, whose cable is pulled."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from limpet.printer.state import State
from tests.printer.rig import at_most, eventually, operational, printer_at
from tests.transports.test_network import connected

NOTICED_WITHIN = 15.0
"""Seconds: the silence of the printer is suspected after 5, the question then has 8 to be acknowledged by TCP."""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
    pytest.mark.skipif(not shutil.which("ip"), reason="no ip (iproute2)"),
    pytest.mark.skipif(not shutil.which("socat"), reason="no socat"),
]


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


class Host:
    """Another host at `address`, with this one at `here` at the other end of the cable."""

    def __init__(self) -> None:
        number = os.getpid()  # Two runs of the tests at once are two networks.
        self.name = f"limpet{number}"
        self.cable = f"lp{number}"
        self.here, self.address = (f"10.{100 + number % 100}.{number // 100 % 250}.{last}" for last in (1, 2))

    async def run(self, *command: str) -> None:
        await run("ip", "netns", "exec", self.name, *command)


@asynccontextmanager
async def host() -> AsyncIterator[Host]:
    there = Host()
    await run("ip", "netns", "add", there.name)
    try:
        await run("ip", "link", "add", there.cable, "type", "veth", "peer", "name", "eth0", "netns", there.name)
        await run("ip", "address", "add", f"{there.here}/30", "dev", there.cable)
        await run("ip", "link", "set", there.cable, "up")
        await there.run("ip", "address", "add", f"{there.address}/30", "dev", "eth0")
        await there.run("ip", "link", "set", "eth0", "up")
        state = Path(f"/sys/class/net/{there.cable}/operstate")
        await eventually(lambda: state.read_text() == "up\n")
        yield there
    finally:
        # The namespace itself, and with it its end of the cable, may outlive its name for a moment.
        await run("ip", "link", "del", there.cable)
        await run("ip", "netns", "del", there.name)


@asynccontextmanager
async def bridge(there: Host, device: Path) -> AsyncIterator[str]:
    listen = f"TCP-LISTEN:7000,bind={there.address},reuseaddr,fork"
    program = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", there.name, "socat", "-d", "-d", listen, f"{device},raw,echo=0"),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert program.stderr is not None
    try:
        async with asyncio.timeout(5):
            while b"listening" not in await program.stderr.readline():
                pass
        yield f"socket://{there.address}:7000"
    finally:
        os.killpg(program.pid, signal.SIGKILL)  # With the children that serve one guest each.
        await program.communicate()


async def test_a_half_open_link_is_noticed_in_seconds_and_taken_up_again_by_itself(tmp_path: Path) -> None:
    device = tmp_path / "printer"
    async with printer_at(device), host() as there, bridge(there, device) as url, connected(url, 115200) as printer:
        await operational(printer)
        await there.run("ip", "link", "set", "eth0", "down")  # Nobody says goodbye.
        with at_most(NOTICED_WITHIN):
            await eventually(lambda: printer.snapshot.state is State.OFFLINE_AFTER_ERROR, within=20.0)
        assert printer.snapshot.failure is not None
        assert printer.snapshot.failure.fault.code == "unplugged"
        assert printer.snapshot.failure.waiting
        await there.run("ip", "link", "set", "eth0", "up")
        await operational(printer, within=20.0)
