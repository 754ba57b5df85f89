"""Options for what printers do differently, each alone."""

import pytest

from tests.protocol.virtual_host import Host


def test_a_late_banner_comes_after_the_first_answers():
    host = Host(banner=True, banner_lines=("start", "Late 1.0"), late_banner=2.0)
    assert host.send("M117") == ["ok"]
    assert host.wait(1.9) == []
    assert host.wait(0.1) == ["start", "Late 1.0"]
    host.printer.reset(host.now)
    assert host.wait(2.0) == ["start", "Late 1.0"]


def test_unasked_lines_come_every_second():
    host = Host(chatter=("LCD status changed",), mmu=True)
    assert host.wait(2.0) == ["echo:MMU2:>Q0*ea.", "echo:MMU2:<X0 F0*87.", "LCD status changed"] * 2


def test_a_multi_material_unit_tells_how_it_feeds():
    answer = Host(mmu=True, extruders=5).send("T3")
    assert answer[0] == "echo:MMU2:Feeding to FINDA"
    assert answer[-2:] == ["echo:Active Extruder: 3", "ok"]


def test_m115_tells_the_area_and_other_capabilities():
    host = Host(m115_area=True, capability=("EEPROM:0", "MEATPACK:1"), eeprom=False)
    answer = host.send("M115")
    assert "Cap:EEPROM:0" in answer
    assert "Cap:EEPROM:1" not in answer
    assert answer[-3:] == [
        "Cap:MEATPACK:1",
        "area:{full:{min:{x:0.0000,y:0.0000,z:0.0000},max:{x:200.0000,y:200.0000,z:200.0000}},"
        "work:{min:{x:0.0000,y:0.0000,z:0.0000},max:{x:200.0000,y:200.0000,z:200.0000}}}",
        "ok",
    ]


def test_without_an_eeprom_its_commands_are_unknown():
    for code in ("M500", "M501", "M502", "M503"):
        assert Host(eeprom=False).send(code)[0] == f'echo:Unknown command: "{code}"'


def test_m112_can_be_without_effect():
    assert Host(m112=False).send("M112", "M117") == ["ok", "ok"]


@pytest.mark.parametrize(("bare_f", "answer"), [(True, ["ok"]), (False, ['echo:Unknown command: "F600"', "ok"])])
def test_a_bare_f_sets_the_speed(bare_f, answer):
    host = Host(bare_f=bare_f)
    assert host.send("F600") == answer
    assert (host.printer.machine.feedrate == 600) == bare_f


def test_a_pinned_extruder_has_always_the_same_temperature():
    host = Host(extruders=2, pinned_extruders=("1:180.5",))
    assert "T1:180.50 /0.00" in host.send("M105")[0]
    assert host.send("M109 T1 S250") == ["ok"]
    assert "T1:180.50 /250.00" in host.send("M105")[0]


def test_the_current_tool_is_left_out_where_all_are_listed():
    host = Host(extruders=2, current_tool_in_temperatures=False)
    assert host.send("M105") == ["ok B:21.30 /0.00 T0:21.30 /0.00 T1:21.30 /0.00 B@:0 @0:0 @1:0"]
    assert Host(current_tool_in_temperatures=False).send("M105")[0].startswith("ok T:21.30 ")


def test_reports_in_another_format():
    host = Host(m105_format="{name}={actual:.0f}/{target:.0f}", m114_format="P {X} {Y} {Z} {E} {x}")
    assert host.send("M105") == ["ok T=21/0 B=21/0 @:0 B@:0"]
    assert host.send("M114") == ["P 0.0 0.0 0.0 0.0 0", "ok"]
    host = Host(repetier_targets=True, m105_format_without_target="{name}={actual:.0f}")
    assert host.send("M105")[0] == "ok T=21 B=21"


@pytest.mark.parametrize(
    ("text", "lines", "answer"),
    [
        ("checksum:Err cs {last}", ("N1 M117*1",), "Err cs 0"),
        ("no_checksum:Err nocs", ("N1 M117",), "Err nocs"),
        ("line_number:Err {number} for {expected}", ("N5 M117*33",), "Err 5 for 1"),
        ("no_line_number:Err noln", ("!!DEBUG:trigger_missing_lineno", "N1 M117*37"), "Err noln"),
        ("maxtemp:Err hot", ("!!DEBUG:maxtemp_error",), "Err hot"),
        ("mintemp:Err cold", ("!!DEBUG:mintemp_error",), "Err cold"),
        ("unknown:What is {command}?", ("M12345",), "What is M12345?"),
    ],
)
def test_errors_in_other_words(text, lines, answer):
    host = Host(error_texts=(text,))
    assert answer in host.send(*lines)


def test_m109_stays_at_its_target_for_a_while():
    host = Host(residency_time=3.0, busy=False)
    host.send("M109 S50")
    heard = host.wait(60.0)
    left = [line.rpartition("W:")[2] for line in heard[:-1]]
    assert left[0] == "?"
    assert left[-4:] == ["?", "2", "1", "0"]
    assert heard[-1] == "ok"
    host.send("M109 S150")
    assert host.send("M108") == ["ok", "ok"]


def test_cold_filament_is_not_moved_unless_it_is_allowed():
    host = Host(prevent_cold_extrusion=True, instant=True)
    assert host.send("G1 X1 E1") == ["echo: cold extrusion prevented", "ok"]
    assert host.send("G1 X2") == ["ok"]
    assert host.printer.machine.position["E"] == 1.0
    assert host.send("M302 P1", "G1 E2") == ["ok", "ok"]
    assert host.send("M302 P0", "G1 E3")[1] == "echo: cold extrusion prevented"
    assert host.send("M302 S0", "G1 E4") == ["ok", "ok"]
    assert host.send("M302 S170", "M104 S200", "G1 E5") == ["ok", "ok", "ok"]


def test_what_is_not_extruded_takes_no_time():
    host = Host(prevent_cold_extrusion=True)
    assert host.send("G1 E100 F60", "M400") == ["echo: cold extrusion prevented", "ok", "ok"]
    assert host.send("M302 P1", "G1 E200", "M400") == ["ok", "ok"]


def test_probing_takes_its_time():
    host = Host(probing_time=5.0)
    host.send("G29")
    heard = host.wait(5.0)
    assert heard[:2] == ["echo:busy: processing"] * 2
    assert heard[2] == "Bilinear Leveling Grid:"
    assert heard[-1] == "ok"


def test_the_card_leaves_out_a_name_and_an_ok():
    host = Host(sd_name_in_opened=False, broken_m30=True)
    assert host.send("M23 SQUARE.GCO")[1] == "File opened: Size: 74"
    assert host.send("M30 SQUARE.GCO") == ["File deleted:SQUARE.GCO"]
    assert host.send("M30 SQUARE.GCO")[-1] == "ok"
