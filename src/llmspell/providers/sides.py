"""What services are asked besides for answers: texts as vectors, and which models they have.

A way is how one kind of service is asked for both; a dialect names its own (`Dialect.sides`). Ways are functions of
values; `embed` and `models` at the end join them to a service. Loaded at the first such call.
"""

from __future__ import annotations

import math
from array import array
from base64 import b64decode
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from llmspell.errors import NotSupportedError, ProviderError, ValidationError, one_line
from llmspell.providers.base import Embeddings, ModelInfo, WireRequest
from llmspell.providers.calls import count, text_of
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from llmspell.providers.dialect import Dialect

    Ask = Callable[[WireRequest, str], Awaitable[Any]]

__all__ = ["SIDES", "Side", "embed", "get", "models", "post"]

MOST_TEXTS = 100_000  # of one call
MOST_WIDTH = 65_536  # numbers of one vector
MOST_MODELS = 10_000
MOST_PAGES = 100
DETAIL = 200  # characters kept of what a service says of a model


class Side(NamedTuple):
    """One way. batch: texts that one request takes. Requests of functions of (model, texts, dimensions); answers are
    read to vectors in the order of the texts, with the model's name and the usage; models a page at a time, with the
    mark of the next page, empty for none; no request where they are not listed."""

    batch: int
    embed_request: Callable[[Dialect, str, Sequence[str], int | None], WireRequest] | None
    read_embeddings: Callable[[Any], Embeddings] | None
    models_request: Callable[[str], WireRequest | None]
    read_models: Callable[[Any], tuple[list[ModelInfo], str]]


def get(path: str) -> WireRequest:
    """A request that asks and sends nothing."""
    return WireRequest("GET", path, {"accept": "application/json"}, b"")


