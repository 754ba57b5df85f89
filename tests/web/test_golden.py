"""What OctoPrint 1.11.8 really answered at `/api/connection`, asked again of Limpet: status and body.

The recording says `abcdef` for every valid key; whose it was is in the name of the exchange. An exchange whose name
has a number was polled: the state that it tells is to be passed, and need not last.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.web.scenes import BUSY, SCENES, SILENT, Bench, closed
from tests.web.server import ADMIN_KEY, HERMETIC, Answer, eventually

TESTS = Path(__file__).parents[1]
EXCHANGES: dict[str, Any] = {each["name"]: each for each in json.loads((TESTS / "golden/connection.json").read_text())}

FORBIDDEN = {
    "error": "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
}


@dataclass(frozen=True)
class Difference:
    """How some exchanges are answered otherwise on purpose.

    `reason` stands in docs/api.md. `body` takes the place of the recorded one; `current` and `options` are changes
    to it.
    """

    reason: str
    status: int = 200
    body: Any = None
    current: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


NO_KEY = Difference("No valid key is a 403 on every method", status=403, body=FORBIDDEN)
NO_500 = Difference("What is not understood is a 400 that says what", status=400, body={"error": "command is invalid"})
FLAGS = "What is not understood is a 400 that says what"
ENDED = Difference("An attempt always ends, and says why", current={"state": "Offline after error"})
KEPT = Difference("Saving erases nothing", options={"portPreference": "VIRTUAL", "baudratePreference": 115200})

DIFFERENCES = {
    "conn-options-cors": NO_KEY,
    "conn-post-csrf-nokey-cookie": NO_KEY,
    "conn-post-nokey": NO_KEY,
    "conn-post-nokey-badjson": NO_KEY,
    "conn-post-wrongkey": NO_KEY,
    "conn-put-nokey": NO_KEY,
    "conn-post-body-list-command": NO_500,
    "conn-post-body-null": NO_500,
    "conn-post-body-number": NO_500,
    "conn-post-body-string-command": NO_500,
    "conn-post-body-true": NO_500,
    "conn-post-command-list": NO_500,
    "conn-post-command-object": NO_500,
    "conn-connect-autoconnect-badtype": Difference(FLAGS, status=400, body={"error": "autoconnect is invalid"}),
    "conn-get-after-autoconnect-banana": Difference(
        FLAGS, current={"state": "Offline", "port": None, "baudrate": None}
    ),
    "conn-get-after-save-noparams": KEPT,
    "conn-get-connect-save-noparams-01-operational": KEPT,
    "conn-get-connect-while-connected-01-operational": Difference(
        "A connect command connects", current={"baudrate": 250000}
    ),
    "conn-get-connect-while-connecting-01-connecting": Difference(
        "A connect command connects", current={"port": "VIRTUAL"}
    ),
    "conn-get-connect-after-error-01-opening-serial-connection": Difference(
        "An attempt always ends, and says why", current={"port": "VIRTUAL"}
    ),
    "conn-get-after-detect-failed": ENDED,
    "conn-get-after-silent-timeout": ENDED,
    "conn-get-fatal-01-closed": ENDED,
    "conn-get-silent-detect-08-closed": ENDED,
    "conn-get-silent-to-end-02-closed": ENDED,
    "conn-get-connect-noparams-01-detecting-serial-connection": Difference(
        "While detecting, the candidate is told", current={"port": "VIRTUAL", "baudrate": 115200}
    ),
}
"""Exchange -> what is answered instead, and why."""

KEYS = {
    "viewer": ("STATUS",),
    "bob": ("GCODE_VIEWER",),
    "nobody": ("WEBCAM",),
    "appkey": ("STATUS", "CONNECTION"),
}
"""Who stands in the names of exchanges, and what he may do; everybody else is an admin."""

PROFILES = f'{HERMETIC}[profiles.my_printer]\nname = "Renamed"\n'

RAW_BODIES = {
    "conn-post-body-null": b"null",
    "conn-post-body-string": b'"connect"',
    "conn-post-body-string-command": b'"command"',
    "conn-post-duplicate-keys": b'{"command": "connect", "port": "VIRTUAL", "command": "disconnect"}',
    "conn-post-utf16": '{"command":"disconnect"}'.encode("utf-16"),
}
"""Bodies that the recording does not tell clearly."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("name", EXCHANGES)
async def test_it_is_answered_as_octoprint_does(name: str, tmp_path: Path, stack: AsyncExitStack) -> None:
    exchange = EXCHANGES[name]
    expected = expected_answer(name)
    bench = Bench(tmp_path, stack)
    keys = {owner: KEYS[owner] for owner in KEYS if owner == owner_in(name)}
    await bench.serve(ports=ports_in(exchange), settings=PROFILES if "profile" in name else HERMETIC, keys=keys)
    await SCENES.get(name, closed)(bench)

    if "session" in name:
        await bench.log_in()

    answer = await ask(bench, exchange)
    if is_polled(name):

        async def passes() -> bool:
            nonlocal answer
            answer = await ask(bench, exchange)
            return agrees(answer, expected, bench)

        await eventually(passes, 5.0, lambda: f"{answer.body!r} is not {expected}")

    assert told(answer, expected, bench) == expected
    if name in DIFFERENCES:
        assert not agrees(answer, recorded_answer(name), bench), "this is no difference any more"


