"""At which rate does a printer answer on this port? The port stays open meanwhile, so a board is reset once at most.

    open -> listen -> ask at a rate -> proof: done
                         | unreadable, or silence for a moment: next rate, again and again
                         | text: the rate is right, so ask for longer, then tell what it is

What was heard at one rate is thrown away before the next (transports flush, and each rate has a session of its own).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from limpet.errors import Fault, PortError
from limpet.printer.faults import most_telling
from limpet.printer.link import Link
from limpet.printer.state import CandidateTried
from limpet.printer.target import Patience
from limpet.transports.ports import Port


def silence_after_opening(link: Link, port: Port, patience: Patience) -> float:
    """Seconds that nothing may be said on the port that has just been opened."""
    return patience.boot_loader if link.resets_board and not port.is_native else 0.0


class Probe:
    """One port, several rates. `tell` hears of each rate before it is tried, `open` opens the link."""

    def __init__(
        self,
        port: Port,
        rates: Sequence[int],
        patience: Patience,
        open: Callable[[Link, Port, int], Awaitable[None]],
        tell: Callable[[CandidateTried], None],
    ) -> None:
        self._port = port
        # To a microcontroller with USB of its own a rate means nothing.
        self._rates = rates[:1] if port.is_native else rates
        self._patience = patience
        self._open = open
        self._tell = tell
        self._clock = asyncio.get_running_loop().time
        self._verdicts: dict[int, PortError] = {}

    async def run(self, link: Link) -> None:
        """Returns when a printer has proved itself on `link`; raises PortError with the most telling verdict."""
        started = self._clock()
        while True:
            for baudrate in self._rates:
                remaining = self._ends_at(link, started) - self._clock()
                if remaining <= 0:
                    raise self._verdict()
                self._tell(CandidateTried(self._port.path, self._words(baudrate), baudrate))
                listening = 0.0
                if not link.port:
                    await self._open(link, self._port, baudrate)
                    listening = max(self._patience.listening, silence_after_opening(link, self._port, self._patience))
                elif link.baudrate != baudrate and not await self._retuned(link, baudrate):
                    continue
                # Where there is but one rate, there is no reason to hurry on.
                hurried = self._clock() < started + self._patience.hurry
                dwell = self._patience.dwell if hurried else self._patience.long_dwell
                if len(self._rates) == 1:
                    dwell = remaining
                link.greet(
                    time=dwell,
                    settled_time=self._patience.settled,
                    wrong_rate_time=self._patience.wrong_dwell,
                    listening=listening,
                )
                try:
                    await link.opened
                    return
                except PortError as error:
                    if link.ended.done() or error.fault.code == "firmware_halted" or link.read_well:
                        raise
                    self._verdicts[baudrate] = error

    def _ends_at(self, link: Link, started: float) -> float:
        ends = started + self._patience.detection
        if link.booted_at is not None:
            ends = max(ends, min(link.booted_at, ends) + self._patience.booting)
        return ends

    async def _retuned(self, link: Link, baudrate: int) -> bool:
        try:
            await link.retune(baudrate)
        except PortError as error:
            if error.fault.code != "not_a_printer":
                raise
            return False  # The driver cannot do this rate; it could do the first.
        return True

    def _words(self, baudrate: int) -> str:
        told = self._verdict().fault
        heard = f"; {told.message}" if told.code != "no_answer" else ""
        return f"asking at {baudrate} baud{heard}"

    def _verdict(self) -> PortError:
        faults: dict[Fault, PortError] = {error.fault: error for error in self._verdicts.values()}
        told = most_telling(list(faults), self._port.path)
        return PortError(told, faults[told].traffic if told in faults else ())
