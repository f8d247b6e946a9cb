"""`Async`: order, limits, the first error, cancellation. What is first is settled by events, or by 0 and for ever."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import CallTimeoutError, LimitError, LLMSpellError, ScriptError, ValidationError

#: `log` gathers what happened; `mark(name)` is a `<close>` variable that says so; `gate()` is opened by `open`.
HEAD = """
  local log = {}
  local function say(...) for _, v in ipairs({...}) do log[#log + 1] = v end end
  local function mark(name) return setmetatable({}, {__close = function() say('closed ' .. name) end}) end
  local function gate()
    local opened = false
    return function() while not opened do Async.sleep(0) end end, function() opened = true end
  end
"""
FOR_EVER = "Async.sleep(1e9)"


class Logged:
    """A runtime, and what its scripts logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def run(self, script: str, timeout: float = 20.0) -> Any:
        runtime = ScriptRuntime(timeout=timeout, log=lambda level, message, fields: self.lines.append((level, message)))
        return runtime.run(HEAD + script).result


def run(script: str, timeout: float = 20.0) -> Any:
    return Logged().run(script, timeout)


# ---- all, map, settle, race, timeout


def test_results_stand_in_the_order_of_the_list_not_of_the_ends() -> None:
    script = """
      local wait, open = gate()
      local got = Async.all{
        function() wait() say('first') return 1 end,
        function() say('second') open() return 2 end,
        function() return 3, 'more' end,
      }
      return {got, log}
    """
    assert run(script) == [[1, 2, 3], ["second", "first"]]


def test_nothing_to_run_gives_nothing() -> None:
    assert run("return {#Async.all{}, #Async.map({}, print), #Async.settle{}}") == [0, 0, 0]
    assert run("return {Async.all{}, Async.map({}, print), Async.settle{}}") == [[], [], []]  # lists, and no objects


def test_the_first_error_cancels_the_rest_and_closes_their_variables() -> None:
    script = f"""
      local ready, opened = gate()
      local ok, e = pcall(Async.all, {{
        function() local x <close> = mark('a') {FOR_EVER} say('never') end,
        function()
          local x <close> = mark('b')
          coroutine.wrap(function() local y <close> = mark('b2') opened() {FOR_EVER} end)()
        end,
        function() ready() error('boom', 0) end,
        function() ready() Async.sleep(0) Async.sleep(0) say('never') end,
      }})
      say(e)
      Async.sleep(0)
      table.sort(log)
      return log
    """
    assert run(script) == ["boom", "closed a", "closed b", "closed b2"]


@pytest.mark.parametrize("width", [1, 2, 7, 100])
def test_map_has_no_more_at_once_than_it_was_told(width: int) -> None:
    script = f"""
      local now, most, list = 0, 0, {{}}
      for i = 1, 30 do list[i] = i end
      local got = Async.map(list, function(x, i)
        now = now + 1
        most = math.max(most, now)
        for _ = 0, x % 3 do Async.sleep(0) end
        now = now - 1
        return x * 10 + i
      end, {{ concurrency = {width} }})
      return {{ most, got }}
    """
    assert run(script) == [min(width, 30), [i * 11 for i in range(1, 31)]]


def test_map_starts_nothing_more_after_an_error() -> None:
    script = """
      local started = 0
      local ok, e = pcall(Async.map, {1, 2, 3, 4, 5, 6}, function(x)
        started = started + 1
        Async.sleep(0)
        if x == 2 then error({ x = x }) end
      end, { concurrency = 2 })
      for _ = 1, 5 do Async.sleep(0) end
      return { ok, e.x, started <= 3 }
    """
    assert run(script) == [False, 2, True]


def test_settle_tells_each_outcome_and_cancels_nothing() -> None:
    script = """
      local mine = { kind = 'mine' }
      local got = Async.settle{
        function() error(mine) end,
        function() Async.sleep(0) return 'ok', 2 end,
        function() end,
        function() error() end,
        function() return Agent.create{ nonsense = 1 } end,
      }
      return { got[1].ok, rawequal(got[1].error, mine), got[2], got[3].ok, got[4].ok, got[5].error.kind }
    """
    assert run(script) == [False, True, {"ok": True, "value": "ok"}, True, False, "validation"]


def test_race_gives_all_of_the_first_and_cancels_the_others() -> None:
    script = f"""
      local a, b, c = Async.race{{
        function() local x <close> = mark('slow') {FOR_EVER} end,
        function() Async.sleep(0) return 1, nil, 3 end,
      }}
      return {{ a, b == nil, c, log }}
    """
    assert run(script) == [1, True, 3, ["closed slow"]]


def test_race_raises_the_first_error_as_it_is() -> None:
    script = f"""
      local mine = {{}}
      local ok, e = pcall(Async.race, {{ function() {FOR_EVER} end, function() error(mine) end }})
      return {{ ok, rawequal(e, mine) }}
    """
    assert run(script) == [False, True]


def test_timeout_gives_what_ends_in_time_and_stops_what_does_not() -> None:
    script = f"""
      local a, b = Async.timeout(30, function() Async.sleep(0) return 1, 2 end)
      local ok, e = pcall(Async.timeout, 0, function() local x <close> = mark('late') {FOR_EVER} end)
      local ok2, e2 = pcall(Async.timeout, 30, function() error('own', 0) end)
      return {{ a, b, ok, e.kind, e.retryable, e2, log }}
    """
    assert run(script) == [1, 2, False, "timeout", False, "own", ["closed late"]]


def test_an_outer_timeout_stops_what_is_within_an_inner_one() -> None:
    script = f"""
      local ok, e = pcall(Async.timeout, 0.01, function()
        local x <close> = mark('outer')
        return Async.timeout(1e6, function() local y <close> = mark('inner') {FOR_EVER} end)
      end)
      local ok2, e2 = pcall(Async.timeout, 1e6, function()
        return Async.timeout(0.01, function() {FOR_EVER} end)
      end)
      return {{ ok, e.message, ok2, e2.message, log }}
    """
    message = "the function did not end within 0.01 s"
    assert run(script) == [False, message, False, message, ["closed inner", "closed outer"]]


def test_a_timeout_that_nobody_catches_is_that_error() -> None:
    with pytest.raises(CallTimeoutError, match="did not end within"):
        run(f"Async.timeout(0.01, function() {FOR_EVER} end)")


def test_groups_within_groups_end_together() -> None:
    script = f"""
      local ready, opened = gate()
      local function leaf(name) return function() local x <close> = mark(name) {FOR_EVER} end end
      pcall(Async.all, {{
        function() Async.all{{ leaf('a'), function() Async.all{{ leaf('b'), leaf('c') }} end }} end,
        function() Async.map({{ 'd', 'e' }}, function(n) if n == 'e' then opened() end leaf(n)() end) end,
        function() ready() error('x') end,
      }})
      table.sort(log)
      return log
    """
    assert run(script) == [f"closed {name}" for name in "abcde"]


def test_errors_keep_their_identity_through_all_of_it() -> None:
    script = """
      local mine = setmetatable({ deep = { 1 } }, { __tostring = function() return 'mine' end })
      local ok, e = pcall(Async.all, { function()
        return Async.timeout(30, function()
          return Async.race{ function()
            local raise = coroutine.wrap(function() Async.sleep(0) error(mine) end)
            return Async.spawn(function() return raise() end):await()
          end }
        end)
      end })
      local ok2, e2 = pcall(Async.all, { function() JSON.parse('{') end })
      return { rawequal(e, mine), getmetatable(e) == getmetatable(mine), e2.kind }
    """
    assert run(script) == [True, True, "validation"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("Async.all(5)", "`Async.all` takes a list of functions, not number"),
        ("Async.all{print, 5}", "`Async.all`: item 2 must be a function, not number"),
        ("Async.all()", "not no value"),
        ("Async.map({1}, 5)", "`Async.map` takes a function second"),
        ("Async.map({1}, print, {concurrency = 0})", "`concurrency` must be a whole number above 0, not 0"),
        ("Async.map({1}, print, {concurrency = 1.5})", "not 1.5"),
        ("Async.map({1}, print, {concurency = 1})", "`Async.map` has no field `concurency`"),
        ("Async.map({}, print, 5)", "`Async.map` takes a table last, not number"),
        ("Async.map({}, print, {concurrency = 'x'})", "`concurrency` must be a whole number above 0, not x"),
        ("Async.race{}", "at least one"),
        ("Async.timeout(-1, print)", "seconds, not -1"),
        ("Async.timeout(0/0, print)", "seconds, not"),
        ("Async.timeout(1)", "takes a function second"),
        ("Async.sleep('x')", "seconds, not string"),
        ("Async.spawn(5)", "takes a function, not number"),
        ("Async.spawn(print).await()", "is called with a colon"),
        ("local x = Async.spawn(print).nonsense", "there is no `task:nonsense`"),
        ("Async.gather{}", "there is no `Async.gather`"),
    ],
)
def test_what_does_not_fit_is_named(call: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        run(call)
    assert words in caught.value.message


def test_what_can_be_called_may_stand_for_a_function() -> None:
    script = """
      local callable = setmetatable({}, { __call = function(self, ...) return select('#', ...) end })
      local co = coroutine.create(function(a) return 'co', a end)
      return { Async.all{ callable, co }, Async.map({ 1, 2 }, callable), (Async.spawn(callable, 1, nil):await()) }
    """
    assert run(script) == [[0, "co"], [2, 2], 2]


# ---- tasks


def test_a_task_takes_arguments_and_gives_all_its_values_to_everyone_who_awaits_it() -> None:
    script = """
      local task = Async.spawn(function(...) Async.sleep(0) return select('#', ...), ... end, 'a', nil)
      local function get() local n, a, b = task:await() say(n .. a .. tostring(b)) end
      Async.all{ get, get, get }
      get()
      return { log, task.done, select('#', task:await()) }
    """
    assert run(script) == [["2anil"] * 4, True, 3]


def test_a_task_s_error_is_raised_each_time_it_is_awaited() -> None:
    script = """
      local mine = {}
      local task = Async.spawn(function() error(mine) end)
      local ok, a = pcall(task.await, task)
      local ok2, b = pcall(function() task:await() end)
      return { ok, ok2, rawequal(a, mine), rawequal(b, mine), task.done }
    """
    assert run(script) == [False, False, True, True, True]


def test_a_task_starts_when_the_script_next_waits() -> None:
    script = """
      local task = Async.spawn(function() say('task') return 1 end)
      say('script')
      local before = task.done
      task:await()
      return { log, before, task.done }
    """
    assert run(script) == [["script", "task"], False, True]


def test_cancelling_ends_a_task_where_it_waits_and_closes_what_it_holds() -> None:
    script = f"""
      local ready, opened = gate()
      local task = Async.spawn(function()
        local x <close> = mark('x')
        pcall(function() local y <close> = mark('y') opened() {FOR_EVER} end)
        say('never')
      end)
      ready()
      task:cancel()
      task:cancel()
      local ok, e = pcall(task.await, task)
      return {{ log, task.done, ok, e.kind, e.message }}
    """
    assert run(script) == [["closed y", "closed x"], True, False, "cancelled", "the task was cancelled"]


def test_cancelling_wakes_those_who_await() -> None:
    script = f"""
      local task = Async.spawn(function() {FOR_EVER} end)
      local waiter = Async.spawn(function() return pcall(task.await, task) end)
      Async.sleep(0)
      Async.sleep(0)
      task:cancel()
      local ok, e = waiter:await()
      return {{ ok, e.kind }}
    """
    assert run(script) == [False, "cancelled"]


def test_cancelling_a_finished_a_failed_or_an_unstarted_task() -> None:
    script = """
      local finished = Async.spawn(function() return 'kept' end)
      finished:await()
      finished:cancel()
      local failed = Async.spawn(error, 'boom', 0)
      local _, e = pcall(failed.await, failed)
      failed:cancel()
      local unstarted = Async.spawn(function() local x <close> = mark('never') say('never') end)
      unstarted:cancel()
      Async.sleep(0)
      local _, e2 = pcall(unstarted.await, unstarted)
      return { finished:await(), e, select(2, pcall(failed.await, failed)), e2.kind, unstarted.done, #log }
    """
    assert run(script) == ["kept", "boom", "boom", "cancelled", True, 0]


def test_a_task_that_cancels_itself_goes_on_to_where_it_next_waits() -> None:
    script = """
      local task
      task = Async.spawn(function()
        local x <close> = mark('own')
        task:cancel()
        say('goes on')
        Async.sleep(0)
        say('never')
      end)
      local ok, e = pcall(task.await, task)
      return { log, ok, e.kind, task.done }
    """
    assert run(script) == [["goes on", "closed own"], False, "cancelled", True]


def test_a_child_that_cancels_what_waits_for_it_goes_with_it() -> None:
    script = """
      local parent
      parent = Async.spawn(function()
        local x <close> = mark('parent')
        Async.all{ function()
          local y <close> = mark('child')
          parent:cancel()
          say('goes on')
          Async.sleep(0)
          say('never')
        end }
        say('never')
      end)
      local ok, e = pcall(parent.await, parent)
      for _ = 1, 5 do Async.sleep(0) end
      table.sort(log)
      return { log, e.kind }
    """
    assert run(script) == [["closed child", "closed parent", "goes on"], "cancelled"]


def test_a_task_cannot_await_itself() -> None:
    script = """
      local task
      task = Async.spawn(function() Async.sleep(0) return pcall(task.await, task) end)
      local ok, e = task:await()
      return { ok, e.kind, e.message }
    """
    assert run(script) == [False, "validation", "a task cannot await itself: it would wait for ever"]


def test_closing_may_cancel_spawn_and_ask_but_not_wait() -> None:
    script = f"""
      local other = Async.spawn(function() local x <close> = mark('other') {FOR_EVER} end)
      local ready, opened = gate()
      local told = {{}}
      local task = Async.spawn(function()
        local x <close> = setmetatable({{}}, {{ __close = function()
          other:cancel()
          Async.spawn(function() say('spawned') end)
          say(JSON.stringify{{ 1 }})
          local ok, e = pcall(Async.sleep, 0)
          told.ok, told.kind = ok, e.kind
        end }})
        opened()
        {FOR_EVER}
      end)
      ready()
      task:cancel()
      Async.sleep(0)
      Async.sleep(0)
      return {{ log, told.ok, told.kind, other.done }}
    """
    assert run(script) == [["closed other", "[1]", "spawned"], False, "not_supported", True]


def test_an_error_while_a_task_is_closed_is_lost_and_the_rest_is_closed_all_the_same() -> None:
    script = f"""
      local task = Async.spawn(function()
        local a <close> = mark('a')
        local b <close> = setmetatable({{}}, {{ __close = function() error('in close') end }})
        local c <close> = mark('c')
        {FOR_EVER}
      end)
      Async.sleep(0)
      Async.sleep(0)
      task:cancel()
      return log
    """
    assert run(script) == ["closed c", "closed a"]


def test_tasks_left_running_are_closed_when_the_script_ends() -> None:
    logged = Logged()
    logged.run(f"""
      Async.spawn(function()
        local x <close> = setmetatable({{}}, {{ __close = function() Log.info('closed') end }})
        {FOR_EVER}
      end)
      Async.sleep(0)
      Async.sleep(0)
    """)
    assert logged.lines == [("info", "closed")]


def test_an_error_that_nobody_awaits_is_logged_and_one_that_is_awaited_is_not() -> None:
    logged = Logged()
    logged.run("""
      Async.spawn(error, 'lost', 0)
      local task = Async.spawn(error, 'found', 0)
      pcall(task.await, task)
      Async.spawn(function() error({ message = 'odd' }) end)
      Async.sleep(0)
      Async.sleep(0)
    """)
    assert [level for level, _ in logged.lines] == ["warn", "warn"]
    assert logged.lines[0][1] == "a task failed, and nobody awaited it: lost"
    assert not any("found" in message for _, message in logged.lines)


# ---- many, and for ever


def test_a_thousand_fibers() -> None:
    script = """
      local list = {}
      for i = 1, 1000 do list[i] = i end
      local sum = 0
      local got = Async.map(list, function(i)
        local co = coroutine.wrap(function() Async.sleep(0) coroutine.yield(i) Async.sleep(0) return i end)
        local x = co()
        local y = co()
        sum = sum + y
        return x
      end)
      return { #got, got[1000], sum }
    """
    assert run(script) == [1000, 1000, 500500]


def test_a_thousand_fibers_that_wait_inside_of_generators_are_cancelled_in_good_time() -> None:
    script = f"""
      local list, closed, ready = {{}}, 0, 0
      for i = 1, 1000 do list[i] = i end
      pcall(Async.all, {{
        function() Async.map(list, function(i)
          coroutine.wrap(function()
            local x <close> = setmetatable({{}}, {{ __close = function() closed = closed + 1 end }})
            ready = ready + 1
            {FOR_EVER}
          end)()
        end) end,
        function() while ready < 1000 do Async.sleep(0) end error('now') end,
      }})
      return closed
    """
    began = monotonic()
    assert run(script) == 1000
    assert monotonic() - began < 5


def test_outcomes_of_tasks_that_nobody_holds_are_not_kept() -> None:
    script = """
      local function spawn_many()
        for i = 1, 200 do Async.spawn(function() return ('x'):rep(10000) .. i end) end
        Async.sleep(0)
        Async.sleep(0)
        Async.sleep(0)
      end
      spawn_many()
      collectgarbage() collectgarbage()
      local before = collectgarbage('count')
      for _ = 1, 5 do spawn_many() end
      collectgarbage() collectgarbage()
      return collectgarbage('count') - before < 500
    """
    assert run(script) is True


def test_too_many_tasks_at_once_are_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.bridge.driver.MOST_FIBERS", 10)
    with pytest.raises(LimitError, match="more than 10 tasks at once") as caught:
        run(f"while true do Async.spawn(function() {FOR_EVER} end) Async.sleep(0) end")
    assert "concurrency" in str(caught.value.hint)


@pytest.mark.parametrize(
    "script",
    [
        "local a, b a = Async.spawn(function() b:await() end) b = Async.spawn(function() a:await() end) a:await()",
        "local t t = Async.spawn(function() Async.all{ function() t:await() end } end) t:await()",
    ],
)
def test_tasks_that_wait_for_each_other_are_told_and_do_not_hang(script: str) -> None:
    with pytest.raises(ScriptError, match="waits for ever") as caught:
        run(script)
    assert "await each other" in str(caught.value.hint)


# ---- generators and coroutines inside of tasks


def test_generators_that_wait_run_side_by_side() -> None:
    script = """
      local function numbers(name, n)
        return coroutine.wrap(function()
          for i = 1, n do Async.sleep(0) coroutine.yield(name .. i) end
        end)
      end
      local function drain(name) return function() for v in numbers(name, 3) do say(v) end end end
      Async.all{ drain('a'), drain('b') }
      return log
    """
    assert run(script) == ["a1", "b1", "a2", "b2", "a3", "b3"]


def test_a_coroutine_may_be_handed_from_task_to_task_between_its_waits() -> None:
    script = """
      local co = coroutine.create(function()
        for i = 1, 3 do Async.sleep(0) coroutine.yield(i) end
      end)
      local function take() local ok, v = coroutine.resume(co) say(v) end
      for _ = 1, 3 do Async.spawn(take):await() end
      return { log, coroutine.status(co) }
    """
    assert run(script) == [[1, 2, 3], "suspended"]


def test_a_coroutine_that_waits_in_one_task_is_not_another_s_to_resume() -> None:
    script = """
      local wait, open = gate()
      local co = coroutine.create(function() wait() return 'done' end)
      local task = Async.spawn(function() return coroutine.resume(co) end)
      Async.sleep(0)
      local status, ok, e = coroutine.status(co), coroutine.resume(co)
      open()
      return { status, ok, e, task:await() }
    """
    assert run(script) == ["normal", False, "cannot resume non-suspended coroutine", True, "done"]


def test_metamethods_and_iterators_may_wait() -> None:
    script = """
      local t = setmetatable({}, { __index = function(_, k) Async.sleep(0) return k end,
        __call = function(_, x) Async.sleep(0) return x end, __close = function() Async.sleep(0) say('closed') end,
        __pairs = function()
          Async.sleep(0)
          return function(_, i) Async.sleep(0) if i < 2 then return i + 1 end end, nil, 0
        end })
      do local x <close> = t say(t.a, t(5)) end
      for i in pairs(t) do say(i) end
      return log
    """
    assert run(script) == ["a", 5, "closed", 1, 2]


async def test_two_scripts_of_one_loop_do_not_see_each_other() -> None:
    async with ScriptRuntime(timeout=20) as runtime:
        script = "shared = (shared or 0) + 1 for _ = 1, 20 do Async.sleep(0) end return shared"
        done = await asyncio.gather(*(runtime.execute_script(script) for _ in range(5)))
    assert [one.result for one in done] == [1] * 5


# ---- stopping


@pytest.mark.parametrize(
    "script",
    [
        "Async.all{ function() while true do end end, function() Async.sleep(1e9) end }",
        "pcall(Async.all, { function() while true do pcall(Async.sleep, 0) end end })",
        "while true do pcall(Async.timeout, 0, function() while true do Async.sleep(0) end end) end",
        "Async.settle{ function() local x <close> = endless Async.sleep(1e9) end }",
        "local t = Async.spawn(function() local x <close> = endless Async.sleep(1e9) end) "
        "Async.sleep(0) Async.sleep(0) t:cancel() while true do end",
        "local t = Async.spawn(function() Async.sleep(1e9) end) while true do pcall(t.await, t) end",
    ],
)
def test_a_deadline_stops_tasks_whatever_they_do(script: str) -> None:
    began = monotonic()
    with pytest.raises(LimitError):
        run("local endless = setmetatable({}, {__close = function() while true do end end}) " + script, timeout=0.2)
    assert monotonic() - began < 2


def test_os_exit_in_a_task_ends_the_run_and_closes_what_the_others_hold() -> None:
    logged = Logged()
    runtime = ScriptRuntime(timeout=20, log=lambda level, message, fields: logged.lines.append((level, message)))
    done = runtime.run(f"""
      local function held(name)
        return setmetatable({{}}, {{ __close = function() Log.info(name) end }})
      end
      local a <close> = held('main')
      Async.all{{
        function() local b <close> = held('waits') {FOR_EVER} end,
        function() local c <close> = held('exits') Async.sleep(0) pcall(os.exit, 3) end,
      }}
    """)
    assert done.exit_code == 3
    assert sorted(message for _, message in logged.lines) == ["exits", "main", "waits"]


def test_a_host_s_error_in_a_task_is_the_very_exception() -> None:
    with pytest.raises(LLMSpellError, match="unexpected end of data") as caught:
        run("Async.all{ function() Async.sleep(0) JSON.parse('{') end }")
    assert isinstance(caught.value, ValidationError)
    assert caught.value.line is not None


@pytest.mark.parametrize("seconds", ["math.huge", "1e300"])
def test_a_timeout_may_be_none(seconds: str) -> None:
    assert run(f"return Async.timeout({seconds}, function() Async.sleep(0) return 5 end)") == 5
