import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limpet.errors import SettingsError
from limpet.settings import (
    BAUDRATES,
    AppearanceSettings,
    CommandSettings,
    ControlSettings,
    FileSettings,
    PortSettings,
    Preset,
    PrinterSettings,
    Profile,
    ServerSettings,
    Settings,
    WebcamSettings,
)
from limpet.settings_file import SettingsFile
from limpet.toml_text import KeyPath, Value, line_of

PORT = ("printers", "default", "port")
BAUDRATE = ("printers", "default", "baudrate")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limpet.toml"


def load(path: Path, text: str | bytes) -> Settings:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return SettingsFile(path).load()


def edited(path: Path, text: str, changes: dict[KeyPath, Value | None]) -> str:
    path.write_bytes(text.encode())
    result = SettingsFile(path).edit(changes)
    assert result == SettingsFile(path).load()
    return path.read_bytes().decode()


# What the file means


def test_no_file_means_the_defaults_and_none_is_written(path: Path) -> None:
    settings = SettingsFile(path).load()
    assert settings == Settings()
    assert settings.server == ServerSettings(host="127.0.0.1", port=5000)
    assert settings.printers == {"default": PrinterSettings(name="default")}
    assert settings.profiles == {"_default": Profile(name="Default")}
    assert settings.default_printer == "default"
    assert list(path.parent.iterdir()) == []


def test_an_empty_file_means_the_defaults_too(path: Path) -> None:
    assert load(path, "") == load(path, "[printers]\n[server]\n") == Settings()


def test_every_setting_can_be_set(path: Path) -> None:
    settings = load(
        path,
        """
        default_printer = "b"
        [server]
        host = "::"
        port = 80
        [ports]
        added = ["/dev/ttyp*", "socket://10.0.0.2:8899"]
        ignored = ["/dev/ttyS*"]
        virtual = false
        additional_baudrates = [1_000_000, 115200]
        [profiles.big]
        name = "Big one"
        [printers.a]
        [printers.b]
        name = "Bee"
        port = "/dev/ttyACM0"
        baudrate = 250000
        profile = "big"
        autoconnect = true
        reconnect = false
        reset = "no"
        passthrough = "/run/limpet/b"
        passthrough_group = "dialout"
        [virtual]
        echo = true
        boot = 1.5
        faults = ["drop", 3]
        """,
    )
    assert settings == Settings(
        default_printer="b",
        server=ServerSettings(host="::", port=80),
        ports=PortSettings(
            added=("/dev/ttyp*", "socket://10.0.0.2:8899"),
            ignored=("/dev/ttyS*",),
            virtual=False,
            additional_baudrates=(1000000, 115200),
        ),
        profiles={"_default": Profile(name="Default"), "big": Profile(name="Big one")},
        printers={
            "a": PrinterSettings(name="a"),
            "b": PrinterSettings(
                name="Bee",
                port="/dev/ttyACM0",
                baudrate=250000,
                profile="big",
                autoconnect=True,
                reconnect=False,
                reset="no",
                passthrough="/run/limpet/b",
                passthrough_group="dialout",
            ),
        },
        virtual={"echo": True, "boot": 1.5, "faults": ["drop", 3]},
    )


def test_the_first_printer_of_the_file_is_the_default_one(path: Path) -> None:
    assert load(path, "[printers.z]\n[printers.a]\n").default_printer == "z"


def test_the_default_profile_may_be_renamed(path: Path) -> None:
    assert load(path, "[profiles._default]\nname = 'Mine'").profiles == {"_default": Profile(name="Mine")}


def test_the_default_profile_keeps_its_name_when_something_else_is_set(path: Path) -> None:
    assert load(path, "[profiles._default]\nwidth = 180").profiles == {"_default": Profile(name="Default", width=180.0)}


def test_a_profile_says_what_a_printer_is_like(path: Path) -> None:
    profile = load(path, "[profiles.a]\nform_factor = 'circular'\nwidth = 180\nextruders = 2\nx_max = 95").profiles["a"]
    assert profile.volume == (180, 180, 200)
    assert profile.box == {"x": (-90, 95), "y": (-90, 90), "z": (0, 200)}
    assert profile.heaters == ("tool0", "tool1", "bed")
    assert [profile.limit(heater) for heater in ("tool1", "bed", "chamber")] == [350, 150, 100]


