"""A print on every firmware and with every quirk that the virtual printer can play; docs/virtual-printer.md."""

from __future__ import annotations

import pytest

from limpet.protocol.events import SessionEnded
from limpet.protocol.virtual.firmware import PRINTERS
from tests.printer.joined import JoinedPrint, moves
from tests.protocol.test_lossy_wire import at_once
from tests.protocol.wire import Wire

MOVES = moves(300)
QUIRKS: dict[str, dict[str, object]] = {
    **{f"firmware {name}": {"firmware": name} for name in PRINTERS},
    **{
        f"{name} on": {name: True}
        for name in (
            "advanced_ok",
            "ok_before_output",
            "ok_after_resend",
            "broken_resend",
            "force_checksum",
            "echo_lines",
            "bare_f",
            "mmu",
            "repetier_targets",
            "nan",
            "wait",
            "echo_m117",
            "prompts",
            "emergency_parser",
            "shared_nozzle",
            "chamber",
            "m115_area",
            "boot_noise",
            "sd_long_names",
            "sd_quoted_names",
            "sd_lower_case",
            "broken_m29",
            "broken_m30",
            "glued_file_deleted",
        )
    },
    **{
        f"{name} off": {name: False}
        for name in (
            "banner",
            "capabilities",
            "autoreport",
            "m112",
            "eeprom",
            "current_tool_in_temperatures",
            "bed",
            "sd_card",
            "sd_sizes",
            "sd_name_in_opened",
            "busy",
        )
    },
    "tiny buffers": {"rx_buffer": 64, "command_buffer": 1, "planner": 1},
    "latency and throttle": {"latency": 0.01, "throttle": 0.002},
    "late banner": {"late_banner": 0.2},
    "blank lines at boot": {"blank_boot_lines": 5},
    "strange ok": {"ok_format": "ok N{line} P{planner} B{buffer}"},
    "prepared oks": {"prepared_oks": ("ok", "ok 1", "k")},
    "repeated resends": {"repeated_resends": 3, "resend_every": 20},
    "resend every 10th": {"resend_every": 10},
    "resend 5 %": {"resend_ratio": 5.0},
    "wrong checksum every 10th": {"wrong_checksum_every": 10},
    "drops every 20th": {"drop_line_every": 20},
    "loses every 20th ok": {"lose_ok_every": 20},
    "doubles every 7th ok": {"double_ok_every": 7},
    "simulated errors": {"simulated_errors": ("20:line_number", "40:checksum", "60:no_checksum", "80:timeout")},
    "other texts": {"error_texts": ("line_number:Error:nicht die naechste, {last}",), "resend_every": 20},
    "chatter": {"chatter": ("echo: hello", "// nothing to say")},
    "four extruders": {"extruders": 4, "temperature_style": "smoothie"},
    "wait often": {"wait": True, "wait_interval": 0.05},
    "busy often": {"busy_interval": 0.05},
}
SILENT_LOSS = ("klipper", "teacup", "reprapfirmware")
"""Firmware that does not look at the order of lines: nothing may be written to it again on a guess (decision 0006)."""


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_print_arrives_whole_on_every_firmware_and_with_every_quirk(quirk: str, window: int | None) -> None:
    wire = Wire(at_once(**QUIRKS[quirk]), window=window)
    print = JoinedPrint(wire, "\n".join(MOVES))
    print.run()
    assert print.outcome == "done", "\n".join(wire.traffic()[-20:])
    assert print.arrived == MOVES


@pytest.mark.parametrize("quirk", ["silence_after", "halt_after"])
def test_a_printer_that_dies_ends_the_print_and_has_the_beginning_of_the_file(quirk: str) -> None:
    wire = Wire(at_once(**{quirk: 100}))
    print = JoinedPrint(wire, "\n".join(MOVES))
    print.run()
    assert isinstance(print.lost, SessionEnded)
    assert print.lost.code in ("timeout", "firmware_halted")
    assert print.arrived == MOVES[: len(print.arrived)] != MOVES


@pytest.mark.parametrize("firmware", SILENT_LOSS)
def test_where_order_is_not_looked_at_a_lost_ok_ends_the_print_but_doubles_nothing(firmware: str) -> None:
    wire = Wire(at_once(firmware=firmware, lose_ok_every=50))
    print = JoinedPrint(wire, "\n".join(MOVES))
    print.run()
    assert isinstance(print.lost, SessionEnded)
    assert print.arrived == MOVES[: len(print.arrived)]
