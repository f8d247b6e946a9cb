"""Reads an answer of status 200, cut anywhere: bytes to values, and each dialect's reader makes contents of them.

An answer is an event stream, lines of JSON (Ollama's), or one JSON value, asked for or not. Source: WIRE.md §1, §2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import orjson
from orjson import loads

from llmspell._speedups import EventParser, Events, EventTooLarge
from llmspell.errors import LLMSpellError, ProviderError, StreamTruncatedError, one_line
from llmspell.types.streaming import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmspell.types.streaming import ChunkContent

__all__ = ["MAX_REPLY", "AnswerReader", "LineReading", "Reader", "Reading", "failure", "truncated"]

MAX_EVENTS = 2_000_000  # of one answer
MAX_REPLY = 32 * 1024 * 1024  # bytes of an answer that is no event stream
MAX_LINE = 16 * 1024 * 1024  # bytes of one line of JSON
MOST_ITEMS = 4096  # calls, or items of another kind, of one answer: a new one is compared with those before it


class Reader(Protocol):
    """What a dialect makes of the values of one answer. What fails is raised, once what came before it is given out.

    over: the protocol's own last word came, so nothing more is read. complete: the answer may end here. typed: the
    values name their own type, which is the event's name where they do not. quick: see `Events`.
    """

    provider: str
    model: str
    metadata: dict[str, Any]
    key_env: str | None
    secrets: tuple[str, ...]
    typed: bool
    quick: Callable[[Any], str | None] | None

    @property
    def over(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the values of a stream add."""

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What an answer that is one value holds."""

    def done(self) -> None:
        """The end mark `[DONE]` was seen."""

    def end(self) -> list[ChunkContent]:
        """The transport has ended: each tool call whole, then "stream_end"."""


class AnswerReader:
    """A Reader's beginning and end, which are the same for most dialects: who asked, and that an end is told once.

    A dialect sets `over`, and adds `complete`, `read_all` and `whole`, and `_last`: what its end is. An error that it
    reads in an answer is raised by `_raise`, and again by whatever is asked afterwards.
    """

    __slots__ = ("_ended", "_error", "key_env", "metadata", "model", "over", "provider", "quick", "secrets")

    typed = False

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        self.provider = provider
        self.model = model
        self.key_env = key_env
        self.secrets = secrets
        self.metadata: dict[str, Any] = {}
        self.over = False  # whether the protocol's own last word came
        self.quick: Callable[[Any], str | None] | None = None
        self._ended = False
        self._error: LLMSpellError | None = None

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        raise NotImplementedError

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the values of a stream add."""
        raise NotImplementedError

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What an answer that is one value holds."""
        raise NotImplementedError

    def done(self) -> None:
        """The mark `[DONE]`, which is of other dialects."""

    def end(self) -> list[ChunkContent]:
        """Each tool call whole, then "stream_end". Raises StreamTruncatedError where the end was not seen."""
        if self._ended:
            return []
        if self._error is not None:
            raise self._error
        if not self.complete:
            raise truncated(self)
        self._ended = True
        return self._last()

    def _last(self) -> list[ChunkContent]:
        raise NotImplementedError

    def _room(self, there: int) -> None:
        """Asked before one more call, or item, is added. Raises ProviderError where there are too many."""
        if there >= MOST_ITEMS:
            self._error = ProviderError(
                f"{self.provider or 'the service'} sent more than {MOST_ITEMS} calls or items in one answer",
                hint="check what answers at `base_url`",
                **_about(self),
            )
            raise self._error

    def _raise(self, value: Any) -> NoReturn:
        self._error = failure(self, value)
        raise self._error


class Reading(Events):
    """One answer of status 200: `feed` its bytes as they come, cut anywhere, then `end`.

    Both give the contents that came, and never raise: what failed stands in `error` and is for the caller to raise
    once the contents are delivered. `finished` is true when nothing more of the answer is wanted. An answer that is
    one JSON value, asked for or not, is read as a whole reply.
    """

    __slots__ = ("_bare", "_size")

    error: LLMSpellError | None
    reader: Reader

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader, EventParser(), MAX_EVENTS, Text)
        self._bare: list[bytes] = []
        self._size = 0

    @property
    def metadata(self) -> dict[str, Any]:
        """What the service told of the answer so far."""
        return self.reader.metadata

    def unusual(self, data: bytes, out: list[ChunkContent]) -> None:
        """The first bytes, and those of an answer in one piece."""
        if self.plain is None:
            start = data.lstrip()[:1]
            self.plain = start in (b"{", b"[") if start else None
        if self.plain:
            self._keep(data)
        else:
            self.several(self.parser.feed(data), out)

    def end(self) -> list[ChunkContent]:
        """What is left when the transport has ended; afterwards the answer is `finished`, well or in error."""
        out: list[ChunkContent] = []
        if self.finished:
            return out
        try:
            if self.plain:
                self._reply(out)
            else:
                self.several(self.parser.end(), out, last=True)
                if not self.finished and not self.reader.complete:
                    self._aside()
            self._over(out, last=True)
        except Exception as error:
            self.fail(error)
        return out

    def fail(self, error: Exception) -> None:
        """What is wrong with the answer stands in `error` from now on; all else is raised."""
        if isinstance(error, EventTooLarge):
            error = self._too_much(f"an event of more than {self.parser.max_event >> 20} MiB")
        elif not isinstance(error, LLMSpellError):
            raise error
        self.error = error
        self.finished = True

    def ended(self, out: list[ChunkContent]) -> None:
        """The protocol's own last word came."""
        if not self.finished:
            out += self.reader.end()
            self.finished = True

    def _over(self, out: list[ChunkContent], *, last: bool = False) -> None:
        if last or self.reader.over:
            self.ended(out)

    def several(self, events: list[tuple[str, bytes]], out: list[ChunkContent], *, last: bool = False) -> None:
        """Events that are not one of JSON."""
        self.count += len(events)
        if self.count > self.most:
            raise self._too_much(f"more than {self.most} events")
        if self.reader.typed:
            self._take_typed(events, out, last=last)
        else:
            self._take_untyped(events, out, last=last)

    def _take_untyped(self, events: list[tuple[str, bytes]], out: list[ChunkContent], *, last: bool) -> None:
        while events and not self.finished:
            names, datas = zip(*events, strict=True)
            count = names.index("error") if "error" in names else len(names)
            if count == 0:
                raise failure(self.reader, _json_or_text(datas[0]))
            texts = iter(datas[:count])
            try:
                # One at a time from bytes to contents: values that lie about in a list cost twice as much.
                self.reader.read_all(map(loads, texts), out)
            except orjson.JSONDecodeError:
                count -= sum(1 for _ in texts)
                self._no_value(datas[count - 1], out, last=last)
            events = events[count:]

    def _take_typed(self, events: list[tuple[str, bytes]], out: list[ChunkContent], *, last: bool) -> None:
        reader, at = self.reader, 0

        def values() -> Iterable[Any]:
            nonlocal at
            for name, data in events[at:]:
                at += 1
                value = loads(data)
                if name and type(value) is dict and "type" not in value:
                    value["type"] = name
                yield value
                if reader.over:
                    return

        while at < len(events) and not self.finished:
            try:
                reader.read_all(values(), out)
            except orjson.JSONDecodeError:
                name, data = events[at - 1]
                if name == "error":
                    raise failure(reader, _json_or_text(data)) from None
                self._no_value(data, out, last=last)
            self._over(out)

    def _no_value(self, data: bytes, out: list[ChunkContent], *, last: bool) -> None:
        """An event that is no JSON: the end mark, or nothing, or what should not be."""
        if data.strip() == b"[DONE]":
            self.reader.done()
            self._over(out, last=True)
        elif data.strip():
            raise self._cut_short() if last else self._no_json(data)  # at the transport's end it may be half an event

    def _keep(self, data: bytes) -> None:
        self._bare.append(data)
        self._size += len(data)
        if self._size > MAX_REPLY:
            raise self._too_much(f"an answer of more than {MAX_REPLY >> 20} MiB in one piece")

    def _reply(self, out: list[ChunkContent]) -> None:
        """The whole answer as one JSON value."""
        text = b"".join(self._bare)
        try:
            value = loads(text)
        except ValueError:
            raise self._cut_short() from None
        if not any(isinstance(one, dict) for one in (value if isinstance(value, list) else [value])):
            raise self._no_json(text)
        self.reader.whole(value, out)

    def _aside(self) -> None:
        """An error may stand as bare JSON among the events; and a web page is no event stream. Source: WIRE.md §1."""
        text = self.parser.leftover.strip()
        if text.startswith(b"<") and self.count == 0:
            raise self._no_json(text)
        for start in (b"{", b"["):
            try:
                value = loads(text[text.index(start) :])
            except ValueError:
                continue
            one = value[0] if isinstance(value, list) and value else value
            if isinstance(one, dict) and "error" in one:
                raise failure(self.reader, one)

    def _cut_short(self) -> StreamTruncatedError:
        return truncated(self.reader, "within a piece")

    def _no_json(self, data: bytes) -> ProviderError:
        excerpt = one_line(data[:200].decode("utf-8", "replace"), 80)
        return ProviderError(
            f"{self.reader.provider or 'the service'} sent what is no model's answer: {excerpt}",
            hint="check that `base_url` is that of a service of this type",
            **_about(self.reader),
        )

    def _too_much(self, what: str) -> ProviderError:
        return ProviderError(
            f"{self.reader.provider or 'the service'} sent {what}",
            hint="ask for a shorter answer (`max_tokens`), or check what answers at `base_url`",
            **_about(self.reader),
        )


