"""One print on one host: started, connected, given the file, and watched by the printer at the other end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from . import hosts, moves, processes
from .connection import Figures, command, wait_for_state
from .hosts import ADDRESS, API_KEY, BenchError, Host, Running
from .simulator import Board, Simulator, Told, fields, simulated

NAME = "bench.gcode"
BEGINS_WITHIN = 60.0
ANALYSED_WITHIN = 60.0
STALLS_AFTER = 45.0
"""Seconds without a move after which a print counts as over: OctoPrint waits 30 s for a lost ok."""
SETTLE = 1.0

Begin = Callable[[Path, int, Path], contextlib.AbstractContextManager[Running]]
"""Prints the file (the third) on the port at this rate in baud, while the context is open."""
Meanwhile = Callable[[Running], contextlib.AbstractContextManager[None]]
"""What goes on during a print."""


@dataclass(frozen=True)
class File:
    """What is printed, and what a printer has in the end that took all of it in order."""

    path: Path
    moves: int
    crc: int


def file_of(folder: Path, count: int) -> File:
    path = folder / f"{count}.gcode"
    return File(path, count, moves.write(path, count))


def over_api(make: Callable[[Path], Host], *, analyses: bool = False) -> Begin:
    """The way of Limpet and OctoPrint: connect, upload, select and print. `analyses`: it reads what was uploaded, and
    that is not to be counted as printing."""

    @contextlib.contextmanager
    def begin(link: Path, baudrate: int, file: Path) -> Iterator[Running]:
        with hosts.running(make(link)) as server:
            with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
                time.sleep(SETTLE)
                command(client, {"command": "connect", "port": str(link), "baudrate": baudrate})
                wait_for_state(client, {"Operational"})
                upload(client, file)
                if analyses:
                    _wait_for_analysis(client)
                start(client)
            yield server

    return begin


def with_printcore(python: Path) -> Begin:
    """The way of Printrun's printcore, in a process of its own; `python` is that of its environment."""

    @contextlib.contextmanager
    def begin(link: Path, baudrate: int, file: Path) -> Iterator[Running]:
        script = Path(__file__).with_name("printcore.py")
        process = subprocess.Popen(
            [str(python), "-P", str(script), str(link), str(baudrate), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Running(process.pid, 0, 0.0)
        finally:
            process.kill()
            process.wait()

    return begin


def upload(client: HTTPConnection, file: Path) -> None:
    """POSTs the file as NAME, which must be answered with 201."""
    body = b"\r\n".join([part_head(NAME), file.read_bytes(), b"--%b--\r\n" % BOUNDARY])
    headers = {"X-Api-Key": API_KEY, "Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
    client.request("POST", "/api/files/local", body, headers)
    _expect(client, 201, "the upload")


def _wait_for_analysis(client: HTTPConnection) -> None:
    end = time.monotonic() + ANALYSED_WITHIN
    while time.monotonic() < end:
        _, body = hosts.get(client, f"/api/files/local/{NAME}")
        if "gcodeAnalysis" in json.loads(body):
            return
        time.sleep(0.1)
    raise BenchError(f"the file was not analysed within {ANALYSED_WITHIN:.0f} s")


def start(client: HTTPConnection, prefix: str = "") -> None:
    """Selects and prints what was uploaded; `prefix` is that of one of many printers."""
    headers = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}
    body = json.dumps({"command": "select", "print": True})
    client.request("POST", f"{prefix}/api/files/local/{NAME}", body, headers)
    _expect(client, 204, "select and print")


BOUNDARY = b"limpet-bench-boundary"


def part_head(name: str) -> bytes:
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    return b"--%b\r\n%b\r\nContent-Type: application/octet-stream\r\n" % (BOUNDARY, disposition.encode())


def _expect(client: HTTPConnection, status: int, what: str) -> None:
    response = client.getresponse()
    answer = response.read()
    if response.status != status:
        raise BenchError(f"{what} was answered with {response.status}: {answer[:200]!r}")


@contextlib.contextmanager
def nothing_else(_host: Running) -> Iterator[None]:
    yield


def measure(
    begin: Begin,
    printer: Path,
    board: Board,
    file: File,
    *,
    limit: float,
    meanwhile: Meanwhile = nothing_else,
) -> Figures:
    """One print, which is stopped after `limit` seconds; `printer` is the compiled simulator."""
    with tempfile.TemporaryDirectory(prefix="limpet-bench-port-") as name, contextlib.ExitStack() as stack:
        simulator = stack.enter_context(simulated(printer, Path(name, "port"), board, file.moves))
        host = stack.enter_context(begin(simulator.link, board.baudrate, file.path))
        if simulator.wait("first", BEGINS_WITHIN) is None:
            raise BenchError(f"no move came within {BEGINS_WITHIN:.0f} s")
        before = processes.cpu_seconds(host.pid)
        with meanwhile(host):
            told = _until_done(simulator, limit)
        cpu = processes.cpu_seconds(host.pid) - before
    return judge(told, board, file, cpu)


def judge(told: Told, board: Board, file: File, cpu: float) -> Figures:
    """The figures of a print: `whole` is 1 when the printer has what is in the file, 0 when it has not got that far,
    -1 when it has something else; `cpu` in seconds."""
    done = told.event == "done"
    seconds = told.seconds if done else told.since_first
    whole = (1 if told.crc == file.crc else -1) if told.moves == file.moves else 0
    # The time begins with the first move: it is that of the others.
    rate = (told.moves - 1) / seconds
    return {
        **fields(told),
        "whole": whole,
        "lines_per_s": rate,
        "wire_share": rate * told.move_bytes / told.moves / (board.baudrate / 10),
        "cpu_s": cpu,
        "cpu_us_per_line": cpu / told.moves * 1e6,
    }


def _until_done(simulator: Simulator, limit: float) -> Told:
    """The last word of the printer, or what it has by the limit, or when no move has come for long."""
    end = time.monotonic() + limit
    last = -1
    while (left := end - time.monotonic()) > 0:
        told = simulator.wait("done", min(left, STALLS_AFTER))
        if told is not None:
            return told
        told = simulator.ask()
        if told.moves in (last, 0):
            return told
        last = told.moves
    return simulator.ask()
