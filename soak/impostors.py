"""What else hangs on serial ports, and must never be taken for a printer."""

from __future__ import annotations

import random
from collections.abc import Callable

from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from soak.device import Core

RATES = (9600, 19200, 38400, 57600, 115200, 230400, 250000)
MOST_UNSAID = 65_536


class Talker:
    """Says what `says` says every `interval` seconds, and what `answers` makes of what it hears; at another rate
    than its own (0: it does not care), all of that is noise."""

    def __init__(
        self,
        chance: random.Random,
        *,
        says: Callable[[], bytes] = bytes,
        interval: float = 1.0,
        answers: Callable[[bytes], bytes] = lambda _: b"",
        baudrate: int = 0,
    ) -> None:
        self.baudrate = baudrate
        self._chance = chance
        self._says, self._interval, self._answers = says, interval, answers
        self._host_baudrate = 0
        self._unsaid = bytearray()
        self._next = 0.0

    @property
    def deadline(self) -> float:
        return self._next

    def reset(self, now: float) -> None:
        self._unsaid.clear()
        self._next = now + self._interval

    def host_baudrate(self, baudrate: int) -> None:
        self._host_baudrate = baudrate

    def receive_data(self, data: bytes, now: float) -> None:
        self._say(self._answers(self._on_the_line(data)))
        self.handle_timer(now)

    def handle_timer(self, now: float) -> None:
        if now >= self._next:
            self._next = now + self._interval
            self._say(self._says())

    def data_to_send(self) -> bytes:
        data = bytes(self._unsaid)
        self._unsaid.clear()
        return self._on_the_line(data)

    def _say(self, data: bytes) -> None:
        self._unsaid += data
        del self._unsaid[MOST_UNSAID:]

    def _on_the_line(self, data: bytes) -> bytes:
        wrong = self.baudrate not in (0, self._host_baudrate)
        return self._chance.randbytes(len(data)) if wrong else data


def _virtual(firmware: str) -> Callable[[random.Random], Core]:
    return lambda chance: VirtualPrinter(
        VirtualPrinterOptions(firmware=firmware, baudrate=chance.choice(RATES), boot_time=chance.choice([0.0, 1.0]))
    )


def _gps(chance: random.Random) -> Core:
    sentence = b"$GPGGA,120044.00,4717.11,N,00833.91,E,1,08,1.01,499.6,M,48.0,M,,*5B\r\n"
    return Talker(chance, says=lambda: sentence, baudrate=chance.choice([4800, 9600]))


def _logger(chance: random.Random) -> Core:
    """Says all that a careless host would like to hear, and hears nothing."""
    lines = b"start\r\necho: starting ...\r\nok\r\nok T:21.3 /0.0 B:20.1 /0.0\r\nwait\r\n"
    return Talker(chance, says=lambda: lines, interval=chance.choice([0.25, 1.0]), baudrate=chance.choice(RATES))


def _yes_man(chance: random.Random) -> Core:
    """Says ok to everything."""
    return Talker(chance, answers=lambda heard: b"ok\n" * heard.count(b"\n"), baudrate=chance.choice([0, *RATES]))


def _modem(chance: random.Random) -> Core:
    """Echoes, and calls everything an error."""
    return Talker(chance, answers=lambda heard: heard + b"\r\nERROR\r\n" * heard.count(b"\n"))


IMPOSTORS: dict[str, Callable[[random.Random], Core]] = {
    "silent device": Talker,
    "noise": lambda chance: Talker(chance, says=lambda: chance.randbytes(40), interval=0.1),
    "flood": lambda chance: Talker(chance, says=lambda: b"0123456789 " * 40 + b"\n", interval=0.05),
    "sensor": _virtual("sensor"),
    "milling machine": _virtual("grbl"),
    "gps": _gps,
    "logger": _logger,
    "yes-man": _yes_man,
    "modem": _modem,
    "loopback": lambda chance: Talker(chance, answers=lambda heard: heard),
}
"""What makes one of each kind."""
