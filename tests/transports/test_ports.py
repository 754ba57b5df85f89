"""The list of ports, over a made-up /sys and /dev that have the shape of real ones."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from limpet.transports.ports import Port, PortList, as_json, by_likelihood, find, parse_added, stable, table
from limpet.transports.usb_ids import Known, Role

PRUSA = {"idVendor": "2c99", "idProduct": "0002", "manufacturer": "Prusa Research (prusa3d.com)"}
PRUSA |= {"product": "Original Prusa i3 MK3", "serial": "CZPX4720X004XK56789"}
CH340 = {"idVendor": "1a86", "idProduct": "7523", "product": "USB Serial"}
CONBEE = {"idVendor": "1cf1", "idProduct": "0030", "product": "ConBee II", "serial": "DE2132111"}
STM32 = {"idVendor": "0483", "idProduct": "5740", "product": "STM32 Virtual ComPort", "serial": "206A3"}


class Machine:
    """Folders that look like /sys and /dev."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        (self.sys / "class/tty").mkdir(parents=True)
        self.dev.mkdir()
        for number in range(4):
            self._tty(f"tty{number}", self.sys / f"devices/virtual/tty/tty{number}")

    def _tty(self, name: str, folder: Path, **files: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text + "\n")
        (self.sys / "class/tty" / name).symlink_to(folder)
        (self.dev / name).touch()

    def _device(self, folder: Path, subsystem: str, driver: str, **files: str) -> None:
        bus = self.sys / "bus" / subsystem
        (bus / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "subsystem").symlink_to(bus)
        (folder / "driver").symlink_to(bus / "drivers" / driver)
        for file, text in files.items():
            (folder / file).write_text(text + "\n")

    def add_acm(self, name: str, place: str, **usb: str) -> None:
        """A board with USB of its own: the tty hangs on the interface."""
        device = self.sys / "devices/pci0000:00/usb1" / place
        interface = device / f"{place}:1.0"
        self._device(device, "usb", "usb", **usb)
        self._device(interface, "usb", "cdc_acm", bInterfaceNumber="00")
        self._tty(name, interface / "tty" / name)
        (interface / "tty" / name / "device").symlink_to(interface)

    def add_usb(self, name: str, place: str, driver: str = "ch341-uart", **usb: str) -> None:
        """A serial chip: the tty hangs on a usb-serial device below the interface."""
        device = self.sys / "devices/pci0000:00/usb1" / place
        interface = device / f"{place}:1.0"
        self._device(device, "usb", "usb", **usb)
        self._device(interface, "usb", driver.removesuffix("-uart"), bInterfaceNumber="00")
        self._device(interface / name, "usb-serial", driver, port_number="0")
        self._tty(name, interface / name / "tty" / name)
        (interface / name / "tty" / name / "device").symlink_to(interface / name)

    def add_uart(self, name: str, subsystem: str, driver: str, **files: str) -> None:
        """A UART as kernels before 6.10 show it."""
        device = self.sys / "devices/platform" / f"{name}.uart"
        self._device(device, subsystem, driver)
        self._tty(name, device / "tty" / name, **files)
        (device / "tty" / name / "device").symlink_to(device)

    def add_uart_of_linux_6_10(self, name: str, **files: str) -> None:
        chip = self.sys / "devices/pnp0/00:00"
        self._device(chip, "pnp", "serial")
        self._device(chip / "00:00:0", "serial-base", "ctrl")
        self._device(chip / "00:00:0/00:00:0.0", "serial-base", "port")
        self._tty(name, chip / "00:00:0/00:00:0.0/tty" / name, **files)
        (self.sys / "class/tty" / name / "device").symlink_to(chip / "00:00:0/00:00:0.0")

    def link(self, folder: str, link: str, name: str) -> str:
        """A link as udev makes them: serial/by-id/<link> -> ../../<name>."""
        path = self.dev / folder / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(Path("../" * len(Path(folder).parts)) / name)
        return str(path)

    def ports(self, **options: object) -> tuple[Port, ...]:
        return self.port_list(**options).look()

    def port_list(self, **options: object) -> PortList:
        options = {"virtual": False} | options
        return PortList(sys_root=self.sys, dev_root=self.dev, **options)  # type: ignore[arg-type]

    def names(self, **options: object) -> list[str]:
        return [port.path.removeprefix(f"{self.dev}/") for port in self.ports(**options)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_consoles_and_chips_that_are_not_there_are_no_ports(machine: Machine) -> None:
    machine.add_uart("ttyS0", "platform", "serial8250", type="0")
    machine.add_uart("ttyS1", "pnp", "serial", type="4")
    assert machine.names() == ["ttyS1"]


def test_usb_comes_before_uarts_and_numbers_count_as_numbers(machine: Machine) -> None:
    machine.add_uart("ttyAMA0", "amba", "uart-pl011", type="32")
    machine.add_usb("ttyUSB10", "1-1", **CH340)
    machine.add_usb("ttyUSB2", "1-2", **CH340)
    machine.add_usb("ttyCH341USB0", "1-3", **CH340)
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    assert machine.names() == ["ttyACM0", "ttyCH341USB0", "ttyUSB2", "ttyUSB10", "ttyAMA0"]


def test_a_device_that_the_container_was_not_given_is_no_port(machine: Machine) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    (machine.dev / "ttyUSB0").unlink()
    assert machine.names() == []


def test_a_usb_port_tells_what_it_is(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    (port,) = machine.ports()
    assert port == Port(
        path=f"{machine.dev}/ttyACM0",
        kind="usb",
        description="Original Prusa i3 MK3 (2c99:0002)",
        device=f"{machine.dev}/ttyACM0",
        stable_name=f"{machine.dev}/serial/by-id/"
        "usb-Prusa_Research__prusa3d.com__Original_Prusa_i3_MK3_CZPX4720X004XK56789-if00",
        by_path=None,
        vendor_id=0x2C99,
        product_id=0x0002,
        serial_number="CZPX4720X004XK56789",
        manufacturer="Prusa Research (prusa3d.com)",
        product="Original Prusa i3 MK3",
        driver="cdc_acm",
        known=Known("Original Prusa i3 MK3", Role.PRINTER, is_native=False),
    )
    assert (port.role, port.is_native, port.something_else) == (Role.PRINTER, False, None)


def test_a_known_chip_is_named_and_has_the_driver_of_its_port(machine: Machine) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    (port,) = machine.ports()
    assert (port.description, port.driver) == ("CH340 serial adapter (1a86:7523)", "ch341-uart")
    assert port.stable_name == f"{machine.dev}/serial/by-id/usb-1a86_USB_Serial-if00-port0"


@pytest.mark.parametrize(
    ("usb", "description"),
    [
        (STM32, "STM32 board: STM32 Virtual ComPort (0483:5740)"),
        (
            STM32 | {"product": "MARLIN_OCTOPUS CDC in FS Mode"},
            "Marlin board: MARLIN_OCTOPUS CDC in FS Mode (0483:5740)",
        ),
        ({"idVendor": "2c99", "idProduct": "000c"}, "Original Prusa MINI (2c99:000c)"),
        (
            PRUSA | {"idProduct": "000c", "product": "Original Prusa MINI - CDC"},
            "Original Prusa MINI - CDC (2c99:000c)",
        ),
        ({"idVendor": "abcd", "idProduct": "0001", "product": "Thing"}, "Thing (abcd:0001)"),
        ({"idVendor": "abcd", "idProduct": "0001"}, "USB serial device (abcd:0001)"),
    ],
)
def test_a_description_has_what_is_known_and_what_the_device_says(
    machine: Machine, usb: dict[str, str], description: str
) -> None:
    machine.add_acm("ttyACM0", "1-4", **usb)
    (port,) = machine.ports()
    assert port.description == description


def test_what_is_known_to_be_no_printer_is_told_in_words(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-1", **CONBEE)
    machine.add_acm("ttyACM1", "1-2", idVendor="0658", idProduct="0200")
    machine.add_usb("ttyUSB0", "1-3", driver="option1", idVendor="abcd", idProduct="0001", product="LTE")
    ports = machine.ports()
    assert [port.something_else for port in ports] == [
        "a Zigbee stick (ConBee II)",
        "a Z-Wave stick",
        "a modem (LTE)",
    ]
    assert {port.role for port in ports} == {Role.OTHER}


def test_the_likeliest_printers_come_first_and_equals_keep_their_order(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-1", **CONBEE)
    machine.add_usb("ttyUSB0", "1-2", **CH340)
    machine.add_usb("ttyUSB1", "1-3", **CH340)
    machine.add_uart("ttyAMA0", "amba", "uart-pl011", type="32")
    machine.add_acm("ttyACM1", "1-4", **STM32)
    machine.add_acm("ttyACM2", "1-5", **PRUSA)
    names = [port.path.rpartition("/")[2] for port in by_likelihood(machine.ports())]
    assert names == ["ttyACM2", "ttyACM1", "ttyUSB0", "ttyUSB1", "ttyAMA0", "ttyACM0"]


def test_an_added_link_is_known_for_what_it_leads_to(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-1", **STM32)
    link = machine.link(".", "printer", "ttyACM0")
    _, added = machine.ports(added=[link])
    assert (added.role, added.is_native) == (Role.NATIVE, True)


@pytest.mark.parametrize("type_", ["4", "32"])
def test_a_uart_of_the_board_names_its_driver(machine: Machine, type_: str) -> None:
    machine.add_uart_of_linux_6_10("ttyS0", type=type_, console="N")
    machine.add_uart("ttyAMA0", "amba", "uart-pl011", type=type_)
    assert [(port.kind, port.driver) for port in machine.ports()] == [("uart", "uart-pl011"), ("uart", "serial")]


def test_the_uart_that_the_kernel_logs_to_is_no_port_for_a_printer(machine: Machine) -> None:
    machine.add_uart_of_linux_6_10("ttyS0", type="4", console="Y")
    machine.add_uart("ttyS1", "pnp", "serial", type="4", console="N")
    assert [port.kind for port in machine.ports()] == ["uart"]
    assert [port.kind for port in machine.ports(consoles=True)] == ["uart", "console"]


def test_a_port_that_goes_while_we_look_is_left_out(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    (machine.sys / "devices/pci0000:00/usb1/1-4/idVendor").unlink()
    assert machine.names() == []


def test_no_sysfs_at_all_leaves_the_added_ports_and_the_virtual_one(tmp_path: Path) -> None:
    ports = PortList(added=["socket://printer:23"], sys_root=tmp_path, dev_root=tmp_path).look()
    assert [(port.path, port.kind) for port in ports] == [("socket://printer:23", "url"), ("VIRTUAL", "virtual")]


def test_udevs_own_links_name_the_port(machine: Machine) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    by_id = machine.link("serial/by-id", "usb-as-udev-says-if00-port0", "ttyUSB0")
    by_path = machine.link("serial/by-path", "platform-xhci-usb-0:1:1.0-port0", "ttyUSB0")
    (port,) = machine.ports()
    assert (port.stable_name, port.by_path) == (by_id, by_path)


def test_a_saved_name_finds_the_device_after_renumbering(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    (before,) = machine.ports()
    saved = stable(before, [before])
    moved = Machine(machine.dev.parent / "later")
    moved.add_usb("ttyUSB0", "1-1", **CH340)
    moved.add_acm("ttyACM1", "1-2", **PRUSA)
    found = find(moved.ports(), saved.replace(str(machine.dev), str(moved.dev)))
    assert found is not None
    assert found.path == f"{moved.dev}/ttyACM1"


def test_a_port_is_found_by_path_and_by_any_link(machine: Machine) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    by_id = machine.link("serial/by-id", "usb-1a86_USB_Serial-if00-port0", "ttyUSB0")
    by_path = machine.link("serial/by-path", "platform-xhci-usb-0:1:1.0-port0", "ttyUSB0")
    mine = machine.link(".", "printer", "ttyUSB0")
    ports = machine.ports()
    assert all(find(ports, name) is ports[0] for name in (ports[0].path, by_id, by_path, mine))


@pytest.mark.parametrize("name", ["", "AUTO", "/dev/nothing", "/dev/\0", "/\ud800", "/" + "x" * 10_000, "socket://x"])
def test_a_name_that_is_no_port_finds_none(machine: Machine, name: str) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    machine.add_uart("ttyS1", "pnp", "serial", type="4")
    assert find(machine.ports(virtual=True), name) is None


def test_a_saved_serial_number_finds_the_adapter_after_renumbering(machine: Machine) -> None:
    ftdi = {"idVendor": "0403", "idProduct": "6001", "manufacturer": "FTDI", "product": "FT232R USB UART"}
    machine.add_usb("ttyUSB0", "1-1", driver="ftdi_sio", **ftdi, serial="A50285BI")
    (before,) = machine.ports()
    saved = stable(before, [before])
    assert saved == f"{machine.dev}/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
    moved = Machine(machine.dev.parent / "later")
    moved.add_usb("ttyUSB0", "1-1", driver="ftdi_sio", **ftdi, serial="AB0CDEFG")
    moved.add_usb("ttyUSB1", "1-3", driver="ftdi_sio", **ftdi, serial="A50285BI")
    found = find(moved.ports(), saved.replace(str(machine.dev), str(moved.dev)))
    assert found is not None
    assert found.path == f"{moved.dev}/ttyUSB1"


def test_twins_that_have_swapped_their_names_are_told_apart_by_their_places(machine: Machine) -> None:
    places = ("platform-xhci-usb-0:1:1.0-port0", "platform-xhci-usb-0:2:1.0-port0")
    for number, place in enumerate(places):
        machine.add_usb(f"ttyUSB{number}", f"1-{number + 1}", **CH340)
        machine.link("serial/by-path", place, f"ttyUSB{number}")
    ports = machine.ports()
    saved = [stable(port, ports) for port in ports]
    later = Machine(machine.dev.parent / "later")
    for number, place in enumerate(reversed(places)):
        later.add_usb(f"ttyUSB{number}", f"1-{2 - number}", **CH340)
        later.link("serial/by-path", place, f"ttyUSB{number}")
    found = [find(later.ports(), name.replace(str(machine.dev), str(later.dev))) for name in saved]
    assert [port and port.path for port in found] == [f"{later.dev}/ttyUSB1", f"{later.dev}/ttyUSB0"]


@pytest.mark.parametrize("name", ["usb:2c99:0002", "USB:2C99:0002", "usb:2c99:0002:CZPX4720X004XK56789"])
def test_a_port_is_found_by_its_usb_ids(machine: Machine, name: str) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    link = machine.link(".", "printer", "ttyACM0")
    found = find(machine.ports(added=[link]), name)
    assert found is not None
    assert found.path == f"{machine.dev}/ttyACM0"


@pytest.mark.parametrize(
    "name", ["usb:1a86:7523", "usb:2c99:0002:", "usb:2c99:0002:other", "usb:2c99", "usb:02c99:0002", "usb:ttyACM0"]
)
def test_usb_ids_that_fit_none_or_several_find_none(machine: Machine, name: str) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    machine.add_usb("ttyUSB1", "1-2", **CH340)
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    assert find(machine.ports(), name) is None


def test_a_serial_number_tells_twins_apart_by_usb_ids(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-1", **PRUSA)
    machine.add_acm("ttyACM1", "1-2", **(PRUSA | {"serial": "CZPX:0002"}))
    ports = machine.ports()
    assert find(ports, "usb:2c99:0002") is None
    assert find(ports, "usb:2c99:0002:CZPX:0002") is ports[1]


def test_twins_without_serial_number_are_saved_by_their_place(machine: Machine) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    machine.add_usb("ttyUSB1", "1-2", **CH340)
    machine.link("serial/by-id", "usb-1a86_USB_Serial-if00-port0", "ttyUSB1")
    place = machine.link("serial/by-path", "platform-xhci-usb-0:2:1.0-port0", "ttyUSB1")
    ports = machine.ports()
    assert [stable(port, ports) for port in ports] == [f"{machine.dev}/ttyUSB0", place]
    assert find(ports, place) is ports[1]


def test_the_link_of_udev_decides_between_twins(machine: Machine) -> None:
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    machine.add_usb("ttyUSB1", "1-2", **CH340)
    by_id = machine.link("serial/by-id", "usb-1a86_USB_Serial-if00-port0", "ttyUSB1")
    ports = machine.ports()
    assert find(ports, by_id) is ports[1]


def test_added_ports_keep_the_name_that_they_were_given(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    link = machine.link(".", "printer", "ttyACM0")
    plugged, added = machine.ports(added=[link, f"{machine.dev}/ttyACM0", f"{machine.dev}/absent"])
    assert (added.path, added.device, added.kind) == (link, plugged.path, "added")
    assert added.description == "Original Prusa i3 MK3 (2c99:0002)"
    assert stable(added, [plugged, added]) == link


def test_globs_are_expanded_in_natural_order_and_urls_are_always_there(machine: Machine, tmp_path: Path) -> None:
    for number in (10, 9):
        (tmp_path / f"pty{number}").touch()
    (tmp_path / "pty11").symlink_to(tmp_path / "gone")
    ports = machine.ports(added=[f"{tmp_path}/pty*", "rfc2217://host:2217"], virtual=True)
    assert [port.path for port in ports] == [
        f"{tmp_path}/pty9",
        f"{tmp_path}/pty10",
        "rfc2217://host:2217",
        "VIRTUAL",
    ]


def test_a_pseudo_terminal_says_that_it_is_one(machine: Machine, tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        link = tmp_path / "printer"
        link.symlink_to(os.ttyname(slave))
        (port,) = machine.ports(added=[str(link)])
        assert (port.path, port.description) == (str(link), "pseudo-terminal")
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("pattern", ["*/ttyACM?", "*/by-id/usb-Prusa*"])
def test_ignored_ports_are_left_out_by_path_and_by_stable_name(machine: Machine, pattern: str) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    machine.add_usb("ttyUSB0", "1-1", **CH340)
    assert machine.names(ignored=[pattern]) == ["ttyUSB0"]


def test_an_ignored_device_cannot_come_in_by_a_link(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    link = machine.link(".", "printer", "ttyACM0")
    assert machine.names(added=[link], ignored=["*/ttyACM0"]) == []


def test_a_list_is_looked_at_again_after_a_quarter_of_a_second(machine: Machine) -> None:
    ports = machine.port_list()
    assert ports.current(100.0) == ()
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    assert ports.current(100.2) == ()
    assert len(ports.current(100.25)) == 1


def test_added_ports_are_separated_by_commas() -> None:
    assert parse_added(" /dev/ttyS5, socket://a:1 ,,/tmp/*") == ["/dev/ttyS5", "socket://a:1", "/tmp/*"]
    assert parse_added("") == []


def test_the_json_list_has_plain_values(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    first, last = as_json(machine.ports(virtual=True))
    assert (first["vendor_id"], first["product_id"], first["holder"]) == ("2c99", "0002", None)
    assert (first["role"], first["is_native"]) == ("printer", False)
    assert (last["path"], last["vendor_id"], last["role"]) == ("VIRTUAL", None, None)
    assert json.loads(json.dumps([first, last])) == [first, last]


def test_the_json_list_and_the_table_name_the_holder(machine: Machine) -> None:
    master, slave = os.openpty()
    try:
        ports = machine.ports(added=[os.ttyname(slave)])
        with subprocess.Popen(["sleep", "60"], stdin=slave) as holder:
            assert as_json(ports)[0]["holder"] == {"pid": holder.pid, "name": "sleep"}
            assert f"sleep ({holder.pid})" in table(ports)
            holder.kill()
        assert as_json(ports)[0]["holder"] is None
    finally:
        os.close(master)
        os.close(slave)


def test_the_table_has_a_line_for_each_port(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **PRUSA)
    head, first, last = table(machine.ports(virtual=True)).splitlines()
    assert head.split()[:3] == ["PORT", "WHAT", "USB"]
    assert first.split("  ")[0] == f"{machine.dev}/ttyACM0"
    assert "2c99:0002" in first
    assert "  printer  " in first
    assert last.startswith("VIRTUAL")


def test_a_device_cannot_steer_the_terminal_with_its_name(machine: Machine) -> None:
    machine.add_acm("ttyACM0", "1-4", **(PRUSA | {"product": "evil\x1b[2J"}))
    assert "\x1b" not in table(machine.ports())


def test_a_look_is_quick(machine: Machine) -> None:
    for number in range(4):
        machine.add_usb(f"ttyUSB{number}", f"1-{number + 1}", **CH340)
    ports = machine.port_list()
    costs = []
    for _ in range(20):
        start = time.perf_counter()
        ports.look()
        costs.append(time.perf_counter() - start)
    assert min(costs) < 0.02, "ten times what it takes"
