"""Media that stay in their files: nothing is loaded before it is wanted, and no other content than was looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from llmspell import ImageFormat, MediaContent
from llmspell.errors import LLMSpellError, NotFoundError, PermissionDeniedError, ValidationError, one_line
from llmspell.types import media_files
from llmspell.types.media import LARGEST_CALL, LIMITS
from support.media import SAMPLES, mp4, png


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a picture.png"
    path.write_bytes(png())
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Of 5 GB, nearly all of it a hole."""
    path = tmp_path / "film.mp4"
    body = mp4()
    with path.open("wb") as file:
        file.write(body)
        file.write(b"\0\0\0\1mdat" + (LIMITS["video"] - len(body)).to_bytes(8, "big"))
        file.truncate(LIMITS["video"])
    return path


@pytest.mark.parametrize("mime_type", SAMPLES)
def test_a_file_is_what_its_bytes_are(mime_type: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(SAMPLES[mime_type])
    there, here = MediaContent.from_path(path), MediaContent.from_bytes(SAMPLES[mime_type])
    assert (there.kind, there.mime_type, there.metadata, there.size) == (
        here.kind, here.mime_type, here.metadata, here.size,
    )  # fmt: skip
    assert there.to_bytes() == here.to_bytes()
    assert there.load() == MediaContent.from_path(path, load=True)
    assert there != there.load()
    assert here.load() is here


def test_a_file_says_where_it_is(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(picture.parent)
    one = MediaContent.from_path(picture.name, ImageFormat.PNG, detail="low")
    assert (one.path, one.filename, one.detail) == (str(picture), "a picture.png", "low")
    assert repr(one) == f"<MediaContent image/png, 73 bytes, 3x2, {one_line(str(picture), 80)!r}>"
    assert one.load().path is None
    assert MediaContent.from_path(os.fsencode(picture)) == MediaContent.from_path(str(picture))


def test_5_gb_are_not_loaded_to_see_what_they_are(film: Path) -> None:
    tracemalloc.start()
    try:
        one = MediaContent.from_path(film)
        pieces = one.base64_pieces()
        first = next(pieces)
        part = one.to_part()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (one.mime_type, one.size) == ("video/mp4", 5 << 30)
    assert one.metadata is not None
    assert getattr(one.metadata, "duration", None) == 3.0
    assert not isinstance(part, str)
    assert (part.data, part.size) == (None, 5 << 30)
    assert first.startswith("AAAA")
    assert peak < 8 << 20
    with pytest.raises(ValidationError, match=f"has {5 << 30} bytes, more than the {LARGEST_CALL}"):
        one.to_bytes()


def test_one_byte_more_than_5_gb_is_refused_before_anything_is_read(film: Path) -> None:
    os.truncate(film, (5 << 30) + 1)
    with pytest.raises(ValidationError, match=r"film\.mp4`: it has 5368709121 bytes; of video at most 5368709120"):
        MediaContent.from_path(film)


def test_an_image_has_another_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png())
    os.truncate(path, (100 << 20) + 1)
    for declared in (None, "image/png"):
        with pytest.raises(ValidationError, match=r"large\.png`: it has 104857601 bytes; of image at most 104857600"):
            MediaContent.from_path(path, declared)


# ---- what happens to it meanwhile

READS: list[Any] = [
    MediaContent.to_bytes,
    MediaContent.load,
    MediaContent.to_base64,
    MediaContent.to_data_url,
    MediaContent.to_media,
    MediaContent.open,
    lambda one: list(one.windows(10)),
    lambda one: list(one.base64_pieces(10)),
    lambda one: one.to_part().loaded(),
    lambda one: one.to_path(one.path + ".copy"),
]


def written(path: Path) -> None:
    path.write_bytes(png(4))


def written_alike(path: Path) -> None:
    """Another content of the same size, and the times of before: what `cp -p` would do."""
    before = path.stat()
    path.write_bytes(png(color=b"\x11\x22\x33"))
    os.truncate(path, before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(png())
    os.replace(beside, path)


def cut(path: Path) -> None:
    os.truncate(path, 10)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("change", [written, written_alike, replaced, cut, grown])
def test_a_file_that_has_changed_is_an_error_and_no_other_content(picture: Path, change: Any, read: Any) -> None:
    one = MediaContent.from_path(picture)
    os.utime(picture, ns=(0, 0))  # so that the next write is another moment's, whatever the clock's step is
    one = MediaContent.from_path(picture)
    change(picture)
    with pytest.raises(ValidationError, match=r"a picture\.png` has changed since it was looked at"):
        read(one)
    assert not Path(f"{picture}.copy").exists()


def test_what_has_changed_is_told(picture: Path) -> None:
    os.utime(picture, ns=(0, 0))
    one = MediaContent.from_path(picture)
    written_alike(picture)
    with pytest.raises(ValidationError, match=r"since it was looked at$"):
        one.to_bytes()
    cut(picture)
    with pytest.raises(ValidationError, match=r"since it was looked at: it had 73 bytes, and has 10$"):
        one.to_bytes()


@pytest.mark.parametrize("read", READS)
def test_a_file_that_is_gone_is_told(picture: Path, read: Any) -> None:
    one = MediaContent.from_path(picture)
    picture.unlink()
    with pytest.raises(NotFoundError, match=r"a picture\.png` is gone"):
        read(one)


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\xff\0" * 100)
    os.utime(path, ns=(0, 0))
    one = MediaContent.from_path(path)
    windows = one.windows(50)
    assert next(windows) == b"\xff\0" * 25
    path.write_bytes(b"\0\xff" * 100)
    with pytest.raises(ValidationError, match="has changed since it was looked at"):
        list(windows)
    one = MediaContent.from_path(path)
    windows = one.windows(50)
    next(windows)
    os.truncate(path, 60)
    with pytest.raises(ValidationError, match="ended at 60 bytes; it had 200"):
        list(windows)


def test_a_file_that_changes_while_it_is_looked_at_is_told(picture: Path) -> None:
    os.utime(picture, ns=(0, 0))
    seen = media_files.window(media_files.refer(picture))
    read = seen.__enter__()
    assert read(0, 8) == png()[:8]
    assert read(70, 100) == png()[70:]
    assert read(100, 10) == b""
    written(picture)
    with pytest.raises(ValidationError, match="has changed since it was looked at"):
        seen.__exit__(None, None, None)


def test_a_copy_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path, target = tmp_path / "a.bin", tmp_path / "copy"
    target.write_bytes(b"before")
    path.write_bytes(b"\xff\0" * 100)
    one = MediaContent.from_path(path)
    path.unlink()
    with pytest.raises(NotFoundError):
        one.to_path(target)
    assert target.read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["copy"]


def test_a_medium_is_written_to_a_file(picture: Path) -> None:
    target = picture.with_name("b.png")
    target.write_bytes(b"before")
    target.chmod(0o600)
    for one in (MediaContent.from_path(picture), MediaContent.image(png())):
        one.to_path(target)
        assert target.read_bytes() == png()
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(picture.parent)) == ["a picture.png", "b.png"]
    with pytest.raises(NotFoundError, match="cannot write"):
        one.to_path(picture.parent / "no" / "b.png")
    with pytest.raises(ValidationError, match="something else than a file is there"):
        one.to_path(picture.parent)


# ---- what is no file


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("none.png", NotFoundError, "cannot read `.*none.png`: no such file"),
        ("folder", ValidationError, "it is a folder"),
        ("pipe", ValidationError, "it is not a plain file"),
        ("/dev/zero", ValidationError, "it is not a plain file"),
        ("picture/x", NotFoundError, "cannot read"),
        ("empty", ValidationError, "empty`: it is empty"),
        ("/proc/self/environ", ValidationError, ": it is empty"),
        ("", ValidationError, "is no path"),
        ("a\0b", ValidationError, "is no path"),
        (3, ValidationError, "a path is a text or a Path, not a int"),
        ("loop", ValidationError, "cannot read"),
    ],
)
def test_what_is_no_file_is_told_and_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, kind: type[LLMSpellError], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("picture").write_bytes(png())
    Path("empty").touch()
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    with pytest.raises(kind, match=says):
        MediaContent.from_path(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_told(picture: Path) -> None:
    picture.chmod(0)
    with pytest.raises(PermissionDeniedError, match="cannot read"):
        MediaContent.from_path(picture)


def test_a_broken_file_is_told_by_its_name_and_not_its_content(tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    path.write_bytes(png()[:24])
    with pytest.raises(ValidationError, match=r"b\.png`: the image is broken: ") as failed:
        MediaContent.from_path(path)
    assert "IHDR" not in repr(failed.value.message)
    path.write_bytes(png())
    with pytest.raises(ValidationError, match=r"b\.png`: it is said to be image/gif, and its bytes are image/png"):
        MediaContent.from_path(path, "image/gif")


def test_references_hold_no_file_open(picture: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    held = [MediaContent.from_path(picture) for _ in range(50)]
    for one in held:
        one.to_bytes()
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after == before


# ---- plain values


def test_a_reference_is_the_same_after_plain_values_where_files_may_be_named(picture: Path) -> None:
    one = MediaContent.from_path(picture, detail="high")
    told = one.to_json()
    assert told == one.to_dict()
    assert "data" not in told
    assert "base64" not in told
    assert MediaContent.from_dict(told, files=True) == one
    with pytest.raises(ValidationError, match="which was not allowed"):
        MediaContent.from_dict(told)
    os.utime(picture, ns=(0, 0))
    with pytest.raises(ValidationError, match="has changed since it was looked at"):
        MediaContent.from_dict(told, files=True)
    with pytest.raises(ValidationError, match="has changed since it was looked at"):
        MediaContent.from_dict({**told, "stamp": None, "size": 72}, files=True)
    with pytest.raises(ValidationError, match="has changed since it was looked at"):
        MediaContent.from_dict({**told, "size": None}, files=True)
    del told["stamp"]  # as somebody may write it by hand: the file as it is now
    assert MediaContent.from_dict(told, files=True).to_bytes() == png()


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes there")
def test_a_file_whose_name_is_no_text_is_a_medium(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    with open(path, "wb") as file:
        file.write(png())
    one = MediaContent.from_path(path)
    assert (one.filename, one.to_bytes()) == ("?.png", png())
    assert MediaContent.from_dict(one.to_dict(), files=True) == one
    with pytest.raises(ValidationError, match="half a surrogate pair"):
        one.to_json()


def test_windows_of_no_bytes_are_refused(picture: Path) -> None:
    with pytest.raises(ValidationError, match="must be at least 1"):
        MediaContent.from_path(picture).windows(0)
    for one in (MediaContent.from_path(picture), MediaContent.image(png())):
        assert list(one.windows(1)) == [png()[at : at + 1] for at in range(73)]


def test_a_file_that_ends_early_does_not_hang(picture: Path) -> None:
    known = media_files.refer(picture)._replace(size=1000)
    with pytest.raises(ValidationError, match="has changed"):
        media_files.read_whole(known)


def test_neither_pil_nor_numpy_is_loaded_for_bytes_and_files(picture: Path) -> None:
    code = (
        "import sys; from llmspell import MediaContent\n"
        f"one = MediaContent.from_path({str(picture)!r}); one.to_data_url(); one.to_json(); one.load()\n"
        "print({'PIL', 'numpy', 'wave', 'asyncio', 'httpx'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout == "set()\n"
