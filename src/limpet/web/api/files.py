"""`GET /api/files`: which files there are, on this machine and on the printer's card.

Source: the page "File operations" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import quote

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.analyst import MAX_WAITING
from limpet.errors import LimpetError, NotFound
from limpet.history_file import File, Tally
from limpet.printer.card_files import path_on_card
from limpet.storage.folders import give_way
from limpet.storage.names import type_path
from limpet.storage.store import Store, StoredFile, StoredFolder
from limpet.web import auth
from limpet.web.analysis import AnalysisInfo, analysis_of
from limpet.web.call import Call, Route, answer

LOCAL, CARD = "local", "sdcard"
PLUGIN = "plugin/prusaslicerthumbnails/thumbnail/"
"""Where clients of OctoPrint's plugin for PrusaSlicer's pictures look for them, below the address of the server."""
TRUE = ("true", "yes", "y", "1")
"""What is yes in a query or a form."""

SdFiles = Mapping[str, tuple[int | None, str | None]]
"""What is on the printer's card: path -> size in bytes and long name, where they are known."""


class Refs(Struct, frozen=True, kw_only=True):
    """Where a file or folder is found; only what is on this machine can be downloaded.

    `thumbnail` is the largest picture in a file, as with OctoPrint 2.0.
    """

    resource: str
    download: str | UnsetType = UNSET
    thumbnail: str | UnsetType = UNSET


class ThumbnailInfo(Struct, frozen=True):
    """A picture in a file: pixels, and its address."""

    width: int
    height: int
    url: str


