"""Moving in from OctoPrint: its folder is read, never written; Limpet's own gets what `octoprint.plan` says.

No symbolic link inside OctoPrint's folder is followed: it could lead anywhere.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from limpet.errors import LimpetError
from limpet.files import locked, make_private_folder, read_limited
from limpet.keys import KeyStore
from limpet.octoprint.moving import Line, Plan, Present
from limpet.octoprint.plan import plan
from limpet.settings_file import MAX_FILE_BYTES, SettingsFile
from limpet.storage.names import MAX_DEPTH, type_path
from limpet.users import UserStore

MAX_YAML_BYTES = 1 << 20
MAX_PROFILES = 100
MAX_SCRIPTS = 50
MAX_UPLOADS = 100_000
MAX_TOLD = 50
"""Uploads that are left of which each is told with the reason."""
RESERVE = 100 << 20
"""Bytes that stay free on the disk."""
_CHUNK = 1 << 20
_PART = ".import.tmp"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are copied."""


def move_in(source: Path, file: SettingsFile, *, dry_run: bool, progress: Progress) -> list[Line]:
    """Takes over the OctoPrint in `source` into the folder of `file`; what became of each thing.

    Raises LimpetError when `source` is no OctoPrint's, or when what Limpet has cannot be used.
    """
    data = file.path.parent
    theirs, ours = Path(os.path.realpath(source)), Path(os.path.realpath(data))
    if not theirs.is_dir():
        raise LimpetError(f"import-octoprint: {source} is no folder")
    if ours == theirs or theirs in ours.parents:
        raise LimpetError(
            f"import-octoprint: the data folder {data} is inside {source}, where nothing is to be changed"
        )
    with _opened(theirs) as folder:
        if "config.yaml" not in _names(folder):
            raise LimpetError(f"import-octoprint: {source} is no folder of an OctoPrint: it has no config.yaml")
        if not dry_run:
            make_private_folder(data)
        with nullcontext() if dry_run else locked(data / "import"):
            return _move(theirs, folder, file, dry_run, progress)


def _move(theirs: Path, folder: int, file: SettingsFile, dry_run: bool, progress: Progress) -> list[Line]:
    data = file.path.parent
    users, keys = UserStore(data / "users.json"), KeyStore(data / "keys.json")
    lines: list[Line] = []
    made = plan(
        _yaml(folder, "config.yaml", lines),
        _yaml(folder, "users.yaml", lines),
        _yaml(folder, "groups.yaml", lines),
        _profiles(folder, lines),
        _yaml(folder, "data/appkeys/keys.yaml", lines),
        _present(file, users, keys),
        scripts=_scripts(folder, lines),
    )
    lines += made.lines
    if dry_run:
        file.preview(made.settings)
    else:
        file.edit(made.settings)
        lines = _add(made, users, keys, lines)
    settings = file.load()
    uploads = settings.printers[settings.default_printer].uploads or settings.files.uploads
    target = data / uploads
    if Path(os.path.realpath(target)).is_relative_to(theirs):
        return [*lines, Line("there", "uploads: Limpet's settings name a folder of this OctoPrint")]
    return lines + _Uploads(target, dry_run, progress).copy(folder)


def _present(file: SettingsFile, users: UserStore, keys: KeyStore) -> Present:
    printer = file.load().default_printer
    content = read_limited(file.path, MAX_FILE_BYTES) or b""
    stored = keys.list()
    return Present(
        settings=tomllib.loads(content.decode("utf-8-sig")),
        printer=printer,
        groups=users.groups.all(),
        users=frozenset(user.name for user in users.list()),
        keys=frozenset(key.hash for key in stored),
        own_keys=frozenset(key.user for key in stored if key.user is not None and key.app is None),
    )


