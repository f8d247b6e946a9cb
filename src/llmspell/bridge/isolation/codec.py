"""Values on their way from a worker to its host, which reads them as a stranger's: nothing but plain values comes out.

A value is a shape, and then what fills it. The shape is a letter for each part, after its length of 4 bytes:

    n None    t, f booleans    i an integer    d a float    s a text    b bytes
    [ … ] a list               { … } a dict: its keys and values in turn

After it come all integers and floats (8 bytes each), the lengths of all texts and of all bytes (4 each), the texts and
the bytes. So most of the work is done by few calls, and a worker cannot hold its host up with a million small values.
"""

from __future__ import annotations

from itertools import accumulate, chain, pairwise
from struct import error as StructError
from struct import pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["MAX_DEPTH", "MAX_PARTS", "FrameError", "decode", "encode"]

MAX_PARTS = 3_100_000  # letters: an engine lets out a million values, with keys beside them and brackets around them
MAX_DEPTH = 72  # an engine lets out 64, and a frame puts lists around them

NONE, TRUE, FALSE, INTEGER, FLOAT, TEXT, BYTES, LIST, LIST_END, DICT, DICT_END = b"ntfidsb[]{}"
BEGINNINGS, ENDS, BOOLEANS = (LIST, DICT), (LIST_END, DICT_END), (TRUE, FALSE)
KEYS = {str, int, float, bool, bytes}


class FrameError(ValueError):
    """What a worker sent is not of the protocol: it is broken, or no longer the program that was started."""


# ---- out of the worker


def encode(value: Any) -> bytes:
    """*value* as bytes. Raises TypeError for what an engine does not give."""
    made = _Columns()
    made.take((value,))
    pieces = made.texts + made.bytes
    return b"".join(
        (
            pack("<I", len(made.shape)),
            made.shape,
            pack(f"<{len(made.integers)}q", *made.integers),
            pack(f"<{len(made.floats)}d", *made.floats),
            pack(f"<{len(pieces)}I", *map(len, pieces)),
            *pieces,
        )
    )


class _Columns:
    """What a value is made of, by kind."""

    __slots__ = ("bytes", "floats", "integers", "shape", "texts")

    def __init__(self) -> None:
        self.shape = bytearray()
        self.integers: list[int] = []
        self.floats: list[float] = []
        self.texts: list[bytes] = []
        self.bytes: list[bytes] = []

    def take(self, values: Iterable[Any]) -> None:
        shape = self.shape
        for value in values:
            kind = type(value)
            if kind is str:
                shape.append(TEXT)
                self.texts.append(value.encode())
            elif kind is int:
                shape.append(INTEGER)
                self.integers.append(value)
            elif kind is dict:
                shape.append(DICT)
                self.take(chain.from_iterable(value.items()))
                shape.append(DICT_END)
            elif kind is list:
                shape.append(LIST)
                self.take(value)
                shape.append(LIST_END)
            elif kind is float:
                shape.append(FLOAT)
                self.floats.append(value)
            elif kind is bytes:
                shape.append(BYTES)
                self.bytes.append(value)
            elif value is None:
                shape.append(NONE)
            elif kind is bool:
                shape.append(TRUE if value else FALSE)
            else:
                raise TypeError(f"a {kind.__name__} does not go to the host")


# ---- into the host


def decode(data: bytes) -> Any:
    """The value that *data* is, all of it. Raises FrameError for anything else."""
    try:
        (length,) = unpack_from("<I", data)
    except StructError:
        raise FrameError("a value is missing") from None
    shape = data[4 : 4 + length]
    if length > MAX_PARTS or len(shape) < length:
        raise FrameError("a shape is too long, or cut short")
    try:
        return _fill(shape, *_columns(data, shape))
    except UnicodeDecodeError:
        raise FrameError("a text that is not UTF-8") from None


def _columns(data: bytes, shape: bytes) -> tuple[Iterable[int], Iterable[float], list[str], list[bytes]]:
    """Integers, floats, texts and bytes: as many as the shape has letters for, and nothing after them."""
    integers, floats, texts, others = (shape.count(letter) for letter in b"idsb")
    at = 4 + len(shape)
    lengths_at = at + 8 * (integers + floats)
    pieces_at = lengths_at + 4 * (texts + others)
    if pieces_at > len(data):
        raise FrameError("there are fewer values than the shape has")
    lengths = unpack_from(f"<{texts + others}I", data, lengths_at)
    edges = list(accumulate(lengths, initial=pieces_at))
    if edges[-1] != len(data):
        raise FrameError("texts do not end where the frame ends")
    pieces = [data[start:stop] for start, stop in pairwise(edges)]
    return (
        unpack_from(f"<{integers}q", data, at),
        unpack_from(f"<{floats}d", data, at + 8 * integers),
        [str(piece, "utf-8") for piece in pieces[:texts]],
        pieces[texts:],
    )


def _fill(shape: bytes, integers: Iterable[int], floats: Iterable[float], texts: list[str], others: list[bytes]) -> Any:
    """The value. A dict is a list of keys and values until it ends."""
    next_integer, next_float = iter(integers).__next__, iter(floats).__next__
    next_text, next_other = iter(texts).__next__, iter(others).__next__
    here: list[Any] = []
    outer: list[tuple[list[Any], int]] = []  # what to go back to, and the letter that must end this
    end = 0
    for letter in shape:
        if letter == TEXT:
            here.append(next_text())
        elif letter == INTEGER:
            here.append(next_integer())
        elif letter in BEGINNINGS:
            if len(outer) >= MAX_DEPTH:
                raise FrameError(f"values nested more than {MAX_DEPTH} deep")
            outer.append((here, end))
            here, end = [], LIST_END if letter == LIST else DICT_END
        elif letter in ENDS:
            if letter != end:
                raise FrameError("a bracket that closes nothing")
            done: Any = here if letter == LIST_END else _dict(here)
            here, end = outer.pop()
            here.append(done)
        elif letter == FLOAT:
            here.append(next_float())
        elif letter == BYTES:
            here.append(next_other())
        elif letter == NONE:
            here.append(None)
        elif letter in BOOLEANS:
            here.append(letter == TRUE)
        else:
            raise FrameError("a value of no known kind")
    if outer or len(here) != 1:
        raise FrameError("a shape of more or less than one value")
    return here[0]


def _dict(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    if len(items) % 2 or not KEYS.issuperset(map(type, keys)):
        raise FrameError("a dict of what are no keys and values")
    return dict(zip(keys, items[1::2], strict=True))
