"""What Lua or a signal calls does nothing with Python: the C that Cython makes of the Lua engine is read.

Such a function is declared `noexcept nogil`. It may be left by longjmp, or interrupt anything, so it holds no
reference and calls nothing of Python's but what is on a list; Python's work is done in functions that are
`noexcept with gil`, which return before anybody leaves. Source: CYTHON_BRIDGE.md, "Rules".
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.compiled

SPEEDUPS = Path(__file__).parents[2] / "src" / "llmspell" / "_speedups"  # an install has no sources

#: What nogil functions use of Python's C API, all of it on borrowed pointers: `_lua_c.pyx` declares it, and no more.
#: None of it makes an object, runs Python code, or counts references. An error that is set is cleared at once.
PYTHON_API = {
    *("Py_None", "Py_True", "Py_TYPE"),
    *("PyUnicode_CheckExact", "PyBytes_CheckExact", "PyLong_CheckExact", "PyFloat_CheckExact", "PyBool_Check"),
    *("PyDict_CheckExact", "PyList_CheckExact", "PyTuple_CheckExact"),
    *("PyUnicode_IS_COMPACT_ASCII", "PyUnicode_1BYTE_DATA", "PyUnicode_GET_LENGTH", "PyUnicode_AsUTF8AndSize"),
    *("PyBytes_AS_STRING", "PyBytes_GET_SIZE", "PyLong_AsLongLongAndOverflow", "PyLong_AsDouble", "PyFloat_AS_DOUBLE"),
    *("PyDict_GET_SIZE", "PyDict_Next", "PySequence_Fast_GET_SIZE", "PySequence_Fast_GET_ITEM"),
    *("PyTuple_GET_SIZE", "PyTuple_GET_ITEM", "PyErr_Clear", "PyErr_Occurred"),
    *("PyEval_SaveThread", "PyEval_RestoreThread"),
    *("PyThread_tss_create", "PyThread_tss_get", "PyThread_tss_set", "Py_tss_t", "PyTypeObject"),
}
TYPES = {"PyObject", "Py_ssize_t", "PyTypeObject", "PY_LONG_LONG"}

#: Who takes the GIL, and the nogil functions that call it: each goes on to its own end afterwards, whatever it says.
WITH_GIL = {
    "run_signals": {"look"},
    "ask_python": {"host_ask", "host_ask_json"},
    "write_python": {"host_write"},
    "take_call": {"host_call"},
    "faulted": {"give_answer"},
    "note_frames": {"note"},
    "remember_frames": {"host_remember"},
    "add_piece": {"dump_piece"},
}

#: Lua's functions that raise nothing and never leave by longjmp. Source: the Lua manual, §4.6, the marks `–`.
HARMLESS = {
    *("absindex", "checkstack", "close", "closethread", "copy", "dump", "gc", "gethookcount", "gethookmask"),
    *("getmetatable", "getstack", "gettop", "iscfunction", "isinteger", "isnumber", "isstring", "isyieldable"),
    *("L_loadbufferx", "newstate", "pcallk", "pushboolean", "pushinteger", "pushlightuserdata", "pushnil"),
    *("pushnumber", "pushthread", "pushvalue", "rawequal", "rawget", "rawgeti", "rawgetp", "rawlen", "resume"),
    *("rotate", "sethook", "status", "toboolean", "tocfunction", "tointegerx", "tonumberx", "topointer"),
    *("tothread", "touserdata", "type", "typename", "xmove"),
}
#: Those that raise in some cases, and why not here.
HARMLESS_HERE = {
    "getinfo": "without `L`, which makes a table",
    "next": "with a key of that table, which nothing changes meanwhile",
    "pushcclosure": "without upvalues: no memory",
    "rawseti": "nil, which needs no new place",
    "settop": "no slot is one to be closed",
    "tolstring": "of a string; of a number only with the limit lifted",
}

DECLARED = re.compile(r"^ *cdef (?:inline )?[^\n=#]*?\b(\w+)\(([^)]*)\)[^\n:#]*?(noexcept (?:nogil|with gil))?:", re.M)
FUNCTION = re.compile(
    r"^( *)(?:cdef|def) [^\n=#]*?\b(\w+)\((?:[^)]*)\)([^\n:]*):[^\n]*\n((?:\1 +[^\n]*\n|[ ]*\n)+)", re.M
)
BODY = re.compile(
    r"^(?:static |CYTHON_INLINE )+[^;={}]*?\b__pyx_f_8llmspell_9_speedups_6_lua_c_(\w+)\([^;{]*\) \{$", re.M
)
OUR_CALL = re.compile(r"\b__pyx_f_8llmspell_9_speedups_6_lua_c_(\w+)")
WORD = re.compile(r"\b_*[Pp][Yy][A-Za-z_]\w*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
#: Cython's names for what is C's alone: variables, labels, results, functions, enumerators, types, texts; a
#: field of the table of Lua's functions, whose name C++ would not take.
C_ALONE = re.compile(r"__pyx_(?:[tvefk]_\w+|L\d+\w*|r|temp\w*|typename)$")


class Source(NamedTuple):
    """The engine's sources: the text of each file, without comments and docstrings."""

    texts: dict[str, str]

    @property
    def kinds(self) -> dict[str, str]:
        """By function: how it is declared."""
        return {name: kind or "" for text in self.texts.values() for name, _, kind in DECLARED.findall(text)}

    @property
    def functions(self) -> dict[str, str]:
        """By function: its body. One name is one function's: the engine has few methods, and none is overloaded."""
        return {name: body for text in self.texts.values() for _, name, _, body in FUNCTION.findall(text)}


