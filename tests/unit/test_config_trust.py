"""Trust in a project's file: it is of a path and a content, and whoever can write there instead has none of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from llmspell.config import files, trust
from llmspell.errors import ConfigError
from support.places import Place, place, refused

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.once, pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")]
__all__ = ["place"]

TEXT = '[runtime]\ntimeout = 900\n[permissions]\nread = ["data"]\nrun = ["./tool *"]\n'


def add(place: Place, path: Path) -> None:
    trust.add(files.read(str(path), False), place.env)


@pytest.fixture
def trusted(place: Place) -> Path:
    path = place.stranger(TEXT)
    refused(place)
    add(place, path)
    return path


def entry(place: Place) -> str:
    folder = trust.folder_of(place.env)
    (name,) = os.listdir(folder)
    return os.path.join(folder, name)


def test_a_trusted_file_holds_as_if_its_user_had_said_it(place: Place, trusted: Path) -> None:
    config = place.load()
    assert config.get("runtime.timeout") == 900.0
    assert config.origin("runtime.timeout") == f"{trusted}:2"
    assert config.get("permissions.read") == (str(trusted.parent / "data"),)
    assert config.get("permissions.run") == (f"{trusted.parent}/./tool '*'",)
    assert [(one.path, len(one.digest)) for one in trust.entries(place.env)] == [(str(trusted), 64)]


def test_trusted_no_more_it_is_a_stranger_s_again(place: Place, trusted: Path) -> None:
    assert trust.remove(str(trusted), place.env)
    assert not trust.remove(str(trusted), place.env)
    assert "may not be raised" in refused(place).message
    assert trust.entries(place.env) == []


def test_a_file_that_is_gone_can_be_trusted_no_more(place: Place, trusted: Path) -> None:
    trusted.unlink()
    assert trust.remove(str(trusted), place.env)


@pytest.mark.parametrize("text", [TEXT + "#", TEXT.replace("900", "901"), TEXT.replace("\n", "\r\n")])
def test_another_content_is_not_trusted_and_says_so(place: Place, trusted: Path, text: str) -> None:
    trusted.write_bytes(text.encode())
    error = refused(place)
    assert error.message.endswith("and this one is not trusted: it has changed since it was trusted")
    assert error.hint
    assert f"`llmspell config trust {trusted}`" in error.hint
    add(place, trusted)
    place.load()


def test_a_change_that_asks_for_nothing_needs_no_trust(place: Place, trusted: Path) -> None:
    trusted.write_text("[runtime]\ntimeout = 3\n")
    assert place.load().get("runtime.timeout") == 3.0


def test_the_same_content_elsewhere_is_not_trusted(place: Place, trusted: Path) -> None:
    (place.project / "llmspell.toml").write_text(TEXT)
    error = refused(place)
    assert error.file == str(place.project / "llmspell.toml")


def test_a_link_to_a_trusted_file_is_not_trusted_where_the_link_is(place: Place, trusted: Path) -> None:
    (place.project / "llmspell.toml").symlink_to(trusted)
    assert refused(place).file == str(place.project / "llmspell.toml")


def test_a_link_is_not_trusted_and_a_file_that_becomes_one_is_not_any_more(place: Place, trusted: Path) -> None:
    kept = trusted.rename(place.cwd / "kept.toml")
    trusted.symlink_to(kept)
    assert refused(place).message.endswith("it is a symbolic link")
    with pytest.raises(ConfigError, match="cannot be trusted: it is a symbolic link"):
        add(place, trusted)


def test_through_a_link_to_its_folder_it_is_the_same_file_and_its_paths_are_below_the_real_one(
    place: Place, trusted: Path
) -> None:
    link = place.cwd / "link"
    link.symlink_to(trusted.parent)
    place.project = link
    assert place.load().get("permissions.read") == (str(trusted.parent / "data"),)


def test_a_trusted_path_that_becomes_a_link_is_refused(place: Place, trusted: Path) -> None:
    data = trusted.parent / "data"
    data.mkdir()
    place.load()
    data.rmdir()
    data.symlink_to("/etc")
    error = refused(place)
    assert "`permissions.read` passes a symbolic link" in error.message
    data.unlink()
    place.load()


@pytest.mark.parametrize("mode", [0o666, 0o646])
def test_a_file_that_others_may_write_is_not_trusted(place: Place, trusted: Path, mode: int) -> None:
    trusted.chmod(mode)
    assert refused(place).message.endswith("it may be written by others")
    with pytest.raises(ConfigError, match="cannot be trusted: it may be written by others") as caught:
        add(place, trusted)
    assert caught.value.hint == "take that from them: `chmod go-w` it"
    trusted.chmod(0o644)
    place.load()


def test_a_file_of_a_group_with_others_in_it_is_not_trusted(
    place: Place, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted.chmod(0o664)
    monkeypatch.setattr(trust, "_is_private", lambda group, user: False)
    assert refused(place).message.endswith("it may be written by others")
    monkeypatch.setattr(trust, "_is_private", lambda group, user: True)
    place.load()


def test_in_a_folder_that_others_may_write_it_is_not_trusted(place: Place, trusted: Path) -> None:
    trusted.parent.chmod(0o777)
    assert refused(place).message.endswith("it is in a folder that others may write")
    with pytest.raises(ConfigError, match="is in a folder that others may write"):
        add(place, trusted)
    trusted.parent.chmod(0o755)


def test_an_entry_that_others_could_have_written_is_none(place: Place, trusted: Path) -> None:
    path = entry(place)
    for spoil, mend in ((0o666, 0o600), (0o602, 0o600)):
        os.chmod(path, spoil)
        assert "in a place that others may write" in refused(place).message
        os.chmod(path, mend)
        place.load()
    folder = os.path.dirname(path)
    os.chmod(folder, 0o777)
    assert "in a place that others may write" in refused(place).message
    with pytest.raises(ConfigError, match="may be written by others"):
        add(place, trusted)
    os.chmod(folder, 0o700)
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)
    assert "in a place that others may write" in refused(place).message


def test_an_entry_of_another_path_or_of_nonsense_is_none(place: Place, trusted: Path) -> None:
    path = entry(place)
    with open(path) as file:
        told = json.load(file)
    assert told["path"] == str(trusted)
    for text in (json.dumps({**told, "path": "/elsewhere/llmspell.toml"}), "[]", "{", "[" * 100_000, "\udcff"):
        with open(path, "w", errors="surrogateescape") as file:
            file.write(text)
        assert "may not be raised" in refused(place).message
        trust.entries(place.env)


def test_what_is_kept_is_its_user_s_alone(place: Place, trusted: Path) -> None:
    path = entry(place)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)], "nothing is left beside it"


def test_what_was_read_is_what_is_trusted_whatever_stands_there_by_then(place: Place) -> None:
    path = place.stranger(TEXT)
    file = files.read(str(path), False)
    path.write_text(TEXT.replace("900", "9000"))
    trust.add(file, place.env)
    assert "has changed" in refused(place).message


def test_a_trusted_profile_raises_too(place: Place) -> None:
    path = place.stranger("[profile.long.runtime]\ntimeout = 900\n")
    refused(place, profile="long")
    add(place, path)
    assert place.load(profile="long").get("runtime.timeout") == 900.0


def test_a_folder_with_a_name_that_is_no_text(place: Place) -> None:
    folder = os.path.join(os.fsencode(place.cwd), b"\xff\n")
    os.mkdir(folder)
    name = os.fsdecode(os.path.join(folder, b"llmspell.toml"))
    with open(name, "w") as file:
        file.write(TEXT)
    trust.add(files.read(name, False), place.env)
    assert [one.path for one in trust.entries(place.env)] == [name]
    assert trust.remove(name, place.env)
