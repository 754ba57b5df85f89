"""How good a line is: what was sent and heard on it, and how long answers take."""

from __future__ import annotations

from collections import deque

SAMPLES = 256
"""Round trips that are kept."""


class Figures:
    """Counts since the session began; times in seconds, of the session's clock."""

    def __init__(self, now: float) -> None:
        self.lines_sent = 0
        """Lines written, each time that they were."""
        self.lines_received = 0
        self.resends = 0
        """Times that something had to be written again."""
        self.bytes_received = 0
        self.unreadable_bytes = 0
        """Without those of a greeting that went well."""
        self.heard_at = now
        """When something was last heard that can be read."""
        self._round_trips: deque[float] = deque(maxlen=SAMPLES)
        self._quantiles: tuple[float, float] | None = None

    def received(self, size: int, unreadable: int, now: float) -> None:
        """So many bytes came, and so many of them were no text."""
        if 2 * unreadable < size:
            self.heard_at = now  # Noise is no sign of life.
        self.bytes_received += size
        self.unreadable_bytes += unreadable

    def answered(self, seconds: float) -> None:
        """A command that takes no time of its own was acknowledged after so long."""
        self._round_trips.append(seconds)
        self._quantiles = None

    def round_trip(self) -> tuple[float, float] | None:
        """What half of the last SAMPLES answers, and 95 % of them, did not exceed; None before any."""
        if self._quantiles is None and self._round_trips:
            ordered = sorted(self._round_trips)
            self._quantiles = (ordered[(len(ordered) - 1) // 2], ordered[int(0.95 * (len(ordered) - 1))])
        return self._quantiles
