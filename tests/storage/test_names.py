"""What becomes of names. That of OctoPrint 1.11.8 was asked for each of `AS_OCTOPRINT`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.errors import BadRequest, NotFound
from limpet.storage.names import MAX_NAME, new_path, old_path, sanitised, type_path

AS_OCTOPRINT = {
    "a b (1).gcode": "a b (1).gcode",
    "Größe ß.gcode": "Größe ß.gcode",
    "emoji 😀.gcode": "emoji 😀.gcode",
    "CON.gcode": "CON_.gcode",
    "nul.gcode": "nul_.gcode",
    "a:b?.gcode": "ab.gcode",
    ".hidden.gcode": "hidden.gcode",
    " lead.gcode": "lead.gcode",
    "tr .gcode": "tr .gcode",
    "X.GCODE": "X.GCODE",
    "a%22b.gcode": "a%22b.gcode",
    "a..gcode": "a..gcode",
    " .dot": "dot",
}


@pytest.mark.parametrize("name", AS_OCTOPRINT)
def test_a_name_is_made_harmless_as_by_octoprint(name: str) -> None:
    assert sanitised(name) == AS_OCTOPRINT[name]


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("COM1", "COM1_"),
        ("lpt9.tar.gcode", "lpt9_.tar.gcode"),
        ("CON .gcode", "CON_.gcode"),
        ("console.gcode", "console.gcode"),
        ("a\x00b.gcode", "ab.gcode"),
        ("a\nb\t.gcode", "a b .gcode"),
        ("\u202egpj.gcode", "gpj.gcode"),
        ("Gro\u0308\u00dfe.gcode", "Größe.gcode"),
        ("end. . .", "end"),
        ("half \ud800.gcode", "half .gcode"),
    ],
)
def test_a_name_that_would_hurt_is_changed(name: str, stored: str) -> None:
    assert sanitised(name) == stored


@pytest.mark.parametrize("name", ["", ".", "..", " . ", "\x00", "???", "a/b", "a\\b", "x" * (MAX_NAME + 1), "ß" * 121])
def test_a_name_of_which_nothing_good_can_be_made_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        sanitised(name)


@given(st.text(max_size=60))
def test_a_name_is_harmless_once_it_has_been_made_so(name: str) -> None:
    try:
        stored = sanitised(name)
    except BadRequest:
        return

    assert sanitised(stored) == stored
    assert not set(stored) & set('\0/\\:*?"<>|')
    assert stored not in (".", "..")
    assert not stored.startswith((".", " "))
    assert len(stored.encode()) <= MAX_NAME
    assert old_path(stored) == (stored,)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.gcode", "gcode"), ("a.GCO", "gcode"), ("a.b.g", "gcode"), ("a.txt", None), ("gcode", None), (".gcode", None)],
)
def test_the_extension_says_what_can_be_printed(name: str, kind: str | None) -> None:
    assert type_path(name) == (None if kind is None else ("machinecode", kind))


@pytest.mark.parametrize("path", ["sub/dir", "/sub/dir/", "sub//dir", "./sub/./dir", "sub/ /dir"])
def test_a_new_path_begins_at_the_top_of_the_store(path: str) -> None:
    assert new_path(path) == ("sub", "dir")


@pytest.mark.parametrize("path", ["..", "../etc", "a/../b", "a/..", "a/ .. /b", "a\\..\\b", "/".join("a" * 21)])
def test_a_new_path_does_not_climb(path: str) -> None:
    with pytest.raises(BadRequest):
        new_path(path)


@pytest.mark.parametrize(
    "path", ["..", "a/..", "a/../b", "a//b", "/a", "a/", ".", "./a", ".a", "a\0b", "\ud800", "a" * 256]
)
def test_a_path_that_cannot_be_is_not_there(path: str) -> None:
    with pytest.raises(NotFound):
        old_path(path)
