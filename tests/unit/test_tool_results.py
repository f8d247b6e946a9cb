"""What a tool gives, or raises, whatever that is: it becomes plain data, or an error that says whose fault it is."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
from typing import Any, NamedTuple

import pytest

import llmspell
from llmspell import ScriptRuntime
from llmspell.errors import ToolError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.permissions import Permissions
from llmspell.tools.registry import ToolRegistry
from support.tools import Does, asks, calling, scripted

pytestmark = pytest.mark.once


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Own(BaseException):
    pass


class Word(enum.Enum):
    A = "a"


@dataclasses.dataclass
class Point:
    x: int
    y: Word


class Pair(NamedTuple):
    left: int
    right: bytes


class Real(float):
    pass


class Whole(int):
    pass


class Odd(bytes):
    pass


ODD: list[tuple[Any, Any]] = [
    ({1, 2}, [1, 2]),
    ({(1, 2): 3, None: 4}, {"(1, 2)": 3, "None": 4}),
    (enum.IntEnum("Size", "small").small, 1),  # type: ignore[attr-defined]
    ("odd \ud800 name", "odd ? name"),
    ({"a\udcff": ["\udcff"]}, {"a?": ["?"]}),
    (nested(59), nested(59)),
    (Word.A, "a"),
    ((Point(1, Word.A), Pair(1, b"b")), [{"x": 1, "y": "a"}, {"left": 1, "right": b"b"}]),
    ({True: Real(0.5), Whole(2): Odd(b"\xff")}, {"True": 0.5, 2: b"\xff"}),
    ([datetime.date(2026, 1, 31), frozenset({"a"})], ["2026-01-31", ["a"]]),
]
WRONG: list[tuple[Any, str]] = [
    (object(), "a object is no plain value"),
    (Point, "a type is no plain value"),
    (nested(70), "nested too deep"),
    (nested(5000), "nested too deep"),
    (10**5000, "a whole number is too large"),
    ([[0] * 1500] * 1500, "more than 2,000,000 values"),
]


@pytest.mark.parametrize(
    ("given", "made"), ODD, ids=[
        "set", "keys", "enum", "surrogate", "surrogates within", "deep", "word", "fields", "kinds", "others",
    ],
)  # fmt: skip
async def test_what_a_tool_gives_becomes_plain_data(given: Any, made: Any) -> None:
    done = await Does("odd", lambda _: ToolResult(given)).execute({}, ToolContext(Permissions()))
    assert done.result == made
    assert done.told().encode()


@pytest.mark.parametrize(("given", "said"), WRONG, ids=["object", "class", "deep", "deeper", "large", "many"])
async def test_what_cannot_be_passed_on_is_the_tools_error(given: Any, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        await Does("odd", lambda _: ToolResult(given)).execute({}, ToolContext(Permissions()))


async def test_a_tool_that_gives_no_result_is_told_so() -> None:
    class Plain(Tool):
        name = "plain"

        async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
            return "text"  # type: ignore[return-value]

    with pytest.raises(ToolError, match="`plain` gave a str, and no ToolResult"):
        await Plain().execute({}, ToolContext(Permissions()))


@pytest.mark.parametrize("how", ['agent:execute("go")', 'agent:stream_execute("go"):collect()'])
def test_a_model_cannot_end_a_run_by_what_a_tool_makes_of_its_words(how: str) -> None:
    deep = asks("json_processor", operation="parse", input="[" * 100 + "]" * 100)
    manager = ProviderManager({}, env={})
    manager.register(MockProvider([calling(deep), "sorry"]))
    script = f'local agent = Agent.create{{ tools = {{ "json_processor" }} }} return {how}.text'
    assert ScriptRuntime(timeout=30, providers=manager, model="mock").run(script).result == "sorry"


@pytest.mark.parametrize("error", [Mute, Own, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_whatever_a_tool_raises_is_its_failure(error: type[BaseException], kind: str) -> None:
    async def boom() -> None:
        raise error

    def plain_boom() -> None:
        raise error

    plain_boom.__name__ = "boom"
    agent, _ = scripted([calling(asks("boom")), "done"], [boom if kind == "async" else plain_boom])
    async with asyncio.timeout(10):
        output = await agent.execute("go")
    assert output.text == "done"
    assert output.tool_calls[0].error == f"tool `boom` failed: {error.__name__}:"


async def test_a_tool_that_waits_for_what_was_cancelled_holds_nobody_up() -> None:
    async def waits() -> None:
        other = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(other.cancel)
        await other

    agent, _ = scripted([calling(asks("waits")), "done"], [waits])
    async with asyncio.timeout(10):
        assert "CancelledError" in ((await agent.execute("go")).tool_calls[0].error or "")


async def test_a_cancellation_and_an_interrupt_pass_through_a_tool() -> None:
    begun = asyncio.Event()

    async def stays() -> None:
        begun.set()
        await asyncio.sleep(60)

    tool = llmspell.tool(stays)
    task = asyncio.create_task(tool.execute({}, ToolContext(Permissions())))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    coroutine = Does("stop", interrupted).execute({}, ToolContext(Permissions()))
    with pytest.raises(KeyboardInterrupt):
        coroutine.send(None)


def test_a_script_reads_what_an_embedders_tool_gave_whatever_it_is() -> None:
    tools = ToolRegistry()
    tools.register(Does("odd", lambda _: ToolResult({"names": {"\udcff"}, "size": enum.IntEnum("S", "a")(1)})))
    script = 'local r = Tool.execute("odd").result return { r.names[1], r.size }'
    assert ScriptRuntime(timeout=30, tools=tools).run(script).result == ["?", 1]
