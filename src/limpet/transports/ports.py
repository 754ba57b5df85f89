"""Which ports there are, what they are, and how to name one so that the name stays true.

Source: `/sys/class/tty` and udev's links below `/dev/serial`, looked at afresh each time (docs/ports.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from limpet.transports.holders import holder_of
from limpet.transports.urls import VIRTUAL
from limpet.transports.usb_ids import Known, Role, known

if TYPE_CHECKING:
    from serialx import SerialPortInfo

CACHED_SECONDS = 0.25
PATH_MAX = 4096


@dataclass(frozen=True)
class Port:
    """One port, as it was when looked at; `path` is the name that is shown and opened."""

    path: str
    kind: str
    """usb, uart, console (a UART that the kernel logs to), added, url or virtual."""
    description: str
    device: str
    """The device with all links resolved; `path` again where there is none."""
    stable_name: str | None = None
    """`/dev/serial/by-id/...`, as udev named it or would have; twins without serial number share one."""
    by_path: str | None = None
    """`/dev/serial/by-path/...`: the socket that it is plugged into."""
    vendor_id: int | None = None
    product_id: int | None = None
    serial_number: str | None = None
    manufacturer: str | None = None
    product: str | None = None
    driver: str | None = None
    known: Known | None = None
    """What the table of USB devices (usb_ids.py) says about it."""

    @property
    def role(self) -> Role | None:
        """What it is to a print host; None where nobody knows."""
        return self.known.role if self.known else None

    @property
    def is_native(self) -> bool:
        """A baudrate means nothing to it, and opening it does not restart it: its USB is the microcontroller's own."""
        return self.known is not None and self.known.is_native

    @property
    def something_else(self) -> str | None:
        """What it is when it is known to be no printer, such as "a Zigbee stick (ConBee II)"; None otherwise."""
        if self.known is None or self.known.role is not Role.OTHER:
            return None
        return f"a {self.known.words} ({self.product})" if self.product else f"a {self.known.words}"


