"""Every recorded answer of OpenAI's dialects and Ollama's, as the next request's turn, to its service or another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell.providers.base import ModelCall
from llmspell.providers.dialect import dialect_of
from llmspell.providers.turn import Turn
from llmspell.providers.vendors import host_of, vendor
from llmspell.types.agent import AgentOutput
from llmspell.types.messages import Message
from llmspell.types.streaming import Collector
from support.wire import HOME, Record, load, records

pytestmark = pytest.mark.once

TYPES = {"openai-chat": "openai", "openai-responses": "openai-responses", "ollama": "ollama"}
ALL = [record for api in TYPES for record in records(api)]


def read(record: Record) -> AgentOutput | None:
    """The answer; None where it is an error."""
    reading = dialect_of(TYPES[record.api]).reading("p", "m", key_env=None, secrets=())
    contents = [*reading.feed(record.body), *reading.end()]
    if record.status != 200 or reading.error is not None:
        return None
    turn, collector = Turn("p", "m"), Collector()
    turn.told(reading.metadata)
    for chunk in turn.chunks(contents):
        collector.add(chunk)
    return collector.output()


def sent(type_: str, host: str | None, output: AgentOutput) -> Any:
    results = [Message("tool", "ok", (), call.id) for call in output.tool_calls]
    call = ModelCall("m", (Message("user", "hi"), output.message(), *results))
    return json.loads(dialect_of(type_, host).request(call, stream=False).body)


@pytest.mark.parametrize("record", ALL)
def test_calls_and_their_results_have_the_same_ids(record: Record) -> None:
    output = read(record)
    if output is None:
        return
    ids = [call.id for call in output.tool_calls]
    row = vendor(record.name.partition("/")[0])
    for host in (None, "api.mistral.ai", host_of(row.base_url) if row and row.base_url else None):
        talk = sent("openai", host, output)["messages"]
        asked = [call["id"] for call in talk[1].get("tool_calls", ())]
        assert asked == [message["tool_call_id"] for message in talk[2:]]
        # OpenAI itself takes 40 letters.
        assert host is not None or asked == [
            told if len(id_) > 40 >= len(told) else id_ for id_, told in zip(ids, asked, strict=True)
        ]
    items = sent("openai-responses", None, output)["input"]
    calls = [item["call_id"] for item in items if item.get("type") in ("function_call", "custom_tool_call")]
    assert sorted(calls) == sorted(ids)
    assert [item["call_id"] for item in items if str(item.get("type")).endswith("_output")] == ids
    talk = sent("ollama", None, output)["messages"]
    assert [message["tool_name"] for message in talk[2:]] == [call.name for call in output.tool_calls]


@pytest.mark.parametrize("name", ["deepseek/thinking-tool-turn", "openrouter/stream-reasoning-tool"])
def test_reasoning_is_there_where_tools_were_called_and_at_no_other_service(name: str) -> None:
    path = HOME / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no recording {name}")
    output, row = read(load(path)), vendor(name.partition("/")[0])
    assert output is not None
    assert row is not None
    assert output.tool_calls
    assert sent("openai", host_of(row.base_url), output)["messages"][1][row.keeps]
    assert row.keeps not in sent("openai", None, output)["messages"][1]
