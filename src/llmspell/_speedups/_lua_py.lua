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
-- only. They take and return scalars. What they raise all the same (a signal's exception, on the way in) would be a
-- Python object in the script's hands: so they are called through pcall, and such an object ends the run. While Lua
-- runs its heap is limited; a callback that returns a string lifts the limit first and says so, and the limit is put
-- back here, where a failure is an ordinary Lua error.

local cb_tick, cb_arm, cb_lift, cb_ask, cb_feed, cb_take = ...

local raw_pcall, raw_xpcall, raw_error = pcall, xpcall, error
local raw_resume, raw_yield, raw_create = coroutine.resume, coroutine.yield, coroutine.create
local raw_close, raw_status, raw_running = coroutine.close, coroutine.status, coroutine.running
local raw_yieldable = coroutine.isyieldable
local raw_load, raw_setmetatable, raw_collect = load, setmetatable, collectgarbage
local sethook, gethook, getinfo, traceback = debug.sethook, debug.gethook, debug.getinfo, debug.traceback
local set_metatable, real_metatable = debug.setmetatable, debug.getmetatable -- whatever `__metatable` says
local select, type, next, rawget, rawset, rawlen, rawequal, tostring =
  select, type, next, rawget, rawset, rawlen, rawequal, tostring
local string_library = string
local pack, unpack, concat = table.pack, table.unpack, table.concat
local byte, sub, find, gsub, dump, utf8_len =
  string.byte, string.sub, string.find, string.gsub, string.dump, utf8.len
local math_type, huge = math.type, math.huge

local TAG = {} -- first value of a yield that is meant for the driver
local KILL = "the run was stopped" -- the error that unwinds a stopped run: plain, since `__close` is handed it
local REFUSED = {} -- the answer to a host call that could not be passed up
local NO_MEMORY = "not enough memory" -- Lua's own words
local OWN = "=[llmspell]" -- chunk name of everything that is not the script's
local INLINE = 100 -- scalars that cross with a call; more go ahead in pieces
local MAX_DEPTH, MAX_NODES = 64, 1000000
local MAX_BYTES = 64 * 1024 * 1024 -- of all strings of one crossing: a string that Lua holds once is copied each time
local LONG = 1024 * 1024 -- bytes of a string that is counted even where a call's values are scalars
local CREDIT = 16 -- errors caught, or coroutines made, between two looks at the clock

local killed = false -- why the run is being stopped, once it is
local hooked = false
local crowded, pause = math.huge, 200 -- KB of the heap from which on it is collected without a pause, in percent
local credit = CREDIT
local count = 1000 -- instructions between ticks of a coroutine that is made now

local fibers = {} -- by fiber id
local keepers = raw_setmetatable({}, { __mode = "v" }) -- fiber id → the table that its outcome is put into, if kept
local fiber_of = raw_setmetatable({}, { __mode = "k" }) -- the fiber whose body a coroutine is
local waiting = raw_setmetatable({}, { __mode = "k" }) -- coroutine that waits in a host call → who resumed it
local inside = raw_setmetatable({}, { __mode = "k" }) -- the other way round
local last_fiber, main_fiber, current_fiber = 0, nil, nil

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
local array_mark = { __name = "array", __metatable = false } -- closed: a `__gc` in it would be every list's

local host, public = {}, {}

-- ------------------------------------------------------------------------------------------------ stopping

local function kill(why)
  if not killed then
    killed = why
  end
  raw_error(KILL, 0)
end

-- Calls the tick, with a word for it if there is one. Instructions until the next; 0 or -1 to stop.
local function tick(word)
  local ok, again = raw_pcall(cb_tick, word)
  if ok then
    return again
  elseif type(again) ~= "userdata" then
    return cb_tick(word) -- no room for one more C call, or no memory: if there is still none, an ordinary error
  end
  raw_pcall(cb_tick, again) -- a signal's exception, raised before the callback could catch it
  killed = killed or "raised"
  return -1
end

-- What Python raised on the way into a callback stops the run; what Lua raised there is an ordinary error.
local function guarded(ok, ...)
  if ok then
    return ...
  end
  local e = ...
  if type(e) == "userdata" then
    raw_pcall(cb_tick, e)
    kill("raised")
  end
  raw_error(e, 0)
end

local watch = raw_setmetatable({}, { __mode = "v" })
local sentinel_mt = {}

-- Instructions are a poor measure of time where each makes a string of megabytes, but those make the collector run:
-- each of its cycles is a tick, too. The only finaliser there is. It calls no Python, since one may run while the
-- state is closed, and makes nothing, since it may run without memory.
function sentinel_mt.__gc(sentinel)
  raw_setmetatable(sentinel, sentinel_mt)
  watch[1] = sentinel
  if hooked then
    sethook(sentinel_mt.hook, "", 1)
  end
end

-- Where little memory is left, Lua would collect in need again and again, and never call the sentinel: it is made to
-- collect as it goes.
local function choose_pause()
  local wanted = raw_collect("count") > crowded and 120 or 200 -- at 100, Lua is at it without end
  if wanted ~= pause then
    pause = wanted
    raw_collect("setpause", wanted)
  end
end

local function hook()
  local again = tick(killed == "memory" or nil)
  if again > 0 then
    count = again
    choose_pause()
    local _, _, mine = gethook()
    if mine ~= again then
      sethook(sentinel_mt.hook, "", again) -- takes time in proportion to the stack's depth, which is nobody's fault
      tick(false)
    end
    if not watch[1] then
      watch[1] = raw_setmetatable({}, sentinel_mt)
    end
    return
  end
  killed = killed or "interrupt"
  if again < 0 then -- no time left even for `<close>` variables
    count = 1
    sethook(sentinel_mt.hook, "", 1)
  end
  raw_error(KILL, 0)
end
sentinel_mt.hook = hook
watch[1] = raw_setmetatable({}, sentinel_mt)

-- A tick out of turn. Each coroutine counts its own instructions, and so deep inside C calls that there is no room for
-- a hook, its error comes instead: without this a script could run on between ticks for ever, by making short
-- coroutines or by catching such errors.
local function spend()
  credit = credit - 1
  if credit <= 0 and hooked then
    hook()
    credit = CREDIT
  end
end

local function new_coroutine(f)
  spend()
  local co = raw_create(f)
  if hooked then
    sethook(co, hook, "", count)
  end
  return co
end

-- After something was caught: a stop goes on, and so does the end of memory, whatever caught it. A script that raises
-- Lua's very words for that, without a place before them, is taken at its word, as Lua's own `error` takes it.
local function caught(e)
  if killed then
    raw_error(KILL, 0)
  elseif type(e) == "userdata" then
    guarded(false, e)
  elseif e == NO_MEMORY then
    kill("memory")
  end
  spend()
end

-- Where a stack is full it may be the hook, called next, that finds no room: no place of ours belongs in the message.
local function plain(e)
  if type(e) == "string" and byte(e) == 91 then -- [
    return (gsub(e, "^%[llmspell%]:%d+: (.*stack overflow)", "%1"))
  end
  return e
end

local function settled(ok, ...)
  if not ok then
    caught((...))
    return false, plain((...))
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
  elseif handler == traceback then
    return settled(raw_xpcall(f, handler, ...)) -- as it is: a function between would stand in its text
  end
  return settled(raw_xpcall(f, function(e)
    if killed or type(e) == "userdata" then
      return e
    end
    return handler(plain(e))
  end, ...))
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
    raw_error("bad argument #1 to '" .. name .. "' (thread expected, got " .. host.typename(co) .. ")", 3)
  end
end

local function resume_again(co, outer, ...)
  waiting[co], inside[outer] = nil, nil
  return raw_resume(co, ...)
end

-- A host call inside the script's own coroutine: passed on to whoever resumed it, up to the driver.
local function pass_up(co, ...)
  if not raw_yieldable() then
    return raw_resume(co, REFUSED)
  end
  local outer = raw_running()
  waiting[co], inside[outer] = outer, co
  return resume_again(co, outer, raw_yield(TAG, ...))
end

local resumed

local function relay(co, ok, first, ...)
  if not ok then
    caught(first)
    return false, plain(first)
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
    if not closed and not rawequal(e, first) then -- a `<close>` variable of its own raised
      first = e
      caught(first)
    end
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

local function is_body(f, name)
  if type(f) ~= "function" then
    raw_error("bad argument #1 to '" .. name .. "' (function expected, got " .. host.typename(f) .. ")", 3)
  end
end

function public.create(f)
  is_body(f, "create")
  return new_coroutine(f)
end

function public.wrap(f)
  is_body(f, "wrap")
  local co = new_coroutine(f)
  return function(...)
    return call_coroutine(co, ...)
  end
end

local function status_of(co)
  local status = raw_status(co)
  if status == "suspended" and (waiting[co] or fiber_of[co]) then
    return "normal"
  end
  return status
end

function public.status(co)
  is_coroutine(co, "status")
  return status_of(co)
end

function public.close(co)
  is_coroutine(co, "close")
  local status = status_of(co)
  if status ~= "suspended" and status ~= "dead" then
    raw_error("cannot close a " .. status .. " coroutine", 2)
  end
  if killed and status == "dead" then
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
  local co, main = raw_running()
  return co, main or fiber_of[co] ~= nil
end

function public.isyieldable(...)
  local co = ...
  if select("#", ...) == 0 then
    co = raw_running()
  else
    is_coroutine(co, "isyieldable")
  end
  return raw_yieldable(co) and not fiber_of[co]
end

-- Coroutines may be called, and have methods: a property of the type, so streams are plain coroutines.
function host.thread_methods(methods)
  set_metatable(raw_create(function() end), {
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
    local kind = type(key)
    if math_type(key) == "integer" then
      where[#where + 1] = "[" .. key .. "]"
    else
      if kind == "string" then
        key = sub(key, 1, 80)
      elseif kind == "table" then
        key = "a table" -- not by tostring, which would run the script's `__tostring`
      end
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

local function put(w, v, kind)
  local n = w.n + 1
  w.n = n
  w[n] = v
  if kind == "string" then
    w.bytes = w.bytes + #v
    if w.bytes > MAX_BYTES then
      refuse(w, "more than " .. MAX_BYTES // (1024 * 1024) .. " MB of text")
    end
  end
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
    code(w, real_metatable(t) == array_mark and "e" or "{")
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
      put(w, k, kind)
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
  put(w, v, kind)
end

local function walk_all(w, ...)
  local values, n = { ... }, select("#", ...)
  for i = 1, n do
    walk(w, values[i])
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
    if kind == "string" then
      if #v > LONG then
        return false
      end
    elseif kind ~= "integer" and kind ~= "boolean" then
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
  local w = { n = 0, nodes = 0, bytes = 0, depth = 0, shape = {}, path = {}, on_path = {}, strict = strict }
  walk_all(w, ...)
  local shape = concat(w.shape)
  local first = 1
  while w.n - first >= INLINE do
    guarded(raw_pcall(cb_feed, unpack(w, first, first + INLINE - 1)))
    first = first + INLINE
  end
  return shape, unpack(w, first, w.n)
end

-- ------------------------------------------------------------------------------------------------ values in

local function fetch_rest(values)
  while true do
    local more = pack(guarded(raw_pcall(cb_take)))
    guarded(raw_pcall(cb_arm))
    if more.n == 0 then
      return
    end
    local n = #values
    for i = 1, more.n do
      values[n + i] = more[i]
    end
  end
end

-- A batch of one stream's texts, the commonest crossing of all, has no shape to walk: shape `C`, the stream, then index,
-- type, text and time of each. Its metadata went ahead, and goes again only where it has changed.
local templates = {} -- by stream

local function text_chunks(stream_id, ...)
  local values, template = { ... }, templates[stream_id]
  local out, n = raw_setmetatable({}, array_mark), 0
  for i = 1, #values, 4 do
    local metadata = {}
    for key, value in next, template do
      metadata[key] = value
    end
    n = n + 1
    out[n] = {
      stream_id = stream_id,
      chunk_index = values[i],
      content = { type = values[i + 1], text = values[i + 2] },
      metadata = metadata,
      timestamp = values[i + 3],
    }
  end
  return out
end

local function build(shape, ...)
  if not shape then
    return ...
  elseif shape == "C" then
    return text_chunks(...)
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
    guarded(raw_pcall(cb_arm))
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
  return asked(guarded(raw_pcall(cb_ask, op, ...)))
end

-- Asks the host for something that needs no waiting; possible wherever Lua runs.
function host.ask(op, ...)
  if is_flat(...) then
    return asked(guarded(raw_pcall(cb_ask, op, false, ...)))
  end
  return ask_flat(op, raw_pcall(flatten, false, ...))
end

-- Writes to standard output (1) or error (2), text of any length.
function host.write(fd, text)
  return asked(guarded(raw_pcall(cb_ask, "write", false, fd, text)))
end

-- `ask` for values that must be JSON.
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

local deepest = nil -- the frames at an error that one of Lua's own functions handed on, and that error

local function note(e)
  if not killed then
    local known = deepest and rawequal(deepest.e, e) and deepest.frames
    noted[raw_running()] = known or frames_of(nil, 3)
  end
  return e
end

-- A fiber's body runs in xpcall: its frames are seen before they are unwound, and `<close>` variables run with hooks
-- on, which Lua leaves off in a coroutine that dies in its hook.
-- `args`: what it is called with; without, what its first resume brings.
local function new_fiber(f, args)
  last_fiber = last_fiber + 1
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

-- A new fiber of the script's, in `group` (an id of the host's). It starts when the host next turns to it. What it
-- comes to is put into `keeper` under its id, if somebody still holds that table then.
function host.spawn(keeper, group, f, ...)
  local id = new_fiber(f, pack(...))
  keepers[id] = keeper
  local ok, e = raw_pcall(host.ask, "fiber.start", id, group)
  if not ok then
    fibers[id], keepers[id] = nil, nil
    raw_error(e, 0)
  end
  return id
end

-- How a finished fiber ended: true and its values, or false and its error. Once only.
function host.outcome_of(keeper, id)
  local got = keeper[id]
  keeper[id] = nil
  if got then
    return unpack(got, 1, got.n)
  end
  return false, host.make_error({ kind = "cancelled", message = "the task was cancelled", retryable = false })
end

-- The fiber that runs now.
function host.this_fiber()
  return current_fiber
end

local function keep(id, ...)
  local keeper = keepers[id]
  keepers[id] = nil
  if keeper then
    keeper[id] = pack(...)
  end
end

-- What of an error table of llmspell's the host may take at its word: the script may have written into it.
local FIELDS = { kind = "string", message = "string", hint = "string", script = "string", retryable = "boolean" }
local OURS = { self = true, id = true, type = true, traceback = true, value = true, cause = true }

local function copy_fields(told, e)
  for k, v in next, e do
    if k == "line" or k == "column" then
      told[k] = math_type(v) == "integer" and v or nil
    elseif FIELDS[k] then
      told[k] = type(v) == FIELDS[k] and v or nil
    elseif type(k) == "string" and utf8_len(k) and not OURS[k] then
      told[k] = v
    end
  end
  told.kind = told.kind or "script"
  told.message = told.message or "an error without a message"
end

local function describe(co, e)
  local kind = type(e)
  local id = kind == "table" and origin[e] or nil
  local told = { traceback = noted[co] or frames_of(co, 0), id = id, type = kind }
  if kind == "string" then
    told.message = sub(plain(e), 1, LONG)
  elseif id then
    copy_fields(told, e)
  elseif kind == "table" then
    told.value = e
    local mt = real_metatable(e)
    if type(mt) == "table" and rawget(mt, "__tostring") ~= nil then
      local ok, text = raw_pcall(tostring, e)
      told.message = ok and sub(text, 1, LONG) or nil
    end
  else
    told.message = tostring(e)
  end
  return told
end

local function described(co, e)
  local told = describe(co, e)
  local out = pack(raw_pcall(flatten, false, told))
  if not out[1] then -- a value that cannot cross: its text has to do
    told = { traceback = told.traceback, id = told.id, type = told.type, message = told.message, kind = told.kind }
    out = pack(raw_pcall(flatten, false, told))
  end
  return unpack(out, 2, out.n)
end

local function failed(id, co, e)
  keep(id, false, e)
  local told = pack(described(co, e))
  if killed then
    return 3, killed
  end
  return 2, unpack(told, 1, told.n)
end

local function succeeded(id, ...)
  if id ~= main_fiber then
    keep(id, true, ...)
    return 0, false
  end
  local flat = pack(raw_pcall(flatten, false, ...))
  if killed then
    return 3, killed
  elseif not flat[1] then
    local w = flat[2]
    return 4, type(w) == "table" and rawget(w, "fault") or "a value"
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
  if not killed and e == NO_MEMORY then
    killed = "memory"
  elseif not killed and type(e) == "userdata" then
    raw_pcall(cb_tick, e)
    killed = "raised"
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
  current_fiber = id
  return lifted(outcome(id, co, raw_resume(co, ...)))
end

local function closed(co)
  local ok, well, e = raw_pcall(raw_close, co)
  if not ok then
    e = well
  end
  if e == NO_MEMORY and not killed then
    killed = "memory"
  end
end

-- Ends a fiber that waits: first the coroutines it waits inside of, from the innermost out, then itself. What their
-- `<close>` variables raise is lost, but for a stop.
function host.close_fiber(id)
  local co = fibers[id]
  if not co then
    return
  end
  fibers[id], keepers[id] = nil, nil
  local within, at = {}, inside[co]
  while at do
    within[#within + 1] = at
    at = inside[at]
  end
  for i = #within, 1, -1 do
    local inner = within[i]
    inside[waiting[inner]], waiting[inner] = nil, nil
    closed(inner)
  end
  closed(co)
  if killed then
    raw_error(KILL, 0)
  end
end

local function close_fiber(id)
  cb_arm()
  raw_pcall(host.close_fiber, id)
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
host.real_metatable, host.caught = real_metatable, caught

-- Whether a function is written in C: while one runs, nothing can stop it.
function host.is_c(f)
  return getinfo(f, "S").what == "C"
end

-- Where the function at `level` is, as it stands before a message; level 1 calls this.
function host.place(level)
  local info = getinfo(level + 1, "Sl")
  return info and info.currentline > 0 and info.short_src .. ":" .. info.currentline .. ": " or ""
end

-- Marks a table as a list. Raises in the words of Lua's setmetatable where its metatable is closed.
function host.mark_array(t)
  local mt = real_metatable(t)
  if type(mt) == "table" and mt ~= array_mark and rawget(mt, "__metatable") ~= nil then
    raw_error("cannot change a protected metatable", 3)
  end
  return set_metatable(t, array_mark)
end

-- A list from the host is as free to be given a metatable as any table of the script's.
function host.unmark_array(t)
  if real_metatable(t) == array_mark then
    set_metatable(t, nil)
  end
end

-- Calls one of Lua's own functions for a replacement of it, so that what it complains of is worded as ever and put at
-- the script's line; `f` stands in the replacement itself. An error of the script's own passes as it is, and its
-- frames are kept for when nobody catches it.
local function remember(e)
  deepest = not killed and { e = e, frames = frames_of(nil, 3) } or nil
  return e
end

local function worded(name, ok, ...)
  if ok then
    return ...
  end
  local e = ...
  if killed or type(e) ~= "string" then
    raw_error(e, 0)
  end
  if find(e, "^bad argument #%d+ to '[^']*' ") then
    raw_error(gsub(e, "to '[^']*' ", "to '" .. name .. "' ", 1), 3)
  elseif find(e, "^invalid ") or find(e, "^wrong number of arguments") or find(e, "^object length is not")
    or find(e, "^resulting string too large") or e == "cannot change a protected metatable" then
    raw_error(e, 3)
  end
  raw_error(gsub(e, "^%[llmspell%]:%d+: (attempt to compare )", "%1"), 0) -- a comparison that stands in for Lua's own
end

function host.lua(name, f, ...)
  return worded(name, raw_xpcall(f, remember, ...))
end

-- For Python. `start` runs a text of llmspell's own, or what `compile` made of it.
local function compile(text)
  return dump(raw_load(text, OWN, "t"))
end

local function start(text)
  local f, e = raw_load(text, OWN, "bt")
  if not f then
    raw_error(e, 0)
  end
  return f(host)
end

local function set_hook(limit)
  hooked = true
  crowded = limit > 0 and limit / 4096 or huge
  sethook(hook, "", count) -- this state's own thread runs error values' __tostring
end

-- The metadata of a stream's chunks from now on; without a stream, all are forgotten.
local function set_template(stream_id, shape, ...)
  if stream_id then
    templates[stream_id] = build(shape, ...)
  else
    templates = {}
  end
end

return start, load_main, step, close_fiber, set_hook, compile, set_template
