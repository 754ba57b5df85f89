"""What is done in a thread, even if nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


def close_aside(close: Callable[[], None]) -> None:
    """Close a file without holding up the event loop: a disk may hang, or take its time to give the room of a deleted
    one back. A task that waited for `asyncio.to_thread` instead could be cancelled before the thread has begun, and
    then nothing would be closed. That the disk fails is of no consequence."""
    asyncio.get_running_loop().run_in_executor(None, close).add_done_callback(_forget)


def _forget(closing: asyncio.Future[None]) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        closing.result()
