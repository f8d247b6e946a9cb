-- `State`: what a script keeps by scope and key, for the run or on disk.

local host = ...
local ask_json, call, raise, typename = host.ask_json, host.call, host.raise, host.typename
local type, select = type, select
local running, setmetatable = host.public.running, host.globals.setmetatable

local MOST_TRIES = 1000 -- of an update, each after somebody else's

local State = {}

local function need_text(value, name, what)
  if type(value) ~= "string" or value == "" then
    raise("validation", "`State." .. name .. "` takes " .. what .. ", not " .. (value == "" and "an empty string" or typename(value)))
  end
end

-- At once where it is kept in memory; else it waits.
local function done(name, shown, ...)
  local answer = ask_json("State." .. shown, name, ...)
  if answer[1] then
    return answer[2]
  end
  return call("State." .. shown, name, ...)
end

-- What the functions of updates are working on, by coroutine; one within another is linked to it.
local updating = setmetatable({}, { __mode = "k" })
local leaving = {
  __close = function(mark)
    updating[mark.fiber] = mark.outer
  end,
}

-- A function that changes what its own update is to replace would be called again without end.
local function need_free(scope, key, name)
  local mark = updating[running()]
  while mark do
    if mark.scope == scope and mark.key == key then
      raise("validation", "`State." .. name .. "` of `" .. key .. "` within the function that updates it", "let the function return the new value")
    end
    mark = mark.outer
  end
end

local function applied(f, old, scope, key)
  local fiber = running()
  local mark <close> = setmetatable({ fiber = fiber, scope = scope, key = key, outer = updating[fiber] }, leaving)
  updating[fiber] = mark
  return (f(old))
end

local function op(name, shown, scope, key, ...)
  need_text(scope, shown, "a scope first")
  need_text(key, shown, "a key")
  if name ~= "get" or shown == "update" then
    need_free(scope, key, shown)
  end
  return done(name, shown, scope, key, ...)
end

--- Keeps a value; nil takes away what was kept.
---@param scope string
---@param key string
---@param value any
function State.save(scope, key, value)
  op("put", "save", scope, key, value)
end

--- What is kept, or nil.
---@param scope string
---@param key string
function State.load(scope, key)
  local found = op("get", "load", scope, key)
  return found.value
end

--- Takes away what was kept; whether there was something. With a key alone, of the scope `global`, as `State.set`.
---@return boolean
State.delete = function(...)
  local scope, key = ...
  if select("#", ...) == 1 then -- a second that is nil is a slip
    scope, key = "global", scope
  end
  return op("delete", "delete", scope, key)
end

--- Whether something is kept.
---@param scope string
---@param key string
---@return boolean
function State.exists(scope, key)
  return op("get", "exists", scope, key).version ~= 0
end

--- The keys of a scope, sorted.
---@param scope string
---@return string[]
function State.list_keys(scope)
  need_text(scope, "list_keys", "a scope")
  return done("keys", "list_keys", scope)
end

--- Puts f(old) in the place of what is kept, and gives it; f is called again where somebody else came between.
---@param scope string
---@param key string
---@param f fun(old: any): any
function State.update(scope, key, f)
  if type(f) ~= "function" then
    raise("validation", "`State.update` takes a function last, not " .. typename(f))
  end
  for _ = 1, MOST_TRIES do
    local found = op("get", "update", scope, key)
    local value = applied(f, found.value, scope, key)
    if done("swap", "update", scope, key, found.version, value) then
      return value
    end
  end
  raise("limit", "`State.update` of `" .. key .. "` came too late a thousand times", "do less in the function")
end

--- The same in the scope `global`.
---@param key string
---@param value any
function State.set(key, value)
  need_text(key, "set", "a key first")
  op("put", "set", "global", key, value)
end

---@param key string
---@param default? any
function State.get(key, default)
  need_text(key, "get", "a key first")
  local found = op("get", "get", "global", key)
  if found.value == nil then
    return default
  end
  return found.value
end

---@return string[]
function State.keys()
  return State.list_keys("global")
end

for _, kind in next, { "agent", "tool", "workflow" } do
  State[kind .. "_set"] = function(id, key, value)
    need_text(id, kind .. "_set", "an id first")
    op("put", kind .. "_set", kind .. ":" .. id, key, value)
  end
  State[kind .. "_get"] = function(id, key)
    need_text(id, kind .. "_get", "an id first")
    return op("get", kind .. "_get", kind .. ":" .. id, key).value
  end
end

return State
