"""Files of the host's own: paths that stay where they should, and writes that are whole or not at all."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import CallTimeoutError, NotFoundError, PermissionDeniedError, ValidationError
from llmspell.utils import file_utils, places
from llmspell.utils.file_utils import (
    ensure_parent,
    expand,
    lock,
    normalise,
    put,
    read_bytes,
    read_text,
    safe_join,
    temporary_file,
    temporary_folder,
    write_atomic,
)

if TYPE_CHECKING:
    from pathlib import Path

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.mark.parametrize(
    ("path", "platform", "plain"),
    [
        ("a//b/./../c/", "linux", "a/c"),
        ("../a", "linux", "../a"),
        ("//a/b", "linux", "/a/b"),
        ("//XX/b", "linux", "/XX/b"),
        ("a\\b", "linux", "a\\b"),
        ("a/b\\..\\c", "win32", "a\\c"),
        ("C:/x/../y", "win32", "C:\\y"),
        (".", "darwin", "."),
    ],
)
def test_paths_are_plain_on_each_platform(path: str, platform: str, plain: str) -> None:
    assert normalise(path, platform) == plain


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        normalise(path)


@given(
    path=st.text(st.sampled_from("ab./\\: é"), min_size=1, max_size=20), platform=st.sampled_from(["linux", "win32"])
)
def test_a_plain_path_stays_as_it_is(path: str, platform: str) -> None:
    plain = normalise(path, platform)
    assert normalise(plain, platform) == plain


def test_home_and_variables_are_put_in() -> None:
    env = {"HOME": "/home/me", "A": "x", "B_1": "y"}
    assert expand("~/a", env) == "/home/me/a"
    assert expand("~", env) == "/home/me"
    assert expand("/$A/${B_1}z", env) == "/x/yz"
    assert expand("a~b", env) == "a~b"
    assert expand("~/a", {}) == os.path.join(os.path.expanduser("~"), "a")
    with pytest.raises(ValidationError, match="names the variable C, which is not set"):
        expand("/$C/a", env)


def test_windows_writes_its_variables_its_own_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"USERPROFILE": "C:\\me", "A": "x"}
    assert expand("/%A%/b", env) == "/%A%/b"
    monkeypatch.setattr(file_utils.os, "name", "nt")
    assert expand("c:/%A%/$A", env) == "c:/x/x"
    assert expand("~\\a", env) == "C:\\me\\a"
    with pytest.raises(ValidationError, match="names the variable B, which is not set"):
        expand("%B%", env)


def test_what_is_joined_stays_below(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (root / "link").symlink_to(tmp_path / "out")
    (root / "fine").symlink_to(root / "in")
    real = os.path.realpath(root)
    assert safe_join(root, "a", "b/c") == os.path.join(real, "a", "b", "c")
    assert safe_join(root, "a\\b") == os.path.join(real, "a", "b")
    assert safe_join(root, ".", "") == real
    assert safe_join(root, "fine/x") == os.path.join(real, "in", "x")
    for part in (
        "..",
        "a/../..",
        "/etc/passwd",
        "\\x",
        "C:x",
        "C:\\x",
        "\\\\host\\share",
        "link/x",
        "link",
        "a\\..\\b",
    ):
        with pytest.raises(PermissionDeniedError, match="leads out of"):
            safe_join(root, part)
    with pytest.raises(PermissionDeniedError, match="`link/x/y` leads out of"):
        safe_join(root, "link", "x", "y")
    for part in ("nulX", "com10", "com0", "lpt", "console"):
        assert safe_join(root, part) == os.path.join(real, part)
    for part in ("a\0b", "nul", "a/CON.txt", "com1 ", "LPT9..x", "prn", "aux.h"):
        with pytest.raises(ValidationError):
            safe_join(root, part)


@given(parts=st.lists(st.text(st.sampled_from("ab./\\:~$ \u202e"), max_size=8), max_size=4))
def test_any_parts_stay_below_or_are_refused(parts: list[str]) -> None:
    try:
        told = safe_join("/nowhere/root", *parts)
    except (PermissionDeniedError, ValidationError):
        return
    assert told == "/nowhere/root" or told.startswith("/nowhere/root/")


def test_errors_say_which_file_and_what(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(NotFoundError, match=r"cannot read `.*missing`: no such file"):
        read_text(missing)
    with pytest.raises(ValidationError, match="cannot read"):
        read_bytes(tmp_path)  # a folder
    with pytest.raises(ValidationError, match="cannot read"):
        read_bytes("a\0b")
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(ValidationError, match="more than 10 bytes"):
        read_bytes(tmp_path / "large", 10)
    assert read_bytes(tmp_path / "large", 11) == bytes(11)
    (tmp_path / "latin").write_bytes(b"one\ntw\xf6")
    with pytest.raises(ValidationError, match="byte 6, in line 2") as failed:
        read_text(tmp_path / "latin")
    assert failed.value.context["line"] == 2
    (tmp_path / "latin").write_bytes(b"\n\xf6")
    with pytest.raises(ValidationError, match="byte 1, in line 2"):
        read_text(tmp_path / "latin")
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfx")
    assert read_text(tmp_path / "marked") == "x"
    with pytest.raises(ValidationError, match="cannot make the folder"):
        ensure_parent(tmp_path / "large" / "below" / "x")


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_read_takes_no_more_memory_than_the_file_has(tmp_path: Path, size: int) -> None:
    (tmp_path / "x").write_bytes(bytes(size))
    for read in (read_bytes, lambda path: places.read(places.Place(str(tmp_path), ("x",), "x"))):
        tracemalloc.start()
        try:
            assert len(read(tmp_path / "x")) == size
            assert tracemalloc.get_traced_memory()[1] < size + 200_000
        finally:
            tracemalloc.stop()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="a file of the kernel's that hides its size")
def test_a_file_that_does_not_know_its_size_is_read_whole_and_bounded() -> None:
    whole = read_bytes("/proc/self/maps")
    assert len(whole) > 1000
    with pytest.raises(ValidationError, match="more than 1000 bytes"):
        read_bytes("/proc/self/maps", 1000)


@given(size=st.integers(0, 50), more=st.integers(0, 50), most=st.integers(0, 120))
def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(size: int, more: int, most: int) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(range(size + more)))
        file.flush()
        file.seek(0)
        with pytest.MonkeyPatch.context() as patch:
            found = os.fstat(file.fileno())
            before = os.stat_result([*found[:6], size, *found[7:]])
            patch.setattr(places.os, "fstat", lambda number: before)
            told = places.read_most(file, most)
        assert told == bytes(range(size + more))[:most]


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "closed"
    path.touch(0o000)
    if AS_ROOT:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionDeniedError, match=r"cannot read `.*closed`: permission denied"):
            read_bytes(path)
    finally:
        if AS_ROOT:
            os.seteuid(0)


def test_a_write_makes_folders_keeps_the_mode_and_follows_links(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, "é")
    assert path.read_bytes() == "é".encode()
    path.chmod(0o640)
    write_atomic(path, b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)
    write_atomic(path, b"three", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(path)
    write_atomic(link, b"four")
    assert link.is_symlink()
    assert path.read_bytes() == b"four"
    assert os.listdir(path.parent) == ["file"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_utils.os, "fsync", full)
    with pytest.raises(ValidationError, match=r"cannot write `.*file`: no space left"):
        write_atomic(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file"])


def test_a_new_file_takes_nobody_s_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a link where the file system has them, else by making it as a new one."""
    before = os.umask(0o022)
    try:
        put(str(tmp_path / "linked"), b"one", replace=False)
        put(str(tmp_path / "closed"), b"one", replace=False, mode=0o600)

        def without(*words: object) -> None:
            raise OSError(95, "Operation not supported")

        for links in (True, False):
            if not links:
                monkeypatch.setattr(file_utils.os, "link", without)
                put(str(tmp_path / "made"), b"one", replace=False)
            for name in ("linked", "closed"):
                with pytest.raises(FileExistsError):
                    put(str(tmp_path / name), b"two", replace=False)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("linked", "closed", "made"), b"one"
    )
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"linked": 0o644, "closed": 0o600, "made": 0o644}


