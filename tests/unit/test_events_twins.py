"""From an event stream's bytes to contents: both twins give the same, whatever comes and wherever it is cut."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell._speedups import _sse_py

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

#: The fixture that gives the twins is the same for every example.
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


class Piece(NamedTuple):
    text: str


class Reader:
    """Notes the values that it is given; a value that is "over" ends the answer, "wrong" is an error of it."""

    def __init__(self, typed: bool, quick: Any) -> None:
        self.typed, self.quick = typed, quick
        self.over = self.begun = False

    def read_all(self, values: Iterable[Any], out: list[Any]) -> None:
        for value in values:
            if self.begun and self.quick is not None and (text := self.quick(value)) is not None:
                out += [Piece(text)] if text else []
                continue
            self.begun = True
            told = value.get("told") if isinstance(value, dict) else value
            if told == "wrong":
                raise ValueError("wrong")
            out.append(value)
            self.over = self.over or told == "over"


def answer(module: ModuleType, pieces: list[bytes], typed: bool, quick: bool, most: int = 1000) -> list[Any]:
    """What *pieces* come to: all that a subclass and a reader were given, in order."""
    seen: list[Any] = []

    class Answer(module.Events):  # type: ignore[name-defined]
        def unusual(self, data: bytes, out: list[Any]) -> None:
            seen.append(("unusual", data))
            self.plain = None if data.isspace() else data.startswith(b"{")
            if not self.plain:
                self.several(self.parser.feed(data), out)

        def several(self, events: list[tuple[str, bytes]], out: list[Any]) -> None:
            for name, data in events:
                self.count += 1
                try:
                    value = orjson.loads(data) if typed or not name else None
                except orjson.JSONDecodeError:
                    value = None
                if value is None:
                    out.append((name, data))
                    continue
                if name and type(value) is dict:
                    value.setdefault("type", name)
                self.reader.read_all((value,), out)
                if typed and self.reader.over:
                    self.ended(out)
                    return

        def ended(self, out: list[Any]) -> None:
            out.append("ended")
            self.finished = True

        def fail(self, error: Exception) -> None:
            self.error, self.finished = str(error), True

    reader = Reader(typed, module.chat_text if quick else None)
    one = Answer(reader, module.EventParser(200), most, Piece)
    for piece in pieces:
        seen += one.feed(piece)
    return [*seen, one.count, one.error, one.finished, one.parser.leftover]


PARTS = st.sampled_from(
    [b"data: ", b"data:", b"event: a", b"event: ", b"event:b", b": note", b"id: 1", b"error: x", b"junk",
     b"\n", b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b"\r", b"{}", b'{"told":1}', b'{"told":"over"}', b'{"told":"wrong"}',
     b'{"type":"t"}', b"[DONE]", b"[1]", b"7", b"x" * 199, b"\xef\xbb\xbf", "é".encode(), b"\xff", b" "]
)  # fmt: skip
EVENTS = st.sampled_from(
    [b'data: {"told":1}\n\n', b'event: a\ndata: {}\n\n', b'data: {"told":2}\r\n\r\n', b"event: e\r\ndata: [1]\r\n\r\n",
     b'data: {"choices":[{"delta":{"content":"t"}}]}\n\n', b'data: {"choices":[{"delta":{"content":""}}]}\n\n',
     b'data: {"told":"wrong"}\n\n', b'event: z\ndata: {"told":"over"}\n\n', b"data: [DONE]\n\n"]
)  # fmt: skip
STREAMS = st.lists(st.lists(PARTS | EVENTS, max_size=4).map(b"".join) | EVENTS, max_size=12)


@PROPERTY
@given(pieces=STREAMS, typed=st.booleans(), quick=st.booleans(), most=st.integers(0, 9))
def test_any_bytes_come_to_the_same(sse: ModuleType, pieces: list[bytes], typed: bool, quick: bool, most: int) -> None:
    assert answer(sse, pieces, typed, quick, most) == answer(_sse_py, pieces, typed, quick, most)


@PROPERTY
@given(events=st.lists(EVENTS, max_size=6), cuts=st.lists(st.integers(0, 300)), typed=st.booleans())
def test_contents_are_those_of_the_whole_text_wherever_it_was_cut(
    sse: ModuleType, events: list[bytes], cuts: list[int], typed: bool
) -> None:
    def contents(pieces: list[bytes]) -> list[Any]:
        told = answer(sse, [b": begins\n\n", *pieces], typed, quick=True)
        # What was read one at a time and what in a batch differ in this test's own words alone.
        return [orjson.loads(one[1]) if type(one) is tuple and one[1] not in (b"[DONE]", b": begins\n\n") else one
                for one in told if type(one) is not Piece or one.text]  # fmt: skip

    whole = [event for event in events if b"over" not in event and b"wrong" not in event and b"DONE" not in event]
    text = b"".join(whole)
    edges = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    by_events, by_cuts = contents(whole), contents([text[a:b] for a, b in pairwise(edges)])
    assert by_events[-4:] == by_cuts[-4:]
    assert len([one for one in by_cuts if one != ("unusual", b": begins\n\n")]) >= 4


# ---- events that are the one before with another text

PLAIN = (b"a", b" the", b"zz", "é".encode(), b"x7", b"content")
ODD = (
    b"", b"\\n", b"\\u0041", b'\\"', b"\\\\", b"\\ud83d\\ude00", b"\\ud83d", b"\\x", b"\\", "\U0001f600".encode(),
    b"\xff", b"\xc3", b"\x01", b"\n", b"\r", b"\x7f", b'"', b'","role":"x', b'"}}]}\n\n', b"y" * 150,
    b"another text than any before",
)  # fmt: skip
ENDS = (b"\r\n\r\n", b"\n", b"\r\r", b"\n\r\n")
HEADS = (b"event: e\ndata: ", b"data:", b": note\ndata: ")
SKELETONS = [
    (b'{"id":"zz","choices":[{"delta":{"content":"', b'"}}]}'),
    (b'{"choices":[{"delta":{"content":"', b'"},"finish_reason":null}],"obfuscation":"', b'"}'),
    (b'{"choices":[{"delta":{"content":"', b'"}}],"p":"', b'","obfuscation":"', b'"}'),
    (b'{"p":"', b'","choices":[{"delta":{"content":"', b'"}}]}'),
    (b'{"choices":[{"delta":{"content":"', b'"},"index":"', b'"}]}'),
    (b'{"choices":[{"delta":{"content":"', b'"}}],"obfuscation":"', b'","error":null}'),
    (b'{"choices":[{"delta":{"content":"', b'","content":"', b'"}}]}'),
    (b'{"choices": [{"delta": {"content": "', b'"}}], "x": ["content":"a"]}'),
    (b'{"choices":[{"delta":{"content":"', b'"}}],"usage":{"', b'":1}}'),
]  # fmt: skip


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Answers whose events differ by a text, or hardly by more, a few in a piece."""
    skeleton = draw(st.sampled_from(SKELETONS))
    events = [b'data: {"begins":1}\n\n']
    for _ in range(draw(st.integers(3, 14))):
        rare = [not draw(st.integers(0, 5)) for _ in range(4)]
        if rare[0]:
            skeleton = draw(st.sampled_from(SKELETONS))
        body = skeleton[0] + b"".join(draw(st.sampled_from(ODD if rare[1] else PLAIN)) + part for part in skeleton[1:])
        events.append(
            (draw(st.sampled_from(HEADS)) if rare[2] else b"data: ")
            + body
            + (draw(st.sampled_from(ENDS)) if rare[3] else b"\n\n")
        )
    pieces, at = [b"data: 1\n\n"], 0
    while at < len(events):
        count = draw(st.sampled_from([1, 1, 1, 2, 5]))
        pieces.append(b"".join(events[at : at + count]))
        at += count
    if draw(st.booleans()):
        last = pieces.pop()
        cut = draw(st.integers(0, len(last)))
        pieces += [last[:cut], last[cut:]]
    return pieces


