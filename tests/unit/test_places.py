"""Files below a granted folder: the same where a system opens part by part and where it opens the whole path."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell.errors import LimitError, LLMSpellError, NotFoundError, PermissionDeniedError, ValidationError
from llmspell.utils import places
from llmspell.utils.places import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534


@pytest.fixture(params=[True, False], ids=["by parts", "by path"])
def beneath(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways down; the first only where the system has it."""
    if request.param and not places._BENEATH:
        pytest.skip("this system has no openat")
    monkeypatch.setattr(places, "_BENEATH", request.param)
    return bool(request.param)


def place(folder: Path, *parts: str) -> Place:
    return Place(os.path.realpath(folder), parts, "/".join(parts) or ".")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the superuser's right to everything."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_written_is_read_added_to_listed_and_deleted(tmp_path: Path, beneath: bool) -> None:
    file = place(tmp_path, "a", "b", "x")
    assert (places.exists(file), places.size(file)) == (False, None)
    places.write(file, b"one")
    places.append(file, b", two")
    assert (places.read(file), places.size(file), places.exists(file)) == (b"one, two", 8, True)
    places.write(file, b"three")
    assert [(one.name, one.kind, one.size) for one in places.entries(place(tmp_path, "a", "b"))] == [("x", "file", 5)]
    (tmp_path / "a" / "link").symlink_to("b")
    os.mkfifo(tmp_path / "a" / "pipe")
    told = places.entries(place(tmp_path, "a"))
    assert [(one.name, one.kind, one.size) for one in told] == [
        ("b", "folder", 0),
        ("link", "link", 0),
        ("pipe", "other", 0),
    ]
    assert told[0].modified == (tmp_path / "a" / "b").stat().st_mtime
    assert (places.size(place(tmp_path, "a")), places.exists(place(tmp_path, "a"))) == (None, True)
    places.delete(file)
    places.delete(place(tmp_path, "a", "link"))
    places.delete(place(tmp_path, "a", "b"))
    assert os.listdir(tmp_path / "a") == ["pipe"]
    assert [one.name for one in places.entries(place(tmp_path))] == ["a"]


def test_of_a_link_it_is_told_that_it_is_there_and_no_size(tmp_path: Path, beneath: bool) -> None:
    (tmp_path / "x").write_bytes(b"123")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "nowhere").symlink_to("y")
    for name in ("link", "nowhere"):
        assert (places.exists(place(tmp_path, name)), places.size(place(tmp_path, name))) == (True, None)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system does not tell what is open")
def test_nothing_stays_open(tmp_path: Path, beneath: bool) -> None:
    before = os.listdir("/proc/self/fd")
    file = place(tmp_path, "a", "b", "x")
    places.write(file, b"1")
    places.append(file, b"2")
    places.read(file)
    places.entries(place(tmp_path, "a"))
    places.size(file)
    for doing in (places.read, places.entries, places.delete, lambda one: places.write(one, b"")):
        with pytest.raises(LLMSpellError):
            doing(place(tmp_path, "a", "b", "x", "y"))
        if doing is not places.delete:
            with pytest.raises(LLMSpellError):
                doing(file if doing is places.entries else place(tmp_path, "a"))
    places.delete(file)
    assert os.listdir("/proc/self/fd") == before


def test_a_mode_and_a_name_s_own_folder_stay(tmp_path: Path, beneath: bool) -> None:
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o640)
    places.write(place(tmp_path, "x"), b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["x"]


def test_new_files_have_the_mode_that_the_umask_leaves(tmp_path: Path, beneath: bool) -> None:
    before = os.umask(0)
    try:
        places.write(place(tmp_path, "written"), b"")
        places.append(place(tmp_path, "appended"), b"")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666}


def test_folders_are_made_only_where_they_may_be(tmp_path: Path, beneath: bool) -> None:
    for put in (places.write, places.append):
        with pytest.raises(NotFoundError, match=r"there is no file `a/x`"):
            put(place(tmp_path, "a", "x"), b"", parents=False)
    assert os.listdir(tmp_path) == []


def test_what_is_not_there_is_told(tmp_path: Path, beneath: bool) -> None:
    (tmp_path / "x").write_bytes(b"1")
    for doing in (places.read, places.delete):
        with pytest.raises(NotFoundError, match=r"there is no file `y`"):
            doing(place(tmp_path, "y"))
    with pytest.raises(NotFoundError, match=r"there is no file `x/y`"):
        places.read(place(tmp_path, "x", "y"))
    with pytest.raises(NotFoundError, match=r"there is no folder `y`"):
        places.entries(place(tmp_path, "y"))
    with pytest.raises(ValidationError, match="cannot list `x`: not a directory"):
        places.entries(place(tmp_path, "x"))
    assert not places.exists(place(tmp_path, "x", "y"))
    with pytest.raises(ValidationError, match=r"is no path"):
        places.read(place(tmp_path, "a\0b"))


