"""Calls of llmspell's functions: which one it is, whether its arguments are as many as it takes, its literal tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.bridge import api
from llmspell.bridge.failures import nearest
from llmspell.bridge.lint.known import API, FIELDS, FUNCTIONS, METHODS, NESTED, TABLES
from llmspell.bridge.lint.lexer import FLOAT, INTEGER, STRING
from llmspell.bridge.lint.problems import ERROR, WARNING, Fault
from llmspell.bridge.lint.survey import MOST_HOPS, path_of, text_of
from llmspell.bridge.lint.tree import Call, Constant, Index, Name, Paren, Table, Unary, Vararg
from llmspell.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from llmspell.bridge.lint.survey import Survey
    from llmspell.bridge.lint.tree import Expression
    from llmspell.bridge.signatures import Signature

__all__ = [
    "UNKNOWN",
    "Called",
    "check_calls",
    "class_of",
    "fields_of",
    "listed",
    "named",
    "of_agent_builder",
    "plain",
    "strings",
    "tables",
]

#: Methods of an agent's builder that are no fields of an agent.
BUILDER = frozenset(("tool", "allow_tool", "build"))
#: Classes whose methods are called with a dot as well, and those whose methods nobody lists.
DOTTED = frozenset(("tool", "Media"))
UNKNOWN = object()  # a value that is not known before the script runs


class Called:
    """A call of one of llmspell's functions. name: as messages have it. arguments: without the thing before a colon."""

    __slots__ = ("arguments", "name", "node", "signature")

    def __init__(self, node: Call, name: str, signature: Signature, arguments: list[Expression]) -> None:
        self.node, self.name, self.signature, self.arguments = node, name, signature, arguments


def named(node: Call, assigned: Set[str]) -> Called | None:
    """What *node* calls, where that is a function of llmspell's. assigned: globals that scripts give a value."""
    if node.method is None:
        path = path_of(node.function)
        if path is None or len(path) != 2 or path[0] in assigned:
            return None
        signature = FUNCTIONS.get((path[0], path[1]))
        return None if signature is None else Called(node, ".".join(path), signature, node.arguments)
    owner = class_of(node.function, assigned)
    method = METHODS.get(owner or "", {}).get(node.method.value)
    return None if method is None else Called(node, f"{owner}:{method.name}", method, node.arguments)


