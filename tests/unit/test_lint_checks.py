"""What `validate` says of a script beyond its syntax, and what it must not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.lint.known import CLOSED, GLOBALS, LIBRARIES, MEMBERS
from llmspell.bridge.lint.project import Project
from llmspell.errors import LLMSpellError
from llmspell.providers import local_files
from llmspell.providers.manager import ProviderManager
from support.lua_words import ROOT

PROVIDERS = {name: {"type": name} for name in ("openai", "anthropic", "local")}
BLOCK = re.compile(r"^```lua\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def project() -> Project:
    manager = ProviderManager(PROVIDERS, env={})
    return Project(lambda folder: manager)


@pytest.fixture(autouse=True)
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files, "models_folder", lambda: str(tmp_path / "models"))


def found(text: str | bytes) -> list[str]:
    """`line:column severity code message (hint)` each."""
    one = project()
    one.add("s.lua", text.encode() if isinstance(text, str) else text, None)
    return [
        f"{p.line}:{p.column} {p.severity} {p.code}: {p.message}" + (f" ({p.hint})" if p.hint else "")
        for script in one.check()
        for p in script.problems()
    ]


def codes(text: str) -> list[str]:
    return [one.split(" ", 1)[1].partition(":")[0] for one in found(text)]


TOLD = {
    # globals
    "prin('x')": "1:1 error unknown-global: there is no global `prin` (did you mean `print`?)",
    "local x = frob_7.a": "1:11 error unknown-global: there is no global `frob_7` ("
    "it is nil when this runs: nothing in the script sets it)",
    "print(name)": "1:7 warning unknown-global: there is no global `name` ("
    "it is nil when this runs: nothing in the script sets it)",
    "local result = 1 print(reslut)": "1:24 warning unknown-global: there is no global `reslut` (did you mean "
    "`result`?)",
    "unpack{1}": "1:1 error unknown-global: there is no global `unpack` (it is `table.unpack` in Lua 5.4)",
    "math.pow(1, 2)": "1:6 error unknown-member: there is no `math.pow` (it is `x ^ y` in Lua 5.4)",
    "if _VERSION == 'Lua 5.1' then setfenv(1, {}) end": "1:31 warning unknown-global: there is no global `setfenv` ("
    "Lua 5.4 has `_ENV`)",
    "do local total = 1 end print(total)": "1:30 warning unknown-global: there is no global `total` (a local variable "
    "of that name is not seen here: it is declared later, or in another block)",
    "greet() local function greet() end": "1:1 error unknown-global: there is no global `greet` (a local variable of "
    "that name is not seen here: it is declared later, or in another block)",
    "local ok = pcall(function() prin() end)": "1:29 warning unknown-global: there is no global `prin` (did you mean "
    "`print`?)",
    "Memory.x()": "1:1 error unknown-global: there is no global `Memory` (llmspell has no global `Memory` here; a "
    "script can ask with `if Memory then`)",
    "loadfile('x')": "1:1 error closed: `loadfile` is not open to scripts (use `require` for modules beside the "
    "script)",
    # members
    "Async.slep(1)": "1:7 error unknown-member: there is no `Async.slep` (did you mean `Async.sleep`?)",
    "local A = Agent local f = A.craete": "1:29 error unknown-member: there is no `Agent.craete` (did you mean "
    "`Agent.create`?)",
    "if JSON.foo then end": "1:9 error unknown-member: there is no `JSON.foo` (it has array, decode, encode, null, "
    "parse, stringify)",
    "string.trim('x')": "1:8 error unknown-member: there is no `string.trim` (it is nil: Lua 5.4 has no `string.trim`)",
    "print(table.lenght)": "1:13 warning unknown-member: there is no `table.lenght` (it is nil: Lua 5.4 has no "
    "`table.lenght`)",
    "math.flor(1.5)": "1:6 error unknown-member: there is no `math.flor` (did you mean `math.floor`?)",
    "os.execute('ls')": "1:4 error closed: `os.execute` is not open to scripts (scripts start no programs)",
    "debug.getinfo(1)": "1:7 error closed: `debug.getinfo` is not open to scripts (only `debug.traceback` is there)",
    # methods
    "local a = Agent.create{} a:execut('hi')": "1:28 error unknown-member: an agent has no method `execut` (did you "
    "mean `execute`?)",
    "Agent.create{}:chat():snd('x')": "1:23 error unknown-member: a chat has no method `snd` (did you mean `send`?)",
    "Agent.builder():nme('x'):build()": "1:17 error unknown-member: `Agent.builder()` has no method `nme` (did you "
    "mean `name`?)",
    "Agent.builder():build():foo()": "1:25 error unknown-member: an agent has no method `foo` (it has chat, execute, "
    "get_config, get_metrics, invoke, invokeStream, stream, stream_execute, supported_media_types, "
    "supports_multimodal, supports_streaming)",
    "Agent:create{name = 'x'}": "1:7 error colon: `Agent.create` is called with a colon, and takes a dot (write "
    "`Agent.create(…)`)",
    "local a = Agent.create{} a.execute('hi')": "1:28 error colon: `execute` is called with a dot, and takes a colon ("
    "write `agent:execute(…)`)",
    # fields
    "Agent.create {\n  modle = 'openai/x',\n}": "2:3 error unknown-field: `Agent.create` has no field `modle` (did you "
    "mean `model`?)",
    "Agent.create{ ['modle'] = 1 }": "1:16 error unknown-field: `Agent.create` has no field `modle` (did you mean "
    "`model`?)",
    "local new = Agent.create new{modle = 1}": "1:30 error unknown-field: `Agent.create` has no field `modle` (did you "
    "mean `model`?)",
    "Agent.create{ temperature = 3 }": "1:29 error field-type: `Agent.create`: `temperature` must be a number from 0 "
    "to 2, not 3 (how freely the model chooses; 0 is always the likeliest)",
    "Agent.create{ max_tokens = 5.0 }": "1:28 error field-type: `Agent.create`: `max_tokens` must be a whole number "
    "above 0, not 5.0 (the longest answer, in tokens)",
    "Agent.create{ timeout = -1 }": "1:25 error field-type: `Agent.create`: `timeout` must be a number of seconds "
    "above 0, not -1 (for one whole call)",
    "Agent.builder():temperature('hot'):build()": "1:29 error field-type: `Agent.create`: `temperature` must be a "
    "number from 0 to 2, not the string `hot` (how freely the model chooses; 0 is always the likeliest)",
    "Agent.create{}:execute{ txt = 'hi' }": "1:25 error unknown-field: `agent:execute` has no field `txt` (did you "
    "mean `text`?)",
    "Agent.create{}:execute{ messages = {{ rol = 'user' }} }": "1:39 error unknown-field: `agent:execute` has no field "
    "`messages[1].rol` (did you mean `role`?)",
    "Workflow.sequential{ steps = {{ name = 'a', tol = 'x' }} }": "1:45 error unknown-field: `Workflow.sequential` has "
    "no field `steps[1].tol` (did you mean `tool`?)",
    "Workflow.conditional{ branches = {{ steps = {{ nme = 'a' }} }} }": "1:48 error unknown-field: "
    "`Workflow.conditional` has no field `branches[1].steps[1].nme` (did you mean `name`?)",
    "Workflow.conditional{ then_branch = { nme = 'a' } }": "1:39 error unknown-field: `Workflow.conditional` has no "
    "field `then_branch.nme` (did you mean `name`?)",
    "pcall(function() Agent.create{ modle = 1 } end)": "1:32 warning unknown-field: `Agent.create` has no field "
    "`modle` (did you mean `model`?)",
    "local function f() Agent.create{ modle = 1 } end pcall(f)": "1:34 warning unknown-field: `Agent.create` has no "
    "field `modle` (did you mean `model`?)",
    # arguments
    "Async.sleep()": "1:1 warning arguments: `Async.sleep` needs `s` (it is `Async.sleep(s)`)",
    "State.save('a')": "1:1 warning arguments: `State.save` needs `key` and `value` (it is `State.save(scope, key, "
    "value)`)",
    "Agent.list(1, 2)": "1:12 warning arguments: `Agent.list` takes no arguments, and is given 2 (it is "
    "`Agent.list()`)",
    # models, providers, tools
    "Agent.create{ model = 'opnai/gpt' }": "1:23 error unknown-provider: there is no provider `opnai` (did you mean "
    "`openai`? configured: openai, anthropic, local; add others under `[providers.NAME]`)",
    "Agent.create{ model = {'openai/a', 'opnai/b'} }": "1:36 error unknown-provider: there is no provider `opnai` ("
    "did you mean `openai`? configured: openai, anthropic, local; add others under `[providers.NAME]`)",
    "Provider.embed{ input = 'x', provider = 'opnai' }": "1:41 error unknown-provider: there is no provider `opnai` ("
    "did you mean `openai`? configured: openai, anthropic, local; add others under `[providers.NAME]`)",
    "Agent.builder():model('opnai/x'):build()": "1:23 error unknown-provider: there is no provider `opnai` (did you "
    "mean `openai`? configured: openai, anthropic, local; add others under `[providers.NAME]`)",
    "Agent.create{ tools = {'calculatr'} }": "1:24 error unknown-tool: there is no tool `calculatr` (did you mean "
    "`calculator` or `hash_calculator`?)",
    "Tool.execute('calculatr', {})": "1:14 error unknown-tool: there is no tool `calculatr` (did you mean "
    "`calculator` or `hash_calculator`?)",
    "Workflow.loop{ body = {{ name = 'a', tool = 'calculatr' }} }": "1:45 error unknown-tool: there is no tool "
    "`calculatr` (did you mean `calculator` or `hash_calculator`?)",
    "Agent.create{ model = 'openai/gpt-4o-mni' }": "1:23 warning unknown-model: no model `gpt-4o-mni` of `openai` is "
    "known (did you mean `openai/gpt-4o-mini`?)",
    "Agent.create{ model = 'local/smolm' }": "1:23 warning unknown-model: there is no model `smolm` on this machine "
    "(<models> has none)",
    # what a tool is given
    "Tool.execute('calculator', { inptu = '1 + 1' })": "1:30 error tool-arguments: tool `calculator` takes no `inptu` "
    "(did you mean `input`?)",
    "Tool.execute('base64_encoder', { operation = 'encode' })": "1:32 error tool-arguments: tool `base64_encoder`: "
    '$.input: is missing (see its schema: `Tool.get_schema("base64_encoder")`)',
    "local t = Tool.get('calculator') t:execute{ input = 5 }": "1:43 error tool-arguments: tool `calculator`: $.input: "
    'must be a string, not 5 (see its schema: `Tool.get_schema("calculator")`)',
    # modules, labels, files
    "require('a.b')": "1:9 error module: module `a.b` is not there: this script has no folder (run it from a file to "
    "use modules)",
    "::a:: print(1)": "1:3 warning unused-label: no `goto` goes to the label `a`",
    "f(" + ("1," * 300) + "1)": "1:1 error limit: function or expression needs too many registers near '1'",
}


@pytest.mark.parametrize("text", TOLD)
def test_what_is_told(text: str) -> None:
    told = [
        re.sub(r"/\S+/models", "<models>", one) for one in found(text) if not text.startswith("f(") or " limit:" in one
    ]
    assert told == [TOLD[text]]


QUIET = [
    # globals that are set somewhere, or asked for
    "function helper() return value end value = 1 helper()",
    "x = x or 1 print(x)",
    "if Memory then Memory.store() end",
    "local ok = Memory and Memory.x",
    "if type(Hook) == 'table' then Hook.on() end",
    "if Hook ~= nil then Hook.on() end",
    "local features = { Event = Event ~= nil, Hook = Hook }",
    "_G.counter = 1 print(counter)",
    "_G['counter'] = 1 print(counter)",
    "rawset(_G, 'counter', 1) print(counter)",
    "print(_G.anything, _G['any' .. 'thing'])",
    "for _, name in ipairs{'a'} do _G[name] = 1 end print(a)",
    "local _ENV = { print = print } print(x)",
    "local function f(_ENV) return x.y end",
    "setmetatable(_G, { __index = function() end }) print(x.y)",
    "local g = _G g.x = 1 print(x)",
    "load('x = 1')() print(x.y)",
    "for k in pairs(_G) do print(k) end",
    "local t = {} function t.f() end t.f()",
    "print(ARGS[1], ARGS.name, arg[0], Args, _VERSION)",
    # members
    "function string.trim(s) return s end string.trim('x') ; ('x'):trim()",
    "if table.move2 then table.move2() end",
    "local unpack = table.unpack or unpack",
    "local f = string.trim or function() end",
    "Agent.mine = function() end Agent.mine()",
    "local Agent = {} Agent.foo() Agent.create{ modle = 1 }",
    "Agent = setmetatable({}, {}) Agent.foo() Agent.create{ modle = 1 }",
    "local function f(Tool) Tool.foo() end",
    "print(JSON.null, string.format, math.pi, os.time(), debug.traceback())",
    "print(os.execute, io.popen)",
    "package.path = './?.lua;' .. package.path package.loaded.x = nil",
    # methods
    "local a = Agent.create{} a.extra = function() end a:extra()",
    "local a = Agent.create{} a = other() or a a:anything()",
    "local a = Agent.create{} a.execute(a, 'hi')",
    "local t = Tool.get('calculator') t.execute{ input = '1' } t:execute{ input = '1' }",
    "local a = Agent.builder():name('x'):tool('calculator'):allow_tool('regex'):build() a:execute('hi')",
    "for chunk in Agent.create{}:stream('hi') do print(chunk.content.text) end",
    "local w = Workflow.sequential('x') w:anything()",
    # fields
    "local key = 'modle' Agent.create{ [key] = 1 }",
    "Agent.create(config()) Agent.create(...)",
    "Agent.create{ model = { provider = 'openai', model_id = 'x' }, temperature = t, max_tokens = 5, seed = -1 }",
    "Agent.create{ temperature = nil, stop = 'x', tools = { Tool.get('regex'), 'calculator', function() end } }",
    "Agent.create{ custom_config = { anything = 1 }, metadata = { x = 1 }, response_schema = { type = 'object' } }",
    "Workflow.sequential{ steps = { one, { name = 'a', run = function(ctx) return ctx.input end } } }",
    "Workflow.conditional{ then_branch = { steps = {{ name = 'a' }} }, default_branch = { name = 'x', steps = {} } }",
    "Workflow.loop{ iterator = { range = {1, 2} }, range = { start = 1, ['end'] = 3 }, steps = {} }",
    "Tool.register{ name = 'x', execute = function() end, parameters = { anything = 1 } }",
    "State.save('a', 'b', { anything = 1 }) Template.render('x', { y = 1 })",
    # arguments
    "Async.sleep(f()) State.save(...) State.save('a', f()) Async.spawn(f, 1, 2, 3, 4)",
    "Agent.create{}:invokeStream('x', print) State.get('k') State.get('k', 1)",
    # models, providers, tools
    "Agent.create{ model = 'gpt-4o' } Agent.create{ model = name } Agent.create{ model = 'groq/llama' }",
    "Agent.create{ provider = 'openai', model = 'meta/llama' }",
    "Agent.create{ base_url = 'http://localhost', model = 'mine/x' }",
    "Tool.register{ name = 'my_tool', execute = f } Agent.create{ tools = { 'my-tool' } } Tool.execute('my_tool')",
    "Tool.register{ name = name, execute = f } Tool.execute('any_tool')",
    "Agent.wrap_as_tool(agent, { name = 'asker' }) Agent.create{ tools = {'asker'} }",
    "Agent.wrap_as_tool(agent) Tool.get('agent-1')",
    "if Tool.exists('weather') then Tool.execute('weather', {}) end",
    "Tool.get('date-time-handler') Tool.get('template_creator')",
    "for _, model in ipairs{'openai/gpt-9', 'openai/gpt-4o-mini-2031-01-01'} do Agent.create{ model = model } end",
    "Agent.create{ model = 'openai/gpt-4o-minimal' } Agent.create{ model = 'openai/gpt-7-mini' }",
    "Agent.create{ model = 'openai/gpt-4o-audio-preview' } Agent.create{ model = 'anthropic/claude-opus-9' }",
    "Agent.create{ model = 'local/smollm2-135m-instruct' } Agent.create{ model = 'local' }",
    "Tool.execute('calculator', params) Tool.execute('calculator', { [key] = 1 }) Tool.execute(name, { x = 1 })",
    "Tool.execute('calculator', { input = '1 + ' .. x, variables = { x = 1 } })",
    "Tool.execute('regex', { timeout_ms = 10, ['input'] = text(), pattern = 'x', operation = 'match' })",
    "Tool.register{ name = 'calculator', execute = f } Tool.execute('calculator', { anything = 1 })",
    # the language
    "goto done ::done::",
    "require('string').format('x') require('table')",
    "package.preload['my.mod'] = function() return {} end require('my.mod')",
    "f(1)(2):g{}.h = 1",
]


@pytest.mark.parametrize("text", QUIET)
def test_what_is_not_told(text: str) -> None:
    unknown = re.compile(r"`(f|t|one|name|other|config|agent|params|key|text|x)`")
    assert [one for one in found(text) if not unknown.search(one)] == []


def test_no_example_and_no_document_has_a_problem() -> None:
    one = project()
    for path in sorted((ROOT / "examples").rglob("*.lua")):
        one.add(str(path), path.read_bytes(), str(path.parent))
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in documents:
        for number, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8"))):
            one.add(f"{path.name}#{number}", block.encode(), None)
    assert len(one.scripts) > 50
    assert [problem for script in one.check() for problem in script.problems()] == []


def test_no_script_of_the_tests_has_an_error_that_its_run_does_not_have() -> None:
    """What `run` refuses in tests/specs is what is told there."""
    one = project()
    for path in sorted((ROOT / "tests").rglob("*.lua")):
        if "specs/validate-" in path.as_posix():
            continue
        one.add(str(path.relative_to(ROOT / "tests")), path.read_bytes(), str(path.parent))
    told = {problem.path for script in one.check() for problem in script.problems() if problem.severity == "error"}
    assert sorted(path.split("/")[1] for path in told) == [
        *(
            "dry-run-syntax",
            "error-deep-in-modules",
            "field-misspelt",
            "field-of-the-wrong-type",
            "global-of-another-version",
            "global-unknown",
        ),
        *("member-misspelt", "module-missing", "permission-bytecode", "permission-file", "permission-program"),
        *("script-is-binary", "script-is-bytecode", "syntax-error", "syntax-error-at-the-end"),
        *("syntax-error-in-a-module", "syntax-error-in-a-table", "workflow-field-misspelt"),
    ]


HEAD = "local told = {} for name, value in pairs(_G) do local members = {} "
HERE = (
    HEAD + "if type(value) == 'table' and name ~= '_G' then for key in pairs(value) do members[#members + 1] = key end "
    "end told[name] = JSON.array(members) end return told"
)


def test_what_is_known_is_what_a_run_has() -> None:
    here = ScriptRuntime().run(HERE).result
    assert here.keys() == GLOBALS
    for name, members in LIBRARIES.items():
        assert set(here[name]) == members
    for name, own in MEMBERS.items():
        assert set(here[name]) == own


@pytest.mark.parametrize("name", CLOSED)
def test_what_is_closed_is_closed(name: str) -> None:
    with pytest.raises(LLMSpellError, match="is not open to scripts"):
        ScriptRuntime().run(f"{name}('x')")


CERTAIN = [text for text, told in TOLD.items() if " error " in told and not text.startswith(("Workflow", "f("))]


@pytest.mark.parametrize("text", CERTAIN)
def test_an_error_is_one_when_it_runs(text: str) -> None:
    """What is told as an error fails when the line is reached, without a network and without keys."""
    with pytest.raises(LLMSpellError):
        ScriptRuntime(timeout=20).run(text)


# ---- modules


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".lua")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def in_folder(folder: Path, *names: str) -> dict[str, list[str]]:
    one = project()
    for name in names:
        one.add(str(folder / name), (folder / name).read_bytes(), str(folder))
    return {
        Path(script.path).relative_to(folder).as_posix(): [problem.message for problem in script.problems()]
        for script in one.check()
    }


def test_a_module_is_looked_at_with_the_script_that_requires_it(tmp_path: Path) -> None:
    write(tmp_path, main="local m = require('lib.m') print(shared)", lib__m="shared = 1 Async.slep(1) return {}")
    assert in_folder(tmp_path, "main.lua") == {"main.lua": [], "lib/m.lua": ["there is no `Async.slep`"]}


def test_globals_and_tools_are_shared_both_ways(tmp_path: Path) -> None:
    write(
        tmp_path,
        main="config = {} require('a') print(from_b) Tool.get('mine')",
        a="require('b') print(config.x)",
        b="from_b = 1 Tool.register{ name = 'mine', execute = print } require('a')",
    )
    assert in_folder(tmp_path, "main.lua") == {"main.lua": [], "a.lua": [], "b.lua": []}


def test_a_module_that_is_looked_at_alone_may_find_what_others_set(tmp_path: Path) -> None:
    """`return` at its end: whoever requires it may set globals first. A slip for a known name is an error as ever."""
    write(tmp_path, m="config.x = 1 prin(1) return {}", main="config.x = 1")
    one = project()
    for name in ("m.lua", "main.lua"):
        one.add(name, (tmp_path / name).read_bytes(), str(tmp_path))
    told = {(p.path, p.message[-7:], p.severity) for script in one.check() for p in script.problems()}
    assert told == {
        ("m.lua", "config`", "warning"),
        ("m.lua", " `prin`", "error"),
        ("main.lua", "config`", "error"),
    }


def test_a_module_that_is_no_lua_is_told_in_its_own_file(tmp_path: Path) -> None:
    write(tmp_path, main="require('m') print(anything.x)", m="x = = 1")
    assert in_folder(tmp_path, "main.lua", "m.lua") == {"main.lua": [], "m.lua": ["unexpected symbol near '='"]}


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, main="local ok = pcall(require, 'maybe')\nrequire('lib.gone')\nrequire(name)")
    assert in_folder(tmp_path, "main.lua") == {"main.lua": ["module `lib.gone` is not there"]}


def test_dofile_is_followed_too(tmp_path: Path) -> None:
    write(tmp_path, main="dofile('data.lua') print(rows[1]) dofile('gone.lua')", data="rows = {}")
    told = in_folder(tmp_path, "main.lua")
    assert told["data.lua"] == []
    assert [message.partition(":")[0] for message in told["main.lua"]] == ["cannot read `gone.lua`"]


def test_a_module_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.lua").write_text("x = = 1")
    inside = tmp_path / "in"
    write(inside, main="require('link') dofile('../secret.lua')")
    (inside / "link.lua").symlink_to(tmp_path / "secret.lua")
    told = in_folder(inside, "main.lua")
    assert list(told) == ["main.lua"]
    assert ["lies outside" in message for message in told["main.lua"]] == [True, True]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("if a != b then end", "not equal is `~=`"),
        ("if !a then end", "not is `not`"),
        ("if a && b then end", "both is `and`"),
        ("if a || b then end", "either is `or`"),
        ("x += 1", "no assignment with an operator"),
        ("x..='a'", "no assignment with an operator"),
        ("if x = 1 then end", "`==` compares"),
        ("let x = 1", "declared with `local`"),
        ("for i = 1, 2 do continue end", "no `continue`"),
        ("if a then\nelse if b then\nend", "`elseif` is one word"),
        ("# a comment\n# another", "a comment begins with `--`"),
        ("x = a ? b : c", "condition and yes or no"),
        ("t = { a => 1 }", "`key = value`"),
        ("naïve = 1", "ASCII"),
    ],
)
def test_habits_of_other_languages_are_answered(text: str, hint: str) -> None:
    assert hint in found(text)[0]


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf#!/usr/bin/llmspell\nprint(1)", b"# x\r\nprint('\xff')", b"", b"#"])
def test_what_files_begin_with(text: bytes) -> None:
    assert found(text) == []
