-- `Async`: several things at once. Each runs in a fiber of its own; only the fiber that waits is held up.

local host = ...
local ask, call, spawn, outcome_of = host.ask, host.call, host.spawn, host.outcome_of
local type, setmetatable, tostring, error, rawget = type, setmetatable, tostring, error, rawget
local pack, unpack, math_type, next, real_metatable = table.pack, table.unpack, math.type, next, host.real_metatable
local raise, typename = host.raise, host.typename

local Async = {}

local function callable(v)
  if type(v) == "function" then
    return true
  end
  local mt = (type(v) == "table" or type(v) == "thread") and real_metatable(v)
  return mt and rawget(mt, "__call") ~= nil or false
end

local function seconds(v, name)
  if type(v) ~= "number" or v ~= v or v < 0 then
    local got = type(v) == "number" and tostring(v) or typename(v)
    raise("validation", "`" .. name .. "` takes a number of seconds, not " .. got)
  end
  return v
end

local function functions(list, name)
  if type(list) ~= "table" then
    raise("validation", "`" .. name .. "` takes a list of functions, not " .. typename(list))
  end
  for i = 1, #list do
    if not callable(list[i]) then
      raise("validation", "`" .. name .. "`: item " .. i .. " must be a function, not " .. typename(list[i]))
    end
  end
  return list
end

-- A group of fibers: whatever ends this block ends those of them that still run.
local group_class = {
  __close = function(group)
    for _, id in next, ask("group.cancel", group.id) do
      host.close_fiber(id)
    end
  end,
}

local function new_group()
  return setmetatable({ id = ask("group.new") }, group_class)
end

-- Starts up to `n` fibers by `start(kept, group, i)`, at most `width` at once, and hands each outcome to
-- `done(i, ok, …)` as it comes.
local function run_all(n, width, start, done)
  local group <close> = new_group()
  local index, kept, started, ended = {}, {}, 0, 0
  while ended < n do
    while started < n and started - ended < width do
      started = started + 1
      index[start(kept, group.id, started)] = started
    end
    local id = call("group.next", group.id)
    ended = ended + 1
    local i = index[id]
    index[id] = nil
    done(i, outcome_of(kept, id))
  end
end

-- For `n` results: none are a list, too.
local function new_results(n)
  return n == 0 and host.mark_array({}) or {}
end

local function raise_first(results)
  return function(i, ok, ...)
    if not ok then
      error((...), 0)
    end
    results[i] = (...)
  end
end

--- Waits: other tasks go on.
---@param s number seconds
function Async.sleep(s)
  call("Async.sleep", seconds(s, "Async.sleep") + 0.0)
end

--- Runs all the functions at once; their results in order. The first error cancels the rest and is raised.
---@param list function[]
---@return any[]
function Async.all(list)
  local n = #functions(list, "Async.all")
  local results = new_results(n)
  run_all(n, n, function(kept, group, i)
    return spawn(kept, group, list[i])
  end, raise_first(results))
  return results
end

--- Calls f(item, index) for each item, at most `concurrency` at once; the results in order.
---@param list any[]
---@param f fun(item: any, index: integer): any
---@param options? {concurrency: integer}
---@return any[]
function Async.map(list, f, options)
  if type(list) ~= "table" then
    raise("validation", "`Async.map` takes a list, not " .. typename(list))
  elseif not callable(f) then
    raise("validation", "`Async.map` takes a function second, not " .. typename(f))
  end
  local n = #list
  local width = host.options("Async.map", options, "concurrency").concurrency or n
  if (n > 0 or width ~= n) and (math_type(width) ~= "integer" or width < 1) then
    raise("validation", "`Async.map`: `concurrency` must be a whole number above 0, not " .. tostring(width))
  end
  local results = new_results(n)
  run_all(n, width, function(kept, group, i)
    return spawn(kept, group, f, list[i], i)
  end, raise_first(results))
  return results
end

