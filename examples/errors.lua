-- Errors are tables that say what happened and what to do; `pcall` catches them, `error(e)` raises them again whole.

local ok, e = pcall(Agent.create, { model = "nobody/no-model" })
print(ok, e.kind)
print(tostring(e))

-- A typing mistake is an error too, with the nearest known name.
ok, e = pcall(Agent.create, { temprature = 1 })
print(e.kind, e.message, e.hint)

-- Time is up for whatever takes too long.
ok, e = pcall(Async.timeout, 0.05, function()
  Async.sleep(10)
end)
print(e.kind, e.message)

-- What is left open is closed, in any case.
do
  local file <close> = setmetatable({}, { __close = function() print("closed") end })
  pcall(error, "lost")
end

-- Plain Lua errors are plain Lua errors.
ok, e = pcall(function()
  local nothing
  return nothing.field
end)
print(e)
