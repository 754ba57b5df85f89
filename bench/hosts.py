"""The programs under measurement: how each is started on a port of its own, and that it is ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ADDRESS = "127.0.0.1"
API_KEY = "limpet-bench-0123456789abcdef0123"
CONNECTION = "/api/connection"
NOWHERE = "http://127.0.0.1:9/"
STARTS_WITHIN = 90.0
STOPS_WITHIN = 15.0


class BenchError(Exception):
    """A measurement that cannot be made; `str()` of it says why."""


@dataclass(frozen=True)
class Host:
    """One program: `command(port, folder)` is its command line, `prepare(folder)` writes its settings."""

    name: str
    command: Callable[[int, Path], list[str]]
    prepare: Callable[[Path], None]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Running:
    """A host that has answered; `started_in` is from process start to that answer, in seconds."""

    pid: int
    port: int
    started_in: float


def limpet(program: Path, ports: Sequence[Path] = (), settings: str = "") -> Host:
    """Limpet as installed: `program` is the path of `limpet`. `ports`, if any, are all that it sees of this machine.

    `settings` are further lines of its limpet.toml.
    """
    environment = {"LIMPET_API_KEY": API_KEY}
    if ports:
        environment["LIMPET_PORTS"] = ",".join(map(str, ports))

    def command(port: int, folder: Path) -> list[str]:
        return [str(program), "serve", "--host", ADDRESS, "--port", str(port), "--data", str(folder)]

    def prepare(folder: Path) -> None:
        if ports:
            seen = '[ports]\nignored = ["/dev/tty*"]\nvirtual = false\n'
            (folder / "limpet.toml").write_text(seen + settings, encoding="utf-8")

    return Host("Limpet", command, prepare, environment)


def octoprint(program: Path, ports: Sequence[Path] = ()) -> Host:
    """OctoPrint as installed: `program` is the path of `octoprint`. Only what would ask the network is off.

    `ports`, if any, are all that it sees of this machine, in this order.
    """
    settings = {
        "accessControl": {"salt": "bench"},
        "api": {"enabled": True, "key": API_KEY},
        "server": {
            "firstRun": False,
            "onlineCheck": {"enabled": False},
            "pluginBlacklist": {"enabled": False},
            "seenWizards": {"backup": 1, "corewizard": 4, "tracking": 1},
        },
        "plugins": {
            "virtual_printer": {"enabled": not ports},
            "tracking": {"enabled": False},
            "errortracking": {"enabled": False},
            "pluginmanager": {"repository": NOWHERE, "notices": NOWHERE},
            "_disabled": ["announcements", "discovery", "softwareupdate"],
        },
        "serial": {
            "additionalPorts": [str(port) for port in ports],
            "blacklistedPorts": ["/dev/*"] if ports else [],
        },
        "gcodeAnalysis": {"runAt": "never"},
    }

    def command(port: int, folder: Path) -> list[str]:
        where = ["--basedir", str(folder), "--host", ADDRESS, "--port", str(port)]
        return [str(program), "serve", "--iknowwhatimdoing", *where]

    def prepare(folder: Path) -> None:
        # JSON is YAML too.
        (folder / "config.yaml").write_text(json.dumps(settings, indent=1), encoding="utf-8")

    return Host("OctoPrint", command, prepare, {})


def ceiling() -> Host:
    """A bare asyncio server with the same answer: what the load generator and this machine can reach."""

    def command(port: int, _folder: Path) -> list[str]:
        return [sys.executable, "-P", "-m", "bench.ceiling", str(port)]

    return Host("bare asyncio", command, _needs_nothing, {"PYTHONPATH": str(Path(__file__).parents[1])})


def get(client: HTTPConnection, path: str = CONNECTION) -> tuple[int, bytes]:
    """Status and body of one GET over a kept-alive `client`."""
    client.request("GET", path, headers={"X-Api-Key": API_KEY})
    response = client.getresponse()
    return response.status, response.read()


@contextlib.contextmanager
def running(host: Host) -> Iterator[Running]:
    """Starts the host on a free port with an empty folder, waits for its first answer, and ends it after."""
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name, "data")
        folder.mkdir()
        host.prepare(folder)
        output = stack.enter_context(Path(name, "output.txt").open("w+b"))
        port = _free_port()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LIMPET_", "PYTHON"))}
        began = time.perf_counter()
        process = subprocess.Popen(
            host.command(port, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **host.environment},
            start_new_session=True,
        )
        stack.callback(_end, process)
        try:
            _wait_for_answer(process, port, began + STARTS_WITHIN)
        except BenchError as fault:
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines()[-15:]
            raise BenchError("\n  ".join([f"{host.name} {fault}; it said:", *said])) from None
        yield Running(process.pid, port, time.perf_counter() - began)


def _needs_nothing(folder: Path) -> None:
    assert folder.is_dir()


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as server:
        return int(server.getsockname()[1])


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, deadline: float) -> None:
    last = "nothing"
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise BenchError(f"ended with code {process.returncode} before it answered")
        client = HTTPConnection(ADDRESS, port, timeout=5)
        try:
            status, _ = get(client)
        except (OSError, HTTPException) as fault:
            last = str(fault)
        else:
            if status == 200:
                return
            last = f"status {status}"
        finally:
            client.close()
        time.sleep(0.002)
    raise BenchError(f"gave no 200 for GET {CONNECTION} within {STARTS_WITHIN:.0f} s, last: {last}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPS_WITHIN)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
