"""Tools that a script names in so many words, and that are not there or do not take what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.failures import nearest
from llmspell.bridge.lint.calls import (
    UNKNOWN,
    class_of,
    fields_of,
    listed,
    named,
    of_agent_builder,
    plain,
    strings,
    tables,
)
from llmspell.bridge.lint.problems import ERROR, WARNING, Fault
from llmspell.bridge.lint.survey import text_of
from llmspell.bridge.lint.tree import Call, Constant, Name, Table
from llmspell.errors import LLMSpellError, ValidationError
from llmspell.tools.registry import ALSO, BUILTIN, ToolRegistry, plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from llmspell.bridge.lint.survey import Survey
    from llmspell.bridge.lint.tree import Expression

__all__ = ["Tools", "check_tools"]

#: Functions whose first argument is the name of a tool that must be there.
BY_NAME = frozenset(
    ("Tool.get", "Tool.execute", "Tool.executeAsync", "Tool.invoke", "Tool.get_info", "Tool.get_schema")
)
RUN_BY_NAME = frozenset(("Tool.execute", "Tool.executeAsync", "Tool.invoke"))
STEPS = ("steps", "body", "then_steps", "else_steps", "then_branch", "else_branch", "default_branch", "branches")


class Tools:
    """The tools that scripts make and ask for. own: their names. open: whether others are made whose names are not
    written there."""

    def __init__(self) -> None:
        self.own: set[str] = set()
        self.asked: set[str] = set()
        self.open = False

    def add(self, survey: Survey, assigned: Set[str]) -> None:
        """Those of one script."""
        for node, _ in survey.calls:
            called = named(node, assigned)
            if called is None:
                continue
            if called.name == "Tool.exists":
                self.asked.add(plain_name(text_of(next(iter(called.arguments), None)) or ""))
            elif called.name in ("Tool.register", "Agent.wrap_as_tool"):
                at = 0 if called.name == "Tool.register" else 1
                self._made(called.arguments[at] if len(called.arguments) > at else None)

    def _made(self, config: Expression | None) -> None:
        names = [value for key, value in fields_of(config) if key.value == "name"] if isinstance(config, Table) else []
        name = text_of(names[0]) if names else None
        if name is None:
            self.open = True
        else:
            self.own.add(plain_name(name))


def check_tools(survey: Survey, assigned: Set[str], tools: Tools, registry: ToolRegistry) -> Iterator[Fault]:
    """Tools that are named, and that neither llmspell, nor a package, nor the script has."""
    if tools.open:
        return
    for node, inside in survey.calls:
        severity = WARNING if survey.protected(inside) else ERROR
        for name in _tool_names(node, assigned):
            key = plain_name(name.value)
            if key in BUILTIN or key in ALSO or key in tools.own or key in tools.asked:
                continue
            try:
                registry.get(name.value)
            except LLMSpellError as error:
                yield Fault(error.message, name.start, name.end, "unknown-tool", severity, error.hint)
        yield from _check_given(node, assigned, tools, registry, severity)


def _tool_names(node: Call, assigned: Set[str]) -> Iterator[Constant]:
    called = named(node, assigned)
    if called is None:
        if node.method is not None and of_agent_builder(node, assigned) and node.arguments:
            if node.method.value in ("tool", "allow_tool"):
                yield from strings(node.arguments[0])
            elif node.method.value in ("tools", "allowed_tools"):
                yield from listed(node.arguments[0])
        return
    if called.name in BY_NAME and called.arguments:
        yield from strings(called.arguments[0])
    for table, type_ in tables(called.signature.parameters, called.arguments):
        if type_ == "AgentConfig":
            for key, value in fields_of(table):
                if key.value in ("tools", "allowed_tools"):
                    yield from listed(value)
        elif type_.endswith("Config"):
            yield from _of_steps(table, 0)


def _of_steps(table: Table, depth: int) -> Iterator[Constant]:
    """The tools of a workflow's steps, and of those of its branches."""
    for key, value in table.items:
        name = text_of(key)
        if name == "tool":
            yield from strings(value)
        elif isinstance(value, Table) and depth < 6 and (key is None or name in STEPS):
            yield from _of_steps(value, depth + 1)


# ---- what a tool is given


def _check_given(
    node: Call, assigned: Set[str], tools: Tools, registry: ToolRegistry, severity: str
) -> Iterator[Fault]:
    """A table that stands in the call of a built-in tool."""
    name, table = _given(node, assigned)
    if name is None or table is None or plain_name(name) in tools.own:
        return
    if plain_name(name) not in BUILTIN and plain_name(name) not in ALSO:
        return  # a package's is not loaded for this
    tool = registry.get(name)
    members = {key.value: (key, value) for key, value in fields_of(table)}
    known = {*tool.parameters.get("properties", {}), *tool.renamed, "timeout_ms"}
    unknown = [key for name, (key, _) in members.items() if name not in known]
    if tool.parameters.get("additionalProperties") is False:
        for key in unknown:
            near = nearest(key.value, sorted(known))
            hint = f"did you mean `{near}`?" if near else f"it takes {', '.join(tool.parameters['properties'])}"
            message = f"tool `{tool.name}` takes no `{key.value}`"
            yield Fault(message, key.start, key.end, "tool-arguments", severity, hint)
    whole = {name: plain(value) for name, (_, value) in members.items()}
    if unknown or UNKNOWN in whole.values() or len(members) < len(table.items):
        return
    try:
        tool.fitted(whole)
    except ValidationError as error:
        yield Fault(error.message, table.start, table.end, "tool-arguments", severity, error.hint)


def _given(node: Call, assigned: Set[str]) -> tuple[str | None, Table | None]:
    """The tool that is run there by its name, and the table that it is given."""
    called = named(node, assigned)
    if called is None:
        return None, None
    name, at = None, 0
    if called.name in RUN_BY_NAME and called.arguments:
        name, at = text_of(called.arguments[0]), 1
    elif called.name in ("tool:execute", "tool:invoke"):
        name = _looked_up(node.function, assigned)
    given = called.arguments[at] if len(called.arguments) > at else None
    return name, given if isinstance(given, Table) else None


def _looked_up(node: Expression, assigned: Set[str]) -> str | None:
    """The name in `Tool.get("…")`, of which *node* is the tool."""
    if class_of(node, assigned) != "tool":
        return None
    if isinstance(node, Name) and node.local is not None and node.local.value is not None:
        node = node.local.value
    called = named(node, assigned) if isinstance(node, Call) else None
    return (
        text_of(called.arguments[0]) if called is not None and called.name == "Tool.get" and called.arguments else None
    )
