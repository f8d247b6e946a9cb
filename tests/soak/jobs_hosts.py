"""Jobs of hosts of other kinds: threads with loops of their own, recordings, sessions, `map`, pools that die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

from llmspell import ScriptRuntime
from llmspell.bridge.isolation import ProcessPool
from llmspell.bridge.session import Session, run_session
from llmspell.cli.mapping.here import Here, Script
from llmspell.cli.mapping.rows import Source
from llmspell.cli.mapping.runner import Counts, Runner
from llmspell.errors import LLMSpellError, RunCancelledError, WorkerLostError
from soak.faults import FAULTS
from soak.jobs_calls import FINE, NOT_STALLS
from soak.jobs_scripts import EACH, READS, models, told_of
from soak.world import OK, PREEMPTS, Told, Wrong

if TYPE_CHECKING:
    from random import Random

    from soak.world import World

__all__ = ["HOSTS"]

ENDLESS = "while true do end" if PREEMPTS else "Async.sleep(60)"
INPUTS = [
    ("x = 1; local y = 2", "ok"),
    ("x, y", "ok"),
    ("error('no luck')", "script"),
    (ENDLESS, "cancelled"),
    ("task = Async.spawn(function() Async.sleep(60) end)", "ok"),
    ("this is no Lua", "script"),
    ("for chunk in Agent.create{ model = 'openai/none' }:stream_execute('hi') do last = chunk end", "ok"),
    ("Agent.create{ model = 'gemini/status-503' }:execute('hi')", "provider"),
]
ROW = "return Agent.create{ model = ARGS.model }:execute(ARGS.text).text"


async def thread(world: World, dice: Random) -> list[Told]:
    """A script on a thread of its own, whose runtime makes the loop and opens the connections."""
    faults = dice.choices([*NOT_STALLS, *FINE], k=dice.randint(1, 3))
    args = models(dice, faults)

    def work() -> Any:
        return ScriptRuntime(world.configured("calm"), timeout=30).run(EACH, args=args).result

    return told_of(await world.in_thread(work), faults)


async def loop_in_thread(world: World, dice: Random) -> list[Told]:
    """A host with asyncio's own loop on another thread: several scripts at once in one runtime."""
    faults = dice.choices([*NOT_STALLS, *FINE], k=4)
    args = models(dice, faults)

    async def host() -> list[Any]:
        async with ScriptRuntime(world.configured("calm"), timeout=30) as runtime:
            runs = (runtime.execute_script(f"{READS} return read(ARGS[1])", args=[model]) for model in args)
            return [done.result for done in await asyncio.gather(*runs)]

    return told_of(await world.in_thread(asyncio.run, host()), faults)


async def many_runtimes(world: World, dice: Random) -> list[Told]:
    """Runtimes that are made, used for little or nothing, and dropped or closed."""

    def work() -> None:
        for number in range(20):
            runtime = ScriptRuntime(world.plain)
            if number % 4 and runtime.run("return #ARGS", args=["a"] * number).result != number:
                raise Wrong("a script did not see its arguments")

    await world.in_thread(work)
    for _ in range(5):
        async with ScriptRuntime(world.plain) as runtime:
            await runtime.execute_script("Async.sleep(0) return JSON.parse('[1]')")
    return [Told("", "ok")]


async def tape(world: World, dice: Random) -> list[Told]:
    """A run that is recorded, and replayed to the same end."""
    faults = dice.choices([*NOT_STALLS, *FINE], k=dice.randint(1, 3))
    args = models(dice, faults)
    path = f"{world.folder}/{dice.randrange(10**9)}.tape"

    def work() -> tuple[Any, Any]:
        config = world.configured("calm")
        try:
            first = ScriptRuntime(config, record=path, timeout=30).run(EACH, args=args).result
            again = ScriptRuntime(world.plain, replay=path, timeout=30).run(EACH, args=args).result
        finally:
            if os.path.exists(path):
                os.remove(path)
        return first, again

    first, again = await world.in_thread(work)
    if first != again:
        raise Wrong(f"a recording says {first!r}, its replay {again!r}")
    return told_of(first, faults)


