-- The Lua half of the pure engine: fibers, host calls by tagged yields, stopping, and values that cross by copy.
--
-- A script can reach nothing in this file: what it gets are functions of `public` (put in place of Lua's own) and of
-- `host` (used by the prelude). Every function used here is a local, taken before the script runs.
--
-- Values cross as a `shape` and a flat list of scalars. The shape is a string of one letter a node:
--   v a scalar, the next of the list    n nil    0 JSON null
--   { … } an object: its keys and values in turn, a key being a `v`
--   [ … ] a list                                 e an empty list
--   m a node: the metadata of the chunks that follow    c a chunk: its stream, index, type, text and time
-- Where every value is a scalar, the shape is false. Scalars that are too many for one crossing go ahead in pieces
-- (`cb_feed`), or are fetched afterwards (`cb_take`, where the shape begins with `+`).
--
-- The callbacks are the only Python objects in this Lua state, held here for its whole life and reachable from here
-- only. They take and return scalars, and never raise. While Lua runs its heap is limited; a callback that returns a
-- string lifts the limit first and says so, and the limit is put back here, where a failure is an ordinary Lua error.

local cb_tick, cb_arm, cb_lift, cb_ask, cb_feed, cb_take = ...

local raw_pcall, raw_xpcall, raw_error = pcall, xpcall, error
local raw_resume, raw_yield, raw_create = coroutine.resume, coroutine.yield, coroutine.create
local raw_close, raw_status, raw_running = coroutine.close, coroutine.status, coroutine.running
local raw_yieldable = coroutine.isyieldable
local raw_load, raw_setmetatable, raw_getmetatable = load, setmetatable, getmetatable
local sethook, getinfo, set_type_metatable = debug.sethook, debug.getinfo, debug.setmetatable
local select, type, next, rawget, rawset, rawlen, rawequal, tostring =
  select, type, next, rawget, rawset, rawlen, rawequal, tostring
local string_library = string
local pack, unpack, concat = table.pack, table.unpack, table.concat
local byte, sub = string.byte, string.sub
local math_type, huge = math.type, math.huge

local TAG = {} -- first value of a yield that is meant for the driver
local KILL = {} -- the error that unwinds a stopped run
local REFUSED = {} -- the answer to a host call that could not be passed up
local NO_MEMORY = "not enough memory" -- Lua's own words
local OWN = "=[llmspell]" -- chunk name of everything that is not the script's
local INLINE = 100 -- scalars that cross with a call; more go ahead in pieces
local MAX_DEPTH, MAX_NODES = 64, 1000000

local killed = false -- why the run is being stopped, once it is
local forged_no_memory = false -- the script itself raised Lua's words
local hooked = false
local count = 1000 -- instructions between ticks of a coroutine that is made now

local fibers, results, failures = {}, {}, {} -- by fiber id
local fiber_of = raw_setmetatable({}, { __mode = "k" }) -- the fiber whose body a coroutine is
local waiting = raw_setmetatable({}, { __mode = "k" }) -- coroutine that waits in a host call → who resumed it
local last_fiber, main_fiber = 0, nil

local null = raw_setmetatable({}, {
  __tostring = function()
    return "null"
  end,
  __name = "null",
  __metatable = false,
  __newindex = function()
    raw_error("JSON.null cannot be changed", 2)
  end,
})
local array_mark = { __name = "array" }

local host, public = {}, {}

-- ------------------------------------------------------------------------------------------------ stopping

local function kill(why)
  if not killed then
    killed = why
  end
  raw_error(KILL, 0)
end

local function hook()
  -- A tick that raises (a signal's exception, before the callback could catch it) counts as a stop.
  local ok, again = raw_pcall(cb_tick)
  if not ok then
    again = -1
  end
  if again > 0 then
    if again ~= count then
      count = again
      sethook(hook, "", again)
    end
    return
  end
  killed = killed or "interrupt"
  if again < 0 then -- no time left even for `<close>` variables
    count = 1
    sethook(hook, "", 1)
  end
  raw_error(KILL, 0)
end

local function new_coroutine(f)
  local co = raw_create(f)
  if hooked then
    sethook(co, hook, "", count)
  end
  return co
end

-- After something was caught: a stop goes on, and so does the end of memory, whatever caught it.
local function caught(e)
  if killed then
    raw_error(KILL, 0)
  end
  if e == NO_MEMORY and not forged_no_memory then
    kill("memory")
  end
  forged_no_memory = false
end

local function settled(ok, ...)
  if not ok then
    caught((...))
  end
  return ok, ...
end

function public.pcall(...)
  if select("#", ...) == 0 then
    raw_error("bad argument #1 to 'pcall' (value expected)", 2)
  end
  return settled(raw_pcall(...))
end

function public.xpcall(f, handler, ...)
  if type(handler) ~= "function" then
    raw_error("bad argument #2 to 'xpcall' (function expected, got " .. host.typename(handler) .. ")", 2)
  end
  return settled(raw_xpcall(f, function(e)
    if killed or rawequal(e, KILL) then
      return e
    end
    return handler(e)
  end, ...))
end

function public.error(...)
  local e, level = ...
  forged_no_memory = e == NO_MEMORY
  if level == nil then
    level = 1
  elseif math_type(level) ~= "integer" then
    return raw_error(e, level) -- Lua's own complaint about the level
  end
  return raw_error(e, level == 0 and 0 or level + 1)
end

function public.assert(...)
  local n, ok, e = select("#", ...), ...
  if ok then
    return ...
  elseif n == 0 then
    raw_error("bad argument #1 to 'assert' (value expected)", 2)
  elseif n == 1 then
    e = "assertion failed!"
  end
  forged_no_memory = e == NO_MEMORY
  raw_error(e, type(e) == "string" and 2 or 0)
end

-- ------------------------------------------------------------------------------------------------ coroutines

function host.typename(v)
  if v == nil then
    return "no value"
  end
  return type(v)
end

local function is_coroutine(co, name)
  if type(co) ~= "thread" then
    raw_error("bad argument #1 to '" .. name .. "' (coroutine expected)", 3)
  end
end

local function resume_again(co, ...)
  waiting[co] = nil
  return raw_resume(co, ...)
end

-- A host call inside the script's own coroutine: passed on to whoever resumed it, up to the driver.
local function pass_up(co, ...)
  if not raw_yieldable() then
    return raw_resume(co, REFUSED)
  end
  waiting[co] = (raw_running())
  return resume_again(co, raw_yield(TAG, ...))
end

local resumed

local function relay(co, ok, first, ...)
  if not ok then
    caught(first)
    return false, first
  end
  if rawequal(first, TAG) then
    return resumed(co, pass_up(co, ...))
  end
  return true, first, ...
end

-- A body that returns nothing gives `true` alone: relay's named `first` must not add a nil.
function resumed(co, ...)
  if select("#", ...) == 1 then
    return ...
  end
  return relay(co, ...)
end

local function why_not(co)
  if waiting[co] or fiber_of[co] then
    return "cannot resume non-suspended coroutine"
  end
end

function public.resume(co, ...)
  is_coroutine(co, "resume")
  local why = why_not(co)
  if why then
    return false, why
  end
  return resumed(co, raw_resume(co, ...))
end

local function unwrap(co, ...)
  local ok, first = ...
  if ok then
    return select(2, ...)
  end
  if killed then
    raw_error(KILL, 0)
  end
  if raw_status(co) == "dead" then
    local closed, e = raw_close(co)
    if not closed then
      first = e
    end
    caught(first)
  end
  if type(first) == "string" then
    raw_error(first, 2) -- as Lua's own wrap: where it was called stands before the message
  end
  raw_error(first, 0)
end

local function call_coroutine(co, ...)
  local why = why_not(co)
  if why then
    raw_error(why, 2)
  end
  return unwrap(co, resumed(co, raw_resume(co, ...)))
end

function public.create(f)
  if type(f) ~= "function" then
    raw_error("bad argument #1 to 'create' (function expected)", 2)
  end
  return new_coroutine(f)
end

function public.wrap(f)
  if type(f) ~= "function" then
    raw_error("bad argument #1 to 'wrap' (function expected)", 2)
  end
  local co = new_coroutine(f)
  return function(...)
    return call_coroutine(co, ...)
  end
end

function public.status(co)
  is_coroutine(co, "status")
  if waiting[co] then
    return "normal"
  end
  local status = raw_status(co)
  if status == "suspended" and fiber_of[co] then
    return "normal"
  end
  return status
end

function public.close(co)
  is_coroutine(co, "close")
  if waiting[co] or (fiber_of[co] and raw_status(co) == "suspended") then
    raw_error("cannot close a normal coroutine", 2)
  end
  if killed and raw_status(co) ~= "suspended" then
    raw_error(KILL, 0) -- it died in its hook, where Lua has turned hooks off: nothing could stop its `<close>` variables
  end
  return settled(raw_close(co))
end

function public.yield(...)
  if fiber_of[raw_running()] then
    raw_error("attempt to yield from outside a coroutine", 0)
  end
  return raw_yield(...)
end

function public.running()
  local co = raw_running()
  return co, fiber_of[co] ~= nil
end

function public.isyieldable(...)
  if select("#", ...) > 0 then
    return raw_yieldable(...) and not fiber_of[...]
  end
  return raw_yieldable() and not fiber_of[raw_running()]
end

-- Coroutines may be called, and have methods: a property of the type, so streams are plain coroutines.
function host.thread_methods(methods)
  set_type_metatable(raw_create(function() end), {
    __index = methods,
    __call = function(co, ...)
      if raw_status(co) == "dead" then
        return nil
      end
      return call_coroutine(co, ...)
    end,
    __close = function(co)
      if raw_status(co) == "suspended" and not waiting[co] then
        return public.close(co)
      end
    end,
    __name = "thread",
    __metatable = false,
  })
end

-- ------------------------------------------------------------------------------------------------ values out

-- One walk of a call's values: `w` holds the shape, the scalars, the path from the root and what is on it.
local walk

local function refuse(w, what)
  local where = {}
  for i = 1, w.depth do
    local key = w.path[i]
    if math_type(key) == "integer" then
      where[#where + 1] = "[" .. key .. "]"
    else
      where[#where + 1] = (#where > 0 and "." or "") .. tostring(key)
    end
  end
  local place = concat(where)
  w.fault = what .. (place ~= "" and " at `" .. place .. "`" or "")
  raw_error(w, 0)
end

local function list_length(t)
  local n = rawlen(t)
  local seen = 0
  for k in next, t do
    if math_type(k) ~= "integer" or k < 1 or k > n then
      return nil
    end
    seen = seen + 1
  end
  return seen == n and n or nil
end

local function put(w, v)
  local n = w.n + 1
  w.n = n
  w[n] = v
end

local function code(w, letter)
  local n = w.nodes + 1
  w.nodes = n
  w.shape[n] = letter
  if n > MAX_NODES then
    refuse(w, "a table of more than " .. MAX_NODES .. " values")
  end
end

local function walk_table(w, t)
  if w.on_path[t] then
    refuse(w, "a cycle")
  end
  local depth = w.depth + 1
  if depth > MAX_DEPTH then
    refuse(w, "tables nested more than " .. MAX_DEPTH .. " deep")
  end
  w.on_path[t] = true
  local n = list_length(t)
  if n == 0 then
    code(w, raw_getmetatable(t) == array_mark and "e" or "{")
    if w.shape[w.nodes] == "{" then
      code(w, "}")
    end
  elseif n then
    code(w, "[")
    for i = 1, n do
      w.depth = depth
      w.path[depth] = i
      walk(w, rawget(t, i))
    end
    code(w, "]")
  else
    code(w, "{")
    for k, v in next, t do
      w.depth = depth
      w.path[depth] = k
      local kind = type(k)
      if kind ~= "string" and (w.strict or (kind ~= "number" and kind ~= "boolean")) then
        refuse(w, kind == "number" and "a table with mixed keys" or "a key that is a " .. kind)
      end
      code(w, "v")
      put(w, k)
      walk(w, v)
    end
    code(w, "}")
  end
  w.depth = depth - 1
  w.on_path[t] = nil
end

function walk(w, v)
  local kind = type(v)
  if kind == "table" then
    if rawequal(v, null) then
      return code(w, "0")
    end
    return walk_table(w, v)
  elseif kind == "nil" then
    return code(w, "n")
  elseif kind == "number" then
    if w.strict and (v ~= v or v == huge or v == -huge) then
      refuse(w, v ~= v and "NaN" or "an infinity")
    end
  elseif kind ~= "string" and kind ~= "boolean" then
    refuse(w, "a " .. kind)
  end
  code(w, "v")
  put(w, v)
end

local function walk_all(w, ...)
  for i = 1, select("#", ...) do
    walk(w, (select(i, ...)))
  end
end

local function is_flat(...)
  local n = select("#", ...)
  if n > 8 then
    return false
  end
  for i = 1, n do
    local v = select(i, ...)
    local kind = math_type(v) or type(v)
    if kind ~= "string" and kind ~= "integer" and kind ~= "boolean" then
      return false
    end
  end
  return true
end

-- The values as they cross: a shape, then scalars. Raises a table with `fault` where one cannot.
local function flatten(strict, ...)
  if is_flat(...) then
    return false, ...
  end
  local w = { n = 0, nodes = 0, depth = 0, shape = {}, path = {}, on_path = {}, strict = strict }
  walk_all(w, ...)
  local shape = concat(w.shape)
  local first = 1
  while w.n - first >= INLINE do
    cb_feed(unpack(w, first, first + INLINE - 1))
    first = first + INLINE
  end
  return shape, unpack(w, first, w.n)
end

-- ------------------------------------------------------------------------------------------------ values in

local function fetch_rest(values)
  while true do
    local more = pack(cb_take())
    cb_arm()
    if more.n == 0 then
      return
    end
    local n = #values
    for i = 1, more.n do
      values[n + i] = more[i]
    end
  end
end

local function build(shape, ...)
  if not shape then
    return ...
  end
  local values = { ... }
  local at, i = 0, 0
  local one, template
  if byte(shape) == 43 then -- +
    fetch_rest(values)
    i = 1
  end
  local function object()
    local t = {}
    while true do
      i = i + 1
      local c = byte(shape, i)
      if c == 125 then -- }
        return t
      end
      at = at + 1
      local key = values[at]
      i = i + 1
      rawset(t, key, one(byte(shape, i)))
    end
  end
  local function list()
    local t, n = raw_setmetatable({}, array_mark), 0
    while true do
      i = i + 1
      local c = byte(shape, i)
      if c == 93 then -- ]
        return t
      end
      n = n + 1
      rawset(t, n, one(c))
    end
  end
  function one(c)
    if c == 118 then -- v
      at = at + 1
      return values[at]
    elseif c == 123 then
      return object()
    elseif c == 91 then
      return list()
    elseif c == 101 then -- e
      return raw_setmetatable({}, array_mark)
    elseif c == 48 then -- 0
      return null
    elseif c == 99 then -- c
      local metadata = {}
      for k, v in next, template do
        metadata[k] = v
      end
      at = at + 5
      return {
        stream_id = values[at - 4],
        chunk_index = values[at - 3],
        content = { type = values[at - 2], text = values[at - 1] },
        metadata = metadata,
        timestamp = values[at],
      }
    elseif c == 109 then -- m
      i = i + 1
      template = one(byte(shape, i))
      i = i + 1
      return one(byte(shape, i))
    end
    return nil
  end
  local out, n = {}, 0
  while i < #shape do
    i = i + 1
    n = n + 1
    out[n] = one(byte(shape, i))
  end
  return unpack(out, 1, n)
end

-- ------------------------------------------------------------------------------------------------ errors

local origin = raw_setmetatable({}, { __mode = "k" }) -- error table → the id of the Python exception it stands for
local error_line

local error_methods = raw_setmetatable({}, {
  __index = function(_, name)
    local f = string_library[name]
    if f then
      return function(e, ...)
        return f(error_line(e), ...)
      end
    end
  end,
})

local error_mt = {
  __index = error_methods,
  __tostring = function(e)
    return error_line(e)
  end,
  __concat = function(a, b)
    return tostring(a) .. tostring(b)
  end,
  __len = function(e)
    return #error_line(e)
  end,
  __name = "error",
  __metatable = false,
}

function error_line(e)
  local message, hint = rawget(e, "message"), rawget(e, "hint")
  if hint == nil or hint == null then
    return tostring(message)
  end
  return tostring(message) .. " (" .. tostring(hint) .. ")"
end

-- The script's own frames from `level` outwards (innermost first), at most 20.
local function frames_of(co, level)
  local frames = {}
  while #frames < 20 do
    local info
    if co then
      info = getinfo(co, level, "Sln")
    else
      info = getinfo(level, "Sln")
    end
    if not info then
      break
    end
    if info.source ~= OWN and info.what ~= "C" and info.currentline > 0 then
      frames[#frames + 1] = {
        source = sub(info.source, 1, 1) == "@" and sub(info.source, 2) or info.short_src,
        line = info.currentline,
        what = info.name or (info.what == "main" and "main chunk" or "function"),
      }
    end
    level = level + 1
  end
  return frames
end

-- An error table of llmspell's: `fields` as LLMSpellError.to_dict gives them, `id` of the exception they stand for.
function host.make_error(fields, id)
  local frames = frames_of(nil, 3)
  local top = frames[1]
  if top and fields.line == nil then
    fields.script, fields.line = top.source, top.line
  end
  if id then
    origin[fields] = id
  end
  return raw_setmetatable(fields, error_mt)
end

-- Raises an error that the prelude itself finds; the driver makes a Python exception of it if nobody catches it.
function host.raise(kind, message, hint)
  local e = host.make_error({ kind = kind, message = message, hint = hint, retryable = false })
  origin[e] = 0
  raw_error(e, 0)
end

local function bad_value(op, w)
  if type(w) == "table" and rawget(w, "fault") then
    host.raise("validation", "`" .. op .. "`: " .. w.fault .. " cannot be passed on", nil)
  end
  raw_error(w, 0)
end

-- ------------------------------------------------------------------------------------------------ host calls

local function answered(ok, shape, ...)
  if ok == true then
    return build(shape, ...)
  end
  local id, fields = build(shape, ...)
  raw_error(host.make_error(fields, id), 0)
end

local function asked(lifted, ...)
  if lifted then
    cb_arm()
  end
  local ok = ...
  if ok == nil then -- the run is over: os.exit, a closed pipe, an output limit
    kill("host")
  end
  return answered(...)
end

local function ask_flat(op, ok, ...)
  if not ok then
    caught((...))
    bad_value(op, (...))
  end
  return asked(cb_ask(op, ...))
end

-- Asks the host for something that needs no waiting; possible wherever Lua runs.
function host.ask(op, ...)
  if is_flat(...) then
    return asked(cb_ask(op, false, ...))
  end
  return ask_flat(op, raw_pcall(flatten, false, ...))
end

-- The same for values that must be JSON.
function host.ask_json(op, ...)
  return ask_flat(op, raw_pcall(flatten, true, ...))
end

local function cannot_wait(op)
  host.raise(
    "not_supported",
    "`" .. op .. "` waits, and Lua cannot wait inside a C function (a table.sort comparator, a string.gsub callback, …)",
    "collect what is needed first, and make the call outside of it"
  )
end

local function came_back(op, ok, ...)
  if rawequal(ok, REFUSED) then
    cannot_wait(op)
  end
  return answered(ok, ...)
end

local function send(op, ok, ...)
  if not ok then
    caught((...))
    bad_value(op, (...))
  end
  return came_back(op, raw_yield(TAG, op, ...))
end

-- Asks the host for something that waits: only this fiber does. The values must be JSON.
function host.call(op, ...)
  if killed then
    raw_error(KILL, 0)
  end
  if not raw_yieldable() then
    cannot_wait(op)
  end
  if is_flat(...) then
    return came_back(op, raw_yield(TAG, op, false, ...))
  end
  return send(op, raw_pcall(flatten, true, ...))
end

-- Collections are noticed, not finalised: a finaliser would run while the state is closed. `f` is called at the end
-- of a step after which something was collected.
local canary = raw_setmetatable({}, { __mode = "k" })
local after_collection = nil

function host.after_collection(f)
  after_collection = f
  canary[{}] = true
end

local function swept()
  if after_collection and next(canary) == nil then
    canary[{}] = true
    after_collection()
  end
end

-- ------------------------------------------------------------------------------------------------ fibers

local noted = raw_setmetatable({}, { __mode = "k" }) -- coroutine of a fiber → the frames at its error

local function note(e)
  if not killed then
    noted[raw_running()] = frames_of(nil, 3)
  end
  return e
end

-- A fiber's body runs in xpcall: its frames are seen before they are unwound, and `<close>` variables run with hooks
-- on, which Lua leaves off in a coroutine that dies in its hook.
local function new_fiber(f, ...)
  last_fiber = last_fiber + 1
  local args = select("#", ...) > 0 and pack(...)
  local co = new_coroutine(function(...)
    if args then
      return raw_xpcall(f, note, unpack(args, 1, args.n))
    end
    return raw_xpcall(f, note, ...)
  end)
  fibers[last_fiber] = co
  fiber_of[co] = last_fiber
  return last_fiber
end

-- A new fiber of the script's, in `group` (an id of the host's). It starts when the host next turns to it.
function host.spawn(group, f, ...)
  local id = new_fiber(f, ...)
  host.ask("fiber.start", id, group)
  return id
end

-- How a finished fiber ended: true and its values, or false and its error. Once only.
function host.outcome_of(id)
  local r, e = results[id], failures[id]
  results[id], failures[id] = nil, nil
  if r then
    return true, unpack(r, 1, r.n)
  elseif e then
    return false, e.value
  end
  return false, host.make_error({ kind = "cancelled", message = "the task was cancelled", retryable = false })
end

local function describe(co, e)
  local frames = noted[co] or frames_of(co, 0)
  local id = type(e) == "table" and origin[e] or nil
  local told = { traceback = frames, id = id, type = type(e) }
  if type(e) == "string" then
    told.message = e
  elseif type(e) == "table" then
    local mt = raw_getmetatable(e)
    if id then
      for k, v in next, e do
        if type(k) == "string" then
          told[k] = v
        end
      end
    elseif mt and mt.__tostring then
      local ok, text = raw_pcall(tostring, e)
      told.message = ok and text or nil
    end
    told.value = not id and e or nil
  else
    told.message = tostring(e)
  end
  return told
end

local function described(co, e)
  local told = describe(co, e)
  local out = pack(raw_pcall(flatten, false, told))
  if not out[1] then -- a value that cannot cross: its text has to do
    told = { traceback = told.traceback, id = told.id, type = told.type, message = told.message }
    out = pack(raw_pcall(flatten, false, told))
  end
  return unpack(out, 2, out.n)
end

local function failed(id, co, e)
  if id ~= main_fiber then
    failures[id] = { value = e }
  end
  local told = pack(described(co, e))
  if killed then
    return 3, killed
  end
  return 2, unpack(told, 1, told.n)
end

local function succeeded(id, ...)
  if id ~= main_fiber then
    results[id] = pack(...)
    return 0, false
  end
  local flat = pack(raw_pcall(flatten, false, ...))
  if killed then
    return 3, killed
  elseif not flat[1] then
    return 4, type(flat[2]) == "table" and flat[2].fault or tostring(flat[2])
  end
  return 0, unpack(flat, 2, flat.n)
end

-- What became of a fiber: a code (0 done, 1 call, 2 error, 3 stopped, 4 done with values that cannot cross, 5 gone).
-- `ok` is of its resume, `well` of the xpcall that its body runs in, or the tag of a call.
local function outcome(id, co, ok, well, ...)
  swept()
  if ok and raw_status(co) == "suspended" and rawequal(well, TAG) then
    return 1, ...
  end
  fibers[id] = nil
  local e
  if not ok then
    e = well
  elseif well ~= true then
    e = (...)
  end
  if not killed and e == NO_MEMORY and not forged_no_memory then
    killed = "memory"
  end
  if killed then
    return 3, killed
  elseif ok and well == true then
    return succeeded(id, ...)
  end
  return failed(id, co, e)
end

-- The last thing before values go back to Python: from here on nothing is allocated in Lua but by the host.
local function lifted(...)
  cb_lift()
  return ...
end

local function step(id, ...)
  local co = fibers[id]
  if not co then
    return 5
  end
  cb_arm()
  return lifted(outcome(id, co, raw_resume(co, ...)))
end

-- Ends a fiber that waits: first the coroutines it waits inside of, from the innermost out, then itself.
function host.close_fiber(id)
  local co = fibers[id]
  if not co then
    return
  end
  fibers[id] = nil
  local inside, child = {}, {}
  for inner, outer in next, waiting do
    child[outer] = inner
  end
  local at = child[co]
  while at do
    inside[#inside + 1] = at
    at = child[at]
  end
  for i = #inside, 1, -1 do
    waiting[inside[i]] = nil
    raw_pcall(raw_close, inside[i])
  end
  raw_pcall(raw_close, co)
end

local function close_fiber(id)
  cb_arm()
  host.close_fiber(id)
  cb_lift()
end

-- ------------------------------------------------------------------------------------------------ loading

local function load_main(text, name)
  local f, e = raw_load(text, name, "t")
  if not f then
    return nil, e
  end
  main_fiber = new_fiber(f)
  return main_fiber
end

-- The globals of a script run are taken from here, by the prelude.
host.public, host.null, host.array_mark, host.origin = public, null, array_mark, origin
host.raw_load, host.load_name, host.frames_of, host.call_coroutine = raw_load, OWN, frames_of, call_coroutine
host.new_coroutine, host.raw_yield, host.kill = new_coroutine, raw_yield, kill

-- For Python.
local function start(text, name)
  local f, e = raw_load(text, name, "t")
  if not f then
    raw_error(e, 0)
  end
  return f(host)
end

local function set_hook()
  hooked = true
  sethook(hook, "", count) -- this state's own thread runs error values' __tostring
end

return start, load_main, step, close_fiber, set_hook
