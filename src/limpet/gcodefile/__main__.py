"""`python -m limpet.gcodefile`: reads a G-code file from its standard input, and writes what it has `Found` as JSON.

A process of its own, so that a file of any size costs the server nothing and can be given up at any time.
"""

from __future__ import annotations

import os
import sys

import msgspec

from limpet.gcodefile.analysis import Found
from limpet.gcodefile.reader import Reader

BLOCK = 1 << 17
"""Bytes that are read at a time."""


def main() -> int:
    """Exit code 1 when whoever wanted the analysis has gone."""
    reader, parent = Reader(), os.getppid()
    while block := os.read(sys.stdin.fileno(), BLOCK):
        reader.feed(block)
        if os.getppid() != parent:
            return 1
    found = Found(analysis=reader.finish(), pictures=tuple(reader.thumbnails.values()))
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