--- Runs all the functions at once; for each, `{ok = true, value = …}` or `{ok = false, error = …}`.
---@param list function[]
function Async.settle(list)
  local n = #functions(list, "Async.settle")
  local results = new_results(n)
  run_all(n, n, function(kept, group, i)
    return spawn(kept, group, list[i])
  end, function(i, ok, ...)
    results[i] = ok and { ok = true, value = (...) } or { ok = false, error = (...) }
  end)
  return results
end

local function first_of(kept, group, timeout)
  local id = call("group.next", group.id, timeout or 0.0)
  if id == nil then
    return nil
  end
  return true, outcome_of(kept, id)
end

local function passed_on(came, ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

--- What the first to end gives, or its error; the rest are cancelled.
---@param list function[]
function Async.race(list)
  if #functions(list, "Async.race") == 0 then
    raise("validation", "`Async.race` takes at least one function")
  end
  local group <close> = new_group()
  local kept = {}
  for i = 1, #list do
    spawn(kept, group.id, list[i])
  end
  return passed_on(first_of(kept, group))
end

--- What f gives, if it ends in time; else it is cancelled and an error of kind "timeout" is raised.
---@param s number seconds
---@param f function
function Async.timeout(s, f)
  if type(s) == "function" and type(f) == "number" then
    s, f = f, s
  end
  seconds(s, "Async.timeout")
  if not callable(f) then
    raise("validation", "`Async.timeout` takes a function second, not " .. typename(f))
  end
  local group <close> = new_group()
  local kept = {}
  spawn(kept, group.id, f)
  -- 0.0 is no limit to the host, and more than a year is none to anybody
  local limit = s > 3e7 and 0.0 or s > 0 and s + 0.0 or 1e-9
  local got = pack(first_of(kept, group, limit))
  if not got[1] then
    raise("timeout", "the function did not end within " .. s .. " s", "raise the seconds of `Async.timeout`")
  end
  return passed_on(unpack(got, 1, got.n))
end

local fiber_of, kept_of = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })
local outcome = setmetatable({}, { __mode = "k" })
local task_methods = {}

local function need(task, method)
  local id = type(task) == "table" and fiber_of[task]
  if not id then
    raise("validation", "`task:" .. method .. "` is called with a colon, on a task of `Async.spawn`")
  end
  return id
end

--- Waits for the task; gives what it returned, or raises its error.
function task_methods.await(task)
  local id = need(task, "await")
  if not outcome[task] then
    if id == host.this_fiber() then
      raise("validation", "a task cannot await itself: it would wait for ever")
    end
    call("task:await", id)
    outcome[task] = outcome[task] or pack(outcome_of(kept_of[task], id))
  end
  local got = outcome[task]
  if not got[1] then
    error(got[2], 0)
  end
  return unpack(got, 2, got.n)
end

--- Ends the task where it waits; its `<close>` variables are closed. One that has ended stays as it ended; one that
--- cancels itself goes on to where it next waits.
function task_methods.cancel(task)
  local id = need(task, "cancel")
  if ask("task:cancel", id) then
    host.close_fiber(id)
  end
end

local task_class = {
  __name = "Task",
  __metatable = false,
  __index = function(task, key)
    if key == "done" then
      return ask("task.done", need(task, "done"))
    end
    local method = task_methods[key]
    if method == nil then
      host.missing("task", { await = 1, cancel = 1, done = 1 }, key)
    end
    return method
  end,
}

--- Starts f(…) and goes on. A task left running is cancelled when the script ends.
---@param f function
function Async.spawn(f, ...)
  if not callable(f) then
    raise("validation", "`Async.spawn` takes a function, not " .. typename(f))
  end
  local task, kept = setmetatable({}, task_class), {}
  kept_of[task] = kept
  fiber_of[task] = spawn(kept, 0, f, ...)
  return task
end

local semaphores = setmetatable({}, { __mode = "k" }) -- semaphore → the host's number for it
local semaphore_methods = {}
local semaphore_class = host.class("semaphore", semaphore_methods)

