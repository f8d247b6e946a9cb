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
  local f, e = host.load_text(text, name, "t")
  if killed then
    raw_error(KILL, 0)
  elseif not f then
    return nil, e
  end
  main_fiber = new_fiber(f)
  return main_fiber
end

-- Where Lua looks up what a function without a name is called, for tracebacks and errors: copies, which a script cannot
-- fill with a million names to look at.
local names = package.loaded

function host.keep_names()
  for name, members in next, names do
    local copy = {}
    for key, value in next, members do
      copy[key] = value
    end
    names[name] = copy
  end
end

-- The globals of a script run are taken from here, by the prelude.
host.public, host.null, host.array_mark, host.origin = public, null, array_mark, origin
host.raw_load, host.load_name, host.frames_of, host.call_coroutine = raw_load, OWN, frames_of, call_coroutine
host.new_coroutine, host.raw_yield, host.kill = new_coroutine, raw_yield, kill
host.real_metatable, host.caught = real_metatable, caught

-- The message handler of `host.lua`: the frames at an error that one of Lua's own functions hands on, and that error.
function host.remember(e)
  deepest = not killed and { e = e, frames = frames_of(nil, 3) } or nil
  return e
end

host.handed_on = raw_xpcall

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
