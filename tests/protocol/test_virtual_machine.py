"""Heaters, moves, waiting, busy, and the card."""

import pytest

from tests.protocol.virtual_host import Host


def temperature(host, name="T"):
    report = host.send("M105")[0]
    return float(report.split(f"{name}:")[1].split()[0])


def test_a_heater_nears_its_target_and_cools_down_again():
    host = Host(heating_time=4.0, cooling_time=10.0)
    host.send("M104 S200")
    seen = [temperature(host)]
    for _ in range(5):
        host.wait(4.0)
        seen.append(temperature(host))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1] > 195) == (21.3, True)
    host.send("M104 S0")
    host.wait(100.0)
    assert temperature(host) == pytest.approx(21.3, abs=0.1)


def test_m109_reports_without_ok_until_the_target_is_reached():
    host = Host(busy=False)
    assert host.send("M109 S50") == [" T:21.30 /50.00 B:21.30 /0.00 @:127 B@:0 W:?"]
    heard = host.wait(60.0)
    assert heard[-1] == "ok"
    assert all(line.endswith("W:?") for line in heard[:-1])
    assert len(heard) > 5
    assert host.send("M109 S40") == ["ok"]
    assert host.send("M109 R40") != ["ok"]


@pytest.mark.parametrize(("command", "name"), [("M190 S60", "B"), ("M191 S40", "C")])
def test_bed_and_chamber_are_waited_for(command, name):
    host = Host(chamber=True)
    host.send(command)
    assert host.wait(200.0)[-1] == "ok"
    assert temperature(host, name) == pytest.approx(float(command.split("S")[1]), abs=1.1)


def test_without_a_bed_there_is_nothing_to_wait_for():
    host = Host(bed=False)
    assert host.send("M190 S60") == ["ok"]
    assert "B:" not in host.send("M105")[0]


def test_m108_ends_the_waiting():
    host = Host()
    host.send("M109 S250")
    assert host.send("M108") == ["ok", "ok"]


def test_m108_does_not_end_homing():
    host = Host()
    host.send("G28")
    assert host.send("M108") == []
    assert host.wait(10.0)[-2:] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("style", "report"),
    [
        ("marlin", "T:21.30 /0.00 B:21.30 /0.00 T0:21.30 /0.00 T1:21.30 /0.00 @:0 B@:0 @0:0 @1:0"),
        ("prusa", "T:21.3 /0.0 B:21.3 /0.0 T0:21.3 /0.0 T1:21.3 /0.0 @:0 B@:0 @0:0 @1:0 P:39.4 A:37.9"),
        ("repetier", "T:21.30 /0 B:21.30 /0 T0:21.30 /0 T1:21.30 /0 @:0 B@:0 @0:0 @1:0"),
        ("klipper", "B:21.3 /0.0 T0:21.3 /0.0 T1:21.3 /0.0"),
        ("smoothie", "T:21.3 /0.0 @0 T0:21.3 /0.0 @0 T1:21.3 /0.0 @0 B:21.3 /0.0 @0"),
        ("reprapfirmware", "T:21.3 /0.0 T0:21.3 /0.0 T1:21.3 /0.0 B:21.3 /0.0"),
        ("teacup", "T:21.3/0.0 B:21.3/0.0"),
    ],
)
def test_styles_of_temperature_reports(style, report):
    assert Host(extruders=2, temperature_style=style).send("M105") == [f"ok {report}"]


def test_targets_as_repetier_once_told_them():
    host = Host(repetier_targets=True)
    host.send("M104 S99")
    assert host.send("M105") == ["ok T:21.30 B:21.30", "TargetExtr0:99", "TargetBed:0"]


def test_nan_ambient_and_a_shared_nozzle():
    assert Host(nan=True).send("M105")[0].startswith("ok T:nan /0.00")
    assert temperature(Host(ambient=-5.0)) == -5.0
    host = Host(extruders=2, shared_nozzle=True, instant=True)
    host.send("M104 T1 S100")
    assert (temperature(host, "T0"), temperature(host, "T1")) == (100.0, 100.0)


