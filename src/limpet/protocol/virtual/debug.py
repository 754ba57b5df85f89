"""`!!DEBUG:<what> [arguments]`: faults on demand, asked for by the host over the wire itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from limpet.protocol.virtual.card_commands import abort, select, start
from limpet.protocol.virtual.firmware import HEATER_FAILURE, LOST_MCU, SWITCHED_OFF

if TYPE_CHECKING:
    from limpet.protocol.virtual_printer import VirtualPrinter

PREFIX = "!!DEBUG:"
LONGEST_SLEEP = 3600.0


def run(printer: VirtualPrinter, text: str) -> None:
    """Does what `text` (after the prefix) asks for; says so when it cannot."""
    what, _, arguments = text.strip().partition(" ")
    action = ACTIONS.get(what)
    try:
        if action is None:
            raise ValueError("unknown, one of " + " ".join(sorted(ACTIONS)))
        action(printer, arguments.strip())
    except ValueError as error:
        printer.say(f"echo:DEBUG {what}: {error}")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= LONGEST_SLEEP:
        raise ValueError(f"{text} is not between 0 and {LONGEST_SLEEP:.0f} seconds")
    return seconds


def _code_and_seconds(text: str) -> tuple[str, float]:
    code, _, seconds = text.partition(" ")
    return code.upper(), _seconds(seconds)


def _refuse_next(kind: str) -> Callable[[VirtualPrinter, str], None]:
    return lambda printer, _: printer.faults.next_refusals.append(kind)


def _halt(*lines: str) -> Callable[[VirtualPrinter, str], None]:
    return lambda printer, _: printer.machine.halt(*lines)


def _action(text: str) -> Callable[[VirtualPrinter, str], None]:
    return lambda printer, arguments: printer.say(f"//action:{text or arguments}")


def _sleep_after(printer: VirtualPrinter, text: str) -> None:
    code, seconds = _code_and_seconds(text)
    printer.faults.sleep_after = {**printer.faults.sleep_after, code: seconds} if seconds else {}


def _sleep_after_next(printer: VirtualPrinter, text: str) -> None:
    code, seconds = _code_and_seconds(text)
    printer.faults.sleep_after_next = {code: seconds}


def _lose_ok(printer: VirtualPrinter, _: str) -> None:
    printer.faults.lose_oks += 1


def _double_ok(printer: VirtualPrinter, _: str) -> None:
    printer.faults.double_oks += 1


def _prepare_ok(printer: VirtualPrinter, text: str) -> None:
    printer.faults.prepared_oks.append(text)


def _rerequest_last(printer: VirtualPrinter, _: str) -> None:
    printer.faults.refuse_all = True


def _resend_ratio(printer: VirtualPrinter, text: str) -> None:
    printer.faults.resend_ratio = min(100.0, max(0.0, float(text)))


def _fatal_repetier(printer: VirtualPrinter, _: str) -> None:
    printer.machine.stop(HEATER_FAILURE)
    printer.say(HEATER_FAILURE.text)


def _split_error(printer: VirtualPrinter, _: str) -> None:
    printer.machine.stop(SWITCHED_OFF)
    for line in ("Error:0", ": Extruder switched off. MAXTEMP triggered !", SWITCHED_OFF.text):
        printer.say(line)


def _toggle_klipper_connection(printer: VirtualPrinter, _: str) -> None:
    lost = printer.machine.stopped is not LOST_MCU
    printer.say(f"// Klipper state: {'Disconnect' if lost else 'Ready'}")
    printer.machine.stop(LOST_MCU if lost else None)


def _too_cold_or_hot(kind: str) -> Callable[[VirtualPrinter, str], None]:
    return lambda printer, _: printer.machine.halt(printer.machine.firmware.errors[kind])


def _set_ambient(printer: VirtualPrinter, text: str) -> None:
    degrees = float(text)
    if not -273.15 <= degrees <= 1000:
        raise ValueError(f"{text} is no temperature of a room")
    for heater in printer.machine.heaters.values():
        heater.set_ambient(degrees, printer.machine.now)


ACTIONS: dict[str, Callable[[VirtualPrinter, str], None]] = {
    "dont_answer": _lose_ok,
    "lose_ok": _lose_ok,
    "double_ok": _double_ok,
    "prepare_ok": _prepare_ok,
    "go_awol": lambda printer, _: printer.fall_silent(),
    "drop_connection": lambda printer, _: printer.go_away(),
    "reset": lambda printer, _: printer.reset(printer.machine.now),
    "unbusy": lambda printer, _: printer.stop_waiting(),
    "sleep": lambda printer, text: printer.sleep(_seconds(text)),
    "sleep_after": _sleep_after,
    "sleep_after_next": _sleep_after_next,
    "send": lambda printer, text: printer.say(text),
    "trigger_resend_lineno": _refuse_next("line_number"),
    "trigger_resend_checksum": _refuse_next("checksum"),
    "trigger_missing_checksum": _refuse_next("no_checksum"),
    "trigger_missing_lineno": _refuse_next("no_line_number"),
    "trigger_resend_timeout": _refuse_next("timeout"),
    "rerequest_last": _rerequest_last,
    "resend_ratio": _resend_ratio,
    "trigger_fatal_error_marlin": _halt("Error:Thermal Runaway, system stopped! Heater_ID: bed"),
    "trigger_fatal_error_repetier": _fatal_repetier,
    "trigger_split_error": _split_error,
    "toggle_klipper_connection": _toggle_klipper_connection,
    "mintemp_error": _too_cold_or_hot("mintemp"),
    "maxtemp_error": _too_cold_or_hot("maxtemp"),
    "set_ambient": _set_ambient,
    "action_pause": _action("pause"),
    "action_resume": _action("resume"),
    "action_disconnect": _action("disconnect"),
    "action_custom": _action(""),
    "select_sd": lambda printer, text: select(printer.machine, f"M23 {text}"),
    "start_sd": lambda printer, _: start(printer.machine, "M24"),
    "cancel_sd": lambda printer, _: abort(printer.machine, "M524"),
}
