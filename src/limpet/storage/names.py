"""PURE: which names files and folders may have, and which of them are shown.

A new name is made harmless for every common system; a name that is there already is taken as it is, unless it could
lead out of the folder.
"""

from __future__ import annotations

import re
import unicodedata

from limpet.errors import BadRequest, NotFound

TYPES = {"gcode": ("machinecode", "gcode"), "gco": ("machinecode", "gcode"), "g": ("machinecode", "gcode")}
"""Extension -> OctoPrint's `typePath`."""
MAX_NAME = 240
"""Bytes of a name in UTF-8; Linux takes 255."""
MAX_DEPTH = 20
"""Folders within folders, and the file in them."""

_FORBIDDEN = str.maketrans(dict.fromkeys(':*?"<>|'))
_DEVICE = re.compile(r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?=\.|$)", re.IGNORECASE)
"""Names that open a device instead of a file, where such a folder is shared with Windows."""


def type_path(name: str) -> tuple[str, ...] | None:
    """What kind of file this is by its extension; None for what is no file to print."""
    stem, dot, extension = name.rpartition(".")
    return TYPES.get(extension.lower()) if stem and dot else None


def sanitised(name: str) -> str:
    """The name under which a file or folder is stored. Raises BadRequest when nothing is left, or far too much."""
    if "/" in name or "\\" in name:
        raise BadRequest("a name has no / or \\")
    clean = unicodedata.normalize("NFC", _printable(name).translate(_FORBIDDEN)).strip(". ")
    if device := _DEVICE.match(clean):
        clean = f"{clean[: device.end()].rstrip()}_{clean[device.end() :]}"
    if not clean:
        raise BadRequest("the name is empty")
    if len(clean.encode()) > MAX_NAME:
        raise BadRequest(f"the name is longer than {MAX_NAME} bytes")
    return clean


def shown(name: str) -> str:
    """A name as it is shown to people: whatever it is, without what cannot be printed."""
    return _printable(name).strip()[:MAX_NAME]


def _printable(text: str) -> str:
    return "".join(" " if char.isspace() else char for char in text if char.isspace() or char.isprintable())


def new_path(text: str) -> tuple[str, ...]:
    """The parts of a path that is to be made, from the top of the store. Raises BadRequest."""
    parts = [part for part in text.split("/") if part.strip() not in ("", ".")]
    if ".." in (part.strip() for part in parts):
        raise BadRequest(".. would lead out of the folder of the uploads")
    if len(parts) > MAX_DEPTH:
        raise BadRequest(f"there are more than {MAX_DEPTH} folders within each other")
    return tuple(sanitised(part) for part in parts)


def old_path(text: str) -> tuple[str, ...]:
    """The parts of a path that should be there. Raises NotFound for one that cannot be."""
    parts = tuple(text.split("/")) if text else ()
    if len(parts) > MAX_DEPTH or not all(is_shown(part) for part in parts):
        raise NotFound()
    return parts


def is_shown(name: str) -> bool:
    """Whether something with this name can be seen and named: it is not hidden, and text."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        return False
    try:
        return len(name.encode()) <= 255
    except UnicodeEncodeError:
        return False
