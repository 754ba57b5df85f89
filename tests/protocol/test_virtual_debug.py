"""`!!DEBUG:` commands: faults on demand."""

import pytest

from limpet.protocol.virtual.debug import ACTIONS
from tests.protocol.virtual_host import Host


def test_debug_commands_are_answered_and_not_recorded():
    host = Host()
    assert host.send("!!DEBUG:send hello") == ["hello", "ok"]
    assert host.numbered("!!DEBUG:send hello") == ["hello", "ok"]
    assert list(host.printer.accepted) == []


@pytest.mark.parametrize(
    "what", ["nonsense", "sleep", "sleep x", "sleep 1e9", "sleep -1", "set_ambient nan", "resend_ratio x"]
)
def test_a_wrong_debug_command_is_told(what):
    answer = Host().send(f"!!DEBUG:{what}")
    assert answer[0].startswith("echo:DEBUG ")
    assert answer[-1] == "ok"


def test_no_debug_command_raises():
    for what in ACTIONS:
        for arguments in ("", "1", "G4 2", "x y z"):
            host = Host()
            host.send(f"!!DEBUG:{what} {arguments}")
            host.wait(5.0)


@pytest.mark.parametrize("what", ["lose_ok", "dont_answer"])
def test_an_ok_is_lost(what):
    host = Host()
    assert host.send(f"!!DEBUG:{what}", "M117", "M117") == ["ok"] * 2


def test_an_ok_is_doubled_or_another_one():
    assert Host().send("!!DEBUG:double_ok", "M117") == ["ok", "ok", "ok"]
    assert Host().send("!!DEBUG:prepare_ok okay then", "M117") == ["okay then", "ok"]


def test_going_awol_ends_with_a_reset():
    host = Host(wait=True)
    assert host.send("!!DEBUG:go_awol", "M105") == []
    assert host.wait(60.0) == []
    host.printer.reset(host.now)
    assert host.send("M117") == ["ok"]


def test_the_connection_drops():
    host = Host()
    assert host.send("!!DEBUG:drop_connection") == []
    assert host.printer.gone


def test_a_reset_says_the_banner_and_no_ok():
    host = Host(banner=True, banner_lines=("start",))
    host.read()
    assert host.send("!!DEBUG:reset") == ["start"]
    slow = Host(boot_time=1.0)
    slow.wait(1.0)
    assert slow.send("!!DEBUG:reset", "M105") == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("trigger_resend_lineno", "Error:Line Number is not"),
        ("trigger_resend_checksum", "Error:checksum mismatch"),
        ("trigger_missing_checksum", "Error:No Checksum"),
        ("trigger_missing_lineno", "Error:No Line Number"),
    ],
)
def test_the_next_numbered_line_is_refused_once(what, text):
    host = Host()
    host.send(f"!!DEBUG:{what}")
    assert host.numbered("M117")[0].startswith(text)
    assert host.numbered("M117") == ["ok"]


def test_the_next_numbered_line_is_refused_without_a_word():
    host = Host()
    host.send("!!DEBUG:trigger_resend_timeout")
    assert host.numbered("M117") == []


def test_the_last_line_is_asked_for_without_end():
    host = Host()
    host.send("!!DEBUG:rerequest_last")
    for _ in range(20):
        assert "Resend: 1" in host.numbered("M117")


def test_the_resend_ratio_can_be_set():
    host = Host()
    host.send("!!DEBUG:resend_ratio 100")
    assert "Resend: 1" in host.numbered("M117")
    host.send("!!DEBUG:resend_ratio 0")
    assert host.numbered("M117") == ["ok"]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("trigger_fatal_error_marlin", "Error:Thermal Runaway"),
        ("mintemp_error", "Error:MINTEMP"),
        ("maxtemp_error", "Error:MAXTEMP"),
    ],
)
def test_fatal_errors_halt(what, text):
    host = Host()
    answer = host.send(f"!!DEBUG:{what}", "M105")
    assert answer[0].startswith(text)
    assert answer[1:] == ["Error:Printer halted. kill() called!"]


def test_a_fatal_error_of_repetier_ends_with_m999():
    host = Host()
    assert host.send("!!DEBUG:trigger_fatal_error_repetier")[0].startswith("fatal:Heater")
    assert host.send("M105")[0].startswith("fatal:Heater")
    assert host.send("M999", "M105")[-1].startswith("ok T:")


def test_it_sleeps():
    host = Host()
    assert host.send("!!DEBUG:sleep 10", "M117") == ["ok"]
    assert host.wait(9.9) == []
    assert host.wait(0.1) == ["ok"]


def test_it_sleeps_after_a_command():
    host = Host()
    host.send("!!DEBUG:sleep_after M117 5")
    for _ in range(2):
        assert host.send("M117") == []
        assert host.wait(4.9) == []
        assert host.wait(0.1) == ["ok"]
    host.send("!!DEBUG:sleep_after M117 0", "!!DEBUG:sleep_after_next M117 5")
    assert host.send("M117") == []
    assert host.wait(5.0) == ["ok"]
    assert host.send("M117") == ["ok"]


def test_unbusy_ends_any_work():
    host = Host()
    host.send("G4 S1000")
    assert host.send("!!DEBUG:unbusy") == ["ok", "ok"]


def test_the_room_gets_warmer():
    host = Host(cooling_time=1.0, heating_time=1.0)
    host.send("!!DEBUG:set_ambient 30")
    host.wait(60.0)
    assert "T:30.00" in host.send("M105")[0]


@pytest.mark.parametrize("action", ["pause", "resume", "disconnect", "custom notification hi"])
def test_actions(action):
    assert Host().send(f"!!DEBUG:action_{action}")[0] == f"//action:{action.removeprefix('custom ')}"


def test_somebody_at_the_printer_prints_from_the_card():
    host = Host(planner=1)
    assert "File selected" in host.send("!!DEBUG:select_sd SQUARE.GCO")
    host.send("!!DEBUG:start_sd")
    heard = host.send("M27") + host.wait(3.5)
    assert any(line.startswith("SD printing byte") for line in heard)
    host.send("!!DEBUG:cancel_sd", "M27")
    assert "Not SD printing" in host.wait(1.0)


def test_an_error_of_marlin_1_0_is_two_lines_and_ends_with_m999():
    host = Host()
    host.send("M104 S200")
    answer = host.send("!!DEBUG:trigger_split_error")
    assert answer[:2] == ["Error:0", ": Extruder switched off. MAXTEMP triggered !"]
    assert host.send("G1 X1") == [answer[2], "ok"]
    assert host.send("M105")[0].startswith("ok T:21.30 /0.00")
    assert host.send("M999", "G1 X1") == ["ok", "ok"]


def test_klipper_loses_its_microcontroller_and_finds_it_again():
    host = Host(firmware="klipper")
    assert host.send("!!DEBUG:toggle_klipper_connection") == ["// Klipper state: Disconnect", "ok"]
    assert host.send("G1 X1") == ["!! Lost communication with MCU 'mcu'", "ok"]
    assert host.send("M105") == ["ok B:21.3 /0.0 T0:21.3 /0.0"]
    assert host.send("!!DEBUG:toggle_klipper_connection") == ["// Klipper state: Ready", "ok"]
    assert host.send("G1 X1") == ["ok"]
