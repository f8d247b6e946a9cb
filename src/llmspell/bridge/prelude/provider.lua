-- `Provider`: who answers, what they can do, texts as vectors.

local host = ...
local ask, ask_json, call = host.ask, host.ask_json, host.call

local Provider = {}

--- What is configured, in order: `{name, type, enabled, default, models, capabilities}` each.
function Provider.list()
  return ask("Provider.list")
end

--- The same of one of them, or nil.
---@param name string
function Provider.get(name)
  return ask("Provider.get", name) or nil
end

--- What a provider can do, with a model of its where one is named.
---@param name string
---@param model? string
function Provider.capabilities(name, model)
  return ask("Provider.capabilities", name, model)
end

Provider.getCapabilities = Provider.capabilities

--- Whether it can be asked as it is configured. Asks nobody.
---@param name string
---@return boolean
function Provider.isAvailable(name)
  return ask("Provider.isAvailable", name)
end

--- The names of those that can do what is wanted: `Provider.find{ supports_tools = true, input_modalities = {"image"} }`.
---@param wanted table
function Provider.find(wanted)
  return ask_json("Provider.find", wanted)
end

--- The provider that answers where none is named; with a name, that one answers from now on in this script.
---@param name? string
---@return string
function Provider.default(name)
  return ask("Provider.default", name)
end

--- A vector for each text of `input`.
---@param options {model?: string, provider?: string, input: string|string[], dimensions?: integer}
function Provider.embed(options)
  return call("Provider.embed", options)
end

--- The models that the service says it has: `{id, …}` each.
---@param name string
function Provider.models(name)
  return call("Provider.models", name)
end

return Provider
