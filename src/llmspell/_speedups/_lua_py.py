"""The pure twin of the Lua engine: a Lua 5.4 state of lupa's, behind the seam that the driver sees.

    engine = Engine(ask, write, fields, max_memory=bytes)
    engine.start(prelude)                   the prelude's text, run before the script with the engine's primitives
    fiber = engine.load(text, name)         a fiber, not started; LoadError if the text does not parse
    engine.resume(fiber, ok, value)         runs it until it waits, ends or is stopped: one of the outcomes below
    engine.close_fiber(fiber)               ends one that waits; its `<close>` variables run
    engine.interrupt(reason, grace)         from any thread: stops whatever runs, now and from now on
    engine.close()

Outcomes: (DONE, value) (CALL, op, args) (ERROR, told, exception | None) (STOPPED, reason) (UNFIT, why).

No Python object enters Lua: strings, integers, floats, booleans and tables of them cross by copy, flattened (the Lua
half, in `lua_half/`, says how). Strings go in as UTF-8 and come out as str where they are UTF-8, else as bytes.

What this twin cannot do, and a compiled one can:

- interrupt a script to let other fibers run;
- stop inside one call of a C function of Lua's: `string.find`, `match`, `gmatch` and `gsub` (a pattern that tries
  without end, a plain search for megabytes in megabytes), `string.format`, `load` of up to 8 MiB, a full collection
  of a heap that is one long chain of weak keys. `string.rep` and the functions of `table` have replacements, in the
  prelude, that can be stopped;
- see that thousands of calls which each go through megabytes and make nothing (comparisons, `utf8.len`, a search that
  fails) take long, before the tick after 2,000 instructions; those that make long strings are seen, by the collector;
- know that memory ended, where a `<close>` variable at once raised something else in its place: the script goes on,
  within its limit.
"""

from __future__ import annotations

from time import monotonic, thread_time

import lupa.lua54 as lua54

from llmspell._speedups._lua_shared import (
    CALL,
    DONE,
    ERROR,
    GONE,
    KEPT_ERRORS,
    MEMORY_GRACE,
    PREEMPTED,
    STOPPED,
    UNFIT,
    LoadError,
    code_of,
    let_values_go,
    lua_half,
)
from llmspell._speedups._lua_values import MAX_DEPTH, Flat, rebuild, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["CALL", "DONE", "ERROR", "GONE", "PREEMPTED", "STOPPED", "UNFIT", "Engine", "LoadError"]

SLICE = 50_000  # scalars a crossing; Lua's stack holds a million
KEPT_TEMPLATES = 2000  # streams whose metadata stays in Lua
MOST_TEXTS = 10_000  # chunks of a batch that need no shape: four scalars each
FAST, SLOW = 0.0005, 0.004  # seconds between ticks: below, tick less often; above, more often
FEWEST, MOST = 50, 2000  # instructions a tick: 2,000 cost 5 % of a loop, 500 cost 25 %, 20,000 would cost none
QUICK = 8  # fast ticks before they come less often: a change of pace costs as much as the stack is deep


LUA_HALF = ("stopping", "common", "coroutines", "values", "calls", "words", "fibers")
_half = b""  # the text of those parts


def _own_source() -> bytes:
    global _half
    if not _half:
        _half = lua_half(LUA_HALF)
    return _half


def _deny(*_: object) -> None:
    raise AttributeError("no Python object is open to Lua")


