"""Attacks on the compiled engine that once worked: each corrupted memory, ended the process, or got round a limit.

Some are only seen for certain under `.ci/sanitize`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from llmspell._speedups._lua_shared import CALL, DONE, ERROR, STOPPED
from support.engine import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.compiled

PRELUDE = (
    PUBLIC
    + b"""
ask, call, close_fiber, this_fiber = host.ask, host.call, host.close_fiber, host.this_fiber
"""
)


class Host:
    """An engine, and what is done when Lua asks."""

    def __init__(self, fields: Callable[[BaseException], dict[str, Any]] = lambda error: {}, **limits: Any) -> None:
        self.on: dict[str, Callable[..., Any]] = {}
        engine = import_module("llmspell._speedups._lua_c").Engine
        self.engine: Any = engine(self._ask, lambda fd, data: True, fields, **limits)
        self.engine.start(PRELUDE)

    def _ask(self, op: str, args: list[Any]) -> Any:
        return self.on[op](*args)

    def start(self, text: str, *, seconds: float = 20.0) -> tuple[Any, ...]:
        fiber = self.engine.load(text.encode(), b"@test.lua")
        self.engine.deadline = monotonic() + seconds
        outcome: tuple[Any, ...] = self.engine.resume(fiber, None, [])
        return outcome


def in_python(code: str) -> str:
    """What *code* writes, in a process of its own that must end well."""
    path = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            f"import os, signal, threading\nfrom {Path(__file__).stem} import *\n{code}",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---- memory that is no longer there


def test_a_fiber_cannot_be_closed_while_it_closes_itself() -> None:
    """It stood on a stack that was freed under it."""
    host, seen = Host(), []
    host.on = {"end": lambda: host.engine.interrupt("enough", 10.0), "seen": seen.append}
    text = """
    local id = this_fiber()
    local x <close> = setmetatable({}, { __close = function()
      local sum = 7
      close_fiber(id)
      local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end
      ask("seen", sum + deep(200))
    end })
    ask("end")
    """
    assert host.start(text) == (STOPPED, "enough")
    assert seen == [207]


def test_a_wrapped_coroutine_that_c_has_no_room_for_is_as_it_was() -> None:
    """It was closed, and one value too many was taken off its stack: its next call read below it."""
    text = """
    local wraps, calls = {}, {}
    for i = 1, 260 do
      calls[i] = 0
      wraps[i] = coroutine.wrap(function()
        while true do
          coroutine.yield(i)
          calls[i] = calls[i] + 1
          if calls[i] == 1 then wraps[i + 1]() end
        end
      end)
      wraps[i]()
    end
    local ok, e = pcall(wraps[1])
    local first, alive = nil, 0
    for i = 1, 260 do
      if calls[i] == 0 then
        calls[i] = 1
        first = first or i
        alive = alive + (wraps[i]() == i and 1 or 0)
      end
    end
    return ok, e:match("C stack overflow$"), 260 - first + 1 == alive
    """
    assert Host().start(text) == (DONE, [False, "C stack overflow", True])


ABORTS = """
local list, keep, k, deepest = {}, {}, 0, 0
local yield, resume, create, gc, rep = coroutine.yield, coroutine.resume, coroutine.create, collectgarbage, string.rep
for i = 1, 260 do
  list[i] = create(function()
    while true do yield() local n = list[i + 1] if n then deepest = i resume(n) end end
  end)
  resume(list[i])
end
for i = 1, 4000 do keep[i] = false end
while true do
  gc()
  local free = ask("free")
  local size = free > 9000 and free // 2 - 4000 or free > 1400 and 900 or free > 240 and 100 or free - 26
  if size <= 40 then break end
  k = k + 1
  keep[k] = rep("x", size)
end
resume(list[1])
return deepest > 150
"""


def test_a_full_c_stack_without_memory_does_not_end_the_process() -> None:
    """The message was made where nothing catches the end of memory."""
    code = """
