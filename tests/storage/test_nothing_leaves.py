"""Nothing leaves the folder, whatever names are asked for and whatever links lie in it."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limpet.errors import LimpetError
from limpet.storage.store import Store

GCODE = b"G28\n"
TRICKS = [
    "..",
    ".",
    "",
    "/",
    "\0",
    "CON",
    "COM1",
    "sub",
    "link",
    "a.gcode",
    "x" * 300,
    "ü",
    "%2e%2e",
    "~",
    "..\\..",
    "😀",
]
PATHS = st.lists(st.sampled_from(TRICKS) | st.text(max_size=8), max_size=5).map("/".join)


class Place:
    """A store beside something that is none of its business, with links that lead there."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.outside = top / "outside"
        (self.outside / "inner").mkdir(parents=True)
        (self.outside / "secret.gcode").write_bytes(b"secret")
        self.folder = top / "uploads"
        (self.folder / "sub").mkdir(parents=True)
        (self.folder / "a.gcode").write_bytes(GCODE)
        (self.folder / "link").symlink_to(self.outside)
        (self.folder / "sub/link").symlink_to("../../outside")
        (self.folder / "link.gcode").symlink_to(self.outside / "secret.gcode")
        (self.folder / "nowhere.gcode").symlink_to(self.outside / "made.gcode")
        self.store = Store(self.folder)

    def beyond(self) -> dict[str, bytes | None]:
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in self.top.rglob("*")
            if not path.is_relative_to(self.folder)
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def use(store: Store, path: str, other: str) -> None:
    """Every verb, with these paths."""
    for verb in (
        lambda: store.listing(path, recursive=True),
        lambda: store.info(path),
        lambda: store.make_folder(path),
        lambda: put(store, path),
        lambda: put(store, f"{path}/new.gcode"),
        lambda: store.other_name(path),
        lambda: store.copy(path, other),
        lambda: store.move(path, other),
        lambda: store.copy("a.gcode", path),
        lambda: store.move("a.gcode", path),
        lambda: read(store, path),
        lambda: store.delete(path),
    ):
        with suppress(LimpetError):
            verb()


def put(store: Store, path: str) -> None:
    upload = store.begin()
    try:
        upload.write([GCODE])
        store.place(upload, path)
    finally:
        upload.discard()


def read(store: Store, path: str) -> None:
    with os.fdopen(store.open(path), "rb") as file:
        assert file.read() == GCODE


@given(path=PATHS, other=PATHS)
@example(path="link/secret.gcode", other="sub")
@example(path="link", other="sub")
@example(path="sub", other="link")
@example(path="link.gcode", other="b.gcode")
@example(path="nowhere.gcode", other="b.gcode")
@example(path="../outside/secret.gcode", other="../outside/inner")
@settings(deadline=None, max_examples=150)
def test_no_path_leads_out(path: str, other: str) -> None:
    with TemporaryDirectory() as top:
        place = Place(Path(top))
        before = place.beyond()

        use(place.store, path, other)

        assert place.beyond() == before
        assert (place.folder / "link").is_symlink()


def test_links_are_not_listed(place: Place) -> None:
    listing = place.store.listing(recursive=True)

    assert [child.path for child in listing.children] == ["a.gcode", "sub"]


@pytest.mark.parametrize("path", ["link", "link/secret.gcode", "link.gcode", "sub/link", "sub/link/secret.gcode"])
def test_what_lies_behind_a_link_is_not_there(place: Place, path: str) -> None:
    assert place.store.is_folder(path) is None


def test_a_link_is_not_overwritten(place: Place) -> None:
    for name in ("link.gcode", "nowhere.gcode"):
        with pytest.raises(LimpetError):
            put(place.store, name)
        assert (place.folder / name).is_symlink()


def test_a_folder_that_is_swapped_for_a_link_in_the_middle_is_not_left(place: Place) -> None:
    """The swap comes between the look at a folder and the deed in it, again and again."""
    before, stop, swaps = place.beyond(), threading.Event(), 0
    swapped = place.folder / "swapped"

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            with suppress(OSError):
                swapped.symlink_to(place.outside)
            with suppress(OSError):
                swapped.unlink()
                swapped.mkdir()
                swaps += 1
            shutil.rmtree(swapped, ignore_errors=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(100):
            use(place.store, "swapped/a.gcode", "swapped/b.gcode")
    finally:
        stop.set()
        thread.join()

    assert place.beyond() == before
    assert swaps > 100
