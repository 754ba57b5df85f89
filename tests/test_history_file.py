"""The file of the history: what is kept, counted, moved and forgotten, and what a bad disk does."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from limpet import history_file
from limpet.errors import Conflict, NoRoom, NotFound
from limpet.gcodefile.analysis import Filament
from limpet.history_file import STEPS, HistoryFile, Place, Record

PLACE = Place("uploads", "_default")


def record(path: str = "a.gcode", **more: Any) -> Record:
    fields: dict[str, Any] = {
        "printer": "mini",
        "profile": "_default",
        "store": "uploads",
        "origin": "local",
        "path": path,
        "display": path,
        "size": 1000,
        "date": 7,
        "user": "ada",
        "started": 100.0,
        "ended": 160.0,
        "elapsed": 60.0,
        "outcome": "done",
    }
    return Record(**(fields | more))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HistoryFile]:
    file = HistoryFile(tmp_path / "history.db")
    yield file
    file.close()


def paths(file: HistoryFile, printer: str | None = "mini") -> list[str]:
    return [each.path for each in file.newest(printer, 100)[0]]


def test_nothing_is_made_before_something_is_written(file: HistoryFile, tmp_path: Path) -> None:
    assert file.newest(None, 10) == ([], 0)
    assert file.tallies("uploads") == {}
    assert file.cut_off() == []
    file.clear("mini")
    file.move("uploads", "a", "b")
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_read_again(file: HistoryFile, tmp_path: Path) -> None:
    put = record(filament={0: Filament(1000.0, 2.4), 1: Filament(10.0, 0.1, 0.3)}, code="x", message="y", resends=3)
    id = file.put(put)

    assert file.newest("mini", 10) == ([structs.replace(put, id=id)], 1)
    assert (tmp_path / "history.db").stat().st_mode & 0o777 == 0o600


def test_a_print_under_way_is_written_over(file: HistoryFile) -> None:
    id = file.put(record(outcome=None, position=10, line=2))
    file.put(record(id=id, outcome=None, position=20, line=3))

    (only,), total = file.newest("mini", 10)
    assert (only.position, only.line, total) == (20, 3, 1)


def test_newest_come_first_by_printer_and_in_pages(file: HistoryFile) -> None:
    for number in range(5):
        file.put(record(f"{number}.gcode"))
    file.put(record("other.gcode", printer="mk3"))

    assert paths(file) == ["4.gcode", "3.gcode", "2.gcode", "1.gcode", "0.gcode"]
    assert [each.path for each in file.newest("mini", 2, 1)[0]] == ["3.gcode", "2.gcode"]
    assert paths(file, None)[0] == "other.gcode"
    assert file.newest("mini", 2, 1)[1] == 5


def test_only_the_newest_are_kept(file: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_file, "MAX_PRINTS", 3)
    for number in range(5):
        file.put(record(f"{number}.gcode"))

    assert paths(file) == ["4.gcode", "3.gcode", "2.gcode"]


def test_filament_is_counted_by_how_far_it_came() -> None:
    need = {0: Filament(1000.0, 2.0, 3.0)}

    assert record(filament=need).used == need
    assert record(filament=need, outcome="failed", position=250).used == {0: Filament(250.0, 0.5, 0.75)}
    assert record(filament=need, outcome="failed", position=250, size=None).used == {0: Filament(0.0, 0.0, 0.0)}
    assert record().used is None
    assert record(filament=need, skipped=750).used == {0: Filament(250.0, 0.5, 0.75)}
    assert record(filament=need, outcome="failed", skipped=500, position=750).used == {0: Filament(250.0, 0.5, 0.75)}


def test_good_and_bad_prints_of_a_file_are_counted(file: HistoryFile) -> None:
    file.put(record(elapsed=60.0, ended=1.0))
    file.put(record(elapsed=80.0, ended=2.0))
    file.put(record(elapsed=50.0, ended=3.0, profile="big"))
    file.put(record(elapsed=5.0, ended=4.0, outcome="cancelled"))
    file.put(record(outcome=None))
    file.put(record("deep/in/b.gcode", outcome="failed", elapsed=2.0, ended=5.0))

    found = file.tallies("uploads")

    tally = found["a.gcode", 1000, 7]
    assert (tally.success, tally.failure) == (3, 1)
    assert (tally.last_ended, tally.last_elapsed, tally.last_success) == (4.0, 5.0, False)
    assert (tally.average, tally.last) == ({"_default": 70.0, "big": 50.0}, {"_default": 80.0, "big": 50.0})
    assert found["deep/in/b.gcode", 1000, 7] == (0, 1, 5.0, 2.0, False, {}, {})
    assert file.tallies("elsewhere") == {}
    assert list(file.tallies("uploads", "deep")) == [("deep/in/b.gcode", 1000, 7)]
    assert file.good_times(PLACE, ("a.gcode", 1000, 7), 5) == ((60.0, 80.0), 70.0)
    assert file.good_times(PLACE, ("a.gcode", 1000, 7), 1) == ((80.0,), 70.0)


def test_a_print_that_went_on_with_another_one_says_nothing_of_how_long_it_takes(file: HistoryFile) -> None:
    file.put(record(elapsed=5.0, skipped=500))

    tally = file.tallies("uploads")["a.gcode", 1000, 7]
    assert (tally.success, tally.average, tally.last) == (1, {}, {})
    assert file.good_times(PLACE, ("a.gcode", 1000, 7), 5) == ((), None)


def test_another_file_of_the_same_name_begins_anew(file: HistoryFile) -> None:
    file.put(record(date=7))
    file.put(record(date=8))

    assert file.tallies("uploads", "a.gcode")["a.gcode", 1000, 8].success == 1
    assert file.good_times(PLACE, ("a.gcode", 1000, 9), 5) == ((), None)


def test_what_a_file_was_printed_moves_with_it(file: HistoryFile) -> None:
    for path in ("a.gcode", "a.gcode.gcode", "old/b.gcode", "old/in/c.gcode", "old-b.gcode"):
        file.put(record(path))

    file.move("uploads", "a.gcode", "new/z.gcode")
    file.move("uploads", "old", "new/older")
    file.move("elsewhere", "old-b.gcode", "x.gcode")

    told = {each.path: each.display for each in file.newest(None, 10)[0]}
    assert told == {
        "new/z.gcode": "z.gcode",
        "a.gcode.gcode": "a.gcode.gcode",
        "new/older/b.gcode": "old/b.gcode",
        "new/older/in/c.gcode": "old/in/c.gcode",
        "old-b.gcode": "old-b.gcode",
    }


def test_prints_are_forgotten_when_they_have_ended(file: HistoryFile) -> None:
    first, second, third = (file.put(record(outcome=outcome)) for outcome in ("done", "failed", None))

    file.delete(first, "mini")
    for id, printer, error in ((first, "mini", NotFound), (second, "mk3", NotFound), (third, "mini", Conflict)):
        with pytest.raises(error):
            file.delete(id, printer)
    file.clear("mk3")
    assert file.newest("mini", 10)[1] == 2
    file.clear("mini")
    assert [each.id for each in file.newest("mini", 10)[0]] == [third]


def test_a_print_that_was_cut_off_is_told_once(file: HistoryFile, tmp_path: Path) -> None:
    file.put(record("done.gcode"))
    id = file.put(record(outcome=None, position=400, line=17, ended=130.0))
    file.close()

    again = HistoryFile(tmp_path / "history.db")
    (cut,) = again.cut_off()

    assert (cut.id, cut.outcome, cut.code, cut.ended, cut.position) == (id, "failed", "server_ended", 130.0, 400)
    assert cut.message == "Limpet was ended while it printed a.gcode, at about line 17"
    assert again.cut_off() == []
    assert again.newest("mini", 1)[0] == [cut]
    again.close()


def test_it_survives_a_kill_right_after_a_write(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from limpet.history_file import *;"
        "put = HistoryFile(Path(sys.argv[1])).put;"
        "r = Record(printer='m', profile='p', store='s', origin='local', path='a', display='a', size=1, date=1,"
        " user=None, started=1.0, ended=1.0);"
        "id = put(r); put(Record(id=id, line=42, **{f: getattr(r, f) for f in r.__struct_fields__ if f not in"
        " ('id', 'line')})); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "history.db")], timeout=30)

    file = HistoryFile(tmp_path / "history.db")
    assert [each.line for each in file.cut_off()] == [42]
    file.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_broken_file_is_put_aside_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    path = tmp_path / "history.db"
    file = HistoryFile(path)
    for _ in range(200):
        file.put(record())
    file.close()
    before = path.read_bytes()
    # Without other content, pages in its middle are damaged.
    path.write_bytes(content or before[:8192] + b"\xff" * 8192 + before[16384:])

    file.put(record("new.gcode"))

    assert paths(file) == ["new.gcode"]
    assert "makes no sense" in caplog.text
    assert (tmp_path / "history.db.broken").stat().st_size > 0
    file.close()


def test_a_file_that_breaks_while_it_is_open_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    file = HistoryFile(path)
    id = file.put(record(outcome=None))
    file.close()
    file.newest("mini", 1)
    path.write_bytes(b"\xff" * path.stat().st_size)
    file.close()

    assert file.put(record(id=id, line=5, outcome=None)) > 0
    assert [each.line for each in file.newest("mini", 5)[0]] == [5]
    file.close()


def test_a_file_of_a_newer_limpet_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = path.read_bytes()

    with pytest.raises(Conflict, match="newer Limpet"):
        HistoryFile(path).put(record())
    assert path.read_bytes()[100:] == before[100:]


def test_a_file_of_an_older_limpet_goes_up_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.db"
    file = HistoryFile(path)
    file.put(record())
    file.close()
    monkeypatch.setattr(history_file, "STEPS", (*STEPS, "ALTER TABLE prints ADD COLUMN note TEXT DEFAULT 'none'"))
    monkeypatch.setattr(history_file, "VERSION", len(STEPS) + 1)

    assert paths(file) == ["a.gcode"]

    file.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
    assert database.execute("SELECT note FROM prints").fetchone() == ("none",)
    database.close()


def test_one_process_has_it_at_a_time(file: HistoryFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_file, "BUSY_TIME", 0.05)
    file.put(record(outcome=None))

    with pytest.raises(Conflict, match="in use by another program"):
        HistoryFile(tmp_path / "history.db").cut_off()
    assert [each.outcome for each in file.newest("mini", 1)[0]] == [None]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that is full, as far as a process can have one of its own."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_and_got_over(file: HistoryFile) -> None:
    id = file.put(record(outcome=None))

    with no_file_larger_than(4096), pytest.raises((NoRoom, Conflict), match="history"):
        file.put(record(id=id, line=9, outcome=None))
    file.put(record(id=id, line=10, outcome=None))

    assert [each.line for each in file.newest("mini", 5)[0]] == [10]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="cannot be used"):
        HistoryFile(tmp_path / "gone" / "history.db").put(record())
