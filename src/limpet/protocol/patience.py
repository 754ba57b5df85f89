"""How long to wait for which command, in seconds, and what may be done about it; a command is known by its family
(`family_of`)."""

from __future__ import annotations

from limpet.protocol.firmware import HARMLESS_COMMANDS, LONG_COMMANDS, MOVE_COMMANDS, Firmware

SILENCE = 15.0
"""Without a byte from a printer that owes an answer, before it is given up."""
MOVE_SILENCE = 180.0
"""The same where a full planner may hold back the `ok` for as long as a slow move takes."""
MACRO_SILENCE = 3600.0
"""The same for what may be a macro."""
BUSY_GRACE = 6.0
"""A printer that says `busy` does so every 2 s: three missed ones and it is not busy any more."""
FIRST_WAIT, LEAST_WAIT, MOST_WAIT = 1.0, 0.4, 20.0
"""For the `ok` of a line, before it is written again: before anything is known, and the bounds of what is learnt."""
FADING = 0.99
PROMPT = 0.03
LONGEST_WAIT = 60.0
TIMES_ASKED = 4
"""How often a line is written at least before a printer that says nothing is given up."""
LEAST_ASKED = 5.0
"""A question is out for this long before its silence counts: the host itself may have slept."""
POLL_INTERVAL = 5.0
"""Of idle line between two questions of ours where the printer reports nothing by itself."""
POLL_INTERVAL_REPORTED = 10.0
"""The same where it does."""
POLL_INTERVAL_CARD = 2.0
"""The same while it prints from its card."""
MISSED_REPORTS = 2.5
"""Intervals between reports without a byte, and the printer is asked whether it is still there."""
LEAST_SUSPICION = 3.0


class Pace:
    """How soon this printer acknowledges a line that is no long command: the longest that it took lately.

    While the planner is full, an `ok` comes when a move is done; then there is also time enough to wait for it, as
    the planner has many more.
    """

    def __init__(self) -> None:
        self._longest: float | None = None
        self._shortest = PROMPT

    def measured(self, seconds: float) -> None:
        """So long it took; what was longer before counts less with each line."""
        self._longest = max(seconds, FADING * (self._longest or 0.0))
        self._shortest = min(seconds, self._shortest)

    @property
    def prompt(self) -> float:
        """Seconds within which an answer comes that has not waited for a move."""
        return max(4.0 * self._shortest, PROMPT)

    @property
    def timeout(self) -> float:
        """Seconds after which an answer is overdue."""
        if self._longest is None:
            return FIRST_WAIT
        return min(max(2.0 * self._longest, LEAST_WAIT), MOST_WAIT)


def until_retry(family: str, firmware: Firmware, pace: Pace, *, retries: int, says_busy: bool) -> float:
    """Until an unanswered line is written again: longer for slow commands, doubling each time, but at first not so long
    that the printer is given up before it was asked `TIMES_ASKED`: what is written again may get lost, too."""
    base = (BUSY_GRACE if says_busy else 15.0) if takes_long(family, firmware) else pace.timeout
    limit = silence_limit(family, firmware, says_busy=says_busy)
    longest = LONGEST_WAIT if retries >= TIMES_ASKED - 1 else min(limit / TIMES_ASKED, LONGEST_WAIT)
    return min(base * 2.0 ** min(retries, 6), longest)


def until_asked(family: str, firmware: Firmware, pace: Pace, *, says_busy: bool) -> float:
    """Until a line is written again whose `ok` may have been taken for another's: soon, however long the line itself
    may take, as to ask costs little."""
    return min(pace.timeout, silence_limit(family, firmware, says_busy=says_busy) / TIMES_ASKED)


def gives_up_at(family: str, firmware: Firmware, *, asked_at: float, heard_at: float, says_busy: bool) -> float:
    """When a printer that goes on saying nothing is given up."""
    limit = silence_limit(family, firmware, says_busy=says_busy)
    if limit == SILENCE:
        return max(heard_at + limit, asked_at + min(LEAST_ASKED, limit))
    # It was free to be silent until it was asked.
    return max(heard_at, asked_at) + limit


def until_poll(report_interval: float | None, active_at: float, heard_at: float) -> float:
    """From the last line that was written or acknowledged until an idle printer is asked something.

    `report_interval` is what lies between the reports that it sends by itself, None where it does not.
    """
    if report_interval is None:
        return POLL_INTERVAL
    suspicion = max(MISSED_REPORTS * report_interval, LEAST_SUSPICION)
    return min(POLL_INTERVAL_REPORTED, max(suspicion, heard_at + suspicion - active_at))


def answers_at_once(family: str, firmware: Firmware) -> bool:
    """Whether the time until its `ok` is that of the line, and not that of a movement or of heating."""
    return bool(family) and family not in MOVE_COMMANDS and not takes_long(family, firmware)


def silence_limit(family: str, firmware: Firmware, *, says_busy: bool) -> float:
    """Until a printer that says nothing at all is given up."""
    if says_busy:
        return SILENCE
    if family in MOVE_COMMANDS:
        return MOVE_SILENCE
    return LONG_COMMANDS.get(family, MACRO_SILENCE if takes_long(family, firmware) else SILENCE)


def takes_long(family: str, firmware: Firmware) -> bool:
    """Homing, heating, waiting for a person, and what no table knows where there are macros."""
    return family in LONG_COMMANDS or (not family and firmware.has_macros)


def may_repeat(family: str, firmware: Firmware) -> bool:
    """Whether the line may be written again although nobody has asked for it."""
    return firmware.checks_order or family in HARMLESS_COMMANDS
