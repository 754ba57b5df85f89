"""PURE: the files on a printer's card, by the names that the printer, a person and a new file have for them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from limpet.printer.print import SelectedFile

CardFiles = Mapping[str, tuple[int | None, str | None]]
"""Path -> size in bytes and long name, as far as the printer tells them."""

MAX_LONG_NAME = 60
"""Letters of a long name; Marlin has room for 65, and 95 for a whole command."""


def path_on_card(files: CardFiles, path: str) -> str | None:
    """The path as the printer tells it; a card does not tell large from small letters. A file has its long name as
    well, under which it may have been written: where that is no other's, it is as good."""
    if path in files:
        return path
    wanted = path.strip().lstrip("/").casefold()
    if (found := next((each for each in files if each.casefold() == wanted), None)) is not None:
        return found
    folder, _, name = wanted.rpartition("/")
    called = [
        each
        for each, (_, long_name) in files.items()
        if long_name and long_name.casefold() == name and each.rpartition("/")[0].casefold() == folder
    ]
    return called[0] if len(called) == 1 else None


def _path_of(files: CardFiles, name: str) -> str | None:
    """The path of the file that the printer or we have called so: by path, by its name alone, or by its long one."""
    wanted = name.rpartition("/")[2].strip().casefold()
    named = (
        path
        for path, (_, long_name) in files.items()
        if wanted in (path.rpartition("/")[2].casefold(), (long_name or "").casefold())
    )
    return path_on_card(files, name) or next(named, None)


def card_file(files: CardFiles, name: str | None, *, size: int | None = None, user: str | None = None) -> SelectedFile:
    """The file of that name, for what it may be selected and printed by; of a card that was not read, as it is told."""
    path = (name and _path_of(files, name)) or (name or "").lstrip("/")
    known_size, long_name = files.get(path, (None, None))
    short = path.rpartition("/")[2]
    display = long_name or short or "a file on the card"
    return SelectedFile(origin="sdcard", path=path, name=short, display=display, size=known_size or size, user=user)


def new_name(name: str, files: CardFiles, *, long_names: bool) -> str:
    """Under which name a file of this name can be written to the card, at its top: one that is not taken yet."""
    taken = {each.casefold() for path, (_, long) in files.items() for each in (path, long) if each}
    plain = unicodedata.normalize("NFKD", name.rpartition("/")[2]).encode("ascii", "ignore").decode()
    stem, _, extension = plain.rpartition(".")
    if long_names:
        stem = re.sub(r"[^\w .()+-]", "_", stem)[: MAX_LONG_NAME - len(".gcode") - 4].strip(" .") or "file"
        candidates: Iterable[str] = (f"{stem}{tail}.{extension}" for tail in ("", *_numbers("_")))
    else:
        extension = extension.lower() if extension.lower() in ("g", "gco") else "gco"
        stem = re.sub(r"[^a-z0-9_-]", "", stem.lower()) or "file"
        short = [stem] if len(stem) <= 8 else []
        candidates = (f"{each}.{extension}" for each in (*short, *(f"{stem[: 8 - len(n)]}{n}" for n in _numbers("~"))))
    return next(each for each in candidates if each.casefold() not in taken)


def _numbers(sign: str) -> list[str]:
    # A card has room for fewer names than this: CardList keeps 2000.
    return [f"{sign}{number}" for number in range(1, 5000)]