def class_of(node: Expression, assigned: Set[str], hops: int = MOST_HOPS) -> str | None:
    """The class of what *node* surely gives: `agent` of `Agent.create{…}`, and of a local that is that."""
    while hops > 0:
        hops -= 1
        if isinstance(node, Paren):
            node = node.inner
        elif isinstance(node, Name):
            if node.local is None or node.local.changed or node.local.value is None:
                return None
            node = node.local.value
        elif isinstance(node, Call):
            if node.method is None:
                called = named(node, assigned)
                owner = called.signature.returns.removesuffix("?") if called else ""
            else:
                inner = class_of(node.function, assigned, hops // 2)
                method = METHODS.get(inner or "", {}).get(node.method.value)
                owner = method.returns.removesuffix("?") if method else ""
                if node.method.value == "build" and of_agent_builder(node, assigned):
                    owner = "agent"
            return owner if owner in METHODS else None
        else:
            return None
    return None


def check_calls(survey: Survey, assigned: Set[str]) -> Iterator[Fault]:
    """What is wrong with the calls."""
    for node, inside in survey.calls:
        severity = WARNING if survey.protected(inside) else ERROR
        for fault in _check_call(node, survey, assigned):
            if severity == WARNING:
                fault.severity = WARNING
            yield fault


def _check_call(node: Call, survey: Survey, assigned: Set[str]) -> Iterator[Fault]:
    called = named(node, assigned)
    if called is not None:
        yield from _count(called)
        for parameter, argument in zip(called.signature.parameters, called.arguments, strict=False):
            if isinstance(argument, Table) and (type_ := table_type(parameter.type)) is not None:
                yield from check_table(argument, type_, called.name)
    elif node.method is not None:
        yield from _method(node, survey, assigned)
    else:
        yield from _dotted(node, assigned)


def _method(node: Call, survey: Survey, assigned: Set[str]) -> Iterator[Fault]:
    """A method that is none that is known."""
    method = node.method
    assert method is not None
    key = method.value
    path = path_of(node.function)
    if path is not None and len(path) == 1 and path[0] in API and path[0] not in assigned:
        if (path[0], key) in FUNCTIONS:
            message = f"`{path[0]}.{key}` is called with a colon, and takes a dot"
            yield Fault(message, method.start, method.end, "colon", ERROR, f"write `{path[0]}.{key}(…)`")
        return
    owner = class_of(node.function, assigned)
    if owner is not None and key not in survey.set_members and key not in FIELDS.get(owner, ()):
        near = nearest(key, sorted(METHODS[owner]))
        hint = f"did you mean `{near}`?" if near else f"it has {', '.join(sorted(METHODS[owner]))}"
        message = f"{_article(owner)} has no method `{key}`"
        yield Fault(message, method.start, method.end, "unknown-member", ERROR, hint)
    elif owner is None:
        yield from _builder(node, method, assigned)


def _builder(node: Call, method: Constant, assigned: Set[str]) -> Iterator[Fault]:
    """`Agent.builder():model("…")`: a method for each field of an agent."""
    if not of_agent_builder(node, assigned) or method.value in BUILDER:
        return
    fields = api.AGENT
    if method.value not in fields:
        near = nearest(method.value, [*fields, *BUILDER])
        hint = f"did you mean `{near}`?" if near else f"it has {', '.join([*fields, *sorted(BUILDER)])}"
        message = f"`Agent.builder()` has no method `{method.value}`"
        yield Fault(message, method.start, method.end, "unknown-member", ERROR, hint)
    elif node.arguments:
        yield from _value(method.value, node.arguments[0], fields, "Agent.create", "")


def of_agent_builder(node: Call, assigned: Set[str]) -> bool:
    """Whether *node* is a method of an agent's builder, or of what such a method gives."""
    at: Expression = node
    for _ in range(200):  # as long as chains are, and longer
        if not isinstance(at, Call):
            return False
        if at.method is None:
            called = named(at, assigned)
            return called is not None and called.name == "Agent.builder"
        if at is not node and at.method.value == "build":
            return False  # gives the agent
        at = at.function
        if isinstance(at, Name) and at.local is not None and not at.local.changed and at.local.value is not None:
            at = at.local.value
    return False


def _dotted(node: Call, assigned: Set[str]) -> Iterator[Fault]:
    """`agent.execute("…")`, where a colon is meant."""
    function = node.function
    if not isinstance(function, Index) or (key := text_of(function.key)) is None:
        return
    owner = class_of(function.object, assigned)
    if owner is None or owner in DOTTED or key not in METHODS[owner]:
        return
    first = node.arguments[0] if node.arguments else None
    if first is None or isinstance(first, Constant | Table):
        message = f"`{key}` is called with a dot, and takes a colon"
        yield Fault(message, function.key.start, function.key.end, "colon", ERROR, f"write `{owner}:{key}(…)`")


def _article(owner: str) -> str:
    return f"a{'n' if owner[0] in 'aeiou' else ''} {owner}"


def _count(called: Called) -> Iterator[Fault]:
    """How many arguments it is given."""
    arguments, parameters = called.arguments, called.signature.parameters
    if arguments and isinstance(arguments[-1], Call | Vararg):
        return  # gives as many as it likes
    least = sum(not one.optional and one.name != "..." for one in parameters)
    most = len(parameters) if not any(one.name == "..." for one in parameters) else None
    told = ", ".join(f"{one.name}{'?' if one.optional else ''}" for one in parameters)
    hint = f"it is `{called.name}({told})`"
    if len(arguments) < least:
        missing = [one.name for one in parameters if not one.optional][len(arguments) :]
        message = f"`{called.name}` needs {' and '.join(f'`{name}`' for name in missing)}"
        yield Fault(message, called.node.function.start, called.node.end, "arguments", WARNING, hint)
    elif most is not None and len(arguments) > most:
        takes = f"{most or 'no'} argument{'' if most == 1 else 's'}"
        message = f"`{called.name}` takes {takes}, and is given {len(arguments)}"
        yield Fault(message, arguments[most].start, arguments[-1].end, "arguments", WARNING, hint)


# ---- tables


def table_type(type_: str) -> str | None:
    """The name in TABLES that a parameter's type has: `Input` of `Input|string`."""
    return next((one for one in type_.removesuffix("?").split("|") if one in TABLES), None)


def fields_of(table: Table) -> Iterator[tuple[Constant, Expression]]:
    """The fields whose names are written there."""
    for key, value in table.items:
        if isinstance(key, Constant) and key.kind == STRING:
            yield key, value


def check_table(table: Table, type_: str, function: str, where: str = "", depth: int = 0) -> Iterator[Fault]:
    """The literal *table*, where *function* takes one of *type_*. where: its place in what the function is given."""
    fields = TABLES[type_]
    for key, value in fields_of(table):
        shown = f"{where}.{key.value}" if where else key.value
        if key.value not in fields:
            near = nearest(key.value, fields)
            hint = f"did you mean `{near}`?" if near else f"it takes {', '.join(fields)}"
            yield Fault(f"`{function}` has no field `{shown}`", key.start, key.end, "unknown-field", ERROR, hint)
            continue
        yield from _value(key.value, value, fields, function, where)
        inner = NESTED.get((type_, key.value))
        if inner is not None and isinstance(value, Table) and depth < 4:
            yield from _nested(value, inner, function, shown, depth + 1)


def _nested(table: Table, type_: str, function: str, where: str, depth: int) -> Iterator[Fault]:
    """A list of tables; or one alone, where that may stand there."""
    by_name = any(key is not None for key, _ in table.items)
    if by_name and type_ in ("Step", "Branch"):
        steps = next((value for key, value in fields_of(table) if key.value == "steps"), None)
        if isinstance(steps, Table):
            yield from _nested(steps, "Step", function, f"{where}.steps", depth)
        elif all(key is not None for key, _ in table.items):
            yield from check_table(table, type_, function, where, depth)
        return
    if by_name:
        if type_ == "Parameters":
            yield from check_table(table, type_, function, where, depth)
        return
    for number, (_, item) in enumerate(table.items, 1):
        if isinstance(item, Table):
            yield from check_table(item, type_, function, f"{where}[{number}]", depth)


def _value(
    name: str, value: Expression, fields: dict[str, tuple[str, str]], function: str, where: str
) -> Iterator[Fault]:
    """A value that is written there, and does not fit its field."""
    told = plain(value)
    if told is UNKNOWN:
        return
    try:
        api.check(function, {name: fields[name]}, {name: told}, where)
    except ValidationError as error:
        yield Fault(error.message, value.start, value.end, "field-type", ERROR, error.hint)


def plain(node: Expression) -> Any:
    """A string, number or boolean that stands there, as the host gets it; else UNKNOWN."""
    if isinstance(node, Unary) and node.operator == "-" and isinstance(node.operand, Constant):
        number = plain(node.operand)
        return -number if type(number) in (int, float) else UNKNOWN
    if not isinstance(node, Constant):
        return UNKNOWN
    if node.kind == STRING:
        return node.value
    if node.kind == INTEGER:
        return int(node.value, 16 if node.value[:2] in ("0x", "0X") else 10) & (1 << 64) - 1
    if node.kind == FLOAT:
        return float.fromhex(node.value) if node.value[:2] in ("0x", "0X") else float(node.value)
    return {"true": True, "false": False}.get(node.kind, UNKNOWN)


# ---- what is written in a call


def strings(node: Expression) -> Iterator[Constant]:
    """A string that stands there."""
    if isinstance(node, Constant) and text_of(node) is not None:
        yield node


def listed(node: Expression) -> Iterator[Constant]:
    """The strings of a list that stands there."""
    if isinstance(node, Table):
        for key, value in node.items:
            if key is None:
                yield from strings(value)


def tables(parameters: tuple[object, ...], arguments: list[Expression]) -> Iterator[tuple[Table, str]]:
    """The literal tables that are given where one of TABLES is taken, and its name there."""
    for parameter, argument in zip(parameters, arguments, strict=False):
        type_ = table_type(getattr(parameter, "type", ""))
        if isinstance(argument, Table) and type_ is not None:
            yield argument, type_
