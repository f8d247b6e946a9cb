"""Tools that other packages bring, by an entry point of the group `llmspell.tools`.

Its name is the tool's; its object a Tool, a Tool class, or a function, of which `llmspell.tool` makes one. What is
installed has to be looked through for them (milliseconds), so this is loaded only where a name is asked for that
llmspell does not have itself, and where all are listed.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from llmspell.errors import ConfigError, one_line
from llmspell.tools.base import Tool

__all__ = ["GROUP", "load", "names"]

GROUP = "llmspell.tools"


def names() -> list[str]:
    """The tools that packages bring, sorted. Nothing of the packages is loaded."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load(key: str) -> Tool | None:
    """The tool of that name, `-` and `_` alike; None where no package has it.

    Raises ConfigError, which names the package, where two have it, or it cannot be loaded.
    """
    found = [point for point in entry_points(group=GROUP) if point.name.replace("-", "_") == key]
    if not found:
        return None
    packages = [_package(point) for point in found]
    if len({point.value for point in found}) > 1:
        raise ConfigError(
            f"several packages bring a tool `{one_line(key, 80)}`: {', '.join(packages)}", hint="remove all but one"
        )
    try:
        tool = _made(found[0].load())
        tool.complaints({})
    except (Exception, SystemExit) as error:  # whatever another's module raises
        raise ConfigError(
            f"the tool `{one_line(key, 80)}` from {packages[0]} cannot be loaded: "
            f"{one_line(f'{type(error).__name__}: {error}', 200)}",
            hint=f"update or remove {packages[0]}",
            cause=error,
        ) from None
    if tool.name.replace("-", "_") != key:
        raise ConfigError(
            f"the tool `{one_line(key, 80)}` from {packages[0]} calls itself `{one_line(tool.name, 80)}`",
            hint=f"update or remove {packages[0]}",
        )
    return tool


def _made(brought: Any) -> Tool:
    if isinstance(brought, type) and issubclass(brought, Tool):
        brought = brought()
    if isinstance(brought, Tool):
        return brought
    from llmspell.tools.function import tool

    made: Tool = tool(brought)
    return made


def _package(point: Any) -> str:
    return one_line(str(point.dist.name if point.dist is not None else point.value), 80)
