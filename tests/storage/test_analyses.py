"""What is known of what is in the files of a store."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from limpet.errors import NotFound
from limpet.gcodefile.analysis import Analysis, Found, Point, Summary, Thumbnail
from limpet.storage.index import NAME as INDEX
from limpet.storage.store import Store, StoredFile
from tests.storage.test_store import put

SMALL, LARGE = Thumbnail(16, 16, "png"), Thumbnail(220, 124, "jpg")
FOUND = Found(
    analysis=Analysis(summary=Summary(moves=3, time=9.5, thumbnails=(SMALL, LARGE)), done=(Point(0, 0), Point(9, 9.5))),
    pictures=(b"small", b"large"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return again(tmp_path)


def again(tmp_path: Path) -> Store:
    return Store(tmp_path / "uploads", tmp_path / "analyses")


def analyse(store: Store, path: str, found: Found | bytes = FOUND, *, good: bool = True) -> Summary | None:
    reading = store.read(path)
    try:
        reading.result.write(found if isinstance(found, bytes) else msgspec.json.encode(found))
        return store.keep(reading, good=good)
    finally:
        reading.close()


def kept(tmp_path: Path) -> list[str]:
    folder = tmp_path / "analyses"
    return sorted(path.name.partition(".")[2] for path in folder.iterdir()) if folder.is_dir() else []


def test_an_analysis_is_kept_with_its_pictures(store: Store, tmp_path: Path) -> None:
    put(store, "a.gcode", user="ann")
    assert store.info("a.gcode").analysis is None
    assert store.analysis("a.gcode") is None

    assert analyse(store, "a.gcode") == FOUND.analysis.summary

    for one in (store, again(tmp_path)):
        file = one.listing().children[0]
        assert isinstance(file, StoredFile)
        assert (file.analysis, file.user) == (FOUND.analysis.summary, "ann")
        assert one.analysis("a.gcode") == FOUND.analysis
        assert one.thumbnail("a.gcode") == (LARGE, b"large")
        assert one.thumbnail("a.gcode", "16x16") == (SMALL, b"small")
        assert one.thumbnail("a.gcode", "1x1") == (LARGE, b"large")
    assert (tmp_path / "analyses").stat().st_mode & 0o777 == 0o700


def test_a_file_that_was_put_in_by_hand_can_be_analysed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads/a.gcode").write_bytes(b"G28\n")
    reading = store.read("a.gcode")
    assert os.read(reading.source, 10) == b"G28\n"
    reading.close()
    analyse(store, "a.gcode")
    assert store.info("a.gcode").analysis == FOUND.analysis.summary


def test_a_file_that_has_changed_is_not_known_any_more(store: Store, tmp_path: Path) -> None:
    put(store, "a.gcode")
    analyse(store, "a.gcode")
    (tmp_path / "uploads/a.gcode").write_bytes(b"G28\nG29\n")
    assert store.info("a.gcode").analysis is None
    assert store.analysis("a.gcode") is None
    with pytest.raises(NotFound):
        store.thumbnail("a.gcode")


def test_what_was_found_in_a_file_that_is_replaced_meanwhile_is_of_no_use(store: Store, tmp_path: Path) -> None:
    put(store, "a.gcode")
    reading = store.read("a.gcode")
    reading.result.write(msgspec.json.encode(FOUND))
    (tmp_path / "uploads/a.gcode").write_bytes(b"G28\nG29\n")
    assert store.keep(reading) is None
    store.delete("a.gcode")
    with pytest.raises(NotFound):
        store.keep(reading)
    reading.close()
    assert kept(tmp_path) == []


def test_analyses_go_with_their_files(store: Store, tmp_path: Path) -> None:
    three = ["16x16.png", "220x124.jpg", "json"]
    put(store, "sub/a.gcode")
    analyse(store, "sub/a.gcode")
    store.copy("sub", "other")
    store.move("other/a.gcode", "b.gcode")
    assert store.analysis("b.gcode") == FOUND.analysis
    assert store.analysis("other/a.gcode") is None

    store.delete("sub")
    assert kept(tmp_path) == three
    assert store.thumbnail("b.gcode") == (LARGE, b"large")
    store.delete("b.gcode")
    assert kept(tmp_path) == []

    put(store, "a.gcode")
    analyse(store, "a.gcode")
    put(store, "a.gcode")
    assert kept(tmp_path) == []
    analyse(store, "a.gcode")
    analyse(store, "a.gcode")
    assert kept(tmp_path) == three


def test_what_is_left_over_is_swept(store: Store, tmp_path: Path) -> None:
    put(store, "a.gcode")
    analyse(store, "a.gcode")
    put(store, "b.gcode")
    analyse(store, "b.gcode")
    (tmp_path / "uploads/a.gcode").unlink()
    (tmp_path / "analyses/stray.json").write_text("{}")
    again(tmp_path).sweep()
    assert kept(tmp_path) == ["16x16.png", "220x124.jpg", "json"]
    (tmp_path / "uploads" / INDEX).unlink()
    again(tmp_path).sweep()
    assert kept(tmp_path) == []


def test_a_file_that_cannot_be_read_is_not_tried_again_and_again(store: Store, tmp_path: Path) -> None:
    put(store, "a.gcode")
    assert analyse(store, "a.gcode", b"half of it", good=False) == Summary()
    assert store.info("a.gcode").analysis == Summary()
    assert analyse(store, "a.gcode", b"{]") == Summary()
    assert kept(tmp_path) == []


def test_analyses_may_be_lost(store: Store, tmp_path: Path) -> None:
    put(store, "a.gcode")
    analyse(store, "a.gcode")
    for path in (tmp_path / "analyses").iterdir():
        path.write_bytes(b"\x00") if path.suffix == ".json" else path.unlink()
    assert store.analysis("a.gcode") == Analysis(summary=FOUND.analysis.summary)
    with pytest.raises(NotFound):
        store.thumbnail("a.gcode")
    store.delete("a.gcode")


def test_a_folder_that_cannot_be_written_costs_only_the_tables(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "uploads", tmp_path / "file" / "analyses")
    put(store, "a.gcode")
    analyse(store, "a.gcode")
    assert store.analysis("a.gcode") == Analysis(summary=FOUND.analysis.summary)


def test_there_is_nothing_to_know_of_what_is_not_there(store: Store) -> None:
    assert store.analysis("a.gcode") is None
    assert store.analysis("../a.gcode") is None
    for deed in (store.read, store.thumbnail):
        with pytest.raises(NotFound):
            deed("a.gcode")
