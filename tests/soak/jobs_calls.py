"""Jobs of Python's own: calls and streams of agents, whole, cut off, cancelled, left alone, at once."""

from __future__ import annotations

import asyncio
import struct
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

from llmspell import Agent
from llmspell.errors import LLMSpellError
from llmspell.types.media import Media
from llmspell.types.messages import Message
from llmspell.types.streaming import Control, Text
from soak.faults import FAULTS, GARBLED, STALLS, TEXT
from soak.world import DIALECT_NAMES, OK, Told, Wrong, sound, temper_for

if TYPE_CHECKING:
    from random import Random

    from llmspell.providers.manager import ProviderManager
    from soak.world import World

__all__ = ["CALLS"]

NOT_STALLS = [name for name in FAULTS if name not in STALLS]
FINE = ["none", "sized", "pieces", "paced", "slow-body", "gzip"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}


def png(dice: Random) -> bytes:
    """A picture's file, of some size, whose points are noise."""
    head = struct.pack(">IIBBBBB", dice.randint(1, 99), dice.randint(1, 99), 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(dice.randbytes(dice.randint(0, 50_000)))), (b"IEND", b"")
    told = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def _drawn(dice: Random, faults: list[str] | None = None) -> tuple[str, str]:
    """A dialect, and a fault: every third time none at all."""
    fault = dice.choice(faults or list(FAULTS))
    if faults is None and dice.random() < 0.35:
        fault = dice.choice(FINE)
    return dice.choice(DIALECT_NAMES), fault


async def read(agent: Agent, fault: str, given: Any = "hi") -> tuple[str, int]:
    """Reads a stream to its end: the outcome, and how many chunks came. Raises Wrong for one without an end."""
    text, chunks, last = "", 0, None
    try:
        async with agent.stream(given) as stream:
            async for chunk in stream:
                if isinstance(last, Control) and last.message == "stream_end":
                    raise Wrong("a chunk came after the stream's end")
                if chunk.chunk_index != chunks:
                    raise Wrong(f"chunk {chunks} has the number {chunk.chunk_index}")
                chunks, last = chunks + 1, chunk.content
                if isinstance(last, Text):
                    text += last.text
                elif isinstance(last, Control) and last.message == "retry":
                    text = ""
    except LLMSpellError as error:
        sound(text, error.kind, fault)
        return error.kind, chunks
    if not (isinstance(last, Control) and last.message == "stream_end"):
        raise Wrong(f"a stream ended with {last!r}")
    sound(text, "ok", fault)
    return "ok", chunks


async def stream(world: World, dice: Random, road: str = "plain") -> list[Told]:
    """A stream of a provider that all share, read to its end."""
    dialect, fault = _drawn(dice)
    content = dice.choice(("", ".long"))
    agent = Agent(f"{dialect}/{fault}{content}", providers=world.shared(temper_for(fault), road))
    outcome, chunks = await read(agent, fault)
    return [Told(fault, outcome, FAULTS[fault].streamed, 1, chunks)]


async def call(world: World, dice: Random, road: str = "plain") -> list[Told]:
    """An answer in one piece."""
    dialect, fault = _drawn(dice)
    agent = Agent(f"{dialect}/{fault}", providers=world.shared(temper_for(fault), road))
    try:
        sound((await agent.execute("hi")).text, "ok", fault)
        outcome = "ok"
    except LLMSpellError as error:
        outcome = error.kind
    return [Told(fault, outcome, FAULTS[fault].whole)]


async def own_connections(world: World, dice: Random) -> list[Told]:
    """Providers that are opened, asked a few times at once, and closed."""
    told = []
    manager = world.manager("calm")
    try:
        pairs = [_drawn(dice, NOT_STALLS) for _ in range(dice.randint(1, 4))]
        agents = [Agent(f"{dialect}/{fault}", providers=manager) for dialect, fault in pairs]
        read_all = (read(agent, fault) for agent, (_, fault) in zip(agents, pairs, strict=True))
        for (_, fault), (outcome, chunks) in zip(pairs, await asyncio.gather(*read_all), strict=True):
            told.append(Told(fault, outcome, FAULTS[fault].streamed, 1, chunks))
    finally:
        await manager.aclose()
    return told


