"""A real Home Assistant, in this process, takes up the Limpet at ADDRESS by its OctoPrint integration: ... ADDRESS KEY

It is Home Assistant's own core, started as it starts itself but without what it has beside (frontend, recorder).
`scripts/home-assistant` installs it and starts a Limpet for it.
"""

import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from homeassistant import bootstrap, core, loader
from homeassistant.const import __version__
from homeassistant.data_entry_flow import UnknownFlow
from homeassistant.helpers import device_registry

USER = "ada"
WANTED = {
    "sensor.octoprint_current_state": "Operational",
    "sensor.octoprint_target_bed_temp": "60.0",
    "binary_sensor.octoprint_printing": "off",
    "binary_sensor.octoprint_printing_error": "off",
}


async def main(address: str, key: str) -> None:
    url = urlsplit(address)
    with tempfile.TemporaryDirectory() as folder:
        hass = core.HomeAssistant(folder)
        loader.async_setup(hass)
        bootstrap.DEFAULT_INTEGRATIONS.clear()
        hass.config.skip_pip = True
        assert await bootstrap.async_from_config_dict({}, hass) is hass
        await hass.async_start()
        say(f"Home Assistant {__version__} runs: {hass.state.value}")
        try:
            await walk(hass, str(url.hostname), int(url.port or 80), address.rstrip("/"), key)
        finally:
            await hass.async_stop()


async def walk(hass: core.HomeAssistant, host: str, port: int, address: str, key: str) -> None:
    flows = hass.config_entries.flow
    flow = await flows.async_init("octoprint", context={"source": "user"})
    say(f"it asks where the printer is: {flow['type'].value} {flow['step_id']}")
    where = {"username": USER, "host": host, "port": port, "path": "/", "ssl": False, "verify_ssl": True}
    flow = await flows.async_configure(flow["flow_id"], where)
    say(f"it waits for a key: {flow['type'].value} {flow['step_id']}")
    await asyncio.to_thread(approve, address, key)
    async with asyncio.timeout(30):
        # As Home Assistant's page does when it is told that there is progress.
        while not (entries := hass.config_entries.async_entries("octoprint")):
            await asyncio.sleep(0.5)
            with suppress(UnknownFlow):
                await flows.async_configure(flow["flow_id"])
    await hass.async_block_till_done()
    say(f"it is set up: {entries[0].title}, unique id {entries[0].unique_id}, {entries[0].state.value}")
    show(hass)

    (device,) = device_registry.async_entries_for_config_entry(device_registry.async_get(hass), entries[0].entry_id)
    connect = {"device_id": device.id, "port": "VIRTUAL", "baudrate": 115200}
    await hass.services.async_call("octoprint", "printer_connect", connect, blocking=True)
    await asyncio.to_thread(until_operational, address, key)
    await asyncio.to_thread(ask, address, key, "/api/printer/bed", {"command": "target", "target": 60})
    say(f"it has connected the printer, {device.manufacturer} {device.name}")
    coordinator = hass.data["octoprint"][entries[0].entry_id]["coordinator"]
    await until(hass, coordinator, WANTED)
    show(hass)

    await asyncio.to_thread(print_file, address, key)
    await until(hass, coordinator, {"binary_sensor.octoprint_printing": "on"})
    say("it sees the print")
    stop = {"entity_id": "button.octoprint_stop_job"}
    await hass.services.async_call("button", "press", stop, blocking=True)
    await until(hass, coordinator, WANTED)
    say("it has stopped the print")
    say("Home Assistant shows the printer")


async def until(hass: core.HomeAssistant, coordinator: Any, wanted: dict[str, str]) -> None:
    async with asyncio.timeout(30):
        while {name: state_of(hass, name) for name in wanted} != wanted:
            await asyncio.sleep(0.5)
            await coordinator.async_refresh()
            await hass.async_block_till_done()


def print_file(address: str, key: str) -> None:
    part = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}'
    file = part.format('file"; filename="walk.gcode', "G28\n" + "G4 P100\n" * 300)
    body = f"--b\r\n{file}\r\n--b\r\n{part.format('print', 'true')}\r\n--b--\r\n"
    headers = {"X-Api-Key": key, "Content-Type": "multipart/form-data; boundary=b"}
    urllib.request.urlopen(urllib.request.Request(f"{address}/api/files/local", body.encode(), headers), timeout=10)


def until_operational(address: str, key: str) -> None:
    while ask(address, key, "/api/connection")["current"]["state"] != "Operational":
        time.sleep(0.1)


def approve(address: str, key: str) -> None:
    while not (pending := ask(address, key, "/api/plugin/appkeys")["pending"]):
        time.sleep(0.1)
    ask(address, key, f"/plugin/appkeys/decision/{next(iter(pending))}", {"decision": True})


def ask(address: str, key: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers), timeout=10) as response:
        return json.loads(response.read() or b"null")


def state_of(hass: core.HomeAssistant, name: str) -> str | None:
    state = hass.states.get(name)
    return state and state.state


def show(hass: core.HomeAssistant) -> None:
    for state in sorted(hass.states.async_all(), key=lambda state: state.entity_id):
        if "octoprint" in state.entity_id:
            say(f"  {state.entity_id} = {state.state}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
