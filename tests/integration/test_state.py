"""`State`: kept for a run, or on disk, where others write as well and may be killed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import ConfigError, LLMSpellError, ValidationError
from llmspell.workflows import state as kept
from llmspell.workflows.state import MemoryState, StateStore
from llmspell.workflows.state_file import SqliteState
from support.terminal import environment, llmspell


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made: StateStore = MemoryState() if request.param == "memory" else SqliteState(str(tmp_path / "s.db"))
    yield made
    made.close()


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def run(script: str, store: StateStore, isolation: str | None = None) -> Any:
    return ScriptRuntime(timeout=30, state=store, isolation=isolation).run(script).result


SCRIPT = r"""
    State.save("a", "k", { n = 1, list = { 1, 2.5, "x", true }, bytes = "\xff\0" })
    local v = State.load("a", "k")
    State.set("g", "global")
    State.agent_set("one", "k", 1) State.tool_set("one", "k", 2) State.workflow_set("one", "k", 3)
    local sum = State.agent_get("one", "k") + State.tool_get("one", "k") + State.workflow_get("one", "k")
    local deleted = { State.delete("a", "none"), State.delete("global", "g") }
    State.save("a", "gone", 1) State.save("a", "gone", nil)
    State.save("a", "false", false)
    return { n = v.n, list = v.list, bytes = v.bytes == "\xff\0",
      int = math.type(v.list[1]), float = math.type(v.list[2]),
      sum = sum, deleted = deleted, keys = State.list_keys("a"), none = State.get("none", "default"),
      exists = { State.exists("a", "k"), State.exists("a", "gone"), State.exists("b", "k") },
      f = State.load("a", "false"),
      up = State.update("a", "count", function(old) return (old or 0) + 1 end), keys2 = State.keys() }
