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


@pytest.mark.parametrize(
    ("pieces", "what"),
    [
        ([b"2\r\nabc\r\n0\r\n\r\n"], b"ab"),
        ([b"2\r\nab\r\n2\r\nabc\r\n0\r\n\r\n"], b"ab"),
        ([b"2\r\nab", b"c\r\n"], b"ab"),
    ],
)
def test_a_chunk_that_is_longer_than_it_says_is_none(wire: ModuleType, pieces: list[bytes], what: bytes) -> None:
    got, done, _, error = fed(wire, pieces)
    assert (b"".join(got) in (b"", what), done) == (True, False)
    assert error == "the answer has a chunk that is longer than it says"


def test_what_stands_beside_a_size_is_passed_over(wire: ModuleType) -> None:
    body = wire.Chunked()
    assert body.feed(b"2;a=1\r\nab\r\n2;a=1\r\ncd\r\n2 \t\r\nef\r\n2\ngh\n0;b\r\n\r\n") == b"abcdefgh"
    assert body.done


def test_trailers_are_bounded(wire: ModuleType) -> None:
    assert _stream_py.TRAILER_MAX == 16 << 10
    line = b"a: " + b"b" * 1019 + b"\r\n"  # 1 KiB
    for count, fine in ((15, True), (16, False)):
        _, done, _, error = fed(wire, [b"0\r\n", *[line] * count, b"\r\n"])
        assert done is fine
        assert ("more than 16 KiB of trailers" in error) is not fine


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


# ---- from the socket to who waits


class Future:
    """What ends a pouring."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def done(self) -> bool:
        return self.error is not None

    def set_exception(self, error: BaseException) -> None:
        self.error = error


def test_what_is_received_goes_to_who_takes_it(wire: ModuleType) -> None:
    seen: list[Any] = []

    class Connection(wire.Receiving):  # type: ignore[name-defined]
        def received(self, data: bytes) -> None:
            seen.append(("received", data))

        def poured(self, waiter: Any) -> None:
            seen.append(("poured", waiter))

    connection = Connection(lambda: 7.5)
    assert (connection.wanted, connection.answered, connection.take, connection.heard) == (False, False, None, 0.0)
    connection.data_received(b"a")
    future = connection.waiter = Future()
    connection.take = lambda data: seen.append(data) or data != b"c"
    connection.data_received(b"a")  # nobody wants it
    assert (seen, connection.answered) == ([("received", b"a")] * 2, False)
    connection.wanted = True
    connection.data_received(b"b")
    assert (connection.answered, connection.heard) == (True, 7.5)
    connection.heard = 0.0
    connection.data_received(b"c")
    assert seen[2:] == [b"b", b"c", ("poured", future)]
    assert connection.heard == 0.0
    connection.take = None
    connection.data_received(b"d")
    assert seen[-1] == ("received", b"d")


def test_who_takes_and_fails_ends_the_pouring(wire: ModuleType) -> None:
    class Connection(wire.Receiving):  # type: ignore[name-defined]
        def poured(self, waiter: Any) -> None:
            raise AssertionError

    def fails(error: BaseException) -> Any:
        def take(data: bytes) -> bool:
            raise error

        return take

    connection = Connection(time.monotonic)
    connection.wanted, connection.waiter = True, Future()
    connection.take = fails(OSError("gone"))
    connection.data_received(b"a")
    assert str(connection.waiter.error) == "gone"
    connection.take = fails(OSError("again"))
    connection.data_received(b"a")  # it has ended already
    assert str(connection.waiter.error) == "gone"
    connection.waiter = Future()
    connection.take = fails(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        connection.data_received(b"a")
    assert isinstance(connection.waiter.error, ConnectionAbortedError)


class Reading:
    """Each byte is a content; `.` ends the answer."""

    finished = False

    def feed(self, data: bytes) -> list[str]:
        self.finished = b"." in data
        return [] if data == b"-" else list(data.decode())

    def end(self) -> list[str]:
        self.finished = True
        return ["end"]


def test_bytes_become_chunks_that_are_handed_on(wire: ModuleType) -> None:
    for stamp in (wire.Stamp(Told, "s", {}), lambda contents: [Told("s", 0, one, {}, 0.0) for one in contents]):
        taken: list[list[str]] = []
        last: list[list[str]] = []
        passing = wire.Passing(
            Reading(),
            stamp,
            lambda batch, taken=taken: taken.append([chunk.content for chunk in batch]) or len(batch) < 2,
            lambda contents, last=last: last.append(contents),
        )
        assert passing(b"a") is True
        assert passing(b"-") is True  # nothing came of it
        assert passing(b"bc") is False  # who takes them wants no more
        assert not passing(b"d.")
        assert not passing(b"")
        assert (taken, last) == ([["a"], ["b", "c"]], [["d", "."], ["end"]])


class Said(NamedTuple):
    text: str


class Collector:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.others: list[Any] = []

    def add(self, chunk: Told) -> None:
        self.others.append(chunk.content)


def test_chunks_are_noted_and_handed_on(wire: ModuleType) -> None:
    collector, taken = Collector(), []
    gathering = wire.Gathering(collector, Said, lambda batch: taken.append(batch) or len(batch) > 1)
    chunks = wire.Stamp(Told, "s", {})([Said("a"), ("b",), Said("c")])
    assert gathering(chunks) is True
    collector.texts = []  # a collector begins anew
    assert gathering(chunks[2:]) is False
    assert (collector.texts, collector.others, taken) == (["c"], [("b",)], [chunks, chunks[2:]])


class Engine:
    """Its fibers come to what it is told."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.fed: list[Any] = []

    def feed(self, fiber: int, value: Any, op: str, arg: int) -> Any:
        self.fed.append((fiber, value, op, arg))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome() if callable(outcome) else outcome


