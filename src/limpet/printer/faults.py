"""What is told to a person when a connection fails: one row per way in which a session can end.

Faults of opening a port come from the transports, which know the reason best.
"""

from __future__ import annotations

from collections.abc import Sequence

from limpet.errors import Fault, PortError

_ROWS = {
    "no_answer": (
        "Nothing answered on {port} at {baudrate} baud within the time for a board to boot",
        "Check that the printer is switched on and that the cable carries data, and try the baudrate 'automatic'",
    ),
    "wrong_baudrate": (
        "What {port} says at {baudrate} baud is unreadable: {detail}",
        "Choose another baudrate, or none, to have it detected",
    ),
    "not_a_printer": (
        "{port} is not a printer: {detail}",
        "Choose another port; if this is a printer, say which firmware it runs in a bug report",
    ),
    "timeout": (
        "The printer on {port} has stopped answering: {detail}",
        "Look at the printer; if its display is frozen, switch it off and on",
    ),
    "write_stalled": (
        "{port} takes no more data: {detail}",
        "The device or its driver hangs: unplug the cable and plug it in again",
    ),
    "unplugged": (
        "{port} has gone away: {detail}",
        "Check the cable and the printer's power",
    ),
    "firmware_halted": (
        "The firmware has halted: {detail}",
        "Find the cause at the printer first. Then reset it and connect again; nothing is done by itself",
    ),
    "firmware_error": (
        "The firmware on {port} answers with errors alone: {detail}",
        "Look up what it says; when the cause is gone, reset the printer and connect again",
    ),
    "other_printer": (
        "On {port} there is another printer than the one that was saved: {detail}",
        "Plug in the right one. If this is the right one, with new firmware, connect to this port by name and save it",
    ),
    "resend_loop": (
        "The printer on {port} asks for the same line again and again: {detail}",
        "The line is very noisy or two programs talk to the printer: check the cable and what else is connected",
    ),
    "reset": (
        "The printer on {port} has restarted: {detail}",
        "If nobody reset it, check its power supply",
    ),
    "no_printer_found": (
        "No printer was found: {detail}",
        "Check power and cable, or name the port and the baudrate",
    ),
    "port_missing": (
        "There is no port {port}: {detail}",
        "Plug the printer in",
    ),
    "internal_error": (
        "Limpet has failed on {port}: {detail}",
        "This is a fault of Limpet, not of the printer: please report it, with the log",
    ),
}

TRAFFIC = 20
"""Lines on the wire that are shown when something fails."""
_TOLD_ALONE = ("port_missing", "port_busy", "permission_denied", "other_printer")
_TELLING = ("no_answer", "wrong_baudrate", "not_a_printer", "firmware_error", "other_printer")


def fault(code: str, *, port: str | None, baudrate: int | None = None, detail: str = "") -> Fault:
    """The fault for a contract code, in words."""
    message, hint = _ROWS[code]
    return Fault(code, message.format(port=port, baudrate=baudrate, detail=detail), hint)


def summary(failed: Sequence[PortError]) -> PortError:
    """What is told when no port had a printer: the one reason that matters, else what was heard on each."""
    halted = [error for error in failed if error.fault.code == "firmware_halted"]
    alone = len(failed) == 1 and failed[0].fault.code in _TOLD_ALONE
    if halted or alone:
        return (halted or list(failed))[0]
    detail = "; ".join(error.fault.message for error in failed)
    share = max(1, TRAFFIC // max(1, len(failed)))
    traffic = [line for error in failed for line in error.traffic[-share:]]
    return PortError(fault("no_printer_found", port=None, detail=detail), tuple(traffic[:TRAFFIC]))


def most_telling(verdicts: Sequence[Fault], port: str) -> Fault:
    """Of what came of each rate that was tried on `port`, the verdict that tells most about the device."""
    silent = Fault("no_answer", f"Nothing answered on {port} at any baudrate", "Check power and cable")
    told = [verdict for verdict in verdicts if verdict.code in _TELLING[1:]]
    return max(told, key=lambda verdict: _TELLING.index(verdict.code), default=silent)
