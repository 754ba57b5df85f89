"""API keys: who may do what. A key is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from limpet.errors import BadRequest, Conflict
from limpet.files import locked
from limpet.permissions import ADMIN, PERMISSIONS
from limpet.records import Records

MAX_KEYS = 1000
MAX_NAME_LENGTH = 64


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key: `hash` is the sha256 of its text in hex, `created` an ISO time in UTC.

    A key with a `user` may do what that user may, whatever that is by then, and has no permissions of its own.
    `app` is the program that has asked for it.
    """

    name: Annotated[str, Meta(min_length=1, max_length=3 * MAX_NAME_LENGTH)]
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    permissions: tuple[str, ...]
    created: str
    user: str | None = None
    app: str | None = None

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
            digest = hash_of(extra_key)
            self._extra[digest] = Key(name="$LIMPET_API_KEY", hash=digest, permissions=(ADMIN,), created="")
        self._keys: dict[str, Key] = {}
        self._records = Records(path, Key, unique=("name", "hash"), loss="no stored API key is valid")

    def add(self, name: str, permissions: Sequence[str] = (ADMIN,)) -> str:
        """Makes a key and returns its text (64 hex digits), which cannot be had again.

        Raises BadRequest for a bad name or permission, Conflict for a name in use or too many keys and
        SettingsError when the file cannot be used. This, like all that writes, blocks for a moment.
        """
        if not is_name(name):
            raise BadRequest(f"the name of a key is 1 to {MAX_NAME_LENGTH} printable characters")
        if not permissions or not PERMISSIONS.keys() >= set(permissions):
            raise BadRequest(f"a key has one or more of these permissions: {', '.join(sorted(PERMISSIONS))}")
        text, key = _made(name, permissions)
        with locked(self.path):
            keys = self._records.read()
            if any(other.name == name for other in keys):
                raise Conflict(f'there is a key named "{name}" already; revoke it or choose another name')
            self._write((*keys, key))
        return text

    def add_for_user(self, user: str) -> str:
        """Makes the key of a user and returns its text; the one that he had ends. Raises as `add` does."""
        text, key = _made(f"{user}'s key", user=user)
        with locked(self.path):
            self._write((*(other for other in self._records.read() if not is_key_of(user)(other)), key))
        return text

    def add_for_app(self, app: str, *, user: str | None = None, permissions: Sequence[str] = ()) -> str:
        """Makes a key for a program, which acts for `user`, or has `permissions`. Raises as `add` does."""
        with locked(self.path):
            keys = self._records.read()
            text, key = _made(_free(f"{app} for {user}" if user else app, keys), permissions, user, app)
            self._write((*keys, key))
        return text

    def add_existing(
        self, text: str, name: str, *, permissions: Sequence[str] = (), user: str | None = None, app: str | None = None
    ) -> bool:
        """Makes a text that somebody uses already a key; False when it is one. Raises as `add` does.

        It gets another name when `name` is taken.
        """
        with locked(self.path):
            keys = self._records.read()
            if any(key.hash == hash_of(text) for key in keys):
                return False
            self._write((*keys, _made(_free(name, keys), permissions, user, app, text)[1]))
        return True

    def list(self) -> tuple[Key, ...]:
        """The stored keys, oldest first. Raises SettingsError when the file cannot be used."""
        return self._records.read()

    def revoke(self, name: str) -> None:
        """Ends a key. Raises BadRequest for an unknown name, SettingsError as `add` does."""
        if not self.revoke_all(lambda key: key.name == name):
            raise BadRequest(f"there is no key named {name!r}")

    def revoke_all(self, which: Callable[[Key], bool]) -> int:
        """Ends those keys; how many they were. Raises SettingsError as `add` does."""
        with locked(self.path):
            keys = self._records.read()
            left = tuple(key for key in keys if not which(key))
            if len(left) < len(keys):
                self._write(left)
        return len(keys) - len(left)

    def check(self, key: str) -> Key | None:
        """The key with this text, or None. While the file is broken no stored key is valid."""
        # Only hashes are looked up: the time this takes tells nothing about a stored key.
        return self.find(hash_of(key)) if key else None

    def find(self, digest: str) -> Key | None:
        """The key with this hash, or None."""
        self._records.refresh(self._use)
        return self._extra.get(digest) or self._keys.get(digest)

    def _use(self, keys: tuple[Key, ...]) -> None:
        self._keys = {key.hash: key for key in keys}

    def _write(self, keys: tuple[Key, ...]) -> None:
        if len(keys) > MAX_KEYS:
            raise Conflict(f"there are {MAX_KEYS} keys already; revoke one first")
        self._records.write(keys)


def is_name(text: str) -> bool:
    """Whether a key, or an app, may be called this."""
    return 1 <= len(text) <= MAX_NAME_LENGTH and text.isprintable() and text == text.strip()


def is_key_of(user: str) -> Callable[[Key], bool]:
    """Whether a key is the one that this user has for himself."""
    return lambda key: key.user == user and key.app is None


def _free(name: str, keys: Sequence[Key]) -> str:
    """The name, or the next like it that no key has."""
    taken = {key.name for key in keys}
    names = (name if number == 1 else f"{name} ({number})" for number in range(1, MAX_KEYS + 2))
    return next(each for each in names if each not in taken)


def _made(
    name: str, permissions: Sequence[str] = (), user: str | None = None, app: str | None = None, text: str = ""
) -> tuple[str, Key]:
    text = text or secrets.token_hex(32)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    unique = tuple(dict.fromkeys(permissions))
    return text, Key(name=name, hash=hash_of(text), permissions=unique, created=created, user=user, app=app)


def hash_of(text: str) -> str:
    """What is kept of a key."""
    # A header may hold any bytes, which arrive here as surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
