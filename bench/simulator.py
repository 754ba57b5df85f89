"""The printer of the print benchmark: `printer.c`, compiled, behind a pseudo-terminal."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .hosts import BenchError

SOURCE = Path(__file__).with_name("printer.c")
THERE_WITHIN = 10.0
TELLS_WITHIN = 10.0


@dataclass(frozen=True)
class Board:
    """What is simulated. `baudrate` is told to the host; the bytes take their time only where `wire` is set.

    `rx` is the receive buffer in bytes, None: as much as comes; `queue` in lines; `planner` in moves of `move_ms`,
    0: moves take no time. The shares of lines and oks that get lost, damaged or doubled are from 0 to 1. With
    `mute_resends` no ok follows a `Resend`.
    """

    baudrate: int = 115200
    wire: bool = False
    latency_ms: float = 0.0
    rx: int | None = None
    queue: int = 4
    planner: int = 0
    move_ms: float = 0.0
    advanced_ok: bool = False
    drop_lines: float = 0.0
    corrupt_lines: float = 0.0
    drop_oks: float = 0.0
    double_oks: float = 0.0
    mute_resends: bool = False
    seed: int = 1

    def options(self, moves: int) -> list[str]:
        """Of the compiled program, for a print of so many moves."""
        given: dict[str, float] = {
            "baud": self.baudrate if self.wire else 0,
            "latency-ms": self.latency_ms,
            "queue": self.queue,
            "planner": self.planner,
            "move-ms": self.move_ms,
            "drop-lines": self.drop_lines,
            "corrupt-lines": self.corrupt_lines,
            "drop-oks": self.drop_oks,
            "double-oks": self.double_oks,
            "seed": self.seed,
            "moves": moves,
        }
        if self.rx is not None:
            given["rx"] = self.rx
        flags = ["--advanced-ok"] * self.advanced_ok + ["--mute-resends"] * self.mute_resends
        return [f"--{name}={value}" for name, value in given.items()] + flags


@dataclass(frozen=True)
class Told:
    """What the printer has counted, at `event`: "first" move, "done" with the last, "asked" or "end".

    `crc` is that of all moves that were taken, each with a newline, and `move_bytes` what they were on the wire.
    `seconds` is from the first move to the last so far, `since_first` to now. A turn is the time in which the printer
    has nothing to do, from its ok to the next line, in µs. The planner was `dry` so often, for `dry_ms` in all.
    For `stood_ms` the printer's time stood still, as the machine was too busy to let it run.
    """

    event: str
    lines: int
    moves: int
    crc: int
    move_bytes: int
    seconds: float
    since_first: float
    turns: int
    turn_p50_us: float
    turn_p99_us: float
    turn_max_us: float
    dry: int
    dry_ms: float
    resends: int
    lost_lines: int
    bad_lines: int
    lost_oks: int
    overflow: int
    stood_ms: float


def compiler() -> str | None:
    """The path of a C compiler, if there is one."""
    return shutil.which("gcc") or shutil.which("cc")


def build(folder: Path) -> Path:
    """Compiles the printer into `folder`; BenchError when that cannot be."""
    found = compiler()
    if found is None:
        raise BenchError("the printer of this benchmark is written in C: a C compiler (gcc) is needed")
    program = folder / "printer"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [found, *flags, "-o", str(program), str(SOURCE), "-lm"], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise BenchError(f"{SOURCE.name} cannot be compiled: {done.stderr.strip()[:1000]}")
    return program


class Simulator:
    """A running printer; `link` is its port."""

    def __init__(self, process: subprocess.Popen[bytes], link: Path) -> None:
        self._process = process
        self._unread = b""
        self.link = link

    def wait(self, event: str, within: float) -> Told | None:
        """What it tells at `event`; None when that does not come within so many seconds."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            line = self._line(left)
            if line is None:
                break
            told = Told(**json.loads(line))
            if told.event == event:
                return told
        return None

    def ask(self) -> Told:
        """What it has counted by now."""
        self._process.send_signal(signal.SIGUSR1)
        told = self.wait("asked", TELLS_WITHIN)
        if told is None:
            raise BenchError("the simulated printer does not answer")
        return told

    def _line(self, within: float) -> bytes | None:
        assert self._process.stdout is not None
        deadline = time.monotonic() + within
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            got = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not got:
                return None
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        return line


@contextlib.contextmanager
def simulated(program: Path, link: Path, board: Board, moves: int) -> Iterator[Simulator]:
    """Starts the compiled `program` behind `link`, for a print of so many moves, and ends it."""
    process = subprocess.Popen(
        [str(program), f"--link={link}", *board.options(moves)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + THERE_WITHIN
        while not link.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the simulated printer has made no port")
            time.sleep(0.002)
        yield Simulator(process, link)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def fields(told: Told) -> dict[str, Any]:
    """As written into the figures of a round."""
    return {name: value for name, value in vars(told).items() if name != "event"}
