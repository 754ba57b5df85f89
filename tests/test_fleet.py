"""The printers that the settings name, what is wanted of each, and what is remembered about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from limpet.errors import BadRequest, Conflict, LimpetError
from limpet.fleet import AUTO, MAX_PROFILES, Fleet
from limpet.printer.connection import Target
from limpet.printer.state import ProfileChanged, State
from limpet.profiles import Profile
from limpet.settings_file import SettingsFile
from limpet.transports.urls import VIRTUAL
from tests.printer.rig import QUICK, eventually, nothing_left, openers, printer_at

COMMENTED = """\
# my printers

[printers.mini]           # the small one
port = "/dev/ttyACM0"     # left socket
baudrate = 250000
profile = "fast"

[printers.big]
# nothing is known about it

[profiles.fast]
name = "Fast"
"""

Build = Callable[[str], Fleet]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limpet.toml"


@pytest.fixture
def build(path: Path) -> Build:
    def build(text: str = "") -> Fleet:
        path.write_text(text)
        file = SettingsFile(path)
        return Fleet(file, file.load(), openers(), patience=QUICK)

    return build


@asynccontextmanager
async def stopped_at_the_end(fleet: Fleet) -> Any:
    async with nothing_left():
        yield
        await fleet.stop()


def text_of(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def test_how_the_board_is_reset_is_a_setting_of_the_printer(path: Path) -> None:
    path.write_text('[printers.mini]\nreset = "no"\n')

    async def asked() -> str:
        file = SettingsFile(path)
        return target(Fleet(file, file.load(), openers()), "mini").reset

    assert asyncio.run(asked()) == "no"


def target(fleet: Fleet, id: str, **request: Any) -> Target:
    printer = fleet.get(id)
    assert printer is not None
    return fleet.target(printer, **{"port": None, "baudrate": None, "profile": None} | request)


# -- which printers there are --


async def test_without_settings_there_is_one_printer(build: Build) -> None:
    fleet = build("")
    assert [printer.id for printer in fleet] == ["default"]
    assert fleet.default is fleet.get("default")


async def test_several_printers_come_in_the_order_of_the_file_and_one_is_the_default(build: Build) -> None:
    fleet = build('default_printer = "big"\n' + COMMENTED)
    assert [printer.id for printer in fleet] == ["mini", "big"]
    assert fleet.default.id == "big"
    assert fleet.get("other") is None


# -- what is wanted --


async def test_a_request_goes_before_the_preference(build: Build) -> None:
    wanted = target(build(COMMENTED), "mini", port="/dev/ttyUSB0", baudrate=9600, profile="_default")
    assert wanted == Target("/dev/ttyUSB0", 9600, "_default", awaits_port=False)


async def test_what_a_request_leaves_open_is_the_preference(build: Build) -> None:
    fleet = build(COMMENTED)
    assert target(fleet, "mini") == Target("/dev/ttyACM0", 250000, "fast", awaits_port=True)
    assert target(fleet, "mini", baudrate=9600) == Target("/dev/ttyACM0", 9600, "fast", awaits_port=True)
    assert target(fleet, "mini", port=VIRTUAL) == Target(VIRTUAL, 250000, "fast", awaits_port=False)


async def test_what_neither_request_nor_preference_knows_is_detected(build: Build) -> None:
    fleet = build(COMMENTED)
    wanted = target(fleet, "big")
    assert (wanted.port, wanted.baudrate, wanted.profile) == (None, None, "_default")
    assert wanted.detects
    assert target(fleet, "big", port="/dev/ttyUSB0").baudrate is None
    assert target(fleet, "big", baudrate=9600).port is None


async def test_auto_and_0_ask_for_detection_whatever_is_preferred(build: Build) -> None:
    wanted = target(build(COMMENTED), "mini", port=AUTO, baudrate=0)
    assert (wanted.port, wanted.baudrate, wanted.awaits_port) == (None, None, False)


async def test_a_printer_may_be_left_alone_once_lost(build: Build) -> None:
    fleet = build("[printers.a]\nreconnect = false\n[printers.b]\n")
    assert not target(fleet, "a").faithful
    assert target(fleet, "b").faithful


# -- profiles --


async def test_a_new_profile_is_there_at_once_and_in_the_file(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    await fleet.add_profile("new", Profile(name="New", width=180.0, extruder_offsets=((0.0, 0.0), (18.5, 0.0))))
    assert text_of(path).startswith(COMMENTED)
    assert text_of(path).endswith(
        '[profiles.new]\nname = "New"\nwidth = 180.0\nextruder_offsets = [[0.0, 0.0], [18.5, 0.0]]\n'
    )
    await fleet.remember(fleet.default, {"profile": "new"})
    assert fleet.profile(fleet.default).width == 180.0
    assert SettingsFile(path).load() == fleet.settings


async def test_a_changed_profile_has_in_the_file_what_is_not_as_usual(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    await fleet.change_profile("fast", lambda profile: structs.replace(profile, max_bed=80.0, color="red"))
    await fleet.change_profile("fast", lambda profile: structs.replace(profile, color="default"))
    assert text_of(path) == COMMENTED + "max_bed = 80.0\n"
    assert SettingsFile(path).load() == fleet.settings


async def test_every_printer_is_told_of_a_change_of_profiles(build: Build) -> None:
    fleet = build(COMMENTED)
    listeners = [printer.subscribe() for printer in fleet]
    await fleet.add_profile("new", Profile(name="New"))
    await fleet.change_profile("new", lambda profile: structs.replace(profile, width=180.0))
    await fleet.remove_profile("new")
    for listener in listeners:
        listener.close()
        heard = [(event.what, event.id) async for event, _ in listener if isinstance(event, ProfileChanged)]
        assert heard == [("Added", "new"), ("Modified", "new"), ("Deleted", "new")]


async def test_a_profile_is_made_once(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    with pytest.raises(BadRequest):
        await fleet.add_profile("fast", Profile(name="Again"))
    assert text_of(path) == COMMENTED


async def test_there_is_an_end_to_profiles(build: Build) -> None:
    fleet = build("".join(f"[profiles.p{number}]\n" for number in range(MAX_PROFILES - 1)))
    with pytest.raises(Conflict, match=str(MAX_PROFILES)):
        await fleet.add_profile("new", Profile(name="New"))


async def test_a_profile_goes_when_no_printer_has_or_prefers_it(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    for id in ("_default", "fast"):
        with pytest.raises(Conflict, match="Cannot delete default profile"):
            await fleet.remove_profile(id)
    await fleet.remember(fleet.default, {"profile": "_default"})
    await fleet.remove_profile("fast")
    assert "fast" not in fleet.profiles
    assert "[profiles" not in text_of(path)
    with pytest.raises(LookupError):
        await fleet.remove_profile("fast")


async def test_a_profile_that_a_printer_is_connected_with_stays(build: Build) -> None:
    fleet = build("[profiles.fast]\n")
    printer = fleet.default
    async with stopped_at_the_end(fleet):
        printer.connect(fleet.target(printer, port=VIRTUAL, baudrate=115200, profile="fast"))
        await eventually(lambda: printer.snapshot.state is State.OPERATIONAL)
        with pytest.raises(Conflict, match="Cannot delete currently selected profile"):
            await fleet.remove_profile("fast")


async def test_profiles_that_are_saved_at_once_are_all_kept(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    await asyncio.gather(*(fleet.add_profile(f"p{number}", Profile(name="P")) for number in range(5)))
    assert {f"p{number}" for number in range(5)} < fleet.profiles.keys()
    assert SettingsFile(path).load() == fleet.settings


# -- what is remembered --


async def test_what_is_remembered_is_in_the_file_and_the_comments_are_still_there(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    await fleet.remember(fleet.default, {"port": VIRTUAL, "baudrate": 115200, "autoconnect": True})
    text = text_of(path)
    assert 'port = "VIRTUAL"     # left socket' in text
    for line in (line for line in COMMENTED.splitlines() if "#" in line and "port" not in line):
        assert line in text
    kept = fleet.preferences(fleet.default)
    assert (kept.port, kept.baudrate, kept.autoconnect, kept.profile) == (VIRTUAL, 115200, True, "fast")
    assert SettingsFile(path).load() == fleet.settings


@pytest.mark.parametrize("nothing", [{"port": AUTO, "baudrate": 0}, {"port": None, "baudrate": None}])
async def test_to_remember_auto_and_0_is_to_forget_the_preference(
    build: Build, path: Path, nothing: dict[str, Any]
) -> None:
    fleet = build(COMMENTED)
    await fleet.remember(fleet.default, nothing)
    kept = fleet.preferences(fleet.default)
    assert (kept.port, kept.baudrate, kept.profile) == (None, None, "fast")
    assert "/dev/ttyACM0" not in text_of(path)


async def test_what_is_not_mentioned_stays(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    await fleet.remember(fleet.default, {"autoconnect": True})
    kept = fleet.preferences(fleet.default)
    assert (kept.port, kept.baudrate, kept.autoconnect) == ("/dev/ttyACM0", 250000, True)


async def test_what_is_remembered_about_one_printer_is_about_no_other(build: Build) -> None:
    fleet = build(COMMENTED)
    big = fleet.get("big")
    assert big is not None
    await fleet.remember(big, {"port": VIRTUAL, "baudrate": 9600})
    assert fleet.preferences(big).port == VIRTUAL
    assert fleet.preferences(fleet.default).port == "/dev/ttyACM0"


async def test_what_cannot_be_saved_changes_nothing(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    before = fleet.settings
    with pytest.raises(LimpetError):
        await fleet.remember(fleet.default, {"profile": "there is none"})
    assert fleet.settings is before
    assert text_of(path) == COMMENTED


async def test_two_that_save_at_once_lose_nothing(build: Build, path: Path) -> None:
    fleet = build(COMMENTED)
    saves: list[Awaitable[None]] = [
        fleet.remember(printer, {key: value})
        for printer in fleet
        for key, value in (("baudrate", 9600), ("autoconnect", True), ("profile", "fast"))
    ]
    await asyncio.gather(*saves)
    for printer in fleet:
        kept = fleet.preferences(printer)
        assert (kept.baudrate, kept.autoconnect, kept.profile) == (9600, True, "fast")
    assert SettingsFile(path).load() == fleet.settings


# -- names of ports --


async def test_a_preferred_port_is_called_as_it_is_listed(build: Build, tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with printer_at(link):
        fleet = build(f'[ports]\nadded = ["{link}"]\n[printers.a]\nport = "{link.resolve()}"\n')
        assert str(link) in fleet.port_names()
        assert fleet.preferred_port(fleet.default) == str(link)


async def test_a_preferred_port_that_is_not_plugged_in_keeps_its_name(build: Build) -> None:
    fleet = build(COMMENTED.replace("ttyACM0", "ttyACM99"))
    assert fleet.preferred_port(fleet.default) == "/dev/ttyACM99"
    assert fleet.preferred_port(list(fleet)[1]) is None


async def test_a_port_is_remembered_under_the_name_it_was_added_by(build: Build, tmp_path: Path) -> None:
    link = tmp_path / "printer"
    async with printer_at(link):
        fleet = build(f'[ports]\nadded = ["{link}"]\n')
        await fleet.remember(fleet.default, {"port": str(link.resolve())})
        assert fleet.preferences(fleet.default).port == str(link)


# -- start and stop --


async def test_at_startup_only_those_connect_that_are_to(build: Build) -> None:
    fleet = build(
        '[printers.a]\nport = "VIRTUAL"\nbaudrate = 115200\nautoconnect = true\n[printers.b]\nport = "VIRTUAL"\n'
    )
    async with stopped_at_the_end(fleet):
        fleet.start()
        first, second = fleet
        await eventually(lambda: first.snapshot.state is State.OPERATIONAL)
        assert second.snapshot.state is State.OFFLINE
    assert first.snapshot.state is State.OFFLINE


async def test_at_startup_a_printer_is_waited_for(build: Build, tmp_path: Path) -> None:
    link = tmp_path / "printer"
    fleet = build(
        f'[ports]\nadded = ["{link}"]\n[printers.a]\nport = "{link}"\nbaudrate = 115200\nautoconnect = true\n'
    )
    async with stopped_at_the_end(fleet):
        fleet.start()
        await eventually(lambda: fleet.default.snapshot.state is State.OFFLINE_AFTER_ERROR)
        async with printer_at(link):
            await eventually(lambda: fleet.default.snapshot.state is State.OPERATIONAL)
            await fleet.stop()


async def test_several_printers_are_connected_at_once_each_to_its_own(build: Build, tmp_path: Path) -> None:
    links = [tmp_path / "one", tmp_path / "two"]
    tables = "".join(f'[printers.{link.name}]\nport = "{link}"\nbaudrate = 115200\n' for link in links)
    fleet = build(f"[ports]\nadded = {[str(link) for link in links]}\n{tables}")
    async with printer_at(links[0]), printer_at(links[1]), stopped_at_the_end(fleet):
        for printer in fleet:
            printer.connect(target(fleet, printer.id))
        await eventually(lambda: all(printer.snapshot.state is State.OPERATIONAL for printer in fleet))
        assert [printer.snapshot.port for printer in fleet] == [str(link) for link in links]
        first, second = fleet
        await first.disconnect()
        assert second.snapshot.state is State.OPERATIONAL


async def test_what_a_person_has_edited_meanwhile_stays_in_the_file_and_holds_from_the_next_start(
    build: Build, path: Path
) -> None:
    fleet = build("[printers.mini]\nbaudrate = 9600\n")
    write(path, 'default_printer = "big"\n[printers.big]\n[printers.mini]\nreconnect = false\n')
    await fleet.remember(fleet.default, {"baudrate": 115200})
    assert [printer.id for printer in fleet] == ["mini"]
    assert fleet.default.id == "mini"
    assert fleet.preferences(fleet.default).baudrate == 115200
    assert fleet.preferences(fleet.default).reconnect
    edited = SettingsFile(path).load()
    assert edited.default_printer == "big"
    assert (edited.printers["mini"].baudrate, edited.printers["mini"].reconnect) == (115200, False)


async def test_detection_leaves_the_ports_of_other_printers_alone(path: Path, tmp_path: Path) -> None:
    mine, saved, free = (tmp_path / name for name in ("mine", "saved", "free"))
    write(path, f'[printers.a]\n[printers.b]\nport = "{mine}"\n[printers.c]\nport = "{saved}"\n')
    file = SettingsFile(path, added_ports=[str(mine), str(saved), str(free)])
    async with printer_at(mine), printer_at(saved):
        fleet = Fleet(file, file.load(), openers(), patience=QUICK)
        async with stopped_at_the_end(fleet):
            fleet.default.connect(target(fleet, "a"))
            await eventually(lambda: fleet.default.snapshot.state is State.OFFLINE_AFTER_ERROR)
            failure = fleet.default.snapshot.failure
            assert failure is not None
            assert failure.fault.code == "no_printer_found"
            async with printer_at(free):
                fleet.default.connect(target(fleet, "a"))
                await eventually(lambda: fleet.default.snapshot.state is State.OPERATIONAL)
                assert fleet.default.snapshot.port == str(free)


async def test_printers_share_their_files_unless_one_has_a_folder_of_its_own(build: Build, tmp_path: Path) -> None:
    fleet = build(f'[printers.a]\n[printers.b]\nuploads = "./uploads/"\n[printers.c]\nuploads = "{tmp_path}/of c"\n')
    a, b, c = fleet

    assert fleet.store(a) is fleet.store(b)
    assert fleet.store(a).path == tmp_path / "uploads"
    assert fleet.store(c).path == tmp_path / "of c"
    assert fleet.sharing(fleet.store(a)) == [a, b]
    assert fleet.sharing(fleet.store(c)) == [c]


async def test_a_start_tidies_up_what_a_killed_process_has_left_among_the_files(build: Build, tmp_path: Path) -> None:
    fleet = build('[files]\nuploads = "files"\n')
    async with stopped_at_the_end(fleet):
        left = tmp_path / "files/.limpet-0123.tmp"
        left.parent.mkdir()
        left.touch()

        fleet.start()

        await eventually(lambda: not left.exists())
