"""The states in which OctoPrint's connection was recorded, and how a server is brought into each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from limpet.protocol.virtual_printer import VirtualPrinterOptions
from limpet.settings import Reset
from limpet.transports.memory import open_memory
from limpet.transports.urls import VIRTUAL, Openers
from limpet.users import UserStore
from tests.web.server import ADMIN_KEY, IMPATIENT, Client, log_in, printer_at, running

SILENT, BUSY = "/dev/ttySILENT", "/dev/ttyBUSY"
"""In the recording: a pty that never answers, and a file that is no terminal. Here they have names of our own."""


class Bench:
    """A server whose ports open when they are told to, and whose VIRTUAL may have a fault."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._may_open = asyncio.Event()
        self._may_open.set()
        self._fault: dict[str, Any] = {}
        self.port_names = {name: str(folder / Path(name).name) for name in (BUSY, SILENT)}
        (folder / Path(BUSY).name).touch()
        self.client: Client
        self.keys: dict[str, str] = {}
        self.session = self.csrf = ""

    async def serve(self, *, ports: Sequence[str], settings: str, keys: Mapping[str, Sequence[str]]) -> None:
        """`ports` are the recording's names of those that are there."""
        if SILENT in ports:
            await self._stack.enter_async_context(printer_at(Path(self.port_names[SILENT]), boot_time=1000))
        added = [self.port_names[name] for name in ports if name in self.port_names]
        self.client, self.keys = await self._stack.enter_async_context(
            running(
                self._folder,
                ports=added,
                settings=settings,
                keys=keys,
                wrap=self._with_obstacles,
                patience=IMPATIENT,
            )
        )

    async def log_in(self) -> None:
        """As a user who is an admin; `session` and `csrf` are what the browser gets then."""
        UserStore(self._folder / "users.json").add("admin", "correct horse", groups=("admins",))
        self.session, self.csrf = await log_in(self.client, "admin", "correct horse")

    def hold(self) -> None:
        """From now on ports take for ever to open."""
        self._may_open.clear()

    def spoil(self, **options: Any) -> None:
        """VIRTUAL is like this the next time that it is opened."""
        self._fault = options

    async def command(self, **fields: Any) -> None:
        await self.client.accepted("connect", **{"port": "VIRTUAL", "baudrate": 115200} | fields)

    async def connect(self, state: str = "Operational", **fields: Any) -> None:
        await self.command(**fields)
        await self.client.until_state(state)

    def _with_obstacles(self, openers: Openers) -> Openers:
        return {scheme: self._obstacle(scheme, open_port) for scheme, open_port in openers.items()}

    def _obstacle(self, scheme: str, open_port: Any) -> Any:
        async def open_later(name: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset) -> Any:
            await self._may_open.wait()
            if scheme == VIRTUAL and self._fault:
                options, self._fault = VirtualPrinterOptions(**self._fault), {}
                return await open_memory(options, receiver, baudrate)
            return await open_port(name, baudrate, receiver, reset)

        return open_later


Scene = Callable[[Bench], Awaitable[None]]


def then(*scenes: Scene) -> Scene:
    async def play(bench: Bench) -> None:
        for scene in scenes:
            await scene(bench)

    return play


async def closed(bench: Bench) -> None:
    assert (await bench.client.current())["state"] == "Offline"


async def operational(bench: Bench) -> None:
    await bench.connect()


async def disconnected(bench: Bench) -> None:
    await bench.client.accepted("disconnect")


async def opening(bench: Bench) -> None:
    bench.hold()
    await bench.command()


async def opening_a_file(bench: Bench) -> None:
    bench.hold()
    await bench.command(port=bench.port_names[BUSY])


async def opening_with_a_float(bench: Bench) -> None:
    bench.hold()
    await bench.command(baudrate=115200.0)


async def operational_with_a_float(bench: Bench) -> None:
    await bench.connect(baudrate=115200.0)