def test_temperatures_position_and_card_are_reported_unasked():
    host = Host()
    host.send("M155 S2", "M154 S5", "M27 S10")
    heard = host.wait(10.0)
    assert sum(line.startswith(" T:") for line in heard) == 5
    assert sum(line.startswith("X:0.00") for line in heard) == 2
    assert sum(line == "Not SD printing" for line in heard) == 1
    host.send("M155 S0", "M154 S0", "M27 S0")
    assert host.wait(60.0) == []
    assert host.printer.deadline is None
    assert "Unknown command" in Host(autoreport=False).send("M155 S1")[0]


def test_moves_take_their_time_and_the_planner_has_an_end():
    host = Host(planner=3, busy=False)
    host.send("G1 F600")
    assert [host.send(f"G1 X{10 * number}") for number in range(1, 5)] == [["ok"], ["ok"], ["ok"], []]
    assert host.wait(0.99) == []
    assert host.wait(0.01) == ["ok"]
    assert host.send("M400") == []
    assert host.wait(2.9) == []
    assert host.wait(0.1) == ["ok"]


def test_speed_factor_and_m220_shorten_moves():
    host = Host(speed_factor=10.0)
    host.send("M220 S200", "G1 X100 F600")
    host.send("M400")
    assert host.wait(0.49) == []
    assert host.wait(0.02) == ["ok"]


def test_instant_makes_everything_immediate():
    host = Host(instant=True)
    answer = host.send("G28", "G1 X100 F1", "G4 S100", "M109 S200", "M400", "M105")
    assert [line[:2] for line in answer] == ["X:", "ok", "ok", "ok", "ok", "ok", "ok"]
    assert "T:200.00 /200.00" in answer[-1]


def test_busy_is_said_while_it_works():
    host = Host()
    host.send("G4 S5")
    assert host.wait(10.0) == ["echo:busy: processing", "echo:busy: processing", "ok"]
    host.send("M113 S1", "G4 S2.5")
    assert host.wait(2.4) == ["echo:busy: processing"] * 2
    host = Host(busy=False)
    host.send("G4 S5")
    assert host.wait(10.0) == ["ok"]


def test_homing_takes_time_and_ends_at_zero():
    host = Host(homing_time=3.0, instant=False)
    host.send("G28")
    assert host.wait(2.9) == ["echo:busy: processing"]
    assert host.wait(0.1) == ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0", "ok"]


def test_m600_waits_for_the_user():
    host = Host(prompts=True)
    assert host.send("M600")[:2] == ["//action:paused", "//action:prompt_end"]
    assert host.wait(4.0) == ["echo:busy: paused for user"] * 2
    assert host.send("M876 S0") == ["//action:prompt_end", "//action:resumed", "ok", "ok"]
    assert "Cap:PROMPT_SUPPORT:1" in host.send("M115")


def test_without_an_emergency_parser_a_full_queue_is_deaf():
    host = Host()
    host.send("M109 S250")
    assert host.send(*["M117"] * 3, "M112") == []


def test_an_emergency_parser_listens_at_the_door():
    host = Host(emergency_parser=True)
    host.send("M109 S250")
    assert host.send(*["M117"] * 3, "N9 M112*36")[-1] == "Error:Printer halted. kill() called!"
    host = Host(emergency_parser=True)
    host.send("G1 F60", "G1 X1000", "M400", "M117", "M117", "M117")
    assert host.send("M410") == ["ok"] * 5


def test_m410_forgets_the_moves():
    host = Host()
    host.send("G1 X1000 F60", "M400")
    assert host.send("M410") == ["ok", "ok"]


def test_the_card_lists_its_files():
    host = Host()
    assert host.send("M20") == [
        "Begin file list",
        "SQUARE.GCO 74",
        "CALIBR~1.GCO 1480",
        "SUB/TINY.GCO 17",
        "End file list",
        "ok",
    ]
    assert host.send("M20 L T")[2] == "CALIBR~1.GCO 1480 0x5D764408 calibration cube v2.gcode"
    assert host.send("M33 calibr~1.gco") == ["/calibration cube v2.gcode", "ok"]
    odd = Host(sd_sizes=False, sd_long_names=True, sd_quoted_names=True, sd_lower_case=True)
    assert odd.send("M20")[2] == 'calibr~1.gco "calibration cube v2.gcode"'


