"""The tools that are known, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ConfigError, NotFoundError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmspell.tools.base import Tool

__all__ = ["ToolRegistry", "check_name", "plain_name"]

#: The built-in tools and where they are: name → module of `builtin/`, whose `TOOL` it is. Loaded when first asked for.
BUILTIN: dict[str, str] = {
    "base64_encoder": "base64_encoder",
    "calculator": "calculator",
    "csv_analyzer": "csv_analyzer",
    "data_validation": "data_validation",
    "datetime_handler": "datetime_handler",
    "environment_reader": "environment_reader",
    "file_operations": "file_operations",
    "file_search": "file_search",
    "hash_calculator": "hash_calculator",
    "http_request": "http_request",
    "json_processor": "json_processor",
    "process_executor": "process_executor",
    "regex": "regex",
    "run_lua": "llmspell.bridge.run_lua",  # above the tools: it needs a script's runtime
    "template_engine": "template_engine",
    "text_manipulator": "text_manipulator",
    "uuid_generator": "uuid_generator",
    "web_fetch": "web_fetch",
}

#: Other names of theirs.
ALSO: dict[str, str] = {"date_time_handler": "datetime_handler", "template_creator": "template_engine"}

MOST_TOOLS = 10_000


def plain_name(name: str) -> str:
    """`a-b` and `a_b` are one name."""
    return name.replace("-", "_")


def check_name(name: str) -> None:
    """Raises ValidationError for a name that services take for no tool's."""
    if not 0 < len(name) <= 64 or not all(c.isascii() and (c.isalnum() or c in "_-") for c in name):
        raise ValidationError(
            f"`{one_line(name, 80)}` is no name for a tool", hint="letters, digits, `_` and `-`, at most 64"
        )


class ToolRegistry:
    """Tools by name. A registry over another one sees the other's, too, and its own hide them.

    builtin: whether the built-in ones and those of installed packages are there; of a registry over another one, the
    other says so.
    """

    def __init__(self, *, builtin: bool = True, base: ToolRegistry | None = None) -> None:
        self._tools: dict[str, Tool] = {}
        self._loaded: dict[str, Tool] = {}  # of the built-in ones and of packages
        self._warned: set[str] = set()  # of tools that are broken
        self._base = base
        self._builtin = builtin and base is None

    def register(self, tool: Tool | Callable[..., Any], *, replace: bool = False) -> Tool:
        """Adds a tool, or a function as `llmspell.tool` makes one of it; gives the tool.

        Raises ValidationError for a name that is none or that this registry has, and for a schema that is none.
        """
        from llmspell.tools.base import Tool

        if not isinstance(tool, Tool):
            from llmspell.tools.function import tool as made

            tool = made(tool)
        check_name(tool.name)
        key = plain_name(tool.name)
        if not replace and key in self._tools:
            raise ValidationError(f"there is a tool `{tool.name}` already", hint="choose another name")
        if len(self._tools) >= MOST_TOOLS:
            raise ValidationError(f"there are more than {MOST_TOOLS} tools")
        tool.complaints({})  # reads the schema
        self._tools[key] = tool
        return tool

    def find(self, name: str) -> Tool | None:
        """The tool of that name, `-` and `_` alike, or None. Raises ConfigError for one of a package that is broken."""
        key = plain_name(name)
        found = self._tools.get(key)
        if found is None and self._base is not None:
            return self._base.find(key)
        if found is None and self._builtin:
            key = ALSO.get(key, key)
            found = self._tools.get(key) or self._loaded.get(key) or self._load(key)
        return found

    def _load(self, key: str) -> Tool | None:
        found: Tool | None
        if key in BUILTIN:
            from importlib import import_module

            home = BUILTIN[key]
            found = import_module(home if "." in home else f"llmspell.tools.builtin.{home}").TOOL
        else:
            from llmspell.tools import plugins

            found = plugins.load(key)
        if found is not None:
            self._loaded[key] = found
        return found

    def get(self, name: str) -> Tool:
        """Raises NotFoundError with near names."""
        tool = self.find(name)
        if tool is None:
            from difflib import get_close_matches

            wanted, names = plain_name(name[:64]).lower(), self.names()
            near = get_close_matches(wanted, names, 3, 0.6)
            near = near or [one for one in names if len(wanted) > 2 and wanted in plain_name(one).lower()][:3]
            raise NotFoundError(
                f"there is no tool `{one_line(name, 80)}`",
                hint=f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else "`Tool.list()` names them",
            )
        return tool

    def names(self) -> list[str]:
        """All names, sorted."""
        found = {tool.name for tool in self._tools.values()}
        hidden = set(self._tools)
        if self._builtin:
            from llmspell.tools import plugins

            found.update(name for name in (*BUILTIN, *plugins.names()) if plain_name(name) not in hidden)
        if self._base is not None:
            found.update(name for name in self._base.names() if plain_name(name) not in hidden)
        return sorted(found)

    def categories(self) -> list[str]:
        """Those that tools are of, sorted."""
        return sorted({tool.category for tool in self})

    def __iter__(self) -> Iterator[Tool]:
        """The tools by name. One of a package that is broken is left out, and the log `llmspell.tools` warns of it."""
        for name in self.names():
            try:
                tool = self.get(name)
            except ConfigError as error:
                if name not in self._warned:
                    import logging

                    self._warned.add(name)
                    logging.getLogger("llmspell.tools").warning("%s", error.message)
            else:
                yield tool
