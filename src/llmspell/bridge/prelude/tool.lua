-- `Tool`: the tools that there are, and those that a script makes.

local host = ...
local ask, ask_json = host.ask, host.ask_json
local type, setmetatable, next = type, setmetatable, next

local Tool = {}

local function execute(name, params)
  if params == nil then
    params = {}
  elseif type(params) ~= "table" then
    host.raise("validation", "`Tool.execute` takes a table of parameters, not " .. host.typename(params))
  end
  local told = host.call_lending("Tool.execute", name, params)
  local media = told.media
  for i = 1, media and #media or 0 do
    if media[i].data then
      host.load_part("media")
      media[i] = host.medium_of(media[i])
    end
  end
  return told
end

-- A tool: `t:execute{…}`, and `t.execute{…}` as well.
local function wrap(told)
  local tool, name = { name = told.name, description = told.description, category = told.category }, told.name
  local function argument(a, b)
    if a == tool then
      return b
    end
    return a
  end
  local methods = {}
  function methods.execute(a, b)
    return execute(name, argument(a, b))
  end
  methods.invoke = methods.execute
  function methods.get_schema()
    return Tool.get_schema(name)
  end
  function methods.get_info()
    return Tool.get_info(name)
  end
  local class = host.class("tool", methods)
  class.__tostring = function()
    return "tool `" .. name .. "`"
  end
  return setmetatable(tool, class)
end

--- What there is: `{name, description, category, permissions}` each.
function Tool.list()
  return ask("Tool.list")
end

--- The tool of that name; `-` and `_` are alike. Unknown, it is an error that tells names like it.
---@param name string
function Tool.get(name)
  return wrap(ask("Tool.get", name))
end

--- Runs a tool: `{success, text, result, media?}`. One that fails raises.
---@param name string
---@param params? table
function Tool.execute(name, params)
  return execute(name, params)
end

Tool.invoke, Tool.executeAsync = Tool.execute, Tool.execute

--- Whether there is a tool of that name.
---@param name string
---@return boolean
function Tool.exists(name)
  return ask("Tool.exists", name)
end

--- The categories that tools are of.
---@return string[]
function Tool.categories()
  return ask("Tool.categories")
end

--- Those of `Tool.list` that fit: `Tool.discover{ category = "text" }`.
---@param wanted? {category?: string, name?: string, text?: string}
function Tool.discover(wanted)
  return ask_json("Tool.discover", wanted)
end

--- What `Tool.list` tells of it, its `parameters` and its `timeout`.
---@param name string
function Tool.get_info(name)
  return ask("Tool.get_info", name)
end

--- The JSON Schema of its parameters.
---@param name string
function Tool.get_schema(name)
  return ask("Tool.get_schema", name)
end

--- A tool written in Lua: for `Tool.execute`, and for agents. What comes to `execute` fits `parameters`.
---@param config {name: string, description?: string, category?: string, parameters?: table, timeout?: number, execute: fun(params: table): any}
function Tool.register(config)
  if type(config) ~= "table" then
    host.raise("validation", "`Tool.register` takes a table, not " .. host.typename(config))
  end
  local fields, f = {}, config.execute
  for key, value in next, config do
    if key ~= "execute" then
      fields[key] = type(value) ~= "function" and value or true -- a function elsewhere is a slip, and is told as one
    end
  end
  local callable = type(f) == "function"
  if f ~= nil and not callable then
    host.raise("validation", "`Tool.register`: `execute` must be a function, not " .. host.typename(f))
  end
  local id = callable and host.lend(f) or nil
  return wrap(ask_json("Tool.register", fields, id))
end

return Tool