class LineReading(Reading):
    """The same of an answer in lines of JSON; one that is a single value is a line of it."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[ChunkContent]:
        """What *data* completes; nothing once `finished`."""
        out: list[ChunkContent] = []
        if self.finished:
            return out
        try:
            self._lines(data, out)
        except Exception as error:
            self.fail(error)
        return out

    def end(self) -> list[ChunkContent]:
        """What is left when the transport has ended; afterwards the answer is `finished`, well or in error."""
        out: list[ChunkContent] = []
        if self.finished:
            return out
        try:
            rest = b"".join(self._bare)
            if rest.strip():
                self._line(rest, out, last=True)
            self._over(out, last=True)
        except Exception as error:
            self.fail(error)
        return out

    def _lines(self, data: bytes, out: list[ChunkContent]) -> None:
        size = len(data)
        if not self._size and 0 < data.find(b"\n") == size - 1 < MAX_LINE and not data.isspace():  # a token at a time
            self._count(1)
            self._line(data, out)
            return
        first, *others = data.split(b"\n")
        self._bare.append(first)
        self._size += len(first)
        if self._size > MAX_LINE:
            raise self._too_much(f"a line of more than {MAX_LINE >> 20} MiB")
        if not others:
            return
        lines = [b"".join(self._bare), *others]
        self._bare, self._size = [lines[-1]], len(lines[-1])
        self._count(len(others))
        del lines[-1]
        reader, at = self.reader, -1

        def values() -> Iterable[Any]:
            nonlocal at
            for line in lines:
                at += 1
                if line and not line.isspace():
                    yield loads(line)
                    if reader.over:
                        return

        try:
            reader.read_all(values(), out)
        except orjson.JSONDecodeError:
            raise self._no_json(lines[at]) from None
        self._over(out)

    def _count(self, lines: int) -> None:
        self.count += lines
        if self.count > MAX_EVENTS:
            raise self._too_much(f"more than {MAX_EVENTS} lines")

    def _line(self, line: bytes, out: list[ChunkContent], *, last: bool = False) -> None:
        try:
            value = loads(line)
        except orjson.JSONDecodeError:
            cut = last and line.lstrip()[:1] == b"{"
            raise (self._cut_short() if cut else self._no_json(line)) from None
        self.reader.read_all((value,), out)
        if self.reader.over:
            self._over(out)


def failure(reader: Reader, body: Any) -> LLMSpellError:
    """The error that *body* (an error member, or what an event named "error" holds) means, inside an answer."""
    from llmspell.providers.wire_errors import from_error

    return from_error(
        body,
        status=None,
        headers={},
        provider=reader.provider,
        model=reader.model,
        key_env=reader.key_env,
        secrets=reader.secrets,
    )


def truncated(reader: Reader, where: str = "before its end") -> StreamTruncatedError:
    """The error of an answer that stopped without its protocol's own end."""
    return StreamTruncatedError(
        f"the answer of {reader.provider or 'the model'} stopped {where}",
        hint="try again; what came is in the error's `partial`",
        **_about(reader),
    )


def _about(reader: Reader) -> Mapping[str, Any]:
    return {"provider": reader.provider or None, "model": reader.model or None}


def _json_or_text(data: bytes) -> Any:
    try:
        return loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
