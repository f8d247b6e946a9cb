-- `Config`: the effective configuration, and what the script may reach.

local host = ...
local ask, raise, typename = host.ask, host.raise, host.typename
local type = type

local Config = {}

local function text(value, name, what)
  if type(value) ~= "string" or value == "" then
    local came = value == "" and "an empty string" or typename(value)
    raise("validation", "`Config." .. name .. "` takes " .. what .. ", not " .. came)
  end
  return value
end

--- The value of a setting, `Config.get("providers.openai.model")`, or a table of them, `Config.get("runtime")`; secrets
--- read as `***`. Nil where nothing set it.
---@param path string
function Config.get(path)
  return ask("Config.get", text(path, "get", "the name of a setting"))
end

--- Whether a file or a folder may be read; with `"write"`, whether it may be written. Asks nobody.
---@param path string
---@param capability? "read"|"write"
---@return boolean
function Config.isFileAccessAllowed(path, capability)
  text(path, "isFileAccessAllowed", "a path")
  if capability ~= nil and capability ~= "read" and capability ~= "write" then
    raise("validation", '`Config.isFileAccessAllowed` takes "read" or "write" second')
  end
  return ask("Config.allows", capability or "read", path)
end

--- Whether tools may connect to a host, `example.com` or `example.com:443`. Asks nobody.
---@param host_name string
---@return boolean
function Config.isNetworkAccessAllowed(host_name)
  return ask("Config.allows", "net", text(host_name, "isNetworkAccessAllowed", "a host"))
end

--- Whether an environment variable may be read. Asks nobody.
---@param name string
---@return boolean
function Config.isEnvAccessAllowed(name)
  return ask("Config.allows", "env", text(name, "isEnvAccessAllowed", "a variable's name"))
end

return Config
