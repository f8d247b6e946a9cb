"""What a tool is: a name, a schema of its arguments, and something that runs."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import LimitError, LLMSpellError, ToolError, ValidationError, one_line
from llmspell.types.tools import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmspell.tools.permissions import Permissions
    from llmspell.types.media import Media

__all__ = ["Tool", "ToolContext", "ToolResult"]

MOST_COMPLAINTS = 5  # of a schema, in one message
MOST_DEEP = 50  # tools that wait for tools that wait for tools …

_deep: ContextVar[int] = ContextVar("llmspell_tools_deep", default=0)


class ToolResult(NamedTuple):
    """What a tool gave.

    result: plain data, for a script (`result` of what `Tool.execute` gives) and as `ToolCall.result`.
    text: what a model is told, and a person; made of `result` as JSON where it is None. media: images and files beside
    it. is_error: the tool did not do what it was asked to, and the model is to know.
    """

    result: Any = None
    text: str | None = None
    media: tuple[Media, ...] = ()
    is_error: bool = False

    def told(self) -> str:
        """The text for a model."""
        if self.text is not None:
            return self.text
        if isinstance(self.result, str):
            return self.result
        import orjson

        try:
            return orjson.dumps(self.result, default=_as_text, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            return str(self.result)


def _whole(value: Any, schema: Any, depth: int = 0) -> Any:
    """A value that fits, with 3.0 as 3 where its schema says integer: JSON does not tell them apart."""
    if not isinstance(schema, dict) or depth > 20:
        return value
    if isinstance(value, float):
        kinds = schema.get("type")
        whole = kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds and "number" not in kinds)
        return int(value) if whole and value.is_integer() else value
    if isinstance(value, dict) and isinstance(members := schema.get("properties"), dict):
        return {name: _whole(item, members.get(name), depth + 1) for name, item in value.items()}
    if isinstance(value, list) and isinstance(items := schema.get("items"), dict) and "type" in items:
        return [_whole(item, items, depth + 1) for item in value]
    return value


def _as_text(value: Any) -> str:
    """Bytes in a result, for `told`."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError


def _passes(error: BaseException) -> bool:
    """Whether it is meant for whoever called the tool, and not the tool's own failure.

    A tool's `sys.exit` is its failure; so is a cancellation that nobody asked of this task, as of what it waited for.
    """
    import asyncio

    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt | GeneratorExit)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception's own fault
        return ""


class ToolContext:
    """What one call of a tool may use.

    permissions: what it may reach. call_id, agent: where a model made the call, its name for it, and whose it is.
    on_progress: is told of a text, for whoever looks on. settings: `[tools]` of the configuration, by tool.
    run: the script's run, where there is one; only tools of the bridge look at it. tools, call: of an agent whose model
    made the call, its tools by name, and a function that calls one of them as the model would: by name, with arguments.
    """

    __slots__ = ("agent", "call", "call_id", "on_progress", "permissions", "run", "settings", "tools")

    def __init__(
        self,
        permissions: Permissions,
        *,
        call_id: str | None = None,
        agent: str | None = None,
        on_progress: Callable[[str], object] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        run: Any = None,
    ) -> None:
        self.permissions = permissions
        self.call_id, self.agent = call_id, agent
        self.on_progress = on_progress
        self.settings = settings or {}
        self.run = run
        self.tools: Mapping[str, Tool] | None = None
        self.call: Callable[[str, dict[str, Any]], Awaitable[ToolResult]] | None = None

    def setting(self, tool: str, name: str, default: Any) -> Any:
        """What the configuration says of a tool, else *default*."""
        return self.settings.get(tool.replace("-", "_"), {}).get(name, default)

    def heard(self, source: str, read: Callable[[], Any]) -> Any:
        """What *read* gives of a clock or of chance, a plain value; of a run that is replayed, what it gave then."""
        tape = None if self.run is None else self.run.tape
        return read() if tape is None else tape.value(source, read)


