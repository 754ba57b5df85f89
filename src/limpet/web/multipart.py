"""PURE: a form as browsers, slicers and curl send it (RFC 7578), taken apart while it arrives.

Bytes go in, in pieces of any size; parts come out. Nothing is kept but the end of the last piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from limpet.errors import BadRequest

MAX_PARTS = 100
MAX_HEADERS = 1 << 14
"""Bytes of what stands above one part, and before the first boundary."""

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(
    r';\s*(name|filename|filename\*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.IGNORECASE | re.DOTALL
)


class Begun(NamedTuple):
    """A part begins; what has no `filename` is a plain field."""

    name: str
    filename: str | None


class Ended(NamedTuple):
    """The part that had begun is complete."""


class FormReader:
    """`feed` it, and `close` it at the end: only then it is known to be complete. Raises BadRequest."""

    def __init__(self, content_type: str) -> None:
        """`content_type` is the whole header."""
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise BadRequest("The form has no boundary")
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        # With a line end before it, the first boundary looks like all others.
        self._buffer = bytearray(b"\r\n")
        self._turn = self._preamble
        self._parts = 0
        self._complete = False

    def feed(self, data: bytes) -> Iterator[Begun | bytes | Ended]:
        """What these bytes complete: the content of a part comes in pieces between its Begun and its Ended."""
        self._buffer += data
        going_on = True
        while going_on:
            found, going_on = self._turn()
            yield from found

    def close(self) -> None:
        """No more bytes come."""
        if not self._complete:
            raise BadRequest("The form breaks off before its end")

    # Each turn takes what it can from the buffer, and tells whether there may be more to take.

    def _preamble(self) -> tuple[list[Begun | bytes | Ended], bool]:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            self._limit("The form does not begin with its boundary")
            return [], False
        del self._buffer[: at + len(self._delimiter)]
        self._turn = self._boundary
        return [], True

    def _boundary(self) -> tuple[list[Begun | bytes | Ended], bool]:
        """What follows a boundary: `--` after the last one, else nothing but blanks; its line end stays."""
        if self._buffer.startswith(b"--"):
            self._complete = True
            self._turn = self._epilogue
            return [], True
        at = self._buffer.find(b"\r\n")
        if at < 0:
            self._limit("A boundary of the form has no end")
            return [], False
        if self._buffer[:at].strip(b" \t"):
            raise BadRequest("There is something behind a boundary of the form")
        del self._buffer[:at]
        self._turn = self._headers
        return [], True

    def _headers(self) -> tuple[list[Begun | bytes | Ended], bool]:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0 or at > MAX_HEADERS:
            self._limit("What stands above a part of the form has no end")
            return [], False
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadRequest(f"The form has more than {MAX_PARTS} parts")
        begun = _begun(bytes(self._buffer[:at]))
        del self._buffer[: at + 4]
        self._turn = self._content
        return [begun], True

    def _content(self) -> tuple[list[Begun | bytes | Ended], bool]:
        at = self._buffer.find(self._delimiter)
        # Without one, the boundary may still have begun in the last bytes.
        until = at if at >= 0 else max(0, len(self._buffer) - len(self._delimiter) + 1)
        with memoryview(self._buffer) as view:
            found: list[Begun | bytes | Ended] = [bytes(view[:until])] if until else []
        if at < 0:
            del self._buffer[:until]
            return found, False
        del self._buffer[: at + len(self._delimiter)]
        self._turn = self._boundary
        return [*found, Ended()], True

    def _epilogue(self) -> tuple[list[Begun | bytes | Ended], bool]:
        self._buffer.clear()
        return [], False

    def _limit(self, fault: str) -> None:
        if len(self._buffer) > MAX_HEADERS + len(self._delimiter):
            raise BadRequest(fault)


def _begun(headers: bytes) -> Begun:
    for line in _text(headers).split("\r\n"):
        name, _, value = line.partition(":")
        kind, semicolon, parameters = value.strip().partition(";")
        if name.strip().lower() == "content-disposition" and kind.strip().lower() == "form-data":
            given = {
                key.lower(): re.sub(r'\\(["\\])', r"\1", quoted) or plain
                for key, quoted, plain in _PARAMETER.findall(semicolon + parameters)
            }
            if "name" in given:
                return Begun(given["name"], _extended(given.get("filename*")) or given.get("filename"))
    raise BadRequest("A part of the form has no name")


def _extended(value: str | None) -> str | None:
    """`utf-8''Gr%C3%B6%C3%9Fe.gcode` (RFC 5987)."""
    charset, _, rest = (value or "").partition("'")
    if charset.lower() not in ("utf-8", "iso-8859-1"):
        return None
    return unquote_to_bytes(rest.partition("'")[2]).decode(charset, "replace")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
