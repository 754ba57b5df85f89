from __future__ import annotations

from typing import Any

import msgspec
import pytest

from limpet.keys import hash_of
from limpet.octoprint.config import _PROFILE
from limpet.octoprint.moving import Plan, Present
from limpet.octoprint.plan import plan
from limpet.permissions import GROUPS, PERMISSIONS, Group
from limpet.profiles import Profile

KEY, OTHER_KEY = "0123456789ABCDEF0123456789ABCDEF", "FEDCBA9876543210FEDCBA9876543210"


def planned(
    config: Any = None,
    users: Any = None,
    groups: Any = None,
    profiles: Any = None,
    appkeys: Any = None,
    groups_here: Any = GROUPS,
    **present: Any,
) -> Plan:
    return plan(config, users, groups, profiles or {}, appkeys, Present(groups=groups_here, **present))


def texts(plan: Plan, fate: str) -> str:
    return "\n".join(line.text for line in plan.lines if line.fate == fate)


def test_a_port_and_a_rate_are_those_of_the_default_printer() -> None:
    serial = {"port": "/dev/ttyACM0", "baudrate": "115200", "autoconnect": True}

    made = planned({"serial": serial}, printer="mini")

    assert made.settings == {
        ("printers", "mini", "port"): "/dev/ttyACM0",
        ("printers", "mini", "baudrate"): 115200,
        ("printers", "mini", "autoconnect"): True,
    }


@pytest.mark.parametrize("nothing", [None, "AUTO", "", 0])
def test_what_is_detected_there_is_detected_here(nothing: Any) -> None:
    assert planned({"serial": {"port": nothing or None, "baudrate": nothing}}).settings == {}
    assert "detected" in texts(planned({}), "taken")


def test_lists_of_ports_grow_and_keep_what_they_have() -> None:
    serial = {
        "additionalPorts": ["/dev/a*", "/dev/b", 7],
        "blacklistedPorts": ["/dev/c"],
        "additionalBaudrates": [500000],
    }

    made = planned({"serial": serial}, settings={"ports": {"added": ["/dev/b"]}})

    assert made.settings == {
        ("ports", "added"): ["/dev/b", "/dev/a*"],
        ("ports", "ignored"): ["/dev/c"],
        ("ports", "additional_baudrates"): [500000],
    }
    assert "serial.additionalPorts" in texts(made, "left")


def test_what_limpet_has_is_not_changed() -> None:
    present = {"printers": {"default": {"port": "/dev/mine"}}, "appearance": {"name": "Same"}}

    made = planned({"serial": {"port": "/dev/theirs"}, "appearance": {"name": "Same"}}, settings=present)

    assert made.settings == {}
    assert "'/dev/theirs', because printers.default.port is '/dev/mine' already" in texts(made, "left")
    assert "appearance.name is 'Same'" in texts(made, "there")


def test_the_port_of_another_printer_is_left() -> None:
    settings = {"printers": {"default": {}, "big": {"port": "/dev/x"}}}

    assert planned({"serial": {"port": "/dev/x"}}, settings=settings).settings == {}


def test_a_bad_value_is_left_with_what_is_wrong() -> None:
    made = planned({"serial": {"baudrate": 99_000_000, "autoconnect": "yes"}, "appearance": {"color": "pink"}})

    assert made.settings == {}
    for word in ("12000000", "bool", "'pink' is none of"):
        assert word in texts(made, "left")


@pytest.mark.parametrize("odd", ["a\x1b[2Jb", "\ud800", "a\0"])
def test_what_cannot_be_written_is_left(odd: str) -> None:
    presets = [{"name": odd, "bed": 60}, {"name": "PLA", "bed": float("nan")}]

    made = planned({"appearance": {"name": odd}, "temperature": {"profiles": presets}})

    assert made.settings == {}
    assert all(line.text.isprintable() for line in made.lines)


def test_a_list_that_holds_itself_is_shown() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert planned({"appearance": {"name": endless}}).settings == {}


def test_the_webcam_of_the_plugin_comes_before_the_old_one() -> None:
    old = {"stream": "/old", "flipH": True}
    new = {"stream": "/webcam/?action=stream", "snapshot": "http://127.0.0.1:8080/", "rotate90": True}

    made = planned({"webcam": old, "plugins": {"classicwebcam": new}})

    assert made.settings == {
        ("webcam", "stream"): "/webcam/?action=stream",
        ("webcam", "snapshot"): "http://127.0.0.1:8080/",
        ("webcam", "flip_h"): True,
        ("webcam", "rotate_90"): True,
    }


