"""The table of docs/providers.md, "What works where": each cell is what the dialect does at the service's address."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from llmspell.errors import NotSupportedError
from llmspell.providers import local_request
from llmspell.providers.base import ModelCall
from llmspell.providers.dialect import DIALECTS, Dialect, dialect_of
from llmspell.providers.local import LocalProvider
from llmspell.providers.mock import MockProvider
from llmspell.providers.vendors import host_of, vendors
from llmspell.types.agent import Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.tools import ResponseSchema, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.once
DOCUMENT = Path(__file__).parents[2] / "docs" / "providers.md"
USER = (Message("user", "hi"),)
MODELS = {"gemini": "gemini-3.1-pro-preview", "vertex": "gemini-3.1-pro-preview", "anthropic": "claude-haiku-4-5"}
VERTEX = "eu-aiplatform.googleapis.com"
MEDIA = {
    "images": Media("image/png", b"\x89PNG\r\n\x1a\n-picture"),
    "sound": Media("audio/wav", b"RIFF----WAVE-sound"),
    "files": Media("application/pdf", b"%PDF-1.7 paper", filename="a.pdf"),
    "video": Media("video/mp4", b"\x00\x00\x00\x18ftypmp42-film"),
}
TOOL = ToolSpec("look_up", "Looks.", {"type": "object", "properties": {"q": {"type": "string"}}})
OTHER = ToolSpec("write_down", "Writes.", {"type": "object", "properties": {"q": {"type": "string"}}})
SCHEMA = ResponseSchema(
    {"type": "object", "properties": {"unheard_of": {"type": "string"}}, "required": ["unheard_of"]}
)


def rows() -> dict[str, list[str]]:
    """The table: a service, and its cells."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.partition("## What works where")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:] == list(COLUMNS)
    return {row[0].strip("`"): row[1:] for row in cells[2:]}


def dialect_at(service: str) -> Dialect:
    """The service's dialect, made for its own address."""
    if service == "vertex":
        return dialect_of("gemini", VERTEX)
    row = vendors().get(service)
    if row is None:
        return dialect_of(service)
    usual = {"azure": "acme.openai.azure.com"}.get(service, f"{service}.example.com")
    made = dialect_of(row.type, host_of(row.base_url) if row.base_url else usual)
    made.of_vendor(service)
    return made


def asked(dialect: Dialect, service: str, **call: Any) -> str | None:
    """The request's body; None where the dialect refuses."""
    messages = call.pop("messages", USER)
    made = ModelCall(MODELS.get(service, dialect.model or "m"), messages, **call)
    try:
        return dialect.request(made, stream=True).body.decode()
    except NotSupportedError:
        return None


def yes(what: object) -> str:
    return "yes" if what else "–"


def takes(kind: str) -> Callable[[Dialect, str], str]:
    media = MEDIA[kind]
    data = base64.b64encode(media.data or b"").decode()

    def cell(dialect: Dialect, service: str) -> str:
        body = asked(dialect, service, messages=(Message("user", ("look", media)),))
        told = media.kind in dialect.capabilities(MODELS.get(service)).input_modalities
        assert (body is not None) == told, "capabilities() and the request disagree"
        assert body is None or data in body.replace("\\/", "/")
        return yes(body)

    return cell


def thinks(dialect: Dialect, service: str) -> str:
    hard = asked(dialect, service, parameters=Parameters(reasoning="high"))
    return yes(hard != asked(dialect, service))


def tools(dialect: Dialect, service: str) -> str:
    body = asked(dialect, service, tools=(TOOL,))
    return yes(body and "look_up" in body)


def choice(dialect: Dialect, service: str) -> str:
    """Whether it can be made to call one of its tools, any or one by name; it can be kept from it everywhere."""
    free, none, some, one = (
        asked(dialect, service, tools=(TOOL, OTHER), tool_choice=choice)
        for choice in ("auto", "none", "required", OTHER.name)
    )
    assert none not in (None, free)
    held = some is not None
    assert (one is not None) == held
    if held:
        assert len({free, none, some, one}) == 4
        assert one is not None
        assert one.count(OTHER.name) > (free or "").count(OTHER.name) or "tools" not in one
    assert held == dialect.capabilities(MODELS.get(service)).supports_tool_choice
    return yes(held)


def form(dialect: Dialect, service: str) -> str:
    way = dialect.capabilities(MODELS.get(service)).structured_output
    body = asked(dialect, service, schema=SCHEMA) if way == "native" else ""
    assert body is not None
    assert (way == "native") == ("unheard_of" in body)
    return way


