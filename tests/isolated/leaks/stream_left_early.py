"""Streams that a script leaves: by `break`, by an error, by `cancel`, by closing them, by forgetting them."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from flat import flat

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.types.streaming import AgentChunk, AgentStream, Control, Text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

EACH = 100
opened = 0
config = load(script_dir=None, config_file=None, env={}, flags={})


class Provider:
    """Answers for ever, a few chunks at a time."""

    name = "endless"

    async def answer(self, stream: str) -> AsyncGenerator[list[AgentChunk], None]:
        about = {"provider": self.name, "model": "m"}
        yield [AgentChunk(stream, 0, Control("stream_start"), about, time())]
        n = 0
        while True:
            yield [AgentChunk(stream, n + i, Text(f"piece {i}"), about, time()) for i in range(1, 65)]
            n += 64

    def stream(self, call: Any) -> AgentStream:
        global opened
        opened += 1
        return AgentStream(f"stream-{opened}", self.answer(f"stream-{opened}"))


class Manager:
    """Has that provider alone."""

    def resolve(self, model: str | None, provider: str | None) -> tuple[Provider, str]:
        return Provider(), "m"

    async def disconnect(self) -> None: ...


SCRIPT = f"""
  local agent = Agent.create{{}}
  for i = 1, {EACH // 5} do
    for chunk in agent:stream("a" .. i) do if chunk.chunk_index > 2 then break end end
    pcall(function() for chunk in agent:stream("b" .. i) do error(chunk) end end)
    local s = agent:stream("c" .. i)
    s:next()
    s:cancel()
    do local s <close> = agent:stream("d" .. i) s:next() s:next() end
    agent:stream("e" .. i):next()
  end
"""


def once() -> None:
    manager: Any = Manager()
    ScriptRuntime(config, providers=manager, log=lambda *_: None).run(SCRIPT)


flat(once, 4000, EACH)
