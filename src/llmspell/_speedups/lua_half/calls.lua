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

