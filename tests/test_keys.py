import hashlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.errors import BadRequest, Conflict, LimpetError, SettingsError
from limpet.keys import MAX_KEYS, KeyStore
from limpet.permissions import PERMISSIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_key_is_valid_and_has_the_permissions_it_was_given(path: Path) -> None:
    store = KeyStore(path)
    text = store.add("slicer", ("FILES_UPLOAD", "STATUS"))
    key = store.check(text)
    assert key is not None
    assert key.name == "slicer"
    assert key.permits("FILES_UPLOAD")
    assert key.permits("STATUS")
    assert not key.permits("CONNECTION")
    assert not key.permits("ADMIN")


def test_an_admin_key_permits_everything(path: Path) -> None:
    store = KeyStore(path)
    key = store.check(store.add("me"))
    assert key is not None
    assert all(key.permits(permission) for permission in PERMISSIONS)


def test_a_key_has_256_random_bits_and_only_its_hash_is_on_disk(path: Path) -> None:
    text = KeyStore(path).add("me")
    other = KeyStore(path).add("you")
    assert len(bytes.fromhex(text)) == len(bytes.fromhex(other)) == 32
    assert text != other
    content = path.read_text()
    assert text not in content
    assert hashlib.sha256(text.encode()).hexdigest() in content


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    store = KeyStore(path)
    store.add("me")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    store.add("you")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", ["", "x", "0" * 64, "\udcff", "a\0b", "é" * 5000])
def test_any_other_text_is_no_key(path: Path, wrong: str) -> None:
    store = KeyStore(path, extra_key="extra")
    text = store.add("me")
    for key in (wrong, text[:-1], text.upper(), text + " ", hashlib.sha256(text.encode()).hexdigest()):
        assert store.check(key) is None