async def _some_chunks(agent: Agent, most: int) -> int:
    got = 0
    async for _ in agent.stream("hi"):
        got += 1
        if got >= most:
            break
    return got


async def abandoned(world: World, dice: Random, road: str = "plain") -> list[Told]:
    """A stream that nobody reads on, or nobody reads at all, and nobody closes."""
    dialect, fault = _drawn(dice, [*FINE, "stall-before-end"])
    agent = Agent(f"{dialect}/{fault}.long", providers=world.shared("calm", road))
    how = dice.randrange(3)
    if how == 0:
        agent.stream("hi")
        return [Told(fault, "not begun", frozenset({"not begun"}), 1)]
    if how == 1:
        iterator = agent.stream("hi")
        chunk = await anext(iterator)
        del iterator
        return [Told(fault, "left", frozenset({"left"}), 1, 1 + (chunk is None))]
    got = await _some_chunks(agent, dice.randint(1, 2))
    return [Told(fault, "left", frozenset({"left"}), 1, got)]


async def cancelled(world: World, dice: Random, road: str = "plain") -> list[Told]:
    """A call or a stream whose task is cancelled somewhere on its way."""
    dialect, fault = _drawn(dice, [*FINE, *STALLS])
    agent = Agent(f"{dialect}/{fault}.long", providers=world.shared("calm", road))
    streamed = dice.random() < 0.6
    work = read(agent, fault) if streamed else agent.execute("hi")
    task = asyncio.ensure_future(work)
    await asyncio.sleep(dice.random() ** 2 * 0.08)
    task.cancel()
    try:
        await task
        outcome = "ok"
    except asyncio.CancelledError:
        outcome = "cancelled"
    return [Told(fault, outcome, frozenset({"ok", "cancelled"}), int(streamed))]


async def timeout(world: World, dice: Random) -> list[Told]:
    """A call with a limit of its own, or within asyncio's."""
    dialect, fault = _drawn(dice, STALLS)
    agent = Agent(f"{dialect}/{fault}", providers=world.shared("calm"), timeout=0.05 + dice.random() * 0.1)
    if dice.random() < 0.5:
        outcome, chunks = await read(agent, fault)
        return [Told(fault, outcome, frozenset({"timeout"}), 1, chunks)]
    try:
        async with asyncio.timeout(0.03 + dice.random() * 0.3):
            await agent.execute("hi")
    except TimeoutError:
        return [Told(fault, "asyncio's timeout", frozenset({"asyncio's timeout"}))]
    except LLMSpellError as error:
        return [Told(fault, error.kind, frozenset({"timeout"}))]
    raise Wrong("a call that should wait for ever has ended")


async def storm(world: World, dice: Random) -> list[Told]:
    """Many calls at once of a service that mostly refuses, each tried again."""
    fault = dice.choice(("flaky", "flaky", "status-429", "status-503", "cut-at-once", "cut-after-headers"))
    dialect = dice.choice(DIALECT_NAMES)
    agent = Agent(f"{dialect}/{fault}", providers=world.shared("persistent"))
    streamed = await asyncio.gather(*(read(agent, fault) for _ in range(dice.randint(2, 10))))
    return [Told(fault, outcome, FAULTS[fault].streamed, 1, chunks) for outcome, chunks in streamed]


async def fallback(world: World, dice: Random) -> list[Told]:
    """Another model where the first one fails."""
    dialect, fault = _drawn(dice, ["status-500", "cut-at-once", "status-401", "status-429", "none"])
    agent = Agent([f"{dialect}/{fault}", f"{dice.choice(DIALECT_NAMES)}/pieces"], providers=world.shared("calm"))
    outcome, chunks = await read(agent, fault)
    return [Told(fault, outcome, OK, 1, chunks)]


