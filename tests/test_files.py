"""Faults here are real ones: a full file system, a size limit, a killed process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from limpet.errors import SettingsError
from limpet.files import locked, make_private_folder, read_limited, write_atomically


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run_python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_a_new_file_has_the_data_and_nothing_else_is_in_the_folder(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == {"a"}


def test_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o604)
    write_atomically(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o604


def test_a_given_mode_wins(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_atomically(path, b"new", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_keeps_its_owner_when_root_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    os.chown(path, 1234, 1235)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_a_symbolic_link_stays_and_the_file_behind_it_changes(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "b").write_bytes(b"old")
    (tmp_path / "a").symlink_to("real/b")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "real" / "b").read_bytes() == b"new"
    assert names(tmp_path) | names(tmp_path / "real") == {"a", "real", "b"}


def test_a_link_to_nothing_gets_its_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "b").read_bytes() == b"new"


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SettingsError, match="make the symbolic link point to a file"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()


def test_what_is_no_regular_file_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SettingsError, match="not a regular file"):
            write_atomically(path, b"new")
        with pytest.raises(SettingsError, match="not a regular file"):
            read_limited(path, 10)
    assert names(tmp_path) == {"pipe"}


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "a"
    with pytest.raises(SettingsError) as caught:
        write_atomically(path, b"new")
    assert str(caught.value).startswith(f"{path}: cannot write it: No such file or directory")
    assert str(caught.value).endswith("; create its folder first")


def test_a_leftover_of_a_killed_writer_is_used_up(tmp_path: Path) -> None:
    (tmp_path / ".a.tmp").write_bytes(b"a long rest of a writer that was killed")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == {"a"}


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / ".a.tmp").symlink_to("victim")
    with pytest.raises(SettingsError):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_size_limit_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    code = """
import resource, sys
from pathlib import Path
from limpet.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
write_atomically(Path(sys.argv[1]), b"n" * 5000)
"""
    done = run_python(code, tmp_path / "a")
    assert "SettingsError" in done.stderr
    assert "cannot write it: File too large; raise the limit" in done.stderr
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == {"a"}


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    script = 'mount -t tmpfs -o size=16k tmpfs "$0" && exec "$@"'
    try:
        able = subprocess.run([*mount, script, str(tmp_path), "true"], capture_output=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if able.returncode:
        pytest.skip("this user may not mount a small file system")
    code = """
import os, sys
from pathlib import Path
from limpet.files import write_atomically
path = Path(sys.argv[1], "a")
write_atomically(path, b"old")
try:
    write_atomically(path, b"n" * 20000)
except Exception as error:
    print(type(error).__name__, error)
print(path.read_bytes(), os.listdir(path.parent))
"""
    command = [*mount, script, str(tmp_path), sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == [
        f"SettingsError {tmp_path}/a: cannot write it: No space left on device; free some space on that disk",
        "b'old' ['a']",
    ], done.stderr


def test_writers_at_the_same_time_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    versions = {bytes([letter]) * size for letter, size in ((65, 90_000), (66, 10), (67, 50_000))}
    start = threading.Barrier(len(versions))

    def write(data: bytes) -> None:
        start.wait(timeout=10)
        for _ in range(15):
            write_atomically(path, data)
            seen.append(path.read_bytes())

    seen: list[bytes] = []
    threads = [threading.Thread(target=write, args=(data,)) for data in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(seen) == 45
    assert set(seen) <= versions
    assert names(tmp_path) == {"a"}


WRITER = """
import os, sys
from pathlib import Path
from limpet.files import write_atomically
for _ in sys.stdin:
    child = os.fork()
    while child == 0:
        for letter in b"AB":
            write_atomically(Path(sys.argv[1]), bytes([letter]) * 500_000)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    versions = {b"A" * 500_000, b"B" * 500_000}
    path.write_bytes(b"A" * 500_000)
    random = Random(20261101)
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(30):
            process.stdin.write("go\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            time.sleep(random.uniform(0, 0.01))  # a random moment is what is tested
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "gone\n"
            assert path.read_bytes() in versions
            assert names(tmp_path) <= {"a", ".a.tmp"}
        process.stdin.close()
        assert process.wait(timeout=10) == 0
    write_atomically(path, b"new")
    assert names(tmp_path) == {"a"}


def test_a_lock_that_is_held_is_waited_for_only_so_long(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "a"),
        pytest.raises(SettingsError, match="another program is writing it; try again"),
        locked(tmp_path / "a", seconds=0.05),
    ):
        pass
    with locked(tmp_path / "a", seconds=0):
        pass


def test_an_error_inside_a_lock_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a"):
        _ = 1 / 0
    with pytest.raises(FileNotFoundError), locked(tmp_path / "a"):
        (tmp_path / "gone").read_bytes()


def test_no_file_reads_as_none(tmp_path: Path) -> None:
    assert read_limited(tmp_path / "a", 10) is None


def test_a_file_up_to_the_limit_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_limited(tmp_path / "a", 5) == b"12345"
    with pytest.raises(SettingsError, match="too large, at most 4 bytes"):
        read_limited(tmp_path / "a", 4)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"secret")
    (tmp_path / "a").chmod(0)
    code = """
import os, sys
from pathlib import Path
from limpet.files import read_limited
if os.geteuid() == 0:
    os.chmod(Path(sys.argv[1]).parent, 0o755)
    os.setuid(65534)
try:
    read_limited(Path(sys.argv[1]), 10)
except Exception as error:
    print(error)
"""
    done = run_python(code, tmp_path / "a")
    assert "give this user the right to use the file and its folder" in done.stdout


def test_a_private_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_private_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(SettingsError, match="cannot make it: File exists; remove what is there"):
        make_private_folder(tmp_path / "a")
