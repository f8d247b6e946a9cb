"""The Lua engine behind its seam: fibers, host calls, values both ways, stopping."""

from __future__ import annotations

import math
from threading import Event, Timer
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell._speedups._lua_shared import CALL, DONE, ERROR, GONE, STOPPED, UNFIT, LoadError
from support.engine import PUBLIC

if TYPE_CHECKING:
    from types import ModuleType

PRELUDE = (
    PUBLIC
    + b"""
ask, call, null, array_mark = host.ask, host.call, host.null, host.array_mark
ask_json = host.ask_json
function spawn(group, f) return host.spawn({}, group, f) end
host.thread_methods({})
"""
)


def fields(error: BaseException) -> dict[str, Any]:
    return {"kind": "provider", "message": str(error)}


class Host:
    """An engine and what was asked of it."""

    twin: Any = None  # the module of the engine that is tested

    def __init__(self, **limits: Any) -> None:
        self.asked: list[tuple[str, list[Any]]] = []
        self.answer: Any = None
        self.written = bytearray()
        self.engine: Any = self.twin.Engine(self.ask, self.write, fields, **limits)
        self.engine.start(PRELUDE)

    def ask(self, op: str, args: list[Any]) -> Any:
        self.asked.append((op, args))
        if isinstance(self.answer, KeyboardInterrupt):
            raise self.answer
        if op == "echo":
            return args[0]
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def write(self, fd: int, data: bytes) -> bool:
        self.written += data
        return True

    def start(self, text: str, *args: str) -> tuple[int, tuple[Any, ...]]:
        fiber = self.engine.load(text.encode(), b"@test.lua")
        return fiber, self.engine.resume(fiber, None, list(args))

    def run(self, text: str, *args: str) -> Any:
        _, outcome = self.start(text, *args)
        assert outcome[0] == DONE, outcome
        return outcome[1]


@pytest.fixture(autouse=True, scope="module")
def _each_twin(lua: ModuleType) -> None:
    Host.twin = lua


@pytest.fixture
def host() -> Host:
    return Host()


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)


@given(value=VALUES)
@settings(max_examples=200, deadline=None)
def test_a_value_that_goes_into_lua_and_back_is_the_same(value: Any) -> None:
    host = Host()
    host.answer = value
    back = host.run("return ask('value')")
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, dict | list)


@given(value=VALUES)
@settings(max_examples=100, deadline=None)
def test_the_answer_of_a_call_that_waited_is_the_same_value(value: Any) -> None:
    host = Host()
    fiber, outcome = host.start("return call('wait')")
    assert outcome == (CALL, "wait", [])
    assert host.engine.resume(fiber, True, value) == (DONE, value)


def test_integers_and_floats_stay_apart(host: Host) -> None:
    assert host.run("return {ask('echo', 1), ask('echo', 1.0)}") == [1, 1.0]
    assert [type(v) for v in host.run("return {ask('echo', 1), ask('echo', 1.0)}")] == [int, float]


def test_an_integer_beyond_lua_s_becomes_a_float(host: Host) -> None:
    host.answer = [2**63, 2**63 - 1, -(2**63)]
    assert host.run("local t = ask('x') return {math.type(t[1]), t[2], t[3]}") == ["float", 2**63 - 1, -(2**63)]


def test_bytes_that_are_no_utf8_come_out_as_bytes(host: Host) -> None:
    assert host.run(r"return '\xff\xfe'") == b"\xff\xfe"
    host.answer = b"\xff"
    assert host.run("return #ask('x')") == 1


def test_none_is_absent_in_a_dict_and_null_in_a_list(host: Host) -> None:
    host.answer = {"a": None, "b": [1, None, 3]}
    assert host.run("local t = ask('x') return {t.a == nil, t.b[2] == null, #t.b}") == [True, True, 3]
    assert host.run("return {a = null, b = {1, null}}") == {"a": None, "b": [1, None]}


def test_an_empty_list_stays_a_list_and_an_empty_table_is_an_object(host: Host) -> None:
    host.answer = {"list": [], "object": {}}
    assert host.run("return ask('x')") == {"list": [], "object": {}}
    assert host.run("return {}") == {}
    assert host.run("return setmetatable({}, array_mark)") == []


