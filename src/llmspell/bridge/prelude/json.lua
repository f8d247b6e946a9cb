-- `JSON`: text to tables and back.

local host = ...
local ask, ask_json = host.ask, host.ask_json
local type = type

local JSON = { null = host.null }

--- The value of a JSON text. An object's nulls are left out; a list's become `JSON.null`.
---@param text string
---@return any
function JSON.parse(text)
  if type(text) ~= "string" then
    host.raise("validation", "`JSON.parse` takes a string, not " .. host.typename(text))
  end
  return ask("JSON.parse", text)
end

--- The JSON text of a value. Keys are sorted, so that equal values have equal texts.
---@param value any
---@param options? {pretty: boolean}
---@return string
function JSON.stringify(value, options)
  local pretty = host.options("JSON.stringify", options, "pretty").pretty
  return ask_json("JSON.stringify", value, pretty and true or false)
end

--- Marks a table as a list, so that `{}` is written as `[]`.
function JSON.array(t)
  if t == nil then
    t = {}
  elseif type(t) ~= "table" then
    host.raise("validation", "`JSON.array` takes a table, not " .. host.typename(t))
  end
  return (host.mark_array(t))
end

JSON.decode, JSON.encode = JSON.parse, JSON.stringify

return JSON
