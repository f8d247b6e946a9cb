-- The rest of the compiled engine's Lua half: what needs no speed.

host.null, host.array_mark, host.origin = null, array_mark, origin
host.raw_load, host.load_name, host.real_metatable = raw_load, OWN, real_metatable
host.raw_yield, host.new_coroutine = public.yield, public.create
host.handed_on = public.xpcall -- the end of memory passes through `host.lua` as through any other

function host.safepoint() end -- its instructions are enough: a tick that came meanwhile is taken there

function host.typename(v)
  if v == nil then
    return "no value"
  end
  return type(v)
end

-- A new fiber of the script's, in `group` (an id of the host's). It starts when the host next turns to it. What it
-- comes to is put into `keeper` under its id, if somebody still holds that table then.
function host.spawn(keeper, group, f, ...)
  local id = host.new_fiber(keeper, f, ...)
  local ok, e = public.pcall(host.ask, "fiber.start", id, group)
  if not ok then
    host.drop_fiber(id)
    raw_error(e, 0)
  end
  return id
end

-- Coroutines may be called, and have methods: a property of the type, so streams are plain coroutines.
function host.thread_methods(methods)
  set_metatable(public.create(function() end), {
    __index = methods,
    __call = host.thread_called,
    __close = host.thread_close,
    __name = "thread",
    __metatable = false,
  })
end

return null, array_mark, origin, host.make_error
