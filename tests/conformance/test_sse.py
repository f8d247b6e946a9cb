"""The event-stream parser: both twins give the same events, whatever the bytes and wherever they are cut."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell._speedups import _sse_py
from support.wire import records

if TYPE_CHECKING:
    from types import ModuleType

    from support.wire import Record

Events = list[tuple[str, bytes]]
#: The fixture that gives the twins is the same for every example.
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)

#: Pieces that make every rule meet every other; whole lines and ends of lines come often.
PIECES = st.sampled_from(
    [b"data: ", b"data:", b"data", b" ", b"event: ", b"event:error", b"id: 1", b"retry: 5", b"error: ", b": note", b":",
     b"\n", b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"{}", b"x" * 9, b"\xef\xbb\xbf", "\u2028".encode(),
     "é".encode(), b"\x00", b"\xff", b'{"error":1}', b"datas: 1", b" data: 2"]
)  # fmt: skip
WIRES = st.lists(PIECES, max_size=40).map(b"".join)


def reference(wire: bytes, limit: int) -> tuple[Events, bytes, bool]:
    """The rules said once, of the whole text: events, what is no field, and whether a bound was passed."""
    events: Events = []
    left = b""
    data: list[bytes] = []
    name, error = "", None
    lines = re.split(b"\r\n|\n|\r", wire)
    lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
    last = lines.pop()
    for line in [*lines, last, b""] if last else [*lines, b""]:
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            elif error is not None:
                events.append(("error", error))
            data, name, error = [], "", None
            continue
        if len(line) > limit:
            return events, left, True
        if line.startswith(b":"):
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data.append(value)
            if len(b"\n".join(data)) > limit:
                return events, left, True
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"error":
            error = value
        elif field not in (b"id", b"retry"):
            left += line + b"\n"
    return events, left, False


def parsed(module: ModuleType, wire: bytes, edges: list[int], limit: int) -> tuple[Events, bytes, str]:
    """What a twin makes of *wire*, cut at *edges*: events, what is left over, and the words of its error."""
    parser = module.EventParser(limit)
    events: Events = []
    try:
        for a, b in pairwise(edges):
            events += parser.feed(wire[a:b])
        events += parser.end()
    except module.EventTooLarge as error:
        return events, parser.leftover, str(error)
    return events, parser.leftover, ""


@PROPERTY
@given(wire=WIRES, seed=st.integers(0, 2**32), limit=st.sampled_from([7, 20, 1 << 20]))
def test_events_are_those_of_the_whole_text_wherever_it_was_cut(
    sse: ModuleType, wire: bytes, seed: int, limit: int
) -> None:
    events, left, large = reference(wire, limit)
    rng = random.Random(seed)
    every = list(range(len(wire) + 1))
    for cuts in ([], rng.sample(every, min(3, len(every))), every):
        edges = [0, *sorted(cuts), len(wire)]
        told, over, words = parsed(sse, wire, edges, limit)
        assert told == events
        assert over == left
        assert words == (f"an event of the stream has more than {limit} bytes" if large else "")


@PROPERTY
@given(wire=st.binary(max_size=200), seed=st.integers(0, 2**32))
def test_any_bytes_parse(sse: ModuleType, wire: bytes, seed: int) -> None:
    events, left, _ = reference(wire, 1 << 20)
    cut = random.Random(seed).randint(0, len(wire))
    assert parsed(sse, wire, [0, cut, len(wire)], 1 << 20) == (events, left, "")


CASES: list[tuple[str, bytes, Events]] = [
    ("line ends of three kinds", b"data: a\n\ndata: b\r\n\r\ndata: c\r\r", [("", b"a"), ("", b"b"), ("", b"c")]),
    ("several data lines", b"data: a\ndata:\ndata:b\n\n", [("", b"a\n\nb")]),
    ("one space is dropped, a second is content", b"data:  a\n\n", [("", b" a")]),
    ("a name", b"event: delta\ndata: 1\n\ndata: 2\n\n", [("delta", b"1"), ("", b"2")]),
    ("the last name wins", b"event: a\nevent: b\ndata: 1\n\n", [("b", b"1")]),
    ("a name without data is nothing", b"event: a\n\ndata: 1\n\n", [("", b"1")]),
    ("comments", b": note\n\n:\ndata: 1\n: between\ndata: 2\n\n", [("", b"1\n2")]),
    ("a byte order mark first", b"\xef\xbb\xbfdata: 1\n\n", [("", b"1")]),
    ("U+2028 ends no line", "data: a\u2028b\n\n".encode(), [("", "a\u2028b".encode())]),
    ("NUL is a byte like others", b"data: a\x00b\nid: \x00\n\n", [("", b"a\x00b")]),
    ("the last blank line may be left off", b"data: 1\n\ndata: 2\n", [("", b"1"), ("", b"2")]),
    ("and the last line end", b"data: 1", [("", b"1")]),
    ("a field of errors", b'error: {"message":"no"}\n\n', [("error", b'{"message":"no"}')]),
    ("which data goes before", b"error: x\ndata: 1\n\n", [("", b"1")]),
    ("empty data is an event", b"data\n\ndata:\n\n", [("", b""), ("", b"")]),
]


@pytest.mark.parametrize(("wire", "events"), [pytest.param(wire, ev, id=name) for name, wire, ev in CASES])
def test_each_rule(sse: ModuleType, wire: bytes, events: Events) -> None:
    for edges in ([0, len(wire)], list(range(len(wire) + 1))):
        assert parsed(sse, wire, edges, 1 << 20)[0] == events


def test_what_is_no_field_is_kept_and_bounded(sse: ModuleType) -> None:
    parser = sse.EventParser()
    assert parser.feed(b'data: 1\n\n{"error": "no"}\n') == [("", b"1")]
    assert parser.leftover == b'{"error": "no"}\n'
    parser.feed(b"junk\n" * 10_000 + b"x" * 50_000 + b"\n" + b"junk\n" * 10_000)
    assert parser.leftover == b'{"error": "no"}\n' + b"junk\n" * 10_000  # no line after the one that had no room
    assert len(parser.leftover) <= _sse_py.LEFTOVER_MAX


def test_events_before_the_large_one_are_given_out_first(sse: ModuleType) -> None:
    parser = sse.EventParser(100)
    assert parser.feed(b"data: 1\n\ndata: " + b"x" * 200) == [("", b"1")]
    for call in (lambda: parser.feed(b"\n\n"), lambda: parser.feed(b""), parser.end):
        with pytest.raises(sse.EventTooLarge, match="more than 100 bytes"):
            call()


def test_a_large_line_is_refused_before_it_ends(sse: ModuleType) -> None:
    parser = sse.EventParser(1000)
    with pytest.raises(sse.EventTooLarge):
        all(parser.feed(b"x" * 100) == [] for _ in range(100))


def test_data_lines_add_up_to_the_bound(sse: ModuleType) -> None:
    assert sse.EventParser(11).feed(b"data: 12345\ndata: 67890\n\n") == [("", b"12345\n67890")]
    with pytest.raises(sse.EventTooLarge):
        sse.EventParser(11).feed(b"data: 12345\ndata: 678901\n\n")


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([b"data: a\r", b"\ndata: b\n\n"], [("", b"a\nb")]),
        ([b"data: a\r", b"data: b\r\r"], [("", b"a\nb")]),
        ([b"data: a\r", b"", b"\n\n"], [("", b"a")]),
        ([b"data: a\r", b"\r"], [("", b"a")]),
        ([b"data: a\n\r", b"\ndata: b\r", b"\n\r", b"\n"], [("", b"a"), ("", b"b")]),
    ],
)
def test_an_end_of_a_line_that_is_cut_is_one(sse: ModuleType, pieces: list[bytes], events: Events) -> None:
    parser = sse.EventParser()
    assert [event for piece in pieces for event in parser.feed(piece)] == events


def test_a_line_may_be_as_long_as_the_bound_and_a_mark_before_it_does_not_count(sse: ModuleType) -> None:
    bom = b"\xef\xbb\xbf"
    for before in (b"", bom):
        assert sse.EventParser(10).feed(before + b"data: 1234") == []
        assert sse.EventParser(10).feed(before + b"data: 1234\n\n") == [("", b"1234")]
        with pytest.raises(sse.EventTooLarge):
            sse.EventParser(10).feed(before + b"data: 12345\n\n")
    parser = sse.EventParser(10)
    assert parser.feed(b"data: 1\n\n" + b"data: 1234") == [("", b"1")]
    with pytest.raises(sse.EventTooLarge):
        parser.feed(b"5")
    with pytest.raises(sse.EventTooLarge):
        sse.EventParser(10).feed(bom + b"data: 123456")


def test_the_bound_is_of_each_event_and_each_line(sse: ModuleType) -> None:
    for name in (b"", b"event: e\n"):
        parser = sse.EventParser(11)
        for _ in range(5):
            assert len(parser.feed(name + b"data: 12345\ndata: 67890\n\n")) == 1
    parser = sse.EventParser(11)
    for _ in range(5):
        assert parser.feed(b"id: 1234567\n") == parser.feed(b"id: 12") == parser.feed(b"34567\n") == []


def test_a_name_that_is_no_text_is_one_with_marks(sse: ModuleType) -> None:
    assert sse.EventParser().feed(b"event: a\xff\ndata: 1\n\n") == [("a\ufffd", b"1")]


def test_comments_for_ever_need_no_memory(sse: ModuleType) -> None:
    parser = sse.EventParser(64)
    for _ in range(10_000):
        assert parser.feed(b": still here\n") == []
    assert parser.feed(b"data: 1\n\n") == [("", b"1")]


def test_a_long_line_in_small_pieces_costs_no_copy_each(sse: ModuleType) -> None:
    """8 MiB in 32,768 pieces: with a copy of the line for each, this would take minutes."""
    parser = sse.EventParser(1 << 30)
    parser.feed(b"data: ")
    for _ in range(1 << 15):
        parser.feed(b"x" * 256)
    assert len(parser.feed(b"\n\n")[0][1]) == 256 << 15


@pytest.mark.parametrize("given_as", [bytearray, memoryview])
def test_any_buffer_is_taken(sse: ModuleType, given_as: Any) -> None:
    assert sse.EventParser().feed(given_as(b"data: 1\n\n")) == [("", b"1")]


@pytest.mark.parametrize("wrong", ["data: 1\n\n", 5, None])
def test_what_is_no_buffer_is_refused(sse: ModuleType, wrong: Any) -> None:
    with pytest.raises(TypeError, match="bytes-like object is required"):
        sse.EventParser().feed(wrong)


@pytest.mark.parametrize(
    "record", [r for api in ("openai-chat", "anthropic", "gemini") for r in records(api, streamed=True)]
)
def test_recorded_streams(sse: ModuleType, record: Record) -> None:
    events, left, _ = reference(record.body, 1 << 23)
    rng = random.Random(record.name)
    cuts = sorted(rng.sample(range(len(record.body) + 1), min(20, len(record.body))))
    for edges in ([0, len(record.body)], [0, *cuts, len(record.body)]):
        assert parsed(sse, record.body, edges, 1 << 23) == (events, left, "")
