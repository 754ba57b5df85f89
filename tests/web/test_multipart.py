"""Forms, taken apart as they arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.errors import BadRequest
from limpet.web.multipart import MAX_HEADERS, MAX_PARTS, Begun, Ended, FormReader

TYPE = "multipart/form-data; boundary=----b"


def part(disposition: str, content: bytes = b"", more: bytes = b"") -> bytes:
    return b"------b\r\nContent-Disposition: %b\r\n%b\r\n%b\r\n" % (disposition.encode(), more, content)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"------b--\r\n"


def read(body: bytes, *, piece: int = 1 << 20, content_type: str = TYPE) -> list[tuple[str, str | None, bytes]]:
    reader, parts, content = FormReader(content_type), [], b""
    for at in range(0, len(body), piece):
        for found in reader.feed(body[at : at + piece]):
            match found:
                case Begun():
                    begun, content = found, b""
                case Ended():
                    parts.append((begun.name, begun.filename, content))
                case _:
                    assert found
                    content += found
    reader.close()
    return parts


FORM = form(
    part('form-data; name="print"', b"true"),
    part('form-data; name="path"'),
    part('form-data; name="file"; filename="a b.gcode"', b"G28\r\n------\r\n----b", b"Content-Type: text/x\r\n"),
)
PARTS = [("print", None, b"true"), ("path", None, b""), ("file", "a b.gcode", b"G28\r\n------\r\n----b")]


def test_a_form_has_parts() -> None:
    assert read(FORM) == PARTS


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 11])
def test_the_pieces_in_which_it_arrives_make_no_difference(piece: int) -> None:
    assert read(FORM, piece=piece) == PARTS


@given(
    st.lists(st.tuples(st.binary(max_size=60) | st.text("-b\r\n", max_size=30).map(str.encode)), max_size=4),
    st.integers(1, 40),
)
def test_any_content_comes_out_as_it_went_in(contents: list[tuple[bytes]], piece: int) -> None:
    contents = [each for each in contents if b"\r\n------b" not in b"\r\n" + each[0]]

    parts = read(form(*(part('form-data; name="x"', content) for (content,) in contents)), piece=piece)

    assert [content for _, _, content in parts] == [content for (content,) in contents]


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ("form-data; name=file; filename=x.gcode", "file", "x.gcode"),
        ('FORM-DATA; Name="file"; FILENAME="x.gcode"', "file", "x.gcode"),
        ('form-data; filename="x.gcode"; name="file"', "file", "x.gcode"),
        ('form-data; name="file"; filename="Größe ß.gcode"', "file", "Größe ß.gcode"),
        ('form-data; name="file"; filename="a\\"b\\\\c.gcode"', "file", 'a"b\\c.gcode'),
        ('form-data; name="file"; filename="C:\\dir\\x.gcode"', "file", "C:\\dir\\x.gcode"),
        ('form-data; name="file"; filename="a%22b.gcode"', "file", "a%22b.gcode"),
        ('form-data; name="file"; filename="a;b=c.gcode"', "file", "a;b=c.gcode"),
        ("form-data; name=file; filename=x.gcode; filename*=UTF-8''Gr%C3%B6%C3%9Fe.gcode", "file", "Größe.gcode"),
        ("form-data; name=file; filename=x.gcode; filename*=koi8-r''y.gcode", "file", "x.gcode"),
        ('form-data; name="file"; filename=""', "file", ""),
        ('form-data; name="file"', "file", None),
    ],
)
def test_the_name_of_a_file_is_read_as_clients_write_it(disposition: str, name: str, filename: str | None) -> None:
    assert read(form(part(disposition, b"x"))) == [(name, filename, b"x")]


def test_a_name_that_is_not_utf_8_is_latin_1() -> None:
    body = FORM.replace(b"a b.gcode", "Größe.gcode".encode("latin-1"))

    assert read(body)[2][1] == "Größe.gcode"


@pytest.mark.parametrize(
    "content_type", ['multipart/form-data; boundary="----b"', "multipart/form-data;BOUNDARY=----b;x=y"]
)
def test_the_boundary_may_stand_in_quotes(content_type: str) -> None:
    assert read(FORM, content_type=content_type) == PARTS


def test_what_stands_before_and_behind_is_no_part() -> None:
    assert read(b"hello\r\n" + FORM + b"\r\nbye\r\n------b\r\n") == PARTS
    assert read(form()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        FORM[:-20],
        FORM.replace(b"------b--", b"------c--"),
        form(part('form-data; filename="x.gcode"')),
        form(part("attachment; name=x")),
        form(b"------b\r\n\r\nno headers\r\n"),
        form(b"------bx\r\n\r\n\r\n"),
        b"x" * (MAX_HEADERS + 100),
        form(part("form-data; name=x", more=b"X: " + b"x" * MAX_HEADERS + b"\r\n")),
        b"------b" + b" " * (MAX_HEADERS + 100),
        form(*[part("form-data; name=x")] * (MAX_PARTS + 1)),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_broken_form_is_refused(body: bytes, piece: int) -> None:
    with pytest.raises(BadRequest):
        read(body, piece=piece)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", 'x; boundary="'])
def test_a_form_needs_a_boundary(content_type: str) -> None:
    with pytest.raises(BadRequest):
        FormReader(content_type)


@given(st.binary(max_size=200))
def test_nonsense_is_refused_and_nothing_worse(body: bytes) -> None:
    try:
        read(b"------b\r\n" + body)
    except BadRequest as error:
        assert str(error)  # noqa: PT017


def test_little_is_kept_of_a_large_file() -> None:
    reader = FormReader(TYPE)
    list(reader.feed(part("form-data; name=file; filename=x", b"x" * 100_000)))

    assert all(isinstance(found, bytes) for found in reader.feed(b"x" * 1_000_000))
    assert len(reader._buffer) < 100