def test_keys_one_to_n_in_any_order_are_a_list_and_holes_are_not(host: Host) -> None:
    assert host.run("local t = {} t[3]='c' t[1]='a' t[2]='b' return t") == ["a", "b", "c"]
    assert host.run("return {[1]='a', [3]='c'}") == {1: "a", 3: "c"}
    assert host.run("return {'a', x = 1}") == {1: "a", "x": 1}


def test_shared_tables_are_copied_not_lost(host: Host) -> None:
    shared = {"k": [1]}
    host.answer = {"p": shared, "q": shared, "r": {"s": shared}}
    assert host.run("return ask('x')") == {"p": {"k": [1]}, "q": {"k": [1]}, "r": {"s": {"k": [1]}}}
    assert host.run("local s = {1} return {s, s}") == [[1], [1]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("local t = {} t.a = {b = t} return t", "a cycle at `a.b`"),
        ("return {x = {1, print}}", "a function at `x.[2]`"),
        ("local t = {} local at = t for i = 1, 100 do at.n = {} at = at.n end return t", "nested more than 64 deep"),
        ("return {[{}] = 1}", "a key that is a table"),
        ("return coroutine.create(print)", "a thread"),
    ],
)
def test_what_cannot_cross_is_named_by_its_path(host: Host, text: str, words: str) -> None:
    _, outcome = host.start(text)
    assert outcome[0] == UNFIT
    assert words.replace("x.[2]", "x[2]") in outcome[1]


def test_json_arguments_refuse_nan_and_mixed_keys(host: Host) -> None:
    told = "local ok, e = pcall(ask_json, 'JSON.x', {a = {%s}}) return {ok, tostring(e), e.kind}"
    assert host.run(told % "0/0") == [False, "`JSON.x`: NaN at `a[1]` cannot be passed on", "validation"]
    assert host.run(told % "1, k = 2") == [
        False,
        "`JSON.x`: a table with mixed keys at `a.1` cannot be passed on".replace("a.1", "a[1]"),
        "validation",
    ]


def test_metamethods_do_not_run_when_values_cross(host: Host) -> None:
    text = """
      local t = setmetatable({1, 2}, {__index = function() error('index') end, __len = function() error('len') end,
        __pairs = function() error('pairs') end, __eq = function() error('eq') end})
      return ask('echo', t)
    """
    assert host.run(text) == [1, 2]


def test_many_values_cross_in_pieces(host: Host) -> None:
    host.answer = list(range(120_000))
    assert host.run("local t = ask('x') return {#t, t[120000], t[50001]}") == [120_000, 119_999, 50_000]
    assert host.run("local t = {} for i = 1, 120000 do t[i] = i end return t") == list(range(1, 120_001))
    assert host.run("local t = {} for i = 1, 5000 do t[i] = i end return #ask('echo', t)") == 5000


def test_ten_megabytes_cross_both_ways(host: Host) -> None:
    host.answer = "x" * 10_000_000
    assert host.run("return #ask('x')") == 10_000_000
    assert host.run("return ('y'):rep(10000000)") == "y" * 10_000_000


def test_python_values_that_lua_cannot_have_are_errors_in_the_script(host: Host) -> None:
    for bad in ({"a": object()}, {("t",): 1}, {math.nan: 1}, "\ud800", [10**400]):
        host.answer = bad
        assert host.run("return (pcall(ask, 'x'))") is False
        fiber, _ = host.start("return (pcall(call, 'x'))")
        assert host.engine.resume(fiber, True, bad) == (DONE, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("local t = {} for i = 1, 25 do t = { t, t } end return t", "more than 1000000 values"),
        ("local t = {} for i = 1, 25 do t = { a = t, b = t } end return t", "more than 1000000 values"),
        ("local s, t = ('x'):rep(1 << 20), {} for i = 1, 65 do t[i] = s end return t", "more than 64 MB of text"),
    ],
)
def test_what_is_small_in_lua_and_huge_outside_is_refused(host: Host, text: str, words: str) -> None:
    _, outcome = host.start(text)
    assert outcome[0] == UNFIT
    assert words in outcome[1]


