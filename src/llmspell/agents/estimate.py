"""How much a call may take, before it is sent: what it reads, estimated, and what its answer may have at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.types.media import Media

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmspell.providers.base import ModelCall, ProviderInstance
    from llmspell.types.price import Price

__all__ = ["UNKNOWN_OUTPUT", "Need", "input_tokens", "need_of", "text_tokens"]

#: Of an answer of a model whose limit nobody knows, where a call sets none: it is sent with this one.
UNKNOWN_OUTPUT = 4096
#: Tokens of a picture, and the least of any other medium: more than most services count.
IMAGE = 2000
#: Bytes of sound, film or a document to a token: as little as the densest of them have.
MEDIUM_BYTES = 64
#: Tokens around a message, and around a request.
PER_MESSAGE, PER_CALL = 8, 16
#: Members of a request's body that say how long an answer may be, and how many there are to be.
_LONGEST = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")
_ANSWERS = ("n", "candidateCount", "best_of")


class Need(NamedTuple):
    """What a call may take. input, output: tokens; of the output, at most.

    fixed: the caller said how long the answer may be. capped: where the caller said nothing, whether the request must
    say it, since neither the model nor the provider stops there. price: of the model, None where nobody knows it.
    model: the one that the price is of; swapped: the request's body names it, over the call's own.
    """

    input: int
    output: int
    fixed: bool
    capped: bool
    price: Price | None
    model: str
    swapped: bool = False


def text_tokens(size: int) -> int:
    """Of a text of *size* bytes of UTF-8: two to five bytes. English has about four bytes to a token, code three, and
    Chinese two to three, so that it is seldom less than the truth, and seldom more than twice it."""
    return -(-size * 2 // 5)


def input_tokens(call: ModelCall) -> int:
    """What *call* reads: messages, tools, the form of its answer, and what is added to its body."""
    size, tokens = 0, PER_CALL
    for message in call.messages:
        tokens += PER_MESSAGE
        own = 0
        for part in message.parts:
            if isinstance(part, Media):
                tokens += _medium(part)
            else:
                own += _bytes(part)
        size += max(own, _json(dict(message.native)))  # which goes in its place
        for asked in message.tool_calls:
            tokens += PER_MESSAGE
            size += _bytes(asked.name) + _json(asked.arguments if asked.arguments is not None else asked.raw)
    for tool in call.tools:
        tokens += PER_MESSAGE
        size += _json(tool._asdict())
    if call.schema is not None:
        size += _json(call.schema._asdict())
    if call.body:
        size += _json(dict(call.body))
    return tokens + text_tokens(size)


def need_of(provider: ProviderInstance, call: ModelCall) -> Need:
    """What *call* may take of *provider*."""
    model = call.model
    if isinstance(other := call.body.get("model"), str):  # an agent's `extra` goes over all else
        model = other
    told = [value for value in _found(call.body, _LONGEST) if value > 0]
    output = call.parameters.max_tokens if not told else max(told)
    answers = max([1, *_found(call.body, _ANSWERS)])
    fixed = output is not None
    capped = False
    if output is None:
        known = provider.usual_output or provider.capabilities(model).max_output_tokens
        output, capped = known or UNKNOWN_OUTPUT, known is None
    price = provider.price(model)
    swapped = model != call.model
    return Need(input_tokens(call), output * answers, fixed or answers > 1, capped, price, model, swapped)


def texts_need(provider: ProviderInstance, model: str, texts: Sequence[str]) -> Need:
    """What it may take to turn *texts* into vectors."""
    read = PER_CALL + sum(text_tokens(_bytes(text)) + 1 for text in texts)
    return Need(read, 0, True, False, provider.price(model), model)


def _found(body: Mapping[str, Any], names: Sequence[str], depth: int = 2) -> list[int]:
    """The whole numbers under *names* in a body, and in the tables of it."""
    found: list[int] = []
    for name, value in body.items():
        if name in names and isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append(int(value) if value < 1e12 else 10**12)
        elif isinstance(value, dict) and depth:
            found += _found(value, names, depth - 1)
    return found


def _medium(medium: Media) -> int:
    size = medium.size or 0
    return IMAGE if medium.kind == "image" else max(IMAGE, size // MEDIUM_BYTES)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _json(value: Any) -> int:
    if isinstance(value, str):
        return _bytes(value)
    import orjson

    try:
        return len(orjson.dumps(value, default=str))
    except TypeError:  # keys that are no strings, numbers that are too large: its dialect will say so
        return len(str(value))