class Tool:
    """A tool. A subclass says what it is in class attributes, or an instance in its own, and has `run`.

    name: letters, digits, `_` and `-`, at most 64; category: for `Tool.categories`. parameters: a JSON Schema, an
    object's. timeout: seconds for one call; None is without limit. needs: the capabilities that it asks for, in words.
    renamed: older names of arguments, to what they are called now. takes_bytes: arguments that are strings by the
    schema, and may be bytes that are no text when they come from a script. fills: of a tool that fills in a template,
    the arguments with the template and with its values: in a workflow's step, names that have one are left to the tool.
    works: whether it takes time of its own;
    one that only calls the script, or an agent, does not.
    """

    name: str = ""
    description: str = ""
    category: str = "other"
    parameters: Mapping[str, Any] = {"type": "object", "properties": {}}
    timeout: float | None = 60.0
    needs: tuple[str, ...] = ()
    renamed: Mapping[str, str] = {}
    takes_bytes: tuple[str, ...] = ()
    fills: tuple[str, str] | None = None
    works: bool = True

    _schema: Any = None

    def __repr__(self) -> str:
        return f"<tool {self.name}>"

    @property
    def spec(self) -> ToolSpec:
        """What a model is told of it."""
        return ToolSpec(self.name, self.description, self.parameters)

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Does it. *arguments* fit `parameters`. Raises LLMSpellError; cancelled, it leaves nothing running."""
        raise NotImplementedError

    def complaints(self, arguments: Any) -> list[str]:
        """What is wrong with arguments, by the schema; none where they fit."""
        if self._schema is None:
            from llmspell.tools.schema import Schema

            self._schema = Schema(self.parameters)
        if self.takes_bytes and isinstance(arguments, dict):
            arguments = {
                name: "" if name in self.takes_bytes and isinstance(value, bytes) else value
                for name, value in arguments.items()
            }
        found: list[str] = self._schema.check(arguments)
        return found

    def fitted(self, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """The arguments by their present names, in seconds. Raises ValidationError for those that do not fit."""
        given = dict(arguments or {})
        for old, name in self.renamed.items():
            if old in given and name not in given and old not in self.parameters.get("properties", {}):
                given[name] = given.pop(old)
        known, older = self.parameters.get("properties", {}), given.get("timeout_ms")
        if "timeout" in known and "timeout_ms" not in known and type(older) in (int, float) and "timeout" not in given:
            given["timeout"] = given.pop("timeout_ms") / 1000
        if complaints := self.complaints(given):
            raise ValidationError(
                f"tool `{self.name}`: {'; '.join(one_line(one, 300) for one in complaints[:MOST_COMPLAINTS])}",
                hint=self._hint(given),
                tool=self.name,
            )
        return {name: _whole(value, self.parameters.get("properties", {}).get(name)) for name, value in given.items()}

    def _hint(self, given: dict[str, Any]) -> str:
        """What to do about arguments that do not fit: the names nearest to those that are not known."""
        known = list(self.parameters.get("properties", {}))
        unknown = [name for name in given if isinstance(name, str) and name not in known and len(name) <= 64]
        if unknown and known:
            from difflib import get_close_matches

            near = {name: get_close_matches(name, known, 1, 0.6) for name in unknown[:MOST_COMPLAINTS]}
            if told := [f"`{close[0]}` for `{one_line(name)}`" for name, close in near.items() if close]:
                return f"did you mean {', '.join(told)}?"
            return f"it takes {', '.join(known)}"
        return f'see its schema: `Tool.get_schema("{self.name}")`'

    async def execute(self, arguments: Mapping[str, Any] | None, context: ToolContext) -> ToolResult:
        """The whole of a call: permission, the schema, the time limit, `run`; other exceptions become ToolError.

        Raises PermissionDeniedError, ValidationError for arguments that do not fit, ToolError, LimitError where tools
        call tools too deep, and what `run` raises.
        """
        await context.permissions.need("tool", self.name, by=context.agent or "the script")
        given = self.fitted(arguments)
        deep = _deep.get()
        if deep >= MOST_DEEP:
            raise LimitError(
                f"tools call tools more than {MOST_DEEP} deep",
                hint="does one call itself, or an agent that has it?",
                limit="tool_depth",
                value=MOST_DEEP,
                tool=self.name,
            )
        token = _deep.set(deep + 1)
        try:
            return await self._told(given, context)
        finally:
            _deep.reset(token)

    async def _told(self, given: dict[str, Any], context: ToolContext) -> ToolResult:
        """What it gives; the log is told how long it took and how it ended, and neither arguments nor results."""
        from logging import INFO, WARNING  # asyncio has it already

        from llmspell.utils import logs

        if not logs.heard("tools", WARNING):
            return await self._executed(given, context)
        failed: dict[str, Any] = {"error": "cancelled"}
        begun, level = monotonic(), INFO
        try:
            result = await self._executed(given, context)
            failed = {"error": "its result"} if result.is_error else {}
            level = WARNING if result.is_error else INFO
        except Exception as error:
            failed, level = logs.error_fields(error), WARNING
            raise
        finally:
            told = {"tool": self.name, "agent": context.agent, "ms": round((monotonic() - begun) * 1000, 1)}
            logs.tell("tools", level, "tool ended", {**told, **failed})
        return result

    async def _executed(self, given: dict[str, Any], context: ToolContext) -> ToolResult:
        if self.works and context.run is not None and context.run.tape is not None:
            from llmspell.tools.taped import taped

            return await taped(context.run, self.name, given, bool(self.needs), lambda: self._converted(given, context))
        return await self._converted(given, context)

    async def _converted(self, given: dict[str, Any], context: ToolContext) -> ToolResult:
        from llmspell.tools.results import fit

        try:
            return fit(await self._timed(given, context), self.name)
        except LLMSpellError as error:
            error.context.setdefault("tool", self.name)
            raise
        except BaseException as error:
            if _passes(error):
                raise
            raise ToolError(
                one_line(f"tool `{self.name}` failed: {type(error).__name__}: {_said(error)}", 1000),
                cause=error,
                tool=self.name,
            ) from error

    async def _timed(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        timeout = context.setting(self.name, "timeout", self.timeout)
        if not timeout:
            return await self.run(arguments, context)
        from llmspell.tools.clocks import within

        try:
            async with within(timeout) as limit:
                return await self.run(arguments, context)
        except TimeoutError as error:
            if not limit.expired():
                raise
            from llmspell.errors import CallTimeoutError

            raise CallTimeoutError(
                f"tool `{self.name}` took longer than {timeout:g} s",
                hint=f"give it less to do, or raise `tools.{self.name}.timeout`",
                tool=self.name,
            ) from error
