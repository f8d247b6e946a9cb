"""Tools of a script's agents: written in Lua, agents, built in; asked about, streamed, stopped, watched."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime, ToolRegistry
from llmspell import tool as llmspell_tool
from llmspell.bridge.observer import Observer
from llmspell.config.loader import load
from llmspell.errors import LimitError, LLMSpellError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from support.loopback import Loopback, reply, sse
from support.terminal import llmspell
from support.tools import asks, calling

if TYPE_CHECKING:
    from pathlib import Path

    from llmspell.types.messages import ToolCall

ADD = 'local add = Tool.register{ name = "add", execute = function(p) Async.sleep(0.001) return p.a + p.b end }\n'
ONE = calling(asks("add", a=1, b=2), text="let me see")


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def asked(script: str, replies: list[Any], **options: Any) -> tuple[Any, MockProvider]:
    """How the run ended, and the model that was asked."""
    mock = MockProvider(replies, when_over="error")
    manager = ProviderManager({})
    manager.register(mock)
    return ScriptRuntime(providers=manager, timeout=20, **options).run(script), mock


def run(script: str, replies: list[Any], isolation: str | None, **options: Any) -> Any:
    """What the script gave."""
    return asked(script, replies, isolation=isolation, **options)[0].result


def test_a_model_calls_functions_that_wait_agents_and_tools_by_name(isolation: str | None) -> None:
    done = run(
        ADD
        + """
        local helper = Agent.create{ name = "helper", model = "mock" }
        Tool.register{ name = "add_more", execute = function(p) return p.n + 1 end }
        local agent = Agent.create{ model = "mock", tools = { add, helper, "add-more",
          { name = "greet", description = "Greets.", parameters = { type = "object", required = { "who" } },
            execute = function(p) return { said = "hi " .. p.who } end } } }
        local out = agent:execute("go")
        local got = {}
        for i, call in ipairs(out.tool_calls) do got[i] = call.result or call.error end
        return { got = got, text = out.text, same = out.response == out.text, rounds = out.metadata.rounds,
          roles = #out.messages, last = out.message.content, usage = Run.usage().calls }
        """,
        [
            calling(
                asks("add", a=1, b=2), asks("helper", input="say yes"), asks("add_more", n=1), asks("greet", who="you"),
                asks("greet"),
            ),
            "yes",
            "done",
        ],
        isolation,
    )  # fmt: skip
    assert done["got"][:4] == [3, "yes", 2, {"said": "hi you"}]
    assert "$.who: is missing" in done["got"][4]
    assert (done["text"], done["same"], done["rounds"]) == ("done", True, 2)
    assert (done["roles"], done["last"], done["usage"]) == (7, "done", 3)


def test_a_stream_shows_calls_and_comes_to_the_same(isolation: str | None) -> None:
    done = run(
        ADD
        + """
        local agent, seen = Agent.create{ model = "mock", tools = { "add" } }, {}
        local stream = agent:stream("go")
        for chunk in stream do
          local c = chunk.content
          if c.type ~= "text" then
            seen[#seen + 1] = c.type .. ":" .. tostring(c.message or c.result or c.partial_args)
          end
        end
        local out = stream:collect()
        return { seen = seen, text = out.text, calls = #out.tool_calls, turns = #out.messages }
        """,
        [ONE, "it is 3"],
        isolation,
    )
    assert done["seen"] == [
        "control:stream_start",
        'tool_call_progress:{"a":1,"b":2}',
        "tool_call_complete:3",
        "control:stream_end",
    ]
    assert (done["text"], done["calls"], done["turns"]) == ("it is 3", 1, 3)


def test_the_script_is_asked_before_a_call(isolation: str | None) -> None:
    result = run(
        ADD
        + """
        local said = { true, false, "too late", nil }
        local n = 0
        local agent = Agent.create{ model = "mock", tools = { "add" }, approve = function(call)
          n = n + 1
          Async.sleep(0.001)
          assert(call.name == "add" and call.arguments.b == 2 and call.id)
          if n == 5 then return false, "a reason" end
          return said[n]
        end }
        local got = {}
        for i, call in ipairs(agent:execute("go").tool_calls) do got[i] = call.result or call.error end
        return got
        """,
        [calling(*(asks("add", a=n, b=2) for n in range(5))), "done"],
        isolation,
    )
    denied = "the call was denied"
    assert result == [2, denied, f"{denied}: too late", denied, f"{denied}: a reason"]


def test_what_the_script_raises_in_between_comes_back_to_it(isolation: str | None) -> None:
    result = run(
        """
        local fails = { name = "fails", execute = function() error("no luck", 0) end }
        local told = Agent.create{ model = "mock", tools = { fails } }:execute("go")
        local raised = Agent.create{ model = "mock", tools = { fails }, on_tool_error = "raise" }
        local _, one = pcall(raised.execute, raised, "go")
        local asks = Agent.create{ model = "mock", tools = { fails }, approve = function() error({ mine = 1 }) end }
        local _, two = pcall(asks.execute, asks, "go")
        return { told.tool_calls[1].error, one.message, one.tool, two.mine or two.value.mine }
        """,
        [calling(asks("fails")), "done", calling(asks("fails")), calling(asks("fails"))],
        isolation,
    )
    assert result == ["no luck", "no luck", "fails", 1]


def test_agents_that_call_agents_do_not_wait_for_their_own_place(isolation: str | None) -> None:
    result = run(
        """
        local inner = Agent.create{ name = "inner", model = "mock" }
        local middle = Agent.create{ name = "middle", model = "mock", tools = { inner } }
        local outer = Agent.create{ model = "mock", tools = { middle } }
        local text = outer:execute("go").text
        return { text, outer:stream("go"):collect().text }
        """,
        [calling(asks("middle", input="a")), calling(asks("inner", input="b")), "c", "d", "e"] * 2,
        isolation,
        max_concurrency=1,
    )
    assert result == ["e", "e"]


def test_a_cancelled_call_ends_the_function_that_runs(isolation: str | None) -> None:
    result = run(
        """
        local ended = 0
        local wait = { name = "wait", execute = function()
          local guard <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
          Async.sleep(60)
        end }
        local agent = Agent.create{ model = "mock", tools = { wait } }
        local ok, e = pcall(Async.timeout, 0.05, function() agent:execute("go") end)
        for chunk in agent:stream("go") do
          if chunk.content.type == "tool_call_progress" then Async.sleep(0.02) break end
        end
        Async.sleep(0.05)
        local timed = Agent.create{ model = "mock", tools = { wait }, timeout = 0.05 }
        local _, late = pcall(timed.execute, timed, "go")
        Async.sleep(0.02)
        return { e.kind, late.kind, ended }
        """,
        [calling(asks("wait"))] * 3,
        isolation,
    )
    assert result == ["timeout", "timeout", 3]


def test_limits_end_the_call_and_say_what_raises_them(isolation: str | None) -> None:
    with pytest.raises(LimitError, match="2 rounds") as caught:
        run(
            'local n = 0; local count = { name = "count", execute = function() n = n + 1 return n end }\n'
            'Agent.create{ model = "mock", tools = { count }, max_tool_rounds = 2 }:execute("go")',
            [calling(asks("count"))] * 9,
            isolation,
        )
    assert caught.value.setting == "max_tool_rounds"
    assert caught.value.usage is not None
    assert caught.value.usage["total_tokens"] > 0  # of the rounds that there were


@pytest.mark.once
@pytest.mark.parametrize("how", ["execute", "stream"])
def test_what_failed_counts_as_far_as_it_came_and_once(how: str) -> None:
    reply = {**calling(asks("inner", input="x")), "usage": {"input_tokens": 10, "output_tokens": 1}}
    count = {**calling(asks("count")), "usage": {"input_tokens": 100, "output_tokens": 1}}
    script = """
    local n = 0
    local count = { name = "count", execute = function() n = n + 1 return n end }
    local inner = Agent.create{ name = "inner", model = "mock", tools = { count }, max_tool_rounds = 1 }
    local outer = Agent.create{ model = "mock", tools = { inner } }
    local ok, e = pcall(function() return HOW end)
    return { e.limit, e.rounds, Run.usage().input_tokens, Run.usage().calls }
    """.replace("HOW", 'outer:execute("go")' if how == "execute" else 'outer:stream("go"):text()')
    done, _ = asked(script, [reply, count, count])
    assert done.result == ["tool rounds", 1, 210, 3]


@pytest.mark.once
@pytest.mark.parametrize("how", ["execute", "stream"])
def test_the_end_of_the_run_is_no_error_of_a_tool(how: str) -> None:
    script = """
    local leave = { name = "leave", execute = function() os.exit(3) end }
    local agent = Agent.create{ model = "mock", tools = { leave } }
    pcall(function() return HOW end)
    print("not reached")
    """.replace("HOW", 'agent:execute("go")' if how == "execute" else 'agent:stream("go"):text()')
    done, mock = asked(script, [calling(asks("leave")), "done"])
    assert (done.exit_code, done.output, len(mock.calls)) == (3, "", 1)


@pytest.mark.once
def test_what_an_agent_was_made_of_tells_no_header_s_value() -> None:
    done, mock = asked(
        """
        local extra = { body = { top_k = 3 }, headers = { ["X-Api-Key"] = "sesame" } }
        local agent = Agent.create{ name = "a", extra = extra }
        agent:execute("hi")
        return { agent:get_config().extra, Agent.get_info("a").extra }
        """,
        ["ok"],
    )
    assert done.result == [{"body": {"top_k": 3}, "headers": {"X-Api-Key": "***"}}] * 2
    assert mock.calls[0].headers == {"X-Api-Key": "sesame"}


@pytest.mark.once
def test_older_ways_of_making_an_agent() -> None:
    done, mock = asked(
        ADD
        + """
        Tool.register{ name = "add_two", execute = function(p) return p.a + 2 end }
        local built = Agent.builder():name("built"):type("llm"):model("mock/one"):temperature(0.5):max_tokens(100)
          :custom_config({ system_prompt = "Be brief.", note = 1 }):resource_limits({ max_execution_time_secs = 30 })
          :tool("add"):allow_tool("add_two"):build()
        Agent.register{ name = "old", model = { provider = "mock", model_id = "two", temperature = 0.1 }, tools = {} }
        local old = Agent.get("old")
        local out = built:execute{ text = "go", context = { user = "Ann" } }
        old:execute("go")
        local info = Agent.get_info("old")
        return { config = built:get_config(), model = info.model, none = Agent.get_info("no") == nil,
          metrics = built:get_metrics(), media = old:supported_media_types(), multi = old:supports_multimodal() }
        """,
        [ONE, "3", "ok"],
    )
    config = done.result["config"]
    assert (config["system_prompt"], config["timeout"], config["metadata"]) == ("Be brief.", 30, {"note": 1})
    assert config["tools"] == ["add", "add_two"]
    assert done.result["model"] == "two"
    assert done.result["none"]
    assert mock.calls[0].messages[0].text == 'Be brief.\n\nContext, as JSON:\n{"user":"Ann"}'
    assert mock.calls[2].parameters.temperature == 0.1
    metrics = done.result["metrics"]
    assert [metrics[name] for name in ("calls", "errors", "rounds", "tool_calls")] == [1, 0, 2, 1]
    assert done.result["media"][0] == "text"
    assert done.result["multi"]


@pytest.mark.once
def test_a_wrapped_agent_is_a_tool_of_that_name() -> None:
    done, mock = asked(
        """
        local expert = Agent.create{ name = "expert", model = "mock", system_prompt = "You know." }
        local tool = Agent.wrap_as_tool(expert, { name = "ask_expert", description = "Knows." })
        local direct = Tool.execute("ask_expert", { input = "one" })
        local out = Agent.create{ model = "mock", tools = { tool } }:execute("go")
        return { tool.name, direct.result, out.tool_calls[1].result }
        """,
        ["first", calling(asks("ask_expert", input="two")), "second", "done"],
    )
    assert done.result == ["ask_expert", "first", "second"]
    assert mock.calls[1].tools[0].description == "Knows."


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "kind", "word"),
    [
        ('tools = { "ad" }', "not_found", "no tool `ad`"),
        ("tools = { {} }", "validation", "tools[1]"),
        ("tools = { 3 }", "validation", "tools[1]"),
        ('tools = { { name = "a b", execute = print } }', "validation", "a b"),
        ('tools = { { name = "x", execute = print, params = {} } }', "validation", "params"),
        ('tools = "add"', "validation", "a list"),
        ("approve = true", "validation", 'a function or "ask", not boolean'),
        ("max_tool_rounds = -1", "validation", "max_tool_rounds"),
        ('tools = { "add" }, tool_choice = "sub"', "validation", "sub"),
        ('tools = { "add", "add" }', "validation", "same name"),
        ('tools = { "add" }, on_tool_error = "hide"', "validation", "on_tool_error"),
        ("max_tool_round = 1", "validation", "max_tool_round"),
        ("custom_config = { temperature = 9 }", "validation", "custom_config.temperature"),
    ],
)
def test_what_does_not_fit_is_named(fields: str, kind: str, word: str) -> None:
    with pytest.raises(LLMSpellError) as caught:
        asked(ADD + f'Agent.create{{ model = "mock", {fields} }}', [])
    assert caught.value.kind == kind
    assert word in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.once
def test_an_observer_hears_of_tools() -> None:
    heard: list[tuple[Any, ...]] = []

    class Hears(Observer):
        def call_started(self, call: str, label: str) -> None:
            heard.append(("call", call))

        def tool_started(self, call: str, tool: ToolCall) -> None:
            heard.append(("start", call, tool.name, tool.result))

        def tool_ended(self, call: str, tool: ToolCall, seconds: float) -> None:
            heard.append(("end", call, tool.name, tool.result))
            assert seconds >= 0

    script = ADD + 'return Agent.create{ model = "mock", tools = { "add" } }:execute("go").text'
    done, _ = asked(script, [ONE, "it is 3"], observer=Hears())
    assert done.result == "it is 3"
    (_, call), *told = heard
    assert told == [("start", call, "add", None), ("end", call, "add", 3)]


@pytest.mark.once
def test_a_program_reads_of_tools_line_by_line_and_a_replay_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[providers]\ndefault = "mock"\n[providers.mock]\n'
        'replies = [{ tool_calls = [{ name = "add", arguments = { a = 1, b = 2 } }, { name = "no" }] }, "3"]\n'
    )
    script = ADD + 'local a = Agent.create{ name = "sums", tools = { "add" } }\nprint(JSON.stringify(a:execute("go")))'
    (tmp_path / "s.lua").write_text(script)
    done = llmspell("--config", "c.toml", "--output", "jsonl", "run", "s.lua", cwd=tmp_path)
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    refused, over, start, end = (event for event in events if event["event"] == "tool")
    assert (refused["state"], refused["name"], over["state"], over["seconds"]) == ("start", "no", "end", 0.0)
    assert over["error"].startswith("there is no tool `no`")
    assert start["label"] == "sums · mock/mock"
    assert (start["state"], start["name"], start["arguments"]) == ("start", "add", {"a": 1, "b": 2})
    assert (end["state"], end["result"], end["id"]) == ("end", 3, start["id"])
    assert end["call"] == next(event["call"] for event in events if event["event"] == "chunk")
    assert events[-1]["calls"] == 2

    recorded = llmspell("--config", "c.toml", "run", "--record", "t.jsonl", "s.lua", cwd=tmp_path)
    assert recorded.code == 0, recorded.err
    replayed = llmspell("--config", "c.toml", "run", "--replay", "t.jsonl", "s.lua", cwd=tmp_path)
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


@pytest.mark.once
async def test_a_script_brings_a_key_but_does_not_say_where_it_goes() -> None:
    own, theirs = "sk-of-the-script-0123456789", "sk-of-the-host-0123456789"
    with Loopback([reply(b"".join(sse(["yes"])))] * 2) as server:
        settings = {"type": "openai", "base_url": server.url, "api_key": theirs, "model": "m"}
        manager = ProviderManager({"acme": settings}, env={})
        script = f"""
        local agent = Agent.builder():model("acme/m"):base_url("{server.url}/"):api_key("{own}"):build()
        local text = agent:stream("hi"):text() .. Agent.create{{ model = "acme/m" }}:stream("hi"):text()
        local ok, e = pcall(Agent.create, {{ model = "acme/m", base_url = "https://elsewhere.example" }})
        return {{ text, e.kind, JSON.stringify(agent:get_config()) }}
        """
        try:
            done = await ScriptRuntime(providers=manager, timeout=20).execute_script(script)
        finally:
            await manager.aclose()
        keys = [request.headers["authorization"] for request in server.requests]
    assert done.result[:2] == ["yesyes", "permission"]
    assert keys == [f"Bearer {own}", f"Bearer {theirs}"]
    assert own not in done.result[2]
    assert own not in repr(manager)


@pytest.mark.once
def test_a_replay_hears_of_the_world_what_tools_heard_then(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[providers]\ndefault = "mock"\n[providers.mock]\nreplies = [{ tool_calls = [\n'
        '{ name = "file_operations", arguments = { operation = "read", path = "a.txt" } },\n'
        '{ name = "file_operations", arguments = { operation = "read", path = "b.txt" } }] }, "done"]\n'
    )
    (tmp_path / "a.txt").write_bytes(b"then")
    (tmp_path / "s.lua").write_text(
        'print(JSON.stringify(Agent.create{ tools = { "file-operations" } }:execute("go").tool_calls))\n'
        'print(pcall(Tool.execute, "file_operations", { operation = "read", path = "a.txt" }))'
    )

    def run(*words: str) -> Any:
        return llmspell("--config", "c.toml", "run", *words, "s.lua", cwd=tmp_path)

    recorded = run("--allow-read=a.txt", "--record", "t.jsonl")
    assert recorded.code == 0, recorded.err
    assert b"then" in recorded.out
    assert b"may not read" in recorded.out
    (tmp_path / "a.txt").write_bytes(b"now")
    replayed = run("--replay", "t.jsonl")
    assert replayed.code == 0, replayed.err
    assert replayed.out.splitlines()[0] == recorded.out.splitlines()[0]
    assert replayed.out[:40] == recorded.out[:40]


@pytest.mark.once
def test_a_replay_waits_for_a_tool_that_takes_its_time(tmp_path: Path) -> None:
    def slow(text: str) -> str:
        """Takes longer than a replay waits for what it may have missed."""
        time.sleep(0.2)
        return text

    script = """
    local agent, order = Agent.create{ model = "mock", tools = { "slow" } }, {}
    Async.all{
      function() order[#order + 1] = agent:execute("go").tool_calls[1].result end,
      function() Async.sleep(1) order[#order + 1] = "slept" end,
    }
    return order
    """
    (tmp_path / "c.toml").write_text(
        '[providers.mock]\nreplies = [{ tool_calls = [{ name = "slow", arguments = { text = "x" } }] }, "done"]\n'
    )
    config = load(script_dir=None, config_file=str(tmp_path / "c.toml"), env={}, flags={})
    tools = ToolRegistry()
    tools.register(llmspell_tool(slow))
    for tape in ({"record": tmp_path / "t.jsonl"}, {"replay": tmp_path / "t.jsonl"}):
        done = ScriptRuntime(config=config, tools=tools, timeout=20, **tape).run(script)
        assert done.result == ["x", "slept"]


@pytest.mark.once
def test_agents_that_call_themselves_by_way_of_a_function_are_stopped() -> None:
    script = """
    local agent
    local again = { name = "again", execute = function() return agent:execute("go").text end }
    local inner = Agent.create{ name = "inner", model = "mock", tools = { again } }
    agent = Agent.create{ model = "mock", tools = { inner } }
    agent:execute("go")
    """
    with pytest.raises(LimitError, match="deep"):
        asked(script, [calling(asks("inner", input="x")), calling(asks("again"))] * 20)


@pytest.mark.once
def test_a_result_that_cannot_be_passed_on_is_told_in_words_of_the_script() -> None:
    script = """
    local odd = { name = "odd", execute = function() return { print } end }
    local got = Agent.create{ model = "mock", tools = { odd } }:execute("go")
    return got.tool_calls[1].error
    """
    assert run(script, [calling(asks("odd")), "ok"], None) == (
        "the function's result: a function at `[1]` cannot be passed on"
    )
