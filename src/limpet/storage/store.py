"""The store: a folder of files to print, what is known about each, and the verbs on them.

All of it blocks, for as long as the disk takes, and may be called from any thread. What goes wrong is a BadRequest,
NotFound, Conflict or NoRoom with words for a person.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from limpet.errors import BadRequest, Conflict, LimpetError, NotFound
from limpet.gcodefile.analysis import Analysis, Found, Summary, Thumbnail
from limpet.storage import folders
from limpet.storage.analyses import Analyses, Kept, Reading
from limpet.storage.faults import NOTHING, explained, log
from limpet.storage.index import Entry, Index
from limpet.storage.names import MAX_DEPTH, new_path, old_path, shown, type_path
from limpet.storage.upload import Upload, hash_of

MAX_HASHED = 1 << 26
"""Bytes of a file that somebody has copied in by hand, up to which its hash is told."""
EXISTS = "File or folder does already exist"

_Parts = tuple[str, ...]


class StoredFile(NamedTuple):
    """`path` is below the top of the store; size in bytes, `date` in seconds since the epoch, `hash` SHA-1 in hex.

    `analysis` is None for a file that has not been read yet, and one without moves where reading it was of no use.
    """

    path: str
    name: str
    display: str
    size: int
    date: int
    type_path: tuple[str, ...]
    hash: str | None
    user: str | None
    userdata: Any
    analysis: Summary | None = None


class StoredFolder(NamedTuple):
    """`size` is that of all files in it, at any depth; `children` is empty where nobody asked for them."""

    path: str
    name: str
    display: str
    size: int
    date: int
    children: tuple[StoredFile | StoredFolder, ...]


class Store:
    """The folder at `path`, which is made when it is first used; analyses of its files are kept in another one."""

    def __init__(self, path: Path, analyses: Path | None = None) -> None:
        self.path = path
        self._analyses = Analyses(analyses)
        self._index = Index()
        self._changing = threading.RLock()

    # -- looking --

    def listing(self, path: str = "", *, recursive: bool = False) -> StoredFolder:
        """A folder and what is in it; with `recursive` also what is in the folders in it."""
        parts = old_path(path)
        with self._opened() as root, _missing(), folders.folder(root, parts) as opened:
            return self._folder(opened, parts, os.fstat(opened), None if recursive else 1)

    def info(self, path: str) -> StoredFile:
        """One file, with its hash unless it is a large one that was copied in by hand."""
        parts = old_path(path)
        with self._opened() as root:
            with self._content(root, path) as descriptor, open(descriptor, "rb", closefd=False) as content:
                status = os.fstat(descriptor)
                file = self._file(parts, status)
                if file.hash is not None or file.size > MAX_HASHED:
                    return file
                hash = hash_of(content)
            with self._changing:
                entry = self._entry(path, status) or Entry(size=status.st_size, mtime=status.st_mtime_ns)
                self._index.put(path, structs.replace(entry, hash=hash))
                self._save(root)
            return file._replace(hash=hash)

    def look(self, path: str, *, recursive: bool = False) -> StoredFile | StoredFolder:
        """The file or folder at this path."""
        return self.listing(path, recursive=recursive) if self.is_folder(path) else self.info(path)

    def is_folder(self, path: str) -> bool | None:
        """None when there is neither a file nor a folder to be seen."""
        try:
            parts = old_path(path)
            if not parts:
                return True
            with self._opened() as root, _missing(), folders.folder(root, parts[:-1]) as above:
                return stat.S_ISDIR(self._status(above, parts[-1]).st_mode)
        except NotFound:
            return None

    def open(self, path: str) -> int:
        """A descriptor of a file, to read from; the caller closes it."""
        with self._opened() as root, self._content(root, path) as descriptor:
            return os.dup(descriptor)

    def space(self) -> tuple[int, int]:
        """Free and all bytes of the disk."""
        with self._opened() as root:
            disk = os.fstatvfs(root)
            return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize

    def other_name(self, path: str) -> str:
        """A name like that of the new file at this path that is still free: `a.gcode` -> `a_1.gcode`."""
        *above, name = _named(path)
        stem, dot, extension = name.rpartition(".")
        for number in range(1, 1000):
            other = f"{stem}_{number}.{extension}" if stem and dot else f"{name}_{number}"
            if self.is_folder("/".join((*above, other))) is None:
                return other
        raise Conflict(f"There are too many files with names like {name}")

    # -- what is in the files --

    def analysis(self, path: str) -> Analysis | None:
        """All that is known of what is in a file; None when it is not known yet, or there is no such file."""
        kept = self._kept(path)
        return self._analyses.read(kept) if kept is not None else None

    def thumbnail(self, path: str, size: str | None = None) -> tuple[Thumbnail, bytes]:
        """The picture of this size (`220x124`), else the largest one, and its content. Raises NotFound."""
        kept = self._kept(path)
        known = kept.read().thumbnails if kept is not None else ()
        for thumbnail in sorted(known, key=lambda each: (each.size == size, each.width * each.height), reverse=True):
            content = self._analyses.picture(kept, thumbnail) if kept is not None else None
            if content is not None:
                return thumbnail, content
        raise NotFound()

    def read(self, path: str) -> Reading:
        """A file, to be analysed; the caller closes it."""
        with self._opened() as root, self._content(root, path) as descriptor:
            source = os.dup(descriptor)
            try:
                return Reading(path, source, os.fstat(source))
            except OSError:
                os.close(source)
                raise

    def keep(self, reading: Reading, *, good: bool = True) -> Summary | None:
        """What was found in a file; None when the file is gone or another one by now.

        When it is no `good`, nothing is known of the file, and it need not be tried again.
        """
        found = reading.found() if good else Found()
        with self._opened() as root, self._changing, self._content(root, reading.path) as descriptor:
            status = os.fstat(descriptor)
            if (status.st_size, status.st_mtime_ns) != (reading.status.st_size, reading.status.st_mtime_ns):
                return None
            entry = self._entry(reading.path, status) or Entry(size=status.st_size, mtime=status.st_mtime_ns)
            self._index.put(reading.path, structs.replace(entry, analysis=self._analyses.keep(found)))
            self._save(root)
        return found.analysis.summary

    def _kept(self, path: str) -> Kept | None:
        try:
            with self._opened() as root, self._content(root, path) as descriptor:
                entry = self._entry(path, os.fstat(descriptor))
        except NotFound:
            return None
        return entry.analysis if entry is not None else None

    # -- changing --

    def begin(self) -> Upload:
        """A new file that nobody sees until it is placed; whoever begins one discards it in the end."""
        with self._opened() as root:
            return Upload(root)

    def place(
        self, upload: Upload, path: str, *, overwrite: bool = True, user: str | None = None, userdata: Any = None
    ) -> StoredFile:
        """Makes an upload the file at this new path, with all folders above it."""
        parts = _named(path)
        if type_path(parts[-1]) is None:
            raise BadRequest("this is no name of a file to print")
        with self._opened() as root:
            upload.complete()
            with self._changing, folders.folder(root, parts[:-1], make=True) as above:
                there = folders.status_of(above, parts[-1])
                if there is not None and not (overwrite and stat.S_ISREG(there.st_mode)):
                    raise Conflict(EXISTS)
                status = upload.move(above, parts[-1])
                entry = Entry(
                    size=status.st_size,
                    mtime=status.st_mtime_ns,
                    hash=upload.hash,
                    user=user,
                    userdata=userdata,
                    display=_display(path, parts),
                )
                self._index.put("/".join(parts), entry)
                self._save(root)
        return self._file(parts, status)

    def make_folder(self, path: str) -> StoredFolder:
        """The folder at this new path, and those above it; it may be there already."""
        parts = _named(path)
        with self._opened() as root, self._changing, folders.folder(root, parts, make=True):
            if display := _display(path, parts):
                self._index.put("/".join(parts), Entry(display=display))
                self._save(root)
        return self.listing("/".join(parts))

    def copy(self, path: str, destination: str) -> StoredFile | StoredFolder:
        """Into the folder `destination`, or under that new name."""
        source, target = old_path(path), self._target(path, destination)
        with (
            self._opened() as root,
            folders.folder(root, source[:-1]) as above,
            folders.folder(root, target[:-1]) as beside,
        ):
            if stat.S_ISDIR(self._status(above, source[-1]).st_mode):
                with folders.folder(above, source[-1:]) as folder, folders.temporary_folder(beside) as (copy, hidden):
                    folders.copy_folder(folder, copy)
                    self._publish(beside, hidden, beside, target[-1])
            else:
                with folders.temporary(beside) as (copy, hidden):
                    folders.copy_file(above, source[-1], copy)
                    self._publish(beside, hidden, beside, target[-1])
            self._index_moved(root, path, "/".join(target), keep=True)
        return self.look("/".join(target))

    def move(self, path: str, destination: str) -> StoredFile | StoredFolder:
        """Into the folder `destination`, or under that new name."""
        source, target = old_path(path), self._target(path, destination)
        with (
            self._opened() as root,
            folders.folder(root, source[:-1]) as above,
            folders.folder(root, target[:-1]) as beside,
            self._changing,
        ):
            self._publish(above, source[-1], beside, target[-1])
            self._index_moved(root, path, "/".join(target), keep=False)
        return self.look("/".join(target))

    def delete(self, path: str) -> bool:
        """A file, or a folder and all that is in it; True when it was a folder."""
        *parts, name = old_path(path) or ("",)
        with self._opened() as root, _missing(), folders.folder(root, parts) as above:
            is_folder = stat.S_ISDIR(self._status(above, name).st_mode)
            # A folder goes at once, and is taken apart then; what a kill leaves of it is swept.
            hidden = folders.hidden_name()
            with self._changing:
                if is_folder:
                    os.rename(name, hidden, src_dir_fd=above, dst_dir_fd=above)
                else:
                    os.unlink(name, dir_fd=above)
                for gone in self._index.below(path):
                    self._index.put(gone, None)
                self._save(root)
            if is_folder:
                shutil.rmtree(hidden, dir_fd=above)
        return is_folder

    def sweep(self) -> None:
        """Removes what a killed process has left half-done, and forgets files that are gone or replaced.

        Never raises; a folder that is not there yet is not made.
        """
        if not self.path.is_dir():
            return
        try:
            with self._opened() as root, self._changing:
                folders.sweep(root)
                if self._index.keep(set(self._known(root, ()))):
                    self._save(root)
                self._analyses.sweep(self._index.analyses)
        except LimpetError as error:
            log.warning("%s cannot be tidied up: %s", self.path, error)

    # -- the parts of it --

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with explained():
            root = folders.open_root(self.path)
            try:
                if not self._index.is_loaded:
                    with self._changing:
                        self._index.load(root)
                yield root
            finally:
                os.close(root)

    @contextmanager
    def _content(self, root: int, path: str) -> Iterator[int]:
        *parts, name = old_path(path) or ("",)
        with _missing():
            if type_path(name) is None:
                raise NotFound()
            with folders.folder(root, parts) as above:
                descriptor = folders.open_file(above, name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _save(self, root: int) -> None:
        self._index.save(root)
        for kept in self._index.take_dropped():
            self._analyses.forget(kept)

    def _status(self, above: int, name: str) -> os.stat_result:
        """Of a file or folder that is shown."""
        status = folders.status_of(above, name) if name else None
        if status is None or not folders.is_item(name, status):
            raise NotFound()
        return status

    def _entry(self, path: str, status: os.stat_result) -> Entry | None:
        entry = self._index.get(path)
        return entry if entry is not None and entry.of(status) else None

    def _file(self, parts: _Parts, status: os.stat_result) -> StoredFile:
        path, name = "/".join(parts), parts[-1]
        entry = self._entry(path, status) or Entry()
        return StoredFile(
            path=path,
            name=name,
            display=entry.display or name,
            size=status.st_size,
            date=int(status.st_mtime),
            type_path=type_path(name) or (),
            hash=entry.hash,
            user=entry.user,
            userdata=entry.userdata,
            analysis=entry.analysis.read() if entry.analysis is not None else None,
        )

    def _folder(self, opened: int, parts: _Parts, status: os.stat_result, levels: int | None) -> StoredFolder:
        """`levels` of what is in it are told, the others only counted; None tells all."""
        children: list[StoredFile | StoredFolder] = []
        for number, item in enumerate(folders.items(opened) if len(parts) < MAX_DEPTH else ()):
            folders.give_way(number)
            if not item.is_folder:
                children.append(self._file((*parts, item.name), item.status))
                continue
            with suppress(FileNotFoundError, NotADirectoryError), folders.folder(opened, [item.name]) as inner:
                below = None if levels is None else levels - 1
                children.append(self._folder(inner, (*parts, item.name), item.status, below))
        path, name = "/".join(parts), parts[-1] if parts else ""
        entry = self._index.get(path)
        return StoredFolder(
            path=path,
            name=name,
            display=(entry.display if entry else None) or name,
            size=sum(child.size for child in children),
            date=int(status.st_mtime),
            children=tuple(children) if levels is None or levels > 0 else (),
        )

    def _target(self, path: str, destination: str) -> _Parts:
        """Where a copy or move leads."""
        source, target, is_folder = old_path(path), new_path(destination), self.is_folder(path)
        if not source or is_folder is None:
            raise NotFound()
        if self.is_folder("/".join(target)):
            target = (*target, source[-1])
        elif not is_folder and type_path(target[-1]) is None:
            raise BadRequest(f"There is no folder {'/'.join(target)!r}, and this is no name of a file to print")
        above = "/".join(target[:-1])
        if not self.is_folder(above):
            raise BadRequest(f"There is no folder {above!r}")
        if is_folder and len(target) > len(source) and target[: len(source)] == source:
            raise BadRequest("A folder cannot be put into itself")
        if self.is_folder("/".join(target)) is not None:
            raise Conflict(EXISTS)
        return target

    def _publish(self, above: int, old: str, beside: int, new: str) -> None:
        with self._changing:
            if folders.status_of(beside, new) is not None:
                raise Conflict(EXISTS)
            os.rename(old, new, src_dir_fd=above, dst_dir_fd=beside)
            folders.sync(beside)

    def _index_moved(self, root: int, old: str, new: str, *, keep: bool) -> None:
        with self._changing:
            for path in self._index.below(old):
                entry = self._index.get(path)
                if path == old and entry is not None:
                    entry = structs.replace(entry, display=None)
                self._index.put(new + path[len(old) :], entry)
                if not keep:
                    self._index.put(path, None)
            self._save(root)

    def _known(self, opened: int, parts: _Parts) -> Iterator[str]:
        """Paths of which the index still tells the truth."""
        for item in folders.items(opened) if len(parts) < MAX_DEPTH else ():
            path = "/".join((*parts, item.name))
            if item.is_folder:
                yield path
                with folders.folder(opened, [item.name]) as below:
                    yield from self._known(below, (*parts, item.name))
            elif self._entry(path, item.status) is not None:
                yield path


@contextmanager
def _missing() -> Iterator[None]:
    """A link on the way is as good as nothing."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOTHING:
            raise
        raise NotFound() from None


def _named(path: str) -> _Parts:
    """The parts of a new path that is not the top of the store."""
    parts = new_path(path)
    if not parts:
        raise BadRequest("the name is empty")
    return parts


def _display(path: str, parts: _Parts) -> str | None:
    """How whoever named it wrote the name, when it had to be changed."""
    display = shown(path.rstrip("/").rpartition("/")[2])
    return display if display != parts[-1] else None
