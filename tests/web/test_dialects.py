"""What OctoPrint's API became with 2.0, which a client asks for in a header."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.server import Client, running

SINCE_2 = "2.0.0"


@pytest.mark.parametrize("version", [None, "", "1", "1.11.0", "0.1", "two", "-2", "v2", "1.2.0"])
async def test_clients_that_do_not_ask_for_2_get_the_shapes_before_it(client: Client, version: str | None) -> None:
    told = (await client.get("/api/connection", version=version)).json()

    assert "port" in told["current"]
    assert "ports" in told["options"]


@pytest.mark.parametrize("version", ["2", "2.0.0", "2.1.0", " 2.0.0 ", "3", "10.0"])
async def test_clients_that_ask_for_2_or_more_get_connectors(client: Client, version: str) -> None:
    told = (await client.get("/api/connection", version=version)).json()

    assert told["current"].items() >= {"state": "Offline", "connector": None, "error": None}.items()
    assert told["current"]["parameters"] == {"port": None, "baudrate": None}
    assert [each["connector"] for each in told["options"]["connectors"]] == ["serial"]
    assert told["options"]["connectors"][0]["parameters"]["port"] == ["VIRTUAL"]
    assert told["options"]["preferredConnector"] == {
        "connector": "serial",
        "parameters": {"port": None, "baudrate": None},
    }


async def test_both_dialects_connect_to_the_same_printer(client: Client) -> None:
    answer = await client.post(
        "/api/connection",
        {
            "command": "connect",
            "connector": "serial",
            "parameters": {"port": "VIRTUAL", "baudrate": 57600},
            "save": True,
            "autoconnect": True,
        },
        version=SINCE_2,
    )
    assert (answer.status, answer.body) == (204, b"")

    before = await client.until_state("Operational")
    assert (before["port"], before["baudrate"]) == ("VIRTUAL", 57600)
    since = (await client.get("/api/connection", version=SINCE_2)).json()
    assert since["current"]["state"] == "Operational"
    assert since["current"]["connector"] == "serial"
    assert since["current"]["parameters"] == {"port": "VIRTUAL", "baudrate": 57600}
    assert since["options"]["preferredConnector"]["parameters"] == {"port": "VIRTUAL", "baudrate": 57600}
    assert since["options"]["autoconnect"] is True


async def test_a_connector_without_parameters_uses_the_preferences(client: Client) -> None:
    await client.accepted("connect", port="VIRTUAL", baudrate=57600, save=True)

    answer = await client.post("/api/connection", {"command": "connect", "connector": "serial"}, version=SINCE_2)

    assert answer.status == 204
    assert (await client.until_state("Operational"))["baudrate"] == 57600


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "connector is invalid"),
        ({"connector": "mqtt"}, "connector is invalid"),
        ({"connector": "serial", "parameters": {"port": "/dev/nope"}}, "port is invalid"),
        ({"connector": "serial", "parameters": {"baudrate": 1}}, "baudrate is invalid"),
        ({"connector": "serial", "parameters": []}, "parameters is invalid"),
    ],
)
async def test_what_is_not_among_the_connectors_is_a_400(
    client: Client, fields: dict[str, object], complaint: str
) -> None:
    answer = await client.post("/api/connection", {"command": "connect", **fields}, version=SINCE_2)

    assert (answer.status, answer.json()) == (400, {"error": complaint})


async def test_each_printer_is_a_whole_octoprint(tmp_path: Path) -> None:
    settings = '[ports]\nignored = ["/dev/tty*"]\n[printers.big]\n[printers.mini]\n'
    async with running(tmp_path, settings=settings) as (client, _):
        answer = await client.post("/p/mini/api/connection", {"command": "connect", "port": "VIRTUAL", "save": True})
        assert answer.status == 204

        default, big, mini = [
            (await client.get(f"{prefix}/api/connection")).json() for prefix in ("", "/p/big", "/p/mini")
        ]

        assert default == big
        assert big["options"]["portPreference"] is None
        assert mini["options"]["portPreference"] == "VIRTUAL"
        assert (await client.get("/p/none/api/connection")).status == 404


async def test_version_and_server_are_what_clients_look_for(client: Client) -> None:
    version = (await client.get("/api/version")).json()
    server = (await client.get("/api/server")).json()

    assert (version["api"], version["server"]) == ("0.1", "1.11.0")
    assert version["text"].startswith("OctoPrint (Limpet ")
    assert server == {"version": version["server"], "safemode": None}
