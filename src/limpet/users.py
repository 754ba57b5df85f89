"""Users: who may log in, with which password, and what each may do. Of a password only a slow hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from limpet.errors import BadRequest, Conflict, NotFound, SettingsError
from limpet.files import locked
from limpet.groups import GroupStore
from limpet.permissions import ADMIN, ADMINS
from limpet.records import Records

MAX_USERS = 200
MAX_SETTINGS = 4096
"""Bytes of what clients may keep with a user, as JSON."""
MIN_PASSWORD, MAX_PASSWORD = 8, 256
"""Characters."""
_COST = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}
"""scrypt's: 16 MiB, and 50 ms of a PC or 300 ms of a Raspberry Pi 3, for each guess."""
_NAME = re.compile(r"[^\W_](?:[\w .@+-]{0,62}[\w.@+-])?")


class User(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`password` is a salt and an scrypt hash in hex, or empty for who has none yet; `created` an ISO time in UTC."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Annotated[str, Meta(pattern="^([0-9a-f]{32}:[0-9a-f]{64})?$")] = ""
    groups: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    active: bool = True
    created: str = ""
    settings: dict[str, Any] = {}

    @property
    def is_admin(self) -> bool:
        """No group but `admins` makes one."""
        return ADMIN in self.permissions or ADMINS in self.groups


class UserStore:
    """The users in `path` (`users.json`), and the `groups` beside it. Several processes may use it, as with `KeyStore`.

    All that writes, and `verify`, blocks: for a file or for a hash. Whatever uses the file raises SettingsError when it
    cannot, but for `get`: while the file is broken nobody is a user.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.groups = GroupStore(path.with_name("groups.json"))
        self._users: dict[str, User] = {}
        self._records = Records(path, User, unique=("name",), loss="no user is valid")

    def list(self) -> tuple[User, ...]:
        """Oldest first."""
        return self._records.read()

    def get(self, name: str) -> User | None:
        self._records.refresh(self._use)
        return self._users.get(name)

    def permissions_of(self, user: User) -> frozenset[str]:
        """His own and those of his groups."""
        return self.groups.permissions_of(user.permissions, user.groups)

    def any(self) -> bool:
        """Whether there is a user; in a broken file there may be."""
        try:
            return bool(self._records.read())
        except SettingsError:
            return True

    def verify(self, name: str, password: str) -> User | None:
        """The active user of this name and password. It takes as long for a name that nobody has."""
        user = self.get(name)
        salt, _, expected = (user.password if user and user.password else _NOBODY).partition(":")
        is_right = hmac.compare_digest(_scrypt(password, salt), expected)
        return user if user and user.password and user.active and is_right else None

    def add(
        self,
        name: str,
        password: str | None,
        *,
        groups: Sequence[str] = (),
        permissions: Sequence[str] = (),
        active: bool = True,
        only_as_first: bool = False,
    ) -> User:
        """Who has None for a password cannot log in until `set_password`.

        Raises BadRequest for bad words, Conflict when the name is taken or there are users and should be none."""
        if not is_user_name(name):
            raise BadRequest(
                "the name of a user is 1 to 64 letters, digits, spaces and .@+-_, the first one a letter or a digit"
            )
        self.groups.check(groups, permissions)
        user = User(
            name=name,
            password="" if password is None else hashed(password),
            groups=tuple(dict.fromkeys(groups)),
            permissions=tuple(dict.fromkeys(permissions)),
            active=active,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with locked(self.path):
            users = self._records.read()
            if users and only_as_first:
                raise Conflict("There is a user already")
            if any(other.name == name for other in users):
                raise Conflict(f'There is a user named "{name}" already')
            if len(users) >= MAX_USERS:
                raise Conflict(f"There are {MAX_USERS} users already; remove one first")
            self._records.write((*users, user))
        return user

    def change(
        self,
        name: str,
        *,
        groups: Sequence[str] | None = None,
        permissions: Sequence[str] | None = None,
        active: bool | None = None,
    ) -> None:
        """What is None stays. Raises BadRequest, NotFound, and Conflict for the last one who is an admin."""
        self.groups.check(groups or (), permissions or ())
        changes = {"groups": groups, "permissions": permissions}
        given: dict[str, Any] = {
            field: tuple(dict.fromkeys(value)) for field, value in changes.items() if value is not None
        }
        if active is not None:
            given["active"] = active
        self._replace(name, lambda user: msgspec.structs.replace(user, **given))

    def set_password(self, name: str, password: str) -> str:
        """Ends all sessions of the user; what is kept of the password. Raises BadRequest, NotFound."""
        new = hashed(password)
        self._replace(name, lambda user: msgspec.structs.replace(user, password=new))
        return new

    def set_settings(self, name: str, changes: dict[str, Any]) -> None:
        """What clients keep with the user: changes are merged into what is there. Raises BadRequest, NotFound."""

        def changed(user: User) -> User:
            settings = {**user.settings, **changes}
            try:
                size = len(msgspec.json.encode(settings))
            except (RecursionError, ValueError, TypeError) as error:
                raise BadRequest(f"settings are invalid: {error}") from None
            if size > MAX_SETTINGS:
                raise BadRequest(f"the settings of a user are at most {MAX_SETTINGS} bytes")
            return msgspec.structs.replace(user, settings=settings)

        self._replace(name, changed)

    def remove(self, name: str, *, even_the_last_admin: bool = False) -> None:
        """Raises NotFound, and Conflict for the last one who is an admin."""
        self._replace(name, lambda _: None, even_the_last_admin)

    def remove_group(self, key: str) -> None:
        """Ends a group, and that anybody is in it. Raises as `GroupStore.remove` does."""
        self.groups.remove(key)
        with locked(self.path):
            users = self._records.read()
            if any(key in user.groups for user in users):
                self._records.write(tuple(_outside(user, key) for user in users))

    def _replace(self, name: str, change: Callable[[User], User | None], even_the_last_admin: bool = False) -> None:
        with locked(self.path):
            users = self._records.read()
            if all(user.name != name for user in users):
                raise NotFound(f'There is no user named "{name}"')
            new = tuple(new for user in users if (new := change(user) if user.name == name else user) is not None)
            if _has_admin(users) and not _has_admin(new) and not even_the_last_admin:
                raise Conflict("This is the last user who is an admin; make somebody else one first")
            self._records.write(new)

    def _use(self, users: tuple[User, ...]) -> None:
        self._users = {user.name: user for user in users}


def is_user_name(text: str) -> bool:
    """Whether a user may be called this."""
    return _NAME.fullmatch(text) is not None


def new_setup_code() -> str:
    """40 random bits that can be read aloud, for whoever sets up the first user."""
    letters = "".join(secrets.choice("ABCDEFGHJKMNPQRSTUVWXYZ23456789") for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def hashed(password: str) -> str:
    """What is kept of a password. Raises BadRequest for one that is too short or too long."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise BadRequest(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    salt = secrets.token_hex(16)
    return f"{salt}:{_scrypt(password, salt)}"


def _scrypt(password: str, salt: str) -> str:
    # The same password may be typed as other characters on another keyboard.
    text = unicodedata.normalize("NFKC", password[: MAX_PASSWORD + 1]).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=bytes.fromhex(salt), **_COST).hex()


_NOBODY = f"{'00' * 16}:{'00' * 32}"
"""In the place of the password of a user who is not there: no password has this hash."""


def _outside(user: User, group: str) -> User:
    return msgspec.structs.replace(user, groups=tuple(each for each in user.groups if each != group))


def _has_admin(users: Sequence[User]) -> bool:
    return any(user.active and user.is_admin for user in users)