def test_temperatures_become_presets() -> None:
    profiles = [{"name": "PLA Plus", "extruder": 205, "bed": 60, "chamber": None}, {"name": "pla plus"}, {"name": "Ö"}]

    made = planned({"temperature": {"profiles": profiles}})

    assert made.settings == {
        ("presets", "pla_plus", "name"): "PLA Plus",
        ("presets", "pla_plus", "extruder"): 205,
        ("presets", "pla_plus", "bed"): 60,
    }
    assert "number 2" in texts(made, "left")
    assert "no id can be made of its name" in texts(made, "left")


def test_commands_are_split_into_words() -> None:
    actions = [
        {"action": "light", "name": "Light on", "command": "gpio -g write '17' 1", "confirm": "Sure?"},
        {"action": "divider"},
    ]
    commands = {"systemShutdownCommand": "sudo shutdown -h now"}

    made = planned({"system": {"actions": actions}, "server": {"commands": commands}})

    assert made.settings == {
        ("commands", "shutdown", "name"): "Shut down",
        ("commands", "shutdown", "run"): ["sudo", "shutdown", "-h", "now"],
        ("commands", "light", "name"): "Light on",
        ("commands", "light", "confirm"): "Sure?",
        ("commands", "light", "run"): ["gpio", "-g", "write", "17", "1"],
    }
    assert texts(made, "left") == ""


@pytest.mark.parametrize(
    "command", ["a | b", "a && b", "a > b", "echo $HOME", "a; b", "a `b`", "X=1 a", "ls *", "~/a", "a 'b", "", None, 7]
)
def test_what_needs_a_shell_or_is_no_command_is_left(command: Any) -> None:
    made = planned({"system": {"actions": [{"action": "x", "name": "X", "command": command}]}})

    assert made.settings == {}
    assert "system.actions, number 1" in texts(made, "left")


def test_a_command_that_restarts_octoprint_is_left() -> None:
    made = planned({"server": {"commands": {"serverRestartCommand": "sudo service octoprint restart"}}})

    assert made.settings == {}
    assert "about OctoPrint" in texts(made, "left")


def test_profiles_are_taken_and_the_default_one_is_the_printers() -> None:
    made = planned(
        {"printerProfiles": {"default": "Big_One"}},
        profiles={"Big_One": {"id": "Big_One", "name": "The big one"}, "_default": {"name": "Default"}, "bad": [1]},
    )

    assert made.settings == {
        ("profiles", "big_one", "name"): "The big one",
        ("printers", "default", "profile"): "big_one",
    }
    assert "printer profile _default: it is as Limpet's own" in texts(made, "there")


def test_all_that_is_unusual_of_a_profile_is_taken() -> None:
    mini = {
        "name": "The mini",
        "model": "MINI",
        "volume": {"width": 180.0, "depth": 180.0, "height": 180.0, "formFactor": "rectangular", "custom_box": False},
        "axes": {"x": {"speed": 9000, "inverted": True}},
        "extruder": {"count": 2, "offsets": [[0.0, 0.0], [18.0, 0.0]]},
        "heatedBed": True,
    }
    expected = {
        "name": "The mini",
        "model": "MINI",
        "width": 180.0,
        "depth": 180.0,
        "height": 180.0,
        "x_speed": 9000,
        "x_inverted": True,
        "extruders": 2,
        "extruder_offsets": [[0.0, 0.0], [18.0, 0.0]],
    }

    made = planned(profiles={"mini": mini})

    assert made.settings == {("profiles", "mini", field): value for field, value in expected.items()}
    assert texts(made, "left") == ""


def test_every_field_of_a_profile_but_our_limits_has_its_place_there() -> None:
    ours = {"max_hotend", "max_bed", "max_chamber", "min_extrusion_temperature"}

    assert _PROFILE.keys() == set(Profile.__struct_fields__) - ours


def test_a_default_profile_that_is_not_there_is_left() -> None:
    assert planned({"printerProfiles": {"default": "gone"}}).settings == {}