def test_what_is_small_in_python_and_huge_in_lua_is_an_error_in_the_script(host: Host) -> None:
    bomb: Any = "x"
    for _ in range(25):
        bomb = {"a": bomb, "b": bomb}
    host.answer = bomb
    told = host.run("local ok, e = pcall(ask, 'x') return { ok, tostring(e) }")
    assert told[0] is False
    assert "more than 1000000 values" in told[1]
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    host.answer = deep
    assert "nested more than 64 deep" in host.run("return tostring(select(2, pcall(ask, 'x')))")


# ---- fibers and host calls


def test_a_host_call_waits_at_any_depth_of_the_script_s_own_coroutines(host: Host) -> None:
    fiber, outcome = host.start("""
      local inner = coroutine.wrap(function() coroutine.yield(call('deep', 1) + 1) return 'end' end)
      local outer = coroutine.create(function() return pcall(function() return inner() end) end)
      local _, ok, value = coroutine.resume(outer)
      return {ok, value, inner(), coroutine.status(outer)}
    """)
    assert outcome == (CALL, "deep", [1])
    assert host.engine.resume(fiber, True, 41) == (DONE, [True, 42, "end", "dead"])


@pytest.mark.parametrize(
    "where",
    [
        "table.sort({3, 2, 1}, function(a, b) call('agent:execute') return a < b end)",
        "string.gsub('abc', '.', function() call('agent:execute') end)",
        "coroutine.wrap(function() table.sort({2, 1}, function() call('agent:execute') end) end)()",
        "table.sort({2, 1}, function() return coroutine.wrap(function() call('agent:execute') end)() end)",
    ],
)
def test_where_lua_cannot_wait_the_error_says_so(host: Host, where: str) -> None:
    told = host.run(f"local ok, e = pcall(function() {where} end) return {{ok, e.kind, e.message, e.line}}")
    assert told[:2] == [False, "not_supported"]
    assert told[2].startswith("`agent:execute` waits, and Lua cannot wait inside a C function")
    assert told[3] == 1


def test_a_coroutine_that_waits_cannot_be_resumed_or_closed_by_others(host: Host) -> None:
    fiber, outcome = host.start("""
      co = coroutine.create(function() return call('wait') end)
      other = coroutine.wrap(function()
        local told = {coroutine.status(co), coroutine.resume(co)}
        told[#told + 1] = (pcall(coroutine.close, co))
        return told
      end)
      spawn(0, function() seen = other() end)
      local _, value = coroutine.resume(co)
      return {value, seen}
    """)
    assert outcome == (CALL, "wait", [])
    started = next(args[0] for op, args in host.asked if op == "fiber.start")
    assert host.engine.resume(started, True)[0] == DONE
    expected = ["normal", False, "cannot resume non-suspended coroutine", False]
    assert host.engine.resume(fiber, True, "real") == (DONE, ["real", expected])


def test_an_exception_keeps_its_identity_through_pcall_and_error(host: Host) -> None:
    boom = ConnectionError("no route")
    fiber, _ = host.start("""
      local ok, e = pcall(call, 'x')
      assert(not ok and e.kind == 'provider' and e.message == 'no route' and tostring(e) == 'no route')
      assert(e:match('no (%w+)') == 'route' and ('<' .. e .. '>') == '<no route>')
      local co = coroutine.create(function() error(e) end)
      local _, again = coroutine.resume(co)
      assert(rawequal(again, e))
      error(again, 0)
    """)
    code, told, error = host.engine.resume(fiber, False, boom)
    assert code == ERROR
    assert error is boom
    assert told["traceback"][0]["line"] == 8


def test_two_caught_exceptions_do_not_get_mixed_up(host: Host) -> None:
    first, second = ValueError("first"), KeyError("second")
    fiber, _ = host.start("local _, a = pcall(call, 'x') local _, b = pcall(call, 'y') error(a)")
    host.engine.resume(fiber, False, first)
    assert host.engine.resume(fiber, False, second)[2] is first


def test_an_error_value_of_the_script_s_own_comes_out_as_it_is(host: Host) -> None:
    for text, kind, value in [
        ("error({kind = 'limit', n = 1})", "table", {"kind": "limit", "n": 1}),
        ("error()", "nil", None),
    ]:
        code, told, error = host.start(text)[1]
        assert (code, told["type"], told.get("value"), error) == (ERROR, kind, value, None)


def test_close_variables_run_when_the_main_fiber_fails(host: Host) -> None:
    text = "local x <close> = setmetatable({}, {__close = function() ask('closed') end}) error('boom')"
    assert host.start(text)[1][0] == ERROR
    assert host.asked[-1][0] == "closed"


