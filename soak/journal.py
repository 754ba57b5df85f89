"""What has happened: the last lines of it for a person, and how often what."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

KEPT = 60
"""Lines that are shown when something is wrong."""


class Journal:
    """`complain` takes the first thing that is wrong; what comes after it may be a consequence."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self.trouble: str | None = None
        self.troubled = asyncio.Event()
        self._clock = clock

    def tell(self, who: str, kind: str, more: str = "") -> None:
        """`who` did something of this `kind`; only the kind is counted."""
        self.counts[kind] += 1
        self._note(f"{who}: {kind} {more}".rstrip())

    def complain(self, what: str) -> None:
        self._note(f"WRONG: {what}")
        if self.trouble is None:
            self.trouble = "\n".join([what, "", *self.lines])
            self.troubled.set()

    def _note(self, text: str) -> None:
        self.lines.append(f"{self._clock():10.3f}  {text}")
