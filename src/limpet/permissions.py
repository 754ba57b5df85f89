"""What may be done here, by OctoPrint's names, and which groups may do it: rows of data.

Source: the answers of OctoPrint 1.11.8 to `/api/access/permissions` and `/api/access/groups`; the descriptions are
ours.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

ADMIN = "ADMIN"


class Permission(Struct, frozen=True):
    """`groups` have it, as words; `plugin` is the part of OctoPrint that brought it, `role` its other name there."""

    key: str
    name: str
    description: str
    groups: str = ""
    dangerous: bool = False
    plugin: str | None = None
    role: str | None = None

    @property
    def default_groups(self) -> list[str]:
        return self.groups.split()

    @property
    def roles(self) -> list[str]:
        # Who may install plugins may manage them.
        more = ["plugin_pluginmanager_manage"] if self.key == "PLUGIN_PLUGINMANAGER_INSTALL" else []
        return [*more, self.role or self.key.lower()]


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its members may do what it and its `subgroups` may; who is made without any group gets the default ones."""

    key: Annotated[str, Meta(min_length=1, max_length=64)]
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: Annotated[str, Meta(max_length=1024)] = ""
    permissions: tuple[str, ...] = ()
    subgroups: tuple[str, ...] = ()
    default: bool = False

    @property
    def dangerous(self) -> bool:
        return ADMIN in self.permissions

    @property
    def removable(self) -> bool:
        return self.key not in GROUPS

    @property
    def changeable(self) -> bool:
        return self.removable or self.key == USERS

    @property
    def toggleable(self) -> bool:
        """Whether users may be put into it: nobody is a guest by choice."""
        return self.key != GUESTS


