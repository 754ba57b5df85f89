"""Groups of users: those that are always there, and those that people make; in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from limpet.errors import BadRequest, Conflict, NotFound
from limpet.files import locked
from limpet.permissions import ADMIN, ADMINS, GROUPS, GUESTS, PERMISSIONS, Group
from limpet.records import Records

MAX_GROUPS = 100
_KEY = re.compile(r"[^\W_][\w .@+-]{0,63}")


class GroupStore:
    """The groups in `path` (`groups.json`), which has those that were made and those of ours that were changed.

    Several processes may use one file, as with `KeyStore`. While it is broken, no group but the admins' may do
    anything. Whatever writes blocks for a moment, and raises SettingsError when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._groups: Mapping[str, Group] = GROUPS
        self._records = Records(path, Group, unique=("key",), loss="no group but the admins may do anything")

    def all(self) -> Mapping[str, Group]:
        """By key: ours, then those that were made, oldest first."""
        self._records.refresh(self._use)
        return {ADMINS: GROUPS[ADMINS]} if self._records.is_broken else self._groups

    def permissions_of(self, permissions: Iterable[str], groups: Iterable[str]) -> frozenset[str]:
        """What somebody may do who has these permissions and is in these groups."""
        known, found = self.all(), set(permissions)
        waiting, seen = list(groups), set[str]()
        while waiting:
            group = known.get(waiting.pop())
            if group is not None and group.key not in seen:
                seen.add(group.key)
                found.update(group.permissions)
                waiting += group.subgroups
        return frozenset(found)

    def defaults(self) -> list[str]:
        """The groups of a user who is made without any being named."""
        return [group.key for group in self.all().values() if group.default]

    def check(self, groups: Sequence[str], permissions: Sequence[str]) -> None:
        """Raises BadRequest for what there is not."""
        for what, given, known in (
            ("group", groups, self.all().keys() - {GUESTS}),
            ("permission", permissions, PERMISSIONS.keys()),
        ):
            if unknown := [each for each in given if each not in known]:
                raise BadRequest(f"there is no {what} {unknown[0]!r}, only {', '.join(sorted(known))}")

    def add(self, group: Group) -> None:
        """Raises BadRequest for bad words, Conflict when there is one with this key or there are too many."""
        if not is_group_key(group.key):
            raise BadRequest(
                "the key of a group is 1 to 64 letters, digits, spaces and .@+-_, the first one a letter or a digit"
            )
        self._check(group)
        with locked(self.path):
            groups = self._records.read()
            if group.key in {*GROUPS, *(other.key for other in groups)}:
                raise Conflict(f'There is a group "{group.key}" already')
            if len(groups) >= MAX_GROUPS:
                raise Conflict(f"There are {MAX_GROUPS} groups already; remove one first")
            self._records.write((*groups, group))

    def change(self, key: str, **given: Any) -> None:
        """Raises BadRequest, NotFound, and Conflict for one that is as it is."""
        with locked(self.path):
            groups = self._records.read()
            before = self._found(key, groups)
            if not before.changeable:
                raise Conflict(f"The group {key} cannot be changed")
            after = msgspec.structs.replace(before, **given)
            self._check(after)
            self._records.write((*(group for group in groups if group.key != key), after))

    def remove(self, key: str) -> None:
        """Also from the groups that have it as a part. Raises NotFound, and Conflict for one of ours."""
        with locked(self.path):
            groups = self._records.read()
            if not self._found(key, groups).removable:
                raise Conflict(f"The group {key} cannot be removed")
            self._records.write(tuple(_without(key, group) for group in groups if group.key != key))

    def _found(self, key: str, stored: Sequence[Group]) -> Group:
        for group in (*stored, *GROUPS.values()):
            if group.key == key:
                return group
        raise NotFound("There is no such group")

    def _check(self, group: Group) -> None:
        self.check(group.subgroups, group.permissions)
        # Who is an admin is then seen from the user alone, and the last one cannot be lost by way of a group.
        if group.dangerous or ADMINS in group.subgroups:
            raise BadRequest(f"a group cannot have {ADMIN}; put its members into {ADMINS}")

    def _use(self, stored: tuple[Group, ...]) -> None:
        self._groups = {**GROUPS, **{group.key: group for group in stored}}


def is_group_key(text: str) -> bool:
    """Whether a group may have this key."""
    return _KEY.fullmatch(text) is not None


def _without(key: str, group: Group) -> Group:
    parts = tuple(part for part in group.subgroups if part != key)
    return msgspec.structs.replace(group, subgroups=parts)
