"""Pictures that slicers put into files."""

from __future__ import annotations

import pytest

from limpet.gcodefile.analysis import Thumbnail
from limpet.gcodefile.thumbnails import MAX_BYTES, MAX_THUMBNAILS
from tests.gcodefile.reading import JPG, PNG, picture, reader_of


def found(text: str) -> dict[Thumbnail, bytes]:
    reader = reader_of(text, block=1000)
    analysis = reader.finish()
    assert analysis.summary.thumbnails == tuple(reader.thumbnails)
    return reader.thumbnails


def test_pictures_are_taken_out_of_the_comments() -> None:
    text = picture() + "G28\n;\n" + picture(JPG, size="220x124", kind="_JPG")
    assert found(text) == {Thumbnail(16, 16, "png"): PNG, Thumbnail(220, 124, "jpg"): JPG}


def test_orcaslicer_puts_them_into_a_block() -> None:
    text = "; THUMBNAIL_BLOCK_START\n\n;\n" + picture(size="48x48") + "\n; THUMBNAIL_BLOCK_END\n"
    assert list(found(text)) == [Thumbnail(48, 48, "png")]


@pytest.mark.parametrize(
    "text",
    [
        picture(b"GIF89a" + bytes(50)),
        picture(b"qoif" + bytes(50), kind="_QOI"),
        picture(b""),
        picture(size="0x16"),
        picture(size="9999x16"),
        picture(PNG + bytes(MAX_BYTES)),
        picture().replace("; ", "; !"),
        picture().replace("; thumbnail end\n", ""),
        picture().replace("; thumbnail end", "G28\n; thumbnail end"),
        "; thumbnail begin\n; thumbnail end\n",
        "; thumbnail end\n",
    ],
    ids=("gif", "qoi", "empty", "flat", "vast", "large", "broken", "open", "cut", "sizeless", "stray"),
)
def test_what_is_no_picture_is_left_out(text: str) -> None:
    assert found(text) == {}


def test_there_are_only_so_many() -> None:
    assert len(found("".join(picture(size=f"{size}x{size}") for size in range(1, 30)))) == MAX_THUMBNAILS
