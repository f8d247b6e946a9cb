"""Lua's functions come out of lupa's library. Where one is not there, that is said, and the pure twin serves.

The library that lacks something is lupa's own, in a copy: one symbol is made local, which is what it is in a build
that exports no more than it must (lupa's for Windows exports nothing but the module).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import lupa
import lupa.lua54
import pytest

SPEEDUPS = Path(__file__).parents[2] / "src" / "llmspell" / "_speedups"  # an install has no sources
LUPA = Path(lupa.__file__).parent
LIBRARY = Path(lupa.lua54.__file__)

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.unmeasured,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the library is changed as an ELF file"),
]

TRY = """
import json, os
from llmspell import ScriptRuntime, _speedups
choice = _speedups.choice("lua")
ran = ScriptRuntime().run("return {('x'):rep(3), coroutine.wrap(function() return 7 end)()}").result
os.write(1, json.dumps([choice, ran, _speedups.Engine.__module__]).encode())
"""


def table_fields() -> list[str]:
    """The names of the table of Lua's functions, in its order."""
    declared = (SPEEDUPS / "lua_api.pxd").read_text()
    body = declared[declared.index("cdef struct LuaApi:") :]
    return re.findall(r"\(\*(\w+)\)\(", re.sub(r"\((?!\*)[^()]*\)", "()", body))


def names() -> list[str]:
    """What the fields of that table are found by."""
    return re.findall(r'^    b"(\w+)",$', (SPEEDUPS / "lua_names.pxi").read_text(), re.M)


def openers() -> list[str]:
    return re.findall(r'b"(luaopen_\w+)"', (SPEEDUPS / "lua_open.pxi").read_text())


def made_local(data: bytes, name: str) -> bytes:
    """An ELF file of 64 bits whose symbol *name* is bound locally: found from inside, and not from outside."""
    changed = bytearray(data)
    sections, size, count = struct.unpack_from("<Q", data, 0x28)[0], *struct.unpack_from("<HH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, sections + i * size) for i in range(count)]
    (symbols,) = [head for head in heads if head[1] == 11]  # SHT_DYNSYM
    texts = heads[symbols[6]][4]
    found = 0
    for at in range(symbols[4], symbols[4] + symbols[5], symbols[9]):
        start = texts + struct.unpack_from("<I", data, at)[0]
        if data[start : data.index(b"\0", start)] == name.encode():
            changed[at + 4] &= 0x0F  # STB_LOCAL, of the same type
            found += 1
    assert found == 1, f"{name} stands {found} times in the library"
    return bytes(changed)


def with_library(folder: Path, data: bytes) -> dict[str, str]:
    """An environment whose lupa has another library."""
    home = folder / "lupa"
    home.mkdir()
    for path in LUPA.glob("*.py"):
        shutil.copy(path, home)
    (home / LIBRARY.name).write_bytes(data)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *(p for p in sys.path if p)])}


def told(env: dict[str, str]) -> list[Any]:
    """Which twin was chosen and why, what a script gave, and where the engine comes from."""
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    got: list[Any] = json.loads(done.stdout)
    return got


def test_the_table_and_the_names_agree() -> None:
    fields = table_fields()
    assert len(fields) > 60
    assert [f"lua{name}" if name.startswith("L_") else f"lua_{name}" for name in fields] == names()
    assert len(set(fields)) == len(fields)


def test_nothing_is_asked_for_that_nobody_calls() -> None:
    sources = [*SPEEDUPS.glob("lua_*.pxi"), SPEEDUPS / "_lua_c.pyx"]
    called = set(re.findall(r"\blua\.(\w+)", "\n".join(path.read_text() for path in sources)))
    assert [name for name in table_fields() if name not in called] == []


def test_every_name_is_exported_by_lupa_s_library() -> None:
    library = ctypes.CDLL(str(LIBRARY))
    assert [name for name in [*names(), *openers(), "lua_ident"] if not hasattr(library, name)] == []
    assert len(openers()) == 8


def test_an_unchanged_copy_serves_the_compiled_twin(tmp_path: Path) -> None:
    env = with_library(tmp_path, LIBRARY.read_bytes())
    assert told(env) == ["compiled", ["xxx", 7], "llmspell._speedups._lua_c"]


@pytest.mark.parametrize("name", ["lua_gettop", "lua_closethread", "luaL_requiref", "luaopen_utf8", "lua_ident"])
def test_a_symbol_that_is_missing_is_named_and_the_pure_twin_serves(tmp_path: Path, name: str) -> None:
    env = with_library(tmp_path, made_local(LIBRARY.read_bytes(), name))
    why = f"pure: lupa's Lua does not export {name}"
    assert told(env) == [why, ["xxx", 7], "llmspell._speedups._lua_py"]


def test_another_lua_than_5_4_is_named_and_the_pure_twin_serves(tmp_path: Path) -> None:
    env = with_library(tmp_path, LIBRARY.read_bytes().replace(b"$LuaVersion: Lua 5.4.", b"$LuaVersion: Lua 5.3."))
    assert told(env)[0] == "pure: lupa's Lua is not 5.4"
    assert told(env)[1:] == [["xxx", 7], "llmspell._speedups._lua_py"]


def test_a_library_that_is_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    """There is no Lua for the pure twin then, either."""
    env = with_library(tmp_path, b"no library")
    code = "from llmspell import _speedups\n_speedups.choice('lua')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert LIBRARY.name in done.stderr.splitlines()[-1]