async def connecting_with_a_float(bench: Bench) -> None:
    bench.spoil(boot_time=1000)
    await bench.command(baudrate=115200.0)


async def connecting(bench: Bench) -> None:
    bench.spoil(boot_time=1000)
    await bench.command()


async def detecting(bench: Bench) -> None:
    bench.hold()
    await bench.command(port="AUTO", baudrate=0)


async def detected(bench: Bench) -> None:
    await bench.connect(port="AUTO", baudrate=0)


async def without_parameters(bench: Bench) -> None:
    bench.hold()
    await bench.client.accepted("connect")


async def connecting_to_the_silent_one(bench: Bench) -> None:
    await bench.connect("Connecting", port=bench.port_names[SILENT])


async def detecting_the_silent_one(bench: Bench) -> None:
    await bench.command(port=bench.port_names[SILENT], baudrate=0)


async def silent_to_the_end(bench: Bench) -> None:
    await bench.connect("Offline after error", port=bench.port_names[SILENT])


async def detection_failed(bench: Bench) -> None:
    await bench.connect("Offline after error", port=bench.port_names[SILENT], baudrate=0)


async def opening_failed(bench: Bench) -> None:
    await bench.connect("Offline after error", port=bench.port_names[BUSY])


async def halted(bench: Bench) -> None:
    bench.spoil(boot_time=0.0, halt_after=2)
    await bench.connect("Offline after error")
    assert (await bench.client.current())["error"]["code"] == "firmware_halted"


async def saved(bench: Bench) -> None:
    await bench.connect(printerProfile="_default", save=True, autoconnect=True)


async def saved_without_parameters(bench: Bench) -> None:
    await bench.client.accepted("connect", save=True, autoconnect=False)
    await bench.client.until_state("Operational")


async def saved_the_port_alone(bench: Bench) -> None:
    await bench.client.accepted("connect", port="VIRTUAL", save=True)
    await bench.client.until_state("Operational")


async def banana(bench: Bench) -> None:
    answer = await bench.client.command("connect", port="VIRTUAL", baudrate=115200, autoconnect="banana")
    assert answer.status == 400


async def at_another_rate(bench: Bench) -> None:
    await bench.command(baudrate=250000, printerProfile="_default")


async def profile_chosen(bench: Bench) -> None:
    await bench.connect(printerProfile="my_printer")


async def profile_deleted(bench: Bench) -> None:
    answer = await bench.client.request("DELETE", "/api/printerprofiles/my_printer", headers={"X-Api-Key": ADMIN_KEY})
    assert answer.status == 204


SLOW = b"G4 P150\n" * 1562 + b"G28\n\n\n\n"
"""`slow.gcode`, of the recorded size."""


async def printing(bench: Bench, name: str = "slow.gcode", content: bytes = SLOW) -> None:
    if (await bench.client.current())["state"] != "Operational":
        await bench.connect()
    answer = await bench.client.upload(name, content, print="true")
    assert (answer.status, answer.json()["effectivePrint"]) == (201, True)
    if name == "slow.gcode":
        await bench.client.until_state("Printing")


async def paused(bench: Bench) -> None:
    await printing(bench)
    await pause(bench)


async def pause(bench: Bench) -> None:
    assert (await bench.client.post("/api/job", {"command": "pause", "action": "pause"})).status == 204
    await bench.client.until_state("Paused")


