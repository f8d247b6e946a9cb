"""What a Python host sees of a run: its own observer, and OpenTelemetry's spans and metrics."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llmspell import ScriptRuntime
from llmspell.bridge.observer import EVENTS, Observer, Observers
from llmspell.bridge.otel import OpenTelemetryObserver
from llmspell.errors import LLMSpellError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider

pytestmark = pytest.mark.once

CALL = {"text": "Let me see.", "tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 2}}]}
ADD = """
Tool.register{ name = "add", parameters = { type = "object" }, execute = function(p)
  if p.a > 9 then error("too large") end
  return p.a + p.b
end }
"""


class Kept(Observer):
    """Keeps what it is told, by the methods' names."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        for name in vars(Observer):
            if not name.startswith("_"):
                setattr(self, name, lambda *args, name=name: self.told.append((name, *args)))

    def names(self, writes: bool = False) -> list[str]:
        return [one[0] for one in self.told if writes or one[0] not in ("before_write", "after_write")]


def run(script: str, observer: Observer, *replies: Any, **more: Any) -> Any:
    manager = ProviderManager({}, env={})
    manager.register(MockProvider(replies))
    return ScriptRuntime(timeout=30, providers=manager, model="mock", observer=observer, **more).run(script).result


@pytest.mark.parametrize("stream", [True, False])
def test_an_observer_sees_run_call_chunks_and_tools(stream: bool) -> None:
    kept = Kept()
    ask = 'agent:stream_execute("go"):collect()' if stream else 'agent:execute("go")'
    run(f'{ADD} local agent = Agent.create{{ name = "sums", tools = {{ "add" }} }} return {ask}.text', kept, CALL, "3")
    names = kept.names()
    assert names[:3] == ["run_started", "about_call", "call_started"]
    assert names[-2:] == ["call_ended", "run_ended"]
    assert names.index("tool_started") < names.index("tool_ended")
    about = next(one for one in kept.told if one[0] == "about_call")
    assert about[2:] == ("sums", "mock", "mock")
    ended = next(one for one in kept.told if one[0] == "tool_ended")
    assert ended[2].result == 3
    assert kept.told[-1][2] is None


def test_an_observer_sees_retries_and_limits_and_what_ended_a_run() -> None:
    kept = Kept()
    slow = {"error": {"kind": "network", "message": "gone"}}
    with pytest.raises(LLMSpellError):
        run('Agent.create{ name = "a", model = { "mock/a", "mock/b" } }:execute("go") error("oh")', kept, slow, "ok")
    retried = next(one for one in kept.told if one[0] == "retried")
    assert retried[1] == "a"
    assert retried[2]["kind"] == "network"
    assert str(kept.told[-1][2]).startswith("oh")
    kept = Kept()
    with pytest.raises(LLMSpellError):
        run("while true do end", kept, "ok", max_cpu=0.05)
    assert kept.names() == ["run_started", "limit_reached", "run_ended"]
    kept = Kept()
    got = run('return pcall(function() Agent.create{}:execute("go") end)', kept, "ok", max_tokens_total=1)
    assert got is False or got[0] is False
    assert "limit_reached" in kept.names()


@pytest.mark.parametrize("way", ["raised", "cancelled"])
def test_a_tool_that_is_raised_or_cancelled_ends_too(way: str) -> None:
    kept, told = Kept(), Told()
    does = 'error("no")' if way == "raised" else "Async.sleep(60)"
    script = f"""
Tool.register{{ name = "add", parameters = {{ type = "object" }}, execute = function() {does} end }}
local agent = Agent.create{{ tools = {{ "add" }}, on_tool_error = "raise" }}
return pcall(Async.timeout, 0.2, function() return agent:execute("go") end)
"""
    run(script, Observers(kept, told.observer), CALL, "3")
    names = kept.names()
    assert names.index("tool_started") < names.index("tool_ended") < names.index("call_ended")
    ended = next(one for one in kept.told if one[0] == "tool_ended")
    assert ("cancelled" if way == "cancelled" else "no") in ended[2].error
    assert told.spans["execute_tool add"].status.status_code is StatusCode.ERROR


def test_an_observer_sees_calls_that_are_not_run_and_those_of_programs() -> None:
    kept, told = Kept(), Told()
    program = """
        local n = tools.add{ a = 1, b = 2 }
        pcall(tools.add, { a = 10 })
        pcall(tools.calculator, { input = 1 })
        return n
    """
    calls = [
        {"name": "run_lua", "arguments": {"code": program}},
        {"name": "nothing", "arguments": {}},
        {"name": "calculator", "arguments": {"inptu": "1"}},
        {"name": "calculator", "arguments": {"input": "2"}},
    ]
    script = f"""
{ADD}
local agent = Agent.create{{ tools = {{ "add", "run_lua", "calculator" }},
  approve = function(call) return call.arguments.input ~= "2", "no twos" end }}
return agent:execute("go").text
"""
    run(script, Observers(kept, told.observer), {"tool_calls": calls}, "3")
    started = [one[2].id for one in kept.told if one[0] == "tool_started"]
    ended = {one[2].id: one[2] for one in kept.told if one[0] == "tool_ended"}
    assert sorted(started) == sorted(ended)
    errors = {(one.name, (one.error or "").partition(" ")[0]) for one in ended.values()}
    assert errors == {
        ("run_lua", ""), ("nothing", "there"), ("calculator", "the"), ("add", ""), ("add", "too"),
    }  # fmt: skip
    assert len(ended) == 7
    assert next(one for one in ended.values() if one.name == "add" and one.error is None).result == 3
    assert told.spans["execute_tool nothing"].status.status_code is StatusCode.ERROR


