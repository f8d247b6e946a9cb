"""One tool-call round over loopback: a model calls a tool, its result goes back, the model answers.

    python benchmarks/rounds.py [--rounds N]

Two streamed answers one after the other on one kept connection, the tool a Python addition. Measured is the clock from
the first request to the last text, and this process's CPU; the server is the same for all. Subjects, in turn:

    floor     a socket, a split and orjson, the requests written by hand
    httpx     an httpx client, its lines and orjson
    llmspell  a provider of llmspell's: `ModelCall` with a ToolSpec, `AgentOutput.message()` and the result sent back
    agent     an agent with the tool, streamed: the tool loop, the schema's check, the permission

The budget (DESIGN.md) is 1 ms beyond the server; what llmspell takes beyond the floor is told as well.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from typing import TYPE_CHECKING, Any

import orjson

import floor
from harness import Server, manager, of_medians, ratios, table

if TYPE_CHECKING:
    import httpx

    from llmspell.agents.agent import Agent
    from llmspell.providers.manager import ProviderManager

__all__ = ["BUDGET", "SUBJECTS", "main", "measure"]

SUBJECTS = ("floor", "httpx", "llmspell", "agent")
BUDGET = 1000.0  # µs beyond the server
SOME = 200  # rounds of one measurement
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": PARAMETERS}}
ASK = {"role": "user", "content": "What is 17 + 25?"}


def _bodies(call: dict[str, Any] | None = None) -> bytes:
    messages: list[dict[str, Any]] = [ASK]
    if call is not None:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": str(_add(call["function"]["arguments"]))},
        ]
    return json.dumps({"model": "round", "stream": True, "messages": messages, "tools": [TOOL]}).encode()


def _add(arguments: str) -> int:
    told = orjson.loads(arguments)
    return int(told["a"] + told["b"])


class Pieces:
    """What a hand-written client keeps of an answer: its texts, or its one call."""

    def __init__(self) -> None:
        self.texts = 0
        self.call: dict[str, Any] | None = None

    def take(self, data: bytes | str) -> None:
        delta = orjson.loads(data)["choices"][0]["delta"]
        if delta.get("content"):
            self.texts += 1
        for piece in delta.get("tool_calls") or ():
            if self.call is None:
                self.call = {"id": piece["id"], "type": "function", "function": dict(piece["function"])}
            else:
                self.call["function"]["arguments"] += piece["function"]["arguments"]


class Conversation(floor.Reader):
    """One kept connection: `ask` a body, one answer after the other."""

    def __init__(self) -> None:
        super().__init__(b"", lambda text: None)
        self.pieces = Pieces()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    async def ask(self, head: bytes, body: bytes) -> Pieces:
        self.pieces, self._begun, self._held, self._tail = Pieces(), False, b"", b""
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        await self.done
        return self.pieces

    def _events(self, body: bytes) -> None:
        if self._tail:
            body = self._tail + body
        *events, self._tail = body.split(b"\n\n")
        for event in events:
            if event != b"data: [DONE]":
                self.pieces.take(event[6:])


class Subjects:
    """Each does one round, on a connection that it keeps, and gives how many texts came."""

    def __init__(self, server: Server) -> None:
        self._url = server.url
        self._port = server.port
        self._providers = manager(server.url)
        self._conversation: Conversation | None = None
        self._client: httpx.AsyncClient | None = None
        self._agent: Agent | None = None

    async def floor(self) -> int:
        if self._conversation is None:
            loop = asyncio.get_running_loop()
            _, self._conversation = await loop.create_connection(Conversation, "127.0.0.1", self._port)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n"
            self._head = f"{head}content-type: application/json\r\n".encode()
        first = await self._conversation.ask(self._head, _bodies())
        return (await self._conversation.ask(self._head, _bodies(first.call))).texts

    async def httpx(self) -> int:
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(trust_env=False)
        first = await self._pieces(self._client, _bodies())
        return (await self._pieces(self._client, _bodies(first.call))).texts

    async def _pieces(self, client: httpx.AsyncClient, body: bytes) -> Pieces:
        pieces = Pieces()
        headers = {"content-type": "application/json"}
        async with client.stream("POST", f"{self._url}/chat/completions", content=body, headers=headers) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    pieces.take(line[6:])
        return pieces

    async def llmspell(self) -> int:
        from llmspell.providers.base import ModelCall
        from llmspell.types.messages import Message
        from llmspell.types.streaming import Text
        from llmspell.types.tools import ToolSpec

        provider, model = self._providers.resolve("bench/round")
        tools = (ToolSpec("add", "Adds.", PARAMETERS),)
        ask = (Message("user", str(ASK["content"])),)
        first = await provider.stream(ModelCall(model, ask, tools=tools)).collect()
        call = first.tool_calls[0]
        assert call.arguments is not None
        result = str(call.arguments["a"] + call.arguments["b"])
        told = (*ask, first.message(), Message("tool", result, tool_call_id=call.id))
        count = 0
        async with provider.stream(ModelCall(model, told, tools=tools)) as stream:
            async for chunk in stream:
                count += isinstance(chunk.content, Text)
        return count

    async def agent(self) -> int:
        from llmspell.types.streaming import Text

        if self._agent is None:
            self._agent = _adding(self._providers)
        count = 0
        async with self._agent.stream(str(ASK["content"])) as stream:
            async for chunk in stream:
                count += isinstance(chunk.content, Text)
        return count

    async def aclose(self) -> None:
        await self._providers.aclose()
        if self._client is not None:
            await self._client.aclose()
        if self._conversation is not None:
            self._conversation.transport.abort()


def _adding(providers: ProviderManager) -> Agent:
    from llmspell.agents.agent import Agent
    from llmspell.tools.base import Tool, ToolContext, ToolResult

    class Add(Tool):
        name, description, parameters = "add", "Adds.", PARAMETERS

        async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
            return ToolResult(arguments["a"] + arguments["b"])

    return Agent("bench/round", providers=providers, tools=[Add()])


def measure(
    server: Server, rounds: int, *, times: float = 1.0, subjects: tuple[str, ...] = SUBJECTS
) -> list[dict[str, float]]:
    """Each round's µs of the clock for one tool round, by subject. times: multiplies llmspell's work."""

    async def work() -> list[dict[str, float]]:
        doers = Subjects(server)
        told: list[dict[str, float]] = []
        try:
            for number in range(rounds + 1):
                one: dict[str, float] = {}
                for name in subjects:
                    do, some = getattr(doers, name), SOME if number else 5
                    gc.collect()
                    before = time.perf_counter_ns()
                    for _ in range(round(some * (times if name in ("llmspell", "agent") else 1.0))):
                        if await do() != 10:
                            raise RuntimeError(f"{name}: not ten texts")
                    one[name] = (time.perf_counter_ns() - before) / some / 1000
                told.append(one)
        finally:
            await doers.aclose()
        return told[1:]  # the first one imports and warms up

    with asyncio.Runner(loop_factory=floor.loop_factory()) as runner:
        return runner.run(work())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="one tool-call round over loopback")
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    with Server() as server:
        told = measure(server, rounds)
    rows = [["", "µs a round", "× floor", "µs beyond the floor", ""]]
    for name in SUBJECTS:
        beyond = of_medians(told, name) - of_medians(told, "floor")
        note = f"budget {BUDGET:.0f} beyond the server" if name == SUBJECTS[-1] else ""
        ratio = ratios(told, name, "floor").median
        rows.append([name, f"{of_medians(told, name):.0f}", f"{ratio:.2f}", f"{beyond:.0f}", note])
    print(table(rows))


if __name__ == "__main__":
    main()
