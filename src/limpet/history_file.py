"""The prints there have been, in `history.db`, a database of SQLite. All of it blocks, and is for one thread alone.

What goes wrong with the disk is a Conflict or NoRoom with words for a person. One process has the file at a time: who
comes second keeps no history. Each write is a transaction in the write-ahead log, without waiting for the disk: what
is written survives a killed process at once, and a power cut in all but its last seconds.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct, structs

from limpet.errors import Conflict, NoRoom, NotFound
from limpet.gcodefile.analysis import Filament
from limpet.storage.folders import give_way

T = TypeVar("T")

MAX_PRINTS = 10_000
"""The newest that are kept."""
BUSY_TIME = 1.0
"""Seconds that another program is waited for."""
CUT_OFF = "server_ended"
"""Why a print has ended that was under way when Limpet itself was killed."""
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = logging.getLogger(__name__)


class Record(Struct, frozen=True, kw_only=True):
    """A print that is under way, or has ended: then it has an `outcome`, "done", "cancelled" or "failed".

    `store` is where its file is: a folder of files, or the printer whose card it is on. `size` in bytes and `date` of
    its last change tell the file from another one of its name. Times are in seconds since the epoch, `ended` is when
    it was last heard of if it has not; `elapsed` is in seconds without pauses; `position` in bytes and `line` in lines
    of the file, as far as the printer has acknowledged them; `skipped` are the bytes that were printed before, by the
    print that it goes on with. `filament` is what the whole file needs, by the number of
    the tool. `id` is 0 for one that has not been written yet.
    """

    id: int = 0
    printer: str
    profile: str
    store: str
    origin: str
    path: str
    display: str
    size: int | None
    date: int | None
    user: str | None
    started: float
    ended: float
    elapsed: float = 0.0
    position: int = 0
    line: int = 0
    resends: int = 0
    filament: dict[int, Filament] | None = None
    outcome: str | None = None
    code: str | None = None
    message: str | None = None
    skipped: int = 0

    @property
    def used(self) -> dict[int, Filament] | None:
        """What has been used of the filament, by how much of the file was printed."""
        if self.filament is None or (self.outcome == "done" and not self.skipped):
            return self.filament
        done = self.size if self.outcome == "done" else self.position
        part = min(max(((done or 0) - self.skipped) / self.size, 0.0), 1.0) if self.size else 0.0
        return {
            tool: Filament(need.length * part, need.volume * part, None if need.weight is None else need.weight * part)
            for tool, need in self.filament.items()
        }


class Tally(NamedTuple):
    """How prints of one file went: how often well, how often not, and the last one. By profile, the seconds that the
    good ones took on average, and the last of them."""

    success: int
    failure: int
    last_ended: float
    last_elapsed: float
    last_success: bool
    average: dict[str, float]
    last: dict[str, float]


class Place(NamedTuple):
    """A `store` of files, and the `profile` of the printer that prints them."""

    store: str
    profile: str


File = tuple[str, int | None, int | None]
"""Path, size and date of change."""

_COLUMNS = tuple(field.name for field in structs.fields(Record) if field.name != "id")
_WHOLE = "outcome = 'done' AND skipped = 0"
_CHANGING = (*("ended", "elapsed", "position", "line", "resends"), *("filament", "outcome", "code", "message"))

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE prints (
        id INTEGER PRIMARY KEY, printer TEXT NOT NULL, profile TEXT NOT NULL, store TEXT NOT NULL,
        origin TEXT NOT NULL, path TEXT NOT NULL, display TEXT NOT NULL, size INTEGER, date INTEGER, user TEXT,
        started REAL NOT NULL, ended REAL NOT NULL, elapsed REAL NOT NULL, position INTEGER NOT NULL,
        line INTEGER NOT NULL, resends INTEGER NOT NULL, filament TEXT, outcome TEXT, code TEXT, message TEXT
    );
    CREATE INDEX prints_of_file ON prints (store, path);
    CREATE INDEX prints_of_printer ON prints (printer, id);
    """,
    "ALTER TABLE prints ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0",
)
"""What makes a database of version N one of N + 1, by N; what is there already is never changed."""
VERSION = len(STEPS)


