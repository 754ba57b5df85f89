"""users.yaml, groups.yaml and the keys: who may do what.

Source: the page "Access Control" of OctoPrint's documentation, and the folder that 1.11.8 makes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from limpet.groups import is_group_key
from limpet.keys import hash_of, is_name
from limpet.octoprint.moving import MAX_ENTRIES, Moving, NewKey, NewUser, entries, items, mapping, text_of, words
from limpet.permissions import ADMIN, ADMINS, GROUPS, GUESTS, PERMISSIONS, READONLY, USERS, Group
from limpet.users import is_user_name

GLOBAL_KEY = "octoprint-global"


def take_groups(moving: Moving, groups: Mapping[str, Any]) -> None:
    """Those that people have made, and what `users` may do there."""
    tables = dict(entries(groups.get("groups", groups)))
    for key, table in tables.items():
        source = f"group {key}"
        if key in (ADMINS, READONLY):
            continue
        if key == GUESTS:
            if table.get("permissions") or table.get("subgroups"):
                moving.tell("left", f"{source}: whoever is not logged in may do nothing here")
            continue
        if key in moving.present.groups and key not in GROUPS:
            moving.tell("there", f"{source}: there is one of this name")
        elif not is_group_key(key):
            moving.tell("left", f"{source}: a group cannot have this name here")
        else:
            known = {*tables, *moving.present.groups} - {ADMINS, GUESTS}
            _take_group(moving, source, key, table, known, {*words(groups.get("tracked"))} or _OF_OLD)


def _take_group(
    moving: Moving, source: str, key: str, table: Mapping[str, Any], known: set[str], tracked: Collection[str]
) -> None:
    """`tracked` are the permissions that there were when the file was written."""
    if ADMIN in words(table.get("permissions")) or ADMINS in words(table.get("subgroups")):
        moving.tell("left", f"{source}: that it may do everything; its members become {ADMINS}")
    permissions = _known_permissions(moving, source, table)
    parts = tuple(each for each in words(table.get("subgroups")) if each in known and each != key)
    before = moving.present.groups.get(key, Group(key=key, name=key))
    permissions += tuple(each for each in before.permissions if each not in tracked)
    new = Group(
        key=key,
        name=(text_of(table.get("name")) or before.name)[:64],
        description=(text_of(table.get("description")) or before.description)[:1024],
        permissions=tuple(each for each in permissions if each != ADMIN),
        subgroups=parts,
        default=table.get("default", before.default) is True,
    )
    rights = ", ".join((*new.subgroups, *new.permissions)) or "no rights"
    if key not in GROUPS:
        moving.groups.append(new)
        moving.tell("taken", f"{source}: {rights}")
    elif _rights(new) == _rights(before):
        moving.tell("there", f"{source}: it may do the same here")
    elif before != GROUPS[key]:
        moving.tell("left", f"{source}: it has been changed here")
    else:
        moving.groups.append(new)
        moving.tell("taken", f"{source}: {rights}")


_OF_OLD = frozenset(key for key, permission in PERMISSIONS.items() if permission.plugin is None)


def _rights(group: Group) -> tuple[frozenset[str], frozenset[str], bool]:
    return frozenset(group.permissions), frozenset(group.subgroups), group.default


def _known_permissions(moving: Moving, source: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    named = dict.fromkeys(words(table.get("permissions")))
    for permission in named:
        if permission not in PERMISSIONS:
            moving.tell("left", f"{source}: there is no permission {permission} here")
    return tuple(each for each in named if each in PERMISSIONS)


def take_users(moving: Moving, users: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    """Each without his password."""
    admins = _admins(dict(entries(groups.get("groups", groups))))
    known = {*moving.present.groups, *(group.key for group in moving.groups)} - {GUESTS}
    for name, user in entries(users):
        source = f"user {name}"
        if name in moving.present.users:
            moving.tell("there", f"{source}: there is one of this name")
            continue
        if not is_user_name(name):
            moving.tell("left", f"{source}: a user cannot have this name here")
            continue
        his = _groups_of(user, admins)
        for group in his:
            if group not in known and group != GUESTS:
                moving.tell("left", f"{source}: there is no group {group} here")
        new = NewUser(
            name=name,
            groups=tuple(each for each in his if each in known),
            permissions=_known_permissions(moving, source, user),
            active=user.get("active") is not False,
        )
        moving.users.append(new)
        rights = ", ".join((*new.groups, *new.permissions)) or "no rights"
        state = "" if new.active else ", not active"
        moving.tell(
            "taken", f"{source}: {rights}{state}; the password cannot be taken: limpet users passwd {shlex.quote(name)}"
        )


def _groups_of(user: Mapping[str, Any], admins: Collection[str]) -> list[str]:
    """Older files have roles instead. Who is in a group of `admins`, which may do everything, is one of ours."""
    roles = words(user.get("roles"))
    his = [*words(user.get("groups", () if user.get("roles") else (USERS,)))]
    if "permissions" not in user:
        his += [ADMINS] * ("admin" in roles) + [USERS] * ("user" in roles)
    return list(dict.fromkeys([*his, *([ADMINS] if any(each in admins for each in his) else [])]))


def _admins(tables: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The groups that may do everything, by themselves or by one that is a part of theirs."""
    found = {ADMINS, *(key for key, table in tables.items() if ADMIN in words(table.get("permissions")))}
    while more := {key for key, table in tables.items() if found & {*words(table.get("subgroups"))}} - found:
        found |= more
    return found


def take_keys(moving: Moving, config: Mapping[str, Any], users: Mapping[str, Any], appkeys: Mapping[str, Any]) -> None:
    if text := mapping(config.get("api")).get("key"):
        _key(moving, "api.key", NewKey(text=text_of(text), name=GLOBAL_KEY, permissions=(ADMIN,)))
    for name, user in entries(users):
        if text := user.get("apikey"):
            _key(moving, f"key of {name}", NewKey(text=text_of(text), name=f"{name}'s key", user=name))
    for name, keys in list(appkeys.items())[:MAX_ENTRIES]:
        for entry in map(mapping, items(keys)):
            name, app = text_of(name), text_of(entry.get("app_id")).strip()
            source = f"key of {app} for {name}"
            if is_name(app):
                _key(
                    moving,
                    source,
                    NewKey(text=text_of(entry.get("api_key")), name=f"{app} for {name}", user=name, app=app),
                )
            else:
                moving.tell("left", f"{source}: an app cannot have this name here")


def _key(moving: Moving, source: str, key: NewKey) -> None:
    known = moving.present.users.union(user.name for user in moving.users)
    taken = moving.present.keys.union(hash_of(other.text) for other in moving.keys)
    if not re.fullmatch(r"[!-~]{16,256}", key.text):
        moving.tell("left", f"{source}: it is no key of 16 to 256 plain characters")
    elif key.user is not None and key.user not in known:
        moving.tell("left", f"{source}: there is no such user here")
    elif hash_of(key.text) in taken:
        moving.tell("there", f"{source}: it is valid here")
    elif key.app is None and key.user in moving.present.own_keys:
        moving.tell("left", f"{source}: he has another one here")
    else:
        moving.keys.append(key)
        moving.tell("taken", f"{source}: it stays valid, as {key.name!r}")