def shout(text: str) -> str:
    """Makes a text louder.

    Args:
        text: the text
    """
    return text.upper()


async def tools(world: World, dice: Random) -> list[Told]:
    """A model that calls two tools, one of them on a thread, and then answers."""
    dialect, fault = _drawn(dice, NOT_STALLS)
    agent = Agent(
        f"{dialect}/{fault}.tools", tools=["calculator", shout], providers=world.shared("calm"), max_tool_rounds=3
    )
    streamed = dice.random() < 0.5
    try:
        if streamed:
            async with agent.stream("hi") as answer:
                output = await answer.collect()
        else:
            output = await agent.execute("hi")
        if TEXT not in output.text and fault not in GARBLED:
            raise Wrong(f"after its tools the model said {output.text!r}")
        outcome = "ok"
    except LLMSpellError as error:
        outcome = error.kind
    return [Told(fault, outcome, FAULTS[fault].streamed if streamed else FAULTS[fault].whole, int(streamed))]


async def structured(world: World, dice: Random) -> list[Told]:
    """Answers as data: those that fit, those that are prose, and those that are cut off."""
    dialect = dice.choice(("openai", "openai-responses", "gemini", "ollama"))
    fault = dice.choice(("none", "pieces", "gzip", "cut-before-end"))
    content, allowed = dice.choice(
        ((".json", FAULTS[fault].streamed), ("", FAULTS[fault].streamed - OK | {"provider"}))
    )
    agent = Agent(f"{dialect}/{fault}{content}", providers=world.shared("calm"), response_schema=SCHEMA)
    streamed = dice.random() < 0.5
    try:
        if streamed:
            async with agent.stream("Who?") as answer:
                output = await answer.collect()
        else:
            output = await agent.execute("Who?")
        if output.data != {"name": "Ærø 世", "tags": ["a", "b"]}:
            raise Wrong(f"the answer's data are {output.data!r}")
        outcome = "ok"
    except LLMSpellError as error:
        outcome = error.kind
    return [Told(fault, outcome, allowed, int(streamed))]


async def media(world: World, dice: Random) -> list[Told]:
    """A picture within a conversation."""
    dialect, fault = _drawn(dice, NOT_STALLS)
    picture = Media("image/png", png(dice))
    said = (Message("user", ("What is this?", picture)),)
    agent = Agent(f"{dialect}/{fault}", providers=world.shared("calm"))
    outcome, chunks = await read(agent, fault, said)
    return [Told(fault, outcome, FAULTS[fault].streamed, 1, chunks)]


async def local(world: World, dice: Random) -> list[Told]:
    """The embedded model: some tokens, or a stream that is left early."""
    manager: ProviderManager = world.local()
    agent = Agent("local", providers=manager, max_tokens=6)
    if dice.random() < 0.5:
        await agent.execute("Say hello.")
        return [Told("", "ok")]
    got = await _some_chunks(agent, 2)
    return [Told("", "left", frozenset({"left"}), 1, got)]


#: By name: the job, and how often it is drawn.
CALLS: dict[str, tuple[Any, int]] = {
    "stream": (stream, 12),
    "call": (call, 8),
    "own connections": (own_connections, 4),
    "abandoned stream": (abandoned, 6),
    "cancelled call": (cancelled, 6),
    "timeout": (timeout, 3),
    "retry storm": (storm, 3),
    "fallback": (fallback, 2),
    "tools": (tools, 4),
    "structured": (structured, 3),
    "media": (media, 2),
    "embedded model": (local, 1),
}
for _road in ("httpx", "TLS"):
    CALLS[f"stream, {_road}"] = partial(stream, road=_road), 3
    CALLS[f"call, {_road}"] = partial(call, road=_road), 2
    CALLS[f"abandoned stream, {_road}"] = partial(abandoned, road=_road), 1
    CALLS[f"cancelled call, {_road}"] = partial(cancelled, road=_road), 2
