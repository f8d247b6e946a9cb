"""Jobs of scripts, on the loop that all share: streams, limits, errors, tasks, workflows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import LLMSpellError, RunCancelledError
from llmspell.tools.permissions import Permissions
from soak.faults import FAULTS, STALLS
from soak.jobs_calls import FINE, NOT_STALLS, png
from soak.world import DIALECT_NAMES, OK, PREEMPTS, Told, Wrong, script_kind, sound, temper_for

if TYPE_CHECKING:
    from random import Random

    from soak.world import World

__all__ = ["READS", "SCRIPTS", "told_of"]

#: Reads the streams of the models in ARGS, and returns how each ended.
READS = """
local function read(model)
  local told = { text = "", chunks = 0 }
  local ok, e = pcall(function()
    for chunk in Agent.create{ model = model }:stream_execute("hi") do
      assert(told.last ~= "stream_end", "a chunk after the end")
      told.chunks = told.chunks + 1
      local c = chunk.content
      if c.type == "text" then told.text = told.text .. c.text end
      told.last = c.type == "control" and c.message or c.type
    end
  end)
  told.kind = ok and "ok" or type(e) == "table" and e.kind or tostring(e)
  return told
end
"""
#: What may come of a page that a tool asks for, whatever is done to it.
PAGE = frozenset({"ok", "tool", "network", "timeout", "stream_truncated", "provider"})
EACH = READS + "return Async.map(table.move(ARGS, 1, #ARGS, 1, {}), read, { concurrency = 3 })"

LIMITS: list[tuple[str, dict[str, Any]]] = [
    ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", {"max_memory": 4 << 20}),
    ("while true do pcall(function() while true do end end) end", {"max_cpu": 0.02}),
    ("while true do pcall(function() while true do end end) end", {"timeout": 0.03}),
    ("while true do pcall(function() while true do end end) end", {"timeout": 0.03, "interrupts": "hook"}),
    ("local ok = pcall(Async.sleep, 60) while true do Async.sleep(1) end", {"timeout": 0.03}),
    ("Async.all{ function() Async.sleep(60) end, function() while true do Async.sleep(0) end end }", {"timeout": 0.03}),
    ("while true do io.write(('x'):rep(1000)) end", {"max_output": 100_000}),
    ("while true do Agent.create{ model = 'openai/none' }:execute('hi') end", {"max_tokens_total": 40}),
    ("local s <close> = setmetatable({}, { __close = function() while true do end end }) "
     "while true do Async.sleep(1) end", {"timeout": 0.03}),
]  # fmt: skip
if PREEMPTS:
    LIMITS.append(("while true do (('a'):rep(10000)):find('.-.-.-.-b') end", {"timeout": 0.03}))
#: Those that read the first chunk, and leave.
LEAVES = (
    "for chunk in Agent.create{ model = ARGS[1] }:stream_execute('hi') do break end",
    "local s = Agent.create{ model = ARGS[1] }:stream('hi') s:next() s:cancel()",
    "held = Agent.create{ model = ARGS[1] }:stream('hi') held:next()",
    "for i, chunk in Async.merge{ Agent.create{ model = ARGS[1] }:stream('a'), "
    "Agent.create{ model = ARGS[1] }:stream('b') } do break end",
)
#: Those that wait for no answer.
GIVES_UP = (
    "local s = Agent.create{ model = ARGS[1] }:stream('hi')",
    "pcall(Async.timeout, 0.02, function() return Agent.create{ model = ARGS[1] }:execute('hi') end)",
    "local t = Async.spawn(function() return Agent.create{ model = ARGS[1] }:execute('hi') end) "
    "Async.sleep(0.01) t:cancel()",
    "Async.race{ function() return Agent.create{ model = ARGS[1] }:execute('hi') end, "
    "function() Async.sleep(0.01) return 1 end }",
)
ERRORS: list[tuple[str, str]] = [
    ("error('no luck')", "script"),
    ("error({ kind = 'mine' })", "script"),
    ("error()", "script"),
    ("local x = nil; x.y = 1", "script"),
    ("this is no Lua", "script"),
    ("local function f() return f() + 1 end f()", "script"),
    ("coroutine.wrap(function() Async.sleep(0) error('within') end)()", "script"),
    ("local s <close> = setmetatable({}, { __close = function() error('closing') end }) error('first')", "script"),
    ("Async.all{ function() Async.sleep(0) error('task') end, function() Async.sleep(60) end }", "script"),
    ("Async.spawn(function() error('nobody awaits this') end) Async.sleep(0.001)", "ok"),
    ("Agent.create{ modle = 'x' }", "validation"),
    ("Agent.create{ model = 'nobody/x' }:execute('hi')", "config"),
    ("Tool.execute('no_such_tool', {})", "not_found"),
    ("Tool.execute('file_operations', { operation = 'read', path = '/etc/passwd' })", "permission"),
    ("require('no_such_module')", "not_found"),
    ("os.exit(3)", "ok"),
    ("JSON.parse('{')", "validation"),
    ("local ok, e = pcall(Agent.create{ model = 'openai/status-500' }.execute, nil) error(e)", "validation"),
    ("Agent.create{ model = 'openai/status-500' }:execute('hi')", "provider"),
    ("local ok, e = pcall(function() Agent.create{ model = 'openai/status-401' }:execute('hi') end) error(e)", "auth"),
]
WORKFLOW = """
local function asks(name, model)
  return { name = name, agent = Agent.create{ name = name, model = model }, input = "on {{input.topic}}" }
