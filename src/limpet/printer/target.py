"""PURE: what is wanted of a connection, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.printer.identity import Identity
from limpet.protocol.window import AS_SHOWN, Flow
from limpet.settings import Reset


@dataclass(frozen=True)
class Patience:
    """How long is waited for what, in seconds."""

    opening: float = 10.0
    """For a port to open; transports have shorter limits of their own."""
    greeting: float = 15.0
    """For a printer to prove itself at a given rate; longer only while it says that it boots."""
    wrong_rate: float = 3.0
    """Of unreadable bytes before a given rate is called wrong."""
    detection: float = 15.0
    """For the detection on one port, over all rates: boards that reset on open take 12 s and more to boot."""
    booting: float = 9.0
    """The same anew after a readable boot banner."""
    boot_loader: float = 1.2
    """After a reset before the first word, which would keep a boot loader from starting the firmware.

    Source: stk500v2 of the Arduino Mega waits for a second; once it has heard a byte, for seconds after the last."""
    listening: float = 0.25
    """Before the first word on a port that may be anything."""
    dwell: float = 0.2
    """At one rate before the next is tried; what reads well makes it longer."""
    hurry: float = 4.0
    """After this much of a detection the dwell becomes `long_dwell`: whoever has booted may just be slow."""
    long_dwell: float = 0.3
    settled: float = 12.0
    """At a rate at which something talks that can be read."""
    wrong_dwell: float = 0.2
    """Of unreadable bytes before the next rate is tried."""
    grace: float = 2.0
    """For the printer that was connected last, after another one has been found."""
    look: float = 0.5
    """Between two looks for a port that is waited for."""
    pause: float = 1.0
    """Between two attempts at a port that is there; doubles each time, up to `longest_pause`."""
    longest_pause: float = 30.0
    search_pause: float = 60.0
    """The same between two detections, which write to every port; a port that appears is looked at at once."""
    longest_search_pause: float = 600.0


@dataclass(frozen=True)
class Target:
    """What is wanted: None for port or baudrate means to detect it.

    `awaits_port`: a port that is not plugged in yet is waited for (a preference, which need not be there).
    `patient`: a first attempt is repeated until it succeeds, whatever the reason (autoconnect).
    `faithful`: a printer that was connected once and is lost is taken up again.
    `identity`: who is expected at the port; another printer there is not taken.
    `likely_port`, `likely_baudrate`: where it was found last, which detection tries first.
    `reset`: whether opening the port restarts the board (docs/ports.md).
    `flow`: how much may be on its way to it.
    A firmware that has halted is left alone in any case.
    """

    port: str | None = None
    baudrate: int | None = None
    profile: str | None = None
    awaits_port: bool = False
    patient: bool = False
    faithful: bool = True
    identity: Identity | None = None
    likely_port: str | None = None
    likely_baudrate: int | None = None
    reset: Reset = "auto"
    flow: Flow = AS_SHOWN

    @property
    def detects(self) -> bool:
        return self.port is None or self.baudrate is None
