-- The Lua half of the pure engine: fibers, host calls by tagged yields, stopping, and values that cross by copy.
--
-- One text in parts (stopping, coroutines, values, calls, fibers), put together when it is loaded: they share these
-- locals. A script can reach nothing in it: what it gets are functions of `public` (put in place of Lua's own) and of
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

-- A tick out of turn, where each turn may take long.
function host.safepoint()
  if hooked then
    hook()
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

