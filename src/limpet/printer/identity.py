"""PURE: who a printer is, so that it is known again and not taken for its twin."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

SHARED_UUIDS = frozenset({"cede2a2f-41a2-4748-9b12-c55c62f367ff"})
"""Marlin's DEFAULT_MACHINE_UUID, which whole series of printers have in common (Marlin `Version.h`)."""


class Identity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a printer says of itself in its answer to M115, and what its USB device says.

    `uuid` is that of the firmware, None where it is missing or the same in many; `machine_type` is its MACHINE_TYPE.
    `usb` is `vendor:product` and `serial` the serial number of the USB device, None where there is none; `place` is
    the socket that it was plugged into (by-path), which may change.
    """

    uuid: str | None = None
    machine_type: str | None = None
    usb: str | None = None
    serial: str | None = None
    place: str | None = None

    @property
    def is_unique(self) -> bool:
        """Another printer with the same identity is not to be expected."""
        return self.uuid is not None or self.serial is not None

    def is_same(self, other: Identity) -> bool:
        """Whether the two are one and the same printer for certain."""
        if self.serial and other.serial:
            return self.serial == other.serial
        return self.uuid is not None and self.uuid == other.uuid

    def contradicts(self, other: Identity) -> str | None:
        """Why the two cannot be the same printer, in words; None when they may be.

        The serial number of the USB device decides alone: behind it the firmware may have been changed.
        """
        if self.serial and other.serial:
            return None if self.serial == other.serial else f"its USB serial number is {self.serial}"
        if self.uuid and other.uuid:
            return None if self.uuid == other.uuid else f"its UUID is {self.uuid}"
        if self.machine_type and other.machine_type and self.machine_type != other.machine_type:
            return f"it says that it is a {self.machine_type}, not a {other.machine_type}"
        return None


def identity_of(
    fields: Mapping[str, str], *, usb: str | None = None, serial: str | None = None, place: str | None = None
) -> Identity:
    """From the fields of the answer to M115, as FirmwareIdentified has them."""
    uuid = (fields.get("UUID") or "").lower()
    return Identity(
        uuid=uuid if uuid and uuid not in SHARED_UUIDS else None,
        machine_type=fields.get("MACHINE_TYPE") or None,
        usb=usb,
        serial=serial,
        place=place,
    )
