"""Who has a device open, with real processes and real pseudo-terminals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from limpet.transports.holders import holder_of, is_open_here


@pytest.fixture
def terminal() -> Iterator[int]:
    """The slave of a pseudo-terminal, open in this process."""
    master, slave = os.openpty()
    yield slave
    os.close(slave)
    os.close(master)


def test_a_device_that_only_we_have_open_has_no_holder(terminal: int) -> None:
    assert holder_of(os.ttyname(terminal)) is None


def test_we_know_what_we_have_open_ourselves(terminal: int) -> None:
    assert is_open_here(os.ttyname(terminal))
    assert not is_open_here("/dev/nothing")


def test_another_process_is_named(terminal: int) -> None:
    with subprocess.Popen(["sleep", "60"], stdin=terminal) as holder:
        assert holder_of(os.ttyname(terminal)) == (holder.pid, "sleep")
        holder.kill()
    assert holder_of(os.ttyname(terminal)) is None


def test_the_holder_is_found_through_a_link(terminal: int, tmp_path: Path) -> None:
    link = tmp_path / "printer"
    link.symlink_to(os.ttyname(terminal))
    with subprocess.Popen(["sleep", "60"], stdin=terminal) as holder:
        assert holder_of(str(link)) == (holder.pid, "sleep")
        holder.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device node")
def test_the_holder_is_found_when_it_opened_the_device_under_another_name(terminal: int, tmp_path: Path) -> None:
    node = tmp_path / "ttyUSB0"
    os.mknod(node, 0o600 | 0o020000, os.fstat(terminal).st_rdev)
    with subprocess.Popen(["sleep", "60"], stdin=terminal) as holder:
        assert holder_of(str(node)) == (holder.pid, "sleep")
        holder.kill()


def test_a_device_that_is_not_there_has_no_holder() -> None:
    assert holder_of("/dev/nothing") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_processes_that_we_may_not_look_into_are_passed_over(terminal: int) -> None:
    with subprocess.Popen(["sleep", "60"], stdin=terminal) as holder:
        os.seteuid(65534)
        try:
            assert holder_of(os.ttyname(terminal)) is None
        finally:
            os.seteuid(0)
        holder.kill()
