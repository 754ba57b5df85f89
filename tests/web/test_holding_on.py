"""Why a connection failed, as `current.error` tells it, and what happens to a printer that is lost; over HTTP."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from tests.web.server import IMPATIENT, printer_at, running, stays

# -- why it failed --


async def test_a_wrong_baudrate_is_told_as_such(folder: Path, link: Path) -> None:
    async with (
        printer_at(link, baudrate=250000, boot_time=0.1),
        running(folder, ports=[str(link)], patience=IMPATIENT) as (limpet, _),
    ):
        await limpet.accepted("connect", port=str(link), baudrate=115200)

        now = await limpet.until(lambda now: now["error"])

        assert (now["state"], now["port"], now["baudrate"]) == ("Offline after error", None, None)
        assert now["error"]["code"] == "wrong_baudrate"


async def test_detection_finds_port_and_baudrate_of_a_printer_and_leaves_virtual_alone(
    folder: Path, link: Path
) -> None:
    async with printer_at(link, baudrate=250000), running(folder, ports=[str(link)]) as (limpet, _):
        await limpet.accepted("connect", port="AUTO", baudrate=0)

        now = await limpet.until_state("Operational", within=10.0)

        assert (now["port"], now["baudrate"]) == (str(link), 250000)


async def test_an_error_has_a_code_a_message_a_hint_and_a_time_until_the_next_success(
    folder: Path, tmp_path: Path
) -> None:
    not_a_port = tmp_path / "not-a-port"
    not_a_port.touch()
    async with running(folder, ports=[str(not_a_port)]) as (limpet, _):
        assert (await limpet.current())["error"] is None
        begun = time.time()
        await limpet.accepted("connect", port=str(not_a_port), baudrate=115200)

        error = (await limpet.until_state("Offline after error"))["error"]

        assert error["code"] == "not_a_printer"
        assert str(not_a_port) in error["message"]
        assert error["hint"]
        assert begun - 0.001 <= error["at"] <= time.time()

        await limpet.accepted("connect", port="VIRTUAL", baudrate=115200)
        assert (await limpet.until_state("Operational"))["error"] is None
        await limpet.accepted("disconnect")
        assert (await limpet.current())["error"] is None


async def test_a_busy_port_is_told_as_such(folder: Path, link: Path) -> None:
    async with printer_at(link), running(folder, ports=[str(link)]) as (limpet, _):
        descriptor = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            await limpet.accepted("connect", port=str(link), baudrate=115200)
            now = await limpet.until(lambda now: now["error"])
        finally:
            os.close(descriptor)

        assert now["error"]["code"] == "port_busy"


# -- holding on --


async def test_a_missing_preference_is_waited_for_and_connected_when_it_appears(folder: Path, link: Path) -> None:
    async with printer_at(link), running(folder, ports=[str(link)]) as (limpet, _):
        await limpet.accepted("connect", port=str(link), baudrate=115200, save=True)
    async with running(folder, ports=[str(link)], patience=IMPATIENT) as (limpet, _):
        told = await limpet.options()
        assert (told["ports"], told["portPreference"]) == (["VIRTUAL"], str(link))

        await limpet.accepted("connect")

        now = await limpet.until(lambda now: now["error"])
        assert (now["error"]["code"], now["error"]["waiting"]) == ("port_missing", True)
        async with printer_at(link):
            now = await limpet.until_state("Operational")
            assert (now["port"], now["baudrate"], now["error"]) == (str(link), 115200, None)


async def test_a_lost_printer_is_told_within_a_second_and_taken_up_again(folder: Path, link: Path) -> None:
    async with running(folder, ports=[str(link)]) as (limpet, _):
        async with printer_at(link):
            await limpet.accepted("connect", port=str(link), baudrate=115200)
            await limpet.until_state("Operational")
        now = await limpet.until_state("Offline after error", within=1.0)
        assert (now["port"], now["baudrate"]) == (None, None)
        assert (now["error"]["code"], now["error"]["waiting"]) == ("unplugged", True)

        async with printer_at(link, boot_time=0.1):
            now = await limpet.until_state("Operational")
            assert (now["port"], now["baudrate"], now["error"]) == (str(link), 115200, None)


async def test_a_printer_that_comes_and_goes_is_taken_up_each_time(folder: Path, link: Path) -> None:
    async with (
        printer_at(link, gone_after_seconds=0.4, returns_after=0.1) as heard,
        running(folder, ports=[str(link)], patience=IMPATIENT) as (limpet, _),
    ):
        await limpet.accepted("connect", port=str(link), baudrate=115200)
        for _ in range(2):
            await limpet.until_state("Operational")
            await limpet.until_state("Offline after error")
        await limpet.until_state("Operational")

        assert heard().count("unplugged") == 2


async def test_a_virtual_printer_that_is_gone_is_taken_up_again(tmp_path: Path) -> None:
    settings = "[virtual]\ngone_after_seconds = 0.5\n"
    async with running(tmp_path, settings=settings, patience=IMPATIENT) as (limpet, _):
        await limpet.accepted("connect", port="VIRTUAL", baudrate=115200)
        await limpet.until_state("Operational")

        now = await limpet.until_state("Offline after error")

        assert (now["error"]["code"], now["error"]["waiting"]) == ("unplugged", True)
        await limpet.until_state("Operational")


async def test_a_printer_is_not_taken_up_again_where_the_settings_say_so(folder: Path, link: Path) -> None:
    settings = "[printers.default]\nreconnect = false\n"
    async with running(folder, ports=[str(link)], settings=settings) as (limpet, _):
        async with printer_at(link):
            await limpet.accepted("connect", port=str(link), baudrate=115200)
            await limpet.until_state("Operational")
        now = await limpet.until(lambda now: now["error"])

        assert (now["error"]["code"], now["error"]["waiting"]) == ("unplugged", False)


async def test_disconnect_ends_the_wait_for_a_lost_printer(folder: Path, link: Path) -> None:
    async with running(folder, ports=[str(link)], patience=IMPATIENT) as (limpet, _):
        async with printer_at(link):
            await limpet.accepted("connect", port=str(link), baudrate=115200)
            await limpet.until_state("Operational")
        await limpet.until(lambda now: now["error"] and now["error"]["waiting"])
        await limpet.accepted("disconnect")
        async with printer_at(link) as heard:
            await stays(lambda: "opened" not in heard(), during=0.3)
        assert (await limpet.current())["state"] == "Offline"
