"""A few minutes of the soak (docs/soak.md); `scripts/soak` runs an hour of it."""

from __future__ import annotations

import pytest
from soak.run import Plan, soak


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_wrong_claim_and_no_leak(seed: int) -> None:
    outcome = soak(Plan(seed, minutes=2.0))
    assert outcome.trouble is None, outcome.trouble
    assert outcome.simulated >= 120.0
    assert outcome.counts["is Operational"] > 3
    assert outcome.counts["is unplugged"] > 3