def test_a_closed_fiber_closes_from_the_innermost_coroutine_out(host: Host) -> None:
    fiber, _ = host.start("""
      local function mark(name) return setmetatable({}, {__close = function() ask('closed', name) end}) end
      local outer <close> = mark('outer')
      local co = coroutine.wrap(function() local inner <close> = mark('inner') call('wait') end)
      co()
    """)
    host.engine.close_fiber(fiber)
    assert [args[0] for op, args in host.asked if op == "closed"] == ["inner", "outer"]


def test_a_text_that_is_not_lua_says_where(host: Host) -> None:
    with pytest.raises(LoadError, match=r"test\.lua:2: unexpected symbol near '='"):
        host.engine.load(b"local x\nx = = 1", b"@test.lua")


def test_bytecode_is_not_loaded(host: Host) -> None:
    with pytest.raises(LoadError, match="binary chunk"):
        host.engine.load(b"\x1bLua\x54", b"@test.lua")


# ---- stopping

ENDLESS = [
    "while true do end",
    "while true do pcall(function() end) end",
    "while true do pcall(function() while true do end end) end",
    "while true do xpcall(error, function() while true do end end) end",
    "xpcall(function() while true do end end, function(e) while true do end end)",
    "local function f() return f() end f()",
    "::top:: goto top",
    "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "pcall(coroutine.wrap(function() pcall(function() while true do end end) end)) while true do end",
    "setmetatable(_G, {__index = function() while true do end end}) return x",
    "local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
    "table.sort({3, 2, 1}, function() while true do end end)",
    "string.gsub('x', '.', function() while true do end end)",
    "load(function() while true do end end)",
    "error(setmetatable({}, {__tostring = function() while true do end end}))",
]


@pytest.mark.parametrize("text", ENDLESS)
def test_the_deadline_stops(text: str) -> None:
    host = Host()
    host.engine.deadline = monotonic() + 0.05
    assert host.start(text)[1] == (STOPPED, "deadline")


@pytest.mark.parametrize("text", ENDLESS)
def test_an_interrupt_from_another_thread_stops(text: str) -> None:
    host = Host()
    timer = Timer(0.02, host.engine.interrupt, ["enough"])
    timer.start()
    assert host.start(text)[1] == (STOPPED, "enough")
    timer.join()


def test_close_variables_have_their_grace_and_no_more(host: Host) -> None:
    timer = Timer(0.02, host.engine.interrupt, ["enough", 0.05])
    timer.start()
    text = """
      local a <close> = setmetatable({}, {__close = function() while true do end end})
      local b <close> = setmetatable({}, {__close = function() pcall(type, 1) ask('closed') end})
      while true do pcall(function() while true do end end) end
    """
    assert host.start(text)[1] == (STOPPED, "enough")
    assert host.asked == [("closed", [])]
    timer.join()


def test_memory_has_a_limit_that_pcall_does_not_catch() -> None:
    host = Host(max_memory=8_000_000)
    text = "while true do pcall(function() local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end end) end"
    assert host.start(text)[1] == (STOPPED, "memory")


def test_lua_s_words_for_no_memory_are_the_script_s_own_where_a_place_stands_before_them(host: Host) -> None:
    """Without one, Lua's own `error` takes them for the end of memory, and so it is."""
    text = "return {pcall(function() error('not enough memory') end)}"
    assert host.run(text) == [False, "test.lua:1: not enough memory"]
    assert host.start("error('not enough memory')")[1][0] == ERROR
    assert host.start("error({'not enough memory'})")[1][0] == ERROR
    assert host.start("pcall(error, 'not enough memory', 0)")[1] == (STOPPED, "memory")


def test_what_the_host_hands_over_may_end_the_run_but_not_the_process() -> None:
    host = Host(max_memory=2_000_000)
    host.answer = "x" * 10_000_000
    assert host.start("local s = ask('x') local t = {} for i = 1, 1e6 do t[i] = {} end")[1] == (STOPPED, "memory")
    host = Host(max_memory=2_000_000)
    fiber, _ = host.start("local s = call('x') local t = {} for i = 1, 1e6 do t[i] = {} end")
    assert host.engine.resume(fiber, True, "x" * 10_000_000) == (STOPPED, "memory")


