-- `require` and `dofile` of files beside the script. Written in Lua, so that a module may wait at its top level.

local host = ...
local ask, call, this_fiber = host.ask, host.call, host.this_fiber
local type, error, next, rawequal = type, error, next, rawequal
local setmetatable = host.globals.setmetatable

local loaded, preload = package.loaded, package.preload
for _, name in next, { "string", "table", "math", "utf8", "coroutine", "os", "io", "debug", "package" } do
  loaded[name] = _G[name]
end
loaded._G = _G

local LOADING = {} -- stands for a module that is being loaded
local loads = {} -- module's name → { fiber = who loads it, groups = { what others wait for } }
local wanted = {} -- fiber → the module it waits for, which another loads

local function load_text(text, name)
  local f, message = host.load_text(text, "@" .. name, "t")
  if not f then
    host.caught(message)
    error(message, 0)
  end
  return f
end

local function cycle(name)
  host.raise(
    "script",
    "module `" .. name .. "` requires itself, directly or through others",
    "move what both need into a module of its own"
  )
end

-- Waits until the fiber that loads `name` is done with it.
local function wait_for(name, me)
  local at = name
  while at and loads[at] do -- the loader may itself wait for a module that waits for ours
    local fiber = loads[at].fiber
    if fiber == me then
      cycle(name)
    end
    at = wanted[fiber]
  end
  local groups = loads[name].groups
  local group = ask("group.new")
  groups[#groups + 1] = group
  wanted[me] = name
  local done <close> = setmetatable({}, {
    __close = function()
      wanted[me] = nil
      ask("group.cancel", group)
    end,
  })
  call("group.next", group)
end

local function nothing() end

-- The module is there, or it failed: then the next `require` tries again.
local function finish(name)
  local groups = loads[name].groups
  loads[name] = nil
  if rawequal(loaded[name], LOADING) then
    loaded[name] = nil
  end
  for i = 1, #groups do
    host.spawn(nil, groups[i], nothing) -- a fiber whose end wakes the one that waits
  end
end

local function load_module(name, me)
  local f, path = preload[name], ":preload:"
  if f == nil then
    local found = ask("require", name)
    path = found[2]
    f = load_text(found[1], path)
  elseif type(f) ~= "function" then
    error("'package.preload' must hold functions, not a " .. type(f), 3)
  end
  loads[name] = { fiber = me, groups = {} }
  loaded[name] = LOADING
  local done <close> = setmetatable({}, {
    __close = function()
      finish(name)
    end,
  })
  local value = f(name, path)
  if value ~= nil then
    loaded[name] = value
  elseif rawequal(loaded[name], LOADING) or loaded[name] == nil then
    loaded[name] = true
  end
  return loaded[name], path
end

function require(name)
  if type(name) == "number" then
    name = name .. ""
  elseif type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. host.typename(name) .. ")", 2)
  end
  local me = this_fiber()
  local module = loaded[name]
  while rawequal(module, LOADING) do
    wait_for(name, me)
    module = loaded[name]
  end
  if module then
    return module
  end
  return load_module(name, me)
end

function dofile(path)
  if path == nil then
    host.raise("permission", "`dofile` without a file is not open to scripts", "name a file beside the script")
  elseif type(path) ~= "string" then
    error("bad argument #1 to 'dofile' (string expected, got " .. type(path) .. ")", 2)
  end
  local found = ask("dofile", path)
  return load_text(found[1], found[2])()
end