end
local inner = Workflow.parallel{ name = "inner", on_error = "continue", steps = {
  asks("a", ARGS[1]), asks("b", ARGS[2]),
  { name = "c", run = function(ctx) ctx.state.c = 1 Async.sleep(0) return "c" end },
} }
local rounds = Workflow.loop():with_range(1, 4):step("square", { run = function(_, n) return n * n end,
  input = "{{loop.item}}" }):build()
local flow = Workflow.sequential{ name = "outer", on_error = "continue", steps = {
  { name = "inner", workflow = inner },
  { name = "rounds", workflow = rounds },
  { name = "late", run = function() Async.sleep(60) end, timeout = 0.02 },
  { name = "again", run = function() error("no luck") end, retry = { attempts = 2, base = 0.001 } },
  asks("last", ARGS[3]),
} }
local done = flow:execute{ topic = "rivers" }
assert(done.steps.rounds.success and not done.steps.late.success and not done.steps.again.success)
local function kind(one) return one.success and "ok" or one.error.reason or one.error.kind end
return { inner = inner and done.steps.inner.success, last = kind(done.steps.last) }
"""
TOOLS = """
local function try(name, params)
  local ok, e = pcall(Tool.execute, name, params)
  return ok and "ok" or e.kind
end
Tool.register{ name = "double", description = "Doubles.", parameters = { type = "object",
  properties = { n = { type = "number" } } }, execute = function(p) Async.sleep(0) return { n = p.n * 2 } end }
local pages = Async.map({ ARGS[1], ARGS[2] }, function(url)
  return try("http_request", { url = url, timeout = 0.5 })
end)
assert(Tool.execute("process_executor", { executable = "echo", arguments = { "hi" } }).result.output == "hi\\n")
local late = try("process_executor", { executable = "sleep", arguments = { "60" }, timeout_ms = 30 })
local left = pcall(Async.timeout, 0.02, function() Tool.execute("process_executor", { executable = "sleep",
  arguments = { "60" } }) end)
