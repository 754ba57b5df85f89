"""JSON shapes and nothing else: what OctoPrint's API said before 2.0, and what 2.0 changed."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from limpet.errors import BadRequest
from limpet.fleet import Fleet
from limpet.printer.identity import Identity
from limpet.printer.printer import Printer
from limpet.printer.state import CandidateTried, ConnectionFailed, LinkFigures, SdPrint
from limpet.web.shapes import state_text

VERSION_HEADER = "X-OctoPrint-Api-Version"


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """`current.error`: why the last attempt or connection ended. `at` is in seconds since the epoch.

    `log` holds the last lines on the wire, `waiting` says that the printer is waited for.
    """

    code: str
    message: str
    hint: str
    at: float
    log: tuple[str, ...]
    waiting: bool


class Candidate(Struct, frozen=True, kw_only=True):
    """A port that detection looks at, at which rate, and what came of it so far; `done` says that this is all."""

    port: str
    verdict: str
    baudrate: int | None
    done: bool


class IdentityInfo(Struct, frozen=True, kw_only=True):
    """Who the printer is: its firmware's UUID and machine type, its USB ids (`vendor:product`) and serial number."""

    uuid: str | None
    machineType: str | None  # noqa: N815
    usb: str | None
    serial: str | None


class SdPrintInfo(Struct, frozen=True, kw_only=True):
    """A print from the printer's own card: bytes done and in all, and seconds since it began, where it tells."""

    printed: int
    total: int
    elapsed: int | None


class LinkInfo(Struct, frozen=True, kw_only=True):
    """How the line is doing. Times in seconds, `connectedAt` since the epoch; round trips null before there are any.

    Counted since the session began; `reconnects` since the connect command. `suspect`: a question has gone unanswered.
    """

    connectedAt: float  # noqa: N815
    reconnects: int
    linesSent: int  # noqa: N815
    linesReceived: int  # noqa: N815
    resends: int
    bytesReceived: int  # noqa: N815
    unreadableBytes: int  # noqa: N815
    roundTripP50: float | None  # noqa: N815
    roundTripP95: float | None  # noqa: N815
    silentFor: float  # noqa: N815
    suspect: bool


class ProfileInfo(Struct, frozen=True, kw_only=True):
    """A printer profile that can be chosen."""

    id: str
    name: str


class Current(Struct, frozen=True, kw_only=True):
    """`current` before 2.0. Port and baudrate are null when closed, the candidate while detecting."""

    state: str
    port: str | None
    baudrate: int | None
    printerProfile: str  # noqa: N815
    error: ErrorInfo | None
    firmware: str | None
    identity: IdentityInfo | None
    candidates: list[Candidate]
    sdPrint: SdPrintInfo | None  # noqa: N815
    link: LinkInfo | None


class Options(Struct, frozen=True, kw_only=True):
    """`options` before 2.0."""

    ports: list[str]
    baudrates: list[int]
    printerProfiles: list[ProfileInfo]  # noqa: N815
    portPreference: str | None  # noqa: N815
    baudratePreference: int | None  # noqa: N815
    printerProfilePreference: str  # noqa: N815
    autoconnect: bool


class ConnectionInfo(Struct, frozen=True, kw_only=True):
    """The answer to `GET /api/connection`."""

    current: Current
    options: Options


class Parameters2(Struct, frozen=True, kw_only=True):
    """Parameters of the serial connector."""

    port: str | None
    baudrate: int | None


class Current2(Struct, frozen=True, kw_only=True):
    """`current` since 2.0."""

    state: str
    connector: str | None
    parameters: Parameters2
    capabilities: dict[str, bool]
    profile: str | None
    error: ErrorInfo | None
    firmware: str | None
    identity: IdentityInfo | None
    candidates: list[Candidate]
    sdPrint: SdPrintInfo | None  # noqa: N815
    link: LinkInfo | None


class ConnectorParameters2(Struct, frozen=True, kw_only=True):
    """What the serial connector offers."""

    port: list[str]
    baudrate: list[int]


class Connector2(Struct, frozen=True, kw_only=True):
    """A way to connect; Limpet has the serial one, which also covers the virtual printer."""

    connector: str
    name: str
    parameters: ConnectorParameters2


class PreferredConnector2(Struct, frozen=True, kw_only=True):
    """What is connected to when a request names nothing."""

    connector: str
    parameters: Parameters2


class Options2(Struct, frozen=True, kw_only=True):
    """`options` since 2.0; `autoconnect` is Limpet's addition."""

    connectors: list[Connector2]
    profiles: list[ProfileInfo]
    preferredConnector: PreferredConnector2  # noqa: N815
    preferredProfile: str  # noqa: N815
    autoconnect: bool


class ConnectionInfo2(Struct, frozen=True, kw_only=True):
    """The answer to `GET /api/connection` since 2.0."""

    current: Current2
    options: Options2