host = Host(max_memory=4_000_000)
host.on["free"] = lambda: 4_000_000 - host.engine.memory
print(host.start(ABORTS))
"""
    assert in_python(code) == "(0, True)"


# ---- limits


def test_answers_alone_do_not_go_beyond_the_limit_of_memory() -> None:
    host = Host(max_memory=4_000_000)
    host.on["text"] = lambda: os.urandom(500_000)
    text = "local t = {} for i = 1, 200 do t[i] = false end for i = 1, 200 do t[i] = ask('text') end"
    assert host.start(text) == (STOPPED, "memory")
    assert host.engine.memory < 5_000_000


EMPTIED = """
local t, many = {}, {}
for i = 1, 1 << 20 do t[i] = 1 end
for i = 1, 1 << 20 do t[i] = nil end
for i = 1, 200000 do many[i] = t end
"""


@pytest.mark.parametrize("way", ["return many", "ask('take', many)", "call('take', many)", "error({ many })"])
def test_a_walk_through_empty_tables_is_stopped(way: str) -> None:
    """Each looks like one value, and takes milliseconds: minutes in all."""
    began = monotonic()
    host = Host()
    host.on["take"] = lambda value: None
    outcome = host.start(EMPTIED + way, seconds=1.0)
    assert outcome == (STOPPED, "deadline") or (way.startswith("error") and outcome[0] == ERROR)
    assert monotonic() - began < 20


def test_ctrl_c_stops_a_walk_through_empty_tables() -> None:
    code = """
threading.Timer(1.0, signal.raise_signal, (signal.SIGINT,)).start()
print(Host().start(EMPTIED + "return many", seconds=40.0))
"""
    assert in_python(code) == "(3, 'raised')"


def test_the_frames_of_an_error_on_a_deep_stack_are_looked_for_in_good_time() -> None:
    """Frames that are named as ours are passed over, and each was found by counting from the top: a minute."""
    began = monotonic()
    host = Host()
    deep = "local n, f = ... if n == 0 then error(0) end return 1 + f(n - 1, f)"
    text = f'local f = load("{deep}", "=[llmspell]") f(180000, f)'
    assert host.start(text, seconds=30.0)[0] == ERROR
    assert monotonic() - began < 15


# ---- signals


def test_ctrl_c_while_an_exception_is_told_is_not_lost() -> None:
    def fields(error: BaseException) -> dict[str, Any]:
        raise KeyboardInterrupt

    host = Host(fields)

    def fail() -> None:
        raise ValueError

    host.on["fail"] = fail
    assert host.start("pcall(ask, 'fail') return 1") == (STOPPED, "raised")
    assert isinstance(host.engine.raised, KeyboardInterrupt)


def test_a_thread_that_blocks_all_signals_has_its_deadline() -> None:
    code = """
def run():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    print(Host().start("while true do end", seconds=0.2))
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    assert in_python(code) == "(3, 'deadline')"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_forked_by_another_thread_has_ctrl_c() -> None:
    code = """
def run():
    Host().start("return 1")
    if not os.fork():
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            print(Host().start("while true do end"), flush=True)
        finally:
            os._exit(0)
    os.wait()
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    assert in_python(code) == "(3, 'raised')"


# ---- others' hands


def test_an_engine_that_runs_in_a_thread_is_closed_to_the_others() -> None:
    host, running = Host(), Event()
    host.on["begun"] = running.set
    thread = Thread(target=host.start, args=("ask('begun') while true do end",))
    thread.start()
    assert running.wait(10)
    engine = host.engine
    for use in (
        lambda: engine.start(b""),
        lambda: engine.load(b"", b"=x"),
        lambda: engine.resume(1, True, None),
        lambda: engine.close_fiber(1),
        engine.close,
    ):
        with pytest.raises(RuntimeError, match="the engine runs"):
            use()
    engine.interrupt("enough")
    thread.join(20)
    assert not thread.is_alive()


def test_the_host_cannot_close_an_engine_from_inside() -> None:
    host = Host()
    host.on["close"] = lambda: host.engine.close()
    text = "local x <close> = setmetatable({}, { __close = function() pcall(ask, 'close') end }) call('wait')"
    fiber = host.engine.load(text.encode(), b"@test.lua")
    assert host.engine.resume(fiber, None, [])[0] == CALL
    host.engine.close_fiber(fiber)
    assert host.engine.memory > 0