def test_users_come_with_their_rights_and_without_passwords() -> None:
    users = {
        "_version": 2,
        "ada": {"active": True, "groups": ["admins", "guests"], "password": "$argon2id$secret", "permissions": []},
        "bob": {"active": False, "groups": ["users"], "permissions": ["CONNECTION", "PLUGIN_ODD_X"]},
        "old": {"active": True, "roles": ["user", "admin"]},
        "in a team": {"groups": ["team", "gone"], "permissions": []},
        "a/b": {},
    }

    made = planned(users=users, groups={"team": {"permissions": ["PRINT"], "subgroups": ["readonly"]}})

    assert [(group.key, group.permissions, group.subgroups) for group in made.groups] == [
        ("team", ("PRINT",), ("readonly",))
    ]
    rights = {user.name: (user.groups, user.permissions, user.active) for user in made.users}
    assert rights == {
        "ada": (("admins",), (), True),
        "bob": (("users",), ("CONNECTION",), False),
        "old": (("admins", "users"), (), True),
        "in a team": (("team",), (), True),
    }
    assert "limpet users passwd 'in a team'" in texts(made, "taken")
    for word in ("PLUGIN_ODD_X", "no group gone", "user a/b"):
        assert word in texts(made, "left")


def test_controls_are_buttons_in_groups() -> None:
    made = planned(
        {
            "controls": [
                {"name": "Light", "command": "M355 S1"},
                {
                    "name": "Fan",
                    "layout": "horizontal",
                    "children": [
                        {"name": "On", "commands": ["M106 S255"], "confirm": "Sure?"},
                        {"name": "Far in", "children": [{"name": "Off", "command": "M107"}]},
                        {"name": "Speed", "command": "M106 S%(speed)s", "input": [{"parameter": "speed"}]},
                        {"name": "Empty"},
                        7,
                    ],
                },
            ]
        }
    )

    assert made.settings == {
        ("controls", "light", "name"): "Light",
        ("controls", "light", "commands"): ["M355 S1"],
        ("controls", "fan_on", "name"): "On",
        ("controls", "fan_on", "commands"): ["M106 S255"],
        ("controls", "fan_on", "confirm"): "Sure?",
        ("controls", "fan_on", "group"): "Fan",
        ("controls", "fan_off", "name"): "Off",
        ("controls", "fan_off", "commands"): ["M107"],
        ("controls", "fan_off", "group"): "Fan",
    }
    left = texts(made, "left")
    assert "controls, Fan, 'Speed': Limpet's controls have no input" in left
    assert "no such setting" not in left


OPERATOR = list(GROUPS["users"].permissions)


def test_groups_come_with_what_they_may_do() -> None:
    made = planned(
        groups={
            "_version": 2,
            "groups": {
                "admins": {"permissions": ["ADMIN"], "subgroups": []},
                "makers": {
                    "name": "Makers",
                    "description": "who print",
                    "permissions": ["PRINT", "PLUGIN_ODD_X"],
                    "subgroups": ["helpers", "gone", "makers"],
                    "default": True,
                },
                "helpers": {"name": "Helpers", "permissions": ["STATUS"], "subgroups": []},
                "guests": {"permissions": ["STATUS"], "subgroups": []},
                "a/b": {"permissions": []},
            },
            "tracked": list(PERMISSIONS),
        }
    )

    assert made.groups == (
        Group(
            key="makers",
            name="Makers",
            description="who print",
            permissions=("PRINT",),
            subgroups=("helpers",),
            default=True,
        ),
        Group(key="helpers", name="Helpers", permissions=("STATUS",)),
    )
    left = texts(made, "left")
    for word in ("group makers: there is no permission PLUGIN_ODD_X", "group guests: whoever", "group a/b: a group"):
        assert word in left


def test_whoever_may_do_everything_by_a_group_is_one_of_the_admins() -> None:
    groups = {
        "bosses": {"permissions": ["ADMIN", "PRINT"]},
        "deputies": {"subgroups": ["bosses"]},
    }

    made = planned(users={"eve": {"groups": ["deputies"], "permissions": []}}, groups={"groups": groups})

    assert [(group.key, group.permissions) for group in made.groups] == [("bosses", ("PRINT",)), ("deputies", ())]
    assert [user.groups for user in made.users] == [("deputies", "admins")]


@pytest.mark.parametrize(
    ("permissions", "tracked", "taken"),
    [
        (OPERATOR, list(PERMISSIONS), None),
        # Of an OctoPrint that did not know all that we do yet.
        ([each for each in OPERATOR if each != "PLUGIN_FILE_CHECK_RUN"], ["PRINT", *OPERATOR[:19]], None),
        ([each for each in OPERATOR if not each.startswith("PLUGIN_")], None, None),
        ([each for each in OPERATOR if each != "PRINT"], list(PERMISSIONS), {*OPERATOR} - {"PRINT"}),
        ([*OPERATOR, "SYSTEM"], list(PERMISSIONS), {*OPERATOR, "SYSTEM"}),
    ],
    ids=["as ours", "older", "much older", "less", "more"],
)
def test_what_users_may_do_is_taken_where_it_was_changed(permissions: Any, tracked: Any, taken: Any) -> None:
    groups = {"users": {"permissions": permissions, "subgroups": [], "default": True}}

    made = planned(groups={"groups": groups, "tracked": tracked})

    assert [{*group.permissions} for group in made.groups] == ([] if taken is None else [taken])


