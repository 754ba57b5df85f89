"""A large file costs a print no more memory than a small one."""

from __future__ import annotations

import tracemalloc

import pytest

from limpet.printer.job import Job
from limpet.printer.print import SelectedFile
from limpet.printer.tape import BLOCK

DENSE = "".join(f"G1 X{n % 200} Y{n // 7 % 180} E{n / 100:.2f}\n" for n in range(4000)).encode()
SPARSE = "".join(f"G1 X{n} E{n} ;{'x' * 4000}\n" for n in range(40)).encode()


def memory_for(piece: bytes, times: int) -> int:
    """The most bytes that a print of so many of these pieces has held at any time."""
    file = SelectedFile(origin="local", path="a", name="a", display="a", size=times * len(piece))
    job = Job(file, 0.0, started_at=0.0)
    blocks = iter([piece[at : at + BLOCK] for at in range(0, len(piece), BLOCK)] * times + [b""])
    tracemalloc.start()
    try:
        while not job.ended:
            while job.wants_data:
                job.feed(next(blocks), 0.0)
            job.next_command(0.0)
            job.acknowledged()
            while job.next_event():
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("piece", "times"), [(DENSE, 20), (SPARSE, 300)], ids=["moves", "comments"])
def test_a_large_file_needs_no_more_memory_than_a_small_one(piece: bytes, times: int) -> None:
    assert memory_for(piece, times) < 1.2 * memory_for(piece, max(1, times // 20)) + 100_000