class HistoryFile:
    """The database at `path`, which is made when something is first written, and opened again after a fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def cut_off(self) -> list[Record]:
        """Once, at the start: prints that were under way when Limpet was killed have failed, and are told."""

        def work(database: sqlite3.Connection) -> list[Record]:
            rows = _select(database, "WHERE outcome IS NULL ORDER BY id")
            database.executemany(
                "UPDATE prints SET outcome = 'failed', code = ?, message = ? WHERE id = ?",
                [(CUT_OFF, _told(row), row.id) for row in rows],
            )
            marks = ",".join("?" * len(rows))
            return _select(database, f"WHERE id IN ({marks}) ORDER BY id", *(row.id for row in rows))

        return self._look(work, [])

    def put(self, record: Record) -> int:
        """Writes a new print, or what has changed of one that is under way; its id."""

        def work(database: sqlite3.Connection) -> int:
            if record.id:
                changes = ", ".join(f"{name} = ?" for name in _CHANGING)
                row = database.execute(
                    f"UPDATE prints SET {changes} WHERE id = ?", (*_values(record, _CHANGING), record.id)
                )
                if row.rowcount:
                    return record.id
            marks = ",".join("?" * len(_COLUMNS))
            made = database.execute(
                f"INSERT INTO prints ({', '.join(_COLUMNS)}) VALUES ({marks})", _values(record, _COLUMNS)
            ).lastrowid
            database.execute(
                "DELETE FROM prints WHERE id <= (SELECT id FROM prints ORDER BY id DESC LIMIT 1 OFFSET ?)", [MAX_PRINTS]
            )
            return made or 0

        return self._run(work)

    def newest(self, printer: str | None, limit: int, offset: int = 0) -> tuple[list[Record], int]:
        """The newest prints of a printer, or of all, newest first; and how many there are in all."""

        def work(database: sqlite3.Connection) -> tuple[list[Record], int]:
            where, values = ("WHERE printer = ?", [printer]) if printer is not None else ("", [])
            (total,) = database.execute(f"SELECT count(*) FROM prints {where}", values).fetchone()
            return _select(database, f"{where} ORDER BY id DESC LIMIT ? OFFSET ?", *values, limit, offset), total

        none: list[Record] = []
        return self._look(work, (none, 0))

    def tallies(self, store: str, path: str = "") -> dict[File, Tally]:
        """Of all files of a store, or the one at `path`, or all in the folder there."""

        def work(database: sqlite3.Connection) -> dict[File, Tally]:
            where, values = _of_path(store, path)
            means: dict[File, tuple[dict[str, float], dict[str, float]]] = {}
            rows = database.execute(
                "SELECT path, size, date, profile, avg(elapsed), elapsed, max(id) FROM prints"
                f" WHERE {_WHOLE} AND {where} GROUP BY path, size, date, profile",
                values,
            )
            for number, (name, size, date, profile, mean, last, _) in enumerate(rows):
                give_way(number)
                average, latest = means.setdefault((name, size, date), ({}, {}))
                average[profile], latest[profile] = mean, last
            rows = database.execute(
                "SELECT path, size, date, sum(outcome = 'done'), sum(outcome <> 'done'), ended, elapsed,"
                f" outcome = 'done', max(id) FROM prints WHERE outcome IS NOT NULL AND {where}"
                " GROUP BY path, size, date",
                values,
            )
            found = {}
            for number, (name, size, date, good, bad, at, took, well, _) in enumerate(rows):
                give_way(number)
                file = (name, size, date)
                found[file] = Tally(good, bad, at, took, bool(well), *means.get(file, ({}, {})))
            return found

        return self._look(work, {})

    def good_times(self, place: Place, file: File, count: int) -> tuple[tuple[float, ...], float | None]:
        """Seconds that the last good prints of a file took on printers of this profile, newest last, and all on
        average."""

        def work(database: sqlite3.Connection) -> tuple[tuple[float, ...], float | None]:
            of_file = f"store = ? AND profile = ? AND path = ? AND size IS ? AND date IS ? AND {_WHOLE}"
            (mean,) = database.execute(f"SELECT avg(elapsed) FROM prints WHERE {of_file}", (*place, *file)).fetchone()
            rows = database.execute(
                f"SELECT elapsed FROM prints WHERE {of_file} ORDER BY id DESC LIMIT ?", (*place, *file, count)
            )
            return tuple(elapsed for (elapsed,) in rows)[::-1], mean

        none: tuple[tuple[float, ...], float | None] = ((), None)
        return self._look(work, none)

    def move(self, store: str, old: str, new: str) -> None:
        """A file or folder has another path now, and what it was printed with it."""

        def work(database: sqlite3.Connection) -> None:
            where, values = _of_path(store, old)
            database.execute(
                f"UPDATE prints SET path = ? || substr(path, ?), display = iif(path = ?, ?, display) WHERE {where}",
                (new, len(old) + 1, old, new.rpartition("/")[2], *values),
            )

        self._look(work, None)

    def delete(self, id: int, printer: str) -> None:
        """One print of this printer. Raises NotFound, or Conflict while it is under way."""

        def work(database: sqlite3.Connection) -> None:
            rows = _select(database, "WHERE id = ? AND printer = ?", id, printer)
            if not rows:
                raise NotFound("There is no such print in the history")
            if rows[0].outcome is None:
                raise Conflict("This print is under way")
            database.execute("DELETE FROM prints WHERE id = ?", [id])

        if not self._path.exists():
            raise NotFound("There is no such print in the history")
        self._run(work)

    def clear(self, printer: str) -> None:
        """All prints of a printer that have ended."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM prints WHERE printer = ? AND outcome IS NOT NULL", [printer])

        self._look(work, None)

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()

    # -- the database --

    def _look(self, work: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """`nothing` as long as nothing has been written."""
        return self._run(work) if self._path.exists() else nothing

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """All of this work or nothing; what makes no sense is put aside, and the work done in a new database."""
        try:
            return self._transact(work)
        except _Broken as error:
            log.warning("%s; it is kept as %s, and a new one is begun", error, self._put_aside().name)
            return self._transact(work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._database is None:
                self._database = _opened(self._path)
            with self._database:
                return work(self._database)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise NoRoom(f"The disk has no room for the history, {self._path}") from None
            # What is on the disk may be another file by now, or one that can be opened again.
            self.close()
            if code in _BROKEN:
                raise _Broken(f"The history, {self._path}, makes no sense ({error})") from None
            if code == sqlite3.SQLITE_BUSY:
                raise Conflict(f"The history, {self._path}, is in use by another program") from None
            raise Conflict(f"The history, {self._path}, cannot be used: {error}") from None
        except OSError as error:
            raise Conflict(f"The history, {self._path}, cannot be used: {error.strerror}") from None

    def _put_aside(self) -> Path:
        """Where it is kept; one that was put aside before makes way."""
        self.close()
        aside = self._path.with_name(f"{self._path.name}.broken")
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").replace(f"{aside}{suffix}")
        return aside


class _Broken(Conflict):
    """The database makes no sense."""


def _opened(path: Path) -> sqlite3.Connection:
    """The database, as this version of Limpet has it; made if it is missing, for its owner alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, timeout=BUSY_TIME)
    try:
        # The lock is kept from the first access on; it also does without a file in shared memory.
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            database.execute(f"PRAGMA {setting}").fetchall()
        if (verdict := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise _Broken(f"The history, {path}, makes no sense ({verdict})")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise Conflict(f"The history, {path}, is of a newer Limpet, and is left as it is")
        for number, step in enumerate(STEPS[version:], version + 1):
            database.executescript(f"BEGIN; {step}; PRAGMA user_version = {number}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def _select(database: sqlite3.Connection, how: str, *values: object) -> list[Record]:
    rows = database.execute(f"SELECT id, {', '.join(_COLUMNS)} FROM prints {how}", values)
    found = []
    for number, row in enumerate(rows):
        give_way(number)
        told = dict(zip(("id", *_COLUMNS), row, strict=True))
        filament = told["filament"]
        told["filament"] = msgspec.json.decode(filament, type=dict[int, Filament]) if filament else None
        found.append(Record(**told))
    return found


def _values(record: Record, columns: Sequence[str]) -> list[object]:
    values = {name: getattr(record, name) for name in columns}
    if values.get("filament") is not None:
        values["filament"] = msgspec.json.encode(values["filament"]).decode()
    return list(values.values())


def _of_path(store: str, path: str) -> tuple[str, tuple[str, ...]]:
    """A condition for the file at this path and what is in the folder there; "" is all of the store."""
    if not path:
        return "store = ?", (store,)
    # What begins with "path/" comes before "path0": "0" is the character after "/".
    return "store = ? AND (path = ? OR (path > ? AND path < ?))", (store, path, f"{path}/", f"{path}0")


def _told(record: Record) -> str:
    return f"Limpet was ended while it printed {record.path}, at about line {record.line}"
