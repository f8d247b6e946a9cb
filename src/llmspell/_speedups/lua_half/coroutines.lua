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

