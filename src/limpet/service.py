"""Builds everything, starts it in order, stops it in reverse; the only file that knows all parts."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from limpet.discovery import Announcer, addresses_of, is_beyond_loopback
from limpet.errors import LimpetError
from limpet.fleet import Fleet
from limpet.keys import KeyStore
from limpet.settings import Reset, Settings
from limpet.settings_file import SettingsFile
from limpet.transports.urls import OPENERS, VIRTUAL, Openers, Transport
from limpet.users import UserStore
from limpet.web.app import build_app
from limpet.web.auth import Access
from limpet.web.proxies import Proxies
from limpet.web.runner import listen, runner_of

if TYPE_CHECKING:
    from limpet.protocol.virtual_printer import VirtualPrinterOptions

TURN = 0.0005
"""Seconds that a thread may go on computing while the event loop wants to; Python's own 5 ms are a late line each."""


async def serve(
    file: SettingsFile,
    settings: Settings,
    keys: KeyStore,
    users: UserStore,
    setup_code: str | None,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is told the address once requests are answered.

    With `setup_code` the first user can be set up over the network.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    fleet = Fleet(file, settings, openers(file, settings))
    host, port = settings.server.host, settings.server.port
    access = Access(
        keys,
        users,
        setup_code=setup_code,
        origins=settings.server.cors_origins,
        proxies=Proxies(settings.server.trusted_proxies),
        remembered=file.path.with_name("sessions.json"),
    )
    runner = runner_of(build_app(fleet, access))
    await runner.setup()
    passthroughs = ExitStack()
    announcer = Announcer(fleet, port, partial(addresses_of, host))
    try:
        open_passthroughs(file, fleet, passthroughs)
        await listen(runner, host, port)
        announce(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        fleet.start()
        if settings.server.announce and is_beyond_loopback(host):
            announcer.start()
        sys.setswitchinterval(TURN)
        # What is there now stays, and need not be looked at by each full collection: 10 ms in which nothing else runs.
        gc.collect()
        gc.freeze()
        await stop.wait()
    finally:
        async with asyncio.TaskGroup() as group:
            group.create_task(announcer.stop())
            group.create_task(fleet.stop())
            group.create_task(runner.cleanup())
        passthroughs.close()


def open_passthroughs(file: SettingsFile, fleet: Fleet, opened: ExitStack) -> None:
    """One for each printer whose settings want it; `opened` closes them. Raises SettingsError."""
    for printer in fleet:
        preferences = fleet.preferences(printer)
        if preferences.passthrough is None:
            continue
        # Imported when it is used: it brings half of the virtual printer along.
        from limpet.passthrough import Passthrough

        group = _group(file, printer.id, preferences.passthrough_group)
        try:
            passthrough = Passthrough(printer, Path(preferences.passthrough), group)
        except LimpetError as error:
            raise file.error_at(("printers", printer.id, "passthrough"), str(error)) from None
        opened.callback(passthrough.close)


def _group(file: SettingsFile, printer: str, name: str | None) -> int | None:
    from grp import getgrnam

    try:
        return getgrnam(name).gr_gid if name is not None else None
    except (KeyError, ValueError):
        raise file.error_at(("printers", printer, "passthrough_group"), f"there is no group {name!r} here") from None


def openers(file: SettingsFile, settings: Settings) -> Openers:
    """What can be opened: serial devices, and the virtual printer as the settings want it."""
    if settings.virtual:
        _virtual_options(file, settings)  # A fault in the file is told at startup.
    return {**OPENERS, VIRTUAL: partial(_open_virtual, file, settings)}


async def _open_virtual(
    file: SettingsFile, settings: Settings, _: str, baudrate: int, receiver: asyncio.Protocol, _reset: Reset
) -> Transport:
    from limpet.transports.memory import open_memory

    return await open_memory(_virtual_options(file, settings), receiver, baudrate)


def _virtual_options(file: SettingsFile, settings: Settings) -> VirtualPrinterOptions:
    # Imported when it is used: whoever has a real printer need not wait for it at every start.
    from limpet.protocol.virtual_printer import VirtualPrinterOptions

    for name in settings.virtual:
        if name not in VirtualPrinterOptions.__dataclass_fields__:
            raise file.error_at(("virtual", name), "the virtual printer has no such option")
    try:
        # It boots in no time, so that whoever develops against it does not wait.
        return msgspec.convert({"boot_time": 0.0, **settings.virtual}, VirtualPrinterOptions)
    except msgspec.ValidationError as error:
        raise file.error_at(("virtual",), str(error)) from None