def read(folder: Path) -> Source:
    texts = {}
    for path in [folder / "_lua_c.pyx", *sorted(folder.glob("lua_*.pxi"))]:
        text = re.sub(r'"""(?:.|\n)*?"""', '""', path.read_text())
        texts[path.name] = re.sub(r"(?m)(^| )#[^\n]*$", "", text)
    return Source(texts)


def generate(folder: Path, *arguments: str) -> str:
    """The C that Cython makes of the engine in a folder's `llmspell/_speedups`."""
    pytest.importorskip("Cython")
    out = folder / "_lua_c.c"
    source = folder / "llmspell" / "_speedups" / "_lua_c.pyx"
    done = subprocess.run(
        [sys.executable, "-m", "cython", "-3", *arguments, "-I", str(folder), "-o", str(out), str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.returncode == 0, done.stderr
    return out.read_text()


def copied(tmp_path: Path, file: str = "", old: str = "", new: str = "") -> Path:
    """The sources in a folder of their own, one place changed."""
    home = tmp_path / "llmspell" / "_speedups"
    home.mkdir(parents=True)
    (tmp_path / "llmspell" / "__init__.py").touch()
    (home / "__init__.py").touch()
    for path in SPEEDUPS.glob("*lua_*.p*"):
        shutil.copy(path, home)
    if file:
        text = (home / file).read_text()
        assert text.count(old) == 1, f"{file} is no longer as this test knows it"
        (home / file).write_text(text.replace(old, new))
    return tmp_path


def bodies(code: str) -> dict[str, str]:
    """By name: the C of each of the engine's functions. A body ends with the first brace at a line's start."""
    found = {}
    for match in BODY.finditer(code):
        end = code.index("\n}\n", match.end())
        assert match[1] not in found
        found[match[1]] = STRING.sub('""', code[match.end() : end])
    return found


def strange_words(body: str) -> set[str]:
    """What of Python's or of Cython's own a nogil function uses, and must not."""
    return {
        word for word in WORD.findall(body) if not C_ALONE.match(word) and word not in PYTHON_API and word not in TYPES
    }


def offences(folder: Path, *arguments: str) -> dict[str, set[str]]:
    """By nogil function: what it must not use."""
    kinds, made = read(folder / "llmspell" / "_speedups").kinds, bodies(generate(folder, *arguments))
    nogil = [name for name, kind in kinds.items() if kind == "noexcept nogil"]
    assert not set(nogil) - set(made), "a function is declared, and not in the C"
    return {name: words for name in nogil if (words := strange_words(made[name]))}


@pytest.fixture(scope="module")
def source() -> Source:
    return read(SPEEDUPS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The C of each function, made now: what lies beside the source may be older."""
    return bodies(generate(copied(tmp_path_factory.mktemp("c"))))


# ---- what nogil functions do


def test_what_lua_or_a_signal_calls_does_nothing_with_python(source: Source, made: dict[str, str]) -> None:
    nogil = {name for name, kind in source.kinds.items() if kind == "noexcept nogil"}
    assert len(nogil) > 150, "the declarations were not found"
    assert nogil <= set(made)
    assert {name: words for name in sorted(nogil) if (words := strange_words(made[name]))} == {}


def test_whatever_such_a_function_calls_or_names_is_one_of_them_or_takes_the_gil(
    source: Source, made: dict[str, str]
) -> None:
    kinds = source.kinds
    callers: dict[str, set[str]] = {}
    for name, body in made.items():
        if kinds.get(name) == "noexcept nogil":
            for called in set(OUR_CALL.findall(body)):
                if kinds.get(called) != "noexcept nogil":
                    callers.setdefault(called, set()).add(name)
    assert callers == WITH_GIL


def test_who_takes_the_gil_is_declared_so(source: Source, made: dict[str, str]) -> None:
    assert {name for name, kind in source.kinds.items() if kind == "noexcept with gil"} == set(WITH_GIL)
    takers = {name for name, body in made.items() if "PyGILState_Ensure" in body}
    assert takers == set(WITH_GIL)


def test_python_s_functions_on_the_list_are_those_that_are_declared(source: Source) -> None:
    head = source.texts["_lua_c.pyx"]
    _, _, block = head.partition('cdef extern from "Python.h" nogil:')
    block = block[: block.index("cdef extern from")]
    assert set(re.findall(r"\bPy\w+", block)) - TYPES == PYTHON_API - TYPES


# ---- what Python's functions ask of Lua


def used_by_python(source: Source) -> dict[str, set[str]]:
    """By function that Python's code comes to without Lua's protection: what of Lua's API it calls."""
    functions, kinds = source.functions, source.kinds
    calls = re.compile(r"(?<![\w.&])(\w+)\(")
    to_do = [name for name in functions if kinds.get(name, "") != "noexcept nogil"]
    found: dict[str, set[str]] = {}
    while to_do:
        name = to_do.pop()
        if name not in found:
            found[name] = set(re.findall(r"\blua\.(\w+)\(", functions[name]))
            to_do += [called for called in calls.findall(functions[name]) if called in functions]
    return found


def test_python_s_functions_call_nothing_of_lua_s_that_could_leave_by_longjmp(source: Source) -> None:
    used = used_by_python(source)
    assert {"pull_table", "fiber_at", "close_from_inside", "frames_of"} <= set(used), "the calls were not found"
    harmless = HARMLESS | set(HARMLESS_HERE)
    assert {name: calls - harmless for name, calls in used.items() if calls - harmless} == {}
    assert set().union(*used.values()) >= set(HARMLESS_HERE), "an exception is no longer needed"


def test_what_is_harmless_here_is_used_as_it_says(source: Source) -> None:
    used, functions = used_by_python(source), source.functions
    text = "\n".join(functions[name] for name in used)
    assert set(re.findall(r"lua\.pushcclosure\([^)]*?, (\w+)\)", text)) == {"0"}
    for written in re.findall(r"(?m)^.*\n.*lua\.rawseti\(.*$", text):
        assert "lua.pushnil(" in written
    assert not [flags for flags in re.findall(r'lua\.getinfo\(\w+, b"(\w+)"', text) if "L" in flags]


# ---- directives


def test_no_trace_hook_comes_in_whatever_the_build_asks_for(tmp_path: Path, made: dict[str, str]) -> None:
    """The file's first lines win over the build's directives: a coverage build leaves this module out."""
    asked = ("-X", "profile=True", "-X", "linetrace=True", "-X", "binding=True", "-X", "nonecheck=True")
    assert bodies(generate(copied(tmp_path), *asked)) == made


# ---- that it would be seen

HOLD = "cdef int host_this_fiber(lua_State* L) noexcept nogil:\n"
MUTATIONS = {
    "an object, in a function that takes the GIL inside": (
        "lua_calls.pxi",
        HOLD,
        HOLD + "    with gil:\n        (<Engine> state_of(L).owner).running = None\n",
    ),
    "an exception that may come": (
        "lua_calls.pxi",
        HOLD,
        "cdef int checked(int n) except -1 nogil:\n    return n\n\n" + HOLD + "    checked(1)\n",
    ),
    "a trace hook": ("_lua_c.pyx", "profile=False, linetrace=False", "profile=True, linetrace=True"),
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_an_offence_is_seen(tmp_path: Path, mutation: tuple[str, str, str]) -> None:
    assert offences(copied(tmp_path, *mutation)).get("host_this_fiber"), "it was not"
