"""The rows of `llmspell map`: JSONL, CSV, TSV, a JSON array or plain lines, one at a time and never all in memory.

A row that cannot be read is given with its error, and the next one is read. Nothing here knows of event loops.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmspell.errors import NotFoundError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from typing import BinaryIO

__all__ = ["FORMATS", "Row", "Source", "format_of"]

FORMATS = ("jsonl", "csv", "tsv", "json", "lines")
ENDINGS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json",
    ".txt": "lines",
}  # fmt: skip
LARGEST_ROW = 64 << 20  # bytes
BLOCK = 1 << 16
SHOWN = 1000  # characters of a row that cannot be read
BOM = b"\xef\xbb\xbf"
_MARKS = re.compile(rb'["\\\[\]{},]')


class Row(NamedTuple):
    """One row. number: from 1, bad ones counted; line: where it begins in the input, from 1.

    value: plain data; of one that cannot be read the beginning of its text. error: what is wrong with it, in one line.
    mark: a short hash of what it says.
    """

    number: int
    line: int
    value: Any
    error: str | None
    mark: str


def format_of(path: str, named: str | None) -> str:
    """The format that is *named*, or that the name of the file tells. Raises ValidationError."""
    if named is not None:
        return named
    if path == "-":
        return "jsonl"
    found = ENDINGS.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise ValidationError(
            f"what `{one_line(path, 200)}` holds cannot be told from its name",
            hint="name it: `--format jsonl`, or csv, tsv, json (one array), lines",
        )
    return found


def _mark(value: Any) -> str:
    wrapped = [[[[value]]]]  # it will stand that deep in what is written of it, and orjson writes 254 levels
    return blake2b(orjson.dumps(wrapped, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


class Source:
    """The rows of a file, or of standard input where *path* is `-`. Raises NotFoundError where there is none.

    size: its bytes, None where nobody can say; position: how many of them were read.
    """

    def __init__(self, path: str, form: str) -> None:
        self.path, self.form = path, form
        self.position = 0
        self._file: Any = sys.stdin.buffer if path == "-" else _opened(path)
        self.size = _size(self._file)
        self._number = 0
        self._line = 0  # that was read last

    def close(self) -> None:
        """Closes the file; standard input stays."""
        if self.path != "-":
            self._file.close()

    def __iter__(self) -> Iterator[Row]:
        """Each row in turn. Raises ValidationError where the whole input is none of its format."""
        readers: dict[str, Callable[[], Iterator[Row]]] = {
            "jsonl": self._json_lines,
            "lines": self._plain_lines,
            "json": self._array,
            "csv": lambda: self._table(","),
            "tsv": lambda: self._table("\t"),
        }
        return readers[self.form]()

    # ---- rows

    def _row(self, line: int, value: Any) -> Row:
        mark = _mark(value)  # raises for what is no UTF-8, which is a bad row then
        self._number += 1
        return Row(self._number, line, value, None, mark)

    def _bad(self, line: int, text: bytes, error: str) -> Row:
        self._number += 1
        shown = text[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
        return Row(self._number, line, shown, f"line {line}: {error}", blake2b(text, digest_size=8).hexdigest())

    def _loaded(self, line: int, text: bytes) -> Row:
        """The row of one JSON text."""
        try:
            return self._row(line, orjson.loads(text))
        except orjson.JSONDecodeError as error:  # its words, and not the text that it holds
            message = error.msg.partition(": line ")[0]
            return self._bad(line, text, f"not JSON: {message} (column {error.colno})")
        except TypeError:  # it can be read, and not written again
            return self._bad(line, text, "nested too deep")

    # ---- lines

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Each line, and whether it is too long to be read: then it is its beginning."""
        first = True
        while line := self._file.readline(LARGEST_ROW + 1):
            self._line += 1
            self.position += len(line)
            too_long = len(line) > LARGEST_ROW
            rest = line
            while too_long and rest and not rest.endswith(b"\n"):
                rest = self._file.readline(BLOCK)
                self.position += len(rest)
            if first:
                first = False
                line = self._without_mark(line)
            yield line, too_long

    def _without_mark(self, text: bytes) -> bytes:
        if text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValidationError(
                f"`{one_line(self.path, 200)}` is UTF-16", hint="save it as UTF-8: `iconv -f UTF-16 -t UTF-8`"
            )
        return text.removeprefix(BOM)

    def _json_lines(self) -> Iterator[Row]:
        for text, too_long in self._lines():
            line = self._line
            if too_long:
                yield self._bad(line, text[:SHOWN], f"longer than {LARGEST_ROW >> 20} MB")
            elif text.strip():
                yield self._loaded(line, text)

    def _plain_lines(self) -> Iterator[Row]:
        for text, too_long in self._lines():
            line = self._line
            if too_long:
                yield self._bad(line, text[:SHOWN], f"longer than {LARGEST_ROW >> 20} MB")
            elif text.strip():
                try:
                    yield self._row(line, text.rstrip(b"\r\n").decode())
                except UnicodeDecodeError:
                    yield self._bad(line, text, "not UTF-8")

    # ---- tables

    def _table(self, delimiter: str) -> Iterator[Row]:
        csv.field_size_limit(LARGEST_ROW)
        reader = csv.reader(self._texts(), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            line = self._line + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if header is None:
                    raise ValidationError(
                        f"the header, line {line}: {error}", hint="its first line has names"
                    ) from None
                yield self._bad(line, b"", str(error))
                continue
            if not fields:
                continue  # a blank line
            if header is None:
                header = self._header(fields)
            else:
                yield self._record(line, header, fields, delimiter)

    def _texts(self) -> Iterator[str]:
        for text, too_long in self._lines():
            if too_long:
                yield "\n"
            else:
                yield text.decode("utf-8", "surrogateescape")

    def _header(self, fields: list[str]) -> list[str]:
        names = [name.strip() or f"column_{index}" for index, name in enumerate(fields, 1)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValidationError(
                f"the header of `{one_line(self.path, 200)}` names `{one_line(twice, 100)}` twice",
                hint="its first line has the fields' names, each once",
            )
        return names

    def _record(self, line: int, header: list[str], fields: list[str], delimiter: str) -> Row:
        text = delimiter.join(fields).encode("utf-8", "surrogateescape")
        if len(fields) != len(header):
            have = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
            return self._bad(line, text, f"{have}, where the header has {len(header)}")
        try:
            return self._row(line, dict(zip(header, fields, strict=True)))
        except TypeError:
            return self._bad(line, text, "not UTF-8")

    # ---- one array

    def _array(self) -> Iterator[Row]:
        """The elements of a JSON array. Each is found by its brackets, and only then parsed."""
        scan = _Scan(self._blocks())
        if (begun := scan.open()) is not None:
            raise ValidationError(
                f"`{one_line(self.path, 200)}` is no JSON array: it begins with `{begun}`",
                hint="one value a line is `--format jsonl`",
            )
        while (found := scan.element()) is not None:
            line, text, error = found
            yield self._loaded(line, text) if error is None else self._bad(line, text, error)

    def _blocks(self) -> Iterator[bytes]:
        first = True
        while block := self._file.read1(BLOCK):  # what is there: standard input may be slow
            self.position += len(block)
            yield self._without_mark(block) if first else block
            first = False


class _Scan:
    """Cuts an array into the texts of its elements."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._buffer = b""
        self._at = 0
        self._line = 1
        self._over = False

    def _more(self) -> bool:
        """Takes in another block; what was passed is dropped."""
        block = next(self._blocks, b"")
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return bool(block)

    def _peek(self) -> bytes:
        """The next byte that is no space; empty at the end."""
        while True:
            rest = self._buffer[self._at :].lstrip()
            end = len(self._buffer) - len(rest)
            self._line += self._buffer.count(b"\n", self._at, end)
            self._at = end
            if rest:
                return rest[:1]
            if not self._more():
                return b""

    def open(self) -> str | None:
        """Passes the bracket; gives what stands in its place, if anything else does."""
        first = self._peek()
        if first == b"[":
            self._at += 1
            self._over = self._peek() == b"]"
            return None
        return first.decode("latin-1") if first else "nothing"

    def element(self) -> tuple[int, bytes, str | None] | None:
        """The line and the text of the next element, and what is wrong with it; None after the last."""
        if self._over:
            return None
        self._peek()
        line = self._line
        text, end = self._until_end()
        self._line += text.count(b"\n")
        if end == b",":
            return line, text, None if len(text) <= LARGEST_ROW else f"longer than {LARGEST_ROW >> 20} MB"
        self._over = True
        if end == b"]":
            return line, text, None
        return line, text, "the array is not closed"

    def _until_end(self) -> tuple[bytes, bytes]:
        """The text up to the comma or bracket that ends it, and that; what is too long is cut."""
        kept = bytearray()
        depth, quoted = 0, False
        searched = self._at
        while True:
            found = _MARKS.search(self._buffer, searched)
            if found is None or (found[0] == b"\\" and found.end() == len(self._buffer)):
                upto = len(self._buffer) if found is None else found.start()
                if len(kept) <= LARGEST_ROW:
                    kept += self._buffer[self._at : upto]
                self._at = searched = upto
                if not self._more():
                    return bytes(kept + self._buffer[self._at :]), b""
                searched = self._at
                continue
            mark, searched = found[0], found.end()
            if quoted:
                if mark == b"\\":
                    searched += 1
                quoted = mark != b'"'
            elif mark == b'"':
                quoted = True
            elif mark in b"[{":
                depth += 1
            elif depth and mark in b"]}":
                depth -= 1
            elif not depth and mark in b",]":
                kept += self._buffer[self._at : found.start()]
                self._at = searched
                return bytes(kept), mark


def _opened(path: str) -> BufferedReader:
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there are no rows: no file `{one_line(path, 200)}`",
            hint="check the path, or `-` reads rows from standard input",
            cause=error,
        ) from None
    except OSError as error:
        raise NotFoundError(f"cannot read `{one_line(path, 200)}`: {error.strerror}", cause=error) from None


def _size(file: BinaryIO) -> int | None:
    import stat

    try:
        told = os.fstat(file.fileno())
    except (OSError, ValueError):
        return None
    return told.st_size if stat.S_ISREG(told.st_mode) else None
