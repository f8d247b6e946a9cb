"""What crosses between Python and Lua: chunks, tables and JSON, by either engine, side by side in one process.

    python benchmarks/crossing.py [--rounds N] [--only WORD]

    chunks, 64 or 1    `built`: the same tables made in Lua of values that are there already, what no bridge can be
                       below; `compiled` and `pure`: chunks handed to a fiber that asks for them, so many a resume
    into, out of Lua   a table of 1,101 values, as a host call's answer and as its argument
    parse, stringify   `JSON.parse` and `JSON.stringify` of a script, of such a table

CPU time of this process, an item. Subjects take turns, and what is told is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import Spread, engine_module, interleaved, of_medians, plain_config, ratios, table, times_over, under

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CASES", "MANY", "METADATA", "VALUE", "Case", "build", "cross", "main", "measure"]

MANY = 6400  # chunks a round
TABLES = 20  # of VALUE a round
METADATA = {
    "model": "benchmark",
    "provider": "bench",
    "request_id": "req-benchmark",
    "id": "chatcmpl-benchmark",
    "created": 1760000000,
    "system_fingerprint": "fp_benchmark",
}
#: 1,101 values: a list of 100 records of ten fields.
VALUE = [
    {
        "id": index,
        "name": f"record {index}",
        "text": "a line of text that is as long as lines are",
        "score": index / 7,
        "active": index % 2 == 0,
        "kind": "record",
        "size": 1024 + index,
        "language": "en",
        "place": "n/a",
        "total": 12.5,
    }
    for index in range(100)
]
VALUES = 1 + 100 + 1000

PRELUDE = b"local host = ...\ncall, ask = host.call, host.ask\nhost.thread_methods({})\n"
TAKE = b"""
local n = 0
while true do
  local batch = call("stream:next", 1)
  if not batch then
    return n
  end
  for i = 1, #batch do
    if batch[i].content.type == "text" then
      n = n + 1
    end
  end
end
"""
BUILD = b"""
local n, fields = 0, {}
for name, value in pairs(ask("metadata")) do
  fields[name] = value
end
for at = 0, %d, %d do
  local batch = {}
  for i = 1, %d do
    local metadata = {}
    for name, value in next, fields do
      metadata[name] = value
    end
    batch[i] = {
      stream_id = "stream-0123456789ab",
      chunk_index = at + i,
      content = { type = "text", text = "word" },
      metadata = metadata,
      timestamp = 1760000000.25,
    }
  end
  for i = 1, #batch do
    if batch[i].content.type == "text" then
      n = n + 1
    end
  end
end
return n
"""
INTO = b"local n = 0 for i = 1, %d do n = n + #ask('value') end return n" % TABLES
OUT = b"local value = ask('value') for i = 1, %d do ask('take', value) end return 100" % TABLES
#: VALUE, as a script makes it.
RECORDS = """
local value = {}
for i = 0, 99 do
  value[i + 1] = {
    id = i, name = "record " .. i, text = "a line of text that is as long as lines are", score = i / 7,
    active = i % 2 == 0, kind = "record", size = 1024 + i, language = "en", place = "n/a", total = 12.5,
  }
