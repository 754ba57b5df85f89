"""`python -m bench.longest [SECONDS]`: how long the event loop of a printing Limpet is held up by one piece of work.

A print on the simulated printer, and meanwhile what `strain.py` does, a client of the push, and clients that read
files, settings and the history, change a setting and send a command. Each callback of the loop is timed, by the clock
and by the CPU time of its thread: on a busy machine the clock also counts what others do. It prints a table.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any

from . import hosts, sockets
from .connection import command, wait_for_state
from .hosts import ADDRESS, API_KEY, BenchError, Host, Running
from .printing import file_of, start, upload
from .simulator import Board, build, simulated
from .strain import under_load

SECONDS = 60.0
ON_PAPER = 0.001
"""Seconds from which on it is noted what it was."""
LIMIT = 0.002
PER_SECOND = 500
BOARD = Board(planner=16, move_ms=1000 / PER_SECOND, advanced_ok=True)
FILES = 200
"""That are in the listing."""
KINDS = {"cpu": "CPU time of its own", "own": "and waiting for other threads and the disk", "wall": "and for a core"}
READS = (
    "/api/files?recursive=true",
    "/api/settings",
    "/api/limpet/history?limit=100",
    "/api/printer?history=true&limit=300",
    "/api/version",
    "/api/printerprofiles",
    "/api/files/local/bench.gcode",
    "/api/system/commands",
    "/api/connection",
)


def serve(words: list[str]) -> int:
    """`limpet serve`, with a watch; what it has seen is written to the file that is the first word."""
    from limpet.cli import run

    seen = Watch()
    usual = asyncio.Handle._run

    waits = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def waited() -> float:
        """Seconds for which this thread could run, but no core was free."""
        return int(os.pread(waits, 100, 0).split()[1]) / 1e9

    def timed(handle: asyncio.Handle) -> None:
        other, began, used = waited(), time.perf_counter(), time.thread_time()
        usual(handle)
        used, took = time.thread_time() - used, time.perf_counter() - began
        seen.add(took, took - (waited() - other), used, handle)

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    threading.Thread(target=_write, args=(seen, Path(words[0])), daemon=True).start()
    return run(["serve", *words[1:]])


class Watch:
    """Times in seconds, rounded up to 10 µs, and how often each was; what took longest, by name."""

    def __init__(self) -> None:
        self.wall: Counter[int] = Counter()
        self.own: Counter[int] = Counter()
        self.cpu: Counter[int] = Counter()
        self.slow: dict[str, list[tuple[float, float]]] = {}

    def add(self, wall: float, own: float, cpu: float, handle: Any) -> None:
        self.wall[int(wall * 1e5)] += 1
        self.own[int(own * 1e5)] += 1
        self.cpu[int(cpu * 1e5)] += 1
        if own > ON_PAPER and len(self.slow) < 500:
            self.slow.setdefault(_name(handle), []).append((own, cpu))


def _name(handle: Any) -> str:
    callback = handle._callback
    if callback is None:
        return "cancelled"
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        coroutine: Any = task.get_coro()
        # The innermost place where it waits now is where it came to by this piece of work.
        names = []
        while coroutine is not None and hasattr(coroutine, "__qualname__"):
            names.append(coroutine.__qualname__)
            coroutine = getattr(coroutine, "cr_await", None)
        return " > ".join(names[:1] + names[1:][-2:])
    return str(getattr(callback, "__qualname__", callback))[:100]


def _write(seen: Watch, path: Path) -> None:
    """Every second, so that nothing has to be said at the end."""
    while True:
        time.sleep(1)
        with contextlib.suppress(RuntimeError):  # It is being changed: the next time.
            words = {**{key: dict(getattr(seen, key)) for key in KINDS}, "slow": dict(seen.slow)}
            path.with_suffix(".new").write_text(json.dumps(words))
            path.with_suffix(".new").replace(path)


def watched(told: Path, links: list[Path]) -> Host:
    """Limpet with a watch that writes to `told`."""
    plain = hosts.limpet(Path("limpet"), links)
    root = str(Path(__file__).parents[1])

    def line(port: int, folder: Path) -> list[str]:
        given = plain.command(port, folder)[2:]
        return [sys.executable, "-P", "-m", "bench.longest", "serve", str(told), *given]

    return replace(plain, command=line, environment={**plain.environment, "PYTHONPATH": root})


def measure(seconds: float, files: int = FILES) -> dict[str, Any]:
    """One print under load; what the watch has seen from its first move to the end."""
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        count = int(PER_SECOND * (seconds + 30))
        link, told = folder / "port", folder / "told.json"
        simulator = stack.enter_context(simulated(build(folder), link, BOARD, count))
        server = stack.enter_context(hosts.running(watched(told, [link])))
        with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
            time.sleep(1)
            for number in range(files):
                _small_file(client, number)
            command(client, {"command": "connect", "port": str(link), "baudrate": BOARD.baudrate})
            wait_for_state(client, {"Operational"})
            upload(client, file_of(folder, count).path)
            start(client)
        if simulator.wait("first", 60) is None:
            raise BenchError("no move came")
        with under_load(server), everything_else(server):
            time.sleep(2)
            before = json.loads(told.read_text())
            time.sleep(seconds)
            after = json.loads(told.read_text())
        moves = simulator.ask()
    return {
        "dry": moves.dry,
        "moves": moves.moves,
        "turn_p99_us": moves.turn_p99_us,
        "turn_max_us": moves.turn_max_us,
        **{key: Counter(after[key]) - Counter(before[key]) for key in KINDS},
        "slow": {key: times[len(before["slow"].get(key, [])) :] for key, times in after["slow"].items()},
    }


@contextlib.contextmanager
def everything_else(server: Running) -> Iterator[None]:
    """A client of the push, and one that does one thing after the other."""
    ended = threading.Event()
    threads = [
        threading.Thread(target=_until, args=(ended, each), daemon=True)
        for each in (lambda: _listen(server, ended), lambda: _read(server, ended))
    ]
    for thread in threads:
        thread.start()
    try:
        yield
        if not all(thread.is_alive() for thread in threads):
            raise BenchError("a client did not last")
    finally:
        ended.set()
        for thread in threads:
            thread.join(10)


def _until(ended: threading.Event, each: Callable[[], None]) -> None:
    try:
        each()
    except OSError:
        if not ended.is_set():
            raise


def _listen(server: Running, ended: threading.Event) -> None:
    while not ended.is_set():
        # It answers no ping, and so is sent away every now and then.
        with contextlib.suppress(BenchError), sockets.listening(server, 1) as everybody:
            while not ended.is_set():
                for client in everybody:
                    client.read()


def _read(server: Running, ended: threading.Event) -> None:
    headers = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}
    with contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)) as client:
        for number, path in enumerate(cycle(READS)):
            if ended.wait(0.1):
                return
            status, body = hosts.get(client, path)
            if status != 200:
                raise BenchError(f"GET {path} was answered with {status}: {body[:100]!r}")
            if number % 10 == 0:
                _post(client, "/api/printer/command", {"command": f"M117 {number}"}, headers)
            if number % 50 == 0:
                _post(client, "/api/settings", {"appearance": {"name": f"bench {number}"}}, headers)


def _post(client: HTTPConnection, path: str, body: object, headers: dict[str, str]) -> None:
    client.request("POST", path, json.dumps(body), headers)
    response = client.getresponse()
    answer = response.read()
    if response.status not in (200, 204):
        raise BenchError(f"POST {path} was answered with {response.status}: {answer[:100]!r}")


def _small_file(client: HTTPConnection, number: int) -> None:
    boundary = "limpet-bench-boundary"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="small{number}.gcode"\r\n\r\n'
        f"G28\nG1 X{number}\n\r\n--{boundary}--\r\n"
    )
    headers = {"X-Api-Key": API_KEY, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    client.request("POST", "/api/files/local", body, headers)
    response = client.getresponse()
    answer = response.read()
    if response.status != 201:
        raise BenchError(f"an upload was answered with {response.status}: {answer[:100]!r}")


def table(found: dict[str, Any]) -> str:
    rows = [
        f"{found['moves']} moves, planner dry {found['dry']} times, ok to next line: "
        f"p99 {found['turn_p99_us']:.0f} µs, max {found['turn_max_us']:.0f} µs",
        "",
    ]
    rows += [
        "| work on the loop | pieces | p99, ms | p99.9, ms | max, ms | longer than 2 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for key, title in KINDS.items():
        times = sorted((int(time), count) for time, count in found[key].items())
        total = sum(count for _, count in times)
        over = sum(count for time, count in times if time >= LIMIT * 1e5)
        figures = [f"{_share(times, total * share) / 100:.2f}" for share in (0.99, 0.999, 1)]
        rows.append(f"| {title} | {total:,} | {' | '.join(figures)} | {over} |")
    rows += ["", f"Longer than {ON_PAPER * 1e3:g} ms of CPU: how often, longest in ms, where it has stopped", ""]
    slow = sorted(((max(times), len(times), name) for name, times in found["slow"].items() if times), reverse=True)
    return "\n".join(
        rows + [f"- {count}, {own * 1e3:.2f} ({cpu * 1e3:.2f}): {name}" for (own, cpu), count, name in slow]
    )


def _share(times: list[tuple[int, int]], wanted: float) -> int:
    seen = 0
    for each, count in times:
        seen += count
        if seen >= wanted:
            return each
    return times[-1][0]


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        sys.exit(serve(sys.argv[2:]))
    try:
        print(table(measure(float(sys.argv[1]) if sys.argv[1:] else SECONDS)))
    except BenchError as fault:
        sys.exit(str(fault))
