"""What the soak's server does to an answer: each fault as a plan, and what may come of it, streamed and in one piece.

An outcome is "ok" or the kind of an error. A fault that a client cannot see, such as a cut between two pieces, has
"ok" alone; where it is the peer's word against the connection's end, several kinds may be.
"""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from support.dialects import DIALECTS, PIECES, TEXT
from support.loopback import CLOSE, RESET, STALL, chunked, head
from support.tool_turns import CALLING, RESULTS

if TYPE_CHECKING:
    from random import Random

__all__ = ["FAULTS", "GARBLED", "STALLS", "TEXT", "Answer", "Fault", "answer_for"]

JSON = "application/json"
HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1><p>nginx</p></body></html>"
CHARACTER = "世".encode()


class Answer(NamedTuple):
    """What would be said without a fault.

    body: all of it. end: where its end mark begins in it, or its length where it has none. type: of the content.
    error: an error as this dialect has it within a stream.
    """

    dialect: str
    streamed: bool
    body: bytes
    end: int
    type: str
    error: bytes

    def head(self, status: int = 200, **headers: str) -> bytes:
        return head(status, {"content-type": self.type, **{name.replace("_", "-"): v for name, v in headers.items()}})


def _readable(body: bytes) -> bytes:
    """JSON with its characters as they are, so that there is one to be cut."""
    return json.dumps(json.loads(body), ensure_ascii=False).encode()


def _longer(dialect: str, times: int) -> bytes:
    """The stream of a dialect with its pieces of text said so many times."""
    made = DIALECTS[dialect]
    mark = b"\n" if dialect == "ollama" else b"\r\n\r\n" if dialect == "gemini" else b"\n\n"
    told = [one + mark for one in made.stream.split(mark) if one]
    at = [i for i, one in enumerate(told) if any(piece.encode() in one for piece in PIECES)]
    return b"".join([*told[: at[0]], *told[at[0] : at[-1] + 1] * times, *told[at[-1] + 1 :]])


def _json_answer(dialect: str, streamed: bool) -> tuple[bytes, bytes]:
    """The text of a structured answer in place of the usual one."""
    made = DIALECTS[dialect]
    pieces = ['{"name": "Ærø 世"', ', "tags": ["a", ', '"b"]}']
    if not streamed:
        whole = json.loads(made.whole)
        return json.dumps(_swapped(whole, {TEXT: "".join(pieces)}), ensure_ascii=False).encode(), b""
    swaps = {json.dumps(old, ensure_ascii=False)[1:-1]: new for old, new in zip((*PIECES,), pieces, strict=True)}
    stream, end = made.stream.decode(), made.end.decode()
    end = end.replace(TEXT, json.dumps("".join(pieces), ensure_ascii=False)[1:-1])
    for old, new in swaps.items():
        stream = stream.replace(f'"{old}"', json.dumps(new, ensure_ascii=False))
    return stream.encode(), end.encode()


def _swapped(value: Any, swaps: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _swapped(one, swaps) for key, one in value.items()}
    if isinstance(value, list):
        return [_swapped(one, swaps) for one in value]
    return swaps.get(value, value) if isinstance(value, str) else value


def _has_results(dialect: str, sent: Any) -> bool:
    """Whether a request tells of what tools gave."""
    if dialect == "anthropic" and isinstance(sent["messages"][-1]["content"], str):
        return False
    return bool(RESULTS[dialect](sent))


def answer_for(dialect: str, content: str, sent: Any, *, streamed: bool) -> Answer:
    """What a service says to *sent*. content: `text`, `long`, `json`, or `tools`: a call first, then the text."""
    made = DIALECTS[dialect]
    type_ = made.type if streamed else JSON
    body, end = (made.stream, made.end) if streamed else (_readable(made.whole), b"")
    if content == "tools" and not _has_results(dialect, sent):
        calls = [("c1", "calculator", {"input": "6 * 7"}), ("c2", "shout", {"text": "Grüße 世"})]
        stream, whole = CALLING[dialect](calls, "one moment, 世")
        body, end = (stream, b"") if streamed else (_readable(whole), b"")
    elif content == "json":
        body, end = _json_answer(dialect, streamed)
    elif content == "long" and streamed:
        body = _longer(dialect, 80)
    return Answer(dialect, streamed, body + end, len(body), type_, made.error)


# ---- plans: an answer and chance → steps of a Loopback


Plan = "Callable[[Answer, Random], list[Any]]"


class Fault(NamedTuple):
    """plan: what is done. streamed, whole: what may come of it, where the answer is a stream and where it is not."""

    plan: Any
    streamed: frozenset[str]
    whole: frozenset[str]


def _cuts(body: bytes, dice: Random, most: int) -> list[bytes]:
    """*body* in up to *most* pieces, cut anywhere: also within characters."""
    at = sorted({0, len(body), *(dice.randrange(len(body) + 1) for _ in range(dice.randint(1, most)))})
    return [body[a:b] for a, b in pairwise(at)]


