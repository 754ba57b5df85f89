"""API keys: who may do what. A key is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from limpet.errors import BadRequest, Conflict, SettingsError
from limpet.files import locked, read_limited, write_atomically

MAX_KEYS = 1000
MAX_NAME_LENGTH = 64
MAX_FILE_BYTES = 1 << 20
ADMIN = "ADMIN"
PERMISSIONS = frozenset(
    {
        ADMIN,
        "STATUS",
        "CONNECTION",
        "CONTROL",
        "PRINT",
        "FILES_LIST",
        "FILES_UPLOAD",
        "FILES_DOWNLOAD",
        "FILES_DELETE",
        "FILES_SELECT",
        "GCODE_VIEWER",
        "MONITOR_TERMINAL",
        "SETTINGS",
        "SETTINGS_READ",
        "SLICE",
        "SYSTEM",
        "TIMELAPSE_ADMIN",
        "TIMELAPSE_DELETE",
        "TIMELAPSE_DOWNLOAD",
        "TIMELAPSE_LIST",
        "TIMELAPSE_MANAGE_UNRENDERED",
        "WEBCAM",
    }
)
"""OctoPrint's names. Source: `permissions` in the answers of OctoPrint 1.11.8 to `/api/access/permissions`."""

_log = logging.getLogger(__name__)


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key: `hash` is the sha256 of its text in hex, `created` an ISO time in UTC."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    permissions: tuple[str, ...]
    created: str

    def permits(self, permission: str) -> bool:
        """Whether the owner may do what needs `permission`; ADMIN may do everything."""
        return ADMIN in self.permissions or permission in self.permissions


class KeyStore:
    """The keys in `path` (`keys.json`), and `extra_key`, an admin key that is kept nowhere.

    Several processes may use one file: what one of them adds or revokes holds for all of them at once.
    """

    def __init__(self, path: Path, extra_key: str | None = None) -> None:
        self.path = path
        self._extra = {}
        if extra_key:
            digest = _hash(extra_key)
            self._extra[digest] = Key(name="$LIMPET_API_KEY", hash=digest, permissions=(ADMIN,), created="")
        self._keys: dict[str, Key] = {}
        self._stamp: tuple[int, ...] | None = None
        self._fault = ""

    def add(self, name: str, permissions: Sequence[str] = (ADMIN,)) -> str:
        """Makes a key and returns its text (64 hex digits), which cannot be had again.

        Raises BadRequest for a bad name or permission, Conflict for a name in use or too many keys and
        SettingsError when the file cannot be used.
        """
        if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable() or name != name.strip():
            raise BadRequest(f"the name of a key is 1 to {MAX_NAME_LENGTH} printable characters")
        if not permissions or not PERMISSIONS.issuperset(permissions):
            raise BadRequest(f"a key has one or more of these permissions: {', '.join(sorted(PERMISSIONS))}")
        text = secrets.token_hex(32)
        key = Key(
            name=name,
            hash=_hash(text),
            permissions=tuple(dict.fromkeys(permissions)),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with locked(self.path):
            keys = self._read()
            if any(other.name == name for other in keys):
                raise Conflict(f'there is a key named "{name}" already; revoke it or choose another name')
            if len(keys) >= MAX_KEYS:
                raise Conflict(f"there are {MAX_KEYS} keys already; revoke one first")
            self._write((*keys, key))
        return text

    def list(self) -> tuple[Key, ...]:
        """The stored keys, oldest first. Raises SettingsError when the file cannot be used."""
        return self._read()

    def revoke(self, name: str) -> None:
        """Ends a key. Raises BadRequest for an unknown name, SettingsError as `add` does."""
        with locked(self.path):
            keys = self._read()
            left = tuple(key for key in keys if key.name != name)
            if len(left) == len(keys):
                raise BadRequest(f"there is no key named {name!r}")
            self._write(left)

    def check(self, key: str) -> Key | None:
        """The key with this text, or None. While the file is broken no stored key is valid."""
        if not key:
            return None
        self._refresh()
        # Only hashes are looked up: the time this takes tells nothing about a stored key.
        digest = _hash(key)
        return self._extra.get(digest) or self._keys.get(digest)

    def _refresh(self) -> None:
        try:
            stamp = _stamp(self.path)
            if stamp is not None and stamp == self._stamp:
                return
            # The stamp is older than what is read now: a change in between is seen at the next call.
            self._keys = {key.hash: key for key in self._read()}
            self._stamp, self._fault = stamp, ""
        except SettingsError as error:
            # No stamp: what fails now (too many open files, say) may work at the next call.
            self._keys, self._stamp = {}, None
            if self._fault != str(error):
                self._fault = str(error)
                _log.warning("no stored API key is valid: %s", error)

    def _read(self) -> tuple[Key, ...]:
        data = read_limited(self.path, MAX_FILE_BYTES)
        if data is None:
            return ()
        try:
            keys = msgspec.json.decode(data, type=tuple[Key, ...])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self.path}: {error}; repair it, or delete it and add the keys anew") from None
        for what in ("name", "hash"):
            if len({getattr(key, what) for key in keys}) != len(keys):
                raise SettingsError(f"{self.path}: two keys have the same {what}; delete one of them")
        return keys

    def _write(self, keys: tuple[Key, ...]) -> None:
        data = msgspec.json.format(msgspec.json.encode(keys), indent=2)
        write_atomically(self.path, data + b"\n", mode=0o600)


def _hash(text: str) -> str:
    # A header may hold any bytes, which arrive here as surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
