"""All printers by id, and what is remembered about each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from msgspec import structs

from limpet.memory import Known, Memory, instance_id
from limpet.printer.printer import Printer
from limpet.printer.state import PrinterRecognised, SettingsChanged
from limpet.printer.target import Patience, Target
from limpet.settings import KeyPath, PrinterSettings, Profile, Settings, SettingsFile, Value
from limpet.storage.store import Store
from limpet.transports.ports import PortList, find, stable
from limpet.transports.urls import VIRTUAL, Openers

AUTO = "AUTO"
"""The port that means: detect it. Its baudrate is 0."""
STOP_TIME = 0.5
"""Seconds that a file which is being written is waited for at the end."""


class Fleet:
    """The printers that the settings name. Built and used inside a running event loop."""

    def __init__(
        self, file: SettingsFile, settings: Settings, openers: Openers, *, patience: Patience | None = None
    ) -> None:
        self._file = file
        self.settings = settings
        self.ports = PortList(
            added=settings.ports.added,
            ignored=settings.ports.ignored,
            virtual=settings.ports.virtual,
            own=[printer.passthrough for printer in settings.printers.values() if printer.passthrough],
        )
        self.instance = instance_id(file.path.with_name("instance-id"))
        """The UUID by which clients know this server again, wherever it is."""
        self._memory = Memory(file.path.with_name("known.json"))
        self._working: set[asyncio.Future[None]] = set()
        self._saving = asyncio.Lock()
        self._stores: dict[Path, Store] = {}
        self._printers = {
            id: Printer(
                id,
                self.ports,
                openers,
                additional_baudrates=settings.ports.additional_baudrates,
                reserved=partial(self._devices_of_others, id),
                learn=partial(self._learn, id),
                patience=patience,
            )
            for id in settings.printers
        }

    @property
    def default(self) -> Printer:
        return self._printers[self.settings.default_printer]

    def get(self, id: str) -> Printer | None:
        return self._printers.get(id)

    def __iter__(self) -> Iterator[Printer]:
        return iter(self._printers.values())

    @property
    def baudrates(self) -> tuple[int, ...]:
        return self.settings.ports.baudrates

    @property
    def profiles(self) -> Mapping[str, Profile]:
        return self.settings.profiles

    def port_names(self) -> list[str]:
        """What `options.ports` lists."""
        return [port.path for port in self.ports.current(_now())]

    def preferences(self, printer: Printer) -> PrinterSettings:
        """What is remembered about this printer."""
        return self.settings.printers[printer.id]

    def preferred_port(self, printer: Printer) -> str | None:
        """The preferred port as it is called now; the name it was saved under when it is not plugged in."""
        name = self.preferences(printer).port
        port = find(self.ports.current(_now()), name) if name is not None else None
        return port.path if port is not None else name

    async def remember(self, printer: Printer, changes: Mapping[str, Value | None]) -> None:
        """Save settings of one printer: port, baudrate (None or AUTO/0: detect), profile, autoconnect.

        Raises LimpetError when they cannot be saved; nothing has changed then.
        """
        kept = dict(changes)
        if kept.get("port") == AUTO:
            kept["port"] = None
        if isinstance(name := kept.get("port"), str):
            # What is saved must stay true when ttyUSB0 becomes ttyUSB1.
            ports = self.ports.look()
            port = find(ports, name)
            kept["port"] = stable(port, ports) if port is not None else name
        if kept.get("baudrate") == 0:
            kept["baudrate"] = None
        async with self._saving:
            edits: dict[KeyPath, Value | None] = {("printers", printer.id, key): value for key, value in kept.items()}
            await asyncio.to_thread(self._file.edit, edits)
            # What a person has changed in the file meanwhile holds from the next start on, and then all of it.
            row = structs.replace(self.preferences(printer), **kept)
            self.settings = structs.replace(self.settings, printers={**self.settings.printers, printer.id: row})
        printer.tell(SettingsChanged())

    async def change(self, changes: Mapping[KeyPath, Value | None]) -> None:
        """Save settings that hold from now on, for all printers. Raises LimpetError; nothing has changed then.

        What a person has changed in the file meanwhile holds from the next start on, and then all of it.
        """
        async with self._saving:
            saved = await asyncio.to_thread(self._file.edit, changes)
            tables = {path[0] for path in changes}
            self.settings = structs.replace(self.settings, **{table: getattr(saved, table) for table in tables})
        for printer in self:
            printer.tell(SettingsChanged())

    def store(self, printer: Printer) -> Store:
        """The files of this printer; printers whose settings name the same folder have the same store."""
        folder = self.preferences(printer).uploads or self.settings.files.uploads
        path = Path(os.path.abspath(self._file.path.parent / folder))  # noqa: PTH100 - a link is to stay one
        return self._stores.setdefault(path, Store(path))

    def sharing(self, store: Store) -> list[Printer]:
        """The printers that have these files."""
        return [printer for printer in self if self.store(printer) is store]

    def target(self, printer: Printer, *, port: str | None, baudrate: int | None, profile: str | None) -> Target:
        """What a connect request means: its own values, else the preferences, else detection."""
        preferences = self.preferences(printer)
        wanted_port = port if port is not None else preferences.port
        wanted_baudrate = baudrate if baudrate is not None else preferences.baudrate
        known = self._memory.get(printer.id)
        # Whoever names a port means it, whatever is plugged in there; a preference means the printer.
        saved = known is not None and port is None and known.port == preferences.port
        return Target(
            port=None if wanted_port == AUTO else wanted_port,
            baudrate=wanted_baudrate or None,
            profile=profile or preferences.profile,
            awaits_port=port is None,
            faithful=preferences.reconnect,
            identity=known.identity if known is not None and saved else None,
            likely_port=known.port if known is not None else None,
            likely_baudrate=known.baudrate if known is not None else None,
            reset=preferences.reset,
        )

    def start(self) -> None:
        """Connect the printers that are to be connected at startup; they are waited for. Tidy up their files."""
        for store in {self.store(printer) for printer in self}:
            self._keep(asyncio.get_running_loop().run_in_executor(None, store.sweep))
        for printer in self:
            if self.preferences(printer).autoconnect:
                target = self.target(printer, port=None, baudrate=None, profile=None)
                printer.connect(replace(target, patient=True))

    async def stop(self) -> None:
        """Disconnect all printers, within a second."""
        await asyncio.gather(*(printer.disconnect() for printer in self))
        if self._working:
            await asyncio.wait(self._working, timeout=STOP_TIME)

    def _learn(self, id: str, recognised: PrinterRecognised) -> None:
        """Remember where a printer was found, unless that is another port than the one that is saved for it."""
        if self.settings.printers[id].port not in (None, recognised.port):
            return
        known = Known(port=recognised.port, baudrate=recognised.baudrate, identity=recognised.identity)
        if self._memory.learn(id, known):
            self._keep(asyncio.get_running_loop().run_in_executor(None, self._memory.save))

    def _keep(self, work: asyncio.Future[None]) -> None:
        self._working.add(work)
        work.add_done_callback(self._working.discard)

    def _devices_of_others(self, id: str) -> set[str]:
        """What detection leaves alone: ports that other printers have open, or are saved for them."""
        ports = self.ports.look()
        others = [printer for printer in self if printer.id != id]
        names = [name for one in others for name in (one.snapshot.port, self.preferences(one).port) if name]
        return {port.device for name in names if (port := find(ports, name)) is not None and port.path != VIRTUAL}


def _now() -> float:
    return asyncio.get_running_loop().time()