def test_a_file_is_printed_from_the_card():
    host = Host(planner=1)
    assert host.send("M23 sub/tiny.gco") == [
        "echo:Now fresh file: sub/tiny.gco",
        "File opened: SUB/TINY.GCO Size: 17",
        "File selected",
        "ok",
    ]
    assert host.send("M23 square.gco")[1] == "File opened: SQUARE.GCO Size: 74"
    assert host.send("M27 C") == ["Current file: SQUARE.GCO", "ok"]
    host.send("M24")
    host.wait(1.0)
    assert host.send("M27") == []
    heard = host.wait(60.0)
    assert "SD printing byte 4/74" in heard
    assert heard[-1] == "Done printing file"
    assert host.send("M27") == ["Not SD printing", "ok"]
    assert int(host.send("M31")[0].split(":")[-1].strip("s ")) >= 60
    assert "G28" not in host.printer.accepted


def test_a_print_from_the_card_is_paused_moved_and_ended():
    host = Host(planner=1)
    host.send("M23 SQUARE.GCO", "M26 S37", "M24")
    host.wait(0.1)
    host.send("M25")
    host.wait(5.0)
    stopped_at = host.printer.card.position
    assert 37 < stopped_at < 74
    host.send("M24", "M27 S1")
    assert f"SD printing byte {stopped_at}/74" not in host.wait(1.0)
    host.send("M524")
    assert "Not SD printing" in host.wait(1.0)


def test_a_file_is_written_listed_and_deleted():
    host = Host()
    assert host.send("M28 a new file.gcode")[1:] == ["Writing to file: a new file.gcode", "ok"]
    assert "No Checksum" in host.send("G1 X1")[0]
    assert host.numbered("G1 X1") == ["ok"]
    assert host.send("M29") == ["Done saving file.", "ok"]
    assert host.printer.card.files["ANEWFILE.GCO"] == b"G1 X1\n"
    assert "G1 X1" not in host.printer.accepted
    assert "ANEWFILE.GCO 6 a new file.gcode" in host.send("M20 L")
    assert host.send("M30 anewfile.gco") == ["File deleted:anewfile.gco", "ok"]
    assert host.send("M30 anewfile.gco") == ["Deletion failed, File: anewfile.gco.", "ok"]


def test_long_names_get_short_ones_of_their_own():
    host = Host()
    for name in ("a long name 1.gcode", "a long name 2.gcode", "plain"):
        host.send(f"M28 {name}")
        host.send("M29")
    assert set(host.printer.card.files) >= {"ALONGN~1.GCO", "ALONGN~2.GCO", "PLAIN.GCO"}


def test_ways_to_get_the_card_wrong():
    host = Host(broken_m29=True, glued_file_deleted=True)
    host.send("M28 X.GCO")
    assert host.send("M29") == ["Done saving file."]
    assert host.send("M30 X.GCO") == ["File deleted:X.GCOok"]


def test_no_card_no_files():
    host = Host()
    assert host.send("M22") == ["echo:SD card released", "ok"]
    assert host.send("M20") == ["echo:No media", "ok"]
    assert host.send("M23 SQUARE.GCO")[1] == "open failed, File: SQUARE.GCO."
    assert host.send("M21") == ["echo:SD card ok", "ok"]
    assert Host(sd_card=False).send("M21") == ["echo:No SD card", "ok"]


def test_the_card_is_full_at_some_point():
    host = Host()
    host.printer.card.files["BIG.GCO"] = bytearray(4 * 1024 * 1024 - 2000)
    host.send("M28 X.GCO")
    answers = [host.numbered("M117 " + "x" * 50)[0] for _ in range(20)]
    assert answers[0] == "ok"
    assert answers[-1] == "Error:error writing to file"


def test_m117_is_echoed_on_wish():
    assert Host(echo_m117=True).send("M117 hi") == ["echo:hi", "ok"]
