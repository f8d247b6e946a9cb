"""A host call that waits, against the loop's own turns that such a call takes.

    python benchmarks/calls.py [--rounds N]

    sleep      `Async.sleep(0)`; alone: a timer that is due, and a callback that starts the next
    execute    `agent:execute` of a provider that answers at once, so what an agent does is in it, too; alone: a task
               of one coroutine, its callback, and a callback that starts the next

On asyncio's loop and on uvloop's, where it is there. CPU time of this process, a call: the scripts, one after the
other, wait so many times. The budget is 5 µs beyond the loop's own; as a ratio it holds for `sleep` on uvloop.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from floor import loop_factory
from harness import interleaved, of_medians, plain_config, ratios, table, times_over
from llmspell import ScriptRuntime
from llmspell.providers.base import ProviderInstance
from llmspell.providers.manager import ProviderManager
from llmspell.types.agent import AgentOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.providers.base import ModelCall
    from llmspell.types.streaming import AgentStream

__all__ = ["CALLS", "KINDS", "PAIRS", "at_once", "loops", "main", "measure", "sleeping", "tasks", "timers"]

CALLS = 4000  # a round
PAIRS = {"sleep": "timer", "execute": "task"}  # a call, and what the loop does alone
SLEEP = f"for i = 1, {CALLS} do Async.sleep(0) end return {CALLS}"
EXECUTE = f"""
local agent = Agent.create({{ model = "bench/any" }})
local n = 0
for i = 1, {CALLS} do
  n = n + #agent:execute("go").text
end
return n / 2
"""


class AtOnce(ProviderInstance):
    """Answers without waiting for anything."""

    name, type = "bench", "bench"

    async def execute(self, call: ModelCall) -> AgentOutput:
        return AgentOutput("ok")

    def stream(self, call: ModelCall) -> AgentStream:
        raise NotImplementedError("only whole answers are asked for")


class AtOnceManager(ProviderManager):
    """Providers with `bench`, which answers at once."""

    def get(self, name: str) -> ProviderInstance:
        return AtOnce()


def loops() -> dict[str, Any]:
    """Kinds of event loop that are there, and what makes them."""
    uvloop = loop_factory()
    return {"asyncio": asyncio.new_event_loop} | ({} if uvloop is None else {"uvloop": uvloop})


def _chain(start: Callable[[asyncio.AbstractEventLoop, Callable[[], None]], object]) -> Callable[[], Any]:
    """A coroutine function: CALLS times over, *start* and the callback that it leads to, then the next."""

    async def turns() -> int:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        count = 0

        def again() -> None:
            nonlocal count
            count += 1
            if count == CALLS:
                done.set_result(count)
            else:
                start(loop, again)

        start(loop, again)
        return await done

    return turns


def timers() -> Callable[[], Any]:
    """The turns of the loop that a sleep takes."""

    def start(loop: asyncio.AbstractEventLoop, again: Callable[[], None]) -> None:
        loop.call_later(0, loop.call_soon, again)

    return _chain(start)


def tasks() -> Callable[[], Any]:
    """The turns of the loop that a coroutine takes."""

    async def nothing() -> None:
        return None

    def start(loop: asyncio.AbstractEventLoop, again: Callable[[], None]) -> None:
        task = loop.create_task(nothing())
        task.add_done_callback(lambda done: loop.call_soon(again))

    return _chain(start)


def sleeping() -> Callable[[], Any]:
    """A script that sleeps CALLS times."""
    runtime = ScriptRuntime(plain_config())

    async def work() -> Any:
        return (await runtime.execute_script(SLEEP)).result

    return work


def at_once() -> Callable[[], Any]:
    """A script that asks a model CALLS times, which answers at once."""
    runtime = ScriptRuntime(plain_config(), providers=AtOnceManager({}, env={}))

    async def work() -> Any:
        return (await runtime.execute_script(EXECUTE)).result

    return work


#: A kind of call to what makes it ready: a coroutine function that gives CALLS.
KINDS: dict[str, Callable[[], Callable[[], Any]]] = {
    "timer": timers,
    "sleep": sleeping,
    "task": tasks,
    "execute": at_once,
}


def measure(
    loop: str, rounds: int, *, times: float = 1.0, kinds: tuple[str, ...] = tuple(KINDS)
) -> list[dict[str, float]]:
    """Each round's µs a call, by kind. times: the scripts' work is done so many times over."""
    with asyncio.Runner(loop_factory=loops()[loop]) as runner:

        def subject(kind: str) -> Callable[[], None]:
            work = KINDS[kind]()

            def run() -> None:
                count = runner.run(work())
                if count != CALLS:
                    raise RuntimeError(f"{kind}: {count} calls of {CALLS}")

            return times_over(run, times if kind in PAIRS else 1.0)

        return interleaved({kind: subject(kind) for kind in kinds}, rounds, items=CALLS)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="a host call that waits, against the loop alone")
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    rows = [["", "µs a call", "loop alone", "beyond it", "× loop", "middle half", ""]]
    for loop in loops():
        told = measure(loop, rounds)
        for call, alone in PAIRS.items():
            spread = ratios(told, call, alone)
            ours, theirs = of_medians(told, call), of_medians(told, alone)
            range_ = f"{spread.low:.2f} – {spread.high:.2f}"
            numbers = [f"{ours:.2f}", f"{theirs:.2f}", f"{ours - theirs:.2f}", f"{spread.median:.2f}"]
            rows.append([f"{loop} {call}", *numbers, range_, "budget 5 µs beyond" if call == "sleep" else ""])
    print(table(rows))


if __name__ == "__main__":
    main()
