"""How often somebody may try: tables of a fixed size. `now` is any steady clock, in seconds."""

from __future__ import annotations

import ipaddress
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

MAX_ENTRIES = 1000


class RateLimit:
    """At most so many requests in so many seconds from one address, for each of `limits`."""

    def __init__(self, *limits: tuple[int, float]) -> None:
        self._limits = limits
        self._longest = max(seconds for _, seconds in limits)
        self._times: dict[str, deque[float]] = {}

    def allows(self, address: str, now: float) -> bool:
        """Whether there may be one more now; it is counted then."""
        who = network_of(address)
        times = self._times.pop(who, None) or deque(maxlen=max(count for count, _ in self._limits))
        self._times[who] = times  # The last one heard of is last in the table.
        if len(self._times) > MAX_ENTRIES:
            del self._times[next(iter(self._times))]
        if any(sum(now - time < seconds for time in times) >= count for count, seconds in self._limits):
            return False
        times.append(now)
        return True


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


@dataclass(frozen=True)
class _Rule:
    free: int
    longest: float


class Delays:
    """The wait after wrong passwords, doubled by each, per address and per user.

    An attempt counts as failed until it is said to have succeeded, so that many at once are no way around it.
    """

    FORGOTTEN = 3600.0
    """Seconds after the last failure."""
    # A user has more tries and shorter waits: a stranger can spend them for him.
    _RULES: ClassVar = {"address": _Rule(free=5, longest=300.0), "user": _Rule(free=20, longest=30.0)}

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, _Failures]] = {kind: {} for kind in self._RULES}

    def wait(self, address: str, user: str, now: float) -> float:
        """Seconds until the next attempt is allowed; 0 allows this one, which is counted."""
        whose = {"address": network_of(address), "user": user}
        waits = [self._wait(kind, who, now) for kind, who in whose.items()]
        if max(waits) > 0:
            return max(waits)
        for kind, who in whose.items():
            self._count(self._tables[kind], who, now)
        return 0.0

    def succeeded(self, address: str, user: str) -> None:
        """The attempt that was allowed last was no failure; those before it count no more for the user."""
        self._tables["user"].pop(user, None)
        # Whoever has an account here could otherwise guess at others without a wait, by logging in between.
        failures = self._tables["address"].get(network_of(address))
        if failures is not None:
            failures.count -= 1

    def _wait(self, kind: str, who: str, now: float) -> float:
        failures, rule = self._tables[kind].get(who), self._RULES[kind]
        if failures is None or failures.count < rule.free or now - failures.last > self.FORGOTTEN:
            return 0.0
        delay = min(2.0 ** min(failures.count - rule.free, 16), rule.longest)
        return max(0.0, failures.last + delay - now)

    def _count(self, table: dict[str, _Failures], who: str, now: float) -> None:
        failures = table.get(who)
        if failures is None or now - failures.last > self.FORGOTTEN:
            if failures is None and len(table) >= MAX_ENTRIES:
                # Made-up names push each other out, and not the one that is under attack.
                del table[min(table, key=lambda each: (table[each].count, table[each].last))]
            failures = table[who] = _Failures(0, now)
        failures.count += 1
        failures.last = now


def network_of(address: str) -> str:
    """Whom an address is counted for: with IPv6 everybody has a whole network of them."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 6:
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_local(address: str) -> bool:
    """Whether somebody at this address is in a network of our own."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return parsed.is_private or parsed.is_loopback or parsed.is_link_local
