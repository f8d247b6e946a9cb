"""`Tool` from Lua: what there is, calling it, and tools written in Lua and in Python."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import llmspell
from llmspell import ScriptRuntime, ToolRegistry
from llmspell.errors import LLMSpellError, PermissionDeniedError, ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.function import FunctionTool
from llmspell.tools.permissions import Permissions
from support.media import png

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def run(script: str, isolation: str | None = None, **options: Any) -> Any:
    return ScriptRuntime(timeout=20, isolation=isolation, **options).run(script).result


def failure(script: str, **options: Any) -> LLMSpellError:
    with pytest.raises(LLMSpellError) as caught:
        run(script, **options)
    return caught.value


# ---- what there is


def test_what_there_is_can_be_asked_for(isolation: str | None) -> None:
    told = run(
        """
        local by_name = {}
        for _, one in ipairs(Tool.list()) do by_name[one.name] = one end
        local found = {}
        for _, one in ipairs(Tool.discover{ category = "math" }) do found[#found + 1] = one.name end
        return {
          category = by_name.calculator.category,
          described = #by_name.calculator.description > 0,
          net = by_name.http_request.permissions,
          exists = { Tool.exists("uuid-generator"), Tool.exists("no_such"), Tool.exists(nil) },
          math = found,
          named = #Tool.discover{ name = "file" },
          categories = Tool.categories(),
          schema = Tool.get_schema("hash_calculator").required,
          info = Tool.get_info("calculator").parameters.type,
        }
        """,
        isolation,
    )
    categories = told.pop("categories")
    assert {"data", "math", "text", "utility"} <= set(categories)
    assert categories == sorted(categories)
    assert told == {
        "category": "math", "described": True, "net": ["net"], "exists": [True, False, False], "math": ["calculator"],
        "named": 2, "schema": ["input"], "info": "object",
    }  # fmt: skip


def test_a_tool_is_called_with_a_colon_and_with_a_dot(isolation: str | None) -> None:
    told = run(
        """
        local tool = Tool.get("hash-calculator")
        local a = tool:execute{ algorithm = "md5", input = "" }
        local b = tool.execute{ algorithm = "md5", input = "" }
        local c = Tool.execute("hash_calculator", { algorithm = "md5", input = "" })
        return { a.success, a.result.hash == b.result.hash, b.text == c.text, tool.name, tostring(tool),
                 tool:get_schema().type, tool.get_schema().type }
        """,
        isolation,
    )
    assert told == [True, True, True, "hash_calculator", "tool `hash_calculator`", "object", "object"]


def test_scripts_in_the_older_manner_find_their_fields() -> None:
    told = run(
        """
        local id = Tool.invoke("uuid-generator", { operation = "generate", version = "v4", format = "hyphenated" })
        local sum = Tool.executeAsync("calculator", { operation = "evaluate", input = "2 + 3 * 4 - 1" })
        local text = Tool.execute("template-creator", { input = "{{a}}", context = { a = id.result.uuid } })
        local code = Tool.execute("base64_encoder", { operation = "encode", input = text.result.output })
        local back = Tool.execute("base64-encoder", { operation = "decode", input = code.result.encoded })
        local now = Tool.execute("datetime_handler", { operation = "now" })
        local rules = { rules = { { type = "required" }, { type = "type", expected = "object" } } }
        local valid = Tool.execute("data_validation", { input = { name = "x" }, rules = rules })
        return { id.success, #id.result.uuid, sum.result.result, back.result.decoded == id.result.uuid,
                 now.result.timestamp > 1.7e9, valid.result.valid }
        """
    )
    assert told == [True, 36, 13, True, True, True]


def test_bytes_go_in_and_come_out(isolation: str | None) -> None:
    told = run(
        r"""
        local code = Tool.execute("base64_encoder", { operation = "encode", input = "\xff\x00\xfe" }).result.output
        local back = Tool.execute("base64_encoder", { operation = "decode", input = code }).result.output
        return code, back == "\xff\x00\xfe"
        """,
        isolation,
    )
    assert told == ["/wD+", True]


# ---- mistakes


@pytest.mark.parametrize(
    ("script", "kind", "message", "hint"),
    [
        ('Tool.execute("calcuator", {})', "not_found", "there is no tool `calcuator`", "`calculator`"),
        ('Tool.get("hash")', "not_found", "there is no tool `hash`", "`hash_calculator`"),
        ("Tool.get()", "validation", "`Tool.get` takes a tool's name", None),
        ("Tool.execute({})", "validation", "`Tool.execute` takes a tool's name", None),
        ('Tool.execute("calculator", "1 + 1")', "validation", "takes a table of parameters, not string", None),
        ('Tool.execute("calculator", { 1 })', "validation", "takes a table of its parameters, not a list", "`input`"),
        ('Tool.execute("calculator", { inptu = "1" })', "validation", "$.inptu: is not a member", "`input`"),
        (
            'Tool.execute("calculator", { input = 1 })',
            "validation",
            "tool `calculator`: $.input: must be a string",
            None,
        ),
        (
            'Tool.execute("calculator", { input = print })',
            "validation",
            "function at `input` cannot be passed on",
            None,
        ),
        ('Tool.execute("calculator", { input = "1/0" })', "tool", "a division by 0", None),
        ("Tool.excute()", "validation", "there is no `Tool.excute`", "`Tool.execute`"),
        ('Tool.get("calculator"):excute{}', "validation", "there is no `tool:excute`", "`tool:execute`"),
        ('Tool.discover{ catgory = "x" }', "validation", "has no field `catgory`", "`category`"),
        ("Tool.register()", "validation", "`Tool.register` takes a table, not ", None),
        ("Tool.register{}", "validation", "`Tool.register`: `name` is missing", None),
        ('Tool.register{ name = "f" }', "validation", "`Tool.register`: `execute` is missing", None),
        ('Tool.register{ name = "f", execute = 1 }', "validation", "must be a function, not number", None),
        ('Tool.register{ name = "f", exceute = print }', "validation", "has no field `exceute`", "`execute`"),
        ('Tool.register{ name = "f f", execute = print }', "validation", "`f f` is no name for a tool", None),
        (
            'Tool.register{ name = "f", parameters = { type = "string" }, execute = print }',
            "validation",
            "must be `object`",
            None,
        ),
        (
            'Tool.register{ name = "f", parameters = { properties = { a = { type = "strin" } } }, execute = print }',
            "validation",
            "`Tool.register`: `schema.properties.a.type` is `strin`",
            None,
        ),
        ('for _ = 1, 2 do Tool.register{ name = "f", execute = print } end', "validation", "a tool `f` already", None),
    ],
)
def test_a_mistake_is_told(script: str, kind: str, message: str, hint: str | None) -> None:
    error = failure(script)
    assert error.kind == kind
    assert message in error.message
    assert hint is None or hint in str(error.hint)
    assert error.line == 1


def test_parameters_without_properties_are_told() -> None:
    error = failure('Tool.register{ name = "f", parameters = { city = { type = "string" } }, execute = print }')
    assert "`parameters` is no JSON Schema: it has `city`" in error.message
    assert "properties" in str(error.hint)


def test_a_tool_that_was_not_granted_is_refused() -> None:
    with pytest.raises(PermissionDeniedError) as caught:
        run('Tool.execute("calculator", { input = "1" })', permissions=Permissions(tool=["regex"]))
    assert "--allow-tool=calculator" in str(caught.value.hint)


# ---- tools written in Lua


def test_a_tool_in_lua(isolation: str | None) -> None:
    told = run(
        """
        local tool = Tool.register{
          name = "word-count",
          description = "Counts words.",
          category = "mine",
          parameters = {
            type = "object",
            properties = { text = { type = "string" }, tags = { type = "array", items = { type = "string" } } },
            required = { "text" },
          },
          execute = function(params)
            Async.sleep(0.001)
            local n = 0
            for _ in params.text:gmatch("%S+") do n = n + 1 end
            return { words = n, tags = params.tags }
          end,
        }
        local done = tool:execute{ text = "a b c", tags = {} }
        local ok, e = pcall(tool.execute, { txt = "a" })
        return { done.success, done.result.words, done.text, tool.name, Tool.get("word_count").description,
                 Tool.discover{ category = "mine" }[1].name, ok, e.kind, e.tool, e.message }
        """,
        isolation,
    )
    assert told[:2] == [True, 3]
    assert sorted(told[2]) == sorted('{"words":3,"tags":[]}')
    assert told[3:9] == ["word-count", "Counts words.", "word-count", False, "validation", "word-count"]
    assert "$.text: is missing" in told[9]


@pytest.mark.parametrize(
    ("returned", "seen"),
    [
        ('"plain"', [True, "plain", "plain"]),
        ("42", [True, "42", 42]),
        ("nil", [True, "null", None]),
        ("{ 1, 2 }", [True, "[1,2]", [1, 2]]),
        ('{ success = true, result = { a = 1 }, text = "told" }', [True, "told", {"a": 1}]),
        ("{ success = true, output = 7 }", [True, '{"output":7}', {"output": 7}]),
        ("{ success = true }", [True, "done", None]),
        ('{ text = "not a report" }', [True, '{"text":"not a report"}', {"text": "not a report"}]),
    ],
)
def test_what_a_tool_in_lua_may_return(returned: str, seen: list[Any]) -> None:
    script = f'Tool.register{{ name = "f", execute = function() return {returned} end }}'
    script += 'local done = Tool.execute("f") return { ok = done.success, text = done.text, result = done.result }'
    told = run(script)
    assert [told["ok"], told["text"], told.get("result")] == seen


def test_a_tool_in_lua_that_fails_raises() -> None:
    told = run(
        """
        local seen = {}
        local function try(name, f)
          local tool = Tool.register{ name = name, execute = f }
          local ok, e = pcall(tool.execute)
          seen[#seen + 1] = { ok, e.kind, e.message, e.tool }
        end
        try("a", function() return { success = false, error = "no luck" } end)
        try("b", function() error("broken") end)
        try("c", function() return { success = false } end)
        try("d", function() Tool.execute("calculator", { input = "1/0" }) end)
        return seen
        """
    )
    assert [one[0] for one in told] == [False] * 4
    assert told[0][1:] == ["tool", "no luck", "a"]
    assert told[1][1:] == ["script", "broken", "b"]
    assert told[2][1:] == ["tool", "tool `c` failed", "c"]
    assert told[3][1] == "tool"
    assert "a division by 0" in told[3][2]


def test_a_tool_gives_media(isolation: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 3))
    told = run(
        f"""
        local path = {str(path)!r}
        Tool.register{{ name = "draw", execute = function()
          local bytes = Media.from_file(path):bytes()
          return {{ media = {{ Media.image(bytes), Media.from_file(path) }}, text = "two" }}
        end }}
        local done = Tool.execute("draw")
        local one, two = done.media[1], done.media[2]
        return {{ done.text, one.type, one.mime_type, one.metadata.width, #two:bytes(), one:bytes() == two:bytes() }}
        """,
        isolation,
        permissions=Permissions(read=[str(tmp_path)]),
    )
    assert told == ["two", "image", "image/png", 2, len(png(2, 3)), True]


def test_whole_numbers_of_a_schema_come_as_such() -> None:
    script = """
        local whole = { type = "integer" }
        local schema = { type = "object", properties = { n = whole, list = { items = whole } } }
        Tool.register{ name = "f", parameters = schema, execute = function(p)
          return { math.type(p.n), math.type(p.list[1]), math.type(p.other) }
        end }
        return Tool.execute("f", { n = 6 / 2, list = { 4 / 2 }, other = 6 / 2 }).result
    """
    assert run(script) == ["integer", "integer", "float"]


@pytest.mark.parametrize("field", ["timeout = 0.02", "timeout_ms = 20"])
def test_a_tool_in_lua_may_have_a_limit_of_time(field: str) -> None:
    script = f'Tool.register{{ name = "slow", {field}, execute = function() Async.sleep(60) end }} Tool.execute("slow")'
    error = failure(script)
    assert error.kind == "timeout"
    assert "tool `slow` took longer than 0.02 s" in error.message


def test_scripts_do_not_see_each_other_s_tools() -> None:
    runtime = ScriptRuntime(timeout=20)
    assert runtime.run('Tool.register{ name = "f", execute = print } return Tool.exists("f")').result
    assert not runtime.run('return Tool.exists("f")').result


# ---- tools written in Python


def test_tools_of_the_host(isolation: str | None) -> None:
    @llmspell.tool
    def add(a: int, b: int = 1) -> dict[str, int]:
        """Adds."""
        return {"sum": a + b}

    @llmspell.tool
    async def fail() -> None:
        raise OSError("disk on fire")

    registry = ToolRegistry()
    registry.register(add)
    registry.register(fail)
    told = run(
        """
        local ok, e = pcall(Tool.execute, "fail")
        local bad, complaint = pcall(Tool.execute, "add", { a = "1" })
        return { Tool.execute("add", { a = 2 }).result.sum, Tool.get("add").description, e.kind, e.message, e.tool,
                 complaint.kind, Tool.exists("calculator"), Tool.get_schema("add").required }
        """,
        isolation,
        tools=registry,
    )
    assert told == [
        3, "Adds.", "tool", "tool `fail` failed: OSError: disk on fire", "fail", "validation", True, ["a"],
    ]  # fmt: skip


def test_a_host_may_leave_the_built_in_ones_out() -> None:
    assert run("return #Tool.list()", tools=ToolRegistry(builtin=False)) == 0
    with pytest.raises(LLMSpellError, match="there is no tool `calculator`"):
        run('Tool.get("calculator")', tools=ToolRegistry(builtin=False))


def test_many_calls_run_at_once() -> None:
    told = run(
        """
        return Async.map({ 1, 2, 3, 4, 5, 6 }, function(n)
          return Tool.execute("calculator", { input = n .. " * 2" }).result.result
        end)
        """
    )
    assert told == [2, 4, 6, 8, 10, 12]


def test_what_was_heard_of_clocks_and_chance_is_replayed(tmp_path: Path) -> None:
    script = """
        local id = Tool.execute("uuid_generator", { version = "v7" }).result.uuid
        local now = Tool.execute("datetime_handler", { operation = "now" }).result.datetime
        return { id, now, Tool.execute("regex", { pattern = "a+", input = ("a"):rep(50000) }).result.count }
    """
    path = tmp_path / "tape"
    recorded = run(script, record=path)
    assert run(script, replay=path) == recorded
    assert re.fullmatch(r"[0-9a-f-]{36}", recorded[0])


def test_a_call_where_lua_cannot_wait_is_told() -> None:
    error = failure('table.sort({ 2, 1 }, function() return Tool.execute("calculator", { input = "1" }) end)')
    assert error.kind == "not_supported"


def test_the_names_of_the_fields_are_checked_by_the_schema_of_scripts() -> None:
    with pytest.raises(ValidationError, match="`description` must be a string, not 1"):
        run('Tool.register{ name = "f", description = 1, execute = print }')


@pytest.mark.parametrize(
    ("within", "told"),
    [
        ('return Tool.execute("again", {}).result', "more than 50 deep"),
        ('return agent:execute("go").text', "more than 50 deep"),
        ('return Workflow.sequential{ name = "w", steps = { step } }:execute{}', "than 16 deep"),
    ],
    ids=["itself", "its agent", "its workflow"],
)
def test_a_tool_that_calls_itself_comes_to_an_end(within: str, told: str) -> None:
    manager = ProviderManager({}, env={})
    manager.register(MockProvider([{"tool_calls": [{"name": "again", "arguments": {}}]}]))
    script = f"""
        local agent
        local step = {{ name = "s", type = "tool", tool = "again" }}
        Tool.register{{ name = "again", parameters = {{ type = "object" }}, execute = function() {within} end }}
        agent = Agent.create{{ tools = {{ "again" }} }}
        local ok, e = pcall(Tool.execute, "again", {{}})
        return {{ ok, e.message:match("{told}") }}
    """
    begun = time.monotonic()
    done = ScriptRuntime(timeout=30, providers=manager, model="mock").run(script)
    assert done.result == [False, told]
    assert time.monotonic() - begun < 10


def test_a_function_in_a_thread_keeps_no_run_from_its_end() -> None:
    ended = threading.Event()
    tools = ToolRegistry()
    tools.register(FunctionTool(lambda: ended.wait(20), name="stays"))
    begun = time.monotonic()
    try:
        with pytest.raises(LLMSpellError, match=r"longer than its limit of 0\.3 s"):
            ScriptRuntime(timeout=0.3, tools=tools).run('Tool.execute("stays", {})')
        assert time.monotonic() - begun < 5
    finally:
        ended.set()


def test_functions_that_never_end_leave_others_their_threads() -> None:
    ended = threading.Event()
    tools = ToolRegistry()
    tools.register(FunctionTool(lambda: ended.wait(20), name="stays", timeout=0.1))
    script = """
        local stay = {}
        for i = 1, 40 do stay[i] = function() return (pcall(Tool.execute, "stays", {})) end end
        Async.all(stay)
        return Tool.execute("data_validation", { input = 1, schema = { type = "integer" } }).text
    """
    begun = time.monotonic()
    try:
        assert ScriptRuntime(timeout=15, tools=tools).run(script).result == "it is valid"
        assert time.monotonic() - begun < 5
    finally:
        ended.set()


def test_tools_that_wake_each_other_are_not_within_each_other() -> None:
    script = """
        local place, done, calls = Async.semaphore(1), 0, {}
        Tool.register{ name = "turn", parameters = { type = "object" }, execute = function()
          place:with(function() Async.sleep(0) end)
          done = done + 1
        end }
        for i = 1, 200 do calls[i] = function() Tool.execute("turn", {}) Tool.execute("turn", {}) end end
        Async.all(calls)
        return done
    """
    assert run(script) == 400


def test_a_tool_that_calls_itself_beside_others_comes_to_an_end_too() -> None:
    script = """
        Tool.register{ name = "again", parameters = { type = "object" }, execute = function()
          return Async.all{ function() return Tool.execute("again", {}) end }
        end }
        return select(2, pcall(Tool.execute, "again", {})).message
    """
    assert "more than 50 deep" in run(script)