def test_a_callback_that_raises_a_signal_s_exception_stops_the_run(host: Host) -> None:
    host.answer = KeyboardInterrupt()
    assert host.start("while true do pcall(ask, 'x') end")[1] == (STOPPED, "raised")
    assert isinstance(host.engine.raised, KeyboardInterrupt)


# ---- chunks


class Told(NamedTuple):
    """A chunk, as the engine is told of it."""

    stream_id: str
    chunk_index: int
    content: Any
    metadata: dict[str, Any]
    timestamp: float

    def to_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "content": {"type": "other", "n": self.content.n}}


class Words(NamedTuple):
    text: str


class Other(NamedTuple):
    n: int


@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.one_of(st.text("xyé", max_size=3), st.integers(0, 9))), max_size=6
        ),
        max_size=6,
    )
)
@settings(max_examples=100, deadline=None)
def test_chunks_cross_as_the_tables_they_are_whatever_is_in_a_batch(batches: list[Any]) -> None:
    host = Host()
    host.engine.use_chunks(Told, {Words: b"text"})
    fiber, outcome = host.start(
        "while true do local ok, b = pcall(ask, 'seen', call('next')) if b == false then return end end"
    )
    about = {"a": {"model": "m"}, "b": {"model": "n", "id": "x"}}
    index = 0
    for batch in batches:
        chunks = []
        for stream, what in batch:
            about[stream] = {**about[stream], "at": index // 4}
            content = Words(what) if isinstance(what, str) else Other(what)
            chunks.append(Told(stream, index, content, about[stream], index / 2))
            index += 1
        if len(batch) and all(stream == "a" for stream, _ in batch):  # one dict for all, as a stream has it
            chunks = [chunk._replace(metadata=about["a"]) for chunk in chunks]
        assert outcome == (CALL, "next", [])
        outcome = host.engine.resume(fiber, True, chunks)
        expected = [
            {**chunk._asdict(), "content": {"type": "text", "text": chunk.content.text}}
            if isinstance(chunk.content, Words)
            else chunk.to_dict()
            for chunk in chunks
        ]
        assert host.asked[-1] == ("seen", [expected])


def test_metadata_is_its_stream_s_and_a_script_s_changes_reach_nobody_else(host: Host) -> None:
    host.engine.use_chunks(Told, {Words: b"text"})
    fiber, _ = host.start("""
      local batch = call('next')
      batch[1].content.text, batch[1].metadata.model = 'changed', 'changed'
      local again, other, told = call('next')[1], call('next')[1], call('next')[1]
      local models = { again.metadata.model, other.metadata.model, told.metadata.model }
      return { batch[2].content.text, models[1], models[2], models[3], told.metadata.id }
    """)
    metadata = {"model": "m"}
    host.engine.resume(fiber, True, [Told("s", 0, Words("a"), metadata, 0.0), Told("s", 1, Words("b"), metadata, 0.0)])
    host.engine.resume(fiber, True, [Told("s", 2, Words("c"), metadata, 0.0)])
    host.engine.resume(fiber, True, [Told("t", 0, Words("d"), {"model": "n"}, 0.0)])
    metadata["id"] = "1"  # the service said more
    done = host.engine.resume(fiber, True, [Told("s", 3, Words("e"), metadata, 0.0)])
    assert done == (DONE, ["b", "changed", "n", "m", "1"])
    assert metadata == {"model": "m", "id": "1"}


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        ("call('next', 1)", None),
        ("coroutine.wrap(function() return coroutine.wrap(call)('next', 1) end)()", None),
        ("call('next', 2)", (CALL, "next", [2])),
        ("call('next')", (CALL, "next", [])),
        ("call('next', 1, 2)", (CALL, "next", [1, 2])),
        ("call('next', '1')", (CALL, "next", ["1"])),
        ("call('nex', 1)", (CALL, "nex", [1])),
        ("call('other', 1)", (CALL, "other", [1])),
        ("ask('next', 1)", (CALL, "then", [])),
        ("pcall(table.sort, { 1, 2 }, function() return call('next', 1) end)", (CALL, "then", [])),
        ("nil", (CALL, "then", [])),
    ],
)
def test_a_fiber_that_is_fed_and_asks_for_more(host: Host, asked: str, outcome: Any) -> None:
    fiber, _ = host.start(f"local got = call('next', 1); local more = {asked}; call('then'); return got, more")
    assert host.engine.feed(fiber, "a", "next", 1) == outcome
    if outcome != (CALL, "then", []):
        assert host.engine.resume(fiber, True, "b") == (CALL, "then", [])
        assert host.engine.resume(fiber, True, None) == (DONE, ["a", "b"])