@PROPERTY
@given(pieces=alike(), typed=st.booleans(), most=st.integers(0, 20))
def test_events_that_differ_by_their_text_come_to_the_same(
    sse: ModuleType, pieces: list[bytes], typed: bool, most: int
) -> None:
    assert answer(sse, pieces, typed, True, most) == answer(_sse_py, pieces, typed, True, most)


@pytest.mark.parametrize("most", [5, 1000])
@pytest.mark.parametrize("skeleton", SKELETONS)
def test_an_odd_one_among_events_that_differ_by_their_text_comes_to_the_same(
    sse: ModuleType, skeleton: tuple[bytes, ...], most: int
) -> None:
    def event(*tokens: bytes) -> bytes:
        body = skeleton[0] + b"".join(token + part for token, part in zip(tokens, skeleton[1:], strict=True))
        return b"data: %b\n\n" % body

    holes = len(skeleton) - 1
    usual = [event(*[one] * holes) for one in (b"a", b"b", b"cc")]
    for odd in ODD:
        for hole in range(holes):
            tokens = [b"d"] * holes
            tokens[hole] = odd
            events = [*usual, event(*tokens), event(*[b"e"] * holes)]
            for pieces in (
                events,
                [*usual, b"".join(events)],
                [*usual, b"event: a\n", *events],
                [*usual, b"data: 1", *events],
            ):
                pieces = [b'data: {"begins":1}\n\n', *pieces]
                assert answer(sse, pieces, False, True, most) == answer(_sse_py, pieces, False, True, most)


def test_a_reader_that_is_no_longer_so_simple_is_asked_for_each_event(sse: ModuleType) -> None:
    class Changing(Reader):
        def read_all(self, values: Iterable[Any], out: list[Any]) -> None:
            out.append("asked")
            self.quick = None if self.begun else sse.chat_text
            self.begun = True

    class Answer(sse.Events):  # type: ignore[name-defined]
        def fail(self, error: Exception) -> None:
            raise error

    token = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    one = Answer(Changing(False, None), sse.EventParser(), 9, Piece)
    one.plain = False
    one.parser.feed(b"\n")
    events = [token % b"a", token % b"b", token % b"c", b"data: {}\n\n", token % b"d"]
    assert [one.feed(event) for event in events] == [["asked"], [("b",)], [("c",)], ["asked"], ["asked"]]


