"""What the virtual printer says of its own accord and on the usual commands."""

import random
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.protocol.commands import number_line
from limpet.protocol.virtual.firmware import PRINTERS
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions
from tests.protocol.virtual_host import Host

COLD = "T:21.30 /0.00 B:21.30 /0.00 @:0 B@:0"


def test_nothing_happens_before_it_is_turned_on():
    printer = VirtualPrinter()
    printer.receive_data(b"M105\n", 1.0)
    printer.handle_timer(1e9)
    assert (printer.deadline, printer.data_to_send()) == (None, b"")


def test_it_boots_in_its_time_and_is_deaf_until_then():
    host = Host(boot_time=5.0, banner=True)
    assert host.send("M105") == []
    assert host.printer.deadline == host.now + 5.0
    assert host.wait(4.9) == []
    assert host.wait(0.1)[0] == "start"
    assert host.send("M105") == [f"ok {COLD}"]


def test_blank_lines_and_noise_at_boot():
    host = Host(boot_time=1.0, banner=True, banner_lines=("start", "Hello"), blank_boot_lines=2, boot_noise=True)
    host.now += 1.0
    host.printer.handle_timer(host.now)
    assert host.printer.data_to_send() == b"\n\nstart\nHello\n\x80\n"


def test_every_option_has_a_simple_type_and_a_help_text():
    for field in fields(VirtualPrinterOptions):
        assert field.type in ("bool", "int", "float", "str", "tuple[str, ...]"), field.name
        assert field.metadata["help"], field.name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("firmware", "dos"),
        ("temperature_style", "kelvin"),
        ("extruders", 0),
        ("boot_time", -1.0),
        ("boot_time", float("nan")),
        ("planner", 0),
        ("ok_format", "ok {what}"),
        ("m115_format", "{0}"),
        ("simulated_errors", ("x:checksum",)),
        ("error_texts", ("checksum",)),
        ("error_texts", ("nonsense:text",)),
        ("error_texts", ("checksum:{what}",)),
        ("capability", ("EEPROM",)),
        ("capability", ("EEPROM:2",)),
        ("pinned_extruders", ("1:200",)),
        ("pinned_extruders", ("0:hot",)),
        ("m114_format", "X:{A}"),
        ("m105_format", "{name:d}"),
    ],
)
def test_a_wrong_option_is_named(option, value):
    with pytest.raises(ValueError, match=f"^{option}: "):
        VirtualPrinterOptions(**{option: value})


def test_m115_names_the_firmware_and_its_capabilities():
    first, *capabilities, ok = Host().send("M115")
    for part in ("FIRMWARE_NAME:Marlin", "MACHINE_TYPE:Limpet Virtual", "EXTRUDER_COUNT:1", "UUID:"):
        assert part in first
    assert "Cap:AUTOREPORT_TEMP:1" in capabilities
    assert ok == "ok"


def test_m115_as_options_want_it():
    host = Host(firmware_name="Odd 1", m115_format="NAME. {firmware_name}", capabilities=False)
    assert host.send("M115") == ["NAME. Odd 1", "ok"]
    assert "UUID" not in Host(uuid="").send("M115")[0]


def test_commands_without_visible_effect_are_just_ok():
    host = Host()
    for command in ("G21", "G90", "M82", "M106 S255", "M107", "M117 hello", "M220 S50", "M221 S90", "M84"):
        assert host.send(command) == ["ok"], command


@pytest.mark.parametrize("line", ["FOO", "m105", "M99999", "()"])
def test_an_unknown_command_is_echoed(line):
    assert Host().send(line) == [f'echo:Unknown command: "{line}"', "ok"]


def test_blank_lines_and_comments_are_not_answered():
    host = Host()
    assert host.send("", "\r", "  ", "; a comment", "M105 ; another") == [f"ok {COLD}"]
    assert list(host.printer.accepted) == ["M105"]


def test_carriage_return_and_newline_both_end_a_line():
    host = Host()
    host.printer.receive_data(b"M105\rM105\r\n", host.now)
    assert host.read() == [f"ok {COLD}"] * 2


def test_an_overlong_line_is_cut():
    host = Host()
    assert host.send("M118 " + "x" * 300) == ["x" * 90, "ok"]
    assert "No Checksum" in host.numbered("M117 " + "y" * 200)[0]


