"""A pseudo-terminal that other programs open as a printer: their commands and ours take turns at the one there is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from limpet.errors import LimpetError
from limpet.printer.printer import Printer
from limpet.printer.state import Snapshot, State, StateChanged
from limpet.protocol.commands import Command
from limpet.protocol.events import Event
from limpet.protocol.guest import GuestPort
from limpet.transports.pseudo_terminal import PseudoTerminal

log = logging.getLogger(__name__)
wire = logging.getLogger("limpet.wire")


class Passthrough:
    """Joins a printer and a pseudo-terminal, until `close` or the printer's removal; made in a running event loop.

    Only our own user may open the terminal, and the members of the group with the id `group`. Raises LimpetError when
    `link` cannot be made. Nothing that a guest does raises.
    """

    def __init__(self, printer: Printer, link: Path, group: int | None = None) -> None:
        self._printer = printer
        self._terminal = PseudoTerminal(link, private=True, group=group)
        self.link, self.device = link, self._terminal.device
        self._guest = GuestPort(printer.tags)
        self._open = self._leaving = self._reading = self._writing = self._closed = False
        self._operational = printer.snapshot.state is State.OPERATIONAL
        self._events = printer.subscribe()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._terminal.watch, self._do, self._look_who_is_there)
        self._task = asyncio.create_task(self._listen())

    def close(self) -> None:
        """Hang up, and remove the link."""
        if self._closed:
            return
        self._closed = True
        self._open = self._leaving = False
        self._watch()
        self._loop.remove_reader(self._terminal.watch)
        self._events.close()
        self._task.cancel()
        self._terminal.close()

    def _do(self, step: Callable[[], None]) -> None:
        """Everything that happens passes here: first the step, then all that follows from it."""
        if self._closed:
            return
        try:
            step()
            self._go_on()
        except Exception:
            log.exception("the pass-through at %s has failed and is closed", self.link)
            self.close()

    def _go_on(self) -> None:
        while True:
            while (command := self._guest.next_command()) is not None:
                self._send(command)
            if not self._write():
                break
        self._watch()

    # -- the guest --

    def _look_who_is_there(self) -> None:
        for came in self._terminal.visits():
            if self._leaving:
                self._forget()
            self._open, self._leaving = came, not came
            if came:
                self._guest.begin()
            else:
                self._guest.end()
            log.info("%s has been %s", self.link, "opened" if came else "closed")

    def _read(self) -> None:
        if data := self._terminal.read():
            self._guest.receive_data(data)
        elif self._leaving:
            self._forget()
        else:
            self._look_who_is_there()

    def _forget(self) -> None:
        """All that the guest has left behind has been read."""
        self._leaving = False
        self._watch()
        self._terminal.forget()

    def _send(self, command: Command) -> None:
        wire.debug("%s mirror > %s", self._printer.id, command.text)
        try:
            self._printer.send(command.text, tag=command.tag)
        except LimpetError as error:
            self._guest.refuse(command, str(error))

    def _write(self) -> bool:
        """Whether something was written; what does not fit waits until it does."""
        data = self._guest.data_to_send() if self._open and not self._writing else b""
        if not data:
            return False
        sent = self._terminal.write(data)
        self._guest.sent(sent)
        if sent < len(data):
            self._writing = True
            self._loop.add_writer(self._terminal.master, self._do, self._may_write)
        return sent > 0

    def _may_write(self) -> None:
        self._writing = False
        self._loop.remove_writer(self._terminal.master)

    def _watch(self) -> None:
        # A guest that is ahead of the printer is not read, until it is blocked itself. The master of a terminal that
        # nobody has open is always "readable".
        reads = (self._open or self._leaving) and self._guest.wants_data
        if reads and not self._reading:
            self._loop.add_reader(self._terminal.master, self._do, self._read)
        elif self._reading and not reads:
            self._loop.remove_reader(self._terminal.master)
        self._reading = reads
        if self._writing and not self._open:
            self._may_write()

    # -- the printer --

    async def _listen(self) -> None:
        while True:
            async for event, now in self._events:
                self._do(partial(self._on_event, event, now))
            if self._closed:
                return
            if self._printer.removed:
                self.close()
                return
            # So much was said at once that we were cut off, and whose ok was among it is not known.
            self._do(partial(self._guest.lose_printer, "The mirror could not follow the printer"))
            self._events = self._printer.subscribe()

    def _on_event(self, event: Event, now: Snapshot) -> None:
        match event:
            case StateChanged(state=state):
                if self._operational and state is not State.OPERATIONAL:
                    failure = now.failure
                    self._guest.lose_printer(failure.fault.message if failure else "The printer is not operational")
                self._operational = state is State.OPERATIONAL
            case _:
                self._guest.handle_event(event)
