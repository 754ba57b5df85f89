"""`python -m bench.impostors SEED KIND=LINK ...`: what may be plugged in and is no printer, each on a pseudo-terminal.

They are heard at every rate, as over native USB, where the rate does not matter. Runs until it is ended.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import sys
import time
import tty
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK = 0.02


@dataclass(frozen=True)
class Kind:
    """`greeting` is said when the port is opened, as by a board that DTR resets; `lines` again and again.

    `pause`: seconds between two lines, or two helpings of `noise` random bytes. `echoes`: gives back what it gets.
    `locked`: this process has the port open and locked (flock).
    """

    greeting: bytes = b""
    lines: tuple[bytes, ...] = ()
    noise: int = 0
    pause: float = 1.0
    echoes: bool = False
    locked: bool = False


KINDS = {
    "silent": Kind(),
    "noise": Kind(noise=40, pause=0.05),
    "starting": Kind(greeting=b"Sensor node starting v1.2\r\n"),
    "sensor": Kind(greeting=b"Sensor node starting v1.2\r\n", lines=(b"ok T 21.3\r\n",)),
    "gps": Kind(
        lines=(
            b"$GPGGA,120001.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*7B\r\n",
            b"$GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1*39\r\n",
            b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n",
        ),
        pause=0.3,
    ),
    "temperatures": Kind(lines=(b"T:21.3 /0.0 B:21.4 /0.0 @:0 B@:0\r\n",)),
    "echo": Kind(echoes=True),
    "locked": Kind(locked=True),
}


class Impostor:
    """One of them behind `link`; nothing here blocks."""

    def __init__(self, kind: Kind, link: Path, seed: int = 1) -> None:
        self._kind = kind
        self._random = random.Random(seed)
        self._said = 0
        self._next: float | None = None
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        device = os.ttyname(slave)
        if kind.locked:
            fcntl.flock(slave, fcntl.LOCK_EX)
        else:
            # The master tells whether a host has the port open only while we have not.
            os.close(slave)
        link.symlink_to(device)

    def tick(self, now: float) -> None:
        """Says what is due; what a host does not read is lost."""
        if not self._is_open():
            self._next = None
            return
        if self._next is None:
            self._say(self._kind.greeting)
            self._next = now
        with suppress(OSError):  # nothing there, or closed at this moment
            heard = os.read(self._master, 4096)
            if self._kind.echoes:
                self._say(heard)
        if now >= self._next:
            self._say(self._line())
            self._next = now + self._kind.pause

    def _is_open(self) -> bool:
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def _line(self) -> bytes:
        if self._kind.noise:
            return self._random.randbytes(self._kind.noise)
        if not self._kind.lines:
            return b""
        self._said += 1
        return self._kind.lines[self._said % len(self._kind.lines)]

    def _say(self, data: bytes) -> None:
        with suppress(OSError):
            os.write(self._master, data)


def main(words: list[str]) -> None:
    everyone = []
    for word in words[1:]:
        kind, _, link = word.partition("=")
        everyone.append(Impostor(KINDS[kind], Path(link), int(words[0])))
    while True:
        for impostor in everyone:
            impostor.tick(time.monotonic())
        time.sleep(TICK)


if __name__ == "__main__":
    main(sys.argv[1:])
