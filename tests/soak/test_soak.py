"""A short soak; the long one is scripts/soak."""

from __future__ import annotations

import pytest
from soak.__main__ import parse
from soak.run import Plan, Progress, soak


@pytest.mark.parametrize(("seed", "printers"), [(1, 3), (2, 1), (3, 5)])
def test_whatever_happens_no_claim_is_wrong_and_nothing_is_left(seed: int, printers: int) -> None:
    outcome = soak(Plan(seed, minutes=1.5, printers=printers))
    assert outcome.trouble is None, outcome.trouble
    assert outcome.simulated >= 90.0
    assert outcome.counts["is Operational"] > 0


def test_the_same_seed_is_the_same_run() -> None:
    first, second = (soak(Plan(seed=4, minutes=1.0)) for _ in range(2))
    assert (first.counts, first.simulated) == (second.counts, second.simulated)
    assert soak(Plan(seed=5, minutes=1.0)).counts != first.counts


def test_it_tells_every_simulated_minute_how_far_it_is() -> None:
    told: list[Progress] = []
    soak(Plan(seed=6, minutes=2.0), told.append)
    assert [progress.simulated for progress in told][:2] == [60.0, 120.0]


@pytest.mark.parametrize("words", [["--printers", "0"], ["--printers", "6"], ["--minutes", "0"], ["--seed", "x"]])
def test_bad_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(words)
    assert words[0] in capsys.readouterr().err
