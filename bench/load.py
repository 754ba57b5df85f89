"""`python -m bench.load PORT CLIENTS SECONDS [PATH ...]`: keep-alive clients that ask the paths in turn, as fast as
they are answered.

A process of its own on plain sockets and epoll, so that it neither shares the server's core nor holds it up;
where there is a second core it never sleeps.
Prints one JSON object.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

from .hosts import ADDRESS, API_KEY, CONNECTION, BenchError

WARM_UP = 0.5
DRAINS_WITHIN = 10.0
LARGEST_ANSWER = 1 << 20
REQUEST = f"GET %s HTTP/1.1\r\nHost: {ADDRESS}\r\nX-Api-Key: {API_KEY}\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What `clients` got out of a server."""

    clients: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float


class Client:
    """One connection with one request under way; times are those of `time.perf_counter`."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.socket = socket.create_connection((ADDRESS, port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_at = 0.0
        self.received = b""

    def ask(self, now: float) -> None:
        self.asked_at = now
        self.socket.sendall(next(self._requests))

    def answered(self) -> bool:
        """Reads what is there; true when the answer is complete, which must be a 200."""
        data = self.socket.recv(65536)
        if not data:
            raise BenchError("the server closed a connection that should be kept alive")
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise BenchError(f"the server answered {head.splitlines()[0].decode(errors='replace')}")
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not length or int(length) > LARGEST_ANSWER:
            raise BenchError("the server answered without a usable Content-Length")
        if len(body) < int(length):
            return False
        self.received = b""
        return True


def generate(port: int, clients: int, seconds: float, paths: Sequence[str] = (CONNECTION,)) -> Load:
    """Runs the load after a short warm-up and counts what comes back within `seconds`.

    Requests under way at the end are waited for: a slow one is in the latencies, but not in the rate.
    """
    requests = cycle([(REQUEST % path).encode() for path in paths])
    everyone = [Client(port, requests) for _ in range(clients)]
    gc.disable()
    begin = time.perf_counter() + WARM_UP
    end = begin + seconds
    exchanges = [(asked, done) for asked, done in _exchange(everyone, end) if asked >= begin]
    for client in everyone:
        client.socket.close()
    if len(exchanges) < 2:
        raise BenchError(f"only {len(exchanges)} answers within {seconds:.1f} s")
    latencies = sorted(done - asked for asked, done in exchanges)
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return Load(clients, sum(done < end for _, done in exchanges) / seconds, p50, p99)


def _exchange(everyone: list[Client], end: float) -> list[tuple[float, float]]:
    """Asks until `end`; when each request was asked and answered."""
    by_descriptor = {client.socket.fileno(): client for client in everyone}
    # A generator that sleeps adds its own waking to each latency; with one core alone it must.
    patience = 0 if len(os.sched_getaffinity(0)) > 1 else 1
    exchanges = []
    with select.epoll() as poll:
        for descriptor, client in by_descriptor.items():
            poll.register(descriptor, select.EPOLLIN)
            client.ask(time.perf_counter())
        waiting = len(everyone)
        while waiting:
            for descriptor, _ in poll.poll(patience):
                client = by_descriptor[descriptor]
                if not client.answered():
                    continue
                now = time.perf_counter()
                exchanges.append((client.asked_at, now))
                if now < end:
                    client.ask(now)
                else:
                    waiting -= 1
            if time.perf_counter() > end + DRAINS_WITHIN:
                raise BenchError(f"{waiting} requests had no answer after {DRAINS_WITHIN:.0f} s")
    return exchanges


def in_own_process(port: int, clients: int, seconds: float, paths: Sequence[str] = (CONNECTION,)) -> Load:
    """`generate` in a process of its own."""
    command = [sys.executable, "-m", "bench.load", str(port), str(clients), str(seconds), *paths]
    limit = WARM_UP + seconds + DRAINS_WITHIN + 10
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"the load generator did not end within {limit:.0f} s") from None
    if done.returncode:
        raise BenchError(f"the load generator failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    return Load(**json.loads(done.stdout))


if __name__ == "__main__":
    try:
        load = generate(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:] or (CONNECTION,))
        print(json.dumps(asdict(load)))
    except (BenchError, OSError) as fault:
        sys.exit(str(fault))
