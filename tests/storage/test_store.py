"""A folder of files, and what is known about them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from limpet.errors import BadRequest, Conflict, NoRoom, NotFound
from limpet.storage import store as store_module
from limpet.storage.index import NAME as INDEX
from limpet.storage.store import Store, StoredFile, StoredFolder

GCODE = b"G28\nG1 X10\n"
SHA1 = hashlib.sha1(GCODE).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder)


def put(store: Store, path: str, content: bytes = GCODE, **options: object) -> StoredFile:
    upload = store.begin()
    try:
        upload.write([content])
        return store.place(upload, path, **options)  # type: ignore[arg-type]
    finally:
        upload.discard()


def paths(folder: StoredFolder) -> list[str]:
    """All that is told, at any depth."""
    found = []
    for child in folder.children:
        found.append(child.path)
        if isinstance(child, StoredFolder):
            found += paths(child)
    return found


def on_disk(folder: Path) -> list[str]:
    """All that is there, hidden or not, but for the index."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != INDEX)


# -- files come in --


def test_an_upload_is_a_file_with_its_hash_and_its_owner(store: Store, folder: Path) -> None:
    file = put(store, "sub/a:b.gcode", user="ann", userdata={"a": 1})

    assert (folder / "sub/ab.gcode").read_bytes() == GCODE
    assert file == store.info("sub/ab.gcode")
    assert (file.name, file.display, file.size, file.hash) == ("ab.gcode", "a:b.gcode", len(GCODE), SHA1)
    assert (file.user, file.userdata, file.type_path) == ("ann", {"a": 1}, ("machinecode", "gcode"))
    assert file.date == int((folder / "sub/ab.gcode").stat().st_mtime)


def test_nothing_is_seen_of_an_upload_before_it_is_placed(store: Store, folder: Path) -> None:
    upload = store.begin()
    upload.write([GCODE])

    assert paths(store.listing(recursive=True)) == []
    assert len(on_disk(folder)) == 1
    upload.discard()
    assert on_disk(folder) == []
    upload.discard()


def test_a_file_that_is_there_is_replaced_only_by_whoever_wants_that(store: Store, folder: Path) -> None:
    put(store, "a.gcode", b"old", user="ann")

    with pytest.raises(Conflict, match="already exist"):
        put(store, "a.gcode", overwrite=False)
    assert (folder / "a.gcode").read_bytes() == b"old"
    assert put(store, "a.gcode").user is None
    assert on_disk(folder) == ["a.gcode"]


@pytest.mark.parametrize("path", ["a.txt", "", "sub/", ".gcode", "a.gcode/..", "../a.gcode", "sub/../a.gcode"])
def test_what_is_no_name_of_a_file_to_print_is_refused(store: Store, folder: Path, path: str) -> None:
    with pytest.raises(BadRequest):
        put(store, path)
    assert on_disk(folder) == []


def test_a_folder_is_not_replaced_by_a_file_nor_a_file_by_a_folder(store: Store) -> None:
    store.make_folder("a.gcode")
    put(store, "b.gcode")

    with pytest.raises(Conflict):
        put(store, "a.gcode")
    with pytest.raises(Conflict):
        put(store, "b.gcode/c.gcode")
    with pytest.raises(Conflict):
        store.make_folder("b.gcode")


def test_a_folder_may_be_made_twice(store: Store) -> None:
    assert store.make_folder("new/a:b") == store.make_folder("new/a:b")
    assert store.listing("new/ab").display == "a:b"


