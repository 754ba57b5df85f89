"""The page: plain files below `static/`, served to anybody. It holds no secrets; what it shows it asks of the API.

The files' addresses carry a hash of all of them, `/static/<hash>/…`, so that a browser may keep each for ever and never
mixes those of two versions. The document itself is asked for anew each time and answered with a 304.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from limpet.web.call import HEADERS, Refused
from limpet.web.proxies import prefix_of

FOLDER = Path(__file__).with_name("static")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/manifest+json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""What is served; other files in the folder, such as licences, are for people who look there."""
PACKED = (".css", ".html", ".js", ".json", ".svg")
PLAIN = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
"""What each file has: the rest is for documents, and would be a third of what the page weighs."""
RULES = {
    **HEADERS,
    **PLAIN,
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            # Thumbnails come with the key in a header, as blobs; the tab's icon is drawn as data.
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # No text ever becomes markup or script, not even by a mistake of ours.
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_COMMENT = re.compile(rb"^[ \t]*(?://.*|/\*.*\*/)$", re.MULTILINE)
"""A line that is a comment: an eighth of what the page weighs, and nothing to a browser."""
DOCUMENT_NAME = "index.html"
STATIC_MARK = b"{static}"
"""Stands in the document for where the files are, as seen from its address: a proxy may serve us below any path."""


@dataclass(frozen=True, slots=True)
class File:
    """As it is and packed; `packed` is None where that would save nothing."""

    type: str
    plain: bytes
    packed: bytes | None
    etag: str


@dataclass(frozen=True, slots=True)
class Files:
    """The hash in their addresses, the document as it is at `/` and at `/p/<id>/`, and all others by their paths."""

    version: str
    at_root: File
    at_printer: File
    by_path: Mapping[str, File]


class Page:
    """The files are read once, by the first who asks for one, in a thread."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._read: Files | None = None
        self._reading = asyncio.Lock()

    async def document(self, request: web.Request) -> web.StreamResponse:
        """`/` and `/p/<id>/`, whether there is such a printer or not: strangers do not learn which there are."""
        files = await self._files()
        document = files.at_printer if "printer" in request.match_info else files.at_root
        # Whoever was given the one that is packed must not be told that the other has not changed.
        etag = f'"{document.etag}{"-gzip" if _packs(request, document) else ""}"'
        headers = {**RULES, "Cache-Control": "no-cache", "ETag": etag}
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers | {"Vary": "Accept-Encoding"})
        return _answer(request, document, headers)

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        """`/p/<id>`, as a person may type it."""
        return web.Response(status=308, headers={"Location": f"{prefix_of(request)}{request.rel_url.raw_path}/"})

    async def file(self, request: web.Request) -> web.StreamResponse:
        files = await self._files()
        file = files.by_path.get(request.match_info["path"])
        if file is None or request.match_info["version"] != files.version:
            raise Refused(404, "There is no such file; load the page anew")
        return _answer(request, file, {**PLAIN, "Cache-Control": "public, max-age=31536000, immutable"})

    async def _files(self) -> Files:
        async with self._reading:
            if self._read is None:
                self._read = await asyncio.to_thread(read, self._folder)
        return self._read


def read(folder: Path) -> Files:
    """What is below the folder. Takes some ten milliseconds: not for the event loop."""
    found = {
        path.relative_to(folder).as_posix(): _without_comments(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }
    whole = hashlib.sha256()
    for name, content in found.items():
        whole.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    version = whole.hexdigest()[:16]
    document = found.pop(DOCUMENT_NAME)
    here, above = (
        _file(DOCUMENT_NAME, document.replace(STATIC_MARK, f"{up}static/{version}".encode())) for up in ("", "../../")
    )
    return Files(version, here, above, {name: _file(name, content) for name, content in found.items()})


def _without_comments(path: Path) -> bytes:
    """The lines keep their numbers. What others have written is served as it is, with its licence."""
    content = path.read_bytes()
    return _COMMENT.sub(b"", content) if path.suffix in (".js", ".css") and path.parent.name != "vendor" else content


def _file(name: str, content: bytes) -> File:
    suffix = Path(name).suffix
    packed = gzip.compress(content, 9, mtime=0) if suffix in PACKED else content
    etag = hashlib.sha256(content).hexdigest()[:16]
    return File(TYPES[suffix], content, packed if len(packed) < len(content) else None, etag)


def _packs(request: web.Request, file: File) -> bool:
    return file.packed is not None and "gzip" in request.headers.get("Accept-Encoding", "")


def _answer(request: web.Request, file: File, headers: dict[str, str]) -> web.StreamResponse:
    headers |= {"Content-Type": file.type, "Vary": "Accept-Encoding"}
    if not _packs(request, file):
        return web.Response(body=file.plain, headers=headers)
    return web.Response(body=file.packed, headers=headers | {"Content-Encoding": "gzip"})
