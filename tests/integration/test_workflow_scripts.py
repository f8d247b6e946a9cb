"""Workflows as scripts write them: builder and table, older words, errors, and what is left when they end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.observer import Observer
from llmspell.config.loader import load
from llmspell.errors import LimitError, LLMSpellError, WorkflowError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.registry import ToolRegistry
from support.answers import answer
from support.loopback import STALL, Loopback, reply


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def run(script: str, isolation: str | None = None, **options: Any) -> Any:
    return ScriptRuntime(timeout=options.pop("timeout", 20), isolation=isolation, **options).run(script).result


# ---- shapes


def test_a_builder_and_a_table_make_the_same(isolation: str | None) -> None:
    got = run(
        """
        local function double(ctx) return ctx.params.n * 2 end
        local built = Workflow.builder():sequential():name("built"):description("doubles")
          :add_step{ name = "a", type = "function", run = double, input = { n = "{{input.n}}" } }
          :step("b", { run = double, input = { n = "{{step.a.result}}" } })
          :build()
        local made = Workflow.sequential{ name = "made", steps = {
          { name = "a", run = double, input = { n = "{{input.n}}" } },
          { name = "b", run = double, input = { n = "{{a}}" } },
        } }
        local one, other = built:execute{ n = 3 }, Workflow.execute("made", { n = 3 })
        return { one.result, other.result, one.text, one.steps.a.result, one.success, built.name, built.type,
                 tostring(built), built:get_info().steps, Workflow.list(), Workflow.get("built"):execute{ n = 1 }.text,
                 Workflow.get("none") == nil, built.description }
        """,
        isolation,
    )
    assert got == [
        12, 12, "12", 6, True, "built", "sequential", "workflow `built`", ["a", "b"], ["built", "made"], "4", True,
        "doubles",
    ]  # fmt: skip


def test_functions_wait_and_run_together_and_hand_on_state(isolation: str | None) -> None:
    got = run(
        """
        local running, most = 0, 0
        local function work(ctx)
          running = running + 1
          most = math.max(most, running)
          Async.sleep(0.01)
          running = running - 1
          ctx.state[ctx.step] = (ctx.state.first or 0) + 1
          return ctx.step
        end
        local both = Workflow.parallel():name("both"):max_concurrency(2)
          :step("a", work):step("b", work):step("c", work):build()
        local flow = Workflow.sequential():step("start", function(ctx) ctx.state.first = 1 end)
          :add_step{ name = "both", workflow = both }
          :add_step{ name = "last", run = function(ctx) return ctx.state end }:build()
        local done = flow:execute()
        return { done.result, done.state, done.steps.both.result, done.steps.both.steps.b.result, most }
        """,
        isolation,
    )
    state = {"first": 1, "a": 2, "b": 2, "c": 2}
    assert got == [state, state, {"a": "a", "b": "b", "c": "c"}, "b", 2]


def test_branches_and_loops(isolation: str | None) -> None:
    got = run(
        """
        local function say(word) return { name = word, run = function() return word end } end
        local size = Workflow.conditional():condition(function(ctx) return ctx.input.n > 3 end)
          :add_then_step(say("big")):add_else_step(say("small")):build()
        local many = Workflow.conditional{ branches = {
          { name = "none", condition = "{{input.none}}", steps = { say("x") } },
          { name = "rest", default = true, steps = { say("rest") } },
        } }
        local item = { name = "s", run = function(ctx) return ctx.params end, input = "{{loop.index}}:{{loop.item}}" }
        local range = Workflow.loop():with_range(1, 5, 2):add_step(item):build():execute()
        local named = Workflow.loop{ range = { start = 1, ["end"] = 2 }, body = { item } }:execute()
        local list = Workflow.loop():with_collection({ "x", "y" }):add_step(item):build():execute()
        local n = 0
        local function count() n = n + 1 return n end
        local capped = Workflow.loop():with_while(function() return true end):max_iterations(4)
          :step("n", count):build():execute()
        local broken = Workflow.loop{ ["while"] = function() return true end, steps = { { name = "n", run = count } },
          break_when = function(ctx) return ctx.steps.n.result >= 6 end }:execute()
        return { size:execute{ n = 5 }.text, size:execute{ n = 1 }.branch, many:execute{ none = false }.branch,
          range.result, named.iterations, list.result, list.text, capped.iterations, capped.capped, broken.result,
          broken.capped == nil }
        """,
        isolation,
    )
    assert got == [
        "big", "else", "rest", ["1:1", "2:3", "3:5"], 2, ["1:x", "2:y"], "2:y", 4, True, [5, 6], True,
    ]  # fmt: skip


def test_agents_and_tools_are_steps(isolation: str | None) -> None:
    got = run(
        """
        Tool.register{ name = "word_count", parameters = { type = "object", required = { "text" } },
          execute = function(params) return { words = select(2, params.text:gsub("%S+", "")) } end }
        local writer = Agent.create{ name = "writer", model = "mock" }
        local flow = Workflow.sequential{ steps = {
          { name = "draft", type = "agent", agent = writer, input = "About {{input.topic}}" },
          { name = "again", agent = "writer" },
          { name = "count", type = "tool", tool = "word-count", input = { text = "{{step:again:output}}" } },
          { name = "table", agent = writer, input = { prompt = "n = {{step.count.result.words}}" } },
        } }
        local done = flow:execute{ topic = "two rivers" }
        return { done.steps.draft.result, done.steps.again.result, done.steps.count.result.words, done.text,
                 Run.usage().calls }
        """,
        isolation,
    )
    assert got == ["About two rivers", "About two rivers", 3, "n = 3", 3]


# ---- older scripts


def test_older_words_are_taken() -> None:
    got = run(
        """
        Tool.register{ name = "file_operations_2", execute = function(params) return params.path end }
        State.set("priority", "high")
        local pipeline = Workflow.sequential({
          name = "older", error_strategy = "fail_fast", timeout_ms = 30000,
          steps = {
            { name = "step_1", type = "custom", execute = function(context)
                return { success = true, output = "made by hand" }
              end },
            { name = "step_2", type = "tool", tool = "file_operations_2", parameters = { path = "a" },
              timeout_ms = 500 },
          },
        })
        local router = Workflow.conditional({
          branches = {
            { name = "high", condition = { type = "shared_data_equals", key = "priority", expected = "high" },
              steps = { { name = "now", type = "custom", execute = function() return { success = true } end } } },
          },
          default_branch = { name = "low", steps = { { name = "later", run = function() end } } },
        })
        local one = Workflow.conditional{ condition = "true",
          then_branch = { name = "t", run = function() return 1 end },
          else_branch = { name = "e", run = function() return 2 end } }
        local loop = Workflow.loop{ iterator = { collection = { { id = 7 } } },
          body = { { name = "b", run = function(ctx) return ctx.params end, input = "{{loop:current_item.id}}" } } }
        local done = pipeline:execute()
        return { done.steps.step_1.result, done.text, router:execute().branch, one:execute().result,
                 loop:execute().result[1], pipeline:get_name(), pipeline:get_type(),
                 Workflow.get_info("older").on_error }
        """
    )
    assert got == ["made by hand", "a", "high", 1, 7, "older", "sequential", "fail"]


# ---- errors


def test_a_failing_step_raises_an_error_with_its_name(isolation: str | None) -> None:
    got = run(
        """
        local function fails(ctx) error("no luck with " .. ctx.input) end
        local inner = Workflow.sequential{ name = "inner", steps = { { name = "bad", run = fails } } }
        local outer = Workflow.sequential{ name = "outer", steps = { { name = "nested", workflow = inner } } }
        local _, e = pcall(outer.execute, outer, "it")
        local steps = { { name = "bad", run = fails } }
        local kept = Workflow.sequential{ on_error = "continue", steps = steps }:execute("it")
        local again = Workflow.sequential{ on_error = "skip", steps = {
          { name = "bad", run = fails, retry = { attempts = 3, base = 0.001 } } } }:execute("it")
        return { e.kind, e.step, e.message, kept.success, kept.steps.bad.error.message, kept.steps.bad.error.kind,
                 again.success, again.steps.bad.attempts }
        """,
        isolation,
    )
    assert got == [
        "workflow", "nested/bad", "workflow `outer`: step `nested/bad` failed: no luck with it", False,
        "no luck with it", "script", True, 3,
    ]  # fmt: skip


def test_an_error_that_nobody_catches_shows_the_line_of_the_function() -> None:
    script = 'local w = Workflow.sequential{ steps = { { name = "a", run = function()\n  error("no luck")\nend } } }\n'
    with pytest.raises(WorkflowError) as caught:
        run(script + "w:execute()")
    assert (caught.value.step, caught.value.line) == ("a", 2)


@pytest.mark.parametrize(
    ("script", "says", "hint"),
    [
        ("Workflow.sequential{ stps = {} }", "`Workflow.sequential` has no field `stps`", "did you mean `steps`?"),
        ("Workflow.sequential{ range = { 1, 2 } }", "has no field `range`", ""),
        (
            "Workflow.parallel{ steps = { { name = 'a', rn = print } } }",
            "`Workflow.parallel` has no field `steps[1].rn`",
            "did you mean `run`?",
        ),
        ("Workflow.sequential():add_stp{}", "there is no `Workflow.builder():add_stp`", "add_step"),
        ("Workflow.builder():build()", "was not told what to build", ":sequential()"),
        ("Workflow.sequential{ steps = { { run = print } } }", "`steps[1].name` is missing", "what it is called"),
        ("Workflow.sequential{ steps = { { name = 'a', run = 3 } } }", "`steps[1].run` must be a function, not 3", ""),
        ("Workflow.sequential{ steps = { { name = 'a', agent = {} } } }", "must be an agent, or the name of one", ""),
        ("Workflow.sequential{ steps = { { name = 'a', type = 'agent', run = print } } }", "takes `agent`", ""),
        ("Workflow.sequential{ steps = { { name = 'a', type = 'magic' } } }", "`steps[1].type` is `magic`", "custom"),
        ("Workflow.sequential{ steps = 'all' }", "`steps` must be a list", ""),
        ("Workflow.sequential{ steps = { print } }", "`Workflow.sequential`: steps[1] must be a table, not a fun", ""),
        ("Workflow.loop{ body = print }", "`Workflow.loop`: `body` must be a list, not a function", ""),
        ("Workflow.loop{ range = print }", "`range` must be a table: first, last and step, not a function", ""),
        ("Workflow.conditional{ branches = { print } }", "branches[1] must be a table, not a function", ""),
        ("Workflow.sequential():on_error(print):build()", "`on_error` must be a string, not a function", "fail, skip"),
        (
            "Workflow.parallel{ steps = { { name = 'a', tool = 'x', input = { print } } } }",
            "`Workflow.parallel`: a function at `steps[1].input[1]` cannot be passed on",
            "",
        ),
        ("Workflow.sequential(3)", "takes a table, not number", ""),
        ("Workflow.loop{ steps = { { name = 'a', run = print } } }", "loops over nothing", "just one of"),
        ("Workflow.conditional{ condition = 'x > 1', then_steps = {} }", "is no placeholder", "{{input.name}}"),
        ("Workflow.conditional{ condition = '{{x}}' }", "`then_steps` is missing", ""),
        ("Workflow.execute('nothing')", "there is no workflow `nothing`", "Workflow.list()"),
        ("Workflow.sequental()", "there is no `Workflow.sequental`", "Workflow.sequential"),
        ("local w = Workflow.sequential{ steps = { { name = 'a', run = print } } } w.execute()", "with a colon", ""),
        ("Template.execute('x')", "no templates that are executed", "Template.render"),
        ("Template.render(3)", "takes a string first, not number", ""),
    ],
)
def test_bad_arguments_are_named(script: str, says: str, hint: str) -> None:
    with pytest.raises(LLMSpellError) as caught:
        run(script)
    assert says in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.line == 1


def test_a_text_stands_for_a_table_with_that_text(isolation: str | None) -> None:
    got = run(
        """
        local flow = Workflow.sequential{ name = "says", steps = {
          { name = "a", run = function(ctx) return ctx.params end,
            input = { "{{text}}", "{{prompt}}", "{{input.text}}", "{{input}}!" } },
        } }
        return { flow:execute("hi").result, select(2, pcall(flow.execute, flow, {})).hint }
        """,
        isolation,
    )
    assert got == [["hi", "hi", "hi", "hi!"], "there are input, step, steps, state"]


def test_what_a_placeholder_gives_is_written_out_where_a_tool_takes_a_text(isolation: str | None) -> None:
    got = run(
        """
        Tool.register{ name = "told", execute = function(p) return p end,
          parameters = { properties = { text = { type = { "string", "array" } }, any = {}, n = {} } } }
        local flow = Workflow.sequential{ name = "says", steps = {
          { name = "made", run = function() return { a = 1 } end },
          { name = "told", tool = "told", input = { text = "{{made}}", any = "{{made}}", n = "{{input.n}}" } },
          { name = "list", tool = "told", input = { text = "{{input.list}}" } },
          { name = "number", tool = "told", input = { text = "{{input.n}}" } },
        } }
        local done = flow:execute{ n = 3, list = { 1 } }
        local literal = Workflow.sequential():step("a", { tool = "told", input = { text = 5 } }):build()
        local _, e = pcall(literal.execute, literal)
        return { done.steps.told.result, done.steps.number.result, done.steps.list.result, tostring(e) }
        """,
        isolation,
    )
    assert got[:3] == [{"text": '{"a":1}', "any": {"a": 1}, "n": 3}, {"text": "3"}, {"text": [1]}]
    assert "$.text: must be a string or an array, not 5" in got[3]


def test_what_a_placeholder_gives_is_written_out_for_an_agent(isolation: str | None) -> None:
    got = run(
        """
        local echo = Agent.create{ name = "echo", model = "mock/x" }
        local function says(input)
          local flow = Workflow.sequential{ steps = {
            { name = "made", run = function() return { a = 1 } end },
            { name = "said", run = function() return { text = "as it is" } end },
            { name = "told", agent = echo, input = input },
          } }
          local turn = { role = "user", content = "a turn" }
          local ok, done = pcall(flow.execute, flow, { n = 5, list = { 1, 2 }, turn = turn, turns = { turn } })
          return ok and done.text or done.message
        end
        return {
          says("{{made}}"), says("{{made.a}}"), says("{{input.list}}"), says("{{said}}"),
          says{ prompt = "{{made}}" }, says{ text = "{{input.n}}" },
          says{ messages = { { role = "user", content = "{{made}}" } } },
          says{ messages = { "{{input.turn}}" } }, says{ messages = "{{input.turns}}" },
          says{ messages = { { role = "user", content = { { type = "text", text = "{{made.a}} part" } } } } },
          says(5), says{ prompt = 5 },
          Workflow.sequential{ steps = { { name = "a", agent = echo } } }:execute{ topic = "x" }.text,
          Workflow.sequential{ steps = { { name = "a", agent = echo } } }:execute{ prompt = "x" }.text,
          Workflow.sequential{ steps = { { name = "a", agent = echo } } }:execute(5).text,
        }
        """,
        isolation,
    )
    assert got[:4] == ['{"a":1}', "1", "[1,2]", "as it is"]
    assert got[4:10] == ['{"a":1}', "5", '{"a":1}', "a turn", "a turn", "1 part"]
    assert "must be a table, not 5" in got[10]
    assert "`prompt` must be a string, not 5" in got[11]
    assert got[12:] == ['{"topic":"x"}', "x", "5"]


def test_a_template_tool_fills_in_what_it_has_values_for(isolation: str | None) -> None:
    got = run(
        """
        local function says(input)
          local flow = Workflow.sequential{ steps = {
            { name = "made", run = function() return { id = 7 } end },
            { name = "told", tool = "template-creator", input = input },
          } }
          local ok, done = pcall(flow.execute, flow, { who = "ada" })
          return ok and done.steps.told.result.output or done.message
        end
        return {
          says{ input = "{{who}}: {{ id }}, {{made.id}}", context = { id = "{{step.made.result.id}}" } },
          says{ template = "{{x}}", variables = { x = "{{made}}", who = "not asked" } },
          says{ input = "{{nobody}}", context = { id = 1 } },
        }
        """,
        isolation,
    )
    assert got[0] == "ada: 7, 7"
    assert got[1] == '{"id":7}'
    assert "there is no `{{nobody}}`" in got[2]


def test_older_words_of_agents_state_and_tools() -> None:
    got = run(
        """
        local name = Agent.register{ name = "demo", model = { provider = "mock", model_id = "hi" }, timeout_ms = 1500 }
        State.set("k", 1)
        local _, url = pcall(Tool.execute, "http_request", { input = "http://127.0.0.1:9/", timeout_ms = 200 })
        return { "registered " .. name, name .. "!", Agent.get(name):execute("yo").text, Agent.get_info(name).name,
          Agent.get(name):get_config().timeout, State.delete("k"), State.get("k", "gone"), url.kind,
          select(2, pcall(State.delete, "k", nil)).kind, select(2, pcall(function() return name .. {} end)) }
        """
    )
    assert got[:8] == ["registered demo", "demo!", "yo", "demo", 1.5, True, "gone", "permission"]
    assert got[8:] == ["validation", "script.lua:7: attempt to concatenate a table value"]


def test_older_words_of_workflows(isolation: str | None) -> None:
    got = run(
        """
        local route = Workflow.builder():name("route"):conditional()
          :step("before", { type = "custom", execute = function() return { success = true, output = "b" } end })
          :condition{ type = "shared_data_equals", key = "kind", value = "blog" }
          :add_then_step{ name = "blog", run = function(ctx) return "blog after " .. ctx.steps.before.result end }
          :add_else_step{ name = "mail", type = "custom", execute = function() return "mail" end }
          :build()
        route:set_shared_data("kind", "blog")
        local first = route:execute{}
        route:set_shared_data("kind", "mail")
        local loop = Workflow.loop():with_range(4, 5)
          :step("s", { run = function(_, p) return p end, input = "{{loop:current_index}}/{{loop:current_value}}" })
          :build()
        return { first.text, first.branch, route:execute{}.text, route:get_shared_data("kind"), loop:execute().result,
          route.id, Agent.create{ model = "mock/hi" }:invoke("yo").text,
          select(2, pcall(route.set_shared_data, route, 5, 1)).message,
          select(2, pcall(route.set_shared_data, route, "k", ("x"):rep(5000000))).kind,
          select(2, pcall(function()
            for _ = 1, 3 do
              local one = Workflow.sequential{ steps = { { name = "s", run = print } } }
              one:set_shared_data("k", ("x"):rep(2000000))
            end
          end)).kind }
        """,
        isolation,
    )
    assert got == [
        "blog after b", "then", "mail", "mail", ["1/4", "2/5"], "workflow-1", "yo",
        "`workflow:set_shared_data` takes a key first, a string", "limit", "limit",
    ]  # fmt: skip


def test_state_that_is_no_table_and_what_cannot_cross_are_errors(isolation: str | None) -> None:
    flow = "Workflow.sequential{{ steps = {{ {{ name = 'a', run = function(ctx) {} end }} }} }}:execute()"
    with pytest.raises(WorkflowError, match=r"`ctx.state` must stay a table"):
        run(flow.format("ctx.state = 3"), isolation)
    with pytest.raises(WorkflowError, match="cannot be passed on"):
        run(flow.format("return print"), isolation)
    assert run("return " + flow.format("ctx.state[1] = 'x'") + ".state", isolation) == ["x"]


# ---- ends


def test_a_timeout_ends_what_runs(isolation: str | None) -> None:
    got = run(
        """
        local closed = 0
        local function slow()
          local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
          Async.sleep(60)
        end
        local function wait_for(n)
          for _ = 1, 500 do
            if closed == n then return true end
            Async.sleep(0.002)
          end
        end
        local step = Workflow.sequential{ steps = { { name = "a", run = slow, timeout = 0.2 } } }
        local ok, e = pcall(step.execute, step)
        local first = wait_for(1)
        local whole = Workflow.parallel{ timeout_ms = 200, steps = {
          { name = "a", run = slow }, { name = "b", run = slow } } }
        local ok2, e2 = pcall(whole.execute, whole)
        local second = wait_for(3)
        local failing = Workflow.parallel{ steps = {
          { name = "a", run = slow }, { name = "b", run = function() error("x") end } } }
        local ok3, e3 = pcall(failing.execute, failing)
        local third = wait_for(4)
        local ok4, e4 = pcall(Async.timeout, 0.2, function() whole:execute() end)
        return { ok, e.kind, e.reason_kind, first, ok2, e2.kind, second, ok3, e3.step, third,
                 ok4, e4.kind, wait_for(6) }
        """,
        isolation,
    )
    assert got == [
        False, "workflow", "timeout", True, False, "timeout", True, False, "b", True, False, "timeout", True,
    ]  # fmt: skip


def test_the_run_s_limits_hold_inside() -> None:
    with pytest.raises(LimitError, match=r"longer than its limit of 0\.3 s"):
        run(
            "Workflow.loop():with_while(function() while true do end end):step('a', print):build():execute()",
            timeout=0.3,
        )
    with pytest.raises(LimitError, match="loops more than 10000 times"):
        run(
            "Workflow.loop{ collection = { 1 }, steps = { { name = 'a', run = print } } }:execute() "
            "Workflow.loop():with_range(1, 10001):step('a', print):build():execute()",
            stdout=io.BytesIO(),
        )


# ---- who looks on


class Watcher(Observer):
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def step_started(self, step: str, workflow: str, name: str, kind: str) -> None:
        self.seen.append(("started", step, workflow, name, kind))

    def step_ended(self, step: str, told: Any) -> None:
        self.seen.append(("ended", step, told["success"], told["attempts"], (told.get("error") or {}).get("message")))

    def call_started(self, call: str, label: str) -> None:
        self.seen.append(("call", label))


def test_an_observer_sees_steps_begin_and_end() -> None:
    watcher = Watcher()
    script = """
    local a = Agent.create{ name = "writer", model = "mock" }
    Workflow.sequential{ name = "w", on_error = "continue", steps = {
      { name = "ask", agent = a, input = "hi" }, { name = "bad", run = function() error("no") end } } }:execute()
    """
    ScriptRuntime(timeout=20, observer=watcher).run(script)
    assert watcher.seen == [
        ("started", "1", "w", "ask", "agent"), ("call", "writer · mock/mock"), ("ended", "1", True, 1, None),
        ("started", "2", "w", "bad", "function"), ("ended", "2", False, 1, "no"),
    ]  # fmt: skip


RECORDED = """
Tool.register{ name = "waits", execute = function() Async.sleep(0.01) return "waited" end }
local a = Agent.create{ name = "writer", model = "mock" }
local n = 0
local flow = Workflow.parallel{ steps = {
  { name = "tool", tool = "waits" },
  { name = "one", agent = a, input = "first" }, { name = "two", agent = a, input = "second" },
  { name = "slow", run = function() Async.sleep(5) end, timeout = 0.05, on_error = "continue" },
  { name = "again", run = function() n = n + 1 if n < 3 then error("not yet") end return n end, retry = 3 },
} }
local done = flow:execute()
return { done.text, done.steps.slow.error.kind, done.steps.again.attempts, done.duration_ms }
"""


def test_a_replay_says_what_the_recording_said(tmp_path: Path) -> None:
    tape = str(tmp_path / "w.tape")
    first = run(RECORDED, record=tape)
    second = run(RECORDED, replay=tape)
    assert first == second
    assert first[:3] == ["waited\n\nfirst\n\nsecond\n\n3", "timeout", 3]


def test_templates_are_rendered(isolation: str | None) -> None:
    got = run(
        """
        local ok, e = pcall(Template.render, "{{nam}}", { name = 1 })
        local values = { to = { name = "A" }, n = 1.5, list = { 1, 2 } }
        return { Template.render("Dear {{to.name}}: {{n}}, {{list}}, {{list.2}}.", values),
                 Template.render("plain"), e.kind, e.message, e.hint }
        """,
        isolation,
    )
    assert got == [
        "Dear A: 1.5, [1,2], 2.", "plain", "validation", "there is no `{{nam}}`", "did you mean `name`? there are name",
    ]  # fmt: skip


# ---- models over a wire


class Connections(Tool):
    """How many connections to a server were made, and how many of them are open."""

    name = "connections"

    def __init__(self, server: Loopback) -> None:
        self.server = server

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        found = self.server.connections
        return ToolResult({"made": len(found), "open": sum(one.closed_at is None for one in found)})


def asking(server: Loopback, script: str) -> Any:
    """What a script gives whose `openai` is *server*."""
    env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url}
    tools = ToolRegistry()
    tools.register(Connections(server))
    config = load(script_dir=None, config_file=None, env=env, flags={})
    return ScriptRuntime(config, timeout=20, tools=tools).run(script).result


def test_a_model_that_is_still_answering_is_hung_up_on() -> None:
    script = """
    local agent = Agent.create{ name = "a", model = "openai/m" }
    local function until_there_are(made, open)
      for _ = 1, 2000 do
        local now = Tool.execute("connections").result
        if now.made >= made and now.open == open then return true end
        Async.sleep(0.005)
      end
    end
    local slow = { name = "slow", agent = agent, input = "hi" }
    local flow = Workflow.parallel{ steps = {
      slow, { name = "bad", run = function() until_there_are(1, 1) error("no luck") end } } }
    local _, e = pcall(flow.execute, flow)
    local first = until_there_are(1, 0)
    slow.timeout = 0.2
    local late = Workflow.sequential{ steps = { slow } }
    local _, e2 = pcall(late.execute, late)
    return { e.step, first, e2.step, e2.reason_kind, until_there_are(1, 0) }
    """
    with Loopback([answer("one ", then=STALL)]) as server:
        assert asking(server, script) == ["bad", True, "slow", "timeout", True]


def test_a_failure_of_a_model_keeps_what_is_known_of_it() -> None:
    script = """
    local agent = Agent.create{ name = "a", model = "openai/m" }
    Workflow.sequential{ steps = { { name = "ask", agent = agent, input = "hi" } } }:execute()
    """
    plan = reply(b'{"error": {"message": "no such key"}}', 401)
    with Loopback([plan]) as server, pytest.raises(WorkflowError, match="step `ask` failed") as caught:
        asking(server, script)
    error = caught.value
    assert (error.reason_kind, error.provider, error.status, error.exit_code) == ("auth", "openai", 401, 4)


@pytest.mark.parametrize(
    "within",
    ["flow:execute{}", "Async.all{ again }", "Async.spawn(again):await()", "Tool.execute('again', {})"],
)
def test_a_step_whose_function_executes_its_own_workflow_ends(isolation: str | None, within: str) -> None:
    got = run(
        """
        local deep, flow = 0, nil
        local function again() return flow:execute{}.text end
        Tool.register{ name = "again", execute = again }
        flow = Workflow.sequential{ name = "again", steps = {
          { name = "s", run = function() deep = deep + 1; WITHIN end },
        } }
        local ok, e = pcall(flow.execute, flow, {})
        local after = Workflow.sequential{ name = "after", steps = { { name = "s", run = function() return 1 end } } }
        return { ok = ok, kind = e.kind, limit = e.limit, deep = deep, after = after:execute{}.result }
        """.replace("WITHIN", within),
        isolation,
    )
    assert got == {"ok": False, "kind": "limit", "limit": "workflow_depth", "deep": 16, "after": 1}


def test_as_many_workflows_as_there_may_be_at_once_are_an_error(
    isolation: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell.bridge.calls.workflow.MOST_AT_ONCE", 50)
    got = run(
        """
        local flow = Workflow.sequential{ name = "w", steps = { { name = "s", run = function() Async.sleep(9) end } } }
        local many = {}
        for i = 1, 51 do many[i] = function() flow:execute{} end end
        local ok, e = pcall(Async.all, many)
        return { ok, e.kind, e.limit }
        """,
        isolation,
    )
    assert got == [False, "limit", "workflows_at_once"]


def test_workflows_beside_each_other_are_not_within_each_other(
    isolation: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell.workflows.engine.DEEPEST", 1)
    got = run(
        """
        local done = 0
        local flow = Workflow.sequential{ name = "w", steps = {
          { name = "wait", run = function(ctx) Async.sleep(ctx.input.seconds) end },
          { name = "next", run = function() return 1 end },
          { name = "tool", tool = "calculator", input = { operation = "evaluate", input = "1 + 1" } },
        } }
        Async.map({ 1, 2, 3, 4, 5, 6 }, function(i)
          for round = 1, 30 do
            flow:execute{ seconds = (i * round % 7) / 5000 }
            done = done + 1
          end
        end)
        return done
        """,
        isolation,
    )
    assert got == 180
