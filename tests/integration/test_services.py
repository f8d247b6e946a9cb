"""What every service sends and gives back, whole: an agent asks the service's own dialect over a loopback server.

The second table of docs/providers.md, "What comes back", is compared with it, and the column `form` of the first.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.agents.agent import Agent, AgentInput
from llmspell.config.loader import load
from llmspell.errors import AuthError, NotSupportedError
from llmspell.providers.local import LocalProvider
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.providers.service import Service
from llmspell.providers.vendors import vendors
from llmspell.types.messages import Message
from llmspell.types.streaming import Control, Text
from support.dialects import DIALECTS as MADE
from support.dialects import PIECES, TEXT
from support.loopback import Loopback, Request, reply
from unit.test_services_table import MODELS, SERVICES, dialect_at, rows

if TYPE_CHECKING:
    from llmspell.providers.base import ProviderInstance

pytestmark = pytest.mark.once
DOCUMENT = Path(__file__).parents[2] / "docs" / "providers.md"
COLUMNS = ("its key", "streamed", "sound out", "images out", "embeddings", "models")
HERE = ("local", "mock")
ALL = [*SERVICES, *HERE]
PNG = b"\x89PNG\r\n\x1a\n-picture"
SOUND = b"RIFF\x10\x00\x00\x00WAVE-sound"
SCHEMA = {
    "type": "object",
    "properties": {"unheard_of": {"type": "string"}},
    "required": ["unheard_of"],
    "additionalProperties": False,
}
#: Models that draw and speak, where that is the model's own affair.
MAKERS = {
    ("gemini", "image"): "gemini-2.5-flash-image",
    ("gemini", "audio"): "gemini-2.5-flash-preview-tts",
}


def said(service: str, column: str) -> str:
    """The document's cell."""
    return table()[service][COLUMNS.index(column)]


def table() -> dict[str, list[str]]:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.partition("## What comes back")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(index for index, row in enumerate(cells) if row[1:] == list(COLUMNS))
    found: dict[str, list[str]] = {}
    for row in cells[head + 2 :]:
        if len(row) != len(COLUMNS) + 1:
            break
        found[row[0].strip("`")] = row[1:]
    return found


def type_of(service: str) -> str:
    row = vendors().get(service)
    return row.type if row is not None else "gemini" if service == "vertex" else service


def at(server: Loopback, service: str, key: str = "k-123") -> ProviderManager:
    """A manager in which `x` is the service, as it is at its own address; only the connection leads elsewhere."""
    home = dialect_at(service)

    class Home(type(home)):  # type: ignore[misc]
        def __init__(self, host: str) -> None:
            self.__dict__.update(dialect_at(service).__dict__)

    settings = {"type": type_of(service), "base_url": server.url, "api_key": key, "vendor": service}
    manager = ProviderManager({}, env={})
    manager.register(Service("x", settings, Home))
    return manager


def model_of(service: str, kind: str = "") -> str:
    dialect = dialect_at(service)
    return MAKERS.get((type_of(service), kind)) or MODELS.get(service) or dialect.model or "m"


def agent(server: Loopback, service: str, kind: str = "", **more: Any) -> Agent:
    return Agent(f"x/{model_of(service, kind)}", providers=at(server, service), retry=1, **more)


def whole(type_: str, text: str = "", *, call: str | None = None, image: bytes = b"", sound: bytes = b"") -> bytes:
    """An answer in one piece, made by hand: a text, a call with those arguments, an image, a sound."""
    drawn, spoken = base64.b64encode(image).decode(), base64.b64encode(sound).decode()
    if type_ == "openai":
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if call is not None:
            function = {"name": "answer", "arguments": call}
            message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
        if image:
            message["images"] = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{drawn}"}}]
        if sound:
            message["audio"] = {"id": "a", "data": spoken, "transcript": ""}
        finish = "tool_calls" if call is not None else "stop"
        value: dict[str, Any] = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    elif type_ == "openai-responses":
        output: list[dict[str, Any]] = []
        if text:
            content = [{"type": "output_text", "text": text, "annotations": []}]
            output.append({"type": "message", "id": "m1", "role": "assistant", "content": content})
        if image:
            output.append({"type": "image_generation_call", "id": "i1", "status": "completed", "result": drawn})
        value = {"object": "response", "status": "completed", "model": "m", "output": output}
    elif type_ == "gemini":
        parts: list[dict[str, Any]] = [{"text": text}] if text else []
        if image:
            parts.append({"inlineData": {"mimeType": "image/png", "data": drawn}})
        if sound:
            parts.append({"inlineData": {"mimeType": "audio/wav", "data": spoken}})
        value = {
            "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "modelVersion": "m",
        }
    elif type_ == "anthropic":
        content = [{"type": "text", "text": text}]
        value = {"type": "message", "model": "m", "content": content, "stop_reason": "end_turn", "usage": {}}
    else:
        value = {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, "done_reason": "stop"}
    return json.dumps(value).encode()


def test_every_service_has_a_row() -> None:
    assert list(table()) == ALL


