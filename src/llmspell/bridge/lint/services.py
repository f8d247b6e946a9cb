"""Models, providers and tools that a script names in so many words, and that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.lint.calls import fields_of, named, of_agent_builder, table_type
from llmspell.bridge.lint.problems import ERROR, WARNING, Fault
from llmspell.bridge.lint.survey import text_of
from llmspell.bridge.lint.tree import Call, Constant, Table
from llmspell.errors import ConfigError, LLMSpellError
from llmspell.tools.registry import ALSO, BUILTIN, ToolRegistry, plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from llmspell.bridge.lint.survey import Survey
    from llmspell.bridge.lint.tree import Expression
    from llmspell.providers.manager import ProviderManager

__all__ = ["Tools", "check_models", "check_tools"]

#: Functions whose first argument is the name of a tool that must be there.
BY_NAME = frozenset(
    ("Tool.get", "Tool.execute", "Tool.executeAsync", "Tool.invoke", "Tool.get_info", "Tool.get_schema")
)
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


def _tool_names(node: Call, assigned: Set[str]) -> Iterator[Constant]:
    called = named(node, assigned)
    if called is None:
        if node.method is not None and of_agent_builder(node, assigned) and node.arguments:
            if node.method.value in ("tool", "allow_tool"):
                yield from _strings(node.arguments[0])
            elif node.method.value in ("tools", "allowed_tools"):
                yield from _listed(node.arguments[0])
        return
    if called.name in BY_NAME and called.arguments:
        yield from _strings(called.arguments[0])
    for table, type_ in _tables(called.signature.parameters, called.arguments):
        if type_ == "AgentConfig":
            for key, value in fields_of(table):
                if key.value in ("tools", "allowed_tools"):
                    yield from _listed(value)
        elif type_.endswith("Config"):
            yield from _of_steps(table, 0)


def _of_steps(table: Table, depth: int) -> Iterator[Constant]:
    """The tools of a workflow's steps, and of those of its branches."""
    for key, value in table.items:
        name = text_of(key)
        if name == "tool":
            yield from _strings(value)
        elif isinstance(value, Table) and depth < 6 and (key is None or name in STEPS):
            yield from _of_steps(value, depth + 1)


def _strings(node: Expression) -> Iterator[Constant]:
    if isinstance(node, Constant) and text_of(node) is not None:
        yield node


def _listed(node: Expression) -> Iterator[Constant]:
    if isinstance(node, Table):
        for key, value in node.items:
            if key is None:
                yield from _strings(value)


def _tables(parameters: tuple[object, ...], arguments: list[Expression]) -> Iterator[tuple[Table, str]]:
    for parameter, argument in zip(parameters, arguments, strict=False):
        type_ = table_type(getattr(parameter, "type", ""))
        if isinstance(argument, Table) and type_ is not None:
            yield argument, type_


def check_models(survey: Survey, assigned: Set[str], providers: ProviderManager) -> Iterator[Fault]:
    """Providers that are named, alone or before a model, and that there are not. Nobody is asked."""
    for node, inside in survey.calls:
        severity = WARNING if survey.protected(inside) else ERROR
        for name, shown in _provider_names(node, assigned):
            try:
                providers.type_of(shown)
            except ConfigError as error:
                yield Fault(error.message, name.start, name.end, "unknown-provider", severity, error.hint)


def _provider_names(node: Call, assigned: Set[str]) -> Iterator[tuple[Constant, str]]:
    called = named(node, assigned)
    if called is None:
        word = node.method.value if node.method is not None and of_agent_builder(node, assigned) else ""
        for one in _strings(node.arguments[0]) if node.arguments and word in ("provider", "model") else ():
            prefix, slash, _ = one.value.partition("/")
            if slash or word == "provider":
                yield one, prefix if word == "model" else one.value
        return
    for table, type_ in _tables(called.signature.parameters, called.arguments):
        if type_ in ("AgentConfig", "EmbedConfig"):
            fields = {key.value: value for key, value in fields_of(table)}
            if "base_url" in fields or "custom_config" in fields:
                continue
            if "provider" in fields:  # then a prefix is the model's own
                yield from ((one, one.value) for one in _strings(fields["provider"]))
            elif "model" in fields:
                for one in (*_strings(fields["model"]), *_listed(fields["model"])):
                    prefix, slash, _ = one.value.partition("/")
                    if slash:
                        yield one, prefix