def resuming(wire: ModuleType, engine: Engine, is_away: Any = None) -> Any:
    """What runs the fibers 1 and 2; `told` is what its subclass was told."""

    class Fibers(wire.Resuming):  # type: ignore[name-defined]
        def wake(self, fiber: int, ok: bool, value: Any) -> None:
            self.told.append(("wake", fiber, ok, value))

        def came(self, number: int, fiber: Any, outcome: Any, op: str, arg: int) -> None:
            self.told.append(("came", number, fiber, outcome, op, arg))
            self.flushing = False

    fibers = Fibers(engine, is_away)
    fibers.told = []
    fibers.ended = Future()
    fibers.fibers |= {1: wire.Waits(), 2: wire.Waits()}
    return fibers


def test_a_fiber_that_waits_for_more_is_resumed_at_once(wire: ModuleType) -> None:
    engine = Engine(None, ("call",), RuntimeError("lost"))
    fibers = resuming(wire, engine)
    fiber = fibers.fibers[1]
    undo = fiber.cancel = lambda: None
    assert fibers.hand(1, ["a"], "next", 5) is True
    assert (fiber.cancel, fibers.flushing, fibers.told) == (undo, False, [])
    assert fibers.hand(1, ["b"], "next", 5) is False
    assert fiber.cancel is None  # it waits for something else
    assert fibers.hand(1, ["c"], "next", 5) is False
    assert engine.fed == [(1, [one], "next", 5) for one in "abc"]
    (_, _, _, first, *_), (*_, second, _, _) = fibers.told
    assert first == ("call",)
    assert isinstance(second, RuntimeError)


def test_others_come_first_and_a_doomed_fiber_is_told_of(wire: ModuleType) -> None:
    fibers = resuming(wire, Engine(None, None))
    fibers.ready.append((2, True, None))
    assert fibers.hand(1, "a", "next", 5) is False
    fibers.ready.clear()
    fibers.fibers[1].doomed = True
    assert fibers.hand(1, "b", "next", 5) is False
    assert fibers.told == [("came", 1, fibers.fibers[1], None, "next", 5)] * 2


def test_a_fiber_that_cannot_be_resumed_is_woken_later(wire: ModuleType) -> None:
    engine, away = Engine(), [False]
    fibers = resuming(wire, engine, lambda: away[0])
    assert fibers.hand(9, "a", "next", 5) is False  # there is none
    fibers.flushing = True
    assert fibers.hand(1, "b", "next", 5) is False
    fibers.flushing, away[0] = False, True
    assert fibers.hand(1, "c", "next", 5) is False
    away[0], fibers.ended.error = False, OSError()
    assert fibers.hand(1, "d", "next", 5) is False
    assert fibers.told == [("wake", number, True, value) for number, value in ((9, "a"), (1, "b"), (1, "c"), (1, "d"))]
    assert engine.fed == []


def test_chunks_lie_until_somebody_waits_for_them(wire: ModuleType) -> None:
    after: list[str] = []
    unstarted: list[int] = []
    place = wire.Place(5)

    def closes() -> None:
        place.done = True

    def opens() -> None:
        unstarted.append(1)

    fibers = resuming(wire, Engine(None, closes, opens, ("call",)))
    handing = wire.Handing(place, fibers, "next", 3, unstarted, lambda: after.append("after"))
    assert handing(["a"]) is True
    place.waiter = 1  # it is served from what lies, by who makes it wait
    assert handing(["b", "c"]) is False
    assert place.ready == ["a", "b", "c"]
    place.ready = []
    assert handing(["d"]) is True
    assert (place.waiter, after) == (1, [])
    assert handing(["e"]) is True
    assert (place.waiter, after) == (1, ["after"])
    place.done = False
    assert handing(["f"]) is True
    assert after == ["after", "after"]
    unstarted.clear()
    assert handing(["g"]) is True  # it waits for something else now
    assert (place.waiter, after, place.ready) == (None, ["after", "after"], [])
    assert [value for _, value, *_ in fibers.engine.fed] == [["d"], ["e"], ["f"], ["g"]]


def test_the_way_from_the_socket_is_the_same_in_one_piece(wire: ModuleType) -> None:
    """Compiled, those who know each other call each other directly."""
    collector, place = Collector(), wire.Place(5)
    fibers = resuming(wire, Engine(None, None))
    handing = wire.Handing(place, fibers, "next", 3, [], lambda: None)
    gathering = wire.Gathering(collector, str, handing)
    passing = wire.Passing(Reading(), wire.Stamp(Told, "s", {}), gathering, lambda contents: False)
    connection = wire.Receiving(time.monotonic)
    connection.wanted, connection.waiter, place.waiter = True, Future(), 1
    connection.take = wire.Pouring(wire.Chunked(), passing, 100, 0)
    connection.data_received(b"1\r\na\r\n2\r\nbc\r\n")
    place.waiter = None
    connection.data_received(b"1\r\nd\r\n")
    assert connection.waiter.error is None
    assert [[chunk.content for chunk in value] for _, value, *_ in fibers.engine.fed] == [["a", "b", "c"]]
    assert [chunk.chunk_index for chunk in place.ready] == [3]
    assert collector.texts == ["a", "b", "c", "d"]