class Before2:
    """The shapes of OctoPrint's API before 2.0: what a client gets that asks for no version."""

    def connection(self, fleet: Fleet, printer: Printer) -> ConnectionInfo | ConnectionInfo2:
        now, preferences = printer.snapshot, fleet.preferences(printer)
        return ConnectionInfo(
            current=Current(
                state=state_text(now),
                port=now.port,
                baudrate=now.baudrate,
                printerProfile=now.profile or preferences.profile,
                error=_error(now.failure),
                firmware=now.firmware,
                identity=_identity(now.identity),
                candidates=_candidates(now.candidates),
                sdPrint=_sd_print(now.sd_print),
                link=_link(printer.figures()),
            ),
            options=Options(
                ports=fleet.port_names(),
                baudrates=list(fleet.baudrates),
                printerProfiles=_profiles(fleet),
                portPreference=fleet.preferred_port(printer),
                baudratePreference=preferences.baudrate,
                printerProfilePreference=preferences.profile,
                autoconnect=preferences.autoconnect,
            ),
        )

    def connect_parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        """Where `port` and `baudrate` of a connect command stand."""
        return body


class Since2(Before2):
    """What 2.0 changed: connectors, with their parameters in a table of their own."""

    def connection(self, fleet: Fleet, printer: Printer) -> ConnectionInfo2:
        now, preferences = printer.snapshot, fleet.preferences(printer)
        return ConnectionInfo2(
            current=Current2(
                state=state_text(now),
                connector=SERIAL if now.port else None,
                parameters=Parameters2(port=now.port, baudrate=now.baudrate),
                capabilities={"job_on_hold": False, "temperature_offsets": False},
                profile=now.profile,
                error=_error(now.failure),
                firmware=now.firmware,
                identity=_identity(now.identity),
                candidates=_candidates(now.candidates),
                sdPrint=_sd_print(now.sd_print),
                link=_link(printer.figures()),
            ),
            options=Options2(
                connectors=[
                    Connector2(
                        connector=SERIAL,
                        name="Serial Connection",
                        parameters=ConnectorParameters2(port=fleet.port_names(), baudrate=list(fleet.baudrates)),
                    )
                ],
                profiles=_profiles(fleet),
                preferredConnector=PreferredConnector2(
                    connector=SERIAL,
                    parameters=Parameters2(port=fleet.preferred_port(printer), baudrate=preferences.baudrate),
                ),
                preferredProfile=preferences.profile,
                autoconnect=preferences.autoconnect,
            ),
        )

    def connect_parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("connector") != SERIAL:
            raise BadRequest("connector is invalid")
        parameters = body.get("parameters", {})
        if not isinstance(parameters, dict):
            raise BadRequest("parameters is invalid")
        return parameters


SERIAL = "serial"
BEFORE2 = Before2()
SINCE2 = Since2()


def dialect_for(version: str | None) -> Before2:
    """The dialect for a value of the version header; before 2.0 when there is none that can be read."""
    major = re.match(r"\s*(\d{1,9})(?:\.|\s*$)", version or "")
    return SINCE2 if major and int(major.group(1)) >= 2 else BEFORE2


def _error(failure: ConnectionFailed | None) -> ErrorInfo | None:
    if failure is None:
        return None
    return ErrorInfo(
        code=failure.fault.code,
        message=failure.fault.message,
        hint=failure.fault.hint,
        at=round(failure.at, 3),
        log=failure.traffic,
        waiting=failure.waiting,
    )


def _candidates(candidates: dict[str, CandidateTried]) -> list[Candidate]:
    return [
        Candidate(port=port, verdict=tried.verdict, baudrate=tried.baudrate, done=tried.done)
        for port, tried in candidates.items()
    ]


def _identity(identity: Identity | None) -> IdentityInfo | None:
    if identity is None:
        return None
    return IdentityInfo(uuid=identity.uuid, machineType=identity.machine_type, usb=identity.usb, serial=identity.serial)


def _sd_print(sd_print: SdPrint | None) -> SdPrintInfo | None:
    if sd_print is None:
        return None
    return SdPrintInfo(printed=sd_print.printed, total=sd_print.total, elapsed=sd_print.elapsed)


def _link(figures: LinkFigures | None) -> LinkInfo | None:
    if figures is None:
        return None
    return LinkInfo(
        connectedAt=round(figures.connected_at, 3),
        reconnects=figures.reconnects,
        linesSent=figures.lines_sent,
        linesReceived=figures.lines_received,
        resends=figures.resends,
        bytesReceived=figures.bytes_received,
        unreadableBytes=figures.unreadable_bytes,
        roundTripP50=_milli(figures.round_trip_p50),
        roundTripP95=_milli(figures.round_trip_p95),
        silentFor=round(figures.silent_for, 1),
        suspect=figures.suspect,
    )


def _milli(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)


def _profiles(fleet: Fleet) -> list[ProfileInfo]:
    return [ProfileInfo(id=id, name=profile.name) for id, profile in fleet.profiles.items()]
