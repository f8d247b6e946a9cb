-- `Agent`: models with a name and a way of answering; answers whole or as streams.

local host = ...
local ask_json, ask, call = host.ask_json, host.ask, host.call
local type, setmetatable, next, tostring = type, setmetatable, next, tostring
local raise, typename, raw_yield = host.raise, host.typename, host.raw_yield

local Agent = {}

local ids = setmetatable({}, { __mode = "k" }) -- agent → the host's number for it
local methods = {}
local class = host.class("agent", methods)

class.__tostring = function(agent)
  return "agent `" .. tostring(agent.name) .. "`"
end

local function need(agent, method)
  local id = type(agent) == "table" and ids[agent]
  if not id then
    raise("validation", "`agent:" .. method .. "` is called with a colon, on an agent")
  end
  return id
end

local function wrap(told)
  local agent = { name = told.name }
  ids[agent] = told.id
  return setmetatable(agent, class)
end

local function config_of(config, name)
  if type(config) ~= "table" then
    raise("validation", "`" .. name .. "` takes a table, not " .. typename(config))
  end
  return config
end

--- An agent.
---@param config {name?: string, description?: string, model?: string|string[], provider?: string, system_prompt?: string, temperature?: number, top_p?: number, max_tokens?: integer, stop?: string|string[], seed?: integer, reasoning?: string, response_schema?: table, timeout?: number, retry?: table|integer, extra?: table, metadata?: table}
function Agent.create(config)
  return wrap(ask_json("Agent.create", config_of(config, "Agent.create")))
end

function Agent.new(config)
  return wrap(ask_json("Agent.create", config_of(config, "Agent.new")))
end

Agent.createAsync = Agent.create

--- The agents of this run by name.
function Agent.list()
  return ask("Agent.list")
end

--- The agent of that name, or nil.
function Agent.get(name)
  local told = ask("Agent.get", tostring(name))
  return told and wrap(told) or nil
end

local fields = ask("Agent.fields")

--- The same as `Agent.create`, a method for each field: `Agent.builder():name("x"):model("openai/gpt-4o-mini"):build()`.
function Agent.builder()
  local config = {}
  local builder_methods = {}
  for _, field in next, fields do
    builder_methods[field] = function(self, value)
      config[field] = value
      return self
    end
  end
  function builder_methods.build()
    return Agent.create(config)
  end
  return setmetatable({}, host.class("Agent.builder()", builder_methods))
end

local native = ask("Agent.native") -- fields of an answer's metadata that its service wants back

-- The answer as a turn of the conversation, to be put into `messages`.
local function message_of(told)
  local message = { role = "assistant", content = told.text }
  if told.tool_calls and told.tool_calls[1] then
    message.tool_calls = told.tool_calls
  end
  for _, name in next, native do
    local value = told.metadata and told.metadata[name]
    if value ~= nil then
      message.native = message.native or {}
      message.native[name] = value
    end
  end
  return message
end

-- `response` and `content` are other words for the text.
local function output(told)
  told.response = told.text
  told.content = told.text
  told.message = message_of(told)
  return told
end

--- The whole answer.
function methods.execute(agent, input)
  return output(call("agent:execute", need(agent, "execute"), input))
end

-- A stream that nobody can reach any more is closed and forgotten.
local reachable = setmetatable({}, { __mode = "v" })

host.after_collection(function()
  for _, id in next, ask("stream.known") do
    if reachable[id] == nil then
      ask("stream.forget", id)
    end
  end
end)

local closer = {
  __close = function(guard)
    ask("stream.close", guard.id)
  end,
}

-- The last chunk is returned, the others yielded, so that the coroutine is dead after the last.
local function deliver(id)
  local guard <close> = setmetatable({ id = id }, closer)
  while true do
    local batch = call("stream:next", id)
    if batch == nil then
      return nil
    end
    local n = #batch
    for i = 1, n do
      local chunk = batch[i]
      if i == n and chunk.content.message == "stream_end" then
        return chunk
      end
      raw_yield(chunk)
    end
  end
end

--- A stream: a coroutine that gives chunks, and stands in a `for`. Leaving the loop early closes the connection.
function methods.stream_execute(agent, input)
  local id = ask_json("agent:stream_execute", need(agent, "stream_execute"), input)
  local co = host.new_coroutine(function()
    return deliver(id)
  end)
  reachable[id] = co
  host.streams[co] = {
    collect = function()
      return output(ask("stream:collect", id))
    end,
    cancel = function()
      ask("stream.close", id)
    end,
  }
  return co, nil, nil, co
end

methods.stream = methods.stream_execute

--- Calls `callback(chunk)` for each chunk, then gives the whole answer.
function methods.invokeStream(agent, input, options, callback)
  if callback == nil then
    options, callback = nil, options
  end
  if type(callback) ~= "function" then
    raise("validation", "`agent:invokeStream` takes a function last, not " .. typename(callback))
  end
  local s = methods.stream_execute(agent, input)
  for chunk in s, nil, nil, s do
    callback(chunk)
  end
  return host.streams[s].collect()
end

--- What the agent was made of.
function methods.get_config(agent)
  return ask("agent:get_config", need(agent, "get_config"))
end

function methods.supports_streaming(agent)
  need(agent, "supports_streaming")
  return true
end

return Agent