def test_each_exchange_has_its_place() -> None:
    for listed in (DIFFERENCES, SCENES, RAW_BODIES):
        assert EXCHANGES.keys() >= listed.keys()


def test_each_difference_is_explained_in_the_documentation() -> None:
    text = (TESTS.parent / "docs/api.md").read_text()
    differences = text.partition("## Where it differs from OctoPrint")[2]

    assert [each.reason for each in DIFFERENCES.values() if f"- **{each.reason}" not in differences] == []


# -- the request, with what the recording left out --


async def ask(bench: Bench, exchange: Any) -> Answer:
    request, name = exchange["request"], exchange["name"]
    key = bench.keys.get(owner_in(name), ADMIN_KEY)
    headers = {header: value.replace("abcdef", key) for header, value in request["headers"].items()}
    if headers.get("Authorization", "").startswith("Basic"):
        headers["Authorization"] = "Basic dXNlcjpwYXNzd29yZA=="
    if "session" in name:
        csrf = bench.csrf if headers.get("X-CSRF-Token") == key else "zzz"
        headers |= {"X-CSRF-Token": csrf} if "X-CSRF-Token" in headers else {}
        headers["Cookie"] = f"session_P{bench.client.port}={bench.session}"
    path = request["path"].replace("apikey=abcdef", f"apikey={key}")
    return await bench.client.request(request["method"], path, headers=headers, body=body_of(bench, exchange))


def body_of(bench: Bench, exchange: Any) -> bytes | None:
    body, name = exchange["request"].get("body"), exchange["name"]
    if name in RAW_BODIES:
        return RAW_BODIES[name]
    if body is None:
        return None
    text = body if isinstance(body, str) else json.dumps(body)
    for recorded, ours in bench.port_names.items():
        text = text.replace(recorded, ours)
    return text.encode()


def owner_in(name: str) -> str:
    match = re.search(r"-(?:userkey-)?(appkey|(?<=userkey-)\w+)", name)
    return match[1] if match else "admin"


def ports_in(exchange: Any) -> list[str]:
    """The ports that were there; where the recording does not say, those that may be needed."""
    body = exchange["response"]["body"]
    if isinstance(body, dict) and "options" in body:
        return body["options"]["ports"]
    may_be_needed = exchange["name"] in SCENES or "/dev/tty" in json.dumps(exchange)
    return [BUSY, SILENT, "VIRTUAL"] if may_be_needed else ["VIRTUAL"]


def is_polled(name: str) -> bool:
    return re.search(r"-\d\d-", name) is not None


# -- the answer --


def recorded_answer(name: str) -> dict[str, Any]:
    response = EXCHANGES[name]["response"]
    # OctoPrint's answer to OPTIONS is an empty page.
    headers = {"Allow": response["headers"]["Allow"]} if "Allow" in response["headers"] else {}
    if not headers:
        headers["Content-Type"] = response["headers"]["Content-Type"]
    text = json.dumps(response["body"]).replace('"Closed"', '"Offline"')
    return {"status": response["status"], "headers": headers, "body": json.loads(text)}


def expected_answer(name: str) -> dict[str, Any]:
    recorded, difference = recorded_answer(name), DIFFERENCES.get(name)
    if difference is None:
        return recorded
    if difference.body is not None:
        return {
            "status": difference.status,
            "headers": {"Content-Type": "application/json"},
            "body": difference.body,
        }
    recorded["body"]["current"].update(difference.current)
    recorded["body"]["options"].update(difference.options)
    return recorded


def told(answer: Answer, expected: dict[str, Any], bench: Bench) -> dict[str, Any]:
    """As much of the answer as the expected one has: more fields are welcome."""
    text = answer.body.decode()
    for recorded, ours in bench.port_names.items():
        text = text.replace(ours, recorded)
    headers = {name: answer.headers.get(name) for name in expected["headers"]}
    if headers.get("Allow"):
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", "), key=expected["headers"]["Allow"].find))
    return {
        "status": answer.status,
        "headers": headers,
        "body": _common(json.loads(text) if text else None, expected["body"]),
    }


def agrees(answer: Answer, expected: dict[str, Any], bench: Bench) -> bool:
    return told(answer, expected, bench) == expected


def _common(value: Any, expected: Any) -> Any:
    if isinstance(value, dict) and isinstance(expected, dict):
        return {name: _common(value[name], expected[name]) for name in expected if name in value}
    return value