def test_a_fiber_that_is_fed_ends_or_fails_as_one_that_is_resumed(host: Host) -> None:
    fiber, _ = host.start("return call('next', 1)")
    assert host.engine.feed(fiber, "a", "next", 1) == (DONE, "a")
    assert host.engine.feed(fiber, "a", "next", 1) == (GONE,)
    fiber, _ = host.start("call('next', 1); error('no')")
    assert host.engine.feed(fiber, "a", "next", 1)[0] == ERROR
    fiber, _ = host.start("local ok, e = pcall(call, 'next', 1); call('next', 1); return ok, tostring(e)")
    assert host.engine.feed(fiber, object(), "next", 1) is None  # which cannot cross
    assert host.engine.feed(fiber, None, "next", 1)[1][0] is False
    host.engine.interrupt("host")
    assert host.engine.feed(fiber, "a", "next", 1) == (STOPPED, "host")


def test_metadata_of_many_streams_in_turn(host: Host) -> None:
    host.engine.use_chunks(Told, {Words: b"text"})
    fiber, _ = host.start("""
      while true do
        local chunk = call('next')[1]
        if chunk.metadata.n ~= chunk.stream_id then
          return chunk.stream_id
        end
      end
    """)
    for _ in range(2):
        for n in range(3000):
            told = Told(f"s{n}", 0, Words("x"), {"n": f"s{n}"}, 0.0)
            assert host.engine.resume(fiber, True, [told]) == (CALL, "next", [])


# ---- processor time, and ways to interrupt


@pytest.mark.parametrize("text", ENDLESS)
def test_the_processor_s_time_stops(text: str) -> None:
    host = Host(max_cpu=0.05)
    assert host.start(text)[1] == (STOPPED, "cpu")


def test_the_processor_s_time_is_that_of_all_of_a_script_s_pieces_together() -> None:
    host = Host(max_cpu=0.05)
    fiber, outcome = host.start("while true do call('wait') for _ = 1, 10000 do end end")
    for _ in range(100_000):  # each piece takes more than a microsecond, and less than the whole
        if outcome[0] != CALL:
            break
        outcome = host.engine.resume(fiber, True)
    assert outcome == (STOPPED, "cpu")


def test_a_script_that_waits_uses_no_processor_time() -> None:
    host = Host(max_cpu=0.2)
    fiber, _ = host.start("call('wait') return 'done'")
    Event().wait(0.3)
    assert host.engine.resume(fiber, True) == (DONE, "done")


def test_a_fiber_that_is_closed_computes_on_the_same_budget() -> None:
    host = Host(max_cpu=0.05)
    fiber, _ = host.start("""
      spawn(0, function()
        local x <close> = setmetatable({}, {__close = function() while true do end end})
        call('wait')
      end)
      call('wait')
    """)
    started = next(args[0] for op, args in host.asked if op == "fiber.start")
    assert host.engine.resume(started, True) == (CALL, "wait", [])
    host.engine.close_fiber(started)
    assert host.engine.resume(fiber, True) == (STOPPED, "cpu")


@pytest.mark.parametrize("interrupts", ["tick", "hook"])
def test_a_script_is_stopped_in_either_way(interrupts: str) -> None:
    host = Host(interrupts=interrupts)
    host.engine.deadline = monotonic() + 0.05
    assert host.start("while true do pcall(function() while true do end end) end")[1] == (STOPPED, "deadline")


def test_without_interrupts_a_script_computes_to_its_end_and_is_stopped_where_it_next_waits() -> None:
    host = Host(interrupts="none", max_cpu=1e-6)
    host.engine.deadline = monotonic()
    fiber, outcome = host.start("local sum = 0 for i = 1, 1000000 do sum = sum + 1 end call('wait', sum) return sum")
    assert outcome == (CALL, "wait", [1_000_000])
    assert host.engine.resume(fiber, True) == (STOPPED, "cpu")