def test_m118_speaks_for_the_host():
    host = Host()
    assert host.send("M118 E1 hello") == ["echo:hello", "ok"]
    assert host.send("M118 A1 action:pause") == ["//action:pause", "ok"]


def test_m114_tells_where_it_is():
    host = Host(instant=True)
    host.send("G1 X10 Y20 F6000", "G91", "G1 X1.5 Z2", "G90", "M83", "G1 E2", "G1 E2", "G92 Y7")
    assert host.send("M114") == ["X:11.50 Y:7.00 Z:2.00 E:4.00 Count X:920 Y:560 Z:800", "ok"]
    host.send("G28 X")
    assert host.send("M114")[0].startswith("X:0.00 Y:7.00")
    host.send("G92")
    assert host.send("M114")[0].startswith("X:0.00 Y:0.00 Z:0.00 E:0.00")


def test_endstops_settings_and_tools():
    host = Host(extruders=2)
    assert host.send("M119")[:2] == ["Reporting endstop status", "x_min: TRIGGERED"]
    assert host.send("M500")[0].startswith("echo:Settings Stored")
    assert "echo:  G21 ; (mm)" in host.send("M503")
    assert len(host.send("M501")) > len(host.send("M502"))
    assert host.send("T1") == ["echo:Active Extruder: 1", "ok"]
    assert host.send("T2") == ["echo:T2 Invalid extruder", "ok"]


def test_m112_halts_until_reset():
    host = Host()
    assert host.send("M112") == ["Error:Printer halted. kill() called!"]
    assert host.send("M105", "M999") == []
    assert host.printer.deadline is None
    host.printer.reset(host.now)
    assert host.send("M105") == [f"ok {COLD}"]


def test_reset_in_mid_work_forgets_everything_but_the_card():
    host = Host(banner=True, banner_lines=("start",))
    host.read()
    host.numbered("G4 S100")
    host.send("M155 S1", "M104 S200", "N2 G1 X1")
    host.send("M28 new.gco", "M23 SQUARE.GCO")
    host.printer.receive_data(b"half a l", host.now)
    host.printer.reset(host.now)
    assert host.read() == ["start"]
    assert host.printer.deadline is None
    assert host.send("M105") == [f"ok {COLD}"]
    host.number = 0
    assert host.numbered("M27") == ["Not SD printing", "ok"]


def test_the_journal_is_bounded():
    host = Host(journal=3)
    for number in range(10):
        host.numbered(f"M117 {number}")
    assert list(host.printer.accepted) == ["M117 7", "M117 8", "M117 9"]


def test_unread_output_is_bounded():
    host = Host()
    for _ in range(3000):
        host.printer.receive_data(b"M115\n", host.now)
    assert 900_000 < len(host.printer.data_to_send()) <= 1_048_576


def test_latency_and_throttle_delay_what_it_says():
    host = Host(latency=0.5, throttle=0.25)
    assert host.send("M118 a", "M118 b") == []
    assert host.printer.deadline == host.now + 0.5
    assert host.wait(0.5) == ["a"]
    assert host.wait(0.75) == ["ok", "b", "ok"]


def test_wait_is_said_while_there_is_nothing_to_do():
    host = Host(wait=True, wait_interval=2.0)
    assert host.wait(4.0) == ["wait", "wait"]
    host.send("G4 S3")
    assert "wait" not in host.wait(3.0)


@pytest.mark.parametrize("baudrate", [9600, 250000])
def test_at_the_wrong_rate_both_hear_noise(baudrate):
    host = Host(baudrate=115200)
    host.printer.host_baudrate(baudrate)
    host.send(*["M105"] * 100)
    host.printer.receive_data(b"\n", host.now)
    host.printer.reset(host.now)
    assert "M105" not in host.printer.accepted
    host = Host(baudrate=115200, banner=True, boot_time=1.0)
    host.printer.host_baudrate(baudrate)
    host.now += 1.0
    host.printer.handle_timer(host.now)
    noise = host.printer.data_to_send()
    assert sum(byte > 127 for byte in noise) > len(noise) / 2
    host.printer.host_baudrate(115200)
    host.read()
    host.send("")
    assert host.send("M105")[-1] == f"ok {COLD}"