local lua = Tool.execute("run_lua", { code = "local n = 1 for i = 1, 5 do n = tools.double{ n = n }.n end return n" })
assert(not left and tonumber(lua.text) == 32)
return { late, pages[1], pages[2] }
"""
MEDIA = """
local picture = Media.from_file(ARGS[2])
local answer = Agent.create{ model = ARGS[1] }:execute{ text = "What is this?", media = { picture } }
Media.image(picture:bytes()):save(ARGS[3])
return answer.text
"""


def told_of(results: list[dict[str, Any]], faults: list[str]) -> list[Told]:
    """What READS says of streams. Raises Wrong for one that has no end, or another text."""
    told = []
    for one, fault in zip(results, faults, strict=True):
        if one["kind"] == "ok" and one.get("last") != "stream_end":
            raise Wrong(f"after `{fault}` a stream ended with {one!r}, among {faults} and {results!r}")
        sound(one["text"], one["kind"], fault)
        told.append(Told(fault, one["kind"], FAULTS[fault].streamed, 1, one["chunks"]))
    return told


def models(dice: Random, faults: list[str], content: str = "") -> list[str]:
    """A model for each fault, of any dialect."""
    return [f"{dice.choice(DIALECT_NAMES)}/{fault}{content}" for fault in faults]


async def streams(world: World, dice: Random) -> list[Told]:
    """A script that reads several streams at once, each with a fault of its own."""
    faults = dice.choices([*NOT_STALLS, *FINE], k=dice.randint(1, 6))
    if dice.random() < 0.2:
        faults = dice.choices(STALLS, k=2)
    runtime = ScriptRuntime(world.plain, providers=world.shared(temper_for(faults[0])))
    done = await runtime.execute_script(EACH, args=models(dice, faults, dice.choice(("", ".long"))))
    return told_of(done.result, faults)


async def left_streams(world: World, dice: Random) -> list[Told]:
    """Streams that a script leaves early, never reads, cancels, or holds open at its end."""
    fault, script = dice.choice([*FINE, "stall-before-end"]), dice.choice(LEAVES)
    if dice.random() < 0.4:
        fault, script = dice.choice([*FINE, *STALLS]), dice.choice(GIVES_UP)
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"))
    kind = await script_kind(runtime, script, args=models(dice, [fault], ".long"))
    return [Told(fault, kind, OK, 1)]


async def stopped(world: World, dice: Random) -> list[Told]:
    """A script that is cancelled, or interrupted from another thread, wherever it is."""
    fault = dice.choice([*FINE, *STALLS])
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"))
    loops = "while true do for chunk in Agent.create{ model = ARGS[1] }:stream_execute('hi') do end end"
    computes = "while true do end" if PREEMPTS else loops
    source = dice.choice((loops, computes, "while true do Async.sleep(0) end", "Async.sleep(60)"))
    task = asyncio.ensure_future(runtime.execute_script(source, args=models(dice, [fault])))
    await asyncio.sleep(dice.random() * 0.05)
    if by_thread := dice.random() < 0.5:
        await world.in_thread(runtime.interrupt, RunCancelledError("enough"))
    else:
        task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return [Told(fault, "cancelled", frozenset() if by_thread else frozenset({"cancelled"}))]
    except LLMSpellError as error:
        return [Told(fault, error.kind, frozenset({"cancelled"} | FAULTS[fault].streamed))]
    raise Wrong("a script without an end has ended")


async def limits(world: World, dice: Random) -> list[Told]:
    """A script that goes to a limit."""
    source, options = dice.choice(LIMITS)
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"), **{"timeout": 20, **options})
    kind = await script_kind(runtime, source)
    return [Told("", kind, frozenset({"limit"}))]


async def errors(world: World, dice: Random) -> list[Told]:
    """A script that fails."""
    source, kind = dice.choice(ERRORS)
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"), timeout=20, log=lambda *_: None)
    return [Told("", await script_kind(runtime, source), frozenset({kind}))]


async def workflow(world: World, dice: Random) -> list[Told]:
    """Workflows within one another, whose steps fail and are late."""
    faults = dice.choices([*NOT_STALLS, *FINE], k=3)
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"), timeout=30)
    done = await runtime.execute_script(WORKFLOW, args=models(dice, faults))
    return [Told(faults[2], done.result["last"], FAULTS[faults[2]].whole)]


async def files(world: World, dice: Random) -> list[Told]:
    """A picture from a file, sent, and written to another."""
    fault = dice.choice(NOT_STALLS)
    number = dice.randrange(10**9)
    source, target = f"{world.folder}/{number}.png", f"{world.folder}/{number}-out.png"

    def write() -> None:
        with open(source, "wb") as file:
            file.write(png(dice))

    await world.in_thread(write)
    granted = Permissions.of({"read": [world.folder], "write": [world.folder]})
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"), permissions=granted)
    try:
        kind = await script_kind(runtime, MEDIA, args=[*models(dice, [fault]), source, target])
    finally:
        await world.in_thread(_remove, source, target)
    return [Told(fault, kind, FAULTS[fault].whole)]


async def tools(world: World, dice: Random) -> list[Told]:
    """Tools that open connections, start programs and run programs of a model's; some are late, some are left."""
    faults = dice.choices(list(FAULTS), k=2)
    granted = Permissions.of({"net": ["127.0.0.1"], "run": ["echo", "sleep"]})
    runtime = ScriptRuntime(world.plain, permissions=granted, timeout=30)
    done = await runtime.execute_script(TOOLS, args=[world.page(fault) for fault in faults])
    late, *pages = done.result
    told = [Told("", late, frozenset({"tool", "timeout"}))]
    return told + [Told(fault, kind, PAGE) for fault, kind in zip(faults, pages, strict=True)]