def test_without_a_file_there_is_no_key_and_no_complaint(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = KeyStore(path)
    assert store.check("anything") is None
    assert store.list() == ()
    assert caplog.records == []
    assert list(path.parent.iterdir()) == []


def test_the_extra_key_is_an_admin_key_that_is_kept_nowhere(path: Path) -> None:
    store = KeyStore(path, extra_key="from the environment")
    key = store.check("from the environment")
    assert key is not None
    assert key.permits("SYSTEM")
    assert store.list() == ()
    assert not path.exists()
    assert "from the environment" not in f"{store!r} {vars(store)!r} {key!r}"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_extra_key_is_none(path: Path, empty: str | None) -> None:
    assert KeyStore(path, extra_key=empty).check("") is None


def test_keys_are_listed_in_the_order_they_were_made(path: Path) -> None:
    store = KeyStore(path)
    for name in ("b", "a", "c"):
        store.add(name)
    assert [key.name for key in store.list()] == ["b", "a", "c"]


def test_a_revoked_key_ends_in_a_store_that_is_running(path: Path) -> None:
    server, command_line = KeyStore(path), KeyStore(path)
    text, stays = server.add("me"), server.add("you")
    assert server.check(text) is not None
    command_line.revoke("me")
    assert server.check(text) is None
    assert server.check(stays) is not None


def test_a_key_made_elsewhere_is_valid_at_once(path: Path) -> None:
    server = KeyStore(path)
    assert server.check("x") is None
    text = KeyStore(path).add("me")
    assert server.check(text) is not None


def test_a_deleted_file_ends_every_key(path: Path) -> None:
    store = KeyStore(path)
    text = store.add("me")
    assert store.check(text) is not None
    path.unlink()
    assert store.check(text) is None


def test_a_name_in_use_is_refused_and_may_be_used_again_when_revoked(path: Path) -> None:
    store = KeyStore(path)
    store.add("me")
    with pytest.raises(Conflict, match='a key named "me" already'):
        store.add("me")
    store.revoke("me")
    store.add("me")
    assert len(store.list()) == 1


def test_an_unknown_name_cannot_be_revoked(path: Path) -> None:
    with pytest.raises(BadRequest, match="no key named 'me'"):
        KeyStore(path).revoke("me")


@pytest.mark.parametrize("name", ["", " ", " me", "a\nb", "a\x1b[31m", "x" * 65, "\ud800"])
def test_a_bad_name_is_refused(path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="1 to 64 printable characters"):
        KeyStore(path).add(name)
    assert not path.exists()


def test_a_name_may_have_any_printable_characters(path: Path) -> None:
    store = KeyStore(path)
    name = 'Küche "2" / 打印' + "x" * 40
    assert store.check(store.add(name)) == store.list()[0]
    assert store.list()[0].name == name


@pytest.mark.parametrize("permissions", [(), ("ROOT",), ("STATUS", "status"), "ADMIN"])
def test_an_unknown_permission_is_refused(path: Path, permissions: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="one or more of these permissions"):
        KeyStore(path).add("me", permissions)


def stored(number: int) -> dict[str, object]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {"name": f"key {number}", "hash": digest, "permissions": ["STATUS"], "created": "2026-11-01"}


def test_there_is_a_limit_to_the_number_of_keys(path: Path) -> None:
    path.write_text(json.dumps([stored(number) for number in range(MAX_KEYS - 1)]))
    store = KeyStore(path)
    store.add("the last one")
    with pytest.raises(Conflict, match="1000 keys already"):
        store.add("one too many")
    assert store.check("998") is not None


FAULTS = {
    "half": b'[{"name": "a", "ha',
    "empty": b"",
    "not UTF-8": b'[{"name": "\xff"}]',
    "no list": b"{}",
    "a short hash": json.dumps([{**stored(1), "hash": "00"}]).encode(),
    "an unknown field": json.dumps([{**stored(1), "key": "x"}]).encode(),
    "a name twice": json.dumps([stored(1), {**stored(2), "name": "key 1"}]).encode(),
    "a hash twice": json.dumps([stored(1), {**stored(1), "name": "key 2"}]).encode(),
    "too large": b"[" + b" " * (1 << 20) + b"]",
}


@pytest.mark.parametrize("content", FAULTS.values(), ids=FAULTS)
def test_a_broken_file_ends_every_stored_key_with_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    store = KeyStore(path, extra_key="extra")
    text = store.add("me")
    good = path.read_bytes()
    assert store.check(text) is not None
    path.write_bytes(content)
    assert [store.check(key) for key in (text, "1", text)] == [None, None, None]
    assert store.check("extra") is not None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text
    assert text not in caplog.text

    path.write_bytes(good)
    assert store.check(text) is not None


@pytest.mark.parametrize("content", FAULTS.values(), ids=FAULTS)
def test_a_broken_file_is_never_written_over(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    store = KeyStore(path)
    for act in (store.list, lambda: store.add("me"), lambda: store.revoke("key 1")):
        with pytest.raises(SettingsError) as caught:
            act()
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_something_else_in_the_place_of_the_file_ends_every_key(path: Path) -> None:
    store = KeyStore(path)
    text = store.add("me")
    path.unlink()
    path.mkdir()
    assert store.check(text) is None


def test_processes_that_add_at_once_lose_no_key(path: Path) -> None:
    code = """
import sys
from pathlib import Path
from limpet.keys import KeyStore
sys.stdin.read(1)
for number in range(10):
    KeyStore(Path(sys.argv[1])).add(f"{sys.argv[2]} {number}")
"""
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen([*command, name], stdin=subprocess.PIPE) for name in ("a", "b", "c")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(timeout=30) for process in processes] == [0, 0, 0]
    names = {f"{process} {number}" for process in "abc" for number in range(10)}
    assert {key.name for key in KeyStore(path).list()} == names


def test_every_refusal_is_a_limpet_error() -> None:
    assert all(issubclass(error, LimpetError) for error in (BadRequest, Conflict, SettingsError))


def test_a_text_that_is_in_use_already_becomes_a_key_once(path: Path) -> None:
    store = KeyStore(path)
    store.add("app")

    assert store.add_existing("k" * 32, "app", permissions=("STATUS",))
    assert not store.add_existing("k" * 32, "other", permissions=("ADMIN",))

    key = store.check("k" * 32)
    assert key is not None
    assert (key.name, key.permissions) == ("app (2)", ("STATUS",))
    assert "k" * 32 not in path.read_text()