class PortList:
    """The ports of this machine, and those that were added by name, glob or URL.

    `ignored` are globs on path, stable name or device. Links in `added` keep their name; what does not exist
    is left out until it does. `consoles` shows the UARTs that the kernel logs to as well, which nobody may write to.
    `own` are links to devices of ours, behind which we are ourselves: they are no ports.
    """

    def __init__(
        self,
        *,
        added: Sequence[str] = (),
        ignored: Sequence[str] = (),
        virtual: bool = True,
        consoles: bool = False,
        own: Sequence[str] = (),
        sys_root: Path = Path("/sys"),
        dev_root: Path = Path("/dev"),
    ) -> None:
        self._added = tuple(added)
        self._ignored = tuple(ignored)
        self._virtual = virtual
        self._consoles = consoles
        self._own = tuple(own)
        self._class = sys_root / "class/tty"
        self._dev = dev_root
        self._seen: tuple[Port, ...] = ()
        self._fresh_until = float("-inf")

    def current(self, now: float) -> tuple[Port, ...]:
        """The ports, at most CACHED_SECONDS old; `now` in seconds of any one steady clock."""
        if now >= self._fresh_until:
            self._seen = self.look()
            self._fresh_until = now + CACHED_SECONDS
        return self._seen

    def look(self) -> tuple[Port, ...]:
        """The ports at this moment: USB, UARTs, the added ones, VIRTUAL."""
        plugged = sorted(self._plugged(), key=lambda port: (_ORDER[port.kind], _natural(port.path)))
        by_device = {port.device: port for port in plugged}
        ports = {port.path: port for port in plugged}
        for name in self._added_names():
            ports.setdefault(name, self._added_port(name, by_device))
        if self._virtual:
            ports[VIRTUAL] = Port(VIRTUAL, "virtual", "virtual printer", VIRTUAL)
        own = {os.path.realpath(link) for link in self._own}
        return tuple(port for port in ports.values() if port.device not in own and not self._is_ignored(port))

    def _plugged(self) -> Iterator[Port]:
        by_id = _links(self._dev / "serial/by-id")
        by_path = _links(self._dev / "serial/by-path")
        for name in _names(self._class):
            # In a container, sysfs tells of devices that are not in its /dev.
            if _TTY.match(name) and (self._dev / name).exists():
                port = self._port(name)
                if port is not None and (port.kind != "console" or self._consoles):
                    yield replace(
                        port,
                        stable_name=by_id.get(port.device, port.stable_name),
                        by_path=by_path.get(port.device),
                    )

    def _port(self, name: str) -> Port | None:
        """Tty `name` as sysfs describes it; None for what is no serial port, or has just gone."""
        try:
            tty = _follow(self._class / name)
            owner = _follow(tty / "device")
        except OSError:
            return None
        # A type of 0 is a place on the board where no chip was found.
        if not (owner / "driver").exists() or _read(tty / "type") == "0":
            return None
        path = str(self._dev / name)
        # cdc-acm hangs the tty on the USB interface, the drivers of usb-serial one level below it.
        for interface in (owner, owner.parent):
            if (interface / "bInterfaceNumber").exists():
                return self._usb_port(path, owner, interface)
        # Since Linux 6.10 two levels of "serial-base" hide the driver.
        while _target(owner / "subsystem") == "serial-base":
            owner = owner.parent
        is_console = _read(tty / "console") == "Y"
        return Port(
            path=path,
            kind="console" if is_console else "uart",
            description="UART, the kernel's console" if is_console else "UART of the board",
            device=os.path.realpath(path),
            driver=_target(owner / "driver"),
        )

    def _usb_port(self, path: str, owner: Path, interface: Path) -> Port | None:
        from serialx import SerialPortInfo, udev_serial_by_id_stem  # Slow to import (urls.py).

        usb = interface.parent
        try:
            vendor_id = int(_read(usb / "idVendor") or "", 16)
            product_id = int(_read(usb / "idProduct") or "", 16)
            number = int(_read(interface / "bInterfaceNumber") or "", 16)
        except ValueError:
            return None
        sub_port = _read(owner / "port_number")
        info = SerialPortInfo(
            device=path,
            resolved_device=path,
            vid=vendor_id,
            pid=product_id,
            serial_number=_read(usb / "serial"),
            manufacturer=_read(usb / "manufacturer"),
            product=_read(usb / "product"),
            bcd_device=None,
            interface_description=None,
            interface_num=number,
            port_number=int(sub_port) if sub_port and sub_port.isdecimal() else None,
        )
        stem = udev_serial_by_id_stem(info)
        driver = _target(owner / "driver")
        what = known(vendor_id, product_id, f"{info.manufacturer or ''} {info.product or ''}".strip(), driver)
        return Port(
            path=path,
            kind="usb",
            description=_describe(info, what),
            device=os.path.realpath(path),
            stable_name=str(self._dev / "serial/by-id" / stem) if stem else None,
            vendor_id=vendor_id,
            product_id=product_id,
            serial_number=info.serial_number,
            manufacturer=info.manufacturer,
            product=info.product,
            driver=driver,
            known=what,
        )

    def _added_names(self) -> Iterator[str]:
        for name in self._added:
            if "://" in name:
                yield name
                continue
            # Path.glob takes no absolute pattern.
            names = sorted(glob(name), key=_natural) if has_magic(name) else [name]  # noqa: PTH207
            # Up to Python 3.11 Path.exists raises for what lies in a folder that we may not enter.
            yield from (name for name in names if os.path.exists(name))  # noqa: PTH110

    def _added_port(self, name: str, by_device: dict[str, Port]) -> Port:
        if "://" in name:
            return Port(name, "url", _URLS.get(name.partition("://")[0], "network port"), name)
        device = os.path.realpath(name)
        if device in by_device:
            return replace(by_device[device], path=name, kind="added")
        is_pty = device.startswith("/dev/pts/")
        return Port(name, "added", "pseudo-terminal" if is_pty else "added port", device)

    def _is_ignored(self, port: Port) -> bool:
        names = (port.path, port.stable_name or "", port.device)
        return any(fnmatchcase(name, pattern) for name in names for pattern in self._ignored)


def find(ports: Sequence[Port], name: str) -> Port | None:
    """The port called `name`: its path, any link to its device, its stable name, even without udev, or its USB ids.

    `usb:VVVV:PPPP` and `usb:VVVV:PPPP:SERIAL` find the one device that they fit, and none where they fit several.
    """
    for port in ports:
        if port.path == name:
            return port
    if ids := _USB_NAME.fullmatch(name):
        return _only(ports, int(ids[1], 16), int(ids[2], 16), ids[3])
    try:
        # A longer path cannot exist, and each of its parts would be looked up.
        device = os.path.realpath(name) if name.startswith("/") and len(name) <= PATH_MAX else name
    except ValueError:  # a name that no file can have
        return None
    for port in ports:
        if port.device == device:
            return port
    for port in ports:
        if name in (port.stable_name, port.by_path):
            return port
    return None


def _only(ports: Sequence[Port], vendor_id: int, product_id: int, serial_number: str | None) -> Port | None:
    fitting = [
        port
        for port in ports
        if (port.vendor_id, port.product_id) == (vendor_id, product_id) and serial_number in (None, port.serial_number)
    ]
    return fitting[0] if len({port.device for port in fitting}) == 1 else None


