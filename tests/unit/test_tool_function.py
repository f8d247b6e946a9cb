"""Python functions as tools: what their hints and docstrings say, and how they are called."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import threading
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

import llmspell
from llmspell.errors import CallTimeoutError, ToolError, ValidationError
from llmspell.tools.base import ToolContext, ToolResult
from llmspell.tools.function import FunctionTool
from llmspell.tools.permissions import Permissions
from llmspell.types.media import Media

pytestmark = pytest.mark.once


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(TypedDict):
    x: float
    y: NotRequired[float]


@dataclasses.dataclass
class Person:
    name: str
    age: int = 0
    likes: list[Colour] = dataclasses.field(default_factory=list)


async def call(tool: FunctionTool, /, **arguments: Any) -> ToolResult:
    return await tool.execute(arguments, ToolContext(Permissions()))


def test_the_schema_is_that_of_the_hints() -> None:
    @llmspell.tool
    def look(
        text: str,
        count: int = 1,
        share: float | None = None,
        colour: Colour = Colour.RED,
        word: Literal["a", "b"] = "a",
        tags: Annotated[list[str], "what it is about"] = [],  # noqa: B006
        more: dict[str, int] | str = "x",
        pair: tuple[int, str] = (1, "a"),
        anything: Any = None,
    ) -> str:
        """Looks for a text.

        It looks everywhere.

        Args:
            text: what to look for,
                anywhere
            count (int): how often

        Returns:
            what it found
        """
        return text

    assert look.name == "look"
    assert look.description == "Looks for a text.\n\nIt looks everywhere."
    assert look.parameters == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "what to look for, anywhere"},
            "count": {"type": "integer", "description": "how often", "default": 1},
            "share": {"type": ["number", "null"]},
            "colour": {"enum": ["red", "blue"]},
            "word": {"enum": ["a", "b"], "default": "a"},
            "tags": {"type": "array", "items": {"type": "string"}, "description": "what it is about"},
            "more": {
                "anyOf": [{"type": "object", "additionalProperties": {"type": "integer"}}, {"type": "string"}],
                "default": "x",
            },
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
            "anything": {},
        },
        "additionalProperties": False,
        "required": ["text"],
    }
    assert look("still a function") == "still a function"


def test_sphinx_s_docstrings_are_read() -> None:
    def add(a: int, b: int) -> int:
        """Adds.

        :param a: the first,
            a number
        :param int b: the second
        :returns: the sum
        """
        return a + b

    tool = llmspell.tool(add)
    assert tool.description == "Adds."
    assert {name: one["description"] for name, one in tool.parameters["properties"].items()} == {
        "a": "the first, a number",
        "b": "the second",
    }


async def test_arguments_come_as_the_hints_say() -> None:
    seen: list[Any] = []

    @llmspell.tool
    def take(
        person: Person, colour: Colour | None, at: Place, pair: tuple[float, ...], names: set[str], n: int
    ) -> None:
        seen.extend([person, colour, at, pair, names, n])

    await call(
        take,
        person={"name": "A", "likes": ["red"]}, colour="blue", at={"x": 1}, pair=[1, 2], names=["a", "b"], n=3.0,
    )  # fmt: skip
    assert seen == [Person("A", 0, [Colour.RED]), Colour.BLUE, {"x": 1}, (1.0, 2.0), {"a", "b"}, 3]
    assert type(seen[5]) is int
    with pytest.raises(ValidationError, match=r"\$\.person\.nam: is not a member"):
        await call(take, person={"nam": "A"}, colour=None, at={"x": 1}, pair=[], names=[], n=1)


async def test_a_function_runs_in_a_thread_and_a_coroutine_on_the_loop() -> None:
    threads: list[Any] = []

    @llmspell.tool
    def blocking() -> None:
        threads.append(threading.current_thread())

    @llmspell.tool(name="other", description="Waits.", category="time", timeout=0.01)
    async def waiting(seconds: float) -> str:
        """Not this."""
        threads.append(threading.current_thread())
        await asyncio.sleep(seconds)
        return "done"

    await call(blocking)
    assert (await call(waiting, seconds=0)).result == "done"
    assert threads[0] is not threading.current_thread()
    assert threads[1] is threading.current_thread()
    assert (waiting.name, waiting.description, waiting.category) == ("other", "Waits.", "time")
    with pytest.raises(CallTimeoutError, match=r"took longer than 0.01 s"):
        await call(waiting, seconds=60)


async def test_what_it_gives() -> None:
    given: dict[str, Any] = {
        "person": Person("A", 1, [Colour.RED]),
        "text": "x",
        "list": ({1}, (2,)),
        "media": Media("image/png", b"x"),
        "result": ToolResult({"a": 1}, "told"),
        "wrong": object(),
    }

    @llmspell.tool
    def give(what: str) -> Any:
        return given[what]

    assert (await call(give, what="person")).result == {"name": "A", "age": 1, "likes": ["red"]}
    assert (await call(give, what="text")).told() == "x"
    assert (await call(give, what="list")).told() == "[[1],[2]]"
    assert (await call(give, what="media")).media == (given["media"],)
    assert (await call(give, what="result")) is given["result"]
    with pytest.raises(ToolError, match="is no plain value"):
        await call(give, what="wrong")
    with pytest.raises(ToolError, match="tool `give` failed: KeyError: 'nope'") as caught:
        await call(give, what="nope")
    assert caught.value.tool == "give"


async def test_parameters_may_have_any_name() -> None:
    @llmspell.tool
    def give(function: str, args: int, self: int, name: str = "n") -> Any:
        return [function, args, self, name]

    made = await give.execute({"function": "f", "args": 1, "self": 2}, ToolContext(Permissions()))
    assert made.result == ["f", 1, 2, "n"]


async def test_what_a_future_cannot_hold_is_an_error_and_no_hang() -> None:
    @llmspell.tool(timeout=20)
    def empty() -> Any:
        return next(iter(()))

    with pytest.raises(ToolError, match="StopIteration was raised"):
        await call(empty)


async def test_it_may_ask_for_the_context_and_bring_its_own_schema() -> None:
    @llmspell.tool
    async def who(context: ToolContext) -> Any:
        return context.agent

    assert who.parameters["properties"] == {}
    done = await who.execute({}, ToolContext(Permissions(), agent="me"))
    assert done.result == "me"

    @llmspell.tool(parameters={"type": "object", "properties": {"x": {"minimum": 3}}})
    def own(context: ToolContext, thread: threading.Thread | None = None, **anything: Any) -> Any:
        return {**anything, "agent": context.agent}

    assert (await call(own, x=3, y="b")).result == {"x": 3, "y": "b", "agent": None}
    with pytest.raises(ValidationError):
        await call(own, x=2)


def test_what_cannot_be_a_tool() -> None:
    def starred(*names: str) -> None: ...
    def unknown(a: threading.Thread) -> None: ...
    def unread(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function, said in (
        (starred, "arguments come by name"),
        (unknown, "no JSON Schema"),
        (unread, "cannot be read"),
    ):
        with pytest.raises(ValidationError, match=said):
            llmspell.tool(function)
    with pytest.raises(ValidationError, match="made of a function"):
        llmspell.tool(3)  # type: ignore[call-overload]
    with pytest.raises(ValidationError):
        llmspell.tool(parameters={"type": "objct"})(lambda: None)
