"""pyoctoprintapi 0.1.14, which Home Assistant uses: app key, settings, connect, printer, job, bed, disconnect."""

import asyncio
import sys

import aiohttp
from pyoctoprintapi import OctoprintClient
from yarl import URL


async def main(address: str, admin_key: str) -> None:
    url = URL(address)
    async with aiohttp.ClientSession() as session:
        client = OctoprintClient(host=str(url.host), session=session, port=int(url.port or 80), path="/")
        asked = asyncio.create_task(client.request_app_key("Home Assistant", "home", 30))
        await approve(session, address, admin_key)
        client.set_api_key(await asked)
        print("key", "given", flush=True)
        print("discovery", await client.get_discovery_info(), flush=True)
        print("server", await client.get_server_info(), flush=True)
        print("webcam", await client.get_webcam_info(), flush=True)
        await client.connect()
        await until(client, "Operational")
        # It has no word of its own for a start.
        await print_file(session, address, admin_key)
        await until(client, "Printing")
        for act, state in (
            (client.pause_job, "Paused"),
            (client.resume_job, "Printing"),
            (client.cancel_job, "Operational"),
        ):
            await act()
            await until(client, state)
        await client.set_bed_temperature(60)
        for _ in range(200):
            printer = await client.get_printer_info()
            if {each.name: each.target_temp for each in printer.temperatures}["bed"] == 60:
                break
            await asyncio.sleep(0.05)
        print("printer", printer.state.text, [each.name for each in printer.temperatures], flush=True)
        await client.disconnect()
        print("disconnected", flush=True)


async def until(client: OctoprintClient, state: str) -> None:
    for _ in range(200):
        job = await client.get_job_info()
        if job.state == state:
            return
        await asyncio.sleep(0.05)
    raise AssertionError((job.state, state))


async def print_file(session: aiohttp.ClientSession, address: str, admin_key: str) -> None:
    form = aiohttp.FormData({"print": "true"})
    form.add_field("file", "G28\n" + "G4 P100\n" * 100, filename="walk.gcode")
    async with session.post(f"{address}api/files/local", headers={"X-Api-Key": admin_key}, data=form) as response:
        assert response.status == 201, await response.text()


async def approve(session: aiohttp.ClientSession, address: str, admin_key: str) -> None:
    headers = {"X-Api-Key": admin_key}
    for _ in range(200):
        async with session.get(f"{address}api/plugin/appkeys", headers=headers) as response:
            pending = (await response.json())["pending"]
        if pending:
            body = {"decision": True}
            path = f"{address}plugin/appkeys/decision/{next(iter(pending))}"
            async with session.post(path, headers=headers, json=body) as response:
                assert response.status == 204, await response.text()
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody has asked")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