def result_media(dialect: Dialect, service: str) -> str:
    """Whether an image stands within a tool's result, or in a message of the user's after it."""
    call = ToolCall("call_1", "look_up", {})
    image = MEDIA["images"]
    data = base64.b64encode(image.data or b"").decode()
    messages = (*USER, Message("assistant", "", (call,)), Message("tool", ("see", image), tool_call_id="call_1"))
    body = asked(dialect, service, messages=messages, tools=(TOOL,))
    if body is None:
        return "–"
    assert data in body
    within = "image" in dialect.capabilities(MODELS.get(service)).tool_result_media
    value = orjson.loads(body)
    turns = value.get("messages") or value.get("input") or value.get("contents")
    last = orjson.dumps(turns[-1]).decode()
    plain = turns[-1].get("role") == "user" and not re.search("tool_result|functionResponse", last)
    assert within != plain
    return "within" if within else "beside"


COLUMNS: dict[str, Callable[[Dialect, str], str]] = {
    "reasoning": thinks,
    "tools": tools,
    "must call": choice,
    "form": form,
    **{kind: takes(kind) for kind in MEDIA},
    "a tool's image": result_media,
}
SERVICES = [*DIALECTS, "vertex", *vendors()]


def test_every_service_has_a_row() -> None:
    assert list(rows()) == [*SERVICES, "local", "mock"]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_cell_says_what_is_so(service: str, column: str) -> None:
    said = rows()[service][list(COLUMNS).index(column)]
    assert said == COLUMNS[column](dialect_at(service), service)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_cell_of_the_embedded_model_says_what_is_so(column: str) -> None:
    said = rows()["local"][list(COLUMNS).index(column)]
    image = Message("user", ("look", MEDIA[column])) if column in MEDIA else None
    schema = {"schema": SCHEMA} if column == "form" else {}
    known = LocalProvider("local", {"model": "no-such-model"}).capabilities()
    if column == "tools":
        assert said == "by its template"
        assert takes_locally(tools=(TOOL,), knows_tools=True)
        assert not takes_locally(tools=(TOOL,))
    elif column == "must call":
        assert said == yes(takes_locally(tools=(TOOL,), tool_choice="required")) == yes(known.supports_tool_choice)
    elif column == "form":
        assert said == known.structured_output == "native"
        assert takes_locally(**schema)
    elif column == "reasoning":
        assert said == yes(known.supports_reasoning) == "–"
    elif column == "a tool's image":
        result = Message("tool", ("see", MEDIA["images"]), tool_call_id="c")
        messages = (*USER, Message("assistant", "", (ToolCall("c", "look_up", {}),)), result)
        assert said == yes(takes_locally(messages=messages)) == "–"
    else:
        assert image is not None
        assert said == yes(takes_locally(messages=(image,))) == yes(image.media[0].kind in known.input_modalities)


def takes_locally(*, knows_tools: bool = False, **call: Any) -> bool:
    """Whether the embedded model is asked that. tests/integration/test_local_model.py asks it."""
    made = ModelCall("m", call.pop("messages", USER), **call)
    try:
        return bool(local_request.request(made, "local", "m", knows_tools=knows_tools).body)
    except NotSupportedError:
        return False


async def test_the_mock_takes_everything() -> None:
    assert rows()["mock"] == ["yes", "yes", "yes", "native", "yes", "yes", "yes", "yes", "within"]
    mock, known = MockProvider(["{}"]), MockProvider().capabilities()
    messages = (Message("user", ("look", *MEDIA.values())),)
    call = ModelCall(
        "m", messages, Parameters(reasoning="high"), tools=(TOOL,), tool_choice="required", schema=SCHEMA
    )  # fmt: skip
    assert (await mock.execute(call)).text == "{}"
    assert mock.calls == [call]
    assert {media.kind for media in MEDIA.values()} < set(known.input_modalities)
    assert known.structured_output == "native"
    assert "image" in known.tool_result_media


def test_a_wrong_cell_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: any other word in a cell fails it."""
    real = rows()
    for service, column in (("groq", "form"), ("mistral", "a tool's image"), ("deepseek", "images")):
        index = list(COLUMNS).index(column)
        for word in {"yes", "–", "native", "tool", "instruct", "within", "beside"} - {real[service][index]}:
            wrong = {**real, service: [*real[service][:index], word, *real[service][index + 1 :]]}
            monkeypatch.setitem(globals(), "rows", lambda wrong=wrong: wrong)
            with pytest.raises(AssertionError):
                test_a_cell_says_what_is_so(service, column)