async def session(world: World, dice: Random) -> list[Told]:
    """A session of inputs, some of which fail or are stopped."""
    inputs = dice.choices(INPUTS, k=6)

    async def types(session: Session) -> list[str]:
        kinds = []
        for text, _ in inputs:
            if text == ENDLESS:
                asyncio.get_running_loop().call_later(0.02, session.stop, RunCancelledError("enough"))
            try:
                await session.execute(text.encode(), "input")
                kinds.append("ok")
            except LLMSpellError as error:
                kinds.append(error.kind)
                if session.lost:
                    await session.reset()
        return kinds

    def work() -> list[str]:
        runtime = ScriptRuntime(world.configured("calm"), timeout=20)
        return run_session(runtime, types, path=f"{world.folder}/session")

    kinds = await world.in_thread(work)
    return [Told("", kind, frozenset({allowed})) for kind, (_, allowed) in zip(kinds, inputs, strict=True)]


async def mapped(world: World, dice: Random) -> list[Told]:
    """`map` over rows of a file, some of which cannot be read."""
    faults = dice.choices([*NOT_STALLS, *FINE], k=6)
    rows = [{"model": model, "text": "hi"} for model in models(dice, faults)]
    path = f"{world.folder}/{dice.randrange(10**9)}.jsonl"

    async def host() -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        source = Source(path, "jsonl")
        engine = Here(Script("s.lua", ROW.encode(), None, []), world.configured("calm"), lambda *_: None)
        await engine.open()
        runner = Runner(
            iter(source), source, engine, Counts(source), at_once=3,
            write=lambda line, failed: lines.append(json.loads(line)), told=lambda *_: None,
        )  # fmt: skip
        try:
            await runner.run()
        finally:
            await engine.aclose()
            source.close()
        return lines

    def work() -> list[dict[str, Any]]:
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.write('{"no": "row"\n')
        try:
            return asyncio.run(host())
        finally:
            os.remove(path)

    lines = await world.in_thread(work)
    if [line["row"] for line in lines] != [1, 2, 3, 4, 5, 6, 7] or "error" not in lines[-1]:
        raise Wrong(f"`map` wrote {lines!r}")
    kinds = [line["error"]["kind"] if "error" in line else "ok" for line in lines]
    return [Told(fault, kind, FAULTS[fault].whole) for fault, kind in zip(faults, kinds, strict=False)]


async def killed_worker(world: World, dice: Random) -> list[Told]:
    """A pool of its own, whose worker is killed while it works: one that has read nothing yet would be replaced."""
    source = dice.choice(("while true do end", "Async.sleep(60)", "while true do Async.sleep(0) end"))
    pool = await world.in_thread(_warm_pool)
    try:
        begun = asyncio.Event()
        runtime = ScriptRuntime(world.plain, isolation=pool, log=lambda *_: begun.set())
        task = asyncio.ensure_future(runtime.execute_script(f"Log.info('begun') {source}"))
        await begun.wait()
        await asyncio.sleep(dice.random() * 0.02)
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        try:
            await task
            raise Wrong("a script outlived its process")
        except WorkerLostError:
            pass
        again = (await runtime.execute_script("return 'again'")).result
    finally:
        await world.in_thread(pool.close)
    return [Told("", "internal", frozenset({"internal"})), Told("", "ok" if again == "again" else str(again), OK)]


def _warm_pool() -> ProcessPool:
    pool = ProcessPool(1)
    pool.warm()
    return pool


#: By name: the job, and how often it is drawn.
HOSTS: dict[str, tuple[Any, int]] = {
    "thread": (thread, 5),
    "loop in a thread": (loop_in_thread, 4),
    "many runtimes": (many_runtimes, 2),
    "recording": (tape, 3),
    "session": (session, 2),
    "map": (mapped, 2),
    "killed worker": (killed_worker, 1),
}