"""


def test_values_are_kept_by_scope_and_key(store: StateStore, isolation: str | None) -> None:
    got = run(SCRIPT, store, isolation)
    assert got["list"] == [1, 2.5, "x", True]
    assert (got["n"], got["bytes"], got["int"], got["float"], got["sum"]) == (1, True, "integer", "float", 6)
    assert got["deleted"] == [False, True]
    assert got["keys"] == ["false", "k"]
    assert got["exists"] == [True, False, False]
    assert (got["none"], got["f"], got["up"]) == ("default", False, 1)
    assert store.keys("a") == ["count", "false", "k"]


def test_what_is_kept_is_a_copy(store: StateStore) -> None:
    script = 'local t = { 1 } State.set("t", t) t[1] = 2 local a = State.get("t") a[1] = 3 return State.get("t")'
    assert run(script, store) == [1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('State.set("k", { a = { b = print } })', r"`State\.set`: a function at `a\.b` cannot be passed on"),
        ('State.set("k", 0/0)', "NaN"),
        ('local t = {} t.t = t State.set("k", t)', "a cycle at"),
        ('State.set("k", { 1, x = 2 })', "cannot be passed on"),
        ('State.set("", 1)', "an empty string"),
        ("State.set(1, 1)", "takes a key first"),
        ('State.save("a")', "takes a key"),
        ('State.save(("a"):rep(600), "k", 1)', "512 bytes"),
        (r'State.save("a", "\xff", 1)', "a text in UTF-8 of 1 to 512 bytes"),
        ('State.update("a", "k", 1)', "takes a function last"),
        ('State.lod("a", "k")', "there is no `State.lod`"),
        ('State.set("k", ("x"):rep(5000000))', "4194304"),
    ],
)
def test_what_cannot_be_kept_is_told_and_nothing_changes(store: StateStore, call: str, message: str) -> None:
    with pytest.raises(LLMSpellError, match=message):
        run(call, store)
    assert store.keys("global") == []


def test_updates_of_many_tasks_all_count(store: StateStore, isolation: str | None) -> None:
    script = """
        local function add() State.update("a", "n", function(old) Async.sleep(0.001) return (old or 0) + 1 end) end
        local tasks = {}
        for i = 1, 20 do tasks[i] = add end
        Async.all(tasks)
        return State.load("a", "n")
    """
    assert run(script, store, isolation) == 20


def test_updates_of_many_threads_all_count(store: StateStore) -> None:
    """Runtimes of several threads may share a store."""
    rounds = 2000 if isinstance(store, MemoryState) else 100

    def add() -> None:
        for _ in range(rounds):
            while True:
                found = store.get("a", "n")
                if store.swap("a", "n", found.version, (found.value or 0) + 1):
                    break

    threads = [threading.Thread(target=add) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert store.get("a", "n").value == 4 * rounds


def test_an_update_whose_function_raises_changes_nothing(store: StateStore) -> None:
    script = """
        State.set("n", 1)
        local ok = pcall(State.update, "global", "n", function() error("no") end)
        return { ok, State.get("n") }
    """
    assert run(script, store) == [False, 1]


@pytest.mark.parametrize(
    "change",
    [
        'State.update("global", "n", function(old) return old + 1 end)',
        'State.set("n", 2)',
        'State.delete("global", "n")',
        'coroutine.wrap(function() State.update("global", "m", function() State.set("n", 2) end) end)()',
    ],
)
def test_a_function_that_changes_what_it_updates_is_told_at_once(store: StateStore, change: str) -> None:
    """Else it would be called again without end: somebody has always come between."""
    script = f"""
        State.set("n", 1)
        local calls = 0
        local function f(old) calls = calls + 1 {change} return old + 1 end
        local ok, e = pcall(State.update, "global", "n", f)
        State.set("n", State.get("n") + 10)
        return {{ calls, e.kind, State.get("n") }}
    """
    if "wrap" not in change:
        assert run(script, store) == [1, "validation", 11]
        return
    calls, kind, _ = run(script, store)
    assert (kind, calls) == ("limit", 1000), "what another coroutine does is somebody else's"


def test_updates_of_two_keys_may_be_within_each_other(store: StateStore) -> None:
    script = """
        State.set("a", 1)
        local function outer(old)
          return old + State.update("global", "b", function() return State.get("a") + 10 end)
        end
        return { State.update("global", "a", outer), State.get("b"), State.update("global", "a", outer) }
    """
    assert run(script, store) == [12, 11, 34]


names = st.text(max_size=8) | st.just("\0bytes")  # the key that a store has for itself
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.binary(max_size=20).filter(lambda b: not _is_text(b)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(value=values)
@settings(max_examples=50)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    assert kept.decode(kept.encode("k", value)) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, {"b": float("nan")}]}, "nan at `a[2].b`"),
        ({"a": {5: 1}}, "the key 5 at `a`"),
        ({"a": [object()]}, "a value of type object at `a[1]`"),
        ({"a": 1 << 70}, "a number of more than 64 bits at `a`"),
        ({"a": ["\ud800"]}, "a text with half a surrogate pair at `a[1]`"),
    ],
)
def test_what_cannot_be_kept_is_named_by_its_place(store: StateStore, value: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(f"`k` of State cannot keep that value: {told}")):
        store.put("s", "k", value)


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 513, None])
def test_what_is_no_name_is_told(store: StateStore, name: Any) -> None:
    for call in (lambda: store.put("s", name, 1), lambda: store.get(name, "k"), lambda: store.keys(name)):
        with pytest.raises(ValidationError, match="a text in UTF-8 of 1 to 512 bytes"):
            call()


def test_a_version_is_never_the_same_again(store: StateStore) -> None:
    store.put("a", "k", 1)
    version = store.get("a", "k").version
    store.delete("a", "k")
    store.put("a", "k", 1)
    assert store.get("a", "k").version != version
    assert not store.swap("a", "k", version, 2)
    assert not store.swap("a", "k", 0, 2)
    assert store.swap("a", "new", 0, 2)


def test_a_store_is_bounded(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("llmspell.workflows.state", "llmspell.workflows.state_file"):
        monkeypatch.setattr(f"{module}.LARGEST_STORE", 100)
        monkeypatch.setattr(f"{module}.MOST_KEYS", 3)
    for key in "abc":
        store.put("s", key, "x" * 20)
    for change in (lambda: store.put("s", "d", 1), lambda: store.put("s", "a", "x" * 80)):
        with pytest.raises(LLMSpellError, match="State would keep more"):
            change()
    assert store.get("s", "a").value == "x" * 20
    store.delete("s", "b")
    store.put("s", "d", "x" * 30)
    store.put("s", "a", "y")


# ---- on disk


def on_disk(path: Path) -> Any:
    flags = {"state.backend": "sqlite", "state.path": str(path)}
    return load(script_dir=None, config_file=None, env={}, flags=flags)


def test_what_is_on_disk_outlives_the_run(tmp_path: Path) -> None:
    config = on_disk(tmp_path / "deep" / "s.db")
    script = 'return State.update("a", "n", function(old) return (old or 0) + 1 end)'
    assert [ScriptRuntime(config).run(script).result for _ in range(3)] == [1, 2, 3]
    assert (tmp_path / "deep" / "s.db").stat().st_mode & 0o077 == 0


def test_each_script_has_a_file_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.lua").write_text(
            f'State.set("k", (State.get("k") or "") .. "{name}") return State.get("k")'
        )
    env = environment(XDG_DATA_HOME=str(tmp_path / "data"), LLMSPELL_STATE__BACKEND="sqlite")
    told = [llmspell("run", str(tmp_path / f"{name}.lua"), env=env).out for name in ("one", "two", "one")]
    assert told == [b"one\n", b"two\n", b"oneone\n"]
    assert len(list((tmp_path / "data" / "llmspell" / "state").glob("*.db"))) == 2


@pytest.mark.parametrize("content", [b"no database at all, but some text" * 100, None])
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "s.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot keep State"):
        SqliteState(str(path))


def test_a_project_may_not_choose_the_file(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text('[state]\npath = "/tmp/x"\n')
    with pytest.raises(ConfigError, match=r"state\.path"):
        load(script_dir=str(tmp_path), config_file=None, env={}, flags={})


WRITER = textwrap.dedent("""
    import sys
    from llmspell.workflows.state_file import SqliteState
    store = SqliteState(sys.argv[1])
    n = 0
    while True:
        n += 1
        store.put("a", "n", n)
        store.put("a", "big", [n] * 20000)
        print(n, flush=True)
""")


def test_a_process_that_is_killed_loses_no_finished_write(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(30):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        last = int(rest[-1]) if rest else last
        store = SqliteState(path)
        number, big = store.get("a", "n").value, store.get("a", "big").value
        assert number in (last, last + 1)
        assert big in ([last] * 20000, [last + 1] * 20000)
        store.close()


ADDER = textwrap.dedent("""
    import sys
    from llmspell import ScriptRuntime
    from llmspell.workflows.state_file import SqliteState
    store = SqliteState(sys.argv[1])
    ScriptRuntime(state=store).run('''
        for _ = 1, 200 do State.update("a", "n", function(old) return (old or 0) + 1 end) end
    ''')
""")


def test_two_processes_at_once_lose_no_update(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    SqliteState(path).close()
    both = [subprocess.Popen([sys.executable, "-c", ADDER, path]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    store = SqliteState(path)
    assert store.get("a", "n").value == 400
    store.close()