def test_a_full_disk_is_told_and_leaves_nothing(store: Store, folder: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Where a file may not grow, the system says so as it does of a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(NoRoom, match="not enough room"):
            put(store, "a.gcode", b"x" * (1 << 17))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert on_disk(folder) == []


# -- files that a person has put there --


def test_a_file_that_was_copied_in_by_hand_is_listed_and_gets_its_hash_when_it_is_asked_for(
    store: Store, folder: Path
) -> None:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/by hand.gcode").write_bytes(GCODE)

    assert store.listing(recursive=True).children[0].children[0].hash is None  # type: ignore[union-attr]
    assert store.info("sub/by hand.gcode").hash == SHA1
    assert store.listing(recursive=True).children[0].children[0].hash == SHA1  # type: ignore[union-attr]
    assert Store(folder).listing("sub").children[0].hash == SHA1  # type: ignore[union-attr]


def test_a_large_file_is_not_read_for_its_hash(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_HASHED", 3)
    folder.mkdir()
    (folder / "a.gcode").write_bytes(GCODE)

    assert store.info("a.gcode").hash is None


def test_what_was_known_of_a_file_is_forgotten_when_somebody_replaces_it(store: Store, folder: Path) -> None:
    put(store, "a.gcode", user="ann")

    (folder / "a.gcode").write_bytes(b"G29\n")

    file = store.info("a.gcode")
    assert (file.user, file.hash) == (None, hashlib.sha1(b"G29\n").hexdigest())


def test_what_is_no_file_to_print_is_not_seen(store: Store, folder: Path) -> None:
    (folder / ".hidden").mkdir(parents=True)
    (folder / ".hidden.gcode").touch()
    (folder / "notes.txt").touch()
    (folder / "no extension").touch()
    os.mkfifo(folder / "pipe.gcode")
    (folder / os.fsdecode(b"not utf-8 \xff.gcode")).touch()

    assert paths(store.listing(recursive=True)) == []
    for name in ("notes.txt", ".hidden.gcode", "pipe.gcode", ".hidden", INDEX):
        assert store.is_folder(name) is None or name == "pipe.gcode"
        for verb in (store.info, store.listing, store.delete, store.open):
            with pytest.raises(NotFound):
                verb(name)


# -- looking --


def test_a_folder_tells_what_is_in_it_and_how_much_that_is(store: Store) -> None:
    put(store, "sub/dir/a.gcode")
    put(store, "b.gcode")

    assert paths(store.listing()) == ["b.gcode", "sub"]
    assert paths(store.listing(recursive=True)) == ["b.gcode", "sub", "sub/dir", "sub/dir/a.gcode"]
    assert store.listing().size == 2 * len(GCODE)
    sub = store.listing().children[1]
    assert isinstance(sub, StoredFolder)
    assert (sub.size, sub.children) == (len(GCODE), ())
    assert paths(store.listing("sub")) == ["sub/dir"]


@pytest.mark.parametrize("path", ["nothing", "sub/nothing", "a.gcode/b.gcode", "..", "sub/../a.gcode", "/", "a.gcode/"])
def test_what_is_not_there_is_told(store: Store, path: str) -> None:
    put(store, "a.gcode")
    store.make_folder("sub")

    assert store.is_folder(path) is None
    for verb in (store.info, store.listing, store.look, store.open, store.delete):
        with pytest.raises(NotFound):
            verb(path)
    for change in (store.copy, store.move):
        with pytest.raises(NotFound):
            change(path, "sub")


def test_the_top_of_the_store_is_a_folder_that_stays(store: Store, folder: Path) -> None:
    put(store, "a.gcode")

    assert store.is_folder("") is True
    for change in (lambda: store.delete(""), lambda: store.move("", "b"), lambda: store.copy("", "b")):
        with pytest.raises(NotFound):
            change()
    assert on_disk(folder) == ["a.gcode"]


def test_an_open_file_is_read_to_its_end_even_when_it_is_deleted_meanwhile(store: Store) -> None:
    put(store, "a.gcode")

    with os.fdopen(store.open("a.gcode"), "rb") as file:
        store.delete("a.gcode")
        assert file.read() == GCODE


def test_there_is_as_much_room_as_the_disk_has(store: Store, tmp_path: Path) -> None:
    free, total = store.space()

    disk = os.statvfs(tmp_path)
    assert total == disk.f_blocks * disk.f_frsize
    assert 0 < free < total


def test_another_name_is_found_for_a_file(store: Store) -> None:
    put(store, "a.gcode")
    put(store, "a_1.gcode")
    store.make_folder("b")

    assert store.other_name("a.gcode") == "a_2.gcode"
    assert store.other_name("b") == "b_1"


# -- copying, moving, deleting --


def test_a_file_is_copied_with_all_that_is_known_of_it(store: Store, folder: Path) -> None:
    put(store, "a.gcode", user="ann")
    store.make_folder("sub")

    copy = store.copy("a.gcode", "sub")

    assert copy == store.info("a.gcode")._replace(path="sub/a.gcode")
    assert store.copy("a.gcode", "/sub/b:.gcode").path == "sub/b.gcode"
    assert on_disk(folder) == ["a.gcode", "sub", "sub/a.gcode", "sub/b.gcode"]


def test_a_folder_is_copied_with_the_files_to_print_that_are_in_it(store: Store, folder: Path) -> None:
    put(store, "a/b/c.gcode", user="ann")
    (folder / "a/notes.txt").touch()
    (folder / "a/link.gcode").symlink_to("/etc/passwd")

    store.copy("a", "d")

    assert on_disk(folder / "d") == ["b", "b/c.gcode"]
    assert store.info("d/b/c.gcode").user == "ann"
    assert store.info("a/b/c.gcode").user == "ann"


def test_a_file_and_a_folder_are_moved(store: Store, folder: Path) -> None:
    put(store, "a.gcode", user="ann")
    put(store, "old/b.gcode", user="bob")

    assert store.move("a.gcode", "old").path == "old/a.gcode"
    assert store.move("old", "new").path == "new"

    assert on_disk(folder) == ["new", "new/a.gcode", "new/b.gcode"]
    assert (store.info("new/a.gcode").user, store.info("new/b.gcode").user) == ("ann", "bob")
    assert Store(folder).info("new/a.gcode").user == "ann"


@pytest.mark.parametrize("verb", ["copy", "move"])
@pytest.mark.parametrize(
    ("source", "destination", "error"),
    [
        ("a.gcode", "b.gcode", Conflict),
        ("a.gcode", "a.gcode", Conflict),
        ("a.gcode", "", Conflict),
        ("a.gcode", "nowhere", BadRequest),
        ("a.gcode", "nowhere/c.gcode", BadRequest),
        ("a.gcode", "b.gcode/c.gcode", BadRequest),
        ("a.gcode", "a.txt", BadRequest),
        ("a.gcode", "../c.gcode", BadRequest),
        ("sub", "sub", BadRequest),
        ("sub", "sub/dir", BadRequest),
        ("sub", "", Conflict),
    ],
)
def test_what_cannot_be_copied_or_moved_stays_as_it_is(
    store: Store, folder: Path, verb: str, source: str, destination: str, error: type[Exception]
) -> None:
    put(store, "a.gcode")
    put(store, "b.gcode")
    store.make_folder("sub/dir")
    before = on_disk(folder)

    with pytest.raises(error):
        getattr(store, verb)(source, destination)
    assert on_disk(folder) == before


def test_a_folder_is_deleted_with_all_that_is_in_it(store: Store, folder: Path, tmp_path: Path) -> None:
    put(store, "a/b/c.gcode")
    (folder / "a/notes.txt").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept.gcode").touch()
    (folder / "a/link").symlink_to(tmp_path / "outside")

    assert store.delete("a") is True

    assert on_disk(folder) == []
    assert (tmp_path / "outside/kept.gcode").exists()
    assert store.delete(put(store, "a.gcode").path) is False


# -- the index --


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"entries": {"a.gcode": 1}}', b"\xff" * 10, b"[" * 100_000])
def test_a_broken_index_is_begun_anew(folder: Path, content: bytes) -> None:
    put(Store(folder), "a.gcode", user="ann")
    (folder / INDEX).write_bytes(content)

    store = Store(folder)

    assert store.info("a.gcode").user is None
    put(store, "b.gcode", user="bob")
    assert Store(folder).info("b.gcode").user == "bob"


def test_a_lost_index_loses_no_file(folder: Path) -> None:
    put(Store(folder), "a.gcode", user="ann")
    (folder / INDEX).unlink()

    assert Store(folder).info("a.gcode").hash == SHA1


def test_the_index_forgets_what_is_gone_or_replaced(folder: Path) -> None:
    store = Store(folder)
    for name in ("gone.gcode", "replaced.gcode", "kept.gcode"):
        put(store, name)
    store.make_folder("a:b")
    (folder / "gone.gcode").unlink()
    (folder / "replaced.gcode").write_bytes(b"G29\n")

    Store(folder).sweep()

    assert sorted(json.loads((folder / INDEX).read_bytes())["entries"]) == ["ab", "kept.gcode"]


def test_an_index_that_is_a_link_is_neither_read_nor_written_through(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "outside").write_text("keep")
    (folder / INDEX).symlink_to(tmp_path / "outside")

    put(Store(folder), "a.gcode", user="ann")

    assert (tmp_path / "outside").read_text() == "keep"
    assert Store(folder).info("a.gcode").user == "ann"


# -- what a kill has left --


def test_left_overs_are_swept_and_what_is_still_being_written_is_not(folder: Path) -> None:
    store = Store(folder)
    put(store, "sub/a.gcode")
    upload = store.begin()
    (folder / ".limpet-0123.tmp").touch()
    (folder / "sub/.limpet-4567.tmp").mkdir()
    (folder / "sub/.limpet-4567.tmp/b.gcode").touch()

    Store(folder).sweep()

    assert len(on_disk(folder)) == 3
    assert store.place(upload, "b.gcode").path == "b.gcode"
    upload.discard()
    assert on_disk(folder) == ["b.gcode", "sub", "sub/a.gcode"]


def test_there_is_nothing_to_sweep_where_no_folder_is(folder: Path) -> None:
    Store(folder).sweep()

    assert not folder.exists()


# -- the folder itself --


def test_a_folder_whose_place_is_missing_is_not_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "not mounted/uploads")

    with pytest.raises(Conflict, match="not there"):
        store.listing()


def test_the_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "uploads").symlink_to(tmp_path / "disk")

    put(Store(tmp_path / "uploads"), "a.gcode")

    assert (tmp_path / "disk/a.gcode").exists()


def test_many_threads_do_not_lose_each_others_files(store: Store, folder: Path) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            put(store, f"{number}/{turn}.gcode", user=str(number))
            store.listing(recursive=True)
        store.move(f"{number}/0.gcode", f"{number}/moved.gcode")
        store.delete(f"{number}/1.gcode")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    again = Store(folder)
    for number in range(6):
        names = [child.name for child in again.listing(str(number)).children]
        assert names == ["2.gcode", "3.gcode", "4.gcode", "moved.gcode"]
        assert again.info(f"{number}/moved.gcode").user == str(number)
