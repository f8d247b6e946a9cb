-- `Agent`: models with a name and a way of answering; answers whole or as streams.

local host = ...
local ask_json, ask, call = host.ask_json, host.ask, host.call
local type, setmetatable, next, tostring, rawget = type, setmetatable, next, tostring, rawget
local error, raise, typename, raw_yield = error, host.raise, host.typename, host.raw_yield

local Agent = {}

local ids = setmetatable({}, { __mode = "k" }) -- agent → the host's number for it
host.agent_ids = ids
local methods = {}
local class = host.class("agent", methods)

class.__tostring = function(agent)
  return "agent `" .. tostring(agent.name) .. "`"
end

-- In older scripts `Agent.register` gives a name.
local function name_of(agent)
  return ids[agent] and agent.name or agent
end

class.__concat = function(a, b)
  a, b = name_of(a), name_of(b)
  for _, one in next, { a or false, b or false } do
    if type(one) ~= "string" and type(one) ~= "number" then
      error("attempt to concatenate a " .. typename(one or nil) .. " value", 2)
    end
  end
  return a .. b
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

-- A tool as the host takes it: a name, an agent's number, or one written in place, its function lent.
local function tool_of(one)
  if type(one) ~= "table" then
    return one
  elseif ids[one] then
    return { agent = ids[one] }
  end
  local f = rawget(one, "execute")
  if type(f) ~= "function" then
    return rawget(one, "name") or one
  end
  local told = {}
  for key, value in next, one do
    told[key] = value
  end
  told.execute = host.lend(f)
  return told
end

local function tools_of(list)
  if type(list) ~= "table" then
    return list
  end
  local told = {}
  for key, one in next, list do
    told[key] = tool_of(one)
  end
  return told
end

-- What the host takes of a script's words: no functions, and tools as it knows them.
local function told_of(config, name)
  local told = {}
  for key, value in next, config_of(config, name) do
    told[key] = value
  end
  told.tools, told.allowed_tools = tools_of(told.tools), tools_of(told.allowed_tools)
  if told.approve ~= nil and told.approve ~= "ask" then
    if type(told.approve) ~= "function" then
      raise("validation", "`" .. name .. '`: `approve` must be a function or "ask", not ' .. typename(told.approve))
    end
    told.approve = host.lend(told.approve)
  end
  return told
end

--- An agent.
---@param config {name?: string, description?: string, model?: string|string[], provider?: string, system_prompt?: string, temperature?: number, top_p?: number, max_tokens?: integer, stop?: string|string[], seed?: integer, reasoning?: string, tools?: table, tool_choice?: string, max_tool_rounds?: integer, approve?: "ask"|fun(call: table): boolean|string, on_tool_error?: "tell"|"raise", response_schema?: table, timeout?: number, retry?: table|integer, extra?: table, metadata?: table}
function Agent.create(config)
  return wrap(ask_json("Agent.create", told_of(config, "Agent.create")))
end

function Agent.new(config)
  return wrap(ask_json("Agent.create", told_of(config, "Agent.new")))
end

--- The same, for agents that are found by their name later: `Agent.get(name)`.
function Agent.register(config)
  return wrap(ask_json("Agent.register", told_of(config, "Agent.register")))
end

--- What is known of the agent of that name, or nil.
function Agent.get_info(name)
  return ask("Agent.get_info", tostring(name_of(name)))
end

local function agent_of(value, name, place)
  local id = type(value) == "table" and ids[value]
  if not id then
    raise("validation", "`" .. name .. "` takes an agent " .. place .. ", not " .. typename(value))
  end
  return id
end

--- A tool that runs the agent: it takes `{input = …}`.
---@param agent table
---@param config? {name?: string, description?: string}
function Agent.wrap_as_tool(agent, config)
  local told = ask_json("Agent.wrap_as_tool", agent_of(agent, "Agent.wrap_as_tool", "first"), config or {})
  return host.Tool.get(told.name)
end

Agent.createAsync = Agent.create

--- The agents of this run by name.
function Agent.list()
  return ask("Agent.list")
end

--- The agent of that name, or nil.
function Agent.get(name)
  if ids[name] then
    return name
  end
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
  local function add_tool(self, tool)
    local list = {}
    for i = 1, #(config.tools or {}) do
      list[i] = config.tools[i]
    end
    list[#list + 1] = tool
    config.tools = list
    return self
  end
  builder_methods.tool, builder_methods.allow_tool = add_tool, add_tool
  function builder_methods.build()
    return Agent.create(config)
  end
  return host.builder("Agent.builder()", builder_methods)
end

local native = ask("Agent.native") -- fields of an answer's metadata that its service wants back

-- The answer as a turn of the conversation, to be put into `messages`.
local function message_of(told)
  for i = told.messages and #told.messages or 0, 1, -1 do
    if told.messages[i].role == "assistant" then
      return told.messages[i]
    end
  end
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

-- What the model made that is no text, as `Media` has it.
local function medium(one)
  if type(one.data) ~= "string" then
    return one
  end
  host.load_part("media")
  return host.medium_of(one)
end

-- `response` and `content` are other words for the text.
local function output(told)
  if told.media then
    for i = 1, #told.media do
      told.media[i] = medium(told.media[i])
    end
  end
  told.response = told.text
  told.content = told.text
  told.message = message_of(told)
  told.messages = told.messages or { told.message }
  return told
end

--- The whole answer.
function methods.execute(agent, input)
  return output(host.call_lending("agent:execute", need(agent, "execute"), input))
end

methods.invoke = methods.execute

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

-- The stream of that number as a coroutine.
local function open_stream(id)
  host.serve()
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

host.agent_output, host.open_stream = output, open_stream

--- A stream: a coroutine that gives chunks, and stands in a `for`. Leaving the loop early closes the connection.
function methods.stream_execute(agent, input)
  return open_stream(ask_json("agent:stream_execute", need(agent, "stream_execute"), input))
end

methods.stream = methods.stream_execute

--- A conversation: what was said stays.
function methods.chat(agent)
  return host.load_part("chat").made(ask("chat:new", need(agent, "chat")))
end

--- A conversation as `chat:save()` gave it, with the agent of the same name, or with `agent`.
---@param saved table
---@param agent? table
function Agent.chat_from(saved, agent)
  if type(saved) ~= "table" then
    raise("validation", "`Agent.chat_from` takes what `chat:save()` gave, not " .. typename(saved))
  end
  local whose = agent ~= nil and agent_of(agent, "Agent.chat_from", "second") or nil
  local told = ask_json("Agent.chat_from", saved, whose)
  return host.load_part("chat").made(told.id)
end

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

--- What the agent has done in this run.
---@return {calls: integer, errors: integer, rounds: integer, tool_calls: integer, seconds: number, seconds_each: number, usage: table}
function methods.get_metrics(agent)
  return ask("agent:get_metrics", need(agent, "get_metrics"))
end

--- The kinds of media that its model reads or writes: "text", "image", …
function methods.supported_media_types(agent)
  return ask("agent:supported_media_types", need(agent, "supported_media_types"))
end

--- Whether its model reads or writes anything but text.
function methods.supports_multimodal(agent)
  return #ask("agent:supported_media_types", need(agent, "supports_multimodal")) > 1
end

function methods.supports_streaming(agent)
  need(agent, "supports_streaming")
  return true
end

return Agent
