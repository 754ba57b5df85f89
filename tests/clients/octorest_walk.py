"""octorest 0.4, as it is published, through all that it is used for; a line for each step."""

import sys
import time

from octorest import OctoRest


def main(address: str, key: str, gcode: str) -> None:
    client = OctoRest(url=address, apikey=key)

    def step(name: str, *results: object) -> None:
        print(name, *(str(result)[:100] for result in results), flush=True)

    step("version", client.get_version())
    client.connect(port="VIRTUAL", baudrate=115200)
    until(client, "Operational")
    step("connected", client.connection_info()["current"])
    step("upload", client.upload(gcode))
    step("files", [each["name"] for each in client.files(recursive=True)["files"]])
    client.select("walk.gcode")
    assert client.job_info()["job"]["file"]["name"] == "walk.gcode"
    step("selected", client.job_info()["job"]["file"])
    for act, state in (
        (client.start, "Printing"),
        (client.pause, "Paused"),
        (client.resume, "Printing"),
        (client.cancel, "Operational"),
    ):
        act()
        until(client, state)
        step(state, client.job_info()["progress"])
    client.tool_target(200)
    client.bed_target(60)
    client.gcode(["M117 hello", "M105"])
    client.home()
    client.jog(x=10)
    deadline = time.monotonic() + 10
    while client.printer()["temperature"]["tool0"]["target"] != 200:
        assert time.monotonic() < deadline, client.printer()
        time.sleep(0.05)
    step("temperatures", client.printer()["temperature"])
    step("tool", client.tool())
    step("bed", client.bed())
    step("sd", client.sd())
    step("profiles", sorted(client.printer_profiles()["profiles"]))
    step("settings", sorted(client.settings()))
    step("commands", client.system_commands())
    step("custom", client.custom_control_request())
    step("timelapses", client.timelapses())
    step("languages", client.languages())
    step("users", client.users())
    client.delete("walk.gcode")
    client.disconnect()
    step("disconnected", client.state())
    assert client.state() == "Offline"


def until(client: OctoRest, state: str) -> None:
    deadline = time.monotonic() + 10
    while client.state() != state:
        assert time.monotonic() < deadline, (client.state(), state)
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
