"""What a reader of the push may ask for, and that no pattern of his holds anybody up."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet.web.wishes import MAX_THROTTLE, Pattern, Wish, selected

PIECES = ["a", "b", ".", ".*", ".+", "^", "$", "|", "[ab]", "[^a]", r"\w", r"\|", r"\."]
LINES = ["Send: N1 M105*38", "Recv: ok T:21.3 /0.0", "Recv: Cap:EEPROM:1"]


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.text("ab|.", max_size=6))
@settings(max_examples=2000, deadline=None)
def test_a_pattern_matches_what_a_regular_expression_does(pieces: list[str], line: str) -> None:
    text = "".join(pieces)
    pattern = Pattern.read(text)

    if pattern is not None:
        assert pattern.matches(line) == bool(re.search(text, line))


@pytest.mark.parametrize("text", ["^Recv: Cap", "Send: .*M105", r"T:\d+|ok", "[A-Z]$", ".*"])
def test_what_clients_ask_for_is_understood_or_taken_for_everything(text: str) -> None:
    wish = Wish().subscribed({"state": {"logs": text}})
    expected = [line for line in LINES if re.search(text, line)]

    assert selected(LINES, wish.logs) == (expected if isinstance(wish.logs, Pattern) else LINES)


@pytest.mark.parametrize("text", ["(a+)+$", "a*", "a{9}", "(?=a)", r"\1", "[z-a]", "[", "\\", "a" * 201])
def test_a_pattern_that_could_go_back_is_not_read(text: str) -> None:
    assert Pattern.read(text) is None
    assert Wish().subscribed({"state": {"logs": text}}).logs is True


def test_the_worst_pattern_takes_no_longer_than_the_line() -> None:
    pattern = Pattern.read("a.*" * 66)
    assert pattern is not None
    began = time.perf_counter()

    assert not pattern.matches("a" * 65 + "b" * 100_000)
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(2, 2), (0, 1), (-5, 1), (2.9, 2), (1e308, MAX_THROTTLE), (True, 3), ("2", 3), (None, 3), ([2], 3)],
)
def test_a_throttle_is_kept_within_limits(factor: object, expected: int) -> None:
    assert Wish(throttle=3).throttled(factor).throttle == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, Wish(plugins=False, state=False, events=False)),
        ({"state": True}, Wish(plugins=False, events=False)),
        ({"state": {"logs": False}}, Wish(plugins=False, logs=False, events=False)),
        ({"events": True, "plugins": True}, Wish(state=False)),
        ({"events": ["PrintFailed", 5]}, Wish(plugins=False, state=False, events=frozenset({"PrintFailed"}))),
        ({"state": 1, "events": "PrintFailed"}, Wish(plugins=False, state=False, events=False)),
        ({"state": {"logs": 5, "messages": None}}, Wish(plugins=False, logs=False, messages=False, events=False)),
        ({"plugins": ["a", 5]}, Wish(state=False, events=False, plugins=frozenset({"a"}))),
        ([], Wish()),
        (None, Wish()),
    ],
)
def test_a_subscription_names_all_that_is_told(wanted: Any, expected: Wish) -> None:
    assert Wish().subscribed(wanted) == expected


def test_a_subscription_keeps_the_throttle() -> None:
    assert Wish(throttle=4).subscribed({"state": True}).throttle == 4