class Entry(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What files and folders have in common."""

    name: str
    display: str
    path: str
    origin: str
    typePath: tuple[str, ...]  # noqa: N815
    refs: Refs


class LastPrint(Struct, frozen=True, kw_only=True):
    """When the last print of a file ended, in seconds since the epoch, after how many seconds, and whether it was
    done."""

    date: float
    printTime: float  # noqa: N815
    success: bool


class Prints(Struct, frozen=True, kw_only=True):
    """How often a file, or what is in a folder, was printed to its end, and how often not."""

    success: int = 0
    failure: int = 0
    last: LastPrint | UnsetType = UNSET


class Statistics(Struct, frozen=True, kw_only=True):
    """Seconds that good prints took, by profile."""

    averagePrintTime: dict[str, float]  # noqa: N815
    lastPrintTime: dict[str, float]  # noqa: N815


class FileInfo(Entry, frozen=True, kw_only=True, tag="machinecode"):
    """A file to print: size in bytes, `date` of its last change in seconds since the epoch, `hash` SHA-1 in hex.

    What is not known is not there. `thumbnail` is where the plugin for PrusaSlicer's pictures has them: the path below
    the address of this server.
    """

    size: int | UnsetType = UNSET
    date: int | UnsetType = UNSET
    hash: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    userdata: Any = UNSET
    gcodeAnalysis: AnalysisInfo | UnsetType = UNSET  # noqa: N815
    prints: Prints | UnsetType = UNSET
    statistics: Statistics | UnsetType = UNSET
    thumbnail: str | UnsetType = UNSET
    thumbnail_src: str | UnsetType = UNSET
    thumbnails: list[ThumbnailInfo] | UnsetType = UNSET


class FolderInfo(Entry, frozen=True, kw_only=True, tag="folder"):
    """A folder: `size` is that of all files in it; `children` is empty unless it was asked for, or `recursive`."""

    size: int
    date: int
    children: list[FileInfo | FolderInfo]
    prints: Prints = Prints()


class FileList(Struct, frozen=True, kw_only=True):
    """Files and folders; bytes of the disk they are on, unless it is the printer's card."""

    files: list[FileInfo | FolderInfo]
    free: int | UnsetType = UNSET
    total: int | UnsetType = UNSET


class Place(Struct, frozen=True, kw_only=True):
    """Where something new is."""

    name: str
    origin: str
    path: str
    refs: Refs


async def get_files(call: Call) -> web.StreamResponse:
    return await _told(call, "", call.fleet.store(call.printer), on_card(call))


async def get_location(call: Call) -> web.StreamResponse:
    if call.request.match_info["location"] == CARD:
        return answer(FileList(files=list(on_card(call))))
    return await _told(call, "", call.fleet.store(call.printer), [])


async def get_file(call: Call) -> web.StreamResponse:
    path = call.request.match_info["path"]
    if call.request.match_info["location"] == LOCAL:
        return await _told(call, path, call.fleet.store(call.printer), [])
    return answer(file_on_card(call, path))


async def _told(call: Call, path: str, store: Store, more: Iterable[FileInfo]) -> web.StreamResponse:
    """The file or folder at a path of the store, for the top of it together with `more` files."""
    recursive = call.request.query.get("recursive", "") in TRUE
    wanted = call.request.query.get("filter", "") or "machinecode"
    base, more = base_of(call), list(more)
    unknown: list[str] = []
    prints = await _prints(call, path)

    def look() -> web.Response:
        found = store.look(path, recursive=recursive)
        unknown.extend(islice(unknown_in(found), MAX_WAITING))
        info = _info(base, found, prints, only_folders=wanted not in ("machinecode", "gcode"))
        if path or isinstance(info, FileInfo):
            return answer(info)
        free, total = store.space()
        return answer(FileList(files=[*info.children, *more], free=free, total=total))

    response = await asyncio.to_thread(look)
    # Files that were put in by hand are analysed when somebody looks.
    call.fleet.analyse(store, unknown)
    return response


def unknown_in(found: StoredFile | StoredFolder) -> Iterator[str]:
    """Paths of the files that have not been analysed."""
    if isinstance(found, StoredFolder):
        for child in found.children:
            yield from unknown_in(child)
    elif found.analysis is None:
        yield found.path


async def _prints(call: Call, path: str) -> _Printed:
    """How the prints of the file, or of what is in the folder, went; nothing when the history cannot be read."""
    store = call.fleet.place(call.printer).store
    with suppress(LimpetError):
        return await call.fleet.history.ask(lambda history: _Printed(history.tallies(store, path)))
    return _Printed({})


class _Printed:
    """How prints went, by file and by folder."""

    def __init__(self, tallies: dict[File, Tally]) -> None:
        self.of_file = tallies
        self.of_folder: dict[str, Prints] = {}
        for number, ((path, _, _), tally) in enumerate(tallies.items()):
            give_way(number)
            parts = path.split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                self.of_folder[folder] = _added(self.of_folder.get(folder, Prints()), tally)


def _added(before: Prints, tally: Tally) -> Prints:
    last = LastPrint(date=tally.last_ended, printTime=tally.last_elapsed, success=tally.last_success)
    if before.last is not UNSET and before.last.date > last.date:
        last = before.last
    return Prints(success=before.success + tally.success, failure=before.failure + tally.failure, last=last)


def _info(
    base: str, found: StoredFile | StoredFolder, prints: _Printed, *, only_folders: bool = False
) -> FileInfo | FolderInfo:
    if isinstance(found, StoredFile):
        pictures = _pictures(base, found)
        tally = prints.of_file.get((found.path, found.size, found.date))
        return FileInfo(
            name=found.name,
            display=found.display,
            path=found.path,
            origin=LOCAL,
            typePath=found.type_path,
            refs=_refs(base, LOCAL, found),
            size=found.size,
            date=found.date,
            hash=found.hash or UNSET,
            user=found.user or UNSET,
            userdata=UNSET if found.userdata is None else found.userdata,
            prints=_added(Prints(), tally) if tally else UNSET,
            statistics=Statistics(averagePrintTime=tally.average, lastPrintTime=tally.last) if tally else UNSET,
            gcodeAnalysis=analysis_of(found.analysis) if found.analysis and found.analysis.moves else UNSET,
            thumbnail=f"{PLUGIN}{quote(found.path.rpartition('.')[0])}.png?{found.date}" if pictures else UNSET,
            thumbnail_src="prusaslicerthumbnails" if pictures else UNSET,
            thumbnails=pictures or UNSET,
        )
    children = []
    for number, child in enumerate(found.children):
        give_way(number)
        if not only_folders or isinstance(child, StoredFolder):
            children.append(_info(base, child, prints, only_folders=only_folders))
    return FolderInfo(
        name=found.name,
        display=found.display,
        path=found.path,
        origin=LOCAL,
        typePath=("folder",),
        refs=_refs(base, LOCAL, found),
        size=found.size,
        date=found.date,
        children=children,
        prints=prints.of_folder.get(found.path, Prints()),
    )


def base_of(call: Call) -> str:
    """The address of this printer as the client knows it: `http://host:port`, or that with `/p/<id>`."""
    return auth.base_of(call.request) + call.prefix


def on_card(call: Call) -> list[FileInfo]:
    """What the printer has told of its card."""
    return card_files(base_of(call), call.printer.snapshot.sd_files)


def file_on_card(call: Call, path: str) -> FileInfo:
    files = call.printer.snapshot.sd_files
    if (found := path_on_card(files, path)) is None:
        raise NotFound()
    return card_files(base_of(call), {found: files[found]})[0]


def card_files(base: str, files: SdFiles) -> list[FileInfo]:
    return [
        FileInfo(
            name=path.rpartition("/")[2],
            display=long_name or path.rpartition("/")[2],
            path=path,
            origin=CARD,
            typePath=type_path(path) or ("machinecode", "gcode"),
            refs=Refs(resource=base + _resource(CARD, path)),
            size=UNSET if size is None else size,
        )
        for path, (size, long_name) in files.items()
    ]


def place_on_card(call: Call, path: str) -> Place:
    """What is told of a file that will be on the card."""
    refs = Refs(resource=base_of(call) + _resource(CARD, path))
    return Place(name=path.rpartition("/")[2], origin=CARD, path=path, refs=refs)


def place(call: Call, found: StoredFile | StoredFolder) -> Place:
    """What is told of something new."""
    return Place(name=found.name, origin=LOCAL, path=found.path, refs=_refs(base_of(call), LOCAL, found))


def _refs(base: str, origin: str, found: StoredFile | StoredFolder) -> Refs:
    resource = base + _resource(origin, found.path)
    if isinstance(found, StoredFolder):
        return Refs(resource=resource)
    return Refs(
        resource=resource,
        download=f"{base}/downloads/files/{LOCAL}/{quote(found.path)}",
        thumbnail=_picture(base, found) if found.analysis and found.analysis.thumbnails else UNSET,
    )


def _pictures(base: str, found: StoredFile) -> list[ThumbnailInfo]:
    known = found.analysis.thumbnails if found.analysis else ()
    return [
        ThumbnailInfo(each.width, each.height, f"{_picture(base, found)}?size={each.size}")
        for each in sorted(known, key=lambda each: each.width * each.height)
    ]


def _picture(base: str, found: StoredFile) -> str:
    return f"{base}/downloads/thumbs/{LOCAL}/{quote(found.path)}"


def _resource(origin: str, path: str) -> str:
    # As OctoPrint quotes it; in what can be downloaded it is stricter.
    return f"/api/files/{origin}/{quote(path, safe='/!$&()*+,:;=@' + chr(39))}"


_QUERY = ("recursive", "filter")

ROUTES = (
    Route(
        "GET",
        "/api/files",
        "FILES_LIST",
        get_files,
        "All files, on this machine and on the printer's card",
        {200: (FileList,)},
        refusals=(409,),
        query=_QUERY,
    ),
    Route(
        "GET",
        "/api/files/{location:local|sdcard}",
        "FILES_LIST",
        get_location,
        "The files at one place, `local` or `sdcard`",
        {200: (FileList,)},
        refusals=(404, 409),
        query=_QUERY,
    ),
    Route(
        "GET",
        "/api/files/{location:local|sdcard}/{path:.+}",
        "FILES_LIST",
        get_file,
        "One file, or a folder with what is in it",
        {200: (FileInfo, FolderInfo)},
        refusals=(404, 409),
        query=_QUERY,
    ),
)
