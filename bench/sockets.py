"""Clients of the push: bare websockets on plain sockets, which read whatever comes."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from . import processes
from .hosts import ADDRESS, API_KEY, BenchError, Running

CLIENTS = 200
PATH = "/sockjs/websocket"
CURRENT = b'{"current":'
LEAST_EVERY = 5.0
"""Seconds within which a host must have told each client how things are; else it was no push that was measured."""


class Client:
    """One websocket; `current` counts the messages of that kind."""

    def __init__(self, port: int, auth: str) -> None:
        self.socket = socket.create_connection((ADDRESS, port), timeout=10)
        self.current = 0
        self._end = b""
        upgrade = (
            f"GET {PATH} HTTP/1.1\r\nHost: {ADDRESS}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        self.socket.sendall(upgrade.encode())
        head = self.socket.recv(65536)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise BenchError(f"no websocket: {head[:100]!r}")
        text = json.dumps({"auth": auth}).encode()
        # A mask of zeros is a mask, and leaves the text as it is.
        length = [len(text)] if len(text) < 126 else [126, *len(text).to_bytes(2, "big")]
        self.socket.sendall(bytes([0x81, 0x80 | length[0], *length[1:], 0, 0, 0, 0]) + text)

    def read(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise BenchError("the server closed a websocket")
        seen = self._end + data
        self.current += seen.count(CURRENT)
        self._end = seen[-len(CURRENT) + 1 :]


@contextlib.contextmanager
def listening(server: Running, clients: int = CLIENTS) -> Iterator[list[Client]]:
    """So many clients who have said who they are."""
    auth = _login(server.port)
    with contextlib.ExitStack() as stack:
        everybody = []
        for _ in range(clients):
            everybody.append(Client(server.port, auth))
            stack.callback(everybody[-1].socket.close)
        yield everybody


def measure(server: Running, everybody: list[Client], seconds: float, settle: float = 2.0) -> dict[str, float]:
    """The CPU time that the host takes while all of them read, and how many `current` each got."""
    _read(everybody, settle)
    for client in everybody:
        client.current = 0
    before = processes.cpu_seconds(server.pid)
    _read(everybody, seconds)
    used = processes.cpu_seconds(server.pid) - before
    fewest = min(client.current for client in everybody)
    if fewest < seconds // LEAST_EVERY:
        raise BenchError(f"a socket client was told how things are {fewest} times in {seconds:.0f} s")
    return {"sockets_cpu_s": used, "sockets_current": fewest}


def _read(everybody: list[Client], seconds: float) -> None:
    by_descriptor = {client.socket.fileno(): client for client in everybody}
    end = time.perf_counter() + seconds
    with select.epoll() as poll:
        for descriptor in by_descriptor:
            poll.register(descriptor, select.EPOLLIN)
        while (left := end - time.perf_counter()) > 0:
            for descriptor, _ in poll.poll(left):
                by_descriptor[descriptor].read()


def _login(port: int) -> str:
    with contextlib.closing(HTTPConnection(ADDRESS, port, timeout=30)) as client:
        headers = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}
        client.request("POST", "/api/login", '{"passive": true}', headers)
        response = client.getresponse()
        body = json.loads(response.read())
    if response.status != 200:
        raise BenchError(f"login was answered with {response.status}: {body}")
    return f"{body['name']}:{body['session']}"
