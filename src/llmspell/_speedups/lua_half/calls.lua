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

local function came_back(op, ok, ...)
  if rawequal(ok, REFUSED) then
    host.cannot_wait(op)
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
    host.cannot_wait(op)
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

