"""What a case has plugged in: processes of their own, so that the host alone is measured."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .cases import Case, Printer
from .hosts import BenchError

THERE_WITHIN = 20.0


class Plug:
    """One process that makes one or more links to pseudo-terminals."""

    def __init__(self, command: Sequence[str], links: Sequence[Path]) -> None:
        self._command = command
        self._links = links
        self._process: subprocess.Popen[bytes] | None = None

    def put_in(self) -> None:
        """Returns when all links are there."""
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(
            self._command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + THERE_WITHIN
        while not all(link.exists() for link in self._links):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{' '.join(self._command)} has made no port")
            time.sleep(0.002)

    def pull(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


@contextlib.contextmanager
def plugged_in(case: Case, links: Sequence[Path], limpet: Path, seed: int) -> Iterator[Plug]:
    """Everything of the case, each thing behind its link; the plug is the printer's, or the impostors' without one."""
    plugs, impostors = [], {}
    for port, link in zip(case.ports, links, strict=True):
        if isinstance(port, Printer):
            plugs.append(Plug(_virtual(port, link, limpet, seed), [link]))
        else:
            impostors[link] = port
    if impostors:
        words = [f"{kind}={link}" for link, kind in impostors.items()]
        plugs.append(Plug([sys.executable, "-m", "bench.impostors", str(seed), *words], list(impostors)))
    with contextlib.ExitStack() as stack:
        for plug in plugs:
            stack.callback(plug.pull)
            plug.put_in()
        yield plugs[0]


def _virtual(printer: Printer, link: Path, limpet: Path, seed: int) -> list[str]:
    given = {"link": link, "baud": printer.baudrate, "boot-time": printer.boot_time, "seed": seed}
    return [str(limpet), "virtual", *(f"--{name}={value}" for name, value in given.items()), *printer.options]
