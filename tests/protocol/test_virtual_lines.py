"""Numbers, checksums, buffers, and what goes wrong with lines and oks."""

import pytest

from limpet.protocol.commands import number_line
from tests.protocol.virtual_host import Host

LINE_NUMBER = "Error:Line Number is not Last Line Number+1, Last Line: {}"


def test_a_damaged_line_is_asked_for_again():
    host = Host()
    host.numbered("M117 a")
    assert host.send("N2 M117 b*1") == ["Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok"]
    assert host.numbered("M117 b") == ["ok"]
    assert list(host.printer.accepted) == ["M117 a", "M117 b"]


def test_a_lost_line_is_asked_for_again():
    host = Host()
    host.printer.receive_data(number_line(2, "M117 b"), host.now)
    assert host.read() == [LINE_NUMBER.format(0), "Resend: 1", "ok"]


def test_a_number_without_checksum_is_refused():
    assert Host().send("N1 M105") == ["Error:No Checksum with line number, Last Line: 0", "Resend: 1", "ok"]


def test_the_line_number_is_looked_at_before_the_checksum():
    assert Host().send("N5*12")[0] == LINE_NUMBER.format(0)


def test_lines_in_flight_are_thrown_away_with_a_refused_one():
    assert Host().send("N1 M117 a*0", "N2 M117 b*1", "M105") == [
        "Error:checksum mismatch, Last Line: 0",
        "Resend: 1",
        "ok",
    ]


@pytest.mark.parametrize("line", ["N0 M110 N41*73", "M110 N41", "N41 M110*3"])
def test_m110_sets_the_line_number(line):
    host = Host()
    number = line.split("*")[0]
    checksum = 0
    for byte in number.encode():
        checksum ^= byte
    host.send(f"{number}*{checksum}" if line.startswith("N") else line)
    host.number = 41
    assert host.numbered("M117") == ["ok"]


def test_an_unnumbered_line_may_carry_a_checksum():
    host = Host()
    assert host.send("M105*38")[0].startswith("ok T:")
    assert host.printer.accepted[-1] == "M105"


def test_force_checksum_refuses_bare_lines():
    host = Host(force_checksum=True)
    assert host.send("M105") == ["Error:No Checksum with line number, Last Line: 0", "Resend: 1", "ok"]
    assert host.numbered("M105")[0].startswith("ok")


def test_what_does_not_fit_in_the_receive_buffer_is_lost_silently():
    host = Host(rx_buffer=64)
    host.send("G4 S1")
    lines = [f"M117 {number:02}" for number in range(40)]
    host.send(*lines)
    host.wait(2.0)
    heard = [command for command in host.printer.accepted if command in lines]
    assert heard[:3] == lines[:3]
    assert 5 < len(heard) < 16


def test_a_large_receive_buffer_loses_nothing():
    host = Host(rx_buffer=0)
    host.send("G4 S1")
    host.send(*[f"M117 {number}" for number in range(500)])
    host.wait(2.0)
    assert len(host.printer.accepted) == 501


def test_an_idle_printer_takes_more_than_its_buffer_at_once():
    assert Host(rx_buffer=32).send(*["M117 x"] * 100) == ["ok"] * 100


@pytest.mark.parametrize(("options", "oks"), [({"broken_resend": True}, 0), ({}, 1), ({"ok_after_resend": True}, 2)])
def test_oks_after_a_resend(options, oks):
    answer = Host(**options).send("N1 M105*1")
    assert answer[1:] == ["Resend: 1"] + ["ok"] * oks


def test_a_resend_is_said_again_until_the_line_comes():
    host = Host(repeated_resends=3)
    host.send("N1 M105*1")
    assert host.wait(0.4) == ["Resend: 1", "ok"] * 2
    host.numbered("M117")
    assert host.wait(1.0) == []


def test_every_nth_numbered_line_is_asked_for_again():
    host = Host(resend_every=3)
    refused = ["Resend: " in "".join(host.numbered("M117")) for _ in range(9)]
    assert refused == [False, False, True] * 3


def test_a_ratio_of_lines_is_asked_for_again():
    host = Host(resend_ratio=20.0)
    refused = sum("Resend: " in "".join(host.numbered("M117")) for _ in range(500))
    assert 70 < refused < 130


def test_every_nth_line_is_not_heard():
    host = Host(drop_line_every=2)
    assert [len(host.send("M117")) for _ in range(4)] == [1, 0, 1, 0]


def test_every_nth_line_is_damaged():
    host = Host(wrong_checksum_every=2)
    assert host.numbered("M117 some text") == ["ok"]
    assert host.numbered("M117 some text")[-1] == "ok"
    assert len(host.printer.accepted) == 1


def test_lost_doubled_and_prepared_oks():
    host = Host(lose_ok_every=3, double_ok_every=4, prepared_oks=("ok 12",))
    assert [host.send("M117") for _ in range(4)] == [["ok 12"], ["ok"], [], ["ok", "ok"]]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"ok_format": "ok {line}"}, "ok 1"),
        ({"ok_format": "ok N{line} P{planner} B{buffer}"}, "ok N1 P15 B3"),
        ({"advanced_ok": True}, "ok N1 P15 B3"),
    ],
)
def test_shapes_of_ok(options, answer):
    assert Host(**options).numbered("M117") == [answer]


def test_an_advanced_ok_names_no_line_that_had_no_number():
    assert Host(advanced_ok=True).send("M117") == ["ok P15 B3"]


def test_ok_before_output():
    assert Host(ok_before_output=True).send("M114")[0] == "ok"
    assert Host(ok_before_output=True).send("M105")[1].startswith("T:")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("checksum", "checksum mismatch"),
        ("line_number", "Line Number is not"),
        ("no_checksum", "No Checksum"),
        ("no_line_number", "No Line Number"),
    ],
)
def test_errors_at_chosen_lines_come_once(kind, text):
    host = Host(simulated_errors=(f"2:{kind}",))
    host.numbered("M117 a")
    assert text in host.numbered("M117 b")[0]
    assert host.numbered("M117 b") == ["ok"]


def test_a_line_can_be_refused_without_a_word():
    host = Host(simulated_errors=("1:timeout",))
    assert host.send("N1 M117*52") == []
    assert host.send("N2 M117*55")[0] == LINE_NUMBER.format(0)


def test_it_hangs_after_so_many_commands():
    host = Host(silence_after=2, wait=True)
    assert host.send("M117", "M117", "M117") == ["ok", "ok"]
    assert host.wait(60.0) == []
    host.printer.reset(host.now)
    assert host.send("M117") == ["ok"]


def test_it_halts_after_so_many_commands():
    assert Host(halt_after=1).send("M117", "M117") == ["ok", "Error:Printer halted. kill() called!"]


def test_it_is_unplugged_after_so_many_commands():
    host = Host(gone_after=2)
    host.send("M117")
    assert not host.printer.gone
    host.send("M117")
    assert host.printer.gone
    assert host.send("M117") == []


def test_it_is_unplugged_after_some_time():
    host = Host(gone_after_seconds=3.0)
    host.wait(2.9)
    assert not host.printer.gone
    host.wait(0.1)
    assert host.printer.gone


def test_a_locked_printer_wants_its_passcode():
    host = Host(locked=True, passcode="77")
    assert host.send("M105") == ["echo:Printer locked! (Unlock with M511 or LCD)", "ok"]
    assert host.send("M511 P1") == ["echo:Incorrect passcode", "ok"]
    assert host.send("M511 P77", "M105")[1].startswith("ok T:")
