"""Scripts that call models, from Python: ScriptRuntime, streams, cancellation, and agents without Lua."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import llmspell
from llmspell import ScriptRuntime
from llmspell.bridge.observer import Observer
from llmspell.config.loader import Config, load
from llmspell.errors import (
    AuthError,
    CallTimeoutError,
    LimitError,
    RunCancelledError,
    ScriptError,
    StreamTruncatedError,
)
from support.loopback import CLOSE, STALL, Gate, Loopback, chunked, head, reply, sse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.types.streaming import AgentChunk


def config_for(url: str, **more: str) -> Config:
    env = {"OPENAI_API_KEY": "test-key", "OPENAI_BASE_URL": url, **more}
    return load(script_dir=None, config_file=None, env=env, flags={})


def runtime_for(server: Loopback, **options: Any) -> ScriptRuntime:
    return ScriptRuntime(config_for(server.url), **options)


HELLO = reply(sse(["Hel", "lo", " there"]))
TEXTS = """
  local agent = Agent.create{}
  local texts = {}
  for chunk in agent:stream_execute{ text = 'hi' } do
    if chunk.content.type == 'text' then texts[#texts + 1] = chunk.content.text end
  end
  return texts
"""


async def test_a_script_streams_and_the_run_tells_result_output_and_usage() -> None:
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            done = await runtime.execute_script(TEXTS + " -- ", name="t.lua")
            assert done.result == ["Hel", "lo", " there"]
            again = await runtime.execute_script(
                "local r = Agent.create{}:execute(ARGS[1]) print(r.text) return r.usage", args=["hi"]
            )
    assert again.output == "Hello there\n"
    cost = pytest.approx((7 * 0.15 + 3 * 0.6) / 1e6)  # of gpt-4o-mini, as the answer names itself
    assert done.usage == again.usage == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "cost_usd": cost}
    assert (done.calls, done.exit_code) == (1, 0)
    assert [request.json["messages"] for request in server.requests] == [[{"role": "user", "content": "hi"}]] * 2
    assert [request.json.get("stream", False) for request in server.requests] == [True, False]


def test_run_needs_no_event_loop() -> None:
    with Loopback([HELLO]) as server:
        done = runtime_for(server).run(TEXTS)
    assert done.result == ["Hel", "lo", " there"]


def test_run_in_a_running_loop_is_refused_by_asyncio_not_deadlocked() -> None:
    async def inside() -> None:
        ScriptRuntime().run("Async.sleep(0)")

    with pytest.raises(RuntimeError, match="inside a running event loop"):
        asyncio.run(inside())


CHUNK_SHAPE = """
  local seen = {}
  for chunk in Agent.create{ model = 'openai/m' }:stream_execute('hi') do
    seen[#seen + 1] = chunk
  end
  return seen
"""


async def test_a_chunk_has_the_fields_of_the_contract() -> None:
    before = time.time()
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            chunks = (await runtime.execute_script(CHUNK_SHAPE)).result
    assert [chunk["chunk_index"] for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk["stream_id"] for chunk in chunks}) == 1
    assert [chunk["content"]["type"] for chunk in chunks] == ["control", "text", "text", "text", "control"]
    assert chunks[0]["content"]["message"] == "stream_start"
    assert chunks[-1]["content"] == {
        "type": "control",
        "message": "stream_end",
        "finish_reason": "stop",
        "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    }
    for chunk in chunks:
        assert set(chunk) == {"stream_id", "chunk_index", "content", "metadata", "timestamp"}
        assert chunk["metadata"]["provider"] == "openai"
        assert before <= chunk["timestamp"] <= time.time()


async def test_a_stream_is_a_coroutine_that_is_dead_after_its_last_chunk() -> None:
    script = """
      local s = Agent.create{}:stream_execute('hi')
      local told = { type(s), coroutine.status(s) }
      local kinds = {}
      while coroutine.status(s) ~= 'dead' do
        local ok, chunk = coroutine.resume(s)
        assert(ok)
        kinds[#kinds + 1] = chunk.content.message or chunk.content.text
      end
      return { told, kinds, { coroutine.resume(s) }, s:next() == nil, s:collect().text }
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            told, kinds, after, ended, text = (await runtime.execute_script(script)).result
    assert told == ["thread", "suspended"]
    assert kinds == ["stream_start", "Hel", "lo", " there", "stream_end"]
    assert after == [False, "cannot resume dead coroutine"]
    assert (ended, text) == (True, "Hello there")


async def test_stream_methods() -> None:
    script = """
      local agent = Agent.create{}
      local s = agent:stream_execute('hi')
      s:next() s:next()
      local rest = s:text()
      local whole = agent:stream_execute('hi'):collect()
      local seen = 0
      local last = agent:invokeStream('hi', function(chunk) seen = seen + 1 end)
      return { rest, whole.text, whole.response == whole.content, whole.finish_reason, seen, last.text }
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            assert (await runtime.execute_script(script)).result == [
                "lo there", "Hello there", True, "stop", 5, "Hello there",
            ]  # fmt: skip


async def test_a_generator_may_call_a_model_inside() -> None:
    script = """
      local agent = Agent.create{}
      local function answers()
        return coroutine.wrap(function()
          for i = 1, 2 do coroutine.yield(agent:execute('hi').text) end
          for chunk in agent:stream_execute('hi') do
            if chunk.content.type == 'text' then coroutine.yield(chunk.content.text) end
          end
        end)
      end
      local all = {}
      for text in answers() do all[#all + 1] = text end
      return all
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            done = await runtime.execute_script(script)
    assert done.result == ["Hello there", "Hello there", "Hel", "lo", " there"]


async def test_two_streams_at_once_interleave_as_the_server_sends() -> None:
    """The server lets each stream go on only when the script has shown the other's piece."""
    gates = [Gate() for _ in range(4)]
    pieces = chunked(sse(["a1", "a2"]))
    others = chunked(sse(["b1", "b2"]))
    first = [head(), *pieces[:2], gates[0], pieces[2], gates[2], *pieces[3:]]
    second = [head(), gates[1], *others[:2], gates[3], *others[2:]]
    seen: list[str] = []

    def log(level: str, message: str, fields: Any) -> None:
        seen.append(message)
        order = {"a1": 1, "b1": 0, "a2": 3, "b2": 2}
        gates[order[message]].open()

    script = """
      local agent = Agent.create{}
      local function read(name)
        return function()
          for chunk in agent:stream_execute(name) do
            if chunk.content.type == 'text' then Log.info(chunk.content.text) end
          end
        end
      end
      Async.all{ read('a'), read('b') }
    """
    plans = {"a": first, "b": second}
    with Loopback([lambda request: plans[request.json["messages"][0]["content"]]]) as server:
        async with runtime_for(server, log=log) as runtime:
            await asyncio.wait_for(runtime.execute_script(script), 10)
    assert seen == ["a1", "b1", "a2", "b2"]


LEAVING = [
    "for chunk in agent:stream_execute('hi') do if chunk.content.type == 'text' then break end end",
    "pcall(function() for c in agent:stream_execute('hi') do if c.content.type == 'text' then error('x') end end end)",
    "do local s <close> = agent:stream_execute('hi') s:next() s:next() end",
    "local s = agent:stream_execute('hi') s:next() s:next() coroutine.close(s)",
    "local s = agent:stream_execute('hi') s:next() s:next() s:cancel()",
    "pcall(Async.timeout, 0.05, function() for chunk in agent:stream_execute('hi') do end end)",
    "Async.race{ function() for c in agent:stream_execute('hi') do if c.content.text then Async.sleep(9) end end end,"
    " function() Async.sleep(0.05) end }",
    "local t = Async.spawn(function() for c in agent:stream_execute('hi') do end end) Async.sleep(0.05) t:cancel()",
    "pcall(Async.timeout, 0.05, function() agent:execute('hi') end)",
]


@pytest.mark.parametrize("leave", LEAVING)
async def test_leaving_a_stream_closes_its_connection_at_once(leave: str) -> None:
    left: list[float] = []
    script = f"local agent = Agent.create{{}} {leave} Log.info('left') Async.sleep(60)"
    plan = [head(), *chunked(sse(["Hel", "lo"]), end=False)[:2], STALL]
    with Loopback([plan]) as server:
        runtime = runtime_for(server, log=lambda *_: left.append(time.monotonic()))
        run = asyncio.ensure_future(runtime.execute_script(script))
        await asyncio.to_thread(server.wait_requests, 1)
        closed = await asyncio.to_thread(server.connections[0].wait_closed)
        assert closed - left[0] < 0.1
        runtime.interrupt()
        with pytest.raises(RunCancelledError):
            await run
        await runtime.aclose()


async def test_a_dropped_stream_is_closed_after_a_collection() -> None:
    script = """
      local agent = Agent.create{};
      (function() local s = agent:stream_execute('hi') s:next() end)()
      collectgarbage() collectgarbage()
      Async.sleep(0)
      Async.sleep(60)
    """
    with Loopback([[head(), *chunked(sse(["Hel"]), end=False)[:2], STALL]]) as server:
        async with runtime_for(server) as runtime:
            run = asyncio.ensure_future(runtime.execute_script(script))
            await asyncio.to_thread(server.wait_requests, 1)
            await asyncio.to_thread(server.connections[0].wait_closed)
            runtime.interrupt()
            with pytest.raises(RunCancelledError):
                await run


async def test_a_stream_that_stops_early_raises_after_the_chunks_that_came() -> None:
    script = """
      local texts = {}
      local ok, e = pcall(function()
        for chunk in Agent.create{}:stream_execute('hi') do
          if chunk.content.type == 'text' then texts[#texts + 1] = chunk.content.text end
        end
      end)
      return { texts, e.kind, e.partial, e.retryable, e.provider, tostring(e):match('^[^\\n]+$') ~= nil }
    """
    with Loopback([[head(), *chunked(sse(["Hel", "lo"], finish=None, done=False), end=False), CLOSE]]) as server:
        async with runtime_for(server) as runtime:
            result = (await runtime.execute_script(script)).result
    assert result == [["Hel", "lo"], "stream_truncated", "Hello", True, "openai", True]


async def test_an_uncaught_provider_error_is_the_very_exception_with_the_script_s_place() -> None:
    with Loopback([reply(b'{"error": {"message": "bad key", "type": "invalid_request_error"}}', 401)]) as server:
        async with runtime_for(server) as runtime:
            with pytest.raises(AuthError, match="bad key") as caught:
                await runtime.execute_script("local a = Agent.create{}\nlocal r = a:execute('hi')", name="s.lua")
    error = caught.value
    assert (error.script, error.line, error.status, error.exit_code) == ("s.lua", 2, 401, 4)
    assert error.traceback[0]["line"] == 2
    assert "test-key" not in repr(error.to_dict())


async def test_a_truncated_stream_s_partial_reaches_python() -> None:
    with Loopback([[head(), *chunked(sse(["Hel"], finish=None, done=False), end=False), CLOSE]]) as server:
        async with runtime_for(server) as runtime:
            with pytest.raises(StreamTruncatedError) as caught:
                await runtime.execute_script(TEXTS)
    assert caught.value.partial == "Hel"


async def test_a_silent_server_is_a_timeout_of_the_setting_s_name() -> None:
    config = config_for("http://x/v1", LLMSPELL_PROVIDERS__OPENAI__TIMEOUT__IDLE="0.1")
    with Loopback([[head(), *chunked(sse(["Hel"]), end=False)[:2], STALL]]) as server:
        config = config_for(server.url, LLMSPELL_PROVIDERS__OPENAI__TIMEOUT__IDLE="0.1")
        async with ScriptRuntime(config) as runtime:
            with pytest.raises(CallTimeoutError, match=r"0\.1 s") as caught:
                await runtime.execute_script(TEXTS)
    assert caught.value.partial == "Hel"
    assert "providers.openai.timeout.idle" in f"{caught.value.hint} {caught.value.setting}"


async def test_streams_opened_together_are_sent_together() -> None:
    """Opening is enough: both requests are on their way before either stream is read."""
    gate = Gate()
    with Loopback([[head(), gate, *chunked(sse(["x"]))]]) as server:
        async with runtime_for(server) as runtime:
            script = "local a = Agent.create{} local s, t = a:stream('1'), (a:stream('2')) return s:text() .. t:text()"
            run = asyncio.ensure_future(runtime.execute_script(script))
            await asyncio.to_thread(server.wait_requests, 2)
            gate.open()
            assert (await run).result == "xx"


async def test_a_thousand_streams_in_one_script() -> None:
    script = """
      local agent = Agent.create{}
      local list = {}
      for i = 1, 1000 do list[i] = i end
      local texts = Async.map(list, function(i)
        local parts = {}
        for chunk in agent:stream_execute('n' .. i) do
          if chunk.content.type == 'text' then parts[#parts + 1] = chunk.content.text end
        end
        return table.concat(parts)
      end)
      local good = 0
      for i, text in ipairs(texts) do if text == 'Hello there' then good = good + 1 end end
      return good
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            done = await asyncio.wait_for(runtime.execute_script(script), 60)
    assert done.result == 1000
    assert done.usage["output_tokens"] == 3000


async def test_concurrency_is_limited_and_nobody_waits_for_ever() -> None:
    at_once, most = 0, 0

    class Counting(Observer):
        def call_started(self, call: str, label: str) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)

        def call_ended(self, call: str, error: BaseException | None) -> None:
            nonlocal at_once
            at_once -= 1

    script = """
      local agent = Agent.create{}
      return #Async.map({1, 2, 3, 4, 5, 6, 7, 8}, function() return agent:execute('hi').text end)
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server, max_concurrency=3, observer=Counting()) as runtime:
            assert (await runtime.execute_script(script)).result == 8
    assert (most, at_once) == (3, 0)


async def test_a_concurrency_of_0_is_without_limit() -> None:
    script = """
      local agent = Agent.create{}
      local both = Async.map({1, 2}, function() return agent:execute('hi').text .. agent:stream('hi'):text() end)
      return #both
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server, max_concurrency=0) as runtime:
            assert (await asyncio.wait_for(runtime.execute_script(script), 10)).result == 2


async def test_an_observer_sees_every_call_streamed_under_the_hood() -> None:
    seen: list[Any] = []

    class Watching(Observer):
        def call_started(self, call: str, label: str) -> None:
            seen.append(label)

        def chunks(self, call: str, batch: Sequence[AgentChunk], owned: bool) -> None:
            seen.extend((chunk.content[0], owned) for chunk in batch if chunk.content.type == "text")

        def call_ended(self, call: str, error: BaseException | None) -> None:
            seen.append(error)

    with Loopback([HELLO]) as server:
        async with runtime_for(server, observer=Watching()) as runtime:
            done = await runtime.execute_script(
                "return Agent.create{ name = 'x', model = 'openai/m' }:execute('hi').text"
            )
    assert done.result == "Hello there"
    assert seen == ["x · openai/m", ("Hel", False), ("lo", False), (" there", False), None]
    assert server.requests[0].json["stream"] is True


# ---- stopping


async def test_cancelling_the_task_ends_the_run_and_closes_everything() -> None:
    closed: list[str] = []
    script = """
      local mark <close> = setmetatable({}, {__close = function() Log.info('closed') end})
      for chunk in Agent.create{}:stream_execute('hi') do end
    """
    with Loopback([[head(), *chunked(sse(["Hel"]), end=False)[:2], STALL]]) as server:
        async with runtime_for(server, log=lambda level, message, fields: closed.append(message)) as runtime:
            run = asyncio.ensure_future(runtime.execute_script(script))
            await asyncio.to_thread(server.wait_requests, 1)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            await asyncio.to_thread(server.connections[0].wait_closed)
    assert closed == ["closed"]


async def test_interrupt_from_another_thread_stops_a_script_that_waits() -> None:
    with Loopback([[head(), STALL]]) as server:
        async with runtime_for(server) as runtime:
            run = asyncio.ensure_future(runtime.execute_script(TEXTS))
            await asyncio.to_thread(server.wait_requests, 1)
            threading.Thread(target=runtime.interrupt).start()
            with pytest.raises(RunCancelledError):
                await asyncio.wait_for(run, 5)


async def test_the_deadline_holds_while_a_script_waits_and_while_it_computes() -> None:
    for script in ("Async.sleep(60)", "while true do pcall(function() end) end", "Async.sleep(0) while true do end"):
        with pytest.raises(LimitError, match=r"0\.1 s") as caught:
            await ScriptRuntime(timeout=0.1).execute_script(script)
        assert (caught.value.setting, caught.value.exit_code) == ("runtime.timeout", 5)


async def test_tasks_left_running_are_cancelled_when_the_script_ends() -> None:
    logged: list[str] = []
    script = """
      Async.spawn(function()
        local mark <close> = setmetatable({}, {__close = function() Log.info('closed') end})
        Async.sleep(60)
      end)
      Async.sleep(0)
      return 'done'
    """
    async with ScriptRuntime(log=lambda level, message, fields: logged.append(message)) as runtime:
        assert (await runtime.execute_script(script)).result == "done"
    assert logged == ["closed"]


async def test_nothing_is_left_behind() -> None:
    scripts = [TEXTS, "error('x')", "for c in Agent.create{}:stream_execute('hi') do error('y') end", "Async.sleep(60)"]
    with Loopback([HELLO]) as server:
        before = asyncio.all_tasks()
        async with runtime_for(server, timeout=0.5) as runtime:
            for script in scripts:
                try:
                    await runtime.execute_script(script)
                except (ScriptError, LimitError):
                    pass
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        await asyncio.to_thread(server.connections[0].wait_closed)
    gc.collect()


# ---- errors


async def test_an_error_in_a_script_s_own_coroutine_is_read_as_it_is() -> None:
    async with ScriptRuntime() as runtime:
        done = await runtime.execute_script(
            """
            local closed = 0
            local function fails(value)
              return coroutine.create(function()
                local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
                coroutine.yield("a")
                error(value)
              end)
            end
            local mine = {}
            local told = {}
            for i, method in ipairs{ "text", "collect", "next" } do
              local co = fails("boom")
              if method == "next" then co:next() end
              told[i] = select(2, pcall(co[method], co))
            end
            local co = fails(mine)
            told[4] = select(2, pcall(co.text, co)) == mine
            local this
            this = coroutine.create(function() return pcall(this.next, this) end)
            told[5] = tostring(select(3, coroutine.resume(this)))
            return { told, closed }
            """
        )
    told, closed = done.result
    assert told[:4] == [*["script.lua:7: boom"] * 3, True]
    assert told[4] == "cannot resume non-suspended coroutine"
    assert closed == 4


async def test_the_script_s_own_errors_are_its_own() -> None:
    async with ScriptRuntime() as runtime:
        with pytest.raises(ScriptError) as caught:
            await runtime.execute_script("error({kind = 'limit', message = 'mine'})")
        assert (caught.value.message, caught.value.exit_code) == ("mine", 1)
        assert caught.value.value == {"kind": "limit", "message": "mine"}
        with pytest.raises(ScriptError, match="the script raised nil"):
            await runtime.execute_script("error()")


async def test_output_is_kept_when_a_script_fails() -> None:
    with pytest.raises(ScriptError) as caught:
        await ScriptRuntime().execute_script("print('so far') error('x')")
    assert caught.value.output == "so far\n"


@pytest.mark.parametrize(
    ("call", "message", "hint"),
    [
        ("Agent.create{ modle = 'x' }", "`Agent.create` has no field `modle`", "did you mean `model`?"),
        ("Agent.create{ temperature = 'hot' }", "`Agent.create`: `temperature` must be a number from 0 to 2", None),
        ("Agent.create('x')", "`Agent.create` takes a table, not string", None),
        ("Agent.creat{}", "there is no `Agent.creat`", "did you mean `Agent.create`?"),
        ("Agent.create{}:excute('x')", "there is no `agent:excute`", "did you mean `agent:execute`?"),
        ("Agent.builder():modl('x')", "there is no `Agent.builder():modl`", "did you mean `Agent.builder():model`?"),
        ("Agent.create{}:execute()", "`agent:execute` needs something to say", None),
        ("Agent.create{}:execute{ txt = 'x' }", "`agent:execute` has no field `txt`", "did you mean `text`?"),
        ("Agent.create{}:execute('\\xff')", "`agent:execute`: the text is not UTF-8", None),
        (
            "Agent.create{}:execute{ messages = {{ role = 'usr', content = 'x' }} }",
            "messages[1].role must be one of",
            None,
        ),
        ("Agent.create{}.execute('x')", "`agent:execute` is called with a colon", None),
        ("Agent.create{}:execute({ 'x' })", "`agent:execute`: the argument must be a table, not a list", None),
        ("Agent.builder().name('x').build()", "`Agent.builder():name` is called with a colon, on a builder", None),
        ("Workflow.builder().sequential()", "`Workflow.builder():sequential` is called with a colon", None),
        ("Agent.create{ temperature = 'a\\nb' }", "`Agent.create`: `temperature` must be a number from 0", None),
        ("return Agent['x\\ny']", "there is no `Agent.x y`", None),
        ("return Agent['\\xff']", "there is no `Agent.�`", None),
        ("JSON.stringify({}, { ['a\\nb'] = 1 })", "`JSON.stringify` has no field `string`", None),
        ("Async.sleep('x')", "`Async.sleep` takes a number of seconds, not string", None),
        ("Async.all{ 1 }", "`Async.all`: item 1 must be a function, not number", None),
        ("JSON.parse('{')", "`JSON.parse`:", None),
        ("JSON.stringify({ f = print })", "`JSON.stringify`: a function at `f` cannot be passed on", None),
        ("JSON.stringify({}, { prety = true })", "`JSON.stringify` has no field `prety`", "it takes pretty"),
        ("Agent.create{ extra = { body = 1 } }", "`extra.body` must be a table", None),
        ("Agent.create{ extra = { headers = 'x' } }", "`extra.headers` must be a table", None),
        ("Agent.wrap_as_tool({})", "`Agent.wrap_as_tool` takes an agent first, not table", None),
        ("Agent.chat_from({}, 'a')", "`Agent.chat_from` takes an agent second, not string", None),
    ],
)
async def test_bad_arguments_name_the_function_the_field_and_the_script_s_line(
    call: str, message: str, hint: str | None
) -> None:
    config = config_for("http://127.0.0.1:9/v1")
    async with ScriptRuntime(config) as runtime:
        told = (
            await runtime.execute_script(
                f"local ok, e = pcall(function()\n  {call}\nend) return {{ok, e.kind, e.message, e.hint or '', e.line}}"
            )
        ).result
    assert told[:2] == [False, "validation"]
    assert told[2].startswith(message)
    assert "\n" not in told[2]
    assert told[4] == 2
    if hint is not None:
        assert told[3] == hint


async def test_builder_and_config() -> None:
    script = """
      local agent = Agent.builder():name('b'):model('openai/m'):system_prompt('Be brief.'):temperature(0.5)
        :max_tokens(9):stop('END'):extra{ body = { user = 'u' } }:build()
      local config = agent:get_config()
      return { config, agent:execute('hi').text, agent.name, tostring(agent), Agent.get('b').name, Agent.list() }
    """
    with Loopback([HELLO]) as server:
        async with runtime_for(server) as runtime:
            config, text, name, shown, got, listed = (await runtime.execute_script(script)).result
    assert config == {
        "name": "b", "model": "m", "provider": "openai", "system_prompt": "Be brief.", "temperature": 0.5,
        "max_tokens": 9, "stop": ["END"], "extra": {"body": {"user": "u"}},
    }  # fmt: skip
    assert (text, name, shown, got, listed) == ("Hello there", "b", "agent `b`", "b", ["b"])
    sent = server.requests[0].json
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (sent["temperature"], sent["max_tokens"], sent["stop"], sent["user"]) == (0.5, 9, ["END"], "u")


# ---- agents without Lua


async def test_an_agent_streams_without_lua() -> None:
    from llmspell.providers.manager import ProviderManager

    with Loopback([HELLO]) as server:
        config = config_for(server.url)
        manager = ProviderManager(config.providers(), "auto", {"OPENAI_API_KEY": "k"})
        agent = llmspell.Agent("openai/m", system_prompt="Be brief.", providers=manager)
        async with agent.stream("hi") as stream:
            texts = [chunk.content[0] async for chunk in stream if chunk.content.type == "text"]
        whole = await agent.execute([llmspell.Message("user", "hi")])
        await manager.aclose()
    assert texts == ["Hel", "lo", " there"]
    assert (whole.text, whole.finish_reason, whole.usage.output_tokens) == ("Hello there", "stop", 3)


async def test_an_agent_reads_the_user_s_configuration_and_closes_what_it_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Loopback([HELLO]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        async with llmspell.Agent() as agent:
            assert (await agent.execute("hi")).text == "Hello there"
        await asyncio.to_thread(server.connections[0].wait_closed)
