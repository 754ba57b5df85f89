"""A whole OctoPrint folder taken over, and nothing in it changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.groups import GroupStore
from limpet.keys import KeyStore
from limpet.settings_file import SettingsFile
from limpet.users import UserStore
from tests.test_cli import limpet
from tests.web.server import running

KEY, APP_KEY, USER_KEY = "G" * 32, "A" * 32, "U" * 32
FILES = {
    "config.yaml": f"""
api:
  key: {KEY}
serial:
  port: /dev/serial/by-id/usb-Prusa
  baudrate: 115200
  autoconnect: true
  additionalPorts: [/dev/pts/*]
appearance: {{name: Workshop, color: red}}
temperature:
  profiles:
  - {{name: PETG, extruder: 240, bed: 85}}
printerProfiles: {{default: mini}}
""",
    "users.yaml": f"""
_version: 2
ada: {{active: true, groups: [admins], permissions: [], password: $argon2id$x, apikey: {USER_KEY}}}
bob: {{active: true, groups: [readonly], permissions: [], password: $argon2id$x, apikey: null}}
""",
    "printerProfiles/_default.profile": "id: _default\nname: Default\n",
    "printerProfiles/mini.profile": "id: mini\nname: The mini\n",
    "data/appkeys/keys.yaml": f"bob:\n- {{app_id: Some App, api_key: {APP_KEY}}}\n",
    "uploads/one.gcode": "G28\n",
    "uploads/.metadata.json": "{}",
    "uploads/parts/ümlaut two.gcode": "G1 X1\n",
    "uploads/parts/model.gco": "solid\n",
    "uploads/parts/model.stl": "solid\n",
}


@pytest.fixture
def octoprint(tmp_path: Path) -> Path:
    folder = tmp_path / "octoprint"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, ns=(10**18, 10**18))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Content, mode and time of all there is."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


def test_all_of_it_is_taken_over_and_stays_as_it_is(octoprint: Path, data: Path) -> None:
    before = everything(octoprint)

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert (done.returncode, done.stderr) == (0, "")
    settings = SettingsFile(data / "limpet.toml").load()
    printer = settings.printers["default"]
    assert (printer.port, printer.baudrate, printer.autoconnect) == ("/dev/serial/by-id/usb-Prusa", 115200, True)
    assert (printer.profile, settings.profiles["mini"].name) == ("mini", "The mini")
    assert (settings.ports.added, settings.appearance.name) == (("/dev/pts/*",), "Workshop")
    assert settings.presets["petg"].bed == 85
    assert [(user.name, user.groups, user.password) for user in UserStore(data / "users.json").list()] == [
        ("ada", ("admins",), ""),
        ("bob", ("readonly",), ""),
    ]
    uploads = {str(path.relative_to(data / "uploads")) for path in (data / "uploads").rglob("*") if path.is_file()}
    assert uploads == {"one.gcode", "parts/ümlaut two.gcode", "parts/model.gco"}
    assert (data / "uploads/one.gcode").stat().st_mtime_ns == 10**18
    assert "limpet users passwd ada" in done.stdout
    assert not [key for key in (KEY, APP_KEY, USER_KEY) if key in done.stdout]
    assert everything(octoprint) == before


@pytest.fixture
def empty(data: Path) -> Path:
    data.mkdir()
    return data


async def test_a_running_server_takes_the_keys_that_octoprint_took(octoprint: Path, empty: Path) -> None:
    async with running(empty) as (client, _):
        for key in (KEY, APP_KEY, USER_KEY):
            assert (await client.get("/api/version", key=key)).status == 403

        assert limpet("import-octoprint", str(octoprint), data=empty).returncode == 0

        listed = (await client.get("/api/files?recursive=true", key=KEY)).json()["files"]
        assert {each["name"] for each in listed} == {"one.gcode", "parts"}
        for key, name in ((KEY, None), (APP_KEY, "bob"), (USER_KEY, "ada")):
            assert (await client.get("/api/version", key=key)).status == 200
            user = (await client.get("/api/currentuser", key=key)).json()
            assert name is None or user["name"] == name


def test_a_second_time_changes_nothing(octoprint: Path, data: Path) -> None:
    limpet("import-octoprint", str(octoprint), data=data)
    before = everything(data)

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert done.returncode == 0
    assert "uploads: 3 files" in done.stdout.partition("There already:")[2]
    assert done.stdout.partition("Left:\n")[2].splitlines()[:-1] == ["    uploads/parts/model.stl: it is no G-code"]
    assert {name: each for name, each in everything(data).items() if name != "."} == {
        name: each for name, each in before.items() if name != "."
    }


def test_a_dry_run_says_the_same_and_writes_nothing(octoprint: Path, data: Path) -> None:
    dry = limpet("import-octoprint", str(octoprint), "--dry-run", data=data)

    assert not data.exists()
    wet = limpet("import-octoprint", str(octoprint), data=data)
    assert dry.returncode == wet.returncode == 0
    assert dry.stdout.splitlines()[:-1] == wet.stdout.splitlines()[:-1]
    assert "dry run" in dry.stdout


def test_files_that_limpet_has_are_not_overwritten(octoprint: Path, data: Path) -> None:
    (data / "uploads/parts").mkdir(parents=True)
    (data / "uploads/one.gcode").write_text("another")
    (data / "uploads/parts/model.gco").write_text("SOLID\n")

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert (data / "uploads/one.gcode").read_text() == "another"
    assert (data / "uploads/parts/model.gco").read_text() == "SOLID\n"
    assert "uploads/one.gcode: there is another one of this name here" in done.stdout
    assert "uploads: 1 file\n" in done.stdout.partition("There already:")[2]


def test_what_cannot_be_read_is_told_and_the_rest_is_taken(octoprint: Path, data: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "keys.yaml").write_text("ada: []")
    (secret / "far.gcode").write_text("G28")
    (octoprint / "users.yaml").write_text("ada:\n  active: [\n")
    (octoprint / "groups.yaml").write_bytes(b"a: b\nc: \xff\n")
    (octoprint / "printerProfiles/huge.profile").write_text("#" * (1 << 21))
    os.mkfifo(octoprint / "printerProfiles/pipe.profile")
    (octoprint / "printerProfiles/link.profile").symlink_to(secret / "keys.yaml")
    (octoprint / "printerProfiles/deep.profile").write_text("[" * 5000)
    (octoprint / "printerProfiles/run.profile").write_text("!!python/object/apply:os.getcwd []")
    (octoprint / "data/appkeys/keys.yaml").unlink()
    (octoprint / "data/appkeys").rmdir()
    (octoprint / "data/appkeys").symlink_to(secret)
    (octoprint / "uploads/far.gcode").symlink_to(secret / "far.gcode")
    (octoprint / "uploads/folder").symlink_to(secret)
    os.mkfifo(octoprint / "uploads/pipe.gcode")
    before = everything(octoprint)

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert (done.returncode, done.stderr) == (0, "")
    left = done.stdout.partition("Left:")[2]
    for words in (
        "users.yaml: line 3: ",
        "groups.yaml: line 2: this is not UTF-8",
        "huge.profile: it is larger than",
        "pipe.profile: it is not a regular file",
        "link.profile: it is a symbolic link",
        "deep.profile: it is nested too deeply",
        "run.profile: line 1: ",
        "data/appkeys/keys.yaml: it is a symbolic link, or inside of one",
        "uploads/far.gcode: it is a symbolic link",
        "uploads/folder: it is a symbolic link",
        "uploads/pipe.gcode: it is not a regular file",
    ):
        assert words in left
    assert not (data / "uploads/far.gcode").exists()
    assert (data / "uploads/one.gcode").exists()
    assert [key.name for key in KeyStore(data / "keys.json").list()] == ["octoprint-global"]
    assert everything(octoprint) == before


def test_a_folder_of_uploads_that_is_a_link_is_not_followed(octoprint: Path, data: Path, tmp_path: Path) -> None:
    (octoprint / "uploads").rename(tmp_path / "elsewhere")
    (octoprint / "uploads").symlink_to(tmp_path / "elsewhere")

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert "a symbolic link is not followed" in done.stdout
    assert not (data / "uploads").exists()


def test_uploads_that_limpet_uses_where_they_are_stay_there(octoprint: Path, empty: Path) -> None:
    (empty / "limpet.toml").write_text(f"[files]\nuploads = {str(octoprint / 'uploads/parts')!r}\n")
    before = everything(octoprint)

    done = limpet("import-octoprint", str(octoprint), data=empty)

    assert "Limpet's settings name a folder of this OctoPrint" in done.stdout
    assert everything(octoprint) == before


def test_a_file_that_does_not_arrive_leaves_nothing_half(octoprint: Path, data: Path) -> None:
    (data / "uploads").mkdir(parents=True)
    (data / "uploads/parts").write_text("a file where a folder should be")

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert "uploads/parts/model.gco: " in done.stdout.partition("Left:")[2]
    assert {path.name for path in (data / "uploads").iterdir()} == {"one.gcode", "parts"}


@pytest.mark.parametrize("missing", ["folder", "config.yaml"])
def test_what_is_no_folder_of_an_octoprint_is_said(tmp_path: Path, data: Path, missing: str) -> None:
    folder = tmp_path / "nothing"
    if missing == "config.yaml":
        folder.mkdir()

    done = limpet("import-octoprint", str(folder), data=data)

    assert done.returncode == 2
    assert missing in done.stderr
    assert not data.exists()


def test_the_data_folder_cannot_be_inside_of_octoprints(octoprint: Path) -> None:
    before = everything(octoprint)

    assert limpet("import-octoprint", str(octoprint), data=octoprint / "limpet").returncode == 2
    assert everything(octoprint) == before


def test_broken_settings_of_limpet_are_told_and_nothing_is_written(octoprint: Path, data: Path) -> None:
    data.mkdir()
    (data / "limpet.toml").write_text("port = \n")

    done = limpet("import-octoprint", str(octoprint), data=data)

    assert done.returncode == 2
    assert "limpet.toml, line 1" in done.stderr
    assert not (data / "users.json").exists()


def test_groups_that_are_parts_of_each_other_come_over(octoprint: Path, data: Path) -> None:
    (octoprint / "groups.yaml").write_text(
        "groups:\n"
        "  makers: {name: Makers, permissions: [PRINT], subgroups: [helpers]}\n"
        "  helpers: {name: Helpers, permissions: [STATUS], subgroups: [makers]}\n"
        "  users: {permissions: [STATUS], subgroups: []}\n"
    )

    for fate in ("taken", "there"):
        done = limpet("import-octoprint", str(octoprint), data=data)
        assert f"group makers: {'helpers, PRINT' if fate == 'taken' else 'there is one'}" in done.stdout
        assert ("group users: it may do the same here" in done.stdout) == (fate == "there")

    groups = GroupStore(data / "groups.json")
    assert groups.permissions_of((), ("makers",)) == groups.permissions_of((), ("helpers",)) == {"PRINT", "STATUS"}
    assert "STATUS" in groups.all()["users"].permissions
    assert "PRINT" not in groups.all()["users"].permissions


def test_of_many_uploads_that_are_left_some_are_named(octoprint: Path, data: Path) -> None:
    for number in range(130):
        (octoprint / f"uploads/model {number}.stl").write_text("solid")

    left = limpet("import-octoprint", str(octoprint), data=data).stdout.partition("Left:")[2]

    assert left.count("it is no G-code") == 50
    assert "81 files more" in left


def test_a_disk_that_becomes_full_ends_it_and_leaves_nothing_half(octoprint: Path, tmp_path: Path) -> None:
    for number in range(40):
        (octoprint / f"uploads/{number:02}.gcode").write_text("G28\n")
    # Room enough by the byte, but only for a few files more.
    script = 'mount -t tmpfs -o size=300m,nr_inodes=30 tmpfs "$0" && "$@" && ls -A "$0/uploads"'
    folder = tmp_path / "small"
    folder.mkdir()
    command = [sys.executable, "-m", "limpet", "import-octoprint", str(octoprint), "--data", str(folder)]
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)]
    try:
        done = subprocess.run([*mount, *command], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("this user may not mount a small file system")

    taken, _, left = done.stdout.partition("Left:")
    there = [line for line in done.stdout.splitlines() if re.fullmatch(r"\d\d\.gcode", line)]
    assert f"uploads: {len(there)} files" in taken
    assert f"uploads/{len(there):02}.gcode: No space left on device" in left
    assert ".tmp" not in done.stdout
    assert re.search(r"uploads: \d+ files after that: the disk is full", left)


def test_scripts_are_taken_over_and_the_bad_ones_are_told(octoprint: Path, data: Path) -> None:
    scripts = {
        "afterPrintCancelled": "; off\r\nM84\r\n{% snippet 'park' %}\n{% snippet 'disable_hotends' %}\n",
        "snippets/park": "G91\nG1 Z5\nG90\n",
        "afterPrintDone": "{% if %}\n",
        "beforePrintStarted": "{% snippet 'of_a_plugin' %}\n",
        ".hidden": "G28\n",
    }
    for name, content in scripts.items():
        path = octoprint / "scripts/gcode" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    (octoprint / "scripts/gcode/afterPrintPaused").symlink_to("/etc/passwd")
    (octoprint / "scripts/gcode/broken").write_bytes(b"\xff")

    told = limpet("import-octoprint", str(octoprint), data=data).stdout

    settings = SettingsFile(data / "limpet.toml").load()
    taken = settings.printers[settings.default_printer].scripts
    assert {name: text.split() for name, text in taken.items()} == {
        name: scripts[name].split() for name in ("afterPrintCancelled", "snippets/park")
    }
    assert "afterPrintDone: line 1: " in told
    assert "beforePrintStarted: line 1: there is no snippet of_a_plugin" in told
    for name in ("afterPrintPaused", "broken"):
        assert re.search(f"gcode, {name}: ", told)
    again = limpet("import-octoprint", str(octoprint), data=data).stdout
    assert "afterPrintCancelled: there is one already\n" in again
