"""The engine's own string.find, match, gmatch and gsub against Lua's, in one Lua state.

    python benchmarks/patterns.py [--rounds N] [--only WORD]

Only the compiled engine has its own: those can be stopped in the middle, Lua's cannot. Each case is a loop in Lua; the
loops of the two take turns, the first one in turn too, and what is told is the median of the rounds' ratios. Lines
above the budget are marked, and then the exit code is 1.
"""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import of_medians, ratios, table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BUDGET", "CASES", "Case", "main", "measure"]

BUDGET = 1.25
SLICE = 0.004  # seconds a loop should take


class Case(NamedTuple):
    """What is repeated, and what is set up before it: with `find`, `match`, `gmatch`, `gsub` and the texts below."""

    name: str
    body: str
    before: str = ""


#: What the cases work on: words of prose, lines of settings, a log, JSON.
TEXTS = """
local word = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "
local prose = word:rep(50)
local long = word:rep(2000) .. "needle!"
local setting = "timeout = 250 # milliseconds"
local line = '2026-01-31T12:34:56Z [error] worker-7 request failed: code=504 path="/v1/chat" took 1.25s'
local csv = ("a,bc,def,ghij,,k"):rep(20, ",")
local nested = "f(a(b)c(d(e)f)g)" .. ("(x(y)z)"):rep(20)
local json = '{"choices":[{"delta":{"content":"hello \\\\"there\\\\"\\\\n"},"index":0}],"id":"x"}'
local trimmed = "   some text with spaces around it   "
local html = ("<b>bold</b> and <i>it</i> "):rep(30)
local names = { lorem = "LOREM", dolor = "DOLOR", sit = false }
"""

CASES = (
    Case("find plain, short", "find(line, 'code=', 1, true)"),
    Case("find plain, long", "find(long, 'needle', 1, true)"),
    Case("find plain, none", "find(prose, 'tempora', 1, true)"),
    Case("find, no specials", "find(line, 'failed')"),
    Case("find, first byte", "find(setting, '^t')"),
    Case("find class, short", "find(setting, '%d')"),
    Case("find classes", "find(line, '%d%d:%d%d')"),
    Case("find set, long", "find(long, '[!?]')"),
    Case("find literal and class", "find(long, 'needle%p')"),
    Case("find from init", "find(prose, '%s+', 2000)"),
    Case("find two tries, long", "find(long, 'e%a-!')", "long = long:sub(-4000)"),
    Case("match key = value", "match(setting, '^(%w+)%s*=%s*(%d+)')"),
    Case("match not", "match(setting, '^(%d+)%s*=')"),
    Case("match date", "match(line, '(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)')"),
    Case(
        "match long pattern",
        'match(line, \'^(%d+)%-(%d+)%-(%d+)T([%d:]+)Z %[(%a+)%] (%S+) request failed: code=(%d+) path="([^"]+)"\')',
    ),
    Case("match quoted", 'match(line, \'path="([^"]*)"\')'),
    Case("match trim", "match(trimmed, '^%s*(.-)%s*$')"),
    Case("match greedy to the last", "match(line, '^(.*):')"),
    Case("match whole", "match(word, '%a+')"),
    Case("match position", "match(line, '()%[')"),
    Case("match optional", "match('-12.5e3', '^[+-]?%d+%.?%d*[eE]?[+-]?%d*$')"),
    Case("match back reference", "match(html, '<(%a)>.-</%1>')"),
    Case("match balanced", "match(nested, '%b()', 3)"),
    Case("match lazy, long", "match(prose, 'lorem(.-)tempor lorem ipsum x')"),
    Case("match lazy json", 'match(json, \'"content":"(.-)",\')'),
    Case("match anchored, long", "match(prose, '^[%a%s]*$')"),
    Case("match dots, long", "match(prose, '^.*$')"),
    Case("match frontier", "match(line, '%f[%a]took%f[%A]')"),
    Case("match greedy, taken back", "match(prose, '(%a+) (%a+) lorem ipsum x')"),
    Case("gmatch words", "for w in gmatch(prose, '%a+') do end"),
    Case("gmatch words, short", "for w in gmatch(setting, '%a+') do end"),
    Case("gmatch pairs", "for k, v in gmatch(line, '(%w+)=(%w+)') do end"),
    Case("gmatch fields", "for f in gmatch(csv, '([^,]*),?') do end"),
    Case("gmatch lines", "for l in gmatch(html, '[^>]+') do end"),
    Case("gmatch chars", "for c in gmatch(setting, '.') do end"),
    Case("gmatch utf8", "for c in gmatch(prose, '[\\0-\\x7F\\xC2-\\xFD][\\x80-\\xBF]*') do end"),
    Case("gsub string", "gsub(prose, 'dolor', 'pain')"),
    Case("gsub string, short", "gsub(setting, '=', ':')"),
    Case("gsub template", "gsub(prose, '(%a+) (%a+)', '%2 %1')"),
    Case("gsub escape", "gsub(json, '[%c\"\\\\]', '\\\\%0')"),
    Case("gsub remove", "gsub(prose, '%s+', '')"),
    Case("gsub nothing", "gsub(prose, 'zzz', 'x')"),
    Case("gsub trim", "gsub(trimmed, '^%s+', '')"),
    Case("gsub tags", "gsub(html, '<.->', '')"),
    Case("gsub table", "gsub(prose, '%a+', names)"),
    Case("gsub function", "gsub(prose, '%a+', f)", "local function f(w) return w end"),
    Case("gsub function, nothing", "gsub(prose, '%a+', f)", "local function f() end"),
    Case("gsub chars", "gsub(setting, '.', '%0%0')"),
    Case("gsub between chars", "gsub(setting, '', '-')"),
)