def test_several_observers_are_told_of_all() -> None:
    one, two = Kept(), Kept()
    run('return Agent.create{}:execute("go").text', Observers(one, two), "ok")
    assert one.names() == two.names()
    assert "chunks" in one.names()


@pytest.mark.parametrize("name", EVENTS)
def test_an_observer_that_fails_is_logged_once_and_the_run_and_other_observers_go_on(name: str) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("broken\nobserver")

    broken, kept = Observer(), Kept()
    setattr(broken, name, fail)
    logged: list[str] = []
    script = (
        ADD
        + """
        local agent = Agent.create{ tools = { "add" } }
        local step = { name = "s", type = "function", run = function() return agent:execute("go").text end }
        print(Workflow.sequential{ name = "w", steps = { step } }:execute({}).text)
        print(agent:stream_execute("go"):collect().text)
        return "done"
    """
    )
    told = run(script, Observers(broken, kept), CALL, "3", "4", log=lambda level, text, fields: logged.append(text))
    assert told == "done"
    once = [f"an observer failed in `{name}`: RuntimeError: broken observer"]
    assert logged == (once if name in kept.names(True) else [])
    assert kept.names()[-1] == "run_ended"


class Told:
    """OpenTelemetry's own, in memory."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracer = TracerProvider()
        tracer.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.observer = OpenTelemetryObserver(tracer, MeterProvider([self.reader]))

    @property
    def spans(self) -> dict[str, Any]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        metrics = [one for res in data.resource_metrics for scope in res.scope_metrics for one in scope.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_call_is_a_span_below_its_run(told: Told) -> None:
    reply = {"text": "ok", "usage": {"input_tokens": 7, "output_tokens": 2}}
    run('return Agent.create{ name = "a" }:execute("go").text', told.observer, reply)
    call, whole = told.spans["chat mock"], told.spans["run script.lua"]
    assert call.kind is SpanKind.CLIENT
    assert call.parent.span_id == whole.context.span_id
    assert dict(call.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mock",
        "gen_ai.request.model": "mock",
        "gen_ai.response.model": "mock",
        "gen_ai.agent.name": "a",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        **{name: value for name, value in call.attributes.items() if name == "llmspell.usage.cost_usd"},
    }
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in told.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 7, "output": 2}
    [duration] = told.points("gen_ai.client.operation.duration")
    assert (duration.count, duration.attributes["gen_ai.operation.name"]) == (1, "chat")
    [first] = told.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 1
    assert first.sum <= duration.sum


def test_tools_are_spans_below_the_agent_that_called_them(told: Told) -> None:
    big = {"tool_calls": [{"name": "add", "arguments": {"a": 10, "b": 2}}]}
    run(
        ADD + 'return Agent.create{ name = "sums", tools = { "add" } }:execute("go").text',
        told.observer,
        big,
        CALL,
        "3",
    )
    agent = told.spans["invoke_agent sums"]
    tools = [span for span in told.exporter.get_finished_spans() if span.name == "execute_tool add"]
    assert [span.parent.span_id for span in tools] == [agent.context.span_id] * 2
    assert [span.status.status_code for span in tools] == [StatusCode.ERROR, StatusCode.UNSET]
    assert tools[1].attributes["gen_ai.tool.name"] == "add"
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert "too large" not in str([span.to_json() for span in tools])


def test_what_fails_is_marked_and_nothing_of_a_prompt_is_told(told: Told) -> None:
    broken = {"error": {"kind": "network", "message": "SECRET gone"}}
    with pytest.raises(LLMSpellError):
        run('Agent.create{ retry = 1 }:execute("SECRET prompt")', told.observer, broken)
    call, whole = told.spans["chat mock"], told.spans["run script.lua"]
    assert (call.status.status_code, call.attributes["error.type"]) == (StatusCode.ERROR, "network")
    assert (whole.status.status_code, whole.attributes["error.type"]) == (StatusCode.ERROR, "network")
    [duration] = told.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "network"
    assert "SECRET" not in "".join(span.to_json() for span in told.exporter.get_finished_spans())


async def test_runs_at_once_do_not_mix(told: Told) -> None:
    import asyncio

    manager = ProviderManager({}, env={})
    manager.register(MockProvider(["ok"]))
    async with ScriptRuntime(providers=manager, model="mock", observer=told.observer) as runtime:
        script = 'Async.sleep(0.005) return Agent.create{}:execute("go").text'
        await asyncio.gather(*(runtime.execute_script(script, name=f"s{number}") for number in range(5)))
    spans = told.exporter.get_finished_spans()
    runs = {span.context.span_id for span in spans if span.name.startswith("run ")}
    parents = [span.parent.span_id for span in spans if span.name == "chat mock"]
    assert len(runs) == 5
    assert sorted(parents) == sorted(runs)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(LLMSpellError, match="not installed"):
        OpenTelemetryObserver()