def by_likelihood(ports: Sequence[Port]) -> list[Port]:
    """The likeliest printers first: known ones, boards with USB of their own, adapters, the unknown, the known others.

    Among equals the order stays.
    """
    return sorted(ports, key=lambda port: _LIKELIHOOD.index(port.role))


def stable(port: Port, ports: Sequence[Port], named: str | None = None) -> str:
    """The name to save for `port`, so that it is found again under another device name.

    Who has `named` it by its place means that place, if it has no serial number to tell it from a twin. Otherwise
    the stable name where no other device of `ports` shares it, else its place (by-path), else its path. An
    added port keeps the name that it was given.
    """
    if port.kind == "added":
        return port.path
    if named is not None and named == port.by_path and port.serial_number is None:
        return named
    twins = [other for other in ports if other.stable_name == port.stable_name and other.device != port.device]
    if port.stable_name and not twins:
        return port.stable_name
    return port.by_path or port.path


def plugged_at(port: Port) -> int:
    """A number that is another one when the device was unplugged and plugged in again; 0 for what is no device."""
    try:
        return Path(port.device).stat().st_ctime_ns if port.device.startswith("/") else 0
    except OSError:
        return 0


def parse_added(text: str) -> list[str]:
    """The ports of `$LIMPET_PORTS`: paths, globs and URLs, separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def as_json(ports: Sequence[Port]) -> list[dict[str, object]]:
    """For `limpet ports --json`: USB ids are four hex digits, `holder` is {pid, name} or null. Looks at /proc."""
    return [
        {
            "path": port.path,
            "kind": port.kind,
            "description": port.description,
            "device": port.device,
            "stable_name": port.stable_name,
            "by_path": port.by_path,
            "vendor_id": _hex(port.vendor_id),
            "product_id": _hex(port.product_id),
            "serial_number": port.serial_number,
            "manufacturer": port.manufacturer,
            "product": port.product,
            "driver": port.driver,
            "role": port.role,
            "is_native": port.is_native,
            "holder": {"pid": holder[0], "name": holder[1]} if (holder := _holder(port)) else None,
        }
        for port in ports
    ]


def table(ports: Sequence[Port]) -> str:
    """For `limpet ports`: one line a port below a line of headings. Looks at /proc."""
    rows = [("PORT", "WHAT", "USB", "SERIAL", "DRIVER", "ROLE", "HELD BY", "STABLE NAME")]
    for port in ports:
        holder = _holder(port)
        rows.append(
            (
                port.path,
                port.description,
                f"{_hex(port.vendor_id)}:{_hex(port.product_id)}" if port.vendor_id is not None else "-",
                port.serial_number or "-",
                port.driver or "-",
                port.role or "-",
                f"{holder[1]} ({holder[0]})" if holder else "-",
                port.stable_name or "-",
            )
        )
    # What a device says of itself must not steer the terminal.
    safe = [["".join(c if c.isprintable() else "?" for c in cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in safe
    )


_TTY = re.compile(r"tty[A-Za-z]")
_ORDER = {"usb": 0, "uart": 1, "console": 2}
_URLS = {"socket": "TCP", "rfc2217": "TCP with RFC 2217"}

_LIKELIHOOD = (Role.PRINTER, Role.NATIVE, Role.ADAPTER, None, Role.OTHER)
_USB_NAME = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?", re.IGNORECASE)


def _describe(info: SerialPortInfo, what: Known | None) -> str:
    said = info.product or info.manufacturer
    words = what.words if what else said or "USB serial device"
    # Of itself, a serial chip says "USB Serial" at best.
    if what and said and what.role is not Role.ADAPTER and said.casefold() not in words.casefold():
        words = said if words.casefold() in said.casefold() else f"{words}: {said}"
    return f"{words} ({_hex(info.vid)}:{_hex(info.pid)})"


def _holder(port: Port) -> tuple[int, str] | None:
    return None if port.kind in ("url", "virtual") else holder_of(port.device)


def _hex(number: int | None) -> str | None:
    return None if number is None else f"{number:04x}"


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\n")
    except OSError:
        return None


def _target(link: Path) -> str | None:
    try:
        return link.readlink().name
    except OSError:
        return None


def _follow(link: Path) -> Path:
    # One step, where realpath looks at each of a dozen folders; sysfs has no links within links.
    return Path(os.path.normpath(link.parent / link.readlink()))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - a Path for each of 70 terminals costs more than the rest
    except OSError:
        return []


def _links(folder: Path) -> dict[str, str]:
    """Device -> its link in `folder`, the first by name where there are several."""
    links = [str(folder / name) for name in sorted(_names(folder), reverse=True)]
    return {os.path.realpath(link): link for link in links}