end
"""
PARSE = (
    f"{RECORDS} local text, n = JSON.stringify(value), 0 for i = 1, {TABLES} do n = n + #JSON.parse(text) end return n"
)
STRINGIFY = f"{RECORDS} local n = 0 for i = 1, {TABLES} do n = n + #JSON.stringify(value) end return n > 0"


class Case(NamedTuple):
    """One comparison. base: what the others are told against; item: what is counted, and how often in one call."""

    name: str
    base: str
    item: str
    items: int
    subjects: Callable[[], dict[str, Callable[[], Any]]]
    note: str = ""


def _engine(twin: str) -> Any:
    """A bare engine of that twin, which knows the class of chunks."""
    from llmspell.types.streaming import AgentChunk, Text

    answers = {"metadata": METADATA, "value": VALUE}
    made = engine_module(twin).Engine(
        lambda op, args: answers.get(op), lambda fd, data: True, lambda error: {}, max_memory=256 << 20
    )
    made.use_chunks(AgentChunk, {Text: b"text"})
    made.start(PRELUDE)
    return made


def _expect(outcome: Any, result: Any) -> None:
    if outcome != (0, result):  # DONE
        raise RuntimeError(f"the script came to {outcome}, and not to {result}")


def cross(twin: str, batch: int) -> Callable[[], None]:
    """Hands MANY chunks to a fiber, *batch* a resume."""
    from llmspell.types.streaming import AgentChunk, Text

    made = _engine(twin)
    chunks = [AgentChunk("stream-0123456789ab", index, Text("word"), METADATA, time.time()) for index in range(MANY)]
    batches = [chunks[at : at + batch] for at in range(0, MANY, batch)]

    def work() -> None:
        fiber = made.load(TAKE, b"@take.lua")
        made.resume(fiber, None, [])
        for one in batches:
            made.resume(fiber, True, one)
        _expect(made.resume(fiber, True, None), MANY)

    return work


def build(batch: int, twin: str = "compiled") -> Callable[[], None]:
    """Makes the same tables in Lua."""
    return _script(_engine(twin), BUILD % (MANY - 1, batch, batch), MANY)


def _script(engine: Any, text: bytes, result: Any) -> Callable[[], None]:
    return lambda: _expect(engine.resume(engine.load(text, b"@work.lua"), None, []), result)


def _chunks(batch: int) -> Callable[[], dict[str, Callable[[], Any]]]:
    return lambda: {"built": build(batch), "compiled": cross("compiled", batch), "pure": cross("pure", batch)}


def _tables(text: bytes, result: int) -> Callable[[], dict[str, Callable[[], Any]]]:
    return lambda: {twin: _script(_engine(twin), text, result) for twin in ("pure", "compiled")}


def _json(source: str, result: Any) -> Callable[[], dict[str, Callable[[], Any]]]:
    """The whole script, its runtime's start included: 0.1 of 3 ms and more."""
    from llmspell import ScriptRuntime

    config = plain_config()

    def work(twin: str) -> None:
        with under(twin):
            done = ScriptRuntime(config).run(source).result
        if done != result:
            raise RuntimeError(f"the script came to {done}, and not to {result}")

    return lambda: {twin: lambda twin=twin: work(twin) for twin in ("pure", "compiled")}  # type: ignore[misc]


CASES = (
    Case("chunks, 64 a resume", "built", "chunk", MANY, _chunks(64), "budget 2.5; pure ≥ 1.3 of compiled"),
    Case("chunks, 1 a resume", "built", "chunk", MANY, _chunks(1), "budget 2.5; pure ≥ 1.3 of compiled"),
    Case("into Lua", "compiled", "value", TABLES * VALUES, _tables(INTO, TABLES * 100), "budget: pure ≥ 3"),
    Case("out of Lua", "compiled", "value", TABLES * VALUES, _tables(OUT, 100), "budget: pure ≥ 3"),
    Case("JSON.parse", "compiled", "value", TABLES * VALUES, _json(PARSE, TABLES * 100)),
    Case("JSON.stringify", "compiled", "value", TABLES * VALUES, _json(STRINGIFY, True)),
)


def measure(case: Case, rounds: int, *, times: float = 1.0) -> list[dict[str, float]]:
    """Each round's µs an item, by subject. times: the compiled engine's work is done so many times over."""
    subjects = case.subjects()
    if times > 1:
        subjects["compiled"] = times_over(subjects["compiled"], times)
    return interleaved(subjects, rounds, items=case.items)


def gain(told: list[dict[str, float]]) -> Spread:
    """How many times as long the pure engine takes."""
    return ratios(told, "pure", "compiled")


def _rows(case: Case, told: list[dict[str, float]]) -> list[list[str]]:
    made = []
    subjects: Mapping[str, float] = told[0]
    for name in sorted(subjects, key=("built", "compiled", "pure").index):
        spread = ratios(told, name, case.base)
        range_ = f"{spread.low:.2f} – {spread.high:.2f}"
        ns = f"{of_medians(told, name) * 1000:,.0f} ns a {case.item}"
        made.append([f"{case.name}: {name}", ns, f"{spread.median:.2f}", range_, ""])
    made[-1][-1] = f"pure : compiled {gain(told).median:.2f}; {case.note}".removesuffix("; ")
    return made


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="chunks, tables and JSON between Python and Lua")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    args = parser.parse_args()
    rows = [["", "", "× base", "middle half", ""]]
    for case in CASES:
        if args.only in case.name:
            rows += _rows(case, measure(case, args.rounds))
    print(table(rows))


if __name__ == "__main__":
    main()
