"""What an answer's bytes and chunks pass: both twins do the same, whatever comes and wherever it is cut."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell._speedups import _stream_py

if TYPE_CHECKING:
    from types import ModuleType

#: The fixture that gives the twins is the same for every example.
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTENTS = st.lists(st.binary(min_size=1, max_size=40) | st.just(b"\r\n0\r\n\r\n"), max_size=12)
SIZES = st.sampled_from([b"%x", b"%X", b"000%x", b"%x;name=value", b"%x ", b'%x;a="b"', b"00000000%x"])
LINES = "5|0|-1|0x5|1_0|F;x|1234567|12345678|fffffffffffff|\u0665| 5|5\t|3\nabc"  # sizes, and what is none
#: Pieces that make every rule of RFC 9112's chunks meet every other.
PIECES = st.lists(
    st.binary(max_size=30)
    | st.sampled_from([line.encode() + b"\r\n" for line in LINES.split("|")])
    | st.sampled_from([b"\r\n", b"\n", b"\r", b"5" * 5000, b"a: b\r\n" * 1400, b"2\r\nab\r\n" * 9]),
    max_size=10,
)


def fed(module: ModuleType, pieces: list[bytes]) -> tuple[list[bytes], bool, bytes, str]:
    """What a body of chunks gives for each piece, whether it is done, its rest, and the error."""
    body, out = module.Chunked(), []
    try:
        for piece in pieces:
            if not body.done:
                out.append(body.feed(piece))  # noqa: PERF401 - what came before an error counts
    except _stream_py.WireError as error:
        return out, body.done, body.rest, str(error)
    return out, body.done, body.rest, ""


@PROPERTY
@given(contents=CONTENTS, size=SIZES, trailers=st.sampled_from([b"", b"a: b\r\n"]), cuts=st.lists(st.integers(0, 700)))
def test_chunks_are_the_same_wherever_they_were_cut(
    wire: ModuleType, contents: list[bytes], size: bytes, trailers: bytes, cuts: list[int]
) -> None:
    framed = b"".join(size % len(content) + b"\r\n" + content + b"\r\n" for content in contents)
    whole = framed + b"0\r\n" + trailers + b"\r\n"
    edges = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    for bounds in (edges, list(range(len(whole) + 1))):
        pieces, done, rest, error = fed(wire, [whole[a:b] for a, b in pairwise(bounds)])
        assert (b"".join(pieces), done, rest, error) == (b"".join(contents), True, b"", "")
        assert len(pieces) == len(bounds) - 1  # not done before the end


@PROPERTY
@given(pieces=PIECES)
def test_any_bytes_are_the_same_chunks_or_the_same_error(wire: ModuleType, pieces: list[bytes]) -> None:
    got = fed(wire, pieces)
    assert got == fed(_stream_py, pieces)
    assert got[3].isprintable()


def test_what_comes_after_a_body_of_chunks_is_told(wire: ModuleType) -> None:
    body = wire.Chunked()
    assert body.feed(b"2\r\nab\r\n0\r\n\r\nHTTP/1.1") == b"ab"
    assert (body.done, body.rest) == (True, b"HTTP/1.1")


# ---- what is poured


class Whole:
    """A body that is done when it has come to *size* bytes."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.done = False

    def feed(self, data: bytes) -> bytes:
        self.left -= len(data)
        self.done = self.left <= 0
        return data


def test_content_is_handed_on_until_it_is_enough(wire: ModuleType) -> None:
    for make, framed in ((lambda: Whole(3), b"%b"), (wire.Chunked, b"1\r\n%b\r\n")):
        got: list[bytes] = []
        pouring = wire.Pouring(make(), lambda data, got=got: got.append(data) or data != b"b", 100, 7)
        assert pouring(framed % b"a") is True
        assert pouring(b"") is True  # nothing of it is content
        assert pouring(framed % b"b") is False  # who takes it wants no more
        assert (got, pouring.size) == ([b"a", b"b"], 9)
    assert wire.Pouring(Whole(1), lambda data: True, 100, 0)(b"a") is False  # it is at its end
    assert wire.Pouring(wire.Chunked(), lambda data: True, 100, 0)(b"1\r\na\r\n0\r\n\r\n") is False


def test_what_is_too_much_and_who_fails_are_told_apart(wire: ModuleType) -> None:
    def fails(data: bytes) -> bool:
        raise OSError(data.decode())

    for body in (Whole(9), wire.Chunked()):
        with pytest.raises(_stream_py.TakerFailed) as failed:
            wire.Pouring(body, fails, 100, 0)(b"3\r\nabc\r\n")
        assert isinstance(failed.value.__cause__, OSError)
    with pytest.raises(_stream_py.WireError, match="more than 1 MiB"):
        wire.Pouring(wire.Chunked(), fails, 1 << 20, 1 << 20)(b"1\r\na\r\n")
    with pytest.raises(_stream_py.WireError, match="without a size"):
        wire.Pouring(wire.Chunked(), fails, 100, 0)(b"?\r\n")

    def interrupted(data: bytes) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wire.Pouring(wire.Chunked(), interrupted, 100, 0)(b"1\r\na\r\n")


# ---- chunks


class Told(NamedTuple):
    stream_id: str
    chunk_index: int
    content: Any
    metadata: dict[str, Any]
    timestamp: float


def test_chunks_are_numbered_without_gaps_and_stamped(wire: ModuleType) -> None:
    metadata = {"model": "m"}
    stamp = wire.Stamp(Told, "s", metadata)
    before = time.time()
    chunks = [*stamp(["a"]), *stamp([]), *stamp(["b", "c"]), *stamp(["d"])]
    assert [type(chunk) for chunk in chunks] == [Told] * 4
    assert [(chunk.stream_id, chunk.chunk_index, chunk.content) for chunk in chunks] == [
        ("s", 0, "a"), ("s", 1, "b"), ("s", 2, "c"), ("s", 3, "d"),
    ]  # fmt: skip
    assert all(chunk.metadata is metadata for chunk in chunks)
    assert before <= chunks[0].timestamp <= chunks[1].timestamp == chunks[2].timestamp <= time.time()
    assert stamp.next == 4


def test_stamping_leaks_nothing(wire: ModuleType) -> None:
    import sys

    content, metadata = ["x"], {}
    stamp = wire.Stamp(Told, "s", metadata)
    before = sys.getrefcount(content), sys.getrefcount(metadata)
    for _ in range(100):
        stamp([content, content])
    assert (sys.getrefcount(content), sys.getrefcount(metadata)) == before
