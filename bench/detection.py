"""One case on one host, from `connect` to what the host says of it, and whether that is true."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from .cases import Case
from .connection import command
from .devices import Plug, plugged_in
from .hosts import ADDRESS, CONNECTION, BenchError, Host, get, running

SETTLE = 1.0
POLL = 0.05
"""OctoPrint takes 7 ms for an answer: asked more often, it would be busy with that."""
STAYS = 1.0
"""A closed state is the end when it has lasted this long; the time taken is that of its beginning."""
CLOSED = ("Closed", "Offline", "Error")
"""How the states begin in which a host has given up, in OctoPrint's words and in Limpet's."""

MakeHost = Callable[[Sequence[Path]], Host]


@dataclass(frozen=True)
class Outcome:
    """What came of a case after `seconds`. `good`: it is true and what was wanted.

    `label` is it in a few words, "" for a printer found as it is; `said` is what the host told, "" likewise.
    """

    seconds: float
    good: bool
    label: str = ""
    said: str = ""


@dataclass(frozen=True)
class Seen:
    """The last answer: its `current`, the reason that came with it, and when its state began, in seconds.

    `ended`: that state is one that was waited for, and the limit has not passed.
    """

    seconds: float
    current: Mapping[str, Any]
    ended: bool
    code: str = ""
    words: str = ""


def run_case(case: Case, make_host: MakeHost, limpet: Path, seed: int = 1) -> Outcome:
    """The whole case with devices and a host of its own, so that none finds what another has left.

    `limpet` is the program that plays the printer, for each host; `seed` is that of all noise.
    """
    with tempfile.TemporaryDirectory(prefix="limpet-bench-ports-") as name, contextlib.ExitStack() as stack:
        links = [Path(name, f"port{number + 1}") for number in range(len(case.ports))]
        plug = stack.enter_context(plugged_in(case, links, limpet, seed))
        try:
            server = stack.enter_context(running(make_host(links)))
            client = stack.enter_context(contextlib.closing(HTTPConnection(ADDRESS, server.port, timeout=30)))
            time.sleep(SETTLE)
            _check_ports(client, links)
            return _measure(case, links, plug, client)
        except (BenchError, HTTPException, OSError) as fault:
            return Outcome(0.0, False, "FAILED", str(fault) or repr(fault))


def judge(case: Case, links: Sequence[Path], seen: Seen) -> Outcome:
    """What was claimed on `links` against what is there."""
    state = seen.current["state"]
    if not seen.ended:
        label = "never told" if case.code else "never"
        return Outcome(seen.seconds, False, label, f"still {state!r} after {seen.seconds:.0f} s")
    if state == "Operational":
        return _judge_claim(case, links, seen)
    words = seen.words or "without a reason"
    for link in links:
        words = words.replace(str(link), link.name)
    said, label = f"{state!r}: {words}", seen.code or "no code"
    if case.code is None:
        return Outcome(seen.seconds, False, f"NOT FOUND ({label})", said)
    return Outcome(seen.seconds, seen.code == case.code, label, said)


def _judge_claim(case: Case, links: Sequence[Path], seen: Seen) -> Outcome:
    port, rate = Path(str(seen.current["port"])), seen.current["baudrate"]
    right = links[case.index]
    said = f"Operational on {port.name} at {rate}"
    if case.printer is None or port not in (right, right.resolve()):
        return Outcome(seen.seconds, False, "WRONG DEVICE", said)
    if rate != case.printer.baudrate:
        return Outcome(seen.seconds, False, f"WRONG RATE {rate}", said)
    return Outcome(seen.seconds, True)


def _measure(case: Case, links: Sequence[Path], plug: Plug, client: HTTPConnection) -> Outcome:
    port, rate = (str(links[case.index]), case.named_rate) if case.named_rate else ("AUTO", 0)
    began = time.perf_counter()
    command(client, {"command": "connect", "port": port, "baudrate": rate})
    outcome = judge(case, links, _watch(client, began, case.limit, (*CLOSED, "Operational")))
    if case.then is None or outcome.label:
        return outcome
    began = time.perf_counter()
    plug.pull()
    seen = _watch(client, began, case.limit, CLOSED)
    if case.then == "replug":
        plug.put_in()
        seen = _watch(client, time.perf_counter(), case.limit, ("Operational",))
    return judge(case, links, seen)


def _watch(client: HTTPConnection, began: float, limit: float, ends: tuple[str, ...]) -> Seen:
    """Asks until the state begins with one of `ends`, and has stayed if it is a closed one, or `limit` is over."""
    since, before = 0.0, None
    while True:
        current = _get(client, CONNECTION)["current"]
        now = time.perf_counter() - began
        state = str(current["state"])
        if state != before:
            since, before = now, state
        if state.startswith(ends) and (state == "Operational" or now - since >= STAYS):
            return Seen(since, current, True, *_reason(client, current))
        if now >= limit:
            return Seen(now, current, False)
        time.sleep(POLL)


def _reason(client: HTTPConnection, current: Mapping[str, Any]) -> tuple[str, str]:
    """Code and words: Limpet's `current.error`, or those of the pages where OctoPrint tells of errors."""
    if "error" in current:
        told = current["error"] or {}
        return str(told.get("code", "")), str(told.get("message", ""))
    told = _get(client, "/api/printer/error")
    return str(told["reason"]), str(told["error"] or _get(client, "/api/job").get("error", ""))


def _check_ports(client: HTTPConnection, links: Sequence[Path]) -> None:
    seen = _get(client, CONNECTION)["options"]["ports"]
    if sorted(seen) != sorted(map(str, links)):
        raise BenchError(f"it sees other ports than those of the case: {', '.join(seen) or 'none'}")


def _get(client: HTTPConnection, path: str) -> dict[str, Any]:
    status, body = get(client, path)
    if status != 200:
        raise BenchError(f"GET {path} was answered with {status}")
    answer: dict[str, Any] = json.loads(body)
    return answer