async def kept_state(world: World, dice: Random) -> list[Told]:
    """A `State` in a file, written by a few scripts at once."""
    path = f"{world.folder}/{dice.randrange(10**9)}.db"

    async def host() -> list[Any]:
        config = load(script_dir=None, config_file=None, env={}, flags={"state.backend": "sqlite", "state.path": path})
        async with ScriptRuntime(config, timeout=30) as runtime:
            script = "State.set(ARGS[1], #ARGS[1]) Async.sleep(0) return State.get(ARGS[1])"
            runs = (runtime.execute_script(script, args=["k" * number]) for number in range(1, 5))
            return [done.result for done in await asyncio.gather(*runs)]

    try:
        kept = await world.in_thread(asyncio.run, host())
    finally:
        await world.in_thread(_remove, path, f"{path}-wal", f"{path}-shm")
    if kept != [1, 2, 3, 4]:
        raise Wrong(f"`State` kept {kept!r}")
    return [Told("", "ok")]


def _remove(*paths: str) -> None:
    import os

    for path in paths:
        if os.path.exists(path):
            os.remove(path)


async def isolated(world: World, dice: Random) -> list[Told]:
    """A script in a worker process: one that ends well, fails, or goes to a limit."""
    fault = dice.choice(NOT_STALLS)
    source, allowed = dice.choice(
        (
            (f"{READS} return read(ARGS[1]).kind", FAULTS[fault].streamed),
            ("error('no luck')", frozenset({"script"})),
            ("while true do end", frozenset({"limit"})),
            ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", frozenset({"limit"})),
            ("return 1 + 1", OK),
        )
    )
    limits: dict[str, Any] = {"timeout": 20, "max_cpu": 0.05, "max_memory": 16 << 20}
    runtime = ScriptRuntime(world.plain, providers=world.shared("calm"), isolation=world.pool, **limits)
    try:
        done = await runtime.execute_script(source, args=models(dice, [fault]))
        kind = done.result if isinstance(done.result, str) else "ok"
    except LLMSpellError as error:
        kind = error.kind
    return [Told(fault if source.startswith(READS) else "", kind, allowed)]


#: By name: the job, and how often it is drawn.
SCRIPTS: dict[str, tuple[Any, int]] = {
    "script's streams": (streams, 10),
    "script's left streams": (left_streams, 6),
    "stopped script": (stopped, 4),
    "limit": (limits, 4),
    "failing script": (errors, 5),
    "workflow": (workflow, 4),
    "script's files": (files, 2),
    "script's tools": (tools, 3),
    "kept state": (kept_state, 2),
    "isolated script": (isolated, 4),
}