def _some(body: bytes, dice: Random) -> bytes:
    """A part of *body* that ends before its middle, and is not nothing."""
    return body[: dice.randint(1, max(1, len(body) // 2))]


def _none(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked([answer.body])]


def _sized(answer: Answer, dice: Random) -> list[Any]:
    return [head(200, {"content-type": answer.type}, size=len(answer.body)), answer.body]


def _pieces(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked(_cuts(answer.body, dice, 30))]


def _paced(answer: Answer, dice: Random) -> list[Any]:
    steps: list[Any] = [answer.head()]
    for piece in chunked(_cuts(answer.body, dice, 12)):
        steps += [piece, dice.random() * 0.02]
    return steps


def _slow_body(answer: Answer, dice: Random) -> list[Any]:
    data = answer.head() + b"".join(chunked([answer.body]))
    steps: list[Any] = []
    for piece in _cuts(data, dice, 40):
        steps += [piece, 0.005]
    return steps


def _gzip(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(content_encoding="gzip"), *chunked(_cuts(gzip.compress(answer.body), dice, 8))]


def _gzip_broken(answer: Answer, dice: Random) -> list[Any]:
    data = bytearray(gzip.compress(answer.body))
    data[dice.randrange(12, len(data) - 9)] ^= 0xFF
    return [answer.head(content_encoding="gzip"), *chunked([bytes(data)])]


def _gzip_cut(answer: Answer, dice: Random) -> list[Any]:
    data = gzip.compress(answer.body)
    return [answer.head(content_encoding="gzip"), *chunked([data[: len(data) // 2]])]


def _cut_at_once(answer: Answer, dice: Random) -> list[Any]:
    return [CLOSE]


def _reset_at_once(answer: Answer, dice: Random) -> list[Any]:
    return [RESET]


def _cut_in_headers(answer: Answer, dice: Random) -> list[Any]:
    return [_some(answer.head(), dice), CLOSE]


def _cut_after_headers(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), CLOSE]


def _cut_in_chunk(answer: Answer, dice: Random) -> list[Any]:
    framed = b"".join(chunked(_cuts(answer.body, dice, 5), end=False))
    return [answer.head(), framed[: dice.randint(1, len(framed) - 3)], CLOSE]


def _cut_in_character(answer: Answer, dice: Random) -> list[Any]:
    at = answer.body.index(CHARACTER) + dice.randint(1, 2)
    return [answer.head(), *chunked([answer.body[:at]], end=dice.random() < 0.5), CLOSE]


def _cut_before_end(answer: Answer, dice: Random) -> list[Any]:
    """All that was to be said, and no end mark, though HTTP's own is there; of an answer in one piece its last half."""
    said = answer.body[: answer.end] if answer.streamed else _some(answer.body, dice)
    return [answer.head(), *chunked([said])]


def _cut_short(answer: Answer, dice: Random) -> list[Any]:
    """Less than its content length."""
    size = len(answer.body)
    return [head(200, {"content-type": answer.type}, size=size + 10), answer.body[: size // 2], CLOSE]


def _reset_in_body(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked([_some(answer.body, dice)], end=False), 0.005, RESET]


def _stall_at_once(answer: Answer, dice: Random) -> list[Any]:
    return [STALL]


def _stall_in_headers(answer: Answer, dice: Random) -> list[Any]:
    return [_some(answer.head(), dice), STALL]


def _stall_after_headers(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), STALL]


def _stall_in_body(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked([_some(answer.body, dice)], end=False), STALL]


def _stall_before_end(answer: Answer, dice: Random) -> list[Any]:
    body = answer.body[: answer.end] if answer.streamed else answer.body[:-1]
    return [answer.head(), *chunked([body], end=False), STALL]


def _garbage(answer: Answer, dice: Random) -> list[Any]:
    """Nothing of HTTP at all."""
    return [dice.randbytes(dice.randint(1, 3000)), CLOSE]


def _garbage_body(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked([dice.randbytes(dice.randint(1, 3000))])]


def _garbage_within(answer: Answer, dice: Random) -> list[Any]:
    """Random bytes in the midst of the answer."""
    at = dice.randint(1, answer.end - 1)
    junk = bytes(b for b in dice.randbytes(200) if b not in b"\r\n")
    return [answer.head(), *chunked([answer.body[:at], junk, answer.body[at:]])]


def _bad_chunk_size(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked([_some(answer.body, dice)], end=False), b"zz\r\nwhat\r\n", CLOSE]


def _huge_chunk_size(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), b"f" * dice.choice((16, 17, 400)) + b"\r\n" + _some(answer.body, dice), CLOSE]


def _html(answer: Answer, dice: Random) -> list[Any]:
    return [head(200, {"content-type": "text/html"}), *chunked([HTML])]


def _empty(answer: Answer, dice: Random) -> list[Any]:
    return [answer.head(), *chunked([])]


def _many_headers(answer: Answer, dice: Random) -> list[Any]:
    lines = b"".join(b"x-%d: %b\r\n" % (n, b"v" * 1000) for n in range(2000))
    return [b"HTTP/1.1 200 OK\r\n" + lines, STALL]


def _error_within(answer: Answer, dice: Random) -> list[Any]:
    body = _some(answer.body, dice)
    if answer.streamed:
        cut = answer.body.find(b"\n", answer.end // 3) + 1
        while answer.dialect != "ollama" and not answer.body[:cut].replace(b"\r", b"").endswith(b"\n\n"):
            cut = answer.body.find(b"\n", cut) + 1
        body = answer.body[:cut]
        return [answer.head(), *chunked([body, answer.error])]
    return [head(429, {"content-type": JSON}), *chunked([b'{"error": {"message": "slow down"}}'])]


def _redirect(answer: Answer, dice: Random) -> list[Any]:
    status = dice.choice((301, 302, 303, 307, 308))
    return [head(status, {"location": "/elsewhere", "content-type": JSON}, size=2), b"{}"]


def _status(status: int, **headers: str) -> Any:
    def plan(answer: Answer, dice: Random) -> list[Any]:
        html = dice.random() < 0.3
        body = HTML if html else json.dumps({"error": {"message": f"status {status}", "code": status}}).encode()
        told = {"content-type": "text/html" if html else JSON}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return [head(status, told), *chunked([body])]

    return plan


class _Flaky:
    """Refuses every other time, whoever asks."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, answer: Answer, dice: Random) -> list[Any]:
        self.asked += 1
        if self.asked % 2:
            return list(dice.choice((_status(503), _status(429, retry_after="0"), _cut_at_once))(answer, dice))
        return _pieces(answer, dice)


def _may(*both: str, streamed: tuple[str, ...] | None = None) -> tuple[frozenset[str], frozenset[str]]:
    whole = frozenset(both)
    return (whole if streamed is None else frozenset(streamed)), whole


#: Those after which a stream that ends well may say something else: an event stream may have lines of any kind between,
#: and gzip's own checksum comes after the protocol's end mark.
GARBLED = ("garbage-within", "gzip-broken")
_CUT = _may("stream_truncated", "network", "provider")
#: By name, which a request has in its model's name.
FAULTS: dict[str, Fault] = {
    "none": Fault(_none, *_may("ok")),
    "sized": Fault(_sized, *_may("ok")),
    "pieces": Fault(_pieces, *_may("ok")),
    "paced": Fault(_paced, *_may("ok")),
    "slow-body": Fault(_slow_body, *_may("ok")),
    "gzip": Fault(_gzip, *_may("ok")),
    "gzip-broken": Fault(
        _gzip_broken,
        *_may("stream_truncated", "network", "provider", streamed=("ok", "stream_truncated", "network", "provider")),
    ),
    "gzip-cut": Fault(_gzip_cut, *_CUT),
    "cut-at-once": Fault(_cut_at_once, *_may("network")),
    "reset-at-once": Fault(_reset_at_once, *_may("network")),
    "cut-in-headers": Fault(_cut_in_headers, *_CUT),
    "cut-after-headers": Fault(_cut_after_headers, *_CUT),
    "cut-in-chunk": Fault(_cut_in_chunk, *_CUT),
    "cut-in-character": Fault(_cut_in_character, *_CUT),
    "cut-before-end": Fault(_cut_before_end, *_CUT),
    "cut-short": Fault(_cut_short, *_CUT),
    "reset-in-body": Fault(_reset_in_body, *_CUT),
    "stall-at-once": Fault(_stall_at_once, *_may("timeout")),
    "stall-in-headers": Fault(_stall_in_headers, *_may("timeout")),
    "stall-after-headers": Fault(_stall_after_headers, *_may("timeout")),
    "stall-in-body": Fault(_stall_in_body, *_may("timeout")),
    "stall-before-end": Fault(_stall_before_end, *_may("timeout")),
    "garbage": Fault(_garbage, *_CUT),
    "garbage-body": Fault(_garbage_body, *_CUT),
    "garbage-within": Fault(
        _garbage_within,
        *_may("stream_truncated", "network", "provider", streamed=("ok", "stream_truncated", "network", "provider")),
    ),
    "bad-chunk-size": Fault(_bad_chunk_size, *_CUT),
    "huge-chunk-size": Fault(_huge_chunk_size, *_CUT),
    "html": Fault(_html, *_CUT),
    "empty": Fault(_empty, *_CUT),
    "many-headers": Fault(_many_headers, *_may("network", "provider")),
    "error-within": Fault(_error_within, *_may("rate_limit")),
    "redirect": Fault(_redirect, *_may("provider")),
    "status-400": Fault(_status(400), *_may("provider", "validation")),
    "status-401": Fault(_status(401), *_may("auth")),
    "status-404": Fault(_status(404), *_may("not_found")),
    "status-429": Fault(_status(429, retry_after="0"), *_may("rate_limit")),
    "status-500": Fault(_status(500), *_may("provider")),
    "status-503": Fault(_status(503), *_may("provider")),
    "flaky": Fault(_Flaky(), *_may("ok", "provider", "rate_limit", "network")),
}
#: Those that only a limit of time ends.
STALLS = [name for name in FAULTS if name.startswith("stall")]
