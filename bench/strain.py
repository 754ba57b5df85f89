"""`python -m bench.strain PORT`: what a host has to bear during a print, until it is ended.

Ten clients ask for the printer and the job, each once a second, and a G-code file of 100 MB is uploaded at 25 MB/s,
again and again, which the host then looks into. A process of its own. It says `ready` when all of it is under way.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from . import moves
from .hosts import ADDRESS, API_KEY, BenchError, Running, get
from .printing import BOUNDARY, part_head

CLIENTS = 10
EVERY = 1.0
PATHS = ("/api/printer", "/api/job")
SIZE = 100_000_000
PER_SECOND = 25_000_000
PIECE = 1 << 18
READY_WITHIN = 20.0


@contextlib.contextmanager
def under_load(host: Running) -> Iterator[None]:
    """All of it on `host` while the context is open; BenchError when it did not last so long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.strain", str(host.port)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr is not None else ""
            raise BenchError(f"the load did not last: {said[-500:]}")
    finally:
        process.kill()
        process.communicate()


def poll(port: int, number: int) -> None:
    time.sleep(EVERY * number / CLIENTS)
    with contextlib.closing(HTTPConnection(ADDRESS, port, timeout=30)) as client:
        for path in itertools.cycle(PATHS):
            status, body = get(client, path)
            if status != 200:
                raise BenchError(f"GET {path} was answered with {status}: {body[:200]!r}")
            time.sleep(EVERY / len(PATHS))


def paced(block: bytes, tail: bytes) -> Iterator[bytes]:
    """SIZE bytes in pieces, at PER_SECOND."""
    began, sent = time.monotonic(), 0
    while sent < SIZE:
        piece = block[: min(PIECE, SIZE - sent)]
        yield piece
        sent += len(piece)
        time.sleep(max(0.0, began + sent / PER_SECOND - time.monotonic()))
    yield tail


def upload(port: int) -> None:
    """One large file after the other."""
    block = "".join(f"{move}\n" for move in moves.moves(PIECE // 20)).encode()[:PIECE]
    for number in itertools.count():
        head, tail = part_head(f"large{number % 2}.gcode"), b"\r\n--%b--\r\n" % BOUNDARY
        headers = {
            "X-Api-Key": API_KEY,
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}",
            "Content-Length": str(len(head) + 2 + SIZE + len(tail)),
        }
        with contextlib.closing(HTTPConnection(ADDRESS, port, timeout=60)) as client:
            client.request("POST", "/api/files/local", itertools.chain([head + b"\r\n"], paced(block, tail)), headers)
            response = client.getresponse()
            answer = response.read()
            if response.status != 201:
                raise BenchError(f"the large upload was answered with {response.status}: {answer[:200]!r}")


def main(port: int) -> None:
    failed: list[BaseException] = []

    def keep(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            failed.append(arguments.exc_value)

    threading.excepthook = keep
    for number in range(CLIENTS):
        threading.Thread(target=poll, args=(port, number), daemon=True).start()
    threading.Thread(target=upload, args=(port,), daemon=True).start()
    print("ready", flush=True)
    while not failed:
        time.sleep(0.1)
    sys.exit(str(failed[0]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
