"""Whoever wants to know what happens to a printer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from limpet.printer.state import Snapshot
from limpet.protocol.events import Event

MAX_UNREAD = 1000
"""Events that wait for a subscriber; a reader that is slower is cut off."""


class Subscription:
    """An async iterator over (event, snapshot) that ends when its reader falls too far behind or closes it."""

    def __init__(self, peers: set[Subscription]) -> None:
        self._peers = peers
        self._unread: deque[tuple[Event, Snapshot]] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self.fell_behind = False

    def offer(self, event: Event, snapshot: Snapshot) -> None:
        if len(self._unread) >= MAX_UNREAD:
            self.fell_behind = True
            self.close()
        else:
            self._unread.append((event, snapshot))
            self._news.set()

    def close(self) -> None:
        self._closed = True
        self._peers.discard(self)
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[tuple[Event, Snapshot]]:
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