def post(path: str, body: Mapping[str, Any]) -> WireRequest:
    """A request with a JSON body."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    return WireRequest("POST", path, headers, orjson.dumps(body))


class _Garbage(ValueError):
    """An answer that cannot be read, in words."""


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise _Garbage(f"it has no list `{name}`")
    return found


def _vector(value: Any) -> tuple[float, ...]:
    """A vector: a list of numbers, or the bytes of small floats as base64."""
    if isinstance(value, str):
        try:
            numbers = array("f", b64decode(value, validate=True))
        except ValueError:
            raise _Garbage("a vector's base64 cannot be read") from None
        if array("H", [1]).tobytes()[0] == 0:  # they come little-endian
            numbers.byteswap()
        vector = tuple(numbers)
    elif isinstance(value, list) and all(type(number) in (int, float) for number in value):
        try:
            vector = tuple(map(float, value))
        except OverflowError:
            raise _Garbage("a vector's numbers are too large") from None
    else:
        raise _Garbage("a vector is no list of numbers")
    if not 0 < len(vector) <= MOST_WIDTH or not all(map(math.isfinite, vector)):
        raise _Garbage("a vector is empty, too long, or has numbers that are none")
    return vector


def _infos(values: Iterable[Any], names: Sequence[str], strip: str = "") -> list[ModelInfo]:
    """The models of a list: the first of *names* that is a text is its id; of the rest what is plain is kept."""
    found = []
    for value in values:
        if not isinstance(value, dict):
            continue
        id_ = next((text for name in names if (text := text_of(value.get(name)))), "")
        if not id_:
            continue
        details = {
            one_line(name, 60): one_line(told, DETAIL) if isinstance(told, str) else told
            for name, told in list(value.items())[:32]
            if name not in names and type(told) in (str, int, float, bool)
        }
        found.append(ModelInfo(one_line(id_, DETAIL).removeprefix(strip), details))
    return found


# ---- OpenAI's, and those who speak like it


def _openai_request(dialect: Dialect, model: str, texts: Sequence[str], dimensions: int | None) -> WireRequest:
    body: dict[str, Any] = {"model": model, "input": list(texts)}
    if dimensions is not None:
        body[dialect.dimensions] = dimensions
    return post("/embeddings", body)


def _openai_embeddings(value: Any) -> Embeddings:
    rows = _list(value, "data")
    found: dict[int, tuple[float, ...]] = {}
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _Garbage("a row of `data` is no object")
        index = count(row.get("index", place))
        if index is None or index >= len(rows) or index in found:
            raise _Garbage("the rows of `data` are not numbered")
        found[index] = _vector(row.get("embedding"))
    usage = value.get("usage")
    read = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
    total = count(usage.get("total_tokens")) if isinstance(usage, dict) else None
    vectors = tuple(found[index] for index in range(len(found)))
    return Embeddings(vectors, text_of(value.get("model")), Usage(total if read is None else read, total_tokens=total))


def _openai_models(value: Any) -> tuple[list[ModelInfo], str]:
    rows = value if isinstance(value, list) else _list(value, "data")  # Together's is the list itself
    return _infos(rows, ("id",)), ""


# ---- Anthropic's


def _anthropic_models(value: Any) -> tuple[list[ModelInfo], str]:
    more = text_of(value.get("last_id")) if isinstance(value, dict) and value.get("has_more") is True else ""
    return _infos(_list(value, "data"), ("id",)), more


def _anthropic_models_request(after: str) -> WireRequest:
    return get("/v1/models?limit=1000" + (f"&after_id={quote(after, safe='')}" if after else ""))


# ---- Gemini's


def _gemini_request(dialect: Dialect, model: str, texts: Sequence[str], dimensions: int | None) -> WireRequest:
    name = model if model.startswith("models/") else f"models/{model}"
    one: dict[str, Any] = {"model": name}
    if dimensions is not None:
        one["outputDimensionality"] = dimensions
    requests = [{**one, "content": {"parts": [{"text": text}]}} for text in texts]
    path = quote(name.removeprefix("models/"), safe="-._~:@")  # no name of a model leads anywhere else
    return post(f"/models/{path}:batchEmbedContents", {"requests": requests})


def _gemini_embeddings(value: Any) -> Embeddings:
    rows = _list(value, "embeddings")
    vectors = tuple(_vector(row.get("values") if isinstance(row, dict) else None) for row in rows)
    usage = value.get("usageMetadata")
    return Embeddings(vectors, "", Usage(count(usage.get("promptTokenCount"))) if isinstance(usage, dict) else Usage())


def _gemini_models(value: Any) -> tuple[list[ModelInfo], str]:
    return _infos(_list(value, "models"), ("name",), "models/"), text_of(value.get("nextPageToken"))


def _gemini_models_request(after: str) -> WireRequest:
    return get("/models?pageSize=1000" + (f"&pageToken={quote(after, safe='')}" if after else ""))


# ---- Vertex's: newer models take a text as a message has it, the others as what is to be predicted from


def _vertex_request(dialect: Dialect, model: str, texts: Sequence[str], dimensions: int | None) -> WireRequest:
    name = model.removeprefix("models/")
    wide = {} if dimensions is None else {"outputDimensionality": dimensions}
    body: dict[str, Any]
    if "gemini" in name and not name.startswith("gemini-embedding-001"):
        verb, body = "embedContent", {"content": {"parts": [{"text": texts[0]}]}, **wide}
    else:
        verb, body = "predict", {"instances": [{"content": text} for text in texts], "parameters": wide}
    return post(f"/models/{quote(name, safe='-._~:@')}:{verb}", body)


def _vertex_embeddings(value: Any) -> Embeddings:
    if isinstance(value, dict) and isinstance(one := value.get("embedding"), dict):
        return _gemini_embeddings({**value, "embeddings": [one]})
    vectors: list[tuple[float, ...]] = []
    read: int | None = 0
    for row in _list(value, "predictions"):
        told = row.get("embeddings") if isinstance(row, dict) else None
        told = told if isinstance(told, dict) else {}
        vectors.append(_vector(told.get("values")))
        about = told.get("statistics")
        tokens = count(about.get("token_count")) if isinstance(about, dict) else None
        read = None if read is None or tokens is None else read + tokens
    return Embeddings(tuple(vectors), "", Usage(read))


# ---- Ollama's


def _ollama_request(dialect: Dialect, model: str, texts: Sequence[str], dimensions: int | None) -> WireRequest:
    body: dict[str, Any] = {"model": model, "input": list(texts)}
    if dimensions is not None:
        body["dimensions"] = dimensions
    return post("/api/embed", body)


def _ollama_embeddings(value: Any) -> Embeddings:
    vectors = tuple(map(_vector, _list(value, "embeddings")))
    return Embeddings(vectors, text_of(value.get("model")), Usage(count(value.get("prompt_eval_count"))))


def _ollama_models(value: Any) -> tuple[list[ModelInfo], str]:
    return _infos(_list(value, "models"), ("name", "model")), ""


SIDES = {
    "openai": Side(256, _openai_request, _openai_embeddings, lambda after: get("/models"), _openai_models),
    "anthropic": Side(0, None, None, _anthropic_models_request, _anthropic_models),
    "gemini": Side(100, _gemini_request, _gemini_embeddings, _gemini_models_request, _gemini_models),
    "vertex": Side(1, _vertex_request, _vertex_embeddings, lambda after: None, _gemini_models),
    "ollama": Side(256, _ollama_request, _ollama_embeddings, lambda after: get("/api/tags"), _ollama_models),
}


# ---- with a service


async def embed(
    dialect: Dialect, ask: Ask, provider: str, model: str, texts: Sequence[str], dimensions: int | None
) -> Embeddings:
    """*texts* as vectors, in as many requests as the service needs, one after another.

    model: empty is the service's own usual one. Raises ValidationError for texts or dimensions that are none,
    NotSupportedError where the service makes none, ProviderError where its answer cannot be read.
    """
    if not dialect.embeds:
        raise NotSupportedError(
            f"{provider} makes no embeddings", hint="docs/providers.md says which services do", provider=provider
        )
    model = model or dialect.embedding_model
    if not model:
        raise ValidationError(
            f"no model for the embeddings of {provider} is named", hint=f"name one as `{provider}/MODEL`"
        )
    _check_texts(texts, dimensions)
    batch = dialect.embedding_batch
    vectors: list[tuple[float, ...]] = []
    told, usage = model, Usage()
    for at in range(0, len(texts), batch):
        piece = list(texts[at : at + batch])
        value = await ask(dialect.embed_request(model, piece, dimensions), model)
        try:
            found = dialect.read_embeddings(value)
            if len(found.vectors) != len(piece):
                raise _Garbage(f"it has {len(found.vectors)} vectors for {len(piece)} texts")
            if len({len(vector) for vector in (*vectors[:1], *found.vectors)}) != 1:
                raise _Garbage("its vectors are not of one length")
        except ValueError as error:
            raise _unreadable(provider, model, str(error)) from None
        vectors += found.vectors
        told = one_line(found.model, DETAIL) or told
        usage = usage.plus(found.usage)
    return Embeddings(tuple(vectors), told, usage.with_total() if usage.total_tokens else _total(usage))


def _total(usage: Usage) -> Usage:
    """Nothing is written: what was read is all."""
    return usage._replace(total_tokens=usage.input_tokens)


def _check_texts(texts: Sequence[str], dimensions: int | None) -> None:
    if not 0 < len(texts) <= MOST_TEXTS:
        raise ValidationError(f"embeddings are made of 1 to {MOST_TEXTS} texts, not {len(texts)}")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str) or not text:
            raise ValidationError(f"embeddings: text {number} is empty, or none", hint="services refuse an empty text")
    if dimensions is not None and not (type(dimensions) is int and 0 < dimensions <= MOST_WIDTH):
        raise ValidationError(f"embeddings: `dimensions` is a whole number from 1 to {MOST_WIDTH}")


async def models(dialect: Dialect, ask: Ask, provider: str) -> tuple[ModelInfo, ...]:
    """The models that the service says it has, in its order, each once. Raises NotSupportedError, ProviderError."""
    found: dict[str, ModelInfo] = {}
    after = ""
    for _ in range(MOST_PAGES):
        request = dialect.models_request(after)
        if request is None:
            raise NotSupportedError(f"{provider} does not list its models", provider=provider)
        value = await ask(request, "")
        try:
            page, after = dialect.read_models(value)
        except ValueError as error:
            raise _unreadable(provider, "", str(error)) from None
        before = len(found)
        found |= {info.id: info for info in page}
        if not after or len(found) == before or len(found) >= MOST_MODELS:
            break
    return tuple(found.values())[:MOST_MODELS]


def _unreadable(provider: str, model: str, why: str) -> ProviderError:
    return ProviderError(
        f"{provider} cannot be read: {why}",
        hint=f"check `providers.{provider}.base_url`",
        provider=provider,
        model=model or None,
    )
