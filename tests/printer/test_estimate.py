"""The time left of prints that go differently from what was thought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.gcodefile.analysis import Analysis, Layer, Point, Said, Summary
from limpet.printer.estimate import Estimate, Outlook, total_time
from tests.gcodefile.reading import read

SIZE = 1_000_000
HOUR = 3600.0


def spread(part: float) -> float:
    """The first half of the file takes a quarter of the time."""
    return part / 2 if part < 0.5 else 0.25 + (part - 0.5) * 1.5


def analysis(seconds: float = HOUR, *, said: float | None = None, layers: int = 100) -> Analysis:
    """A file of SIZE bytes; the model says `seconds`, the slicer perhaps something else. 1 % of it is start code."""
    return Analysis(
        summary=Summary(moves=1, time=seconds, said=Said(time=said)),
        done=tuple(Point(SIZE * step // 100, seconds * spread(step / 100)) for step in range(101)),
        layers=tuple(Layer(SIZE // 100 + (SIZE - SIZE // 100) * n // layers, 0.2 * (n + 1)) for n in range(layers)),
    )


def seen(
    estimate: Estimate, really: float, *, heating: float = 0.0, step: float = 5.0
) -> Iterator[tuple[float, Outlook]]:
    """A print that takes `really` seconds after its heating: how much is left in truth, and what is said."""
    elapsed = 0.0
    while elapsed <= heating + really:
        part = max(0.0, elapsed - heating) / really
        byte = part * 2 if part < 0.25 else 0.5 + (part - 0.25) / 1.5
        yield heating + really - elapsed, estimate.at(min(int(byte * SIZE), SIZE), elapsed)
        elapsed += step


def errors(told: Sequence[tuple[float, Outlook]], after: float) -> list[float]:
    """Differences to the truth as parts of the whole print, once this part of it is over."""
    whole = told[0][0]
    return [abs((say.seconds_left or 0.0) - true) / whole for true, say in told if true <= whole * (1 - after)]


def test_a_print_that_goes_as_planned_is_told_exactly() -> None:
    told = list(seen(Estimate(analysis(), size=SIZE), HOUR))
    assert max(errors(told, 0.0)) < 0.005
    assert told[1][1].origin == "analysis"
    assert told[-1][1].seconds_left == 0.0


@pytest.mark.parametrize("pace", [0.5, 0.8, 1.3, 2.0])
def test_a_wrong_plan_is_put_right_by_what_happens(pace: float) -> None:
    told = list(seen(Estimate(analysis(), size=SIZE), HOUR * pace))
    assert max(errors(told, 0.2)) < 0.15
    assert max(errors(told, 0.5)) < 0.06
    assert told[len(told) // 2][1].origin == "mixed-analysis"


@pytest.mark.parametrize("limits", ["M204 S400\nM205 X3 Y3\n", "M204 S3000\nM205 X15 Y15\n"])
def test_a_printer_of_which_the_model_knows_nothing_is_told_well_all_the_same(limits: str) -> None:
    moves = "".join(
        f"G1 X{number % 7 * (1 + number // 3000)} Y{number % 5 * 4} E{number} F12000\n" for number in range(30_000)
    )
    known, real = read(moves), read(limits + moves)
    offset = len(limits)
    estimate = Estimate(known, size=len(moves))
    told = []
    for point in real.done:
        outlook = estimate.at(max(0, point.byte - offset), point.seconds)
        told.append((real.summary.time - point.seconds, outlook))
    assert abs(known.summary.time / real.summary.time - 1) > 0.2
    assert max(errors(told, 0.2)) < 0.06
    assert max(errors(told, 0.5)) < 0.03


def test_heating_does_not_make_the_rest_longer() -> None:
    told = list(seen(Estimate(analysis(), size=SIZE), HOUR, heating=400))
    rest = [say.seconds_left for true, say in told if true < 0.9 * HOUR]
    truth = [true for true, _ in told if true < 0.9 * HOUR]
    assert max(abs((said or 0) - true) for said, true in zip(rest, truth, strict=True)) < 0.02 * HOUR


def test_the_slicers_total_is_spread_as_the_model_has_it() -> None:
    told = list(seen(Estimate(analysis(HOUR / 2, said=HOUR), size=SIZE), HOUR))
    assert max(errors(told, 0.0)) < 0.005


def test_past_prints_are_better_than_the_slicer() -> None:
    estimate = Estimate(analysis(said=HOUR / 2), past=[9.0, HOUR, HOUR + 20, HOUR - 10], size=SIZE)
    told = list(seen(estimate, HOUR - 300, heating=300))
    assert max(errors(told, 0.0)) < 0.03
    assert told[1][1].origin == "average"
    assert told[len(told) // 2][1].origin == "mixed-average"


def test_a_printer_that_is_warm_already_is_ahead_of_past_prints() -> None:
    told = list(seen(Estimate(analysis(), past=[HOUR + 600], size=SIZE), HOUR))
    assert max(errors(told, 0.5)) < 0.08


def test_the_slicers_own_times_are_taken_where_it_tells_them() -> None:
    left = tuple(Point(SIZE * step // 20, HOUR * (1 - spread(step / 20))) for step in range(21))
    flat = (Point(0, 0.0), Point(SIZE, HOUR))
    known = Analysis(summary=Summary(time=HOUR, time_left=HOUR), done=flat, left=left)
    assert max(errors(list(seen(Estimate(known, size=SIZE), HOUR)), 0.0)) < 0.01


def test_times_that_a_slicer_does_not_tell_to_the_end_go_on_to_it() -> None:
    left = tuple(Point(SIZE * step // 20, HOUR * (1 - step / 20)) for step in range(17))
    known = Analysis(summary=Summary(time=HOUR, time_left=HOUR), left=left)
    estimate = Estimate(known, size=SIZE)
    estimate.at(1, 0.0)
    assert estimate.at(SIZE * 9 // 10, HOUR * 0.9).seconds_left == pytest.approx(HOUR * 0.1, rel=0.05)


def test_with_bytes_alone_it_is_a_line_and_later_an_estimate() -> None:
    estimate = Estimate(size=SIZE)
    assert estimate.at(0, 60.0) == Outlook()
    estimate.at(1000, 60.0)
    early = estimate.at(100_000, 160.0)
    assert early.origin == "linear"
    assert estimate.at(SIZE // 2, HOUR).origin == "estimate"
    assert early.seconds_left == pytest.approx(100 / 99_000 * 900_000, rel=0.01)


def test_without_a_plan_m73_is_believed() -> None:
    estimate = Estimate(size=SIZE)
    estimate.tell_m73(10, 50, 300.0)
    assert estimate.at(1000, 360.0)[:2] == (pytest.approx(49 * 60), "analysis")
    estimate = Estimate()
    estimate.tell_m73(25, None, 900.0)
    assert estimate.at(1000, 900.0).seconds_left == pytest.approx(2700)


def test_an_analysis_that_comes_late_is_taken_up_without_a_jump() -> None:
    estimate = Estimate(size=SIZE)
    for second in range(0, 600, 5):
        before = estimate.at(int(second / HOUR * 2 * SIZE), float(second))
    estimate.learn(analysis())
    after = estimate.at(int(600 / HOUR * 2 * SIZE), 600.0)
    assert before.seconds_left is not None
    assert after.seconds_left is not None
    assert abs(after.seconds_left - before.seconds_left) < 700
    assert after.origin == "mixed-analysis"


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
def test_what_is_told_does_not_jump(pace: float) -> None:
    told = [say.seconds_left or 0.0 for _, say in seen(Estimate(analysis(), size=SIZE), HOUR * pace, heating=200)]
    # Each step takes 5 s; the rest of a step is a correction.
    assert max(abs(before - after - 5) for before, after in pairwise(told)) < 0.02 * HOUR


def test_the_layer_and_its_height_are_told() -> None:
    estimate = Estimate(analysis(), size=SIZE)
    assert estimate.at(0, 0.0)[3:] == (None, None)
    assert estimate.at(10_000, 10.0)[3:] == (0, 0.2)
    assert estimate.at(SIZE, 3600.0)[3:] == (99, pytest.approx(20.0))


def test_the_part_that_is_done_is_one_of_time() -> None:
    told = list(seen(Estimate(analysis(), size=SIZE), HOUR))
    assert told[len(told) // 2][1].done == pytest.approx(0.5, abs=0.01)
    assert told[-1][1].done == 1.0


def test_the_total_is_that_of_the_last_good_prints_else_of_the_analysis() -> None:
    assert total_time(None) is None
    assert total_time(Analysis()) is None
    assert total_time(analysis(said=100.0)) == 100.0
    assert total_time(analysis(), [50.0, 0.0, 70.0, 60.0]) == 60.0
    assert total_time(None, [1.0, 10.0, 10.0, 12.0, 10.0, 11.0]) == 10.0


@given(
    st.lists(st.tuples(st.integers(-5, 2 * SIZE), st.floats(-10, 1e7)), max_size=30),
    st.lists(st.floats(-5, 1e6), max_size=7),
    st.sampled_from([None, Analysis(), analysis(), analysis(0.0), analysis(said=5.0)]),
    st.sampled_from([0, 1, SIZE]),
)
def test_whatever_comes_the_answer_makes_sense(
    places: list[tuple[int, float]], past: list[float], known: Analysis | None, size: int
) -> None:
    estimate = Estimate(known, past, size)
    for number, (byte, elapsed) in enumerate(places):
        if number == 5:
            estimate.tell_m73(float(byte), elapsed, elapsed)
        say = estimate.at(byte, elapsed)
        assert (say.seconds_left is None) == (say.origin is None)
        assert say.seconds_left is None or 0.0 <= say.seconds_left < 1e12
        assert say.done is None or 0.0 <= say.done <= 1.0