def test_a_box_that_is_smaller_than_the_volume_is_no_box(path: Path) -> None:
    inside = load(path, "[profiles.a]\nx_min = 5\nz_max = 100").profiles["a"]
    assert inside.box == {"x": (0, 200), "y": (0, 200), "z": (0, 200)}
    assert not inside.goes_beyond
    assert load(path, "[profiles.a]\nx_min = -5").profiles["a"].goes_beyond


def test_the_rates_of_the_seed_are_offered_fastest_first() -> None:
    assert PortSettings().baudrates == BAUDRATES == (250000, 230400, 115200, 57600, 38400, 19200, 9600)


def test_more_rates_take_their_place_in_the_order() -> None:
    rates = PortSettings(additional_baudrates=(1000000, 14400, 9600)).baudrates
    assert rates == (1000000, 250000, 230400, 115200, 57600, 38400, 19200, 14400, 9600)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(path: Path) -> None:
    assert load(path, b"\xef\xbb\xbf[server]\r\nport = 80\r\n").server.port == 80


def test_the_command_line_wins_over_the_file_and_is_not_saved(path: Path) -> None:
    path.write_text("[server]\nhost = 'a'\nport = 1\n[ports]\nadded = ['x', 'y']\n")
    file = SettingsFile(path, host="b", port=2, added_ports=["y", "z"])
    settings = file.load()
    assert settings.server == ServerSettings(host="b", port=2)
    assert settings.ports.added == ("x", "y", "z")
    assert file.edit({PORT: "/dev/p"}).server.port == 2
    assert SettingsFile(path).load().server.port == 1
    assert SettingsFile(path).load().ports.added == ("x", "y")


# What is wrong with it