local releasing = {
  __close = function(guard)
    ask("semaphore.release", guard.id)
  end,
}

--- Runs f(…) in one of the semaphore's places, as soon as one is free; gives what it gives.
function semaphore_methods.with(sem, f, ...)
  local id = type(sem) == "table" and semaphores[sem]
  if not id then
    raise("validation", "`semaphore:with` is called with a colon, on a semaphore of `Async.semaphore`")
  elseif not callable(f) then
    raise("validation", "`semaphore:with` takes a function, not " .. typename(f))
  end
  if not ask("semaphore.try", id) then
    call("semaphore:wait", id)
  end
  local guard <close> = setmetatable({ id = id }, releasing)
  return f(...)
end

--- So many places: `sem:with(f)` waits for one.
---@param n integer
function Async.semaphore(n)
  if math_type(n) ~= "integer" or n < 1 then
    raise("validation", "`Async.semaphore` takes a whole number above 0, not " .. tostring(n))
  end
  local sem = setmetatable({}, semaphore_class)
  semaphores[sem] = ask("semaphore.new", n)
  return sem
end

local turns = setmetatable({}, { __mode = "k" }) -- rate → the times of its last turns, and what it allows
local rate_methods = {}
local rate_class = host.class("rate", rate_methods)

--- Waits until it is one's turn.
function rate_methods.wait(rate)
  local known = type(rate) == "table" and turns[rate]
  if not known then
    raise("validation", "`rate:wait` is called with a colon, on a rate of `Async.rate`")
  end
  local now = ask("Run.clock")
  local place = known.place
  local before = known[place]
  local at = before and before + known.seconds or now
  if at < now then
    at = now
  end
  known[place], known.place = at, place % known.n + 1
  if at > now then
    call("Async.sleep", at - now)
  end
end

--- At most n turns in any so many seconds: `rate:wait()` waits for the next.
---@param n integer
---@param s number seconds
function Async.rate(n, s)
  if math_type(n) ~= "integer" or n < 1 or n > 100000 then
    raise("validation", "`Async.rate` takes a whole number from 1 to 100000 first, not " .. tostring(n))
  end
  local rate = setmetatable({}, rate_class)
  turns[rate] = { n = n, seconds = seconds(s, "Async.rate") + 0.0, place = 1 }
  return rate
end

local function next_of(stream)
  return stream:next()
end

--- An iterator over several streams as their chunks come: `for i, chunk in Async.merge{ s1, s2 } do`. Leaving the loop
--- closes them all.
---@param streams thread[]
function Async.merge(streams)
  if type(streams) ~= "table" then
    raise("validation", "`Async.merge` takes a list of streams, not " .. typename(streams))
  end
  local n = 0 -- up to the first nil: the last stream of a constructor brings a loop's further values with it
  while streams[n + 1] ~= nil do
    n = n + 1
    if type(streams[n]) ~= "thread" then
      raise("validation", "`Async.merge`: item " .. n .. " must be a stream, not " .. typename(streams[n]))
    end
  end
  local group, index, kept = new_group(), {}, {}
  local open, started = n, false
  local closer = setmetatable({}, {
    __close = function()
      group_class.__close(group)
      for i = 1, n do
        if host.streams[streams[i]] then
          host.streams[streams[i]].cancel()
        end
      end
    end,
  })
  local function start(i)
    index[spawn(kept, group.id, next_of, streams[i])] = i
  end
  local function iterate()
    if not started then
      started = true
      for i = 1, n do
        start(i)
      end
    end
    while open > 0 do
      local id = call("group.next", group.id)
      local i = index[id]
      index[id] = nil
      local ok, chunk = outcome_of(kept, id)
      if not ok then
        error(chunk, 0)
      elseif chunk == nil then
        open = open - 1
      else
        start(i)
        return i, chunk
      end
    end
    return nil
  end
  return iterate, nil, nil, closer
end

return Async