def test_a_link_is_replaced_by_a_put_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"old")
    (tmp_path / "link").symlink_to("other")
    put(str(tmp_path / "link"), b"new")
    assert not (tmp_path / "link").is_symlink()
    assert [(tmp_path / name).read_bytes() for name in ("link", "other")] == [b"new", b"old"]


def test_what_is_not_named_otherwise_is_read_up_to_64_mb(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    for size in (64 << 20, (64 << 20) + 1):
        with path.open("wb") as file:
            file.truncate(size)
        for read in (read_bytes, read_text):
            if size == 64 << 20:
                assert len(read(path)) == size
            else:
                with pytest.raises(ValidationError, match="has more than 67108864 bytes"):
                    read(path)


def test_a_file_is_on_disk_before_its_name_is_and_its_folder_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, object]] = []
    fsync, replace = os.fsync, os.replace

    def synced(number: int) -> None:
        found = os.fstat(number)
        told.append(
            ("folder", sorted(os.listdir(tmp_path))) if stat.S_ISDIR(found.st_mode) else ("file", found.st_size)
        )
        fsync(number)

    def replaced(source: str, target: str) -> None:
        told.append(("name", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(file_utils.os, "fsync", synced)
    monkeypatch.setattr(file_utils.os, "replace", replaced)
    write_atomic(tmp_path / "x", bytes(1000))
    assert told == [("file", 1000), ("name", "x"), ("folder", ["x"])]


def test_nobody_else_may_open_a_file_before_its_mode_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes, fchmod = [], os.fchmod

    def changed(number: int, mode: int) -> None:
        modes.append((os.fstat(number).st_mode & 0o777, mode))
        fchmod(number, mode)

    monkeypatch.setattr(file_utils.os, "fchmod", changed)
    before = os.umask(0)
    try:
        write_atomic(tmp_path / "x", b"secret", mode=0o640)
        write_atomic(tmp_path / "x", b"secret")
    finally:
        os.umask(before)
    assert modes == [(0o600, 0o640), (0o600, 0o640)]


KILLED = """
import sys
from llmspell.utils.file_utils import write_atomic
print("begun", flush=True)
while True:
    for letter in b"ab":
        write_atomic(sys.argv[1], bytes([letter]) * 300_000)
"""


def test_a_file_is_whole_though_its_writer_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    chance = random.Random(7)
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"begun\n"
            until = time.monotonic() + chance.uniform(0.0, 0.05)
            while time.monotonic() < until or not path.exists():
                assert not path.exists() or len(set(path.read_bytes())) == 1
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        data = path.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
    write_atomic(path, b"after")
    assert path.read_bytes() == b"after"
    left = {name for name in os.listdir(tmp_path) if name != "file"}
    assert all(name.startswith(".file.") and name.endswith(".tmp") for name in left)


def test_temporary_files_are_ones_own_and_gone_afterwards(tmp_path: Path) -> None:
    with temporary_file(".txt", tmp_path) as path:
        path.write_text("x")
        assert path.stat().st_mode & 0o077 == 0
        assert (path.suffix, path.name[:9]) == (".txt", "llmspell-")
    assert not path.exists()
    with temporary_file(folder=tmp_path) as path:
        assert path.suffix == ""
    with temporary_folder(tmp_path) as folder:
        assert folder.name.startswith("llmspell-")
        (folder / "a").mkdir()
    assert not folder.exists()
    with temporary_file(folder=tmp_path) as path:
        path.unlink()  # which is no error
    assert os.listdir(tmp_path) == []


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "locks" / "one", [0], [0]

    def work() -> None:
        for _ in range(20):
            with lock(path, 30.0):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.sched_yield()
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == ([1], [0])


def test_who_waits_for_a_lock_looks_again_seldomer_and_seldomer_until_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waits = 100.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    with lock(tmp_path / "one"):
        monkeypatch.setattr(file_utils.time, "monotonic", lambda: now)
        monkeypatch.setattr(file_utils.time, "sleep", sleep)
        with pytest.raises(CallTimeoutError), lock(tmp_path / "one", 0.25):
            pass
    assert waits[:7] == [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064]
    assert waits[7:8] == [0.1]
    assert sum(waits) == pytest.approx(0.25)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


HOLDS = """
import sys
from llmspell.utils.file_utils import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_given_back_by_its_holders_death(tmp_path: Path) -> None:
    path = tmp_path / "one"
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CallTimeoutError, match=r"was held by somebody else for 0\.05 s"), lock(path, 0.05):
            pass
        holder.kill()
        holder.wait()
    with lock(path, 5.0):
        pass
    with pytest.raises(ValidationError, match="cannot lock"), lock(tmp_path):
        pass
