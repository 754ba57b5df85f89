"""All of it, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpet.octoprint.config import take_scripts, take_settings, tell_rest
from limpet.octoprint.moving import Moving, Plan, Present, mapping
from limpet.octoprint.people import take_groups, take_keys, take_users


def plan(
    config: Any,
    users: Any,
    groups: Any,
    profiles: Mapping[str, Any],
    appkeys: Any,
    present: Present,
    *,
    scripts: Mapping[str, str] | None = None,
) -> Plan:
    """What to take over of the content of config.yaml, users.yaml, groups.yaml, printer profiles by id, keys.yaml and
    the scripts by name.

    Each may be anything, None when there is no such file. What `present` has already is never changed.
    """
    moving = Moving(present)
    config = mapping(config)
    take_settings(moving, config, profiles)
    take_scripts(moving, scripts or {})
    take_groups(moving, mapping(groups))
    take_users(moving, mapping(users), mapping(groups))
    take_keys(moving, config, mapping(users), mapping(appkeys))
    tell_rest(moving, config)
    return Plan(
        settings=moving.settings,
        groups=tuple(moving.groups),
        users=tuple(moving.users),
        keys=tuple(moving.keys),
        lines=tuple(moving.lines),
    )