_BOTH = "users readonly"
_ALL = (
    Permission("ADMIN", "Admin", "Everything, the users and keys of others included", "admins", True),
    Permission("STATUS", "Status", "See how the printer is doing: state, progress, temperatures", _BOTH),
    Permission("CONNECTION", "Connection", "Connect to the printer and disconnect from it", "users"),
    Permission("WEBCAM", "Webcam", "See the camera", _BOTH),
    Permission("SYSTEM", "System", "Run the configured system commands, see what machine this is", "", True),
    Permission("FILES_LIST", "File List", "See which files and folders there are", _BOTH),
    Permission(
        "FILES_UPLOAD", "File Upload", "Upload and copy files, make folders; with File Delete, move them", "users"
    ),
    Permission("FILES_DOWNLOAD", "File Download", "Download files", _BOTH),
    Permission("FILES_DELETE", "File Delete", "Delete files and folders; with File Upload, move them", "users"),
    Permission("FILES_SELECT", "File Select", "Choose the file to print", "users"),
    Permission("PRINT", "Print", "Start, pause and cancel prints", "users"),
    Permission(
        "GCODE_VIEWER",
        "GCODE viewer",
        "Look at the path of a print; needs File Download",
        _BOTH,
        False,
        None,
        "gcodeviewer",
    ),
    Permission("MONITOR_TERMINAL", "Terminal", "See what goes over the wire", _BOTH),
    Permission("CONTROL", "Control", "Move, heat and send commands to the printer", "users"),
    Permission("SLICE", "Slice", "Slice models", "users"),
    Permission("TIMELAPSE_LIST", "Timelapse List", "See which timelapses there are", _BOTH),
    Permission("TIMELAPSE_DOWNLOAD", "Timelapse Download", "Download timelapses", _BOTH),
    Permission("TIMELAPSE_DELETE", "Timelapse Delete", "Delete timelapses", "users"),
    Permission(
        "TIMELAPSE_MANAGE_UNRENDERED", "Timelapse Manage Unrendered", "See, delete and render raw timelapses", "users"
    ),
    Permission("TIMELAPSE_ADMIN", "Timelapse Admin", "Choose when timelapses are taken", "users"),
    Permission("SETTINGS_READ", "Settings Access", "See the settings, but for secrets", _BOTH),
    Permission("SETTINGS", "Settings Admin", "See and change all settings", "", True),
    Permission(
        "PLUGIN_ACHIEVEMENTS_VIEW",
        "Achievements Plugin: View instance achievements & stats",
        "See achievements, which Limpet has none of",
        "readonly users admins",
        plugin="achievements",
    ),
    Permission(
        "PLUGIN_ACHIEVEMENTS_RESET",
        "Achievements Plugin: Reset instance achievements & stats",
        "Reset achievements, which Limpet has none of",
        "admins",
        plugin="achievements",
    ),
    Permission(
        "PLUGIN_ACTION_COMMAND_NOTIFICATION_SHOW",
        "Action Command Notification Support: Show printer notifications",
        "See what the printer notifies of",
        "users",
        plugin="action_command_notification",
    ),
    Permission(
        "PLUGIN_ACTION_COMMAND_NOTIFICATION_CLEAR",
        "Action Command Notification Support: Clear printer notifications",
        "Clear what the printer notifies of",
        "users",
        plugin="action_command_notification",
    ),
    Permission(
        "PLUGIN_ACTION_COMMAND_PROMPT_INTERACT",
        "Action Command Prompt Support: Interact with printer prompts",
        "See and answer what the printer asks",
        "users",
        plugin="action_command_prompt",
    ),
    Permission(
        "PLUGIN_APPKEYS_ADMIN",
        "Application Keys Plugin: Admin access",
        "Decide about the apps that ask for a key, whoever they ask for",
        "admins",
        True,
        "appkeys",
    ),
    Permission(
        "PLUGIN_APPKEYS_GRANT",
        "Application Keys Plugin: Grant access",
        "Give apps a key of one's own",
        "users",
        plugin="appkeys",
        role="plugin_appkeys_user",
    ),
    Permission(
        "PLUGIN_BACKUP_CREATE",
        "Backup & Restore: Create backup",
        "Make backups, which Limpet does not",
        "admins",
        plugin="backup",
    ),
    Permission(
        "PLUGIN_FILE_CHECK_RUN",
        "File Check: Run File Check",
        "Have files checked, which Limpet does not",
        "users admins",
        plugin="file_check",
    ),
    Permission(
        "PLUGIN_FIRMWARE_CHECK_DISPLAY",
        "Firmware Check: Display firmware check warnings",
        "See warnings about the firmware",
        "users",
        plugin="firmware_check",
    ),
    Permission(
        "PLUGIN_HEALTH_CHECK_CHECK",
        "Healthcheck Plugin: Perform healthchecks",
        "Have the host checked, which Limpet does not",
        "admins",
        plugin="health_check",
    ),
    Permission(
        "PLUGIN_LOGGING_MANAGE", "Logging: Logging management", "See and clear logs", "admins", plugin="logging"
    ),
    Permission(
        "PLUGIN_PLUGINMANAGER_LIST",
        "Plugin Manager: List plugins",
        "See plugins, which Limpet has none of",
        "readonly users admins",
        plugin="pluginmanager",
    ),
    Permission(
        "PLUGIN_PLUGINMANAGER_MANAGE",
        "Plugin Manager: Manage plugins",
        "Manage plugins, which Limpet has none of",
        "admins",
        plugin="pluginmanager",
    ),
    Permission(
        "PLUGIN_PLUGINMANAGER_INSTALL",
        "Plugin Manager: Install new plugins",
        "Install plugins, which Limpet has none of",
        "admins",
        True,
        "pluginmanager",
    ),
)
PERMISSIONS = {permission.key: permission for permission in _ALL}
"""By name, in OctoPrint's order."""


def _of_group(group: str) -> tuple[str, ...]:
    return tuple(permission.key for permission in _ALL if group in permission.default_groups)


ADMINS, USERS, GUESTS, READONLY = "admins", "users", "guests", "readonly"
GROUPS = {
    group.key: group
    for group in (
        Group(key=ADMINS, name="Admins", description="May do everything", permissions=_of_group(ADMINS)),
        Group(
            key=USERS,
            name="Operator",
            description="May work with the printer, but neither change settings nor run system commands",
            permissions=_of_group(USERS),
            default=True,
        ),
        Group(key=GUESTS, name="Guests", description="Whoever is not logged in", permissions=()),
        Group(key=READONLY, name="Read-only Access", description="May look on", permissions=_of_group(READONLY)),
    )
}
"""By name: those that are always there. All but `users` are fixed."""


def permits(permissions: frozenset[str], permission: str) -> bool:
    """ADMIN may do everything."""
    return ADMIN in permissions or permission in permissions


def spelled_out(permissions: frozenset[str]) -> list[str]:
    """Each permission by its name, in OctoPrint's order: all of them for ADMIN."""
    return [key for key in PERMISSIONS if permits(permissions, key)]
