"""The tool loop against scripted replies of every dialect, over loopback."""

from __future__ import annotations

import json

import pytest

from llmspell import Agent
from llmspell.providers.manager import ProviderManager
from llmspell.types.messages import Message
from llmspell.types.streaming import AgentChunk, Control, ToolCallComplete
from support.dialects import DIALECTS, TEXT
from support.loopback import Loopback, reply
from support.tool_turns import CALLING, RESULTS
from support.tools import Does

pytestmark = pytest.mark.once

JSON = {"content-type": "application/json"}
TURN = [("c1", "add", {"a": 1, "b": 2}), ("c2", "add", {"a": "x", "b": 2}), ("c3", "add", {"a": 3, "b": 4})]


def add() -> Does:
    return Does("add", lambda given: given["a"] + given["b"], a="integer", b="integer")


def manager(kind: str, server: Loopback) -> ProviderManager:
    settings = {"type": kind, "base_url": server.url, "api_key": "k", "model": "m", "retry": {"attempts": 1}}
    return ProviderManager({"acme": settings}, env={})


@pytest.mark.parametrize("kind", CALLING)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_results_go_back_in_order_and_the_answer_follows(kind: str, streamed: bool) -> None:
    made, (stream, whole) = DIALECTS[kind], CALLING[kind](TURN, "Let me see.")
    if streamed:
        plans = [reply(body, headers={"content-type": made.type}) for body in (stream, made.stream + made.end)]
    else:
        plans = [reply(body, headers=JSON) for body in (whole, made.whole)]
    chunks: list[AgentChunk] = []
    with Loopback(plans) as server:
        providers = manager(kind, server)
        agent = Agent("acme", tools=[add()], providers=providers, system_prompt="Be brief.")
        if streamed:
            async with agent.stream("hi") as answer:
                chunks = [chunk async for chunk in answer]
                output = answer.collector.output()
        else:
            output = await agent.execute("hi")
        await providers.aclose()
        _, second = (request.json for request in server.requests)
        assert len(server.connections) == 1  # kept for the second round
    assert output.text == TEXT
    assert [(call.name, call.result) for call in output.tool_calls] == [("add", 3), ("add", None), ("add", 7)]
    assert "$.a" in (output.tool_calls[1].error or "")
    assert (output.usage.input_tokens, output.usage.output_tokens) == (18, 10)
    assert output.metadata["rounds"] == 2
    assert [turn.role for turn in output.messages] == ["assistant", "tool", "tool", "tool", "assistant"]

    told = [json.dumps(one) for one in RESULTS[kind](second)]
    assert len(told) == 3
    assert "3" in told[0]
    assert "must be an integer" in told[1]
    assert "7" in told[2]
    if streamed:
        assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
        assert len({chunk.stream_id for chunk in chunks}) == 1
        told_of = [chunk.content.message for chunk in chunks if isinstance(chunk.content, Control)]
        assert told_of == ["stream_start", "stream_end"]
        done = [chunk.content for chunk in chunks if isinstance(chunk.content, ToolCallComplete)]
        assert [one.result for one in done] == [3, None, 7]
        last = chunks[-1].content
        assert isinstance(last, Control)
        assert last.usage == output.usage


async def test_what_a_service_waits_for_is_not_asked_again_and_again() -> None:
    waits = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "x", "arguments": "{}"}
    body = json.dumps({"object": "response", "status": "completed", "output": [waits]}).encode()
    with Loopback([reply(body, headers=JSON)]) as server:
        providers = manager("openai-responses", server)
        output = await Agent("acme", tools=[add()], providers=providers).execute("hi")
        await providers.aclose()
    assert len(server.requests) == 1
    assert (output.finish_reason, output.metadata["items"]) == ("tool_calls", [waits])


@pytest.mark.parametrize("kind", CALLING)
async def test_the_conversation_goes_on_from_its_messages(kind: str) -> None:
    made, (_, whole) = DIALECTS[kind], CALLING[kind](TURN[:1], "")
    with Loopback([reply(body, headers=JSON) for body in (whole, made.whole, made.whole)]) as server:
        providers = manager(kind, server)
        agent = Agent("acme", tools=[add()], providers=providers)
        asked = Message("user", "hi")
        output = await agent.execute([asked])
        again = await agent.execute([asked, *output.messages, Message("user", "and now?")])
        await providers.aclose()
        third = json.dumps(server.requests[2].json, ensure_ascii=False)
    assert again.text == TEXT
    assert again.metadata["rounds"] == 1
    assert TEXT in third
    assert third.count('"add"') >= 2  # the tool, and its call
