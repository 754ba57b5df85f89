from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from limpet.aside import close_aside


async def test_it_is_closed_although_whoever_wanted_that_is_cancelled_before_a_thread_has_begun() -> None:
    go_on, closed = threading.Event(), threading.Event()

    async def work() -> None:
        close_aside(closed.set)
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as only:
        loop.set_default_executor(only)
        blocked = loop.run_in_executor(None, go_on.wait)
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert not closed.is_set()
        go_on.set()
        await blocked
    assert closed.is_set()


async def test_a_disk_that_fails_is_of_no_consequence() -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    def fail() -> None:
        raise OSError("the disk is gone")

    close_aside(fail)
    await loop.run_in_executor(None, lambda: None)
    await asyncio.sleep(0.05)
    assert complaints == []
