"""A recording's file: what comes back of what was written, and what is no recording."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ConfigError, LimitError, NotFoundError, ValidationError
from llmspell.providers.tape import file as tape
from llmspell.providers.tape.file import Writer, as_bytes, bytes_entry, read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

HEAD = {"started": 1.5, "model": "m", "provider": None, "limits": {"max_cost_usd": 0.5, "max_tokens_total": 9}}
SCRIPT = {"do": "script", "name": "a.lua", "args": []}


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "a.tape")


def written(place: str, *entries: dict[str, Any], **head: Any) -> str:
    writer = Writer(place, HEAD | head)
    for entry in entries:
        writer.write(entry)
    writer.close()
    writer.close()
    return place


@given(st.binary(max_size=20))
def test_bytes_come_back(data: bytes) -> None:
    assert as_bytes(json.loads(json.dumps(bytes_entry(data)))) == data


def test_what_was_written_is_read_up_to_where_it_was_cut(place: str) -> None:
    entries = [SCRIPT, {"do": "data", "call": 1, "at": 0.5, "base64": "/w=="}, {"do": "done", "at": 1}]
    written(place, *entries)
    head, read_entries = read(place)
    assert (head["started"], head["model"], read_entries) == (1.5, "m", entries)
    with open(place, "rb+") as file:
        file.truncate(os.path.getsize(place) - 3)
    assert read(place)[1] == entries[:-1]


def test_a_closed_file_takes_no_more(place: str) -> None:
    writer = Writer(place, HEAD)
    writer.close()
    writer.write(SCRIPT)
    assert read(place)[1] == []


def test_an_older_recording_goes_once_there_is_more_than_the_script(place: str) -> None:
    written(place, SCRIPT, {"do": "done", "at": 1})
    before = read(place)
    written(place, SCRIPT, started=2.5)
    assert read(place) == before
    written(place, SCRIPT, {"do": "done", "at": 3}, started=2.5)
    assert (read(place)[0]["started"], read(place)[1]) == (2.5, [SCRIPT, {"do": "done", "at": 3}])


def test_what_cannot_be_written_is_told(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be written: is a directory"):
        Writer(str(tmp_path), HEAD)
    writer = Writer(place, HEAD)

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ConfigError, match="cannot be written: no space left on device"):
        writer.write(SCRIPT)
    with pytest.raises(ConfigError, match="cannot be written: no space left on device"):
        Writer(place + "2", HEAD)
    monkeypatch.undo()
    writer.close()


def test_a_disk_that_takes_a_part_gets_the_rest(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        written(place, SCRIPT)
    assert read(place)[1] == [SCRIPT]


def test_a_recording_has_a_largest_size(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "LARGEST", 1000)
    writer = Writer(place, HEAD)
    with pytest.raises(LimitError, match="larger than 2 GiB"):
        writer.write({"do": "script", "name": "a" * 1000, "args": []})
    writer.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "line 1: this is no recording"),
        (b"{", "line 1: this is no recording"),
        (b"[]\n", "line 1: this is no recording"),
        (b'{"recording":"other"}\n', "line 1: this is no recording"),
        (b'{"recording":"llmspell","version":99}\n', "has version 99, and version 1 is read"),
        (b'{"recording":"llmspell","version":1}\n', "`started`, `model` or `provider` is missing"),
        (b'{"recording":"llmspell","version":1,"started":1,"model":5}\n', "`started`, `model` or `provider`"),
        (b'{"recording":"llmspell","version":1,"started":1,"limits":[]}\n', "`limits` are no limits"),
        (b'{"recording":"llmspell","version":1,"started":1,"limits":{"x":1}}\n', "`limits` are no limits"),
        (b'{"recording":"llmspell","version":1,"started":1,"limits":{"max_cost_usd":-1}}\n', "`limits` are no limits"),
    ],
)
def test_what_is_no_recording(place: str, text: bytes, said: str) -> None:
    with open(place, "wb") as file:
        file.write(text)
    with pytest.raises(ValidationError) as caught:
        read(place)
    assert said in caught.value.message


def test_where_there_is_none(place: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no recording"):
        read(place)
    with pytest.raises(NotFoundError, match="cannot be read: Is a directory"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"do": "dance"}, "`do` is dance"),
        ({}, "`do` is None"),
        ({"do": "script", "name": "a"}, "`args` is missing"),
        ({"do": "end", "call": True, "at": 1}, "`call` is missing, or of the wrong kind"),
        ({"do": "data", "call": 1, "at": 1}, "`text` or `base64` is missing"),
        ({"do": "data", "call": 1, "at": 1, "base64": "*"}, "`text` or `base64` is missing"),
        ({"do": "head", "call": 1, "at": 1, "status": 200, "headers": {"a": 1}}, "a header is no text"),
        (
            {"do": "provider", "name": "a", "default_model": "m", "keyed": True, "settings": {"headers": []}},
            "`settings.headers` are no headers",
        ),
        ({"do": "values", "of": "os.time", "values": [True]}, "a value of `os.time` is of the wrong kind"),
        ({"do": "values", "of": "stream_id", "values": [1]}, "a value of `stream_id` is of the wrong kind"),
        ({"do": "values", "of": "seed", "values": [[1, 2, 3]]}, "a value of `seed` is of the wrong kind"),
        ({"do": "values", "of": "io.read", "values": [[1]]}, "a value of `io.read` is of the wrong kind"),
        ({"do": "values", "of": "io.read", "values": [{}]}, "a value of `io.read` is of the wrong kind"),
    ],
)
def test_an_entry_that_is_none_is_named_by_its_line(place: str, entry: dict[str, Any], said: str) -> None:
    written(place, SCRIPT, entry)
    with pytest.raises(ValidationError) as caught:
        read(place)
    assert f"cannot be read, line 3: {said}" in caught.value.message


def test_values_of_each_kind_are_read(place: str) -> None:
    kinds: list[tuple[str, Any]] = [
        ("stream_id", "s"), ("chance", 0.5), ("seed", [1, 2]), ("io.read", {"text": "a"}), ("io.read", None),
    ]  # fmt: skip
    entries = [{"do": "values", "of": name, "values": [value]} for name, value in kinds]
    written(place, *entries)
    assert read(place)[1] == entries
