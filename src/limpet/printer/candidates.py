"""PURE: which of the ports may be the wanted printer's, and whether the one that answers there is it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from limpet.errors import Fault
from limpet.printer.faults import fault
from limpet.printer.identity import Identity, identity_of
from limpet.printer.target import Target
from limpet.transports.ports import Port, by_likelihood, find, stable
from limpet.transports.urls import VIRTUAL


def wanted_port(ports: Sequence[Port], target: Target) -> Port | None:
    """The port that the target names. Of twins that share a stable name it is the one at the place of the last time."""
    name, place = target.port or "", target.identity.place if target.identity else None
    twins = [port for port in ports if port.stable_name == name]
    if len(twins) > 1 and place is not None:
        return next((port for port in twins if port.by_path == place), None)
    return find(ports, name)


def detectable(ports: Sequence[Port], reserved: Collection[str]) -> list[Port]:
    """What may be asked, the likeliest first: each device once, none that is `reserved` for other printers, and not the
    line of the kernel's console. VIRTUAL is there only when nothing else is."""
    real = {port.device: port for port in reversed(ports) if port.kind not in ("virtual", "console")}
    if not real:
        return [port for port in ports if port.path == VIRTUAL]
    return by_likelihood([port for port in ports if port in real.values() and port.device not in reserved])


def elsewhere(ports: Sequence[Port], target: Target, reserved: Collection[str]) -> list[Port]:
    """Where a printer that can be told from its twins may have been plugged in instead: other devices of its kind."""
    expected = target.identity
    if expected is None or not expected.is_unique or expected.usb is None:
        return []
    here = wanted_port(ports, target)
    return [port for port in detectable(ports, reserved) if _usb(port) == expected.usb and port != here]


def recognise(
    ports: Sequence[Port], path: str, fields: Mapping[str, str], named: str | None = None
) -> tuple[str, Identity]:
    """The name by which the port at `path` will be found again, and who answers M115 there with these `fields`.

    `named` is how a person has called it.
    """
    port = find(ports, path)
    if port is None:
        return path, identity_of(fields)
    return stable(port, ports, named), identity_of(
        fields, usb=_usb(port), serial=port.serial_number, place=port.by_path
    )


def why_not(ports: Sequence[Port], target: Target, path: str, fields: Mapping[str, str]) -> Fault | None:
    """Why the printer that answers at `path` is not the one that is expected, if it is not."""
    if target.identity is None:
        return None
    found = recognise(ports, path, fields)[1]
    why = found.contradicts(target.identity)
    here = wanted_port(ports, target)
    moved = target.port is not None and (here is None or here.path != path)
    if why is None and moved and not found.is_same(target.identity):
        why = "nothing tells that it is the one that was saved"
    return None if why is None else fault("other_printer", port=path, detail=why)


def _usb(port: Port) -> str | None:
    return None if port.vendor_id is None or port.product_id is None else f"{port.vendor_id:04x}:{port.product_id:04x}"
