"""Who may import whom, what is loaded when, and that every module can be imported by itself."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import llmspell
from llmspell import _speedups

pytestmark = pytest.mark.unmeasured

PACKAGE = Path(llmspell.__file__).parent
MODULES = sorted(
    ".".join(("llmspell", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)
#: From the ground up; a module may import from lower floors, and from its own package. Source: DESIGN.md, "The house".
FLOORS = [
    {"errors", "_speedups", "_version"},
    {"types", "utils"},
    {"config", "tools"},
    {"providers"},
    {"agents"},
    {"workflows"},
    {"bridge"},
    {"cli"},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
#: What speaks one wire format each: these may not import one another.
DIALECTS = {"llmspell.providers.openai_chat", "llmspell.providers.local"}


def imports_of(module: str) -> set[str]:
    """The llmspell modules that *module*'s import statements name, wherever they stand."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.startswith("llmspell.")}


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") and name != "llmspell._version"])
def test_imports_point_downwards(module: str) -> None:
    home = module.split(".")[1]
    for name in imports_of(module):
        target = name.split(".")[1]
        if target in FLOOR and target != home:
            assert FLOOR[target] < FLOOR[home], f"{module} imports {name}"


def test_dialects_do_not_import_each_other() -> None:
    assert set(MODULES) >= DIALECTS
    for dialect in DIALECTS:
        assert not imports_of(dialect) & (DIALECTS - {dialect})


def in_python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    return set(
        json.loads(in_python(code + "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))").splitlines()[-1])
    )


RUN = "from llmspell.cli.main import main\nassert main(['run', {script!r}]) == 0"
#: All of llmspell, and all beyond Python's own start, that a script which calls no model may load.
HELLO = {
    "llmspell",
    "llmspell._speedups",
    "llmspell._speedups._lua_shared",
    "llmspell._version",
    "llmspell.bridge",
    "llmspell.bridge.arguments",
    "llmspell.bridge.engine",
    "llmspell.bridge.limits",
    "llmspell.bridge.output",
    "llmspell.bridge.run",
    "llmspell.bridge.runtime",
    "llmspell.cli",
    "llmspell.cli.commands",
    "llmspell.cli.commands.run",
    "llmspell.cli.main",
    "llmspell.cli.options",
    "llmspell.cli.settings",
    "llmspell.cli.signals",
    "llmspell.config",
    "llmspell.config.discovery",
    "llmspell.config.loader",
    "llmspell.config.schema",
    "llmspell.errors",
}


ENGINE = {
    True: {"llmspell._speedups._lua_c"},
    False: {"llmspell._speedups._lua_py", "llmspell._speedups._lua_values"},
}
COMPILED = _speedups.choice("lua") == "compiled"


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    script = tmp_path_factory.mktemp("hello") / "hello.lua"
    script.write_text("print('hello')\n")
    before = loaded_by("")
    return loaded_by(RUN.format(script=str(script))) - before


def test_a_script_that_calls_no_model_loads_no_more_than_it_needs(hello: set[str]) -> None:
    assert {name for name in hello if name.startswith("llmspell")} == HELLO | ENGINE[COMPILED]


def test_what_lupa_brings_is_the_only_other_weight_of_a_small_script(hello: set[str]) -> None:
    """And the compiled engine spares even that: it takes Lua from lupa's library, and not lupa."""
    lupa = set() if COMPILED else loaded_by("import lupa.lua54") - loaded_by("")
    lupa |= {name for name in hello if name.startswith(("_cython_", "cython_runtime"))}
    own = {
        name for name in hello if name.split(".")[0] in ("llmspell", "importlib", "json", "__future__", "_signal", "gc")
    }
    assert hello - lupa - own == set()


@pytest.mark.parametrize(
    "heavy", ["asyncio", "httpx", "rich", "click", "rich_click", "orjson", "re", "typing", "tomllib", "inspect"]
)
def test_nothing_heavy_is_loaded_for_a_small_script(hello: set[str], heavy: str) -> None:
    assert heavy not in hello