class Engine:
    """One Lua state. Belongs to one thread at a time; only `interrupt` may be called from another.

    ask: called with an operation's name and its arguments (a list) while Lua runs; its value goes back to the script,
        what it raises is raised there. write: called with a descriptor (1 or 2) and bytes; False stops the run.
    fields: an exception as a plain dict, for the error table that stands for it in Lua.
    max_memory: bytes of the Lua heap while the script runs; 0 is without limit.
    max_cpu: seconds of the thread's processor time that Lua may use, host calls that do not wait included; 0 is
        without limit.
    interrupts: how a script that computes is stopped: "tick" and "hook", here the same, by a hook that counts
        instructions; "none", not at all: what should stop it holds where it next waits.
    """

    def __init__(
        self,
        ask: Callable[[str, list[Any]], Any],
        write: Callable[[int, bytes], bool],
        fields: Callable[[BaseException], dict[str, Any]],
        *,
        max_memory: int = 0,
        max_cpu: float = 0.0,
        interrupts: str = "tick",
    ) -> None:
        self.deadline = float("inf")  # of `time.monotonic`
        self.stop_reason: str | None = None
        self.raised: BaseException | None = None  # by a signal's handler, while Lua ran
        self.running: int | None = None  # the fiber that runs now
        self.preempting = False  # whether others may have their turn while a fiber computes: this twin never lets them
        self._host_ask, self._write, self._fields = ask, write, fields
        self._grace_until: float | None = None
        self._grace = 0.0
        self._limit = max_memory
        self._max_cpu = max_cpu
        self._cpu = 0.0  # seconds of Lua so far
        self._entered: float | None = None  # of the thread's time: when Lua was entered, where that is counted
        self._count = 1000
        self._quick = 0  # fast ticks in a row; below 0, slow ones
        self._last_tick = 0.0
        self._fed: list[Any] = []
        self._rest: list[Any] = []
        self._errors: dict[int, BaseException] = {}
        self._last_error = 0
        self._chunk_type: type | None = None
        self._chunk_words: dict[type, bytes] = {}
        self._templates: dict[str, dict[str, Any]] = {}  # by stream: the metadata that Lua has
        self._rt = lua54.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_handlers=(_deny, _deny),
            max_memory=0,
        )
        self._open(interrupts != "none")

    def _open(self, interrupts: bool) -> None:
        runtime = self._rt
        make = runtime.eval(b"function(code, ...) return assert(load(code, '=[llmspell]', 'bt'))(...) end")
        compile_ = runtime.eval(b"function(text) return string.dump(assert(load(text, '=[llmspell]', 't'))) end")
        half = code_of(_own_source(), compile_)
        halves = make(half, self._tick, self._arm, self._lift, self._ask, self._feed, self._take)
        self._start, self._load, self._step, self._close_fiber, set_hook, self._compile, self._set_template = halves
        if interrupts:
            set_hook(self._limit)

    # ---- callbacks: called by Lua, on the engine's thread; what they raise stops the run

    def _tick(self, word: bool | BaseException | None = None) -> int:
        """Instructions until the next tick; 0 to stop but let `<close>` variables run, -1 to stop at once.

        word: True where Lua is ending the run for want of memory; False to start counting time anew; what a callback
        raised.
        """
        try:
            now = monotonic()
            if word is not None:
                return self._told(word, now)
            if self.stop_reason is None:
                if now < self.deadline and not self._cpu_spent():
                    return self._pace(now)
                self.stop_reason = "cpu" if now < self.deadline else "deadline"
            if self._grace_until is None:
                self._grace_until = now + self._grace
                return 0 if self._grace > 0 else -1
            return self._count if now < self._grace_until else -1
        except BaseException as error:
            return self._interrupted(error)

    def _cpu_spent(self) -> bool:
        """Whether Lua has used its processor time."""
        if not self._max_cpu:
            return False
        now = 0.0 if self._entered is None else thread_time() - self._entered
        return self._cpu + now >= self._max_cpu

    def _count_from_here(self) -> bool:
        """Lua is entered. Whether that was not counted already: a fiber may be closed while another runs."""
        if self._entered is not None:
            return False
        self._entered = thread_time()
        return True

    def _count_to_here(self) -> None:
        assert self._entered is not None
        self._cpu += thread_time() - self._entered
        self._entered = None

    def _told(self, word: bool | BaseException, now: float) -> int:
        if isinstance(word, BaseException):
            return self._interrupted(word)
        if not word:
            self._last_tick = now
            return 0
        if self.stop_reason is None:
            self.stop_reason = "memory"
            self._grace_until = now + MEMORY_GRACE
        return self._count if self._in_grace(now) else -1

    def _in_grace(self, now: float) -> bool:
        """Whether `<close>` variables of a stopped run may still work."""
        return self._grace_until is not None and now < self._grace_until

    def _pace(self, now: float) -> int:
        passed = now - self._last_tick
        self._last_tick = now
        if passed > SLOW:
            self._quick = min(self._quick - 1, -1)
            if self._quick < -1:  # twice: once may be the collector
                self._count = max(self._count // 4, FEWEST)
        elif passed < FAST and self._count < MOST:
            self._quick += 1
            if self._quick >= QUICK:
                self._quick = 0
                self._count = min(self._count * 2, MOST)
        return self._count

    def _interrupted(self, error: BaseException) -> int:
        self.raised = error
        self.stop_reason = "memory" if isinstance(error, MemoryError) else "raised"  # no room on Lua's stack
        return -1

    def _arm(self) -> None:
        if self._limit:
            self._rt.set_max_memory(self._limit, total=True)

    def _lift(self) -> None:
        self._rt.set_max_memory(0, total=True)

    def _feed(self, *values: Any) -> None:
        self._fed += values

    def _take(self) -> tuple[Any, ...]:
        self._lift()
        part, self._rest = self._rest[:SLICE], self._rest[SLICE:]
        return tuple(part)

    def _ask(self, op: bytes, shape: bytes | bool, *values: Any) -> tuple[Any, ...]:
        try:
            if op == b"write":
                return (False, True, False) if self._write(values[0], values[1]) else self._stopping()
            args = self._arrived(shape, values)
            result = self._host_ask(op.decode(), args)
            if self.stop_reason is not None and not self._in_grace(monotonic()):
                return self._stopping()
            if result is None:
                return False, True, False
            if type(result) is bool or type(result) is float:
                return False, True, False, result
            return True, True, *self._packed(result)
        except Exception as error:
            shape, values, args = False, (), []  # this frame is part of the traceback, which is kept
            return True, False, *self._fault(error)
        except BaseException as error:
            self._interrupted(error)
            return False, None

    def _stopping(self) -> tuple[Any, ...]:
        """The answer that unwinds the script. From here on `<close>` variables have their grace."""
        if self._grace_until is None and self._grace > 0:
            self._grace_until = monotonic() + self._grace
        return False, None

    # ---- values

    def _arrived(self, shape: bytes | bool, values: tuple[Any, ...]) -> list[Any]:
        fed, self._fed = self._fed, []
        if not shape:
            return [text_of(value) if type(value) is bytes else value for value in values]
        return rebuild(shape, iter([*fed, *values] if fed else values))  # type: ignore[arg-type]

    def _packed(self, value: Any, *, spread: bool = False) -> tuple[Any, ...]:
        """A value as it goes into Lua: shape, then scalars. Lifts the limit: strings are about to be made there.

        spread: *value* is a list of several values.
        """
        self._lift()
        kind = type(value)
        if not spread:
            if kind is str:
                return False, value.encode()
            if kind is bytes or kind is bool or kind is float:
                return False, value
            if kind is int and -(2**63) <= value < 2**63:
                return False, value
        flat = Flat(self._chunk_type, self._chunk_words)
        for item in value if spread else [value]:
            flat.add(item)
        values = flat.values
        if len(values) <= SLICE:
            return bytes(flat.shape), *values
        self._rest = values[SLICE:]
        return b"+" + bytes(flat.shape), *values[:SLICE]

    def _texts(self, batch: Any) -> tuple[Any, ...] | None:
        """A list of chunks as it goes into Lua if it is one stream's texts alone; only while Lua does not run."""
        if type(batch) is not list or not 0 < len(batch) <= MOST_TEXTS or type(batch[0]) is not self._chunk_type:
            return None
        words = self._chunk_words
        first: Any = batch[0]
        stream_id, metadata = first[0], first[3]
        flat: list[Any] = []
        for stream, index, content, about, timestamp in batch:
            word = words.get(type(content))
            if word is None or about is not metadata or stream != stream_id:
                return None
            flat += (index, word, content[0].encode(), timestamp)
        if self._templates.get(stream_id) != metadata:
            self._send_template(stream_id, metadata)
        return b"C", stream_id.encode(), *flat

    def _send_template(self, stream_id: str, metadata: dict[str, Any]) -> None:
        if len(self._templates) >= KEPT_TEMPLATES:
            self._templates.clear()
            self._set_template(False)
        flat = Flat(None, {})
        flat.mapping(metadata, MAX_DEPTH - 1)
        self._set_template(stream_id.encode(), bytes(flat.shape), *flat.values)
        self._templates[stream_id] = dict(metadata)

    def _fault(self, error: BaseException) -> tuple[Any, ...]:
        """An exception on its way into Lua: its number and its fields, or its kind alone where those cannot go."""
        number = self._keep(error)
        try:
            return self._packed([number, self._fields(error)], spread=True)
        except Exception:
            text = ascii(str(error))[1:-1][:500]
            return self._packed([number, {"kind": "internal", "message": text, "retryable": False}], spread=True)

    def _keep(self, error: BaseException) -> int:
        let_values_go(error)
        self._last_error += 1
        self._errors[self._last_error] = error
        if len(self._errors) > KEPT_ERRORS:
            del self._errors[next(iter(self._errors))]
        return self._last_error

    # ---- the seam

    @property
    def cpu_used(self) -> float:
        """Seconds of the processor that Lua has taken, where that is limited."""
        return self._cpu

    def charge(self, seconds: float) -> None:
        """Counts seconds of the processor that another engine took for this one."""
        self._cpu += seconds

    def use_chunks(self, chunk_type: type, words: dict[type, bytes]) -> None:
        """Tells which class is a chunk and which of its contents are text alone, with their type's name."""
        self._chunk_type, self._chunk_words = chunk_type, words

    def start(self, prelude: bytes) -> None:
        """Runs the prelude. Raises whatever is wrong in it: that is llmspell's own fault."""
        self._start(code_of(prelude, self._compile))

    def load(self, text: bytes, name: bytes) -> int:
        """The main fiber, not started. Raises LoadError. None of its own where the deadline came before the end."""
        try:
            got = self._load(text, name)
        except lua54.LuaError:
            if self.stop_reason is None:
                raise
            return 0
        if isinstance(got, tuple):
            raise LoadError(got[1].decode("utf-8", "replace"))
        return int(got)

    def resume(self, fiber: int, ok: bool | None = None, value: Any = None) -> tuple[Any, ...]:
        """Runs *fiber* on. First with ok=None and a list of strings: the main chunk's arguments.

        Then with what the call came to: ok=True and its value, or ok=False and the exception, which is raised in the
        script. TypeError and ValueError of a value that Lua cannot have become errors in the script, too.
        """
        if self._max_cpu and self.stop_reason is None and self._cpu_spent():
            self.stop_reason = "cpu"
        if self.stop_reason is not None:
            return STOPPED, self.stop_reason
        self._last_tick = monotonic()
        self.running = fiber
        counted = self._max_cpu and self._count_from_here()
        try:
            if ok is None:
                got = self._step(fiber, *[arg.encode("utf-8", "surrogateescape") for arg in value or ()])
            else:
                got = self._step(fiber, *self._answer(ok, value))
        except lua54.LuaError as error:
            self._lift()
            return self._broken(error)
        finally:
            self.running = None
            if counted:
                self._count_to_here()
        return self._outcome(got)

    def feed(self, fiber: int, value: Any, op: str, arg: int) -> tuple[Any, ...] | None:
        """Resumes with *value*, as `resume`; None where the fiber then makes the call *op* with *arg* alone.

        It asks for more of the same, as the reader of a stream does, and there is nothing to tell of that call.
        """
        outcome = self.resume(fiber, True, value)
        return None if outcome[0] == CALL and outcome[1] == op and outcome[2] == [arg] else outcome

    def _answer(self, ok: bool, value: Any) -> tuple[Any, ...]:
        if ok:
            if value is None:
                return True, False
            try:
                return True, *(self._texts(value) or self._packed(value))
            except (TypeError, ValueError) as error:
                value = error
        return False, *self._fault(value)

    def _broken(self, error: Exception) -> tuple[Any, ...]:
        if self.stop_reason is None:
            if not isinstance(error, MemoryError):
                raise error
            self.stop_reason = "memory"
        return STOPPED, self.stop_reason

    def _outcome(self, got: Any) -> tuple[Any, ...]:
        if not isinstance(got, tuple):
            return (got,)
        code = got[0]
        if code == CALL:
            return CALL, got[1].decode(), self._arrived(got[2], got[3:])
        if code == DONE:
            values = self._arrived(got[1], got[2:])
            return DONE, values[0] if len(values) == 1 else values or None
        if code == STOPPED:
            why = got[1].decode() if isinstance(got[1], bytes) else "interrupt"
            if self.stop_reason is None:
                self.stop_reason = why
            return STOPPED, self.stop_reason
        if code == ERROR:
            told = self._arrived(got[1], got[2:])[0]
            number = told.pop("id", None)
            return ERROR, told, self._errors.get(number) if number else None
        return code, got[1].decode("utf-8", "replace")

    def close_fiber(self, fiber: int) -> None:
        """Ends a fiber that waits. What its `<close>` variables raise is lost; one that does not end is stopped."""
        counted = self._max_cpu and self._count_from_here()
        try:
            self._close_fiber(fiber)
        except lua54.LuaError:
            self._lift()
        finally:
            if counted:
                self._count_to_here()

    def interrupt(self, reason: str, grace: float = 0.0) -> None:
        """Stops Lua at its next tick, for good; no `pcall` catches it. *grace*: seconds for `<close>` variables.

        Safe from any thread and from a signal's handler.
        """
        if self.stop_reason is None:
            self._grace = grace
            self.stop_reason = reason

    def leave(self, grace: float) -> None:
        """The run is over: only `<close>` variables still run, *grace* seconds if nothing stopped it before."""
        self.interrupt("finished", grace)
        if self._grace_until is None and self._grace > 0:
            self._grace_until = monotonic() + self._grace

    def close(self) -> None:
        """Frees the Lua state. Further calls are errors of the caller's."""
        del self._rt, self._start, self._load, self._step, self._close_fiber, self._compile, self._set_template
        self._errors.clear()
