"""The page "Connection handling" line by line, over HTTP, against VIRTUAL and against a printer on a real pty."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Client, eventually, printer_at, process, running

BAUDRATES = [250000, 230400, 115200, 57600, 38400, 19200, 9600]


@dataclass
class Place:
    """A server's data folder, the port to connect to and the ports that are added for it."""

    folder: Path
    port: str
    ports: list[str]


@pytest.fixture(params=["VIRTUAL", "pty"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "data"
    folder.mkdir()
    if request.param == "VIRTUAL":
        yield Place(folder, "VIRTUAL", [])
        return
    link = tmp_path / "printer"
    async with printer_at(link):
        yield Place(folder, str(link), [str(link)])


@pytest.fixture
async def limpet(place: Place) -> AsyncIterator[Client]:
    async with running(place.folder, ports=place.ports) as (client, _):
        yield client


def is_open(port: Path) -> bool:
    """Whether this process has the port open."""
    device = port.readlink()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if descriptor.readlink() == device:
                return True
    return False


def is_locked(port: Path) -> bool:
    """Whether somebody holds the port for himself alone."""
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# -- get connection settings --


async def test_the_settings_and_the_state_have_the_shape_of_the_page(limpet: Client, place: Place) -> None:
    answer = await limpet.get("/api/connection")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json()["current"].items() >= {"state": "Offline", "port": None, "baudrate": None}.items()
    assert (
        answer.json()["options"].items()
        >= {
            "ports": [*place.ports, "VIRTUAL"],
            "baudrates": BAUDRATES,
            "portPreference": None,
            "baudratePreference": None,
            "autoconnect": False,
        }.items()
    )


async def test_an_operational_printer_is_told_as_on_the_page(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200, save=True, autoconnect=True)
    await limpet.until_state("Operational")

    told = await limpet.connection()

    assert told["current"].items() >= {"port": place.port, "baudrate": 115200, "error": None}.items()
    assert (
        told["options"].items()
        >= {
            "portPreference": place.port,
            "baudratePreference": 115200,
            "autoconnect": True,
        }.items()
    )
    assert type(told["current"]["baudrate"]) is int


# -- issue a connection command --


async def test_every_offered_baudrate_can_be_connected_with(client: Client) -> None:
    for baudrate in (await client.options())["baudrates"]:
        await client.accepted("connect", port="VIRTUAL", baudrate=baudrate)
        await client.until(lambda now, rate=baudrate: (now["state"], now["baudrate"]) == ("Operational", rate))


async def test_disconnect_closes_the_connection(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200)
    await limpet.until_state("Operational")

    await limpet.accepted("disconnect")

    now = await limpet.current()
    assert (now["state"], now["port"], now["baudrate"]) == ("Offline", None, None)


async def test_without_parameters_the_preferences_are_used(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=57600, save=True)
    await limpet.accepted("disconnect")

    await limpet.accepted("connect")

    now = await limpet.until_state("Operational")
    assert (now["port"], now["baudrate"]) == (place.port, 57600)


async def test_without_parameters_and_preferences_the_printer_is_detected(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect")

    now = await limpet.until_state("Operational")
    assert now["port"] == place.port
    assert now["baudrate"] in BAUDRATES


async def test_without_save_nothing_becomes_a_preference(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200)
    await limpet.accepted("connect", port=place.port, baudrate=115200, save=False)

    told = await limpet.options()
    assert (told["portPreference"], told["baudratePreference"]) == (None, None)


async def test_save_stores_what_the_request_has_and_erases_none(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200, save=True)
    await limpet.accepted("connect", save=True)
    await limpet.accepted("connect", baudrate=250000, save=True)
    await limpet.accepted("connect", port="VIRTUAL", save=True)

    told = await limpet.options()
    assert (told["portPreference"], told["baudratePreference"]) == ("VIRTUAL", 250000)


async def test_to_save_auto_and_0_is_to_prefer_detection(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200, save=True)

    await limpet.accepted("connect", port="AUTO", baudrate=0, save=True)

    told = await limpet.options()
    assert (told["portPreference"], told["baudratePreference"]) == (None, None)
    assert (await limpet.until_state("Operational"))["port"] == place.port


async def test_autoconnect_is_stored_without_save_and_kept_when_not_named(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200, autoconnect=True)
    assert (await limpet.options())["autoconnect"] is True

    await limpet.accepted("connect", port=place.port, baudrate=115200, save=True)
    assert (await limpet.options())["autoconnect"] is True

    await limpet.accepted("connect", autoconnect=False)
    assert (await limpet.options())["autoconnect"] is False


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"port": "/dev/nope"}, "port is invalid"),
        ({"port": "/dev/null"}, "port is invalid"),
        ({"port": "virtual"}, "port is invalid"),
        ({"port": "VIRTUAL", "baudrate": 12345}, "baudrate is invalid"),
        ({"baudrate": 115201}, "baudrate is invalid"),
        ({"baudrate": "115200"}, "baudrate is invalid"),
    ],
)
async def test_what_is_not_among_the_options_is_a_400(client: Client, fields: dict[str, Any], complaint: str) -> None:
    before = await client.connection()

    answer = await client.command("connect", **fields, save=True, autoconnect=True)

    assert (answer.status, answer.json()) == (400, {"error": complaint})
    assert await client.connection() == before


