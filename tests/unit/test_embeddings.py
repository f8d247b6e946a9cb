"""Texts as vectors, and the models that services have: what is sent, what is read, what is garbage."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from llmspell.errors import (
    AuthError,
    CallTimeoutError,
    LLMSpellError,
    NotSupportedError,
    ProviderError,
    ValidationError,
)
from llmspell.providers.dialect import dialect_of
from llmspell.providers.service import Service
from llmspell.types.usage import Usage
from support.loopback import STALL, Loopback, Request, reply

pytestmark = pytest.mark.once

KEY = "sk-embedding-key-1234"


def service(server: Loopback, type_: str = "openai", **more: Any) -> Service:
    return Service("s", {"type": type_, "base_url": server.url, "api_key": KEY, **more})


def answer(value: Any, status: int = 200) -> list[bytes]:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return [head.encode() + body]


def rows(vectors: list[Any], **usage: int) -> dict[str, Any]:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"data": data[::-1], "model": "m-1", "usage": usage}


async def test_openai_s_rows_are_put_in_order() -> None:
    with Loopback([answer(rows([[1, 0.5], [2, 1.5]], prompt_tokens=7, total_tokens=7))]) as server:
        one = service(server)
        found = await one.embed("m", ["a", "b"], dimensions=2)
        await one.aclose()
    assert found.vectors == ((1.0, 0.5), (2.0, 1.5))
    assert (found.model, found.usage) == ("m-1", Usage(7, total_tokens=7))
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.json == {"model": "m", "input": ["a", "b"], "dimensions": 2}


@pytest.mark.parametrize(
    ("model", "path", "body", "value"),
    [
        ("text-embedding-005", "/models/text-embedding-005:predict",
         {"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 2}},
         {"predictions": [{"embeddings": {"values": [1, 0.5], "statistics": {"token_count": 3, "truncated": False}}}]}),
        ("gemini-embedding-001", "/models/gemini-embedding-001:predict",
         {"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 2}},
         {"predictions": [{"embeddings": {"values": [1, 0.5], "statistics": {"token_count": 3}}}]}),
        ("models/gemini-embedding-2", "/models/gemini-embedding-2:embedContent",
         {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2},
         {"embedding": {"values": [1, 0.5]}, "usageMetadata": {"promptTokenCount": 3}}),
    ],
)  # fmt: skip
def test_vertex_is_asked_in_its_own_way(model: str, path: str, body: Any, value: Any) -> None:
    dialect = dialect_of("gemini", "europe-west1-aiplatform.googleapis.com")
    request = dialect.embed_request(model, ["a"], 2)
    assert (request.path, json.loads(request.body), dialect.embedding_batch) == (path, body, 1)
    found = dialect.read_embeddings(value)
    assert (found.vectors, found.usage) == (((1.0, 0.5),), Usage(3))
    assert dialect.models_request("") is None
    for garbage in ([], {}, {"predictions": [1]}, {"predictions": [{"embeddings": 5}]}, {"embedding": {}}):
        with pytest.raises(ValueError):
            dialect.read_embeddings(garbage)


async def test_base64_is_read() -> None:
    packed = base64.b64encode(struct.pack("<3f", 0.5, -2, 4)).decode()
    with Loopback([answer(rows([packed]))]) as server:
        one = service(server)
        assert (await one.embed("m", ["a"])).vectors == ((0.5, -2.0, 4.0),)
        await one.aclose()


@pytest.mark.parametrize(
    "packed",
    [struct.pack("<2f", 1, float("nan")), struct.pack("<2f", float("inf"), 1), b"123", struct.pack("<f", 1) + b"1"],
)
async def test_numbers_that_are_none_are_no_vector(packed: bytes) -> None:
    for told in (base64.b64encode(packed).decode(), "*" + base64.b64encode(struct.pack("<f", 1)).decode()):
        with Loopback([answer(rows([told]))]) as server:
            one = service(server)
            with pytest.raises(ProviderError, match="s cannot be read"):
                await one.embed("m", ["a"])
            await one.aclose()


async def test_more_texts_than_one_request_takes() -> None:
    def echo(request: Request) -> list[bytes]:
        texts = request.json["input"]
        return answer(rows([[float(text)] for text in texts], prompt_tokens=len(texts)))

    with Loopback([echo]) as server:
        one = service(server)
        found = await one.embed("m", [str(number) for number in range(600)])
        await one.aclose()
    assert [vector[0] for vector in found.vectors] == [float(number) for number in range(600)]
    assert [len(request.json["input"]) for request in server.requests] == [256, 256, 88]
    assert found.usage == Usage(600, total_tokens=600)
    assert dialect_of("openai").embedding_batch == 2048


async def test_gemini() -> None:
    with Loopback([answer({"embeddings": [{"values": [1, 2]}, {"values": [3, 4]}]})]) as server:
        one = service(server, "gemini")
        found = await one.embed("", ["a", "b"], dimensions=2)
        await one.aclose()
    assert found.vectors == ((1.0, 2.0), (3.0, 4.0))
    [request] = server.requests
    assert request.path == "/v1/models/gemini-embedding-001:batchEmbedContents"
    assert request.json["requests"][1] == {
        "model": "models/gemini-embedding-001",
        "outputDimensionality": 2,
        "content": {"parts": [{"text": "b"}]},
    }


async def test_ollama() -> None:
    told = {"model": "e", "embeddings": [[1, 2]], "prompt_eval_count": 3}
    with Loopback([answer(told)]) as server:
        one = service(server, "ollama")
        found = await one.embed("e", ["a"])
        await one.aclose()
    assert (found.vectors, found.usage) == (((1.0, 2.0),), Usage(3, total_tokens=3))
    assert server.requests[0].path == "/v1/api/embed"
    assert server.requests[0].json == {"model": "e", "input": ["a"]}


async def test_who_makes_none_says_so_and_is_not_asked() -> None:
    with Loopback([answer({})]) as server:
        one = service(server, "anthropic")
        with pytest.raises(NotSupportedError, match="s makes no embeddings"):
            await one.embed("m", ["a"])
    assert not server.requests
    assert not one.capabilities().supports_embeddings
    groq = dialect_of("openai", "api.groq.com")
    assert not groq.embeds
    mistral = dialect_of("openai", "api.mistral.ai")
    assert (mistral.embedding_model, mistral.dimensions) == ("mistral-embed", "output_dimension")


@pytest.mark.parametrize(
    ("texts", "dimensions"), [([], None), ([""], None), (["a", 7], None), (["a"], 0), (["a"], True)]
)
async def test_what_is_no_text_is_not_sent(texts: Any, dimensions: Any) -> None:
    with Loopback([answer({})]) as server, pytest.raises(ValidationError):
        await service(server).embed("m", texts, dimensions=dimensions)
    assert not server.requests


async def test_a_model_has_to_be_named_where_none_is_usual() -> None:
    with Loopback([answer({})]) as server, pytest.raises(ValidationError, match="no model"):
        await service(server).embed("", ["a"])


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        7,
        {"data": "x"},
        {"data": [7]},
        {"data": [{"index": 0, "embedding": "!"}]},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 0, "embedding": ["1"]}]},
        {"data": [{"index": 0, "embedding": [True]}]},
        {"data": [{"index": 5, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]},
    ],
)
async def test_garbage_is_a_provider_s_error(value: Any) -> None:
    with Loopback([answer(value)]) as server:
        one = service(server)
        with pytest.raises(ProviderError, match="s cannot be read"):
            await one.embed("m", ["a", "b"])
        await one.aclose()


@pytest.mark.parametrize(
    ("plan", "kind", "said"),
    [
        (answer({"error": {"message": f"bad key {KEY}"}}, 401), AuthError, "s answered 401"),
        (answer({"error": {"message": "no", "code": 500}}), ProviderError, "no"),
        (reply([b"<html>hello"]), ProviderError, "s failed"),
    ],
)
async def test_errors_are_typed_and_hide_the_key(plan: Any, kind: type[LLMSpellError], said: str) -> None:
    with Loopback([plan]) as server:
        one = service(server)
        with pytest.raises(kind, match=said) as caught:
            await one.embed("m", ["a"])
        await one.aclose()
    assert KEY not in str(caught.value.to_dict())


@pytest.mark.parametrize(
    ("type_", "pages", "ids", "paths"),
    [
        ("openai", [{"data": [{"id": "a", "owned_by": "x\x1b"}, {"id": "b"}, 7, {}]}], ["a", "b"], ["/v1/models"]),
        ("openai", [[{"id": "a"}]], ["a"], ["/v1/models"]),
        (
            "anthropic",
            [{"data": [{"id": "a"}], "has_more": True, "last_id": "a&"}, {"data": [{"id": "b"}], "has_more": False}],
            ["a", "b"],
            ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=a%26"],
        ),
        (
            "gemini",
            [{"models": [{"name": "models/a"}], "nextPageToken": "p"}, {"models": [{"name": "models/b"}]}],
            ["a", "b"],
            ["/v1/models?pageSize=1000", "/v1/models?pageSize=1000&pageToken=p"],
        ),
        ("ollama", [{"models": [{"name": "a:1b", "size": 7}]}], ["a:1b"], ["/v1/api/tags"]),
        # A service that gives the same page for ever is asked twice.
        (
            "gemini",
            [{"models": [{"name": "models/a"}], "nextPageToken": "p"}],
            ["a"],
            ["/v1/models?pageSize=1000", "/v1/models?pageSize=1000&pageToken=p"],
        ),
    ],
)
async def test_models(type_: str, pages: list[Any], ids: list[str], paths: list[str]) -> None:
    with Loopback([answer(page) for page in pages]) as server:
        one = service(server, type_)
        found = await one.models()
        await one.aclose()
    assert [info.id for info in found] == ids
    assert [request.path for request in server.requests] == paths
    assert "\x1b" not in str(found)


async def test_a_name_of_a_model_leads_nowhere_else() -> None:
    with Loopback([answer({"embeddings": [{"values": [1]}]})]) as server:
        one = service(server, "gemini")
        await one.embed("../../x?y=1", ["hi"])
        await one.embed("models/e", ["hi"])
        await one.aclose()
    paths = [request.path.partition("/models/")[2] for request in server.requests]
    assert paths == ["..%2F..%2Fx%3Fy%3D1:batchEmbedContents", "e:batchEmbedContents"]


async def test_a_service_that_lists_nothing_is_not_waited_for_as_long_as_for_an_answer() -> None:
    with Loopback([[STALL]]) as server:
        one = service(server, timeout={"first_token": 0.1, "total": 20}, retry=1)
        with pytest.raises(CallTimeoutError) as caught:
            await one.models()
        await one.aclose()
    assert (caught.value.limit, caught.value.model) == ("first_token", None)


async def test_models_that_are_garbage() -> None:
    with Loopback([answer({"models": 7})]) as server:
        one = service(server)
        with pytest.raises(ProviderError, match="it has no list `data`"):
            await one.models()
        await one.aclose()
