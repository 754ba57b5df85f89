"""The prints of one printer: begun, steered and ended; one from its card is followed, whoever has started it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NoReturn

from limpet.errors import Conflict
from limpet.gcodefile.resume import ResumePoint
from limpet.printer.card_files import card_file
from limpet.printer.card_job import CardJob
from limpet.printer.connection import Connection
from limpet.printer.course import HEARD, JOB, Course, Scripts
from limpet.printer.job import Job
from limpet.printer.print import FileKnown, Phase, PrintEnded, SelectedFile, TransferEnded
from limpet.printer.printing import Printing
from limpet.printer.prompts import PrintWanted
from limpet.printer.state import FileSelected, Snapshot, State, StateChanged
from limpet.printer.transfer import Transfer, on_card
from limpet.protocol.commands import Command
from limpet.protocol.events import (
    ActionRequested,
    CardFileOpened,
    CardListed,
    CommandRefused,
    Event,
    SdPrintDone,
    SdPrintEnded,
    SdPrintReported,
)

HEEDED = HEARD | {CardListed, CommandRefused, FileKnown, PrintEnded, TransferEnded}
"""The events that `hear` wants."""
NOTHING_PAUSES = "Printer does not have an active print job or is not paused"
_PAUSED = frozenset({Phase.PAUSING, Phase.PAUSED, Phase.RESUMING})


class Prints:
    """At most one print, or transfer to the card, at a time."""

    def __init__(
        self,
        connection: Connection,
        snapshot: Callable[[], Snapshot],
        scripts: Scripts,
        tell: Callable[[Event], None],
        ask: Callable[[Command], None],
    ) -> None:
        """`tell` gets the events of the prints, `ask` what the printer is to be asked for them, once."""
        self._connection = connection
        self._snapshot = snapshot
        self._scripts = scripts
        self._tell = tell
        self._ask = ask
        self._printing: Printing | None = None
        self._strays = 0
        """Commands of prints that are over, which the printer is still to acknowledge."""
        self._cut_short = 0
        """Commands on their way whose heat is not waited for any more."""
        self._left_behind: CardJob | None = None
        self._wanted: SelectedFile | None = None
        self._wants_print = False

    @property
    def under_way(self) -> bool:
        """A print is under way, or pauses: one of ours, or one from the printer's own card."""
        return self._printing is not None or self._snapshot().sd_print is not None

    @property
    def here(self) -> bool:
        """One that is sent from here is under way."""
        return self._printing is not None and not isinstance(self._printing.job, CardJob)

    @property
    def on_card(self) -> bool:
        """The printer reads it from its own card, and goes on without us."""
        return self._snapshot().sd_print is not None or (self._printing is not None and not self.here)

    @property
    def owns_line(self) -> bool:
        """The printer writes all that it gets to a file on its card."""
        return self._printing is not None and self._printing.job.owns_line

    # -- verbs --

    def start(
        self, file: SelectedFile, stream: BinaryIO | None, *, user: str | None = None, resume: ResumePoint | None = None
    ) -> None:
        """Print `file`, which is read from `stream`, from its beginning or from where it can be resumed; or, without
        one, by the printer from its card.

        Raises Conflict when the printer cannot, or the script before it; then the stream is closed.
        """
        self._require_free(stream)
        self._begin(self._new_job(file, stream, user, resume), stream)

    def transfer(
        self, file: SelectedFile, stream: BinaryIO, name: str, *, select: bool = False, print: bool = False
    ) -> None:
        """Write `file`, which is read from `stream`, to the printer's card, and `select` or `print` it there then.

        Raises Conflict as `start` does.
        """
        self._require_free(stream)
        new, firmware = on_card(file, name), self._snapshot().firmware or ""
        job = Transfer(new, file.path, _now(), started_at=time.time(), user=file.user, firmware=firmware)
        self._wanted, self._wants_print = new if select or print else None, print
        self._begin(job, stream)

    def pause(self) -> None:
        """Stop the print where it can go on. Raises Conflict when there is none."""
        printing = self._the_print("pause")
        printing.job.pause(_now())
        self._go_on(printing)

    def resume(self) -> None:
        """Go on with the print that pauses. Raises Conflict when there is none."""
        printing, link = self._the_print("resume"), self._connection.link
        held = isinstance(printing.job, CardJob) and printing.job.is_held
        if held or (link is not None and link.waits_for_user):
            self._stop_waiting()
        printing.job.resume(_now())
        self._go_on(printing)

    def cancel(self) -> None:
        """End the print. Raises Conflict when there is none."""
        printing = self._the_print("cancel")
        if printing.job.phase is not Phase.CANCELLING:
            self._cut_short = printing.job.unacknowledged
        printing.job.cancel(_now())
        link = self._connection.link
        asks = self._snapshot().prompt is not None or isinstance(printing.job, CardJob)
        if link is not None and (asks or link.waits_for_heat or link.waits_for_user):
            self._stop_waiting()
        self._go_on(printing)

    def restart(self, stream: BinaryIO | None, *, user: str | None = None) -> None:
        """Begin the print that pauses once more, from the beginning of its file.

        Raises Conflict when none pauses, or as `start` does; then the stream is closed.
        """
        printing = self._printing
        if printing is None or printing.job.phase is not Phase.PAUSED:
            _refuse(stream, NOTHING_PAUSES)
        # What cannot be begun anew is not ended either.
        job = self._new_job(printing.job.print.file, stream, user)
        printing.job.replace(_now())
        printing.tell_events()
        self._require_free(stream)
        self._begin(job, stream)

    def fail(self, code: str, message: str) -> None:
        """End the print, if there is one, without sending anything any more."""
        if self._printing is not None:
            self._printing.job.fail(code, message, _now())
            self._printing.tell_events()

    def lose(self, event: StateChanged) -> None:
        """The connection is not there any more, and the print with it: it is never gone on with by itself.

        What the printer reads from its own card goes on without us.
        """
        self._wanted = None
        self._lose_print(event)
        self._strays = 0  # Of what was sent before nothing is acknowledged any more.

    def _lose_print(self, event: StateChanged) -> None:
        if self._printing is None:
            return
        failure = self._snapshot().failure
        if failure is not None and (event.state is State.OFFLINE_AFTER_ERROR or failure.fault.code == "reset"):
            code, message = failure.fault.code, failure.fault.message
        else:
            code, message = "disconnected", "The printer was disconnected by a user"
        if isinstance(self._printing.job, CardJob) and code not in ("reset", "firmware_halted"):
            self._left_behind = self._printing.job
            self._release()
        else:
            self.fail(code, message)

    def disturb(self, command: str) -> None:
        """Somebody sends this command; while a print pauses it may move what is to be brought back."""
        under_way = self._snapshot().print
        if self._printing is not None and under_way is not None and under_way.phase in _PAUSED:
            self._printing.job.disturb(command)

    # -- the line --

    def next_command(self) -> Command | None:
        return self._printing.next_command() if self._printing is not None else None

    def acknowledged(self) -> None:
        """The printer has taken the oldest command of the print, or of the one before it."""
        if self._strays:
            self._strays -= 1
        elif self._printing is not None:
            self._printing.job.acknowledged()
            if self._cut_short:
                self._cut_short -= 1
                asyncio.get_running_loop().call_soon(self._wait_for_no_heat)

    def hear(self, event: Event, before: Snapshot) -> None:
        """One of `HEEDED` has happened; `before` is what was known until then."""
        if self._printing is not None and type(event) in HEARD:
            self._printing.hear(event)
        match event:
            case FileKnown(file=file, facts=facts):
                if self._printing is not None and file == self._printing.job.print.file:
                    self._printing.job.learn(facts)
            case CommandRefused(command=command, tag=tag, message=message) if tag == JOB and not self._strays:
                if self._printing is not None:
                    self._printing.job.refused(f"The printer has refused {command}: {message}", _now())
                    self._go_on(self._printing)
            case PrintEnded():
                self._release()
            case TransferEnded(outcome=outcome):
                self._release()
                self._wanted = self._wanted if outcome == "done" else None
            case CardListed() if self._wanted is not None:
                self._use_new_file(self._wanted)
            case CardFileOpened() if self._printing is not None:
                self._identify(self._printing.job)
            case CardFileOpened():
                self._look_at_card()
            case ActionRequested(action="start") if not self.under_way and self._snapshot().selected is not None:
                self._tell(PrintWanted())
            case ActionRequested(action="start" | "resume" | "resumed"):
                self._look_at_card()
            case SdPrintEnded():
                self._end_left_behind(done=isinstance(event, SdPrintDone))
            case SdPrintReported() if before.sd_print is None and self._snapshot().sd_print is not None:
                self._ask(Command("M31"))
                if self._printing is None:
                    self._take_up()

    # -- one that is under way --

    def _require_free(self, stream: BinaryIO | None) -> None:
        if self._snapshot().state is not State.OPERATIONAL:
            _refuse(stream, "The printer is not operational")
        if self.under_way:
            _refuse(stream, "The printer is printing already")

    def _new_job(
        self, file: SelectedFile, stream: BinaryIO | None, user: str | None, resume: ResumePoint | None = None
    ) -> Course:
        """Raises Conflict where the script before a print cannot be run; then the stream is closed."""
        try:
            if stream is None:
                return self._card_job(file, user)
            return Job(
                file,
                _now(),
                started_at=time.time(),
                user=user,
                scripts=self._scripts,
                offsets=lambda: self._snapshot().offsets,
                heaters=lambda: self._snapshot().temperatures,
                resume=resume,
            )
        except Conflict as error:
            _refuse(stream, str(error))

    def _begin(self, job: Course, stream: BinaryIO | None) -> None:
        self._left_behind = None
        self._cut_short = 0
        self._printing = Printing(job, stream, self._tell, self._wake)
        self._go_on(self._printing)

    def _release(self) -> None:
        if self._printing is not None:
            self._strays += self._printing.job.unacknowledged
            self._printing.close()
            self._printing = None

    def _the_print(self, verb: str) -> Printing:
        if self._printing is None:
            raise Conflict(f"Printer is neither printing nor paused, '{verb}' command cannot be performed")
        return self._printing

    def _go_on(self, printing: Printing) -> None:
        printing.tell_events()
        self._wake()

    def _wake(self) -> None:
        if self._connection.link is not None:
            self._connection.link.wake()

    def _stop_waiting(self) -> None:
        """For heat, or for a user at the printer."""
        if self._connection.link is not None:
            self._connection.link.send_urgent(Command("M108"))

    def _wait_for_no_heat(self) -> None:
        """The next command that was on its way when the print was cancelled is being obeyed."""
        if self._cut_short and self._connection.link is not None and self._connection.link.waits_for_heat:
            self._stop_waiting()

    # -- from the card --

    def _card_job(self, file: SelectedFile, user: str | None, *, foreign: bool = False) -> CardJob:
        return CardJob(
            file,
            _now(),
            started_at=time.time(),
            user=user,
            scripts=self._scripts,
            heaters=lambda: self._snapshot().temperatures,
            firmware=self._snapshot().firmware or "",
            reports=self._snapshot().capabilities.get("AUTOREPORT_SD_STATUS", False),
            foreign=foreign,
        )

    def _take_up(self) -> None:
        """Follow a print from the card that goes on, whoever has started it."""
        snapshot, job = self._snapshot(), self._left_behind
        if snapshot.sd_print is None:
            return
        if job is not None and job.print.file.size in (None, snapshot.sd_print.total):
            job.take_up(_now())
        else:
            self._end_left_behind(done=False)
            file = card_file(snapshot.sd_files, snapshot.sd_open, size=snapshot.sd_print.total)
            job = self._card_job(file, None, foreign=True)
        if job.print.file.path:
            self._tell(FileSelected(job.print.file))
        else:
            self._ask(Command("M27 C"))
        self._begin(job, None)

    def _look_at_card(self) -> None:
        """Somebody at the printer may have started a print from its card."""
        if self._printing is None:
            self._ask(Command("M27"))

    def _identify(self, job: Course) -> None:
        """The printer has said which file it has open."""
        snapshot = self._snapshot()
        if isinstance(job, CardJob) and not job.print.file.path and snapshot.sd_open:
            job.identify(card_file(snapshot.sd_files, snapshot.sd_open, size=job.print.file.size))
            self._tell(FileSelected(job.print.file))

    def _end_left_behind(self, *, done: bool) -> None:
        """The print that went on without us has ended."""
        if (job := self._left_behind) is None:
            return
        self._left_behind = None
        job.end_unseen(_now(), done=done)
        while event := job.next_event():
            self._tell(event)

    def _use_new_file(self, new: SelectedFile) -> None:
        """What was to be done with the file that has been written to the card."""
        self._wanted = None
        file = card_file(self._snapshot().sd_files, new.path, size=new.size, user=new.user)
        self._tell(FileSelected(file))
        if self._wants_print and not self.under_way:
            with suppress(Conflict):  # Its script cannot be run, which has been told.
                self.start(file, None, user=new.user)


def _refuse(stream: BinaryIO | None, why: str) -> NoReturn:
    """Nothing is printed from this stream."""
    if stream is not None:
        stream.close()
    raise Conflict(why)


def _now() -> float:
    """Seconds of the loop's clock."""
    return asyncio.get_running_loop().time()