def test_no_more_events_are_taken_than_there_may_be(sse: ModuleType) -> None:
    class Answer(sse.Events):  # type: ignore[name-defined]
        def several(self, events: list[tuple[str, bytes]], out: list[Any]) -> None:
            out.append(len(events))

    token = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    one = Answer(Reader(False, sse.chat_text), sse.EventParser(), 4, Piece)
    one.plain = False
    one.parser.feed(b"\n")
    one.feed(b"data: {}\n\n")
    assert [one.feed(token % b"a") for _ in range(4)] == [[("a",)], [("a",)], [("a",)], [1]]


def test_a_string_that_looks_like_the_text_is_not_taken_for_it(sse: ModuleType) -> None:
    def event(decoy: bytes, text: bytes) -> bytes:
        return b'data: {"choices":[{"delta":{"content":"%b"}}],"x":"%b"}\n\n' % (text, decoy)

    # The text is written with an escape, so that it stands in the event once: as another string.
    texts = [(b"A", rb"\u0041"), (b"A", rb"\u0041"), (b"B", rb"\u0041"), (b"C", b"D"), (b"C", b"E")]
    pieces = [b"data: 1\n\n", *(event(*text) for text in texts)]
    told = answer(sse, pieces, typed=False, quick=True)
    assert [one.text for one in told if type(one) is Piece] == ["A", "A", "A", "D", "E"]


def test_a_token_at_a_time_is_a_content_of_the_kind_that_was_asked_for(sse: ModuleType) -> None:
    def token(text: str) -> bytes:
        return b"data: %b\n\n" % orjson.dumps({"choices": [{"delta": {"content": text}}]})

    first, *others = token("first"), token("a"), token(""), token("é"), token("b")
    told = answer(sse, [b"data: 1\n\n", first, *others], typed=False, quick=True)
    assert told[:2] == [("unusual", b"data: 1\n\n"), 1]
    assert told[2:6] == [Piece("first"), Piece("a"), Piece("é"), Piece("b")]
    assert {type(one) for one in told[2:6]} == {Piece}
    assert told[6:9] == [6, None, False]


def test_what_the_subclass_or_the_reader_raises_is_told_to_it(sse: ModuleType) -> None:
    told = answer(sse, [b"data: 1\n\n", b'data: {"told":"wrong"}\n\n', b"data: 2\n\n"], typed=False, quick=False)
    assert told[-3:-1] == ["wrong", True]
    assert ("", b"2") not in told

    class Strict(sse.Events):  # type: ignore[name-defined]
        def fail(self, error: Exception) -> None:
            raise error

    strict = Strict(Reader(False, None), sse.EventParser(), 9, Piece)
    strict.plain = False
    with pytest.raises(ValueError, match="wrong"):
        strict.feed(b'data: {"told":"wrong"}\n\n')


def test_contents_leak_nothing(sse: ModuleType) -> None:
    import gc
    import sys

    data = b'data: {"choices":[{"delta":{"content":"the same text"}}]}\n\n'
    for _ in range(3):
        answer(sse, [b"data: 1\n\n", *[data] * 100], typed=False, quick=True)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        answer(sse, [b"data: 1\n\n", *[data] * 100], typed=False, quick=True)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


# ---- what a chunk of chat is

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "content"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "content", "usage", "index", "finish_reason", "error", "role"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(
        st.fixed_dictionaries(
            {"delta": st.fixed_dictionaries({"content": st.sampled_from(["", "x"]) | JSON}, optional={"role": JSON})
             | JSON},
            optional={"index": JSON, "finish_reason": JSON, "logprobs": JSON},
        ) | JSON, min_size=0, max_size=2,
    ) | JSON},
    optional={"usage": JSON, "error": JSON, "id": JSON},
)  # fmt: skip


@PROPERTY
@given(value=CHUNKS | JSON)
def test_a_chunk_is_plain_text_for_both_or_for_none(sse: ModuleType, value: Any) -> None:
    assert sse.chat_text(value) == _sse_py.chat_text(value)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "x"),
        ({"usage": None, "id": "1"}, "x"),
        ({"usage": {}}, None),
        ({"error": None}, None),
        ({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}, None),
        ({"choices": [{"delta": {"content": "x"}, "finish_reason": None, "index": 0}]}, "x"),
        ({"choices": [{"delta": {"content": "x"}, "index": 1}]}, None),
        ({"choices": [{"delta": {"content": "x", "role": "assistant"}}]}, None),
        ({"choices": [{"delta": {"content": None}}]}, None),
        ({"choices": [{"delta": {"content": ""}}]}, ""),
        ({"choices": [{"delta": {"content": "x"}}] * 2}, None),
        ({"choices": []}, None),
    ],
)
def test_which_chunks_are_plain_text(sse: ModuleType, more: dict[str, Any], text: str | None) -> None:
    assert sse.chat_text({"choices": [{"delta": {"content": "x"}}], **more}) == text
