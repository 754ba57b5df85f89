"""Reading a text as a G-code file."""

from __future__ import annotations

import base64

from limpet.gcodefile.analysis import Analysis
from limpet.gcodefile.reader import Reader

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
JPG = b"\xff\xd8\xff\xe0" + bytes(100)


def read(text: str | bytes, *, block: int | None = None) -> Analysis:
    """The analysis of a file with this content, fed in blocks of this size."""
    return reader_of(text, block=block).finish()


def reader_of(text: str | bytes, *, block: int | None = None) -> Reader:
    data = text.encode() if isinstance(text, str) else text
    reader = Reader()
    step = block or max(len(data), 1)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return reader


def picture(content: bytes = PNG, *, size: str = "16x16", kind: str = "", width: int = 78) -> str:
    """The comments in which PrusaSlicer and its relatives put a picture."""
    text = base64.b64encode(content).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    tag = f"thumbnail{kind}"
    return "\n".join([f"; {tag} begin {size} {len(text)}", *(f"; {line}" for line in lines), f"; {tag} end", ""])
