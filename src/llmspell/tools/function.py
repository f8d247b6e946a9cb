"""`llmspell.tool`: a Python function as a tool. Its type hints are the schema, its docstring says what it does."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_type_hints, overload

from llmspell.errors import ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.hints import as_hinted, schema_of
from llmspell.tools.work import WAITING, in_thread
from llmspell.types.media import Media, is_content, media_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["FunctionTool", "tool"]


class FunctionTool(Tool):
    """A function as a tool; called, it is the function still.

    Without *parameters* the schema is made of the type hints, and arguments come as these say. A parameter that is
    annotated `ToolContext` gets the call's, and is none of the tool's. A function that is not async runs in a thread.
    Raises ValidationError for a hint that no schema can say.
    """

    category = "python"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        category: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        if not callable(function):
            raise ValidationError(f"a tool is made of a function, not of a {type(function).__name__}")
        self.function = function
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        text, about = _documented(inspect.getdoc(function) or "")
        self.description = text if description is None else description
        self.category = category or self.category
        self.timeout = timeout
        self._context: str | None = None
        self._hints: dict[str, Any] = {}
        self.parameters = self._read(about) if parameters is None else parameters
        if parameters is not None:
            self._context = next((one for one, hint in self._told_hints(lenient=True) if hint is ToolContext), None)
        self.complaints({})  # a schema that is none is told now

    def _told_hints(self, *, lenient: bool = False) -> Iterable[tuple[str, Any]]:
        """The type hints by name. lenient: none where they cannot be read."""
        function = self.function
        source = function if inspect.isroutine(function) else type(function).__call__
        try:
            return get_type_hints(source, localns={"ToolContext": ToolContext}, include_extras=True).items()
        except NameError as error:
            if lenient:
                return ()
            raise ValidationError(
                f"the type hints of `{self.name}` cannot be read: {one_line(str(error), 100)}",
                hint="what they name must be there when the program runs: import it outside of `if TYPE_CHECKING`",
            ) from None

    def _read(self, about: Mapping[str, str]) -> dict[str, Any]:
        hints = dict(self._told_hints())
        members: dict[str, Any] = {}
        needed: list[str] = []
        more = False
        for one in self._signature().parameters.values():
            hint = hints.get(one.name, Any)
            if hint is ToolContext:
                self._context = one.name
            elif one.kind is one.VAR_KEYWORD:
                more = True
            elif one.kind in (one.VAR_POSITIONAL, one.POSITIONAL_ONLY):
                raise ValidationError(
                    f"the tool `{self.name}` cannot take `{one.name}`: arguments come by name",
                    hint="give it parameters that can be named",
                )
            else:
                self._hints[one.name] = hint
                members[one.name] = self._member(one, hint, about.get(one.name))
                if one.default is one.empty:
                    needed.append(one.name)
        made: dict[str, Any] = {"type": "object", "properties": members, "additionalProperties": more}
        return made | {"required": needed} if needed else made

    def _signature(self) -> inspect.Signature:
        try:
            return inspect.signature(self.function)
        except (ValueError, TypeError):
            raise ValidationError(
                f"what `{self.name}` takes cannot be read", hint="write a function with type hints that calls it"
            ) from None

    def _member(self, one: inspect.Parameter, hint: Any, about: str | None) -> dict[str, Any]:
        made = schema_of(hint, f"`{one.name}` of the tool `{self.name}`")
        if about is not None:
            made.setdefault("description", about)
        if one.default is not one.empty and isinstance(one.default, str | int | float | bool):
            made.setdefault("default", getattr(one.default, "value", one.default))
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        given = {name: as_hinted(self._hints.get(name, Any), value) for name, value in arguments.items()}
        if self._context is not None:
            given[self._context] = context
        if _is_async(self.function):
            value = await self.function(**given)
        else:
            value = await in_thread(WAITING, self.function, **given)
            if inspect.isawaitable(value):
                value = await value
        return self._result(value)

    def _result(self, value: Any) -> ToolResult:
        if isinstance(value, ToolResult):
            return value
        if (medium := media_of(value)) is not None:
            return ToolResult(None, f"{medium.kind}: {medium.mime_type}", (medium,))
        if (
            isinstance(value, list | tuple)
            and value
            and all(isinstance(one, Media) or is_content(one) for one in value)
        ):
            media = tuple(one for one in map(media_of, value) if one is not None)
            return ToolResult(None, ", ".join(f"{one.kind}: {one.mime_type}" for one in media), media)
        return ToolResult(value)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    category: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = 60.0,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """A function as a tool; a decorator, with or without options.

        @llmspell.tool
        def add(a: int, b: int = 1) -> int:
            \"\"\"Adds two numbers.

            Args:
                a: the first
                b: the second
            \"\"\"
            return a + b

    name, description: in place of the function's own name and the beginning of its docstring. category: for
    `Tool.categories`. parameters: a JSON Schema in place of the one that the hints make. timeout: seconds for a call;
    None is without limit. Gives a FunctionTool, for `ToolRegistry.register`.
    """
    if function is not None:
        return FunctionTool(function)
    return lambda one: FunctionTool(one, **options)


def _documented(text: str) -> tuple[str, dict[str, str]]:
    """A docstring's description, and what it says of arguments: Google's `Args:`, or `:param name:`."""
    said: list[str] = []
    about: dict[str, str] = {}
    section, last, indent = "", "", -1
    for line in text.splitlines():
        word = line.strip()
        deep = len(line) - len(line.lstrip())
        if word.startswith(":"):
            head, _, rest = word[1:].partition(":")
            section, last, indent = "field", head.split()[-1] if head.startswith("param ") else "", -1
            if last:
                about[last] = rest.strip()
        elif deep == 0 and word.endswith(":") and word[:-1].replace(" ", "").isalpha() and word[:1].isupper():
            section, last, indent = word[:-1].lower(), "", -1
        elif deep == 0 and word and section != "field":
            section = ""
            said.append(word)
        elif section in ("args", "arguments", "parameters") and word:
            indent = deep if indent < 0 else indent
            name, colon, rest = word.partition(":")
            if colon and deep == indent:
                last = name.partition("(")[0].strip().lstrip("*")
                about[last] = rest.strip()
            elif last:
                about[last] = f"{about[last]} {word}".strip()
        elif section == "field" and last and word:
            about[last] = f"{about[last]} {word}".strip()
        elif section == "":
            said.append(word)
    return "\n".join(said).strip(), about
