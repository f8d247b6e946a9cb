"""Where scripts and compiled twins cannot be had, that is said: in sub-interpreters, without the global lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import _speedups

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unmeasured

TRY = """
import json, os, sys
sys.path[:] = {path!r}
try:
    from llmspell import ScriptRuntime
    told = {{"result": ScriptRuntime().run("return 1 + 1").result}}
except BaseException as error:
    told = {{"error": type(error).__name__, "kind": getattr(error, "kind", None), "message": str(error)}}
    told["hint"] = getattr(error, "hint", None)
from llmspell import _speedups
told["lupa"] = "lupa.lua54" in sys.modules
told["twins"] = [_speedups.choice(stem) for stem in _speedups.STEMS if stem != "lua"]
os.write(1, (json.dumps(told) + "\\n").encode())
"""
HOST = """
import sys
try:
    import _interpreters as interpreters
    def create(): return interpreters.create({kind!r})
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    def create(): return interpreters.create(isolated={kind!r} == "isolated")
    run = interpreters.run_string
code = {code!r}
for who in {order!r}:
    if who == "main":
        exec(code)
    else:
        failed = run(create(), code)
        assert failed is None, failed
"""


def in_python(code: str, **env: str) -> list[Any]:
    """What each line that *code* writes says, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="sub-interpreters are CPython's")
@pytest.mark.parametrize("order", [("main", "sub", "main"), ("sub", "main", "sub")])
@pytest.mark.parametrize("kind", ["isolated", "legacy"])
def test_a_sub_interpreter_is_refused_and_takes_nothing_from_the_main_one(kind: str, order: tuple[str, ...]) -> None:
    code = TRY.format(path=sys.path)
    told = in_python(HOST.format(kind=kind, code=code, order=order))
    assert len(told) == len(order)
    for who, one in zip(order, told, strict=True):
        if who == "main":
            assert one["result"] == 2
            assert one["twins"] == [_speedups.choice(stem) for stem in _speedups.STEMS if stem != "lua"]
        else:
            assert (one["error"], one["kind"]) == ("NotSupportedError", "not_supported")
            assert one["message"] == "scripts run in a process's main interpreter, and this is a sub-interpreter"
            assert "threads or processes" in one["hint"]
            assert not one["lupa"], "it was imported, and may now be lost to the main interpreter"
            assert all(twin.startswith("pure: ") for twin in one["twins"])


@pytest.mark.parametrize(
    "where", ["try_it()", "thread = threading.Thread(target=try_it); thread.start(); thread.join()"]
)
def test_any_thread_of_the_main_interpreter_runs_scripts(where: str) -> None:
    code = f"import threading\ndef try_it(): exec({TRY.format(path=sys.path)!r}, {{}})\n{where}"
    assert in_python(code)[0]["result"] == 2


@pytest.mark.parametrize(
    "simulated",
    [
        "sys._is_gil_enabled = lambda: False",
        "sys.version = sys.version.replace(' (', ' experimental free-threading build (', 1)",
    ],
)
def test_without_the_global_lock_the_pure_twins_serve_and_say_so(simulated: str) -> None:
    code = (
        f"import json, sys\n{simulated}\nfrom llmspell import _speedups\n"
        "print(json.dumps([_speedups.choice(stem) for stem in _speedups.STEMS]))\n"
        "from llmspell import ScriptRuntime\n"
        "print(json.dumps([ScriptRuntime().run('return 1 + 1').result, _speedups.EventParser.__module__]))"
    )
    choices, (result, parser) = in_python(code, LLMSPELL_NO_EXTENSIONS="")
    why = "pure: this Python runs without its global lock; compiled twins rely on it"
    assert choices == [why] * len(_speedups.STEMS)
    assert (result, parser) == (2, "llmspell._speedups._sse_py")


@pytest.mark.parametrize("pure", ["", "1"])
def test_a_lua_that_cannot_be_loaded_is_an_error_with_a_hint(tmp_path: Path, pure: str) -> None:
    (tmp_path / "lupa").mkdir()
    (tmp_path / "lupa" / "__init__.py").write_text("")  # without `lua54`
    code = TRY.format(path=[str(tmp_path), *sys.path])
    (told,) = in_python(code, LLMSPELL_NO_EXTENSIONS=pure)
    assert told["kind"] == "not_supported"
    assert told["message"].startswith("Lua cannot be loaded: ")
    assert "lupa" in told["message"]
    assert "`llmspell doctor`" in told["hint"]