SCENES: dict[str, Scene] = {
    "conn-connect-after-detect-failed": detection_failed,
    "conn-connect-after-error": opening_failed,
    "conn-connect-after-fatal": halted,
    "conn-connect-after-silent-timeout": silent_to_the_end,
    "conn-connect-save-noparams": saved,
    "conn-connect-while-connected": operational,
    "conn-connect-while-connected-badport": operational,
    "conn-connect-while-connecting": connecting_to_the_silent_one,
    "conn-disconnect-2": then(operational, disconnected),
    "conn-disconnect-after-auto": detecting_the_silent_one,
    "conn-disconnect-while-connected": operational,
    "conn-disconnect-while-connecting": connecting_to_the_silent_one,
    "conn-disconnect-while-disconnected": then(operational, disconnected),
    "conn-fakeack-while-connected": operational,
    "conn-get-after-autoconnect-banana": banana,
    "conn-get-after-detect-failed": detection_failed,
    "conn-get-after-disconnect-01-closed": then(operational, disconnected),
    "conn-get-after-save": saved,
    "conn-get-after-save-noparams": then(saved, saved_without_parameters),
    "conn-get-after-save-portonly": saved_the_port_alone,
    "conn-get-after-silent-timeout": silent_to_the_end,
    "conn-get-closed-after-profile-delete": profile_deleted,
    "conn-get-closed-after-save": then(saved, disconnected),
    "conn-get-connect-after-detect-failed-01-opening-serial-connection": then(detection_failed, opening),
    "conn-get-connect-after-detect-failed-02-operational": then(detection_failed, operational),
    "conn-get-connect-after-error-01-opening-serial-connection": then(opening_failed, opening),
    "conn-get-connect-after-fatal-01-opening-serial-connection": then(halted, opening),
    "conn-get-connect-after-fatal-02-connecting": then(halted, connecting),
    "conn-get-connect-after-fatal-03-operational": then(halted, operational),
    "conn-get-connect-after-silent-timeout-01-connecting": then(silent_to_the_end, connecting),
    "conn-get-connect-after-silent-timeout-02-operational": then(silent_to_the_end, operational),
    "conn-get-connect-auto-01-detecting-serial-connection": detecting,
    "conn-get-connect-auto-02-operational": detected,
    "conn-get-connect-baudrate-float-01-opening-serial-connection": opening_with_a_float,
    "conn-get-connect-baudrate-float-02-connecting": connecting_with_a_float,
    "conn-get-connect-baudrate-float-03-operational": operational_with_a_float,
    "conn-get-connect-baudrate-zero-false-01-detecting-serial-connection": detecting,
    "conn-get-connect-baudrate-zero-false-02-operational": detected,
    "conn-get-connect-noparams-01-detecting-serial-connection": without_parameters,
    "conn-get-connect-noparams-02-operational": detected,
    "conn-get-connect-save-noparams-01-operational": then(saved, saved_without_parameters),
    "conn-get-connect-virtual-01-opening-serial-connection": opening,
    "conn-get-connect-virtual-02-operational": operational,
    "conn-get-connect-while-connected-01-operational": then(operational, at_another_rate),
    "conn-get-connect-while-connecting-01-connecting": then(connecting_to_the_silent_one, connecting),
    "conn-get-disconnect-while-printing-01-closed": then(printing, disconnected),
    "paused-conn-get": paused,
    "print-conn-connect": printing,
    "print-conn-disconnect": printing,
    "print-conn-get": printing,
    "conn-get-disconnect-while-connecting-01-closed": then(connecting_to_the_silent_one, disconnected),
    "conn-get-fatal-01-closed": halted,
    "conn-get-null-body-get": then(saved, disconnected),
    "conn-get-openfail-01-opening-serial-connection": opening_a_file,
    "conn-get-operational": operational,
    "conn-get-profile-my-printer": profile_chosen,
    "conn-get-silent-01-connecting": connecting_to_the_silent_one,
    "conn-get-silent-to-end-01-connecting": connecting_to_the_silent_one,
    "conn-get-silent-to-end-02-closed": silent_to_the_end,
    "conn-get-silent-detect-08-closed": detection_failed,
    **{
        f"conn-get-silent-detect-0{number}-detecting-serial-connection": detecting_the_silent_one
        for number in range(1, 8)
    },
}
"""Exchange -> the scene before it, where that is not `closed`."""
