"""Manners of single firmwares, and of what is no printer at all."""

from itertools import count

import pytest

from limpet.protocol.events import SessionOpened
from limpet.protocol.virtual.firmware import IMPOSTORS, PRINTERS
from limpet.protocol.virtual_printer import VirtualPrinterOptions
from tests.protocol.virtual_host import Host
from tests.protocol.wire import Wire


@pytest.mark.parametrize("firmware", PRINTERS)
def test_a_session_knows_every_printer_for_one(firmware):
    wire = Wire(VirtualPrinterOptions(firmware=firmware))
    wire.run(until=lambda: bool(wire.seen(SessionOpened)), limit=15.0)
    assert wire.session.firmware.family.lower() == firmware


@pytest.mark.parametrize("firmware", IMPOSTORS)
def test_a_session_takes_no_impostor_for_a_printer(firmware):
    wire = Wire(VirtualPrinterOptions(firmware=firmware))
    wire.run_for(60.0)
    assert wire.seen(SessionOpened) == []


@pytest.mark.parametrize("firmware", PRINTERS)
def test_no_firmware_executes_a_line_twice_for_a_lost_ok(firmware):
    wire = Wire(VirtualPrinterOptions(firmware=firmware, instant=True, boot_time=0.0))
    wire.run(until=lambda: bool(wire.seen(SessionOpened)), limit=15.0)
    wire.printer.accepted.clear()
    heard = count()
    wire.to_host = lambda line: b"" if next(heard) % 7 == 0 else line
    wire.run_for(60.0, iter(moves := [f"G1 X{number}" for number in range(40)]))
    executed = [command for command in wire.printer.accepted if command in moves]
    assert executed
    assert executed == moves[: len(executed)]


def test_grbl_has_no_ok_for_what_it_does_not_know():
    host = Host(firmware="grbl", banner=True)
    assert host.read() == ["", "Grbl 1.1f ['$' for help]"]
    for line in ("M115", "M105", "N0 M110 N0*125", "M112", "G29", "T0", "FOO"):
        assert host.send(line) == ["error:20"], line
    assert host.send("", "G21", "; comment") == ["ok"] * 3


def test_a_sensor_only_talks():
    host = Host(firmware="sensor", banner=True)
    assert host.read() == ["Sensor node starting v1.2"]
    assert host.send("M115", "", "!!DEBUG:send x") == []
    assert host.wait(3.0) == ["ok T 21.3"] * 3
    assert list(host.printer.accepted) == []


def test_malyan_names_itself_in_its_own_way():
    host = Host(firmware="malyan")
    assert host.numbered("M115") == [
        "NAME. Malyan\tVER: 3.8\tMODEL: M200\tHW: HH02",
        "CLK:EXT BUILD: Aug 10 2017 09:53:33",
        "ok N1 P15 B15",
    ]


def test_repetier_skips_what_was_in_flight_behind_a_lost_line():
    host = Host(firmware="repetier")
    host.numbered("M117")
    assert host.send("N3 M117*39") == ["Error:expected line 2 got 3", "", "Resend:2", "ok"]
    assert host.send("N4 M117*32", "N5 M117*33") == ["skip 4", "ok", "skip 5", "ok"]
    assert host.numbered("M117") == ["ok 2"]
    assert host.send("N9 M117*45")[0] == "Error:expected line 3 got 9"


def test_repetier_restarts_on_m112():
    host = Host(firmware="repetier", banner=True)
    host.read()
    host.numbered("M104 S200")
    assert host.send("M112")[0] == "start"
    assert host.send("M105") == ["ok 0", "T:21.30 /0 B:21.30 /0 @:0 B@:0"]
    assert list(host.printer.accepted) == ["M104 S200", "M112", "M105"]


def test_repetier_echoes_when_it_is_debugged():
    host = Host(firmware="repetier", echo_lines=True)
    assert host.numbered("M117") == ["Got:N1 M117*37", "ok 1"]


def test_klipper_goes_on_talking_after_m112_and_comes_back_with_a_restart():
    host = Host(firmware="klipper")
    assert host.send("M112") == ["// Klipper state: Shutdown", "ok"]
    assert host.send("M105")[0].startswith("ok B:")
    assert host.send("G1 X1")[-2:] == ["!! Shutdown due to M112 command", "ok"]
    assert host.send("FIRMWARE_RESTART") == ["ok"]
    assert host.wait(2.0) == ["// Klipper state: Disconnect", "// Klipper state: Ready"]
    assert host.send("G1 X1") == ["ok"]
    assert "Unknown command" in Host().send("FIRMWARE_RESTART")[0]


def test_smoothie_asks_for_a_line_without_an_ok_and_takes_lines_without_checksum():
    host = Host(firmware="smoothie")
    assert host.send("N1 M105*1") == ["rs N1"]
    assert host.send("N1 M105")[0].startswith("ok T:")
    assert host.send("M12345") == ["ok"]


def test_smoothie_stops_with_exclamation_marks_until_m999():
    host = Host(firmware="smoothie")
    assert [line[:17] for line in host.send("M112")] == ["ok Emergency Stop"]
    assert host.send("G1 X1", "M105") == ["!!", "ok T:21.3 /0.0 @0 B:21.3 /0.0 @0"]
    assert host.send("M999")[0].startswith("WARNING: After HALT")
    assert host.send("G1 X1") == ["ok"]


def test_reprapfirmware_drops_a_damaged_line_without_a_word():
    host = Host(firmware="reprapfirmware")
    assert host.send("N1 M105*1") == []
    assert host.send("N7 M105*32") == ["ok T:21.3 /0.0 T0:21.3 /0.0 B:21.3 /0.0"]
    assert host.send("M12345") == ["Warning: M12345: Command is not supported", "ok"]


def test_prusa_tells_of_its_display():
    assert Host(firmware="prusa").send("M117 hi") == ["LCD status changed", "ok"]


def test_heating_is_reported_in_the_manner_of_the_firmware():
    assert Host(firmware="prusa").send("M109 S50") == ["T:21.3 E:0 W:?"]
    assert Host(firmware="klipper").send("M109 S50") == ["B:21.3 /0.0 T0:21.3 /50.0"]
    assert Host(firmware="repetier").send("M109 S50")[0] == "ok 0"