COMMAND = "from llmspell.cli.main import main\nassert main({words!r}) == {code}"
AT_ONCE = {"llmspell", "llmspell._version", "llmspell.cli", "llmspell.cli.main", "llmspell.cli.options"}


def loaded_by_command(*words: str, code: int = 0) -> set[str]:
    return loaded_by(COMMAND.format(words=list(words), code=code)) - loaded_by("")


def test_the_version_loads_nothing_more() -> None:
    assert loaded_by_command("--version") - {"gc", "__future__", "json"} == AT_ONCE


def test_a_tab_loads_no_command() -> None:
    """A word that needs no configuration: the table, and what reads it."""
    own = {f"llmspell.cli.completing{name}" for name in ("", ".answering", ".candidates", ".table", ".words")}
    assert loaded_by_command("__complete", "bash", "llmspell ru") - {"gc", "__future__", "json"} == AT_ONCE | own


def test_what_llmspell_alone_says_needs_no_help() -> None:
    loaded = loaded_by_command(code=2)
    assert {name for name in loaded if name.startswith("llmspell")} == AT_ONCE | {
        *("llmspell.cli.short", "llmspell.cli.completing", "llmspell.cli.completing.table"),
        *("llmspell.cli.render", "llmspell.cli.render.terminal"),
    }
    assert not loaded & {"rich", "click", "re", "typing"}


@pytest.mark.parametrize("words", [("--help",), ("run", "--help")])
def test_help_loads_no_command_s_work(words: tuple[str, ...]) -> None:
    loaded = loaded_by_command(*words)
    own = {name for name in loaded if name.startswith("llmspell") and not name.startswith("llmspell.cli")}
    assert own <= {"llmspell", "llmspell._version", "llmspell.errors"}
    assert not any(name.startswith("llmspell.cli.commands") for name in loaded)
    heavy = {"asyncio", "httpx", "orjson", "lupa", "markdown_it", "pygments", "tomllib", "difflib", "prompt_toolkit"}
    assert not {name.partition(".")[0] for name in loaded} & heavy


def test_importing_llmspell_alone_costs_nothing() -> None:
    new = loaded_by("import llmspell") - loaded_by("")
    assert new == {"llmspell", "llmspell._version", "__future__"}


def test_a_script_that_only_waits_loads_no_http(tmp_path: Path) -> None:
    script = tmp_path / "sleep.lua"
    script.write_text("Async.sleep(0.001)\n")
    loaded = loaded_by(RUN.format(script=str(script)))
    assert "asyncio" in loaded
    assert not loaded & {"httpx", "orjson", "rich", "llmspell.providers", "llmspell.types"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_alone(module: str) -> None:
    in_python(f"import {module}")


def test_a_price_needs_no_parser_of_toml() -> None:
    code = """
from llmspell.providers.catalog import price_of
assert price_of(("own", "openai", "api.openai.com"), "gpt-4o-mini", {}) is not None
assert price_of(("", "openai", "127.0.0.1"), "gpt-4o-mini", {}) is not None"""
    assert "tomllib" not in loaded_by(code)


def test_the_public_names_are_these() -> None:
    assert llmspell.__all__ == [
        "Agent",
        "AgentChunk",
        "AgentInput",
        "AgentOutput",
        "AgentProvider",
        "AgentStream",
        "AudioFormat",
        "AudioMetadata",
        "BaseAgent",
        "ImageFormat",
        "ImageMetadata",
        "LLMSpellError",
        "Media",
        "MediaContent",
        "Message",
        "Meter",
        "ResponseSchema",
        "ScriptResult",
        "ScriptRuntime",
        "Step",
        "ToolRegistry",
        "ToolSpec",
        "Usage",
        "VideoFormat",
        "VideoMetadata",
        "Workflow",
        "__version__",
        "record",
        "replay",
        "tool",
    ]
    for name in llmspell.__all__:
        assert getattr(llmspell, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        llmspell.Agnet  # noqa: B018
