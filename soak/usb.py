"""A made-up /sys and /dev that tell of USB serial devices as the kernel and udev do, and have a few plain ports too."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from limpet.transports.ports import PortList

PLAIN_PORTS = ("line-a", "line-b")
"""Ports that are no USB devices and keep their names, whatever is behind them."""


@dataclass(frozen=True)
class Usb:
    """What a USB device says of itself, and into which `socket` it is plugged; `is_known`: that it is no printer."""

    socket: int
    vendor_id: int
    product_id: int
    product: str
    serial_number: str | None = None
    tty: str = "ttyUSB"
    is_known: bool = False


class Ports:
    """The ports of the machine, below `root`."""

    def __init__(self, root: Path) -> None:
        self._sys, self.dev = root / "sys", root / "dev"
        (self._sys / "class/tty").mkdir(parents=True)
        (self.dev / "serial/by-path").mkdir(parents=True)

    def as_limpet_sees_them(self) -> PortList:
        added = [str(self.dev / name) for name in PLAIN_PORTS]
        return PortList(added=added, virtual=False, sys_root=self._sys, dev_root=self.dev)

    def free_name(self, usb: Usb) -> Path:
        """The name that the kernel gives: the lowest that is free."""
        names = (f"{usb.tty}{number}" for number in count())
        return self.dev / next(name for name in names if not (self._sys / "class/tty" / name).exists())

    def free_plain_ports(self) -> list[Path]:
        return [self.dev / name for name in PLAIN_PORTS if not (self.dev / name).is_symlink()]

    def add(self, path: Path, usb: Usb) -> None:
        """`path` (made by the caller) is this USB device from now on."""
        device = self._place(usb)
        interface = device / f"1-{usb.socket}:1.0"
        tty = interface / "tty" / path.name
        for folder in (tty, interface / "driver"):
            folder.mkdir(parents=True)
        facts = {
            "idVendor": f"{usb.vendor_id:04x}",
            "idProduct": f"{usb.product_id:04x}",
            "product": usb.product,
            "serial": usb.serial_number,
        }
        for name, text in facts.items():
            if text is not None:
                (device / name).write_text(text + "\n")
        (interface / "bInterfaceNumber").write_text("00\n")
        (tty / "device").symlink_to(interface)
        self.by_path(usb).symlink_to(path)
        (self._sys / "class/tty" / path.name).symlink_to(tty)

    def remove(self, path: Path, usb: Usb) -> None:
        (self._sys / "class/tty" / path.name).unlink()
        self.by_path(usb).unlink()
        shutil.rmtree(self._place(usb))

    def _place(self, usb: Usb) -> Path:
        return self._sys / f"devices/usb1/1-{usb.socket}"

    def by_path(self, usb: Usb) -> Path:
        """The name of whatever is plugged in there."""
        return self.dev / f"serial/by-path/platform-usb-0:{usb.socket}:1.0"