def _add(made: Plan, users: UserStore, keys: KeyStore, lines: list[Line]) -> list[Line]:
    """What cannot be added, because there are too many, is told below the plan."""
    # Each may be a part of any other.
    for group in (*(msgspec.structs.replace(group, subgroups=()) for group in made.groups), *made.groups):
        try:
            if group.key in users.groups.all():
                rights = {"permissions": group.permissions, "subgroups": group.subgroups, "default": group.default}
                users.groups.change(group.key, **rights)
            else:
                users.groups.add(group)
        except LimpetError as error:
            lines = [*lines, Line("left", f"group {group.key}: in the end not added: {error}")]
            break
    for user in made.users:
        try:
            users.add(user.name, None, groups=user.groups, permissions=user.permissions, active=user.active)
        except LimpetError as error:
            lines = [*lines, Line("left", f"user {user.name}: in the end not added: {error}")]
    for key in made.keys:
        try:
            keys.add_existing(key.text, key.name, permissions=key.permissions, user=key.user, app=key.app)
        except LimpetError as error:
            lines = [*lines, Line("left", f"{key.name}: in the end not added: {error}")]
    return lines


# -- reading --


@contextmanager
def _opened(path: str | Path, flags: int = _FOLDER, within: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: int) -> list[str]:
    return os.listdir(folder)


def _yaml(folder: int, path: str, lines: list[Line]) -> Any:
    """The content of a file, by its path inside the folder; None, and a line, for one that cannot be read."""
    try:
        content = _read(folder, path)
        return None if content is None else _parsed(content)
    except OSError as error:
        why = "it is a symbolic link, or inside of one" if error.errno == errno.ELOOP else error.strerror
    except ValueError as error:
        why = str(error)
    lines.append(Line("left", f"{path}: {why}"))
    return None


