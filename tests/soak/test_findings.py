"""What the soak has found in how several printers look for theirs, as scenes of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from soak.impostors import IMPOSTORS
from soak.loop import SimulatedLoop
from soak.stage import Stage, stage
from soak.thing import Thing
from soak.usb import Usb

from limpet.printer.state import State
from limpet.printer.target import Target


def plug_silent(there: Stage, socket: int) -> None:
    usb = Usb(socket, 0x0403, 0x6001, "FT232R USB UART")
    thing = Thing(f"silent {socket}", IMPOSTORS["silent device"](there.world.chance), usb, is_printer=False)
    there.world.impostors.append(thing)
    there.world._plug(thing)


def test_a_printer_that_searches_does_not_make_others_search_again_and_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path, seed=1, printers=2) as there:
            there.world.close()
            plug_silent(there, 90)
            plug_silent(there, 91)
            one, two = there.hosts
            await two.connect(Target(patient=True))
            await asyncio.sleep(17.0)  # It has found nothing, and waits for 20 s.
            assert two.printer.snapshot.state is State.OFFLINE_AFTER_ERROR
            before = there.journal.counts["is Detecting serial connection"]
            await one.connect(Target())
            await asyncio.sleep(14.0)
            assert there.journal.counts["is Detecting serial connection"] - before <= 2

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(scene())
