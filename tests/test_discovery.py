"""What the local network is told, heard by a real browser of zeroconf on the loopback interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from limpet.discovery import HTTP, OCTOPRINT, Announcer, Service, addresses_of, is_beyond_loopback, services_of
from limpet.fleet import Fleet
from limpet.settings_file import SettingsFile
from tests.printer.rig import eventually, openers

LOOPBACK = "127.0.0.1"
PORT = 5017
TWO = '[appearance]\nname = "Cellar"\n[printers.mini]\nname = "Mini v1.2"\n[printers.big]\n'


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], Fleet]:
    def build(text: str) -> Fleet:
        (tmp_path / "limpet.toml").write_text(text)
        file = SettingsFile(tmp_path / "limpet.toml")
        return Fleet(file, file.load(), openers())

    return build


@asynccontextmanager
async def browsing() -> AsyncIterator[tuple[AsyncZeroconf, set[str]]]:
    """The names that are there now, of services of both kinds."""
    names: set[str] = set()

    def changed(zeroconf: object, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Added:
            names.add(name)
        elif state_change is ServiceStateChange.Removed:
            names.discard(name)

    network = AsyncZeroconf(interfaces=[LOOPBACK], ip_version=IPVersion.V4Only)
    browser = AsyncServiceBrowser(network.zeroconf, [OCTOPRINT, HTTP], handlers=[changed])
    try:
        yield network, names
    finally:
        await browser.async_cancel()
        await network.async_close()


async def asked(network: AsyncZeroconf, kind: str, name: str) -> AsyncServiceInfo:
    info = AsyncServiceInfo(kind, name)
    assert await info.async_request(network.zeroconf, 3000)
    return info


async def eventually_at(network: AsyncZeroconf, name: str, path: str) -> None:
    async with asyncio.timeout(15):
        while True:
            info = AsyncServiceInfo(OCTOPRINT, name)
            if await info.async_request(network.zeroconf, 1000) and info.decoded_properties["path"] == path:
                return
            await asyncio.sleep(0.05)


async def test_a_browser_finds_each_printer_and_follows_what_changes(build: Callable[[str], Fleet]) -> None:
    fleet = build(TWO)
    announcer = Announcer(fleet, PORT, lambda: [LOOPBACK])
    mini, big, added = (f"{name} on Cellar.{OCTOPRINT}" for name in ("Mini v1-2", "big", "new"))
    async with browsing() as (network, names):
        announcer.start()
        await eventually(lambda: {mini, big, f"big on Cellar.{HTTP}"} <= names, 15)

        info = await asked(network, OCTOPRINT, mini)
        assert (info.port, info.parsed_addresses()) == (PORT, [LOOPBACK])
        assert info.decoded_properties == {"path": "/", "version": "1.11.0", "api": "0.1", "uuid": fleet.instance}
        other = await asked(network, OCTOPRINT, big)
        assert other.decoded_properties["path"] == "/p/big/"
        assert other.decoded_properties["uuid"] not in (None, fleet.instance)
        assert (await asked(network, HTTP, f"big on Cellar.{HTTP}")).decoded_properties == {"path": "/p/big/"}

        # The same names at other paths.
        default = fleet.get("big")
        assert default is not None
        await fleet.change_printer(default, {}, default=True)
        await eventually_at(network, big, "/")
        await eventually_at(network, mini, "/p/mini/")

        printer = await fleet.add("new", {})
        await eventually(lambda: added in names, 15)
        await fleet.remove(printer)
        await eventually(lambda: added not in names, 15)

        began = asyncio.get_running_loop().time()
        await announcer.stop()
        assert asyncio.get_running_loop().time() - began < 1.0
        await eventually(lambda: not {mini, big} & names, 15)
    await fleet.stop()


# zeroconf leaves the socket that it could not use to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_failure_of_the_network_is_told_once_and_tried_again(
    build: Callable[[str], Fleet], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limpet.discovery.LOOK_TIME", 0.01)
    tries = 0

    def addresses() -> list[str]:
        nonlocal tries
        tries += 1
        # Nobody has this one: TEST-NET-3.
        return ["203.0.113.7"] if tries % 2 else []

    announcer = Announcer(build(""), PORT, addresses)
    announcer.start()
    await eventually(lambda: tries > 4)
    await announcer.stop()

    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert told[0].startswith("the printers are not announced: ")


async def test_fifty_printers_are_announced(build: Callable[[str], Fleet]) -> None:
    announcer = Announcer(build("".join(f"[printers.p{n}]\n" for n in range(50))), PORT, lambda: [LOOPBACK])
    async with browsing() as (_, names):
        announcer.start()
        await eventually(lambda: len(names) == 100, 20)
        await announcer.stop()


async def test_one_printer_is_announced_by_the_name_of_the_server(build: Callable[[str], Fleet]) -> None:
    fleet = build('[appearance]\nname = "Cellar"\n')
    assert services_of(fleet) == [Service("Limpet on Cellar", "/", fleet.instance)]


async def test_no_two_printers_have_one_name_and_each_name_fits(build: Callable[[str], Fleet]) -> None:
    long = "ö" * 60
    fleet = build("".join(f'[printers.p{n}]\nname = "{long}"\n' for n in range(5)))
    names = [service.name for service in services_of(fleet)]
    assert len({name.lower() for name in names}) == 5
    assert all(0 < len(name.encode()) <= 63 for name in names)


@pytest.mark.parametrize(
    ("host", "beyond"),
    [
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.0.2.1", True),
        ("printer.example", True),
    ],
)
def test_who_listens_to_this_machine_alone_is_not_announced(host: str, beyond: bool) -> None:
    assert is_beyond_loopback(host) is beyond


def test_the_addresses_are_those_that_others_can_reach() -> None:
    assert addresses_of("192.0.2.1") == ["192.0.2.1"]
    assert addresses_of("localhost") == []
    for host, sign in (("0.0.0.0", "."), ("::", ":")):
        own = addresses_of(host)
        assert all(sign in address for address in own)
        assert not {"127.0.0.1", "::1", host} & set(own)
