"""PURE: pictures that slicers put into comments, as base64 between `thumbnail begin` and `thumbnail end`.

What is not what it says it is, too large, or of a kind that browsers do not show (QOI) is left out.
"""

from __future__ import annotations

import binascii
import re

from limpet.gcodefile.analysis import Thumbnail

MAX_BYTES = 1 << 20
"""Of one picture."""
MAX_THUMBNAILS = 8
MAX_PIXELS = 4096

_BEGIN = re.compile(rb"thumbnail(?:_(PNG|JPG|JPEG|QOI))?\s+begin\s+(\d{1,4})\s*[x ]\s*(\d{1,4})\b", re.IGNORECASE)
_END = re.compile(rb"thumbnail(?:_\w{1,8})?\s+end\b", re.IGNORECASE)
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"))


class Thumbnails:
    """Comments in; `found` are pictures and their content."""

    def __init__(self) -> None:
        self.found: dict[Thumbnail, bytes] = {}
        self.is_open = False
        """The comments that come are a picture, until it ends."""
        self._size = (0, 0)
        self._pieces: list[bytes] = []
        self._room = 0

    def begin(self, text: bytes) -> bool:
        """Whether this comment begins one."""
        match = _BEGIN.match(text)
        if match is None:
            return False
        self.is_open = True
        self._size = (int(match[2]), int(match[3]))
        self._pieces, self._room = [], MAX_BYTES * 4 // 3 + 4
        return True

    def read(self, text: bytes) -> None:
        """A comment of the picture, or the one that ends it."""
        if _END.match(text):
            self._end()
        elif self._room >= 0:
            self._room -= len(text)
            self._pieces.append(text)
        if self._room < 0:
            self._pieces = []

    def abandon(self) -> None:
        """Something else came: the picture is broken off."""
        self.is_open = False
        self._pieces = []

    def _end(self) -> None:
        pieces = self._pieces
        self.abandon()
        width, height = self._size
        if len(self.found) >= MAX_THUMBNAILS or not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS):
            return
        try:
            content = binascii.a2b_base64(b"".join(pieces), strict_mode=True)
        except (binascii.Error, ValueError):
            return
        for magic, kind in _MAGIC:
            if content.startswith(magic):
                self.found.setdefault(Thumbnail(width, height, kind), content)
