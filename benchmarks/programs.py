"""`run_lua`: what a program of a model's costs to start, and what it spares.

python benchmarks/programs.py [--rounds N]

start    one call of the tool from a script, program and all, against a bare Lua state of lupa's that runs as much:
         CPU time of this process, subjects in turn, the median of the rounds' ratios
spared   a job of 20 look-ups whose sum is wanted, by a scripted model (`mock`): one program, against calls of the tool
         in 20 rounds of one and in one round of 20; requests, tokens read and written as the mock counts them (a word
         is one), and seconds. The model's own thinking, which rounds wait for, is not in it.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from harness import ratios, table
from llmspell.bridge.runtime import ScriptRuntime
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "measure", "spared"]

STARTS = 200  # of programs, a round
LOOKUPS = 20
START = f"""
local begin = os.clock()
for _ = 1, {STARTS} do Tool.execute("run_lua", {{ code = "return 1 + 1" }}) end
return os.clock() - begin
"""
JOB = """
Tool.register{ name = "look_up", description = "Looks up a number.", parameters = {
  type = "object", properties = { n = { type = "integer" } }, required = { "n" } },
  execute = function(p) return { n = p.n, value = p.n * p.n, note = ("a long note of that number "):rep(20) } end }
local agent = Agent.create{ tools = { "look_up", "run_lua" }, max_tool_rounds = 50 }
return agent:execute("the sum of the values from 1 to 20").text
"""
PROGRAM = f"local s = 0 for n = 1, {LOOKUPS} do s = s + tools.look_up{{ n = n }}.value end return s"


def measure(rounds: int, *, times: float = 1.0) -> list[dict[str, float]]:
    """Rounds of seconds a start. times: a factor on ours, by which a test sees the gate fail."""
    from lupa import lua54

    found = []
    for turn in range(rounds + 1):
        told: dict[str, float] = {}
        for subject in ("bare", "run_lua") if turn % 2 else ("run_lua", "bare"):
            if subject == "bare":
                begin = time.process_time()
                for _ in range(STARTS):
                    lua54.LuaRuntime(unpack_returned_tuples=True).execute("return 1 + 1")
                told[subject] = (time.process_time() - begin) / STARTS
            else:
                told[subject] = ScriptRuntime().run(START).result / STARTS * times
        if turn:  # the first one loads what is loaded once
            found.append(told)
    return found


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def spared() -> list[tuple[str, int, int, float]]:
    """For each way: requests, tokens, seconds."""
    ways = {
        "one program": [{"tool_calls": [_call("run_lua", code=PROGRAM)]}],
        "20 rounds of one call": [{"tool_calls": [_call("look_up", n=n)]} for n in range(1, LOOKUPS + 1)],
        "one round of 20 calls": [{"tool_calls": [_call("look_up", n=n) for n in range(1, LOOKUPS + 1)]}],
    }
    found = []
    for name, replies in ways.items():
        manager = ProviderManager({}, env={})
        manager.register(mock := MockProvider([*replies, "2870"]))
        begin = time.perf_counter()
        done = ScriptRuntime(providers=manager, model="mock").run(JOB)
        seconds = time.perf_counter() - begin
        assert done.result == "2870"
        tokens = int(done.usage["input_tokens"] + done.usage["output_tokens"])
        found.append((name, len(mock.calls), tokens, seconds))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = measure(parser.parse_args(argv).rounds)
    each = sorted(one["run_lua"] for one in rounds)[len(rounds) // 2]
    print(f"a start: {each * 1000:.3f} ms, {ratios(rounds, 'run_lua', 'bare').median:.1f} x a bare Lua state\n")
    rows = [("", "requests", "tokens", "seconds")]
    rows += [(name, str(calls), str(tokens), f"{seconds:.3f}") for name, calls, tokens, seconds in spared()]
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