# ---- keys


def key_cell(service: str) -> str | None:
    """The variable that the document names, without what stands in brackets."""
    cell = said(service, "its key").partition(" (")[0]
    return None if cell == "–" else cell.strip("`")


@pytest.mark.parametrize("service", SERVICES)
def test_the_key_that_the_table_names_is_the_one_that_is_sent(service: str) -> None:
    variable = key_cell(service)
    if service == "vertex":
        assert variable is None, "it is at an address of its own: the configuration names the variable"
        return
    every = {name for name in map(key_cell, ALL) if name} | {"GOOGLE_API_KEY", "OLLAMA_API_KEY"}
    base = {"type": service} | ({} if _has_address(service) else {"base_url": _address(service)})
    settings = load(script_dir=None, config_file=None, env={}, flags={}).providers() | {service: base}
    found = {
        name for name in every if ProviderManager(settings, env={name: "k-123"}).key_of(service)[0] == "k-123"
    }  # fmt: skip
    own = {variable} if variable else set()
    if service == "gemini":
        own.add("GOOGLE_API_KEY")
    if service == "ollama":
        own.add("OLLAMA_API_KEY")
    assert found == own
    if variable:
        assert "k-123" in " ".join(dialect_at(service).auth("k-123").values())


def _has_address(service: str) -> bool:
    row = vendors().get(service)
    return bool(dialect_at(service).base_url) if row is None else bool(row.base_url)


def _address(service: str) -> str:
    return {"azure": "https://acme.openai.azure.com/openai/v1"}.get(service, f"https://{service}.example.com/v1")


@pytest.mark.parametrize("service", SERVICES)
async def test_the_key_reaches_the_service_in_a_header_and_nothing_else(service: str) -> None:
    with Loopback([reply(whole(type_of(service), "yes"), headers={"content-type": "application/json"})]) as server:
        output = await agent(server, service).execute("hi")
        request = server.requests[0]
    assert output.text == "yes"
    assert "k-123" in " ".join(request.headers.values())
    assert "k-123" not in request.path
    assert b"k-123" not in request.body


# ---- streams


@pytest.mark.parametrize("service", SERVICES)
async def test_an_answer_is_streamed_and_is_the_same_in_one_piece(service: str) -> None:
    made = MADE[type_of(service)]
    plans = [
        reply(made.stream + made.end, headers={"content-type": made.type}),
        reply(made.whole, headers={"content-type": "application/json"}),
    ]
    with Loopback(plans) as server:
        one = agent(server, service)
        async with one.stream("hi") as stream:
            chunks = [chunk async for chunk in stream]
        output = await one.execute("hi")
    texts = [chunk.content.text for chunk in chunks if isinstance(chunk.content, Text)]
    last = chunks[-1].content
    assert isinstance(last, Control)
    assert last.message == "stream_end"
    assert (said(service, "streamed") == "yes") == (texts == list(PIECES))
    assert (output.text, output.finish_reason) == (TEXT, last.finish_reason)
    assert output.usage == stream.collector.usage


# ---- media that a model makes


@pytest.mark.parametrize(("column", "kind", "data"), [("sound out", "audio", SOUND), ("images out", "image", PNG)])
@pytest.mark.parametrize("service", SERVICES)
async def test_media_that_are_asked_for_come_back(service: str, column: str, kind: str, data: bytes) -> None:
    body = whole(type_of(service), "here", **{"sound" if kind == "audio" else "image": data})  # type: ignore[arg-type]
    wanted = AgentInput((Message("user", "hi"),), modalities=(kind,))
    with Loopback([reply(body, headers={"content-type": "application/json"})]) as server:
        try:
            output = await agent(server, service, kind).execute(wanted)
        except NotSupportedError:
            output = None
        sent = server.requests
    cell = said(service, column)
    if output is None:
        assert (cell, sent) == ("–", []), "it is refused before anything is sent"
        return
    assert kind in sent[0].body.decode().lower()
    assert [media.data for media in output.media] == [data]
    told = kind in dialect_at(service).capabilities(model_of(service, kind)).output_modalities
    assert cell == ("yes" if told else "if it can")


# ---- the form of an answer


@pytest.mark.parametrize("service", SERVICES)
async def test_an_answer_is_held_to_a_form_in_the_way_that_the_table_names(service: str) -> None:
    way, data = rows()[service][list(_first_columns()).index("form")], '{"unheard_of": "yes"}'
    body = whole(type_of(service), call=data) if way == "tool" else whole(type_of(service), data)
    with Loopback([reply(body, headers={"content-type": "application/json"})]) as server:
        output = await agent(server, service, response_schema=SCHEMA).execute("hi")
        request = server.requests[0]
    assert output.data == {"unheard_of": "yes"}
    assert output.metadata["structured"] == way
    assert _way(request) == way


def _first_columns() -> list[str]:
    from unit.test_services_table import COLUMNS as FIRST

    return list(FIRST)


