-- What a program has that a model wrote: plain Lua, `JSON`, `Async`, and the tools that it was granted.

local host = ...
local call, missing, type = host.call, host.missing, type

for _, name in next, {
  "Agent", "Config", "Debug", "File", "Log", "Media", "Provider", "Run", "State", "Template", "Tool", "Workflow", "tool",
  "require", "dofile", "Stdin", "ARGS", "Args", "arg",
} do
  _ENV[name] = nil
end

local members = {} -- those that were used

-- `tools.name{…}`; with a colon it is the same.
local function made(name)
  local function run(first, second)
    return call("tools.call", name, second or (first ~= tools and first) or {})
  end
  members[name] = run
  return run
end

local function all()
  local found = {}
  for _, name in next, host.ask("tools.names") do
    found[name] = members[name] or made(name)
  end
  return found
end

tools = setmetatable({}, {
  __index = function(_, key)
    local found = members[key]
    if found == nil and type(key) == "string" and host.ask("tools.has", key) then
      return made(key)
    end
    if found == nil then
      missing("tools", all(), key)
    end
    return found
  end,
  __pairs = function()
    return next, all(), nil
  end,
  __name = "tools",
  __metatable = false,
})