@pytest.mark.parametrize("firmware", PRINTERS)
def test_every_firmware_boots_and_answers(firmware):
    host = Host(firmware=firmware, banner=True)
    assert host.read() == list(PRINTERS[firmware].banner)
    answer = host.send("M105")
    assert any(line.startswith("ok") for line in answer)
    assert any("21.3" in line for line in answer)
    answer = host.send("M115")
    assert sum(line.split(" ")[0] == "ok" for line in answer) == 1
    assert any(PRINTERS[firmware].name in line for line in answer)
    assert sum(line.split(" ")[0] == "ok" for line in host.send("M114")) == 1
    assert len(host.send("M12345")) == (1 if firmware == "smoothie" else 2)


def test_repetier_says_ok_first_and_skips_what_it_had():
    host = Host(firmware="repetier")
    assert host.numbered("M105") == ["ok 1", "T:21.30 /0 B:21.30 /0 @:0 B@:0"]
    host.number = 0
    assert host.numbered("M105") == ["skip 1", "ok"]
    assert host.send("N9 M105*46") == ["Error:expected line 2 got 9", "", "Resend:2", "ok"]


def test_klipper_takes_any_number_and_checksum():
    assert Host(firmware="klipper").send("N9 M105*1") == ["ok B:21.3 /0.0 T0:21.3 /0.0"]


def test_teacup_checks_checksums_only():
    host = Host(firmware="teacup")
    assert host.send("N9 M105*46") == ["T:21.3/0.0 B:21.3/0.0", "ok"]
    assert host.send("N10 M105*1") == ["rs N10 Expected checksum 22", "ok"]
    assert host.send("N10 M105") == ["T:21.3/0.0 B:21.3/0.0", "ok"]
    assert host.send("M999") == ["E: Bad M-code 999", "ok"]


@given(st.lists(st.binary(max_size=200), max_size=20), st.booleans())
def test_nothing_that_comes_in_raises(pieces, emergency_parser):
    host = Host(emergency_parser=emergency_parser)
    for piece in pieces:
        host.printer.receive_data(piece, host.now)
        host.now += 0.5
        host.printer.handle_timer(host.now)


_WORDS = """
G0 G1 G4 G28 G92 M104 M109 M140 M20 M23 M24 M26 M27 M28 M29 M30 M33 M105 M110 M118 M155 M220 M511 M600 T1 X9 Z-1 S200
S1e9 E. F0 F1 P1 N5 N * ; SQUARE.GCO !!DEBUG:sleep !!DEBUG:reset !!DEBUG:send !!DEBUG:sleep_after nan -1 /
"""


@given(st.lists(st.lists(st.sampled_from(_WORDS.split()), max_size=5).map(" ".join), max_size=30))
def test_no_command_raises_or_spins(commands):
    host = Host(simulated_errors=("1:checksum",))
    for command in commands:
        host.numbered(command)
        host.send(command)
        host.wait(1.0)


def test_the_same_seed_gives_the_same_printer():
    def conversation(seed):
        host = Host(resend_ratio=30.0, seed=seed)
        return [host.numbered(f"M117 {number}") for number in range(50)]

    assert conversation(7) == conversation(7) != conversation(8)


def test_two_thousand_moves_a_byte_at_a_time_arrive_in_order():
    host = Host(instant=True)
    moves = [f"G1 X{number % 200} Y{number % 7} E{number / 10:.1f}" for number in range(2000)]
    for number, move in enumerate(moves, 1):
        for byte in number_line(number, move):
            host.printer.receive_data(bytes([byte]), host.now)
    assert list(host.printer.accepted) == moves
    assert host.read() == ["ok"] * 2000


def test_a_lossy_way_in_is_repaired_by_resends():
    noise = random.Random(3)
    host = Host(instant=True)
    commands = [f"M117 {number}" for number in range(500)]
    sent = 0
    while len(host.printer.accepted) < len(commands) and sent < 2000:
        sent += 1
        line = bytearray(number_line(len(host.printer.accepted) + 1, commands[len(host.printer.accepted)]))
        if noise.random() < 0.1:
            line[3] ^= 4
        host.printer.receive_data(bytes(line), host.now)
    assert [command for command in host.printer.accepted if command in commands] == commands