# -- what survives --


async def test_preferences_and_autoconnect_survive_a_restart(place: Place) -> None:
    async with running(place.folder, ports=place.ports) as (limpet, _):
        await limpet.accepted("connect", port=place.port, baudrate=57600, save=True, autoconnect=True)
        before = await limpet.options()
    async with running(place.folder, ports=place.ports) as (limpet, _):
        assert await limpet.options() == before
        now = await limpet.until_state("Operational")

    assert (now["port"], now["baudrate"]) == (place.port, 57600)


async def test_preferences_and_autoconnect_survive_a_kill_and_connect_at_the_next_start(place: Place) -> None:
    async with process(place.folder, ports=place.ports) as server:
        limpet = await server.start()
        await limpet.accepted("connect", port=place.port, baudrate=57600, save=True, autoconnect=True)
        await server.kill()
        await limpet.close()

        limpet = await server.start()
        told = await limpet.options()
        now = await limpet.until_state("Operational")
        await limpet.close()
        begun = time.monotonic()
        code = await server.stop()

    assert (told["portPreference"], told["baudratePreference"], told["autoconnect"]) == (place.port, 57600, True)
    assert (now["port"], now["baudrate"]) == (place.port, 57600)
    assert code == 0
    assert time.monotonic() - begun < 2.0


async def test_without_autoconnect_nothing_is_connected_at_startup(place: Place) -> None:
    async with running(place.folder, ports=place.ports) as (limpet, _):
        await limpet.accepted("connect", port=place.port, baudrate=115200, save=True)
    async with running(place.folder, ports=place.ports) as (limpet, _):
        # An attempt would begin before the first request is answered.
        assert (await limpet.current())["state"] == "Offline"


# -- one command after the other --


async def test_connect_while_connected_is_a_reconnect(limpet: Client, place: Place) -> None:
    await limpet.accepted("connect", port=place.port, baudrate=115200)
    await limpet.until_state("Operational")

    await limpet.accepted("connect", port=place.port, baudrate=250000)

    assert (await limpet.current())["state"] != "Operational"
    assert (await limpet.until_state("Operational"))["baudrate"] == 250000


async def test_connect_while_connecting_replaces_the_attempt(folder: Path, link: Path) -> None:
    async with printer_at(link, boot_time=1000), running(folder, ports=[str(link)]) as (limpet, _):
        await limpet.accepted("connect", port=str(link), baudrate=115200)
        await limpet.until_state("Connecting")
        assert is_open(link)
        assert is_locked(link)

        await limpet.accepted("connect", port="VIRTUAL", baudrate=115200)

        assert (await limpet.until_state("Operational", within=1.0))["port"] == "VIRTUAL"
        assert not is_locked(link)


@pytest.mark.parametrize("fields", [{}, {"baudrate": 115200}], ids=["detecting", "connecting"])
async def test_disconnect_ends_an_attempt_within_a_second_and_frees_the_port(
    folder: Path, link: Path, fields: dict[str, Any]
) -> None:
    async with printer_at(link, boot_time=1000), running(folder, ports=[str(link)]) as (limpet, _):
        for _ in range(10):  # It hits the attempt at another place each time.
            await limpet.accepted("connect", port=str(link), **fields)
            await eventually(lambda: is_open(link), 2.0)
            begun = time.monotonic()

            await limpet.accepted("disconnect")

            assert not is_open(link)
            assert not is_locked(link)
            assert (await limpet.current())["state"] == "Offline"
            assert time.monotonic() - begun < 1.0