PRELUDE = b"""
local host = ...
libraries = { lua = string, own = host.patterns }
host.thread_methods({})
"""

LOOP = """
local library, times = libraries[ARGS[1]], tonumber(ARGS[2])
local find, match, gmatch, gsub = library.find, library.match, library.gmatch, library.gsub
{texts}
{before}
local from = os.clock()
for _ = 1, times do
  {body}
end
return os.clock() - from
"""


class Loops:
    """The loop of a case, with either library, in one engine."""

    def __init__(self) -> None:
        from llmspell._speedups import _lua_c

        self._done = _lua_c.DONE
        self._engine = _lua_c.Engine(lambda op, args: None, lambda fd, data: True, lambda error: {})
        self._engine.start(PRELUDE)

    def time(self, case: Case, library: str, times: int) -> float:
        """Seconds of CPU for so many turns."""
        text = LOOP.format(texts=TEXTS, before=case.before, body=case.body)
        text = text.replace("ARGS[1]", f"'{library}'").replace("ARGS[2]", str(times))
        kind, *rest = self._engine.resume(self._engine.load(text.encode(), b"@case.lua"), None, None)
        if kind != self._done:
            raise RuntimeError(f"{case.name}: {rest}")
        return float(rest[0])


def measure(loops: Loops, case: Case, rounds: int) -> list[dict[str, float]]:
    """Each round's ns a turn, of `lua` and `own`."""
    times = 1
    while (took := loops.time(case, "lua", times)) < SLICE:
        times = max(times * 2, round(times * SLICE / took) if took > 1e-4 else 0)
    told: list[dict[str, float]] = []
    for number in range(rounds):
        one: dict[str, float] = {}
        for library in ("lua", "own") if number % 2 else ("own", "lua"):
            gc.collect()
            one[library] = loops.time(case, library, times) / times * 1e9
        told.append(one)
    return told


def _row(case: Case, told: Sequence[dict[str, float]]) -> list[str]:
    spread = ratios(told, "own", "lua")
    note = f"above {BUDGET}" if spread.median > BUDGET else ""
    numbers = [f"{of_medians(told, name):,.0f}" for name in ("lua", "own")]
    return [case.name, *numbers, f"{spread.median:.2f}", f"{spread.low:.2f} – {spread.high:.2f}", note]


def main() -> int:
    """Prints the table; 1 if a case is above its budget."""
    parser = argparse.ArgumentParser(description="the engine's pattern functions against Lua's")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    args: Any = parser.parse_args()
    loops = Loops()
    rows = [["", "Lua's, ns", "own, ns", "ratio", "middle half", ""]]
    rows += [_row(case, measure(loops, case, args.rounds)) for case in CASES if args.only in case.name]
    print(table(rows))
    return int(any(row[-1] for row in rows[1:]))


if __name__ == "__main__":
    sys.exit(main())
