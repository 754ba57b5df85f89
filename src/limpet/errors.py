"""Every way in which Limpet says no. The faces turn these into exit codes and HTTP statuses."""

from __future__ import annotations

from dataclasses import dataclass


class LimpetError(Exception):
    """Something that a person did or that the world did to us; `str()` of it is fit to be shown."""


class BadRequest(LimpetError):
    """The request cannot be understood or names something that is not there (HTTP 400)."""


class NotFound(LimpetError):
    """What the request names is not there (HTTP 404, and its words where there are none here)."""


class Conflict(LimpetError):
    """The request is fine, but not in the present state (HTTP 409)."""


class NoRoom(LimpetError):
    """The disk is full, or a file is larger than the disk can hold (HTTP 507)."""


class SettingsError(LimpetError):
    """A settings or key file is wrong; the text names the file, the line and the fault."""


@dataclass(frozen=True)
class Fault:
    """Why an attempt or a connection ended: the `current.error` of `/api/connection`.

    `code` is one of the contract's codes, `message` says what happened, `hint` what to do about it.
    """

    code: str
    message: str
    hint: str


class PortError(LimpetError):
    """A port cannot be opened or used; carries the `Fault` to show, and the last lines that were on the wire."""

    def __init__(self, fault: Fault, traffic: tuple[str, ...] = ()) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.traffic = traffic