def _way(request: Request) -> str:
    """How the request holds the model to the form, by where the schema's word stands in it."""
    body = dict(request.json)
    told = {word: json.dumps(body.pop(word, None)) for word in ("tools", "messages", "contents", "input", "system")}
    if "unheard_of" in told["tools"]:
        return "tool"
    if "unheard_of" in json.dumps(body):
        return "native"
    assert any("unheard_of" in text for text in told.values())
    return "instruct"


# ---- embeddings, and the list of models

VECTORS: dict[str, Any] = {
    "vertex": [{"predictions": [{"embeddings": {"values": values}}]} for values in ([0.5, 1.0], [1.0, 0.5])],
    "gemini": {"embeddings": [{"values": [0.5, 1.0]}, {"values": [1.0, 0.5]}]},
    "ollama": {"model": "e", "embeddings": [[0.5, 1.0], [1.0, 0.5]], "prompt_eval_count": 4},
}
USUAL_VECTORS = {
    "model": "e",
    "data": [{"index": 1, "embedding": [1.0, 0.5]}, {"index": 0, "embedding": [0.5, 1.0]}],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}
LISTS = {
    "gemini": {"models": [{"name": "models/one"}]},
    "ollama": {"models": [{"name": "one", "model": "one"}]},
}


@pytest.mark.parametrize("service", SERVICES)
async def test_texts_become_vectors_or_it_is_refused(service: str) -> None:
    told = VECTORS.get(service) or VECTORS.get(type_of(service)) or USUAL_VECTORS
    bodies = [json.dumps(value).encode() for value in (told if isinstance(told, list) else [told])]
    with Loopback([reply(body, headers={"content-type": "application/json"}) for body in bodies]) as server:
        provider = at(server, service).get("x")
        if said(service, "embeddings") == "–":
            with pytest.raises(NotSupportedError):
                await provider.embed("e", ["one text", "another"])
            assert server.requests == []
            return
        made = await provider.embed("e", ["one text", "another"])
        assert "one text" in server.requests[0].body.decode()
    assert said(service, "embeddings") == "yes"
    assert [list(vector) for vector in made.vectors] == [[0.5, 1.0], [1.0, 0.5]]


@pytest.mark.parametrize("service", SERVICES)
async def test_models_are_listed_or_it_is_refused(service: str) -> None:
    body = json.dumps(LISTS.get(type_of(service), {"data": [{"id": "one"}]})).encode()
    with Loopback([reply(body, headers={"content-type": "application/json"})]) as server:
        provider = at(server, service).get("x")
        if said(service, "models") == "–":
            with pytest.raises(NotSupportedError):
                await provider.models()
            return
        found = await provider.models()
        assert server.requests[0].method == "GET"
    assert [model.id for model in found] == ["one"]


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "vertex" and _has_address(name)])
async def test_a_service_that_takes_a_key_is_not_asked_without_one(service: str) -> None:
    manager = ProviderManager({service: {"type": service}}, env={})
    variable = key_cell(service)
    if variable is None:
        assert dialect_at(service).keyless or vendors()[service].api_key_env is None
        return
    with pytest.raises(AuthError) as caught:
        await Agent(f"{service}/m", providers=manager).execute("hi")
    assert variable in str(caught.value.hint)


# ---- those that are in this process


def here(name: str) -> ProviderInstance:
    return MockProvider(["one two three"]) if name == "mock" else LocalProvider("local", {"model": "no-such-model"})


@pytest.mark.parametrize("service", HERE)
async def test_what_is_in_this_process_does_as_the_table_says(service: str) -> None:
    provider = here(service)
    known = provider.capabilities()
    assert said(service, "its key") == "–"
    assert (said(service, "streamed") == "yes") == known.supports_streaming
    for column, kind in (("sound out", "audio"), ("images out", "image")):
        assert said(service, column) == ("yes" if kind in known.output_modalities else "–")
    if said(service, "embeddings") == "–":
        with pytest.raises(NotSupportedError):
            await provider.embed("m", ["text"])
    else:
        assert len((await provider.embed("m", ["text"])).vectors) == 1
    if said(service, "models") == "–":
        with pytest.raises(NotSupportedError):
            await provider.models()
    else:
        await provider.models()
    if service == "mock":
        async with Agent("mock", providers=_only(provider)).stream("hi") as stream:
            texts = [chunk.content.text async for chunk in stream if isinstance(chunk.content, Text)]
        assert (len(texts), "".join(texts)) == (3, "one two three")


def _only(provider: ProviderInstance) -> ProviderManager:
    manager = ProviderManager({}, env={})
    manager.register(provider)
    return manager


def test_a_wrong_cell_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: what the document says is what is compared."""
    text = DOCUMENT.read_text(encoding="utf-8")
    wrong = text.replace(
        "| `groq` | `GROQ_API_KEY` | yes | – | – | – | yes |", "| `groq` | `X` | – | yes | yes | yes | – |"
    )
    assert wrong != text
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: wrong)
    assert table()["groq"] == ["`X`", "–", "yes", "yes", "yes", "–"]
