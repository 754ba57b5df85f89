"""The virtual printer beside the real ones: what a recorded host said, said to ours, gets the same kinds of replies.

Asked is all that has to do with the line itself: the boot, M115, M105, M110, damaged lines, wrong and missing numbers,
and the emergency stop at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from limpet.protocol.events import (
    Acknowledged,
    BootReported,
    BusyReported,
    CapabilityReported,
    CardGone,
    CardReady,
    Event,
    FirmwareIdentified,
    IdleReported,
    PositionReported,
    ResendRequested,
    TemperaturesReported,
)
from limpet.protocol.replies import events_of
from tests.protocol.recordings import FOLDER, read
from tests.protocol.virtual_host import Host

PLAYED: dict[str, dict[str, Any]] = {
    "marlin-2.1.2": {"firmware": "marlin"},
    "marlin-bugfix-2.1.x-default": {"firmware": "marlin"},
    "prusa-firmware-3.9.3-mk3s": {"firmware": "prusa"},
    "repetier-1.0.4": {"firmware": "repetier", "echo_lines": True, "wait": True, "repeated_resends": 1000},
    "teacup": {"firmware": "teacup"},
    "klipper": {"firmware": "klipper"},
}

PAUSED = "it waits for a person after M0, which is not said to ours"
DIFFERENCES = {
    ("teacup", 0.0): "the recording begins when it has booted",
    ("prusa-firmware-3.9.3-mk3s", 13.016): "M115 U asks for an update; to ours it is M115",
    ("prusa-firmware-3.9.3-mk3s", 123.317): PAUSED,
    ("prusa-firmware-3.9.3-mk3s", 125.334): PAUSED,
    ("repetier-1.0.4", 6.007): "the ok of M110, alone of all, has no number; ours has 0",
    ("repetier-1.0.4", 69.415): "it restarts without a word of power; ours boots as ever",
}
"""Recording and second -> why ours may answer otherwise."""

ASKED = re.compile(r"N\d|M110|M115|M105|M112|(?:FIRMWARE_)?RESTART")
CHATTER = (BusyReported, IdleReported, CapabilityReported, CardReady, CardGone)
LONGEST_WAIT = 1.5


@dataclass(frozen=True)
class Exchange:
    """What a recorded host said, and the answers until it said something else; nothing asked: the boot."""

    seconds: float
    asked: str
    answers: list[str]


def recorded(name: str) -> Iterator[Exchange]:
    seconds, asked, answers = 0.0, "", b""
    for spoken in read(FOLDER / f"{name}.txt"):
        if spoken.direction == "<":
            answers += spoken.data
            continue
        yield Exchange(seconds, asked, answers.decode().splitlines())
        seconds, asked, answers = spoken.seconds, spoken.data.decode().rstrip("\n"), b""
    yield Exchange(seconds, asked, answers.decode().splitlines())


def ours(name: str, exchanges: list[Exchange]) -> Iterator[list[str]]:
    """What the virtual printer answers to the same, in the same rhythm."""
    host = Host(banner=True, **PLAYED[name])
    for exchange, following in zip(exchanges, [*exchanges[1:], None], strict=True):
        heard = host.send(exchange.asked) if exchange.asked else host.read()
        pause = following.seconds - exchange.seconds if following else LONGEST_WAIT
        yield heard + host.wait(min(pause, LONGEST_WAIT))


def kind(event: Event) -> object:
    """An event without what depends on the time, the temperature or the place."""
    if isinstance(event, TemperaturesReported):
        return "temperatures", *sorted(event.readings)
    return type(event).__name__ if isinstance(event, (BootReported, FirmwareIdentified, PositionReported)) else event


def kinds(conversation: Iterable[list[str]], repeats: bool) -> list[list[object]]:
    """For each exchange the kinds of its events, without chatter.

    With `repeats`, a request for the line that is already asked for does not count, nor its ok: how often a firmware
    repeats itself until the line comes is a matter of milliseconds.
    """
    result: list[list[object]] = []
    wanted: Event | None = None
    for lines in conversation:
        result.append([])
        swallow = False
        for event in (event for line in lines for event in events_of(line)):
            if swallow and isinstance(event, Acknowledged):
                swallow = False
            elif repeats and event == wanted:
                swallow = True
            elif not isinstance(event, CHATTER):
                result[-1].append(kind(event))
                wanted = event if isinstance(event, ResendRequested) else wanted
    return result


@pytest.mark.parametrize("name", PLAYED)
def test_ours_answers_as_the_real_one_does(name: str) -> None:
    exchanges = [each for each in recorded(name) if ASKED.match(each.asked) or not each.asked]
    repeats = "repeated_resends" in PLAYED[name]
    theirs = kinds((each.answers for each in exchanges), repeats)
    answers = kinds(ours(name, exchanges), repeats)
    differing = {}
    for exchange, real, mine in zip(exchanges, theirs, answers, strict=True):
        if real != mine:
            differing[name, exchange.seconds] = f"{exchange.asked!r}: they {real}, ours {mine}"
    assert {place: differing[place] for place in differing if place not in DIFFERENCES} == {}
    # A difference that is none any more is taken off the list.
    assert {place for place in DIFFERENCES if place[0] == name} == set(differing)


def test_enough_is_compared() -> None:
    asked = [each.asked for name in PLAYED for each in recorded(name) if ASKED.match(each.asked)]
    assert len(asked) > 70
    assert sum(asked.count(damaged) for damaged in ("N2 M105*1", "N3 M105*1", "N5*12", "N4 M105*")) > 6
