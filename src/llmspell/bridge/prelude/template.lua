-- `Template`: texts with placeholders.

local host = ...
local ask_json, raise, typename = host.ask_json, host.raise, host.typename
local type = type

local Template = {}

--- The text with its placeholders filled in: `{{name}}`, `{{order.total}}`, `{{items.1}}`. A name that is not there
--- raises an error that lists those that are.
---@param text string
---@param values? table
---@return string
function Template.render(text, values)
  if type(text) ~= "string" then
    raise("validation", "`Template.render` takes a string first, not " .. typename(text))
  elseif values ~= nil and type(values) ~= "table" then
    raise("validation", "`Template.render` takes a table second, not " .. typename(values))
  end
  return ask_json("Template.render", text, values or {})
end

function Template.execute()
  raise(
    "not_supported",
    "llmspell has no templates that are executed",
    "fill in a text with `Template.render(text, values)`, or build steps with `Workflow`"
  )
end

return Template