def test_a_group_that_is_there_already_stays_as_it_is() -> None:
    groups = {
        "makers": {"permissions": ["PRINT"]},
        "users": {"permissions": ["STATUS"], "subgroups": []},
    }
    ours = msgspec.structs.replace(GROUPS["users"], permissions=("PRINT",))
    present = {**GROUPS, "makers": Group(key="makers", name="Makers"), "users": ours}

    made = planned(groups={"groups": groups, "tracked": list(PERMISSIONS)}, groups_here=present)

    assert made.groups == ()
    assert "group makers" in texts(made, "there")
    assert "group users: it has been changed here" in texts(made, "left")


def test_keys_stay_valid_and_are_never_shown() -> None:
    made = planned(
        {"api": {"key": KEY}},
        {"ada": {"apikey": OTHER_KEY}},
        appkeys={
            "ada": [{"app_id": "An App", "api_key": "a" * 32}],
            "gone": [{"app_id": "x", "api_key": "b" * 32}],
            "odd": 7,
        },
    )

    assert {(key.name, key.text, key.user, key.app, key.permissions) for key in made.keys} == {
        ("octoprint-global", KEY, None, None, ("ADMIN",)),
        ("ada's key", OTHER_KEY, "ada", None, ()),
        ("An App for ada", "a" * 32, "ada", "An App", ()),
    }
    said = "\n".join(line.text for line in made.lines)
    assert not [key for key in (KEY, OTHER_KEY, "a" * 32, "b" * 32) if key in said]
    assert "key of x for gone: there is no such user" in texts(made, "left")


@pytest.mark.parametrize("key", ["short", "with a space in the middle", "ü" * 20, "k" * 300, 7])
def test_a_text_that_is_no_key_is_left(key: Any) -> None:
    assert planned({"api": {"key": key}}).keys == ()


def test_a_key_and_a_user_that_are_there_are_told() -> None:
    present = Present(users=frozenset({"ada"}), keys=frozenset({hash_of(KEY)}), own_keys=frozenset({"ada"}))

    made = plan({"api": {"key": KEY}}, {"ada": {"apikey": OTHER_KEY}}, None, {}, None, present)

    assert (made.users, made.keys) == ((), ())
    assert "api.key: it is valid here" in texts(made, "there")
    assert "he has another one here" in texts(made, "left")


def test_every_other_setting_is_told_by_name_without_its_value() -> None:
    config = {
        "server": {"secretKey": "hush", "commands": {}},
        "plugins": {"octolapse": {"password": "hush"}, "_disabled": []},
        "folder": {"uploads": "/mnt/usb", "logs": None},
        "scripts": {"gcode": {"afterPrintDone": "M84"}},
        "serial": {"timeout": {}, "port": None},
    }

    left = texts(planned(config), "left")

    for word in ("server: secretKey", "plugins: octolapse", "folder.uploads", "scripts: gcode", "serial: timeout"):
        assert word in left
    assert "hush" not in left


@pytest.mark.parametrize("odd", [None, 7, "text", [1, [2]], {1: 2}, {"a": None}, {None: {}}, {"a": {"b": [{}]}}])
def test_whatever_a_file_holds_there_is_a_plan(odd: Any) -> None:
    sections = (
        "serial",
        "appearance",
        "webcam",
        "temperature",
        "system",
        "server",
        "printerProfiles",
        "api",
        "plugins",
        "folder",
    )
    inner = (
        "port",
        "profiles",
        "actions",
        "commands",
        "default",
        "key",
        "additionalPorts",
        "classicwebcam",
        "name",
        "color",
    )

    for value in (odd, [odd], {"a": odd}):
        assert planned(value, value, value, {"x": value}, value).users is not None
        assert planned(dict.fromkeys(sections, value)).lines
        made = planned(
            {section: dict.fromkeys(inner, value) for section in sections},
            {"u": {"groups": value, "permissions": value, "apikey": value, "roles": value}},
        )
        assert all(line.text.isprintable() and len(line.text) <= 400 for line in made.lines)
