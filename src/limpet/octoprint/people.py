"""users.yaml, groups.yaml and the keys: who may do what.

Source: the page "Access Control" of OctoPrint's documentation, and the folder that 1.11.8 makes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from limpet.keys import hash_of, is_name
from limpet.octoprint.moving import MAX_ENTRIES, Moving, NewKey, NewUser, entries, items, mapping, text_of, words
from limpet.permissions import ADMIN, ADMINS, GROUPS, GUESTS, PERMISSIONS, USERS
from limpet.users import is_user_name

GLOBAL_KEY = "octoprint-global"


def take_users(moving: Moving, users: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    others = dict(entries(groups.get("groups", groups)))
    for name, user in entries(users):
        source = f"user {name}"
        if name in moving.present.users:
            moving.tell("there", f"{source}: there is one of this name")
            continue
        if not is_user_name(name):
            moving.tell("left", f"{source}: a user cannot have this name here")
            continue
        his = [*words(user.get("groups", () if user.get("roles") else (USERS,)))]
        if "permissions" not in user:
            roles = words(user.get("roles"))
            his += [ADMINS] * ("admin" in roles) + [USERS] * ("user" in roles)
        permissions = [*words(user.get("permissions"))]
        for group in [each for each in his if each not in GROUPS]:
            if (found := others.get(group)) is None:
                moving.tell("left", f"{source}: there is no group {group} here")
                continue
            permissions += words(found.get("permissions"))
            his += [each for each in words(found.get("subgroups")) if each in GROUPS]
            moving.tell("taken", f"{source}: the permissions of the group {group} become his own")
        for permission in dict.fromkeys(each for each in permissions if each not in PERMISSIONS):
            moving.tell("left", f"{source}: there is no permission {permission} here")
        new = NewUser(
            name=name,
            groups=tuple(dict.fromkeys(each for each in his if each in GROUPS and each != GUESTS)),
            permissions=tuple(dict.fromkeys(each for each in permissions if each in PERMISSIONS)),
            active=user.get("active") is not False,
        )
        moving.users.append(new)
        rights = ", ".join((*new.groups, *new.permissions)) or "no rights"
        state = "" if new.active else ", not active"
        moving.tell(
            "taken", f"{source}: {rights}{state}; the password cannot be taken: limpet users passwd {shlex.quote(name)}"
        )


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
