"""Makes cli/completing/table.py of the commands as they are declared, and of the tools that are built in:
`python scripts/completions.py`, after a command, an option or a tool was added. A test compares the two.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from llmspell.cli.help import cli
from llmspell.cli.options import COMMON
from llmspell.cli.panels import COMMAND_PANELS
from llmspell.tools.registry import BUILTIN, ToolRegistry

TABLE = Path(__file__).parent.parent / "src" / "llmspell" / "cli" / "completing" / "table.py"
COMMON_NAMES = [option.name for option in COMMON]
SHORT = 72  # characters of what is told of a command or an option
HEAD = '''"""The command line as a table, for completion: made by scripts/completions.py of what is declared; run that,
and change nothing here.

A node is what a command does, in a line; its options, each with its kind and what it does; its arguments; and the
commands below it. A kind is empty for a flag, `a|b` for words, `=X` for a list that may be left out, else what help
calls the value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Node: TypeAlias = tuple[str, dict[str, tuple[str, str]], tuple[str, ...], dict[str, "Node"]]

__all__ = ["TOOLS", "TREE"]

'''


def module() -> str:
    """The text of table.py."""
    lines = [HEAD, "_COMMON = {\n"]
    lines += [_option("    ", param) for param in cli.params if param.opts[0] in COMMON_NAMES]
    lines.append("}\n\nTREE: Node = ")
    _node(lines, cli, 0)
    lines.append("\n\n#: The built-in tools: category, and what each does.\nTOOLS: dict[str, tuple[str, str]] = {\n")
    registry = ToolRegistry()
    for name in sorted(BUILTIN):
        tool = registry.get(name)
        lines.append(f"    {name!r}: {(tool.category, _short(tool.description))!r},\n")
    lines.append("}\n")
    return _quoted("".join(lines))


def _node(lines: list[str], command: click.Command, depth: int) -> None:
    indent = "    " * depth
    lines.append(f"(\n{indent}    {_short(command.help or '')!r},\n{indent}    {{\n")
    arguments = []
    if any(param.opts[0] in COMMON_NAMES for param in command.params):
        lines.append(f"{indent}        **_COMMON,\n")
    for param in command.params:
        if isinstance(param, click.Argument):
            arguments.append(_argument(param))
        elif isinstance(param, click.Option) and param.opts[0] not in COMMON_NAMES and not param.hidden:
            lines.append(_option(f"{indent}        ", param))
    lines.append(f"{indent}    }},\n{indent}    {tuple(arguments)!r},\n{indent}    {{\n")
    if isinstance(command, click.Group):
        for name in _ordered(command):
            lines.append(f"{indent}        {name!r}: ")
            _node(lines, command.commands[name], depth + 2)
            lines.append(",\n")
    lines.append(f"{indent}    }},\n{indent})")


def _option(indent: str, param: Any) -> str:
    about = (_kind(param), _short(param.help or ""))
    return "".join(f"{indent}{name!r}: {about!r},\n" for name in param.opts)


def _ordered(group: click.Group) -> list[str]:
    """The commands as help shows them."""
    names = [name for names in COMMAND_PANELS.values() for name in names] if group is cli else []
    rest = sorted(name for name in group.commands if name not in names)
    return [name for name in (*names, *rest) if name in group.commands and not group.commands[name].hidden]


def _kind(param: Any) -> str:
    if param.is_flag:
        return ""
    if isinstance(param.type, click.Choice):
        return "|".join(map(str, param.type.choices))
    return param.metavar or param.type.name.upper()


def _argument(param: Any) -> str:
    """What help calls it, without brackets, and with `…` where there may be several."""
    told = (param.metavar or param.name.upper()).strip("[]").rstrip("….")
    return told + ("…" if param.nargs == -1 else "")


def _short(text: str) -> str:
    """The first sentence, on one line, cut where it is long."""
    line = " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].partition(": ")[0].rstrip(".:")
    return line if len(line) <= SHORT else line[: SHORT - 1].rpartition(" ")[0] + "…"


def _quoted(text: str) -> str:
    """As the formatter writes it: double quotes."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "120", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    TABLE.write_text(module(), encoding="utf-8")
