"""JSON shapes and nothing else: what OctoPrint's API said before 2.0, and what 2.0 changed."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from limpet.errors import BadRequest
from limpet.fleet import Fleet
from limpet.printer.printer import Printer
from limpet.printer.state import ConnectionFailed

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
    """A port that detection has looked at, and what came of it."""

    port: str
    verdict: str


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
    candidates: list[Candidate]


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
    candidates: list[Candidate]


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
                state=now.state,
                port=now.port,
                baudrate=now.baudrate,
                printerProfile=now.profile or preferences.profile,
                error=_error(now.failure),
                firmware=now.firmware,
                candidates=_candidates(now.candidates),
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
                state=now.state,
                connector=SERIAL if now.port else None,
                parameters=Parameters2(port=now.port, baudrate=now.baudrate),
                capabilities={"job_on_hold": False, "temperature_offsets": False},
                profile=now.profile,
                error=_error(now.failure),
                firmware=now.firmware,
                candidates=_candidates(now.candidates),
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


def _candidates(candidates: dict[str, str]) -> list[Candidate]:
    return [Candidate(port=port, verdict=verdict) for port, verdict in candidates.items()]


def _profiles(fleet: Fleet) -> list[ProfileInfo]:
    return [ProfileInfo(id=id, name=profile.name) for id, profile in fleet.profiles.items()]
