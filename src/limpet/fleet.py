"""All printers by id, and what is remembered about each."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import structs

from limpet.analyst import Analyst
from limpet.errors import BadRequest, Conflict, LimpetError, NotFound
from limpet.history import History
from limpet.history_file import Place
from limpet.memory import Known, Memory, instance_id
from limpet.printer.estimate import LAST
from limpet.printer.print import FileFacts, FileKnown, Phase, PhaseChanged, Print, PrintEnded, SelectedFile
from limpet.printer.printer import Printer
from limpet.printer.prompts import Notified, PrintWanted
from limpet.printer.state import AnalysisFinished, FileSelected, PrinterRecognised, ProfileChanged, SettingsChanged
from limpet.printer.target import Patience, Target
from limpet.profiles import DEFAULT_PROFILE, Profile
from limpet.protocol.events import Event
from limpet.protocol.window import Flow
from limpet.scripts import BadScript, check, defaults, lines, values_for
from limpet.settings import DEFAULT_PRINTER, ID_RULE, PrinterSettings, Settings, is_id
from limpet.settings_file import SettingsFile
from limpet.storage.store import Store
from limpet.toml_text import Kept, KeyPath, Value
from limpet.transports.ports import PortList, find, stable
from limpet.transports.urls import VIRTUAL, Openers

log = logging.getLogger(__name__)

AUTO = "AUTO"
"""The port that means: detect it. Its baudrate is 0."""
MAX_PROFILES = 100
MAX_PRINTERS = 200
"""Printers, when more are added while the server runs."""
MAX_FAULT = 300
"""Characters of what is told of a script that fails."""
MAX_SCRIPTS = 100
"""Scripts of one printer."""
STOP_TIME = 0.5
"""Seconds that a file which is being written is waited for at the end."""


class Fleet:
    """The printers that the settings name. Built and used inside a running event loop."""

    def __init__(
        self, file: SettingsFile, settings: Settings, openers: Openers, *, patience: Patience | None = None
    ) -> None:
        self._file = file
        self._openers = openers
        self._patience = patience
        self.settings = settings
        self.ports = PortList(
            added=settings.ports.added,
            ignored=settings.ports.ignored,
            virtual=settings.ports.virtual,
            own=[printer.passthrough for printer in settings.printers.values() if printer.passthrough],
        )
        self.instance = instance_id(file.path.with_name("instance-id"))
        """The UUID by which clients know this server again, wherever it is."""
        self.news = asyncio.Event()
        """Set when settings have changed; for one that waits for it, who clears it."""
        self._memory = Memory(file.path.with_name("known.json"))
        self.history = History(file.path.with_name("history.db"))
        self._working: set[asyncio.Future[None]] = set()
        self._saving = asyncio.Lock()
        self._stores: dict[Path, Store] = {}
        self._analyst = Analyst(self._tell_sharing)
        self._printers = {id: self._make(id) for id in settings.printers}
        for printer in self:
            printer.recall(self.history.last(printer.id))
        for id, row in settings.printers.items():
            try:
                check(row.scripts, self.profiles[row.profile])
            except BadScript as error:
                raise file.error_at(("printers", id, "scripts", error.name), error.message) from None

    def _make(self, id: str) -> Printer:
        printer = Printer(
            id,
            self.ports,
            self._openers,
            additional_baudrates=self.settings.ports.additional_baudrates,
            reserved=partial(self._devices_of_others, id),
            learn=partial(self._learn, id),
            follow=self._follow,
            patience=self._patience,
        )
        printer.scripts = partial(self._script_lines, printer)
        return printer

    @property
    def default(self) -> Printer:
        return self._printers[self.settings.default_printer]

    def uuid_of(self, printer: Printer) -> str:
        """The UUID by which clients know an OctoPrint again: the default printer is the server itself."""
        return self.instance if printer is self.default else str(uuid.uuid5(uuid.UUID(self.instance), printer.id))

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
        """What is remembered about this printer. Raises NotFound when it has been removed."""
        if printer.removed:
            raise NotFound(f"The printer {printer.id} has been removed")
        return self.settings.printers[printer.id]

    def preferred_port(self, printer: Printer) -> str | None:
        """The preferred port as it is called now; the name it was saved under when it is not plugged in."""
        name = self.preferences(printer).port
        port = find(self.ports.current(_now()), name) if name is not None else None
        return port.path if port is not None else name

    async def remember(self, printer: Printer, changes: Mapping[str, Value | None], *, default: bool = False) -> None:
        """Save settings of one printer: port, baudrate (None or AUTO/0: detect), profile, autoconnect and so on.

        `default` makes it the default one. Raises LimpetError when they cannot be saved; nothing has changed then.
        """
        kept = self._lasting(changes)
        edits: dict[KeyPath, Value | None] = {("printers", printer.id, key): value for key, value in kept.items()}
        if default:
            edits["default_printer",] = printer.id
        async with self._saving:
            row = structs.replace(self.preferences(printer), **kept)
            await asyncio.to_thread(self._file.edit, edits)
            # What a person has changed in the file meanwhile holds from the next start on, and then all of it.
            self._hold({**self.settings.printers, printer.id: row}, printer.id if default else None)
        printer.tell(SettingsChanged())

    def _lasting(self, changes: Mapping[str, Value | None]) -> dict[str, Value | None]:
        """The same, as it is saved."""
        kept = dict(changes)
        if kept.get("port") == AUTO:
            kept["port"] = None
        if isinstance(name := kept.get("port"), str):
            # What is saved must stay true when ttyUSB0 becomes ttyUSB1.
            ports = self.ports.look()
            port = find(ports, name)
            kept["port"] = stable(port, ports, name) if port is not None else name
        if kept.get("baudrate") == 0:
            kept["baudrate"] = None
        return kept

    def _hold(self, printers: dict[str, PrinterSettings], default: str | None = None) -> None:
        default = default or self.settings.default_printer
        self.settings = structs.replace(self.settings, printers=printers, default_printer=default)
        self.news.set()

    async def add(self, id: str, values: Mapping[str, Value | None]) -> Printer:
        """A new printer, saved and there at once; `values` are its settings. Raises LimpetError, and adds none then."""
        if not is_id(id):
            raise BadRequest(f"id is invalid: expected {ID_RULE}")
        kept = {"name": id, **{key: value for key, value in self._lasting(values).items() if value is not None}}
        edits: dict[KeyPath, Value | None] = {("printers", id, key): value for key, value in kept.items()}
        async with self._saving:
            if id in self._printers:
                raise Conflict(f"There is a printer {id} already")
            if len(self._printers) >= MAX_PRINTERS:
                raise Conflict(f"There are {MAX_PRINTERS} printers already")
            self._check_port_is_free(id, values)
            if self.settings.printers == {DEFAULT_PRINTER: PrinterSettings(name=DEFAULT_PRINTER)}:
                # Nothing may be written about the one that is there without any; it would go with the first that is.
                edits = {("printers", DEFAULT_PRINTER, "name"): DEFAULT_PRINTER, **edits}
            saved = await asyncio.to_thread(self._file.edit, edits)
            self._hold({**self.settings.printers, id: saved.printers[id]})
            printer = self._printers[id] = self._make(id)
        self._connect_at_start(printer)
        return printer

    async def remove(self, printer: Printer) -> None:
        """Disconnect it, end what listens to it and forget it. Raises LimpetError; nothing has changed then."""
        async with self._saving:
            self.preferences(printer)
            if printer is self.default:
                raise Conflict("This is the default printer; make another one the default first")
            await asyncio.to_thread(self._file.edit, {("printers", printer.id): None})
            self._hold({id: row for id, row in self.settings.printers.items() if id != printer.id})
            del self._printers[printer.id]
            await printer.remove()
        if self._memory.forget(printer.id):
            self._save_memory()

    async def change_printer(
        self, printer: Printer, changes: Mapping[str, Value | None], *, default: bool = False
    ) -> None:
        """`remember`, for changes that a person makes. Raises Conflict when the port is another printer's."""
        self._check_port_is_free(printer.id, changes)
        await self.remember(printer, changes, default=default)

    def _check_port_is_free(self, id: str, changes: Mapping[str, Value | None]) -> None:
        name = changes.get("port")
        port = find(self.ports.look(), name) if isinstance(name, str) else None
        if port is not None and port.device in self._devices_of_others(id):
            raise Conflict(f"{name} is the port of another printer")

    async def change(self, changes: Mapping[KeyPath, Value | None]) -> None:
        """Save settings that hold from now on, for all printers. Raises LimpetError; nothing has changed then.

        What a person has changed in the file meanwhile holds from the next start on, and then all of it.
        """
        async with self._saving:
            saved = await asyncio.to_thread(self._file.edit, changes)
            tables = {path[0] for path in changes}
            self.settings = structs.replace(self.settings, **{table: getattr(saved, table) for table in tables})
        self._tell_all(SettingsChanged())
        self.news.set()

    def scripts(self, printer: Printer) -> dict[str, str]:
        """The G-code scripts of this printer, by OctoPrint's names."""
        return {**defaults(self.profile(printer)), **self.preferences(printer).scripts}

    def script(self, printer: Printer, name: str, context: Mapping[str, Any]) -> list[str]:
        """The lines of a script. Raises BadScript."""
        now, profile = printer.snapshot, self.profile(printer)
        values = values_for(self.profile_id(printer), profile, context, heaters=now.temperatures, position=now.position)
        return lines(name, self.scripts(printer), {**values, "script": {"type": "gcode", "name": name}})

    def _script_lines(self, printer: Printer, name: str, context: Mapping[str, Any]) -> list[str]:
        """What is sent at the moment that is called `name`; of a script that fails what there is without it. Raises
        Conflict for one that a print is to begin with."""
        if printer.removed:
            return []
        if context.get("reconnected") and not self.preferences(printer).scripts_on_reconnect:
            return []
        try:
            return self.script(printer, name, context)
        except BadScript as error:
            # What a person wants done before a print may be what keeps it from harm.
            starts = name == "beforePrintStarted"
            outcome = "The print was not started" if starts else "It was left out"
            message = f"The script {str(error)[:MAX_FAULT]}. {outcome}; correct the script in the settings"
            self._notify(printer, message)
            if starts:
                raise Conflict(message) from None
            return lines(name, defaults(self.profile(printer)), {})

    def _notify(self, printer: Printer, message: str) -> None:
        """Tell whoever looks after this printer; once, until it has been read."""
        log.warning("printer %s: %s", printer.id, message)
        if all(each.message != message for each in printer.snapshot.notifications):
            printer.tell(Notified(time.time(), message))

    async def change_scripts(self, printer: Printer, changes: Mapping[str, str | None]) -> None:
        """Save scripts, or with None go back to the default. Raises BadRequest; nothing has changed then."""
        async with self._saving:
            kept = {**self.preferences(printer).scripts, **changes}
            scripts = {name: text for name, text in kept.items() if text is not None}
            if len(scripts) > MAX_SCRIPTS:
                raise BadRequest(f"There are at most {MAX_SCRIPTS} scripts")
            try:
                await asyncio.to_thread(check, scripts, self.profile(printer))
            except BadScript as error:
                raise BadRequest(f"The script {error}") from None
            await asyncio.to_thread(
                self._file.edit, {("printers", printer.id, "scripts", name): text for name, text in changes.items()}
            )
            row = structs.replace(self.preferences(printer), scripts=scripts)
            self._hold({**self.settings.printers, printer.id: row})
        printer.tell(SettingsChanged())

    def profile(self, printer: Printer) -> Profile:
        """What this printer is like: the profile that it was connected with, else the preferred one."""
        return self.profiles.get(self.profile_id(printer)) or self.profiles[DEFAULT_PROFILE]

    def profile_id(self, printer: Printer) -> str:
        return printer.snapshot.profile or self.preferences(printer).profile

    async def add_profile(self, id: str, profile: Profile) -> None:
        """Save a new profile. Raises BadRequest when the id is taken, LimpetError when it cannot be saved."""
        async with self._saving:
            if id in self.profiles:
                raise BadRequest(f"Profile {id} already exists")
            if len(self.profiles) >= MAX_PROFILES:
                raise Conflict(f"There are {MAX_PROFILES} profiles already")
            await self._save_profile(id, profile)
        self._tell_all(ProfileChanged("Added", id))

    async def change_profile(self, id: str, change: Callable[[Profile], Profile]) -> None:
        """Save what `change` makes of a profile. Raises LookupError when it is gone, LimpetError as above."""
        async with self._saving:
            await self._save_profile(id, change(self.profiles[id]))
        self._tell_all(ProfileChanged("Modified", id))

    async def remove_profile(self, id: str) -> None:
        """Raises Conflict when a printer has the profile or prefers it, LookupError when it is not there."""
        async with self._saving:
            if id == DEFAULT_PROFILE or any(self.preferences(printer).profile == id for printer in self):
                raise Conflict("Cannot delete default profile")
            if any(self.profile_id(printer) == id for printer in self):
                raise Conflict("Cannot delete currently selected profile")
            others = {key: profile for key, profile in self.profiles.items() if key != id}
            if len(others) == len(self.profiles):
                raise LookupError(id)
            await asyncio.to_thread(self._file.edit, {("profiles", id): None})
            self.settings = structs.replace(self.settings, profiles=others)
        self._tell_all(ProfileChanged("Deleted", id))

    def _tell_all(self, event: Event) -> None:
        for printer in self:
            printer.tell(event)

    async def _save_profile(self, id: str, profile: Profile) -> None:
        before = self.profiles.get(id)
        edits: dict[KeyPath, Kept | None] = {}
        for field in structs.fields(Profile):
            value = getattr(profile, field.name)
            if before is None or value != getattr(before, field.name):
                # What is as it would be anyway need not stand in the file.
                edits["profiles", id, field.name] = None if value == field.default else _plain(value)
        settings = await asyncio.to_thread(self._file.edit, edits)
        self.settings = structs.replace(self.settings, profiles={**self.profiles, id: settings.profiles[id]})

    def store(self, printer: Printer) -> Store:
        """The files of this printer; printers whose settings name the same folder have the same store."""
        folder = self._file.path.parent / self._folder(printer)
        path = Path(os.path.abspath(folder))  # noqa: PTH100 - a link is to stay one
        if path not in self._stores:
            name = hashlib.sha1(os.fsencode(path), usedforsecurity=False).hexdigest()[:16]
            self._stores[path] = Store(path, self._file.path.parent / "analyses" / name)
        return self._stores[path]

    def _folder(self, printer: Printer) -> str:
        return self.preferences(printer).uploads or self.settings.files.uploads

    def place(self, printer: Printer, origin: str = "local") -> Place:
        """Where the history has files of this printer, and the profile by which it counts how long prints take."""
        store = os.path.normpath(self._folder(printer)) if origin == "local" else f"{origin} of {printer.id}"
        return Place(store, self.profile_id(printer))

    def sharing(self, store: Store) -> list[Printer]:
        """The printers that have these files."""
        return [printer for printer in self if self.store(printer) is store]

    def analyse(self, store: Store, paths: Iterable[str], *, first: bool = False) -> bool:
        """Have these files read for what is in them; False when that is not wanted, or too many wait."""
        return self.settings.files.analyse and all(self._analyst.want(store, path, first=first) for path in paths)

    def history_has_changed(self) -> None:
        """Prints have been forgotten: what is known of the selected files is looked up again."""
        for printer in self:
            if (file := printer.snapshot.selected) is not None:
                self._look_up(printer, file)

    def _tell_sharing(self, store: Store, event: Event) -> None:
        for printer in self.sharing(store):
            printer.tell(event)

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
            flow=Flow(preferences.window, preferences.receive_buffer),
        )

    def start(self) -> None:
        """Connect the printers that are to be connected at startup; they are waited for. Tidy up their files."""
        for store in {self.store(printer) for printer in self}:
            self._keep(asyncio.get_running_loop().run_in_executor(None, store.sweep))
        self._analyst.start()
        for printer in self:
            self._connect_at_start(printer)

    def _connect_at_start(self, printer: Printer) -> None:
        if self.preferences(printer).autoconnect:
            target = self.target(printer, port=None, baudrate=None, profile=None)
            printer.connect(replace(target, patient=True))

    async def stop(self) -> None:
        """Disconnect all printers, within a second, or two where one has to finish a line."""
        await asyncio.gather(self._analyst.stop(), *(printer.end() for printer in self))
        if self._working:
            await asyncio.wait(self._working, timeout=STOP_TIME)
        await self.history.close()

    def _learn(self, id: str, recognised: PrinterRecognised) -> None:
        """Remember where a printer was found, unless that is another port than the one that is saved for it."""
        row = self.settings.printers.get(id)
        if row is None or row.port not in (None, recognised.port):
            return
        known = Known(port=recognised.port, baudrate=recognised.baudrate, identity=recognised.identity)
        if self._memory.learn(id, known):
            self._save_memory()

    def _follow(self, printer: Printer, event: Event) -> None:
        """What is to be remembered of a print, and to be known of its file."""
        figures = printer.figures()
        resends = figures.resends if figures is not None else None
        self.history.follow(printer.id, event, resends, partial(self.place, printer))
        match event:
            case FileSelected(file=file) | PhaseChanged(print=Print(file=file, phase=Phase.STARTING)):
                self._look_up(printer, file, analyse=True)
            case PrintEnded(print=Print(file=file)):
                self._look_up(printer, file)
            case PrintWanted():
                self._keep(asyncio.create_task(self._start_selected(printer)))
            case AnalysisFinished(path=path):
                now = printer.snapshot
                for known in {now.selected, now.print.file if now.print is not None else None}:
                    if known is not None and (known.origin, known.path) == ("local", path):
                        self._look_up(printer, known)

    async def _start_selected(self, printer: Printer) -> None:
        """The printer asks for it; what keeps it from that is told in the log."""
        file = printer.snapshot.selected
        try:
            if file is not None and file.origin == "local" and not printer.is_printing:
                descriptor = await asyncio.to_thread(self.store(printer).open, file.path)
                printer.prints.start(file, os.fdopen(descriptor, "rb", buffering=0))
        except LimpetError as error:
            log.warning("printer %s asks for a print: %s", printer.id, error)

    def _look_up(self, printer: Printer, file: SelectedFile, *, analyse: bool = False) -> None:
        if not printer.removed:
            place, store = self.place(printer, file.origin), self.store(printer)
            self._keep(asyncio.create_task(self._tell_known(printer, file, place, store, analyse)))

    async def _tell_known(
        self, printer: Printer, file: SelectedFile, place: Place, store: Store, analyse: bool
    ) -> None:
        """Look up what is known of a file; where it has not been read yet, have it read, if that is wanted."""
        facts = FileFacts()
        with suppress(LimpetError):
            times, average = await self.history.ask(
                lambda history: history.good_times(place, (file.path, file.size, file.date), LAST)
            )
            facts = FileFacts(past=times, average=average)
        if file.origin == "local":
            with suppress(LimpetError):
                facts = structs.replace(facts, analysis=await asyncio.to_thread(store.analysis, file.path))
            if facts.analysis is None and analyse and not self._analyst.is_reading(store, file.path):
                self.analyse(store, [file.path], first=True)
        if facts.analysis is not None:
            self.history.needs(printer.id, file, facts.analysis.summary.filament)
        printer.tell(FileKnown(file, facts))

    def _save_memory(self) -> None:
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


def _plain(value: Any) -> Kept:
    return [list(pair) for pair in value] if isinstance(value, tuple) else value


def _now() -> float:
    return asyncio.get_running_loop().time()