FAULTS: list[tuple[str | bytes, str]] = [
    ("[server]\n\nport = 'x'", "line 3: server.port: expected int, got str"),
    ("[server]\nport = 5000.0", "line 2: server.port: expected int, got float"),
    ("[server]\nport = true", "line 2: server.port: expected int, got bool"),
    ("[server]\nport = 0", "line 2: server.port: expected int >= 1, got 0"),
    ("[server]\nport = 65536", "line 2: server.port: expected int <= 65535, got 65536"),
    ("[server]\nhost = ''", "line 2: server.host: expected str of length >= 1, got ''"),
    ("[server]\nprot = 1", 'line 2: server.prot: unknown key, did you mean "port"?'),
    ("[server]\nxyz = 1", "line 2: server.xyz: unknown key, known here: host, port"),
    ("\n[sever]\nport = 1", 'line 2: sever: unknown key, did you mean "server"?'),
    ('"a\\nb" = 1', r'line 1: "a\nb": unknown key'),
    ("server = 1", "line 1: server: expected table, got int"),
    ("[[printers]]", "line 1: printers: expected table, got array"),
    ("[printers]\na = 1", "line 2: printers.a: expected table, got int"),
    ("[printers.a]\nbaudrate = 'fast'", "line 2: printers.a.baudrate: expected int, got str"),
    ("[printers.a]\nbaudrate = 0", "line 2: printers.a.baudrate: expected int >= 1, got 0"),
    ("[printers.a]\nport = ''", "line 2: printers.a.port: expected str of length >= 1, got ''"),
    ("[printers.a]\nport = 'AUTO'", "line 2: printers.a.port: leave this key out"),
    ("[printers.a]\nautoconnect = 1", "line 2: printers.a.autoconnect: expected bool, got int"),
    ("printers = {a = {baud_rate = 1}}", 'line 1: printers.a.baud_rate: unknown key, did you mean "baudrate"?'),
    ("[printers.a]\nreset = 'never'", 'line 2: printers.a.reset: expected "auto" or "yes" or "no", got \'never\''),
    ("[printers.a]\n\nreset = false", 'line 3: printers.a.reset: expected "auto" or "yes" or "no", got False'),
    ("[printers.A]", "line 1: printers.A: bad id, expected a-z, 0-9, _ and -"),
    ("[printers._default]", "line 1: printers._default: bad id"),
    ("[printers.'a b']", 'line 1: printers."a b": bad id'),
    (f"[profiles.{'a' * 33}]", f"line 1: profiles.{'a' * 33}: bad id"),
    ("[profiles.a]\nwidth = 0", "line 2: profiles.a.width: expected float > 0.0, got 0"),
    ("[profiles.a]\nmax_bed = nan", "line 2: profiles.a.max_bed: expected float >= 0.0, got nan"),
    ("[profiles.a]\norigin = 'left'", 'line 2: profiles.a.origin: expected "lowerleft" or "center", got \'left\''),
    (
        "[profiles.a]\nextruder_offsets = [[0, 0], [1, 'x']]",
        "line 2: profiles.a.extruder_offsets: item 2: expected float, got str",
    ),
    ("[printers.a]\n\nprofile = 'x'", 'line 3: printers.a.profile: no profile "x", expected one of _default'),
    ("default_printer = 'x'", 'line 1: default_printer: no printer "x", expected one of default'),
    ("[printers.a]\nport='p'\n[printers.b]\nport='p'", 'line 4: printers.b.port: "p" is the port of printer a'),
    ("[printers.a]\npassthrough='p'", 'line 2: printers.a.passthrough: expected an absolute path, got "p"'),
    ('[printers.a]\npassthrough="/p\\u0000"', "line 2: printers.a.passthrough: expected an absolute path, got"),
    ("[printers.a]\npassthrough_group='x'", "line 2: printers.a.passthrough_group: there is no passthrough that"),
    (
        "[printers.a]\npassthrough='/p'\n[printers.b]\npassthrough='/p'",
        'line 4: printers.b.passthrough: "/p" is the passthrough of printer a already',
    ),
    ("[printers.a]\npassthrough='/p'\n[printers.b]\nport='/p'", 'passthrough: "/p" is a port already'),
    ("[printers.a]\npassthrough='/p'\n[ports]\nadded=['/p']", 'line 2: printers.a.passthrough: "/p" is a port already'),
    ("[ports]\nadded = ['p', 'q', 'p']", 'line 2: ports.added: "p" is there twice'),
    ("[ports]\nadded = ['p',\n3]", "line 2: ports.added: item 2: expected str, got int"),
    ("[ports]\nadditional_baudrates = [1, -1]", "additional_baudrates: item 2: expected int >= 1, got -1"),
    ("[virtual]\n\na = {b = 1}", "line 3: virtual.a: expected bool | int | float | str | array, got table"),
    ("[virtual]\na = [[1]]", "line 2: virtual.a: item 1: expected bool | int | float | str, got array"),
    ("[virtual]\na = 1979-05-27", "line 2: virtual.a: expected bool | int | float | str | array, got date"),
    ("[virtual]\na = [1, inf]", "line 2: virtual.a: expected a finite number, got inf"),
    ("a = 1\nb =\n", "line 2: Invalid value"),
    ("a = 1\na = 2", "line 2: Cannot overwrite a value"),
    ("\n\na = [1,\n", "line 4: "),
    ("a = '''\n\n", "line 3: "),
    ("a = " + "[" * 10000, "nested too deeply"),
    ("a = " + "9" * 5000, "a number is too long"),
    (b"a = 1\nb = '\xe9'\n", "line 2: this is not UTF-8; save the file as UTF-8"),
    (b"# " + b"x" * (1 << 20), "too large, at most 1048576 bytes are read"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=[fault[:60] for _, fault in FAULTS])
def test_a_fault_is_told_in_one_line_with_its_place(path: Path, text: str | bytes, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(path, text)
    message = str(caught.value)
    assert message.startswith(f"{path}, {fault}" if fault.startswith("line") else f"{path}")
    assert fault in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400


def test_two_printers_may_both_be_virtual(path: Path) -> None:
    assert len(load(path, "[printers.a]\nport='VIRTUAL'\n[printers.b]\nport='VIRTUAL'").printers) == 2


def test_a_named_pipe_in_the_place_of_the_file_does_not_hang(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(SettingsError, match="not a regular file"):
        SettingsFile(path).load()


def test_a_higher_layer_can_blame_a_line(path: Path) -> None:
    path.write_text("[virtual]\n# how long\nboot_time = -1\n")
    file = SettingsFile(path)
    file.load()
    error = file.error_at(("virtual", "boot_time"), "expected 0 or more")
    assert str(error) == f"{path}, line 3: virtual.boot_time: expected 0 or more"
    assert str(file.error_at(("server",), "x")) == f"{path}: server: x"


@given(st.binary(max_size=60) | st.text(alphabet="[]{}=.,'\"#\n ab1_\\", max_size=60).map(str.encode))
def test_whatever_the_file_holds_only_one_kind_of_error_comes_out(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        fault = ""
        try:
            SettingsFile(Path(file.name)).load()
        except SettingsError as error:
            fault = str(error)
        assert len(fault.splitlines()) <= 1


# Lines

TEXT = '''# [server]
top = 1

[server] # a comment with = and [x]
host = "a#b"
"port" = 1
many = [
  1, # ]
  "]\\"",
  [2],
]
text = """
port = 5
[nothing]
\\"""
""""
raw = \'\'\'
q = 1
\'\'\'
after.all = { x = 1, y = "}" }
after . "d.e" = 2
  [ printers . 'a b' ]
  name = 1
[printers.c.d]
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("top",), 2),
        (("server",), 4),
        (("server", "host"), 5),
        (("server", "port"), 6),
        (("server", "many"), 7),
        (("server", "text"), 12),
        (("server", "raw"), 17),
        (("server", "after"), 20),
        (("server", "after", "all", "x"), 20),
        (("server", "after", "d.e"), 21),
        (("printers",), 22),
        (("printers", "a b", "name"), 23),
        (("printers", "c"), 24),
        (("printers", "c", "d", "missing"), 24),
        (("server", "missing"), 4),
        (("missing",), None),
        ((), None),
    ],
)
def test_the_line_of_a_key_is_found(key: KeyPath, line: int | None) -> None:
    tomllib.loads(TEXT)
    assert line_of(TEXT, key) == line


STRINGS = st.text(alphabet="a=[]{}#,.\"'\\\n\u2028\x85é", max_size=8)
VALUES = st.one_of(
    st.sampled_from(["1", "[]", "[ # ]\n1,\n[2]]", "{ a = ']' }", "1979-05-27 07:32:00", '""']),
    STRINGS.filter(lambda s: "'" not in s and "\n" not in s).map(lambda s: f"'{s}'".replace("\x85", "")),
    STRINGS.filter(lambda s: "'" not in s).map(lambda s: f"'''{s}'''".replace("\x85", "")),
    STRINGS.map(lambda s: '"""' + s.replace("\\", "\\\\").replace('"""', '""\\"').replace("\x85", "") + '"""'),
)
KEYS = st.sampled_from(["a", "b-1", "'c d'", '"e.f"', '"\\u0041"', " g "])


@given(st.lists(st.tuples(st.booleans(), KEYS, VALUES, st.sampled_from(["", " # [x] = '", "\n\n# y = 1"])), max_size=6))
def test_the_line_of_every_key_is_the_one_it_was_written_on(rows: list[tuple[bool, str, str, str]]) -> None:
    text, table, places = "", "", {}
    for number, (is_table, key, value, comment) in enumerate(rows):
        line = text.count("\n") + 1
        name = f"{key}.k{number}"
        if is_table:
            table = name
            text += f"[{name}]{comment}\n"
        else:
            text += f"{name} = {value}{comment}\n"
        places[f"{table}.{name}" if table and not is_table else name] = line
    tomllib.loads(text)
    for dotted, line in places.items():
        nested, found = tomllib.loads(f"{dotted} = 0"), []
        while isinstance(nested, dict):
            ((part, nested),) = nested.items()
            found.append(part)
        assert line_of(text, tuple(found)) == line


# Edits


def test_an_edit_changes_its_lines_and_no_other_one(path: Path) -> None:
    before = """\
# My printers
[server]  # where
port = 5_001   # not 5000
# host = "0.0.0.0"

# The one in the cellar
[printers.default]
port = '/dev/ttyUSB0' # the old cable
autoconnect = false

# Leave this
[virtual]
echo=true
"""
    after = edited(path, before, {PORT: "/dev/ttyACM0", BAUDRATE: 250000, ("server", "host"): "::1"})
    assert (
        after
        == """\
# My printers
[server]  # where
port = 5_001   # not 5000
host = "::1"
# host = "0.0.0.0"

# The one in the cellar
[printers.default]
port = "/dev/ttyACM0" # the old cable
autoconnect = false
baudrate = 250000

# Leave this
[virtual]
echo=true
"""
    )


def test_an_edit_without_a_file_makes_one(path: Path) -> None:
    settings = SettingsFile(path).edit({PORT: "/dev/ttyACM0", BAUDRATE: 115200})
    assert path.read_text() == '[printers.default]\nport = "/dev/ttyACM0"\nbaudrate = 115200\n'
    assert settings.printers["default"] == PrinterSettings(name="default", port="/dev/ttyACM0", baudrate=115200)


def test_a_new_table_goes_to_the_end(path: Path) -> None:
    before = "[server]\nport = 1\n\n# for tests\n[virtual]"
    assert edited(path, before, {PORT: "p"}) == before + '\n\n[printers.default]\nport = "p"\n'


def test_none_removes_a_key_and_a_removed_one_may_be_removed_again(path: Path) -> None:
    before = "[printers.default]\n# mine\nport = 'p'\nbaudrate = 9600\n"
    after = edited(path, before, {PORT: None})
    assert after == "[printers.default]\n# mine\nbaudrate = 9600\n"
    assert edited(path, after, {PORT: None, ("printers", "x", "port"): None}) == after


def test_a_whole_printer_can_be_removed(path: Path) -> None:
    assert edited(path, "[printers.a]\n[printers.b]\nport = 'p'\n", {("printers", "b"): None}) == "[printers.a]\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "[printers.a]\n\n# two\n[printers.b]  # it\n# its\nport = 'p'\nname = '''\n[x]'''\n\n# below\n[virtual]\n",
            "[printers.a]\n\n# two\n\n# below\n[virtual]\n",
        ),
        ("[printers.a]\n\n[printers.b]\n\n[virtual]", "[printers.a]\n\n[virtual]"),
        ("[printers.b]\nport = 'p'\n[virtual]\n[printers.a]", "[virtual]\n[printers.a]"),
        ("printers.b.port = 'p'\nprinters.a.port = 'q'\n", "printers.a.port = 'q'\n"),
        ("[printers]\na = {}\nb = { port = 'p' } # x\n", "[printers]\na = {}\n"),
        ("printers = { a = {}, b = {} }\n", "printers = { a = {}  }\n"),
    ],
)
def test_a_removed_printer_takes_its_own_lines_along(path: Path, before: str, after: str) -> None:
    assert edited(path, before, {("printers", "b"): None}) == after


def test_an_edit_that_changes_nothing_writes_nothing(path: Path) -> None:
    path.write_text("[printers.default]\nport = 'p'\nbaudrate = 115_200\n")
    before = path.stat()
    SettingsFile(path).edit({PORT: "p", BAUDRATE: 115200, ("server", "port"): None})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_edit_keeps_what_a_person_wrote_since_the_last_look(path: Path) -> None:
    path.write_text("")
    file = SettingsFile(path)
    file.load()
    path.write_text("[server]\nport = 81 # by hand\n")
    assert file.edit({PORT: "p"}).server.port == 81
    assert "port = 81 # by hand" in path.read_text()


def test_a_file_that_a_person_broke_is_not_edited(path: Path) -> None:
    path.write_text("[server]\nport = 'x'\n")
    with pytest.raises(SettingsError, match=r"line 2: server\.port: expected int"):
        SettingsFile(path).edit({PORT: "p"})
    assert path.read_text() == "[server]\nport = 'x'\n"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({PORT: 3}, "printers.default.port: expected str, got int"),
        ({BAUDRATE: 9600, ("server", "port"): 0}, "server.port: expected int >= 1, got 0"),
        ({("server", "port", "x"): 1}, "server.port.x: port is not a table"),
        ({("printers", "B", "port"): "p"}, "printers.B: bad id"),
        ({("virtual", "x"): float("nan")}, "virtual.x: expected a finite number"),
        ({("printers", "default", "profile"): "x"}, 'printers.default.profile: no profile "x"'),
        ({PORT: "\ud800"}, "printers.default.port: a program cannot set this"),
    ],
)
def test_a_change_that_is_not_allowed_leaves_the_file(
    path: Path, changes: dict[KeyPath, Value | None], fault: str
) -> None:
    path.write_text("[server]\nport = 80\n")
    with pytest.raises(SettingsError, match=re.escape(f"{path}: not changed: {fault}")) as caught:
        SettingsFile(path).edit(changes)
    assert len(str(caught.value).splitlines()) == 1
    assert path.read_text() == "[server]\nport = 80\n"


def test_an_edit_that_would_take_more_than_its_key_is_refused(path: Path) -> None:
    # With its only key the whole printer would go.
    text = "printers.a.port = 'p'\nprinters.b.port = 'q'\n"
    path.write_text(text)
    with pytest.raises(SettingsError, match="a program cannot set this in the file as it is written"):
        SettingsFile(path).edit({("printers", "b", "port"): None})
    assert path.read_text() == text


def test_an_edit_cannot_make_a_file_too_large_to_be_read(path: Path) -> None:
    text = "#" * (1 << 20)
    path.write_text(text)
    with pytest.raises(SettingsError, match="a program cannot set this"):
        SettingsFile(path).edit({PORT: "p"})
    assert path.read_text() == text


def test_the_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path, path: Path) -> None:
    (tmp_path / "real.toml").write_text("")
    (tmp_path / "real.toml").chmod(0o640)
    path.symlink_to("real.toml")
    SettingsFile(path).edit({PORT: "p"})
    assert path.is_symlink()
    assert (tmp_path / "real.toml").read_text() == '[printers.default]\nport = "p"\n'
    assert (tmp_path / "real.toml").stat().st_mode & 0o777 == 0o640


WITH_TABLES = """\
# top
[profiles.a] # the first
name = "A" # tail
model = '''
# no comment
'''

# about b
[profiles.b]
name = "B"

# the end
"""


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (WITH_TABLES, '# top\n\n# about b\n[profiles.b]\nname = "B"\n\n# the end\n'),
        ("[ports]\nvirtual = true\n\n[profiles.a]\nname = 'A'\n", "[ports]\nvirtual = true\n"),
        ("profiles.a.name = 'A'\nprofiles.b.name = 'B' # b\n", "profiles.b.name = 'B' # b\n"),
    ],
)
def test_a_table_goes_and_what_stands_around_it_stays(path: Path, text: str, rest: str) -> None:
    assert edited(path, text, {("profiles", "a"): None}) == rest


def test_a_table_that_something_refers_to_stays(path: Path) -> None:
    path.write_text("[printers.x]\nprofile = 'a'\n[profiles.a]\n")
    with pytest.raises(SettingsError, match=r'printers.x.profile: no profile "a"'):
        SettingsFile(path).edit({("profiles", "a"): None})


def test_edits_at_the_same_time_are_all_kept(path: Path) -> None:
    file = SettingsFile(path)
    changes: list[dict[KeyPath, Value | None]] = [{("virtual", f"k{number}"): number} for number in range(8)]
    threads = [threading.Thread(target=file.edit, args=(change,)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert file.load().virtual == {f"k{number}": number for number in range(8)}


BASES = [
    "",
    "# only a comment",
    "printers = { default = { port = 'a' } } # inline\n",
    "printers.default.name = 'a' # dotted\nprinters.default.port = 'a'\n[server]\n",
    "[printers]\ndefault = {}\n# end",
    "[printers.default] # head\r\nport = 'a' # tail\r\n\r\n# next\r\n[server]\r\nport = 1\r\n",
    "[printers.b]\n# in b\n[server]\n[printers.default]\n# in default\n[virtual]\nx = [1, # one\n 2]\n",
    "[server]\n\n[printers.'default']\nport = '''a''' # quoted\n",
]
EDITS = st.dictionaries(
    st.sampled_from([PORT, BAUDRATE, ("server", "port"), ("printers", "b", "baudrate"), ("virtual", "x")]),
    st.none() | st.integers(1, 9),
    max_size=4,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.sampled_from(BASES), st.lists(EDITS, max_size=3))
def test_edits_do_what_a_dict_does_and_lose_no_line_of_comment(
    tmp_path_factory: pytest.TempPathFactory, base: str, edits: list[dict[KeyPath, int | None]]
) -> None:
    path = tmp_path_factory.mktemp("edits") / "limpet.toml"
    path.write_bytes(base.encode())
    expected = tomllib.loads(base)
    for edit in edits:
        changes: dict[KeyPath, Value | None] = {
            key: f"/dev/{value}" if key == PORT and value else value for key, value in edit.items()
        }
        SettingsFile(path).edit(changes)
        for key, value in changes.items():
            table = expected
            for part in key[:-1]:
                table = table.setdefault(part, {})
            table[key[-1]] = value
    text = path.read_bytes().decode()
    assert without_nothing(tomllib.loads(text)) == without_nothing(expected)
    for comment in re.findall(r"^# .*$", base, re.MULTILINE):
        assert comment in text


def without_nothing(table: dict[str, object]) -> dict[str, object]:
    smaller = {k: without_nothing(v) if isinstance(v, dict) else v for k, v in table.items()}
    return {key: value for key, value in smaller.items() if value not in (None, {})}


# A kill -9, and a start

EDITOR = """
import os, sys
from pathlib import Path
from limpet.settings_file import SettingsFile
import tomlkit
file = SettingsFile(Path(sys.argv[1]))
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        number = 0
        while True:
            number += 1
            file.edit({("printers", "default", "baudrate"): 115200 if number % 2 else 250000})
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(path: Path) -> None:
    padding = "".join(f"# line {number} of a long comment\n" for number in range(1000))
    text = padding + "[printers.default]\nbaudrate = {}\n" + padding
    versions = {text.format(115200), text.format(250000)}
    path.write_text(text.format(250000))
    kills, random = 0, Random(20261101)
    command = [sys.executable, "-c", EDITOR, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(30):
            process.stdin.write("go\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            time.sleep(random.uniform(0, 0.03))  # a random moment is what is tested
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "gone\n"
            kills += 1
            assert path.read_text() in versions
            assert SettingsFile(path).load().printers["default"].baudrate in (115200, 250000)
        process.stdin.close()
        assert process.wait(timeout=10) == 0
    assert kills == 30
    assert {p.name for p in path.parent.iterdir()} <= {"limpet.toml", ".limpet.toml.tmp", ".limpet.toml.lock"}


def test_a_start_does_not_import_what_only_edits_need(path: Path) -> None:
    path.write_text("[server]\nport = 80\n")
    code = (
        "import sys; from pathlib import Path; from limpet.settings_file import SettingsFile\n"
        "SettingsFile(Path(sys.argv[1])).load(); print('tomlkit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30)
    assert done.stdout == "False\n", done.stderr


# The page about it


def test_the_page_about_settings_names_every_one_with_its_default() -> None:
    page = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", page, re.MULTILINE)
    tables: dict[str, type[msgspec.Struct]] = {
        "server": ServerSettings,
        "ports": PortSettings,
        "appearance": AppearanceSettings,
        "webcam": WebcamSettings,
        "presets.<id>": Preset,
        "commands.<id>": CommandSettings,
        "controls.<id>": ControlSettings,
        "files": FileSettings,
        "profiles.<id>": Profile,
        "printers.<id>": PrinterSettings,
    }
    expected = {"default_printer": "the first one", "virtual.<option>": "the virtual printer's"}
    for table, kind in tables.items():
        for field in msgspec.structs.fields(kind):
            unset = {"printers.<id>": "detect", "profiles.<id>": "the volume's"}.get(table, "none")
            if field.name.startswith("passthrough"):
                unset = "off"
            if field.name == "window":
                unset = "as the firmware shows"
            missing = "must be there" if field.name in ("run", "commands") else "the id"
            if field.name == "uploads":
                unset = "`files.uploads`"
            if field.name == "scripts":
                missing = "OctoPrint's"
            default = {None: unset, msgspec.NODEFAULT: missing, (): "`[]`"}.get(field.default)
            written = msgspec.json.encode(field.default).decode() if default is None else ""
            expected[f"{table}.{field.name}"] = default or f"`{written}`"
    assert dict(rows) == expected
    assert set(Settings.__struct_fields__) == {name.partition(".")[0] for name in expected}


@pytest.mark.parametrize(
    "text", ["G28\nM84\n", "\nG28", "G28\r\nM84\r\n", 'M117 "hi"\n\\ \'\'\' """ \n', "one line", "\n", "tab\t\n"]
)
def test_a_text_of_many_lines_comes_back_as_it_was(path: Path, text: str) -> None:
    file = SettingsFile(path)
    place = ("printers", "default", "scripts", "snippets/park")
    file.edit({place: text})
    assert SettingsFile(path).load().printers["default"].scripts == {"snippets/park": text}
    file.edit({place: text + "x"})
    file.edit({place: None})
    assert SettingsFile(path).load().printers["default"].scripts == {}


def test_a_preview_is_what_an_edit_would_make_and_writes_nothing(path: Path) -> None:
    file = SettingsFile(path)

    assert file.preview({PORT: "p"}).printers["default"].port == "p"
    with pytest.raises(SettingsError, match=r"not changed: printers\.default\.baudrate"):
        file.preview({BAUDRATE: "fast"})

    assert list(path.parent.iterdir()) == []