def _read(folder: int, path: str) -> bytes | None:
    first, _, rest = path.partition("/")
    try:
        if rest:
            if stat.S_ISLNK(os.stat(first, dir_fd=folder, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, "")
            with _opened(first, within=folder) as inner:
                return _read(inner, rest)
        with _opened(first, _FILE, folder) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_YAML_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MAX_YAML_BYTES:
        raise ValueError(f"it is larger than {MAX_YAML_BYTES} bytes")
    return content


def _parsed(content: bytes) -> Any:
    import yaml

    try:
        return yaml.safe_load(content.decode("utf-8-sig"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"line {content[: error.start].count(10) + 1}: this is not UTF-8") from None
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _profiles(folder: int, lines: list[Line]) -> dict[str, Any]:
    try:
        with _opened("printerProfiles", within=folder) as inner:
            names = sorted(name for name in _names(inner) if name.endswith(".profile"))
    except FileNotFoundError:
        return {}
    except OSError:
        lines.append(Line("left", "printerProfiles: it is no folder, or a symbolic link"))
        return {}
    if len(names) > MAX_PROFILES:
        lines.append(Line("left", f"printerProfiles: more than {MAX_PROFILES}; the rest is not looked at"))
    return {
        name.removesuffix(".profile"): _yaml(folder, f"printerProfiles/{name}", lines) for name in names[:MAX_PROFILES]
    }


def _scripts(folder: int, lines: list[Line]) -> dict[str, str]:
    """G-code scripts by name."""
    scripts: dict[str, str] = {}
    for below in ("", "snippets/"):
        try:
            with _inside(folder, ("scripts", "gcode", *filter(None, [below.rstrip("/")]))) as inner:
                names = sorted(name for name in _names(inner) if not name.startswith("."))[:MAX_SCRIPTS]
                found = {f"{below}{name}": _text(inner, name, lines) for name in names if below + name != "snippets"}
            scripts |= {name: text for name, text in found.items() if text is not None}
        except FileNotFoundError:
            continue
        except OSError:
            lines.append(Line("left", f"scripts/gcode/{below}: it is no folder, or a symbolic link"))
    return scripts


@contextmanager
def _inside(folder: int, path: tuple[str, ...]) -> Iterator[int]:
    """A folder within folders."""
    with _opened(path[0], within=folder) as inner:
        if path[1:]:
            with _inside(inner, path[1:]) as found:
                yield found
        else:
            yield inner


def _text(folder: int, name: str, lines: list[Line]) -> str | None:
    try:
        content = _read(folder, name)
        return None if content is None else content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        lines.append(Line("left", f"scripts/gcode, {name}: {error}"))
        return None


# -- uploads --


@dataclass
class _Uploads:
    """Copies what is not in `target` yet."""

    target: Path
    dry_run: bool
    progress: Progress
    lines: list[Line] = field(default_factory=list)
    new: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    there: int = 0
    left: int = 0

    def copy(self, folder: int) -> list[Line]:
        try:
            with _opened("uploads", within=folder) as uploads:
                self._look(uploads, ())
                self._copy_all(uploads)
        except FileNotFoundError:
            self._leave((), "there is no such folder")
        except OSError as error:
            self._leave((), f"{error.strerror} (a symbolic link is not followed)")
        if self.left > MAX_TOLD:
            self.lines.append(Line("left", f"uploads: {_files(self.left - MAX_TOLD)} more that cannot be taken"))
        if self.there:
            self.lines.append(Line("there", f"uploads: {_files(self.there)}"))
        return self.lines

    def _leave(self, path: tuple[str, ...], why: str) -> None:
        self.left += 1
        if self.left > MAX_TOLD:
            return
        name = "/".join(("uploads", *path))
        self.lines.append(Line("left", f"{''.join(c if c.isprintable() else '?' for c in name)}: {why}"))

    def _look(self, folder: int, path: tuple[str, ...]) -> None:
        for name in sorted(_names(folder)):
            # Hidden files are what OctoPrint notes about the others.
            if name.startswith("."):
                continue
            try:
                fault = self._look_at(folder, (*path, name))
            except OSError as error:
                fault = str(error.strerror)
            if fault:
                self._leave((*path, name), fault)

    def _look_at(self, folder: int, path: tuple[str, ...]) -> str:
        """Why it is left, if it is."""
        status = os.stat(path[-1], dir_fd=folder, follow_symlinks=False)
        if not path[-1].isprintable():
            return "there are characters in its name that cannot be shown"
        if stat.S_ISLNK(status.st_mode):
            return "it is a symbolic link"
        if stat.S_ISDIR(status.st_mode):
            if len(path) >= MAX_DEPTH:
                return f"more than {MAX_DEPTH} folders deep"
            with _opened(path[-1], within=folder) as below:
                self._look(below, path)
            return ""
        if not stat.S_ISREG(status.st_mode):
            return "it is not a regular file"
        if type_path(path[-1]) is None:
            return "it is no G-code"
        if len(self.new) + self.there >= MAX_UPLOADS:
            return f"there are {MAX_UPLOADS} files before it"
        try:
            found = self.target.joinpath(*path).lstat()
        except FileNotFoundError:
            self.new.append((path, status.st_size))
            return ""
        if not stat.S_ISREG(found.st_mode) or found.st_size != status.st_size:
            return "there is another one of this name here"
        self.there += 1
        return ""

    def _copy_all(self, uploads: int) -> None:
        total = sum(size for _, size in self.new)
        if not self.new:
            return
        exists = next(each for each in (self.target, *self.target.parents) if each.exists())
        free = shutil.disk_usage(exists).free
        if total + RESERVE > free:
            self._leave((), f"{_files(len(self.new), total)} do not fit: {_size(free)} are free at {exists}")
            return
        copied = done = 0
        for number, (path, size) in enumerate(self.new, 1):
            try:
                if not self.dry_run:
                    self._copy(uploads, path, done, total)
            except OSError as error:
                self._leave(path, str(error.strerror))
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    if rest := len(self.new) - number:
                        self.lines.append(Line("left", f"uploads: {_files(rest)} after that: the disk is full"))
                    break
            else:
                copied, done = copied + 1, done + size
        if copied:
            self.lines.append(Line("taken", f"uploads: {_files(copied, done)}"))

    def _copy(self, uploads: int, path: tuple[str, ...], done: int, total: int) -> None:
        target, part = self.target.joinpath(*path), self.target / _PART
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _reached(uploads, path) as source, part.open("wb") as out:
                status = os.fstat(source)
                while chunk := os.read(source, _CHUNK):
                    done += out.write(chunk)
                    self.progress(done, total)
                out.flush()
                os.utime(out.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
                os.fsync(out.fileno())
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _reached(folder: int, path: tuple[str, ...]) -> Iterator[int]:
    """A file, with no link followed on the way."""
    if len(path) == 1:
        with _opened(path[0], _FILE, folder) as found:
            yield found
        return
    with _opened(path[0], within=folder) as inner, _reached(inner, path[1:]) as found:
        yield found


def _files(count: int, size: int | None = None) -> str:
    return f"{count} file{'s' * (count != 1)}" + ("" if size is None else f", {_size(size)}")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
