"""The rows of `llmspell map`, as they come out of every format: whole, bad, cut anywhere, and never all in memory."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.cli.mapping import rows as rows_of
from llmspell.cli.mapping.rows import Source, format_of
from llmspell.errors import NotFoundError, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from llmspell.cli.mapping.rows import Row

pytestmark = pytest.mark.once

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


class Pieces(io.RawIOBase):
    """A file that is read in pieces of *size* bytes, as a slow pipe is."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + min(self._size, len(buffer))]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def read(data: bytes, form: str, size: int = 1 << 16) -> list[Row]:
    source = Source.__new__(Source)
    source.path, source.form, source.size, source.position = "in", form, None, 0
    source._file = io.BufferedReader(Pieces(data, size), max(size, 1))
    source._number = source._line = 0
    return list(source)


@given(values=st.lists(VALUES, max_size=6), size=st.integers(1, 64), indent=st.sampled_from([None, 2]))
def test_a_json_array_gives_its_elements_wherever_it_was_cut(values: list[Any], size: int, indent: int | None) -> None:
    data = json.dumps(values, ensure_ascii=False, indent=indent).encode()
    rows = read(data, "json", size)
    assert [row.error for row in rows] == [None] * len(values)
    assert [row.value for row in rows] == values
    assert [row.number for row in rows] == list(range(1, len(values) + 1))


@given(values=st.lists(VALUES, max_size=6), size=st.integers(1, 64), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_lines_of_json_give_their_values(values: list[Any], size: int, end: str) -> None:
    data = b"\xef\xbb\xbf" + end.join(json.dumps(value) for value in values).encode()
    assert [(row.value, row.error) for row in read(data, "jsonl", size)] == [(value, None) for value in values]


@given(data=st.data(), names=NAMES, form=st.sampled_from(["csv", "tsv"]), end=st.sampled_from(["\n", "\r\n"]))
def test_a_table_gives_what_was_written_into_it(data: st.DataObject, names: list[str], form: str, end: str) -> None:
    field = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=12)
    records = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, field)), max_size=5))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, delimiter="," if form == "csv" else "\t", lineterminator=end)
    writer.writeheader()
    writer.writerows(records)
    rows = read(b"\xef\xbb\xbf" + file.getvalue().encode(), form, data.draw(st.integers(1, 64)))
    assert [(row.value, row.error) for row in rows] == [(record, None) for record in records]


@settings(max_examples=300)
@given(
    data=st.binary(max_size=200) | st.text('[]{},"\\\n\r\t 1ae;\ufeff', max_size=60).map(str.encode),
    size=st.integers(1, 9),
)
@pytest.mark.parametrize("form", rows_of.FORMATS)
def test_any_bytes_give_rows_or_say_what_is_wrong(form: str, data: bytes, size: int) -> None:
    def told() -> list[Row] | str:
        try:
            return read(data, form, size)
        except ValidationError as error:
            return error.message

    first, second = told(), told()
    assert first == second
    if isinstance(first, list):
        assert [row.number for row in first] == list(range(1, len(first) + 1))
        for row in first:
            assert row.error is None or row.error.startswith(f"line {row.line}: ")


BAD = {
    "jsonl": (b'{"a": 1}\nnope\n{"a": NaN}\n\xff\n[2]\n', [1, 5], {2: "not JSON", 3: "not JSON", 4: "not JSON"}),
    "json": (b"[1,\n oh no,\n [2, 3]", [1], {2: "not JSON", 3: "the array is not closed"}),
    "csv": (
        b'a,b\n1,2\n1\n1,2,3\n"x"y,2\n\xff,2\n3,"4\n5"\n\n6,"7',
        [1, 6],
        {
            2: "1 field, where the header has 2",
            3: "3 fields, where",
            4: "expected after",
            5: "not UTF-8",
            7: "unexpected end",
        },
    ),
    "lines": (b"a\n\n\xff\nb", [1, 3], {2: "not UTF-8"}),
}


@pytest.mark.parametrize("form", BAD)
def test_a_bad_row_is_told_with_its_line_and_the_next_one_is_read(form: str) -> None:
    data, good, bad = BAD[form]
    rows = read(data, form)
    assert [row.number for row in rows if row.error is None] == good
    assert {row.number for row in rows if row.error is not None} == set(bad)
    for number, words in bad.items():
        error = rows[number - 1].error
        assert error is not None
        assert words in error
        assert error.startswith(f"line {rows[number - 1].line}: ")


@pytest.mark.parametrize(
    ("form", "data", "words"),
    [
        ("csv", b"a,b,a\n1,2,3\n", "names `a` twice"),
        ("csv", b'a,"b"x\n1,2\n', "the header"),
        ("json", b'{"a": 1}', "is no JSON array: it begins with `{`"),
        ("json", b"", "begins with `nothing`"),
        ("jsonl", b"\xff\xfe{\x00", "is UTF-16"),
        ("json", b"\xfe\xff\x00[", "is UTF-16"),
    ],
)
def test_what_is_none_of_its_format_is_an_error_of_the_whole(form: str, data: bytes, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        read(data, form)
    assert caught.value.hint


def test_a_row_that_is_too_long_is_bad_and_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_of, "LARGEST_ROW", 1000)
    long = b"x" * 1_000_000
    tracemalloc.start()
    try:
        for form, data in (
            ("jsonl", b'1\n"%b"\n2' % long),
            ("lines", b"1\n%b\n2" % long),
            ("json", b'[1,"%b",2]' % long),
        ):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            rows = read(data, form, 4096)
            assert tracemalloc.get_traced_memory()[1] - before < 1_500_000  # the data itself is in `data`
            assert [row.error is None for row in rows] == [True, False, True]
            assert "longer than" in str(rows[1].error)
    finally:
        tracemalloc.stop()


def test_a_row_that_could_not_be_written_again_is_bad() -> None:
    rows = read(b"\n".join(b"[" * depth + b"]" * depth for depth in (1, 200, 254, 300, 5000)), "jsonl")
    assert [row.error is None for row in rows] == [True, True, False, False, False]
    assert "nested too deep" in str(rows[3].error)


def test_rows_of_the_same_value_have_the_same_mark_and_others_another() -> None:
    one, same, other = read(b'{"a":1,"b":2}\n{ "b": 2, "a": 1 }\n{"a":1,"b":3}\n', "jsonl")
    assert one.mark == same.mark != other.mark


@pytest.mark.parametrize(
    ("path", "named", "form"),
    [("a.jsonl", None, "jsonl"), ("A.CSV", None, "csv"), ("x/y.tsv", None, "tsv"), ("a.json", None, "json"),
     ("a.txt", None, "lines"), ("-", None, "jsonl"), ("-", "csv", "csv"), ("a.csv", "lines", "lines")],
)  # fmt: skip
def test_the_format_is_named_or_told_by_the_file_s_name(path: str, named: str | None, form: str) -> None:
    assert format_of(path, named) == form


def test_a_format_that_nobody_knows_and_a_file_that_is_not_there_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cannot be told from its name"):
        format_of("rows.bin", None)
    with pytest.raises(NotFoundError, match="there are no rows"):
        Source(str(tmp_path / "none.csv"), "csv")
    with pytest.raises(NotFoundError, match="cannot read"):
        Source(str(tmp_path), "csv")
