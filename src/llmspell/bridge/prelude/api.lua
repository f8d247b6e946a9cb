-- llmspell's own globals. Each is loaded when it is first used, so that a script pays for what it uses.

local host = ...
local ask, raw_load = host.ask, host.raw_load
local next, rawset, rawget, type, tostring, sub, find = next, rawset, rawget, type, tostring, string.sub, string.find
local globals, setmetatable = host.globals, host.globals.setmetatable

local MOST_NAMES, LONGEST_NAME = 200, 60 -- that are compared: the search takes time, and cannot be stopped

-- Raises for a member that is not there, naming the nearest that is.
local function missing(name, members, key)
  local names, n = {}, 0
  for k in next, members do
    if type(k) == "string" and #k <= LONGEST_NAME then
      n = n + 1
      names[n] = k
      if n == MOST_NAMES then
        break
      end
    end
  end
  ask("api.missing", name, sub(tostring(key), 1, LONGEST_NAME), names)
end
host.missing = missing

-- The options that a function takes last, a table with just one field. Raises for another.
function host.options(name, given, field)
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    host.raise("validation", "`" .. name .. "` takes a table last, not " .. host.typename(given), "it takes " .. field)
  end
  for key in next, given do
    if key ~= field then
      local plain = type(key) == "string" and not find(key, "%c")
      local shown = plain and sub(key, 1, LONGEST_NAME) or host.typename(key)
      host.raise("validation", "`" .. name .. "` has no field `" .. shown .. "`", "it takes " .. field)
    end
  end
  return given
end

-- A metatable for things with methods: a missing one raises.
function host.class(name, methods, more)
  local class = more or {}
  class.__name = name
  class.__metatable = false
  class.__index = function(_, key)
    local method = methods[key]
    if method == nil then
      missing(name, methods, key)
    end
    return method
  end
  return class
end

-- A builder: its methods give it back. With a dot in a colon's place they would be given something else.
function host.builder(name, methods)
  local made, checked = {}, {}
  for key, method in next, methods do
    checked[key] = function(self, ...)
      if self ~= made then
        host.raise("validation", "`" .. name .. ":" .. key .. "` is called with a colon, on a builder")
      end
      return method(self, ...)
    end
  end
  return setmetatable(made, host.class(name, checked))
end

local parts = {}

-- A part of the prelude: what its file returns, once.
local function load_file(file)
  if parts[file] == nil then
    parts[file] = raw_load(ask("prelude", file), host.load_name, "t", globals)(host) or false
  end
  return parts[file]
end
host.load_part = load_file

-- Functions that the host may call (functions.lua): nothing of that is loaded before the first.
function host.lend(f)
  load_file("functions")
  return host.lend(f)
end

function host.serve() end

host.call_lending = host.call

local function lazy(name, file)
  local api, loaded = {}, false
  local function load_members()
    if not loaded then
      loaded = true
      local members = load_file(file)
      for k, v in next, members do
        if rawget(api, k) == nil then
          rawset(api, k, v)
        end
      end
    end
  end
  return setmetatable(api, {
    __index = function(_, key)
      if not loaded then
        load_members()
        local value = rawget(api, key)
        if value ~= nil then
          return value
        end
      end
      missing(name, api, key)
    end,
    __pairs = function()
      load_members()
      return next, api, nil
    end,
    __name = name,
    __metatable = false,
  })
end

Agent = lazy("Agent", "agent")
Async = lazy("Async", "async")
JSON = lazy("JSON", "json")
Log = lazy("Log", "log")
Run = lazy("Run", "run")
Debug = Log
Provider = lazy("Provider", "provider")
Tool = lazy("Tool", "tool")
Workflow = lazy("Workflow", "workflow")
Template = lazy("Template", "template")
host.Tool = Tool
File = lazy("File", "file")
Config = lazy("Config", "config")
State = lazy("State", "state")
Media = lazy("Media", "media")
