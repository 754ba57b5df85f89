"""The program as a person runs it: a real process, its exit code, what it prints and what it leaves on disk."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 15.0
KEY = re.compile(r"^ {4}([0-9a-f]{64})$", re.MULTILINE)


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIMPET_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | extra


def limpet(*arguments: str, data: Path, typed: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limpet", *arguments],
        env=environment(LIMPET_DATA=str(data), **extra),
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Program:
    """`limpet ...` in the background; `output` is what it has printed so far."""

    def __init__(self, *arguments: str, **extra: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "limpet", *arguments],
            env=environment(**extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.output = ""

    def wait_for(self, text: str) -> str:
        assert self.process.stdout is not None
        ends = time.monotonic() + PATIENCE
        while text not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, ends - time.monotonic()))
            printed = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert printed, f"{text!r} did not appear in: {self.output}\n{self._rest()}"
            self.output += printed.decode()
        return self.output

    def _rest(self) -> str:
        self.process.kill()
        return self.process.communicate()[1].decode()

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, self.output + out.decode(), err.decode()


@contextmanager
def serving(data: Path, *arguments: str, **extra: str) -> Iterator[tuple[Program, str]]:
    port = free_port()
    program = Program("serve", "--data", str(data), "--port", str(port), *arguments, **extra)
    try:
        program.wait_for("Ctrl-C ends it.\n")
        yield program, f"http://127.0.0.1:{port}"
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()


def status(address: str, key: str) -> int:
    request = urllib.request.Request(f"{address}/api/connection", headers={"X-Api-Key": key})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def current(address: str) -> Any:
    request = urllib.request.Request(f"{address}/api/connection", headers={"X-Api-Key": "k"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)["current"]


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


# -- serve --


def test_the_first_start_prints_the_admin_key_and_the_second_does_not(data: Path) -> None:
    with serving(data) as (program, address):
        key = KEY.search(program.wait_for("More keys"))
        assert key
        assert f'curl -H "X-Api-Key: {key[1]}" {address}/api/connection' in program.output
        assert status(address, key[1]) == 200
        assert program.end()[0] == 0
    with serving(data) as (program, address):
        assert status(address, key[1]) == 200
        assert not KEY.search(program.end()[1])
    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert key[1].encode() not in kept


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_within_two_seconds_even_with_a_printer_and_a_client(
    data: Path, how: signal.Signals
) -> None:
    with serving(data, LIMPET_API_KEY="k") as (program, address):
        request = urllib.request.Request(
            f"{address}/api/connection",
            data=b'{"command": "connect", "port": "VIRTUAL", "baudrate": 115200}',
            headers={"X-Api-Key": "k", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 204
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as idle:
            idle.sendall(b"GET /api/connection HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\n\r\n")
            assert idle.recv(100)
            started = time.monotonic()
            code, _, err = program.end(how)
        assert time.monotonic() - started < 2.0
        assert code == 0
        assert "Traceback" not in err
        assert "never" not in err


def test_a_kill_frees_the_port_and_the_next_start_has_its_printer_again(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "printer"
    data.mkdir()
    (data / "limpet.toml").write_text(f"[printers.one]\nport = '{link}'\nbaudrate = 115200\nautoconnect = true\n")
    printer = Program("virtual", "--link", str(link), "--boot-time", "0")
    try:
        printer.wait_for("ready at")
        for _ in range(2):
            with serving(data, LIMPET_PORTS=str(link), LIMPET_API_KEY="k") as (program, address):
                wait_until(lambda address=address: current(address)["state"] == "Operational")  # type: ignore[misc]
                program.end(signal.SIGKILL)
            with link.open("rb", buffering=0) as port:
                fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        printer.end()


def test_the_key_of_the_environment_is_kept_nowhere_and_logged_nowhere(data: Path) -> None:
    with serving(data, "--verbose", LIMPET_API_KEY="a-secret-from-outside") as (program, address):
        assert status(address, "a-secret-from-outside") == 200
        assert status(address, "another") == 403
        _, out, err = program.end()
    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert "a-secret-from-outside" not in out + err + kept.decode()


def test_a_key_that_nobody_could_read_is_not_kept(data: Path) -> None:
    port = free_port()
    reader, writer = os.pipe()
    program = subprocess.Popen(
        [sys.executable, "-m", "limpet", "serve", "--data", str(data), "--port", str(port)],
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    os.close(reader)
    program.communicate(timeout=PATIENCE)
    assert program.returncode != 0
    with serving(data) as (second, _):
        assert KEY.search(second.wait_for("More keys"))


def test_a_taken_tcp_port_is_told_in_one_line(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = limpet("serve", "--port", str(port), data=data)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (data / "keys.json").exists()


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("[server]\nport = 'x'\n", "line 2: server.port"),
        ("[server]\nprot = 1\n", "line 2: server.prot"),
        ("[virtual]\nboot_tmie = 1\n", "line 2: virtual.boot_tmie"),
        ("[virtual]\nplanner = 'big'\n", "line 1: virtual"),
        ("[printers.a\n", "line 1"),
    ],
)
def test_a_bad_settings_file_is_one_line_exit_code_2_and_nothing_changed(data: Path, content: str, place: str) -> None:
    data.mkdir()
    (data / "limpet.toml").write_text(content)
    done = limpet("serve", "--port", str(free_port()), data=data)
    assert done.returncode == 2
    assert place in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in data.iterdir()] == ["limpet.toml"]
    assert (data / "limpet.toml").read_text() == content


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "0"],
        ["serve", "--port", "http"],
        ["serve", "--host", ""],
        ["serve", "--frobnicate"],
        ["frobnicate"],
        [],
        ["virtual"],
        ["virtual", "--link", "/tmp/x", "--planner", "many"],
        ["virtual", "--link", "/tmp/x", "--firmware", "windows"],
        ["keys", "add"],
        ["keys", "revoke", "nobody"],
        ["users", "add"],
        ["users", "remove", "nobody"],
        ["users", "passwd", "nobody"],
        ["appkeys"],
        ["appkeys", "list"],
        ["appkeys", "approve"],
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(data: Path, arguments: list[str]) -> None:
    done = limpet(*arguments, data=data)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("limpet")
    assert not data.exists() or not list(data.iterdir())


# -- ports, keys, virtual --


def test_ports_are_listed_for_people_and_for_programs(data: Path, tmp_path: Path) -> None:
    assert "VIRTUAL" in limpet("ports", data=data).stdout
    controller, device = os.openpty()
    link = tmp_path / "printer"
    link.symlink_to(os.ttyname(device))
    listed = json.loads(limpet("ports", "--json", data=data, LIMPET_PORTS=str(link)).stdout)
    os.close(controller)
    os.close(device)
    assert listed[-1]["path"] == "VIRTUAL"
    assert str(link) in [port["path"] for port in listed]
    assert not data.exists()


def test_a_key_is_shown_once_listed_without_it_and_revoked_under_a_running_server(data: Path) -> None:
    added = limpet("keys", "add", "a phone", "--permissions", "status,connection", data=data)
    assert added.returncode == 0
    key = added.stdout.splitlines()[0]
    listed = limpet("keys", "list", data=data).stdout
    assert "a phone" in listed
    assert "STATUS,CONNECTION" in listed
    assert key not in listed
    with serving(data) as (_, address):
        assert status(address, key) == 200
        assert limpet("keys", "revoke", "a phone", data=data).returncode == 0
        assert status(address, key) == 403


def asked(address: str, path: str, content: object = None, **headers: str) -> tuple[int, Any]:
    """Status and content of the answer, to a POST when there is content."""
    body = None if content is None else json.dumps(content).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_user_logs_in_with_the_password_from_a_pipe_and_no_more_when_removed(data: Path) -> None:
    assert limpet("users", "add", "ada", "--admin", data=data, typed="correct horse\n").returncode == 0
    assert limpet("users", "add", "bob", data=data, typed="short\n").returncode == 2
    listed = limpet("users", "list", data=data).stdout
    assert re.fullmatch(r"ada  \S+  admins\n", listed)
    with serving(data) as (program, address):
        login = {"user": "ada", "pass": "correct horse"}
        assert asked(address, "/api/login", login)[0] == 200
        assert limpet("users", "passwd", "ada", data=data, typed="another horse").returncode == 0
        assert asked(address, "/api/login", login)[0] == 403
        assert asked(address, "/api/login", {**login, "pass": "another horse"})[0] == 200
        assert limpet("users", "remove", "ada", data=data).returncode == 0
        assert asked(address, "/api/login", {**login, "pass": "another horse"})[0] == 403
        _, out, err = program.end()
    assert "one-time code" not in out
    assert "horse" not in out + err + "".join(path.read_text() for path in data.glob("*.json"))


def test_a_password_is_asked_for_twice_on_a_terminal_and_not_shown(data: Path) -> None:
    for typed, code in (("correct horse", 0), ("a wrong horse", 2)):
        controller, device = os.openpty()
        program = subprocess.Popen(
            [sys.executable, "-m", "limpet", "users", "add", f"user {code}"],
            env=environment(LIMPET_DATA=str(data)),
            stdin=device,
            stdout=device,
            stderr=device,
            start_new_session=True,
        )
        os.close(device)
        shown = b""
        for prompt, answer in ((b"Password: ", "correct horse"), (b"Once more: ", typed)):
            while prompt not in shown:
                assert select.select([controller], [], [], PATIENCE)[0]
                shown += os.read(controller, 1000)
            os.write(controller, f"{answer}\n".encode())
        assert program.wait(timeout=PATIENCE) == code
        os.close(controller)
        assert b"horse" not in shown
    assert limpet("users", "list", data=data).stdout.startswith("user 0  ")


def test_the_first_user_is_set_up_with_the_code_that_is_printed(data: Path) -> None:
    with serving(data) as (program, address):
        code = re.search(r"one-time code (\S+)", program.wait_for("one-time code"))
        assert code
        first = {"code": code[1], "user": "ada", "password": "correct horse"}
        assert asked(address, "/api/limpet/setup") == (200, {"needed": True})
        assert asked(address, "/api/limpet/setup", first) == (204, None)
        _, _, err = program.end()
    assert code[1] not in err
    with serving(data) as (program, address):
        assert asked(address, "/api/limpet/setup") == (200, {"needed": False})
        assert "one-time code" not in program.end()[1]


def test_an_app_gets_its_key_when_the_command_line_says_so(data: Path) -> None:
    with serving(data) as (program, address):
        url = ("--url", address)
        assert limpet("appkeys", "list", *url, data=data).returncode == 1
        _, request = asked(address, "/plugin/appkeys/request", {"app": "Home Assistant"})
        poll = f"/plugin/appkeys/request/{request['app_token']}"
        assert asked(address, poll) == (202, {"message": "Awaiting decision"})
        token, app = limpet("appkeys", "list", *url, data=data).stdout.split("  ")
        assert app == "Home Assistant, at 127.0.0.1\n"
        asked(address, poll)
        assert limpet("appkeys", "approve", "0000", *url, data=data).returncode == 2
        asked(address, poll)
        assert limpet("appkeys", "approve", token, "--permissions", "status", *url, data=data).returncode == 0
        _, granted = asked(address, poll)
        assert status(address, granted["api_key"]) == 200
        assert asked(address, poll)[0] == 404

        _, request = asked(address, "/plugin/appkeys/request", {"app": "Cura"})
        token = limpet("appkeys", "list", *url, data=data).stdout.split("  ")[0]
        assert limpet("appkeys", "deny", token, *url, data=data).returncode == 0
        assert asked(address, f"/plugin/appkeys/request/{request['app_token']}")[0] == 404
        _, out, err = program.end()
    assert limpet("keys", "list", data=data).stdout.count("\n") == 2  # The first one, and the app's.
    assert "limpet appkeys approve" in err
    assert granted["api_key"] not in out + err
    gone = limpet("appkeys", "list", *url, data=data)
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)
    assert f"no Limpet answers at {address}" in gone.stderr


def test_the_virtual_printer_answers_behind_its_link_and_cleans_up(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    program = Program("virtual", "--link", str(link), "--boot-time", "0", "--no-banner")
    try:
        program.wait_for("ready at")
        with link.open("r+b", buffering=0) as port:
            ends = time.monotonic() + PATIENCE
            heard = b""
            while b"FIRMWARE_NAME" not in heard and time.monotonic() < ends:
                port.write(b"M115\n")
                if select.select([port], [], [], 0.2)[0]:
                    heard += port.read(1000)
            assert b"FIRMWARE_NAME:Marlin" in heard
        code, _, err = program.end()
    finally:
        program.process.kill()
    assert code == 0
    assert "Traceback" not in err
    assert not link.is_symlink()


def test_detect_tells_of_each_port_what_it_is(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "printer"
    program = Program("virtual", "--link", str(link), "--baud", "250000")
    try:
        program.wait_for("ready at")
        found = limpet("detect", str(link), "--json", data=data)
        assert json.loads(found.stdout) == [
            {
                "port": str(link),
                "verdict": "a printer: Marlin 2.1.2 (Virtual), at 250000 baud",
                "baudrate": 250000,
                "firmware": "Marlin 2.1.2 (Virtual)",
                "code": None,
            }
        ]
        assert found.returncode == 0
        assert f"{link}: asking at 115200 baud" in found.stderr
        held = link.open("rb", buffering=0)
        fcntl.flock(held, fcntl.LOCK_EX)
        busy = limpet("detect", str(link), data=data)
        held.close()
        assert busy.returncode == 1
        assert f"({os.getpid()})" in busy.stdout
    finally:
        program.process.kill()
        program.process.communicate()
    assert limpet("detect", str(tmp_path / "nothing"), data=data).returncode == 2


def test_help_and_version_are_there(data: Path) -> None:
    assert "virtual printer behind a pseudo-terminal" in limpet("--help", data=data).stdout
    assert "--lose-ok-every" in limpet("virtual", "--help", data=data).stdout
    assert re.match(r"limpet \d+\.\d+\.\d+\n", limpet("--version", data=data).stdout)
