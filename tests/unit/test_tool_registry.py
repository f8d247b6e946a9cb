"""Who knows tools: names, near names, categories, tools that packages bring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import ConfigError, NotFoundError, ValidationError
from llmspell.tools.base import Tool
from llmspell.tools.registry import ALSO, BUILTIN, ToolRegistry

pytestmark = pytest.mark.once


class Named(Tool):
    def __init__(self, name: str, category: str = "test") -> None:
        self.name, self.category = name, category


def test_hyphens_and_underscores_are_alike() -> None:
    registry = ToolRegistry()
    assert registry.get("uuid-generator") is registry.get("uuid_generator")
    assert registry.get("template-creator") is registry.get("template_engine")
    registry.register(Named("my-tool"))
    assert registry.get("my_tool").name == "my-tool"
    with pytest.raises(ValidationError, match="there is a tool `my_tool` already"):
        registry.register(Named("my_tool"))
    assert registry.register(Named("my_tool"), replace=True) is registry.get("my-tool")


def test_every_built_in_tool_is_there_under_its_name() -> None:
    registry = ToolRegistry()
    assert set(BUILTIN) <= set(registry.names())
    for name in BUILTIN:
        assert registry.get(name).name == name
        assert registry.get(name).complaints({"no such argument": 1})
    for other, name in ALSO.items():
        assert registry.get(other).name == name
    assert {"data", "math", "text", "utility"} <= set(registry.categories())


@pytest.mark.parametrize(
    ("name", "near"), [("calcuator", "calculator"), ("Calculator", "calculator"), ("hash", "hash_calculator")]
)
def test_an_unknown_name_tells_near_ones(name: str, near: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        ToolRegistry().get(name)
    assert f"`{near}`" in str(caught.value.hint)
    with pytest.raises(NotFoundError) as caught:
        ToolRegistry(builtin=False).get("\x1b[31m" + name * 100)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["", "a b", "ä", "a" * 65, "a.b", "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError, match="is no name for a tool"):
        ToolRegistry().register(Named(name))


def test_one_over_another_hides_its_tools() -> None:
    below = ToolRegistry()
    below.register(Named("mine"))
    above = ToolRegistry(base=below)
    own = above.register(Named("calculator"))
    assert above.get("mine") is below.get("mine")
    assert above.get("calculator") is own
    assert below.get("calculator") is not own
    assert above.names().count("calculator") == 1
    assert ToolRegistry(base=ToolRegistry(builtin=False)).names() == []


def test_a_function_is_registered_as_a_tool() -> None:
    def twice(n: int) -> int:
        """Twice a number."""
        return n * 2

    registry = ToolRegistry(builtin=False)
    assert registry.register(twice).name == "twice"
    assert registry.get("twice").parameters["required"] == ["n"]


def test_a_schema_that_is_none_is_told_when_it_is_registered() -> None:
    tool = Named("broken")
    tool.parameters = {"type": "objct"}
    with pytest.raises(ValidationError, match="which is no type"):
        ToolRegistry().register(tool)


# ---- tools that packages bring


def bring(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    info = folder / "brought-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[llmspell.tools]\nbrought-tool = brought_tools:made\n")
    (folder / "brought_tools.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "brought_tools", raising=False)


@pytest.mark.parametrize(
    "code",
    [
        "def made(n: int) -> int:\n    return n\nmade.__name__ = 'brought_tool'\n",
        "from llmspell.tools.base import Tool\nclass made(Tool):\n    name = 'brought-tool'\n",
        "import llmspell\n@llmspell.tool(name='brought_tool')\ndef made(): ...\n",
    ],
)
def test_a_package_brings_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    bring(tmp_path, monkeypatch, code)
    registry = ToolRegistry()
    assert "brought-tool" in registry.names()
    assert "brought_tools" not in sys.modules
    assert registry.get("brought_tool") is registry.get("brought-tool")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1/0\n", "from brought cannot be loaded: ZeroDivisionError"),
        ("raise SystemExit(3)\n", "from brought cannot be loaded: SystemExit: 3"),
        ("made = 7\n", "made of a function"),
        ("def made(): ...\n", "calls itself `made`"),
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    bring(tmp_path, monkeypatch, code)
    with pytest.raises(ConfigError, match=said):
        ToolRegistry().get("brought_tool")


def test_a_broken_package_keeps_nobody_from_the_other_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bring(tmp_path, monkeypatch, "1/0\n")
    assert [tool.name for tool in ToolRegistry()] == sorted(BUILTIN)
    assert "the tool `brought_tool` from brought cannot be loaded" in caplog.text
    script = """
        local names = {}
        for _, tool in ipairs(Tool.list()) do names[#names + 1] = tool.name end
        local inside = Tool.execute("run_lua", { code = "local n = 0 for _ in pairs(tools) do n = n + 1 end return n" })
        return { #names, #Tool.categories() > 3, #Tool.discover{ name = "regex" }, inside.result.result }
    """
    assert ScriptRuntime(timeout=30).run(script).result == [len(BUILTIN), True, 1, len(BUILTIN) - 1]


def test_a_name_loads_its_own_tool_alone() -> None:
    code = (
        "import sys; from llmspell.tools.registry import ToolRegistry; ToolRegistry().get('uuid_generator');"
        "print([n for n in sys.modules if n.startswith('llmspell.tools.builtin.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['llmspell.tools.builtin.uuid_generator']\n"


def test_the_guide_lists_the_built_in_tools() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "tools.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[:3] for line in guide.splitlines() if line.startswith("| `")]
    registry = ToolRegistry()
    assert rows == [
        [
            f"| `{name}`",
            registry.get(name).category,
            ", ".join(f"`{one}`" for one in registry.get(name).needs) or "nothing",
        ]
        for name in sorted(BUILTIN)
    ]
