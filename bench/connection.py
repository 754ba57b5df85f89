"""The measurements of `/api/connection` on one running host."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection

from . import load, processes, sockets
from .hosts import ADDRESS, API_KEY, CONNECTION, BenchError, Host, Running, get, running

POLL = 0.002
CHANGES_WITHIN = 45.0
CLIENTS = (1, 16)

Figures = dict[str, float]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How long each measurement takes, in seconds, and how often a printer is connected."""

    settle: float = 5.0
    idle: float = 10.0
    load: float = 4.0
    connects: int = 5


QUICK = Plan(settle=1.0, idle=2.0, load=1.0, connects=2)


def measure(host: Host, plan: Plan, progress: Progress) -> Figures:
    """One whole round: starts the host, takes all figures, ends it."""
    progress("start")
    with running(host) as server:
        figures: Figures = {"start_s": server.started_in}
        progress("idle")
        time.sleep(plan.settle)
        figures["pss_mb"] = processes.pss_bytes(server.pid) / 1e6
        before = processes.cpu_seconds(server.pid)
        time.sleep(plan.idle)
        figures["idle_cpu_s"] = processes.cpu_seconds(server.pid) - before
        figures |= measure_load(server, plan, progress)
        progress("connect")
        figures["connect_s"] = statistics.median(connect_times(server, plan.connects))
        progress(f"{sockets.CLIENTS} socket clients")
        figures |= measure_push(server, plan.idle)
        return figures


def measure_load(server: Running, plan: Plan, progress: Progress) -> Figures:
    """Requests/s and latencies of the GET with each number of clients."""
    figures: Figures = {}
    for clients in CLIENTS:
        progress(f"{clients} client{'s' * (clients > 1)}")
        got = load.in_own_process(server.port, clients, plan.load)
        figures[f"requests_per_s_{clients}"] = got.requests_per_s
        figures[f"p50_ms_{clients}"] = got.p50_ms
        figures[f"p99_ms_{clients}"] = got.p99_ms
    return figures


def measure_push(server: Running, seconds: float) -> Figures:
    """What it takes to tell many clients of a printer that is connected and has nothing to do."""
    with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
        command(client, {"command": "connect", "port": "VIRTUAL", "baudrate": 115200})
        wait_for_state(client, {"Operational"})
        with sockets.listening(server) as everybody:
            return sockets.measure(server, everybody, seconds)


def connect_times(server: Running, times: int) -> list[float]:
    """Seconds from the POST of `connect` to the first GET that says Operational; disconnects after each."""
    with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            command(client, {"command": "connect", "port": "VIRTUAL", "baudrate": 115200})
            wait_for_state(client, {"Operational"})
            taken.append(time.perf_counter() - began)
            command(client, {"command": "disconnect"})
            wait_for_state(client, {"Offline", "Closed"})
        return taken


def command(client: HTTPConnection, body: Mapping[str, object]) -> None:
    """POSTs one command to `/api/connection`, which must be answered with 204."""
    headers = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}
    client.request("POST", CONNECTION, json.dumps(body), headers)
    response = client.getresponse()
    answer = response.read()
    if response.status != 204:
        raise BenchError(f"{body['command']} was answered with {response.status}: {answer[:200]!r}")


def wait_for_state(client: HTTPConnection, wanted: set[str]) -> None:
    """Until one of the states is there, asked every POLL seconds."""
    deadline = time.perf_counter() + CHANGES_WITHIN
    state = "unknown"
    while time.perf_counter() < deadline:
        status, body = get(client)
        state = json.loads(body)["current"]["state"] if status == 200 else f"status {status}"
        if state in wanted:
            return
        time.sleep(POLL)
    raise BenchError(f"no {' or '.join(sorted(wanted))} within {CHANGES_WITHIN:.0f} s, last seen: {state}")
