"""What the soak runs: scripts whose results do not depend on when they are interrupted.

Each is called with a size and a seed. `opened` and `closed` tell the host of `<close>` variables; `call` waits.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["JOBS", "PRELUDE", "Job"]

PRELUDE = b"""
local host = ...
local public = host.public
pcall, xpcall = public.pcall, public.xpcall
for _, name in ipairs { "create", "wrap", "resume", "yield", "status", "close", "running", "isyieldable" } do
  coroutine[name] = public[name]
end
for name, f in next, host.patterns do
  string[name] = f
end
local ask, call, spawn, outcome_of = host.ask, host.call, host.spawn, host.outcome_of
_G.ask, _G.call, _G.spawn, _G.outcome_of = ask, call, spawn, outcome_of
host.thread_methods({})

local scope = { __close = function() ask("closed") end }
function guarded() ask("opened") return setmetatable({}, scope) end

function random(seed)
  local x = seed
  return function(n)
    x = (x * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (x >> 16) % n + 1
  end
end
"""

HEAD = "local size, seed = math.tointeger((...)), math.tointeger((select(2, ...)))\nlocal rnd = random(seed)\n"


class Job(NamedTuple):
    """A script: how large it may be, what its run comes to, and the limits it has."""

    text: str
    sizes: tuple[int, ...] = (0,)
    end: str = "done"  # or the reason why it is stopped
    max_memory: int = 0
    deadline: float = 0.0  # seconds from its start
    interrupted: int = 0  # by the host, after so many turns


JOBS = {
    "main": Job(
        "local sum, list = 0, {}\n"
        "for i = 1, size do list[i % 97 + 1] = rnd(1000) sum = (sum * 31 + (list[rnd(97)] or i)) % 1000003 end\n"
        "return sum",
        (60_000, 200_000),
    ),
    "coroutines": Job(
        """
        local function level(depth, n)
          local inner = depth > 1 and coroutine.wrap(level) or nil
          if inner then inner(depth - 1, n) end
          coroutine.yield()
          for i = 1, n do
            local below = inner and inner() or rnd(100)
            for k = 1, 10 do below = (below * 7 + k) % 10007 end
            coroutine.yield(below + depth)
          end
        end
        local top, sum = coroutine.wrap(level), 0
        top(12, size)
        for i = 1, size do sum = (sum * 3 + top()) % 1000003 end
        return sum
        """,
        (600, 2000),
    ),
    "pcall": Job(
        """
        local function fails(depth)
          local n = 0
          for i = 1, 30 do n = n + rnd(9) end
          if depth == 0 then error({ n = n }) end
          local ok, e = pcall(fails, depth - 1)
          if depth % 2 == 0 then error(e, 0) end
          local _, f = xpcall(error, function(m) for i = 1, 20 do m.n = m.n + i % 3 end return m end, e)
          error(f)
        end
        local sum = 0
        for i = 1, size do local _, e = pcall(fails, 10) sum = (sum + e.n * i) % 1000003 end
        return sum
        """,
        (150, 400),
    ),
    "metamethods": Job(
        """
        local function work(n) for i = 1, 40 do n = (n * 5 + i) % 1009 end return n end
        local mt = {}
        local function new(v) return setmetatable({ v = v }, mt) end
        mt.__add = function(a, b) return new(work(a.v + b.v)) end
        mt.__concat = function(a, b) return new(work((type(a) == "table" and a.v or #a) + b.v)) end
        mt.__lt = function(a, b) return work(a.v) < work(b.v) end
        mt.__eq = function(a, b) return work(a.v) == work(b.v) end
        mt.__index = function(_, key) return work(#key) end
        mt.__newindex = function(t, key, value) rawset(t, key, work(value)) end
        mt.__call = function(self, n) return work(self.v + n) end
        mt.__len = function(self) return work(self.v) end
        mt.__close = function(self) self.v = work(self.v) end
        local a, sum = new(seed % 1000), 0
        for i = 1, size do
          local b <close> = a + new(i)
          a = "x" .. (b + a)
          a["k" .. i % 7] = i
          sum = (sum + a(i) + #b + a.missing + (a < b and 1 or 2) + (a == b and 3 or 4)) % 1000003
        end
        return sum
        """,
        (600, 2000),
    ),
    "gsub": Job(
        """
        local text = ("%d-%s;"):rep(size):gsub("%%d", function() return tostring(rnd(999)) end)
        local sum = 0
        local back = text:gsub("(%d+)%-(%S)", function(number, letter)
          local inner = coroutine.wrap(function() for i = 1, 20 do sum = (sum * 3 + number + i) % 10007 end end)
          inner()
          local ok = pcall(call, "wait")
          return ok and "waited" or letter
        end)
        for word in back:gmatch("%w+") do sum = sum + #word end
        return sum, #back, back:find("x", 1, true) == nil
        """,
        (300, 1000),
    ),
    "sort": Job(
        """
        local list = {}
        for i = 1, size do list[i] = { key = rnd(size), at = i } end
        table.sort(list, function(a, b)
          local n = 0
          for i = 1, 10 do n = n + i end
          if a.key == b.key then return a.at < b.at end
          return a.key < b.key
        end)
        local sum = 0
        for i, item in ipairs(list) do sum = (sum * 31 + item.at) % 1000003 end
        return sum
        """,
        (1000, 4000),
    ),
    "strings": Job(
        """
        local parts = {}
        for i = 1, size do
          parts[#parts + 1] = ("%5.2f|%q"):format(rnd(1000) / 7, ("ab"):rep(rnd(20)))
          if i % 50 == 0 then parts = { table.concat(parts, ",") } end
        end
        local text = table.concat(parts)
        local n = 0
        for a, b in text:gmatch("(%d+)%.(%d+)|") do n = (n * 7 + a + b) % 1000003 end
        return n, #text, select(2, text:gsub("a[^a]*b", "%0")), (text:find(("a?"):rep(12) .. ("b"):rep(40)))
        """,
        (1500, 4000),
    ),
    "host": Job(
        """
        local sum = 0
        local function step(i)
          local n = ask("add", sum, i)
          for k = 1, 50 do n = (n * 3 + k) % 1000003 end
          return call("add", n, i)
        end
        local deep = coroutine.wrap(function()
          local inner = coroutine.wrap(function() while true do sum = step(rnd(100)) coroutine.yield(sum) end end)
          while true do coroutine.yield(inner()) end
        end)
        for i = 1, size do
          sum = step(i)
          deep()
          local ok, e = pcall(call, "fail", i)
          sum = sum + (ok and 1000 or #e.message)
        end
        return sum
        """,
        (400, 1200),
    ),
    "abandoned": Job(
        """
        local sum = 0
        for i = 1, size do
          local co = coroutine.wrap(function()
            local s <close> = setmetatable({}, { __close = function() sum = -1 end })
            for k = 1, 1000 do sum = (sum + k * i) % 1000003 coroutine.yield(k) end
          end)
          for k = 1, rnd(30) do co() end
          if i % 100 == 0 then collectgarbage() end
        end
        return sum
        """,
        (600, 2000),
    ),
    "closing": Job(
        """
        local order = {}
        local function level(depth)
          local s <close> = guarded()
          local mine <close> = setmetatable({}, { __close = function(_, e)
            for i = 1, 30 do depth = depth + (i % 2 == 0 and 1 or -1) end
            order[#order + 1] = depth .. (e and "e" or "")
          end })
          for i = 1, 50 do rnd(3) end
          if depth == 0 then if rnd(2) == 1 then error("up") end return end
          for _ in (function() return nil end), nil, nil, guarded() do end
          level(depth - 1)
        end
        for i = 1, size do
          local co = coroutine.create(function() level(6) coroutine.yield(guarded()) end)
          coroutine.resume(co)
          coroutine.close(co)
          pcall(level, 5)
        end
        return #order, table.concat(order, ","):sub(1, 200)
        """,
        (100, 300),
    ),
    "load": Job(
        """
        local sum = 0
        for i = 1, size do
          local n = 0
          local f = load(function()
            n = n + 1
            for k = 1, 20 do sum = (sum + k) % 1009 end
            return n <= 20 and ("local v" .. n .. " = " .. rnd(9) .. " ") or n == 21 and "return v1 + v20" or nil
          end)
          sum = (sum + f()) % 1000003
        end
        return sum
        """,
        (200, 600),
    ),
    "tasks": Job(
        """
        local kept, ids, sum = {}, {}, 0
        for i = 1, 8 do
          local own = random(seed + i)
          ids[i] = spawn(kept, 0, function()
            local s <close> = guarded()
            local n = 0
            local co = coroutine.wrap(function()
              for k = 1, size do n = (n * 31 + own(1000)) % 1000003 if k % 97 == 0 then n = call("add", n, i) end end
            end)
            co()
            if i == 5 then error(n) end
            return n
          end)
        end
        call("join")
        for i = 1, 8 do local ok, n = outcome_of(kept, ids[i]) sum = sum + (ok and 1 or 2) * n end
        return sum
        """,
        (4000, 10_000),
    ),
    "cancelled": Job(
        """
        local own = random(seed)
        local id = spawn({}, 0, function()
          local s <close> = guarded()
          coroutine.wrap(function()
            local s <close> = guarded()
            while true do pcall(function() local t <close> = guarded() while true do own(9) end end) end
          end)()
        end)
        local sum = 0
        for i = 1, size do sum = (sum * 31 + rnd(1000)) % 1000003 end
        call("cancel", id)
        return sum
        """,
        (20_000, 60_000),
    ),
    "deadline": Job(
        """
        local function f() while true do pcall(function() while true do rnd(9) end end) end end
        local co = coroutine.wrap(function() table.sort({ 3, 1, 2 }, function(a, b) f() return a < b end) end)
        if size == 1 then f() elseif size == 2 then co() else (" "):gsub(".", f) end
        """,
        (1, 2, 3),
        end="deadline",
        deadline=0.01,
    ),
    "memory": Job(
        """
        local list = {}
        local function grow() for i = 1, math.huge do list[#list + 1] = { rnd(9), ("x"):rep(rnd(100)) } end end
        local s <close> = guarded()
        if size == 1 then grow() end
        while true do pcall(coroutine.wrap(grow)) end
        """,
        (1, 2),
        end="memory",
        max_memory=3_000_000,
    ),
    "interrupted": Job(
        """
        local s <close> = guarded()
        coroutine.wrap(function()
          local s <close> = guarded()
          while true do xpcall(function() while true do rnd(9) end end, function(e) while true do end end) end
        end)()
        """,
        (1,),
        end="enough",
        interrupted=30,
    ),
}
JOBS = {name: job._replace(text=HEAD + job.text) for name, job in JOBS.items()}