def test_what_is_no_file_is_not_read_and_not_replaced(tmp_path: Path, beneath: bool) -> None:
    (tmp_path / "folder" / "in").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValidationError, match="cannot read `folder`: it is a folder"):
        places.read(place(tmp_path, "folder"))
    with pytest.raises(ValidationError, match="cannot append to `folder`: it is a folder"):
        places.append(place(tmp_path, "folder"), b"x")
    for name, what in (("folder", "it is a folder"), ("pipe", "it is not a plain file")):
        with pytest.raises(ValidationError, match=f"cannot write `{name}`: {what}"):
            places.write(place(tmp_path, name), b"x")
    with pytest.raises(ValidationError, match="cannot delete `folder`: directory not empty"):
        places.delete(place(tmp_path, "folder"))
    with pytest.raises(ValidationError, match=r"`\.` is what was granted, and stays"):
        places.delete(place(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_no_more_is_read_or_listed_than_asked_for(tmp_path: Path, beneath: bool) -> None:
    (tmp_path / "x").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"")
    assert places.read(place(tmp_path, "x"), largest=3) == b"123"
    with pytest.raises(LimitError, match="`x` has 3 bytes, more than the 2 that are read at once"):
        places.read(place(tmp_path, "x"), largest=2)
    assert len(places.entries(place(tmp_path), most=2)) == 2
    with pytest.raises(LimitError, match="has more than 1 entries"):
        places.entries(place(tmp_path), most=1)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="a file of the kernel's that hides its size")
def test_a_file_that_does_not_know_its_size_is_bounded_as_well(beneath: bool) -> None:
    status = Place("/proc/self", ("status",), "status")
    assert b"Name:" in places.read(status)
    with pytest.raises(LimitError, match="`status` has more than 10 bytes"):
        places.read(status, largest=10)


def test_what_the_system_refuses_is_a_refusal(tmp_path: Path, beneath: bool) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "x").write_bytes(b"1")
    for above in [tmp_path, *tmp_path.parents][:-2]:
        above.chmod(0o755)
    if os.geteuid() != 0:
        (tmp_path / "closed").chmod(0o000)
    try:
        with as_nobody():
            for doing in (places.read, places.delete, places.size):
                with pytest.raises(PermissionDeniedError, match="permission denied") as failed:
                    doing(place(tmp_path, "closed", "x"))
                assert failed.value.hint == "the operating system refuses it"
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_link_among_the_folders_leads_nowhere(tmp_path: Path) -> None:
    if not places._BENEATH:
        pytest.skip("this system has no openat")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_bytes(b"1")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "root" / "file").symlink_to(tmp_path / "out" / "x")
    with pytest.raises(NotFoundError):
        places.read(place(tmp_path / "root", "link", "x"))
    with pytest.raises(PermissionDeniedError, match="`file` became a link while it was opened"):
        places.read(place(tmp_path / "root", "file"))
    places.write(place(tmp_path / "root", "new"), b"2")
    with pytest.raises(ValidationError, match="not a plain file"):
        places.write(place(tmp_path / "root", "file"), b"2")
    assert (tmp_path / "out" / "x").read_bytes() == b"1"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_leaves_what_was_there_alone(
    tmp_path: Path, beneath: bool, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"old")

    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(places.os, "fsync", fails)
    with pytest.raises(ValidationError, match=f"cannot write `x`: {os.strerror(number).lower()}"):
        places.write(place(tmp_path, "x"), b"new")
    assert ((tmp_path / "x").read_bytes(), os.listdir(tmp_path)) == (b"old", ["x"])


def test_a_file_is_on_disk_before_its_name_is(tmp_path: Path, beneath: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    fsync, replace = os.fsync, os.replace

    def synced(number: int) -> None:
        told.append(os.fstat(number).st_size)
        fsync(number)

    def replaced(*words: str, **more: int | None) -> None:
        told.append("name")
        replace(*words, **more)

    monkeypatch.setattr(places.os, "fsync", synced)
    monkeypatch.setattr(places.os, "replace", replaced)
    places.write(place(tmp_path, "x"), bytes(1000))
    assert told == [1000, "name"]


def test_the_usual_bounds() -> None:
    assert (places.LARGEST_READ, places.MOST_ENTRIES) == (64 << 20, 100_000)


def test_an_entry_that_goes_while_it_is_listed_is_told_of_by_name_alone(tmp_path: Path) -> None:
    (tmp_path / "gone").write_bytes(b"123")
    with os.scandir(tmp_path) as found:
        entry = next(found)
        (tmp_path / "gone").unlink()
        assert places._entry(entry) == places.Entry("gone", "other", 0, 0.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(data=st.binary(max_size=2000), more=st.binary(max_size=20), largest=st.integers(0, 2020))
def test_what_is_read_is_what_was_written(tmp_path: Path, data: bytes, more: bytes, largest: int) -> None:
    file = place(tmp_path, "x")
    places.write(file, data)
    places.append(file, more)
    if len(data + more) > largest:
        with pytest.raises(LimitError):
            places.read(file, largest=largest)
    else:
        assert places.read(file, largest=largest) == data + more


def test_names_that_are_no_text_are_shown_with_marks() -> None:
    assert places.text_of("a\udcff") == "a\ufffd"
    assert places.text_of("é") == "é"


@pytest.mark.parametrize(
    ("path", "of_processes"),
    [("/proc", True), ("/proc/1/environ", True), ("/process", False), ("/a/proc/x", False), ("", False)],
)
def test_what_tells_of_processes(path: str, of_processes: bool) -> None:
    assert places.is_of_processes(path) is of_processes


def test_a_link_is_one_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert places.is_link(str(tmp_path / "link"))
    assert not places.is_link(str(tmp_path))
    assert not places.is_link(f"{tmp_path}/link\0")
