-- Conversations: what was said stays, and can be kept and shortened.

local host = ...
local ask, ask_json, raise = host.ask, host.ask_json, host.raise
local rawset, setmetatable, type = rawset, setmetatable, type

local numbers = setmetatable({}, { __mode = "k" }) -- conversation → the host's number for it
local methods = {}

local function need(chat, method)
  local id = type(chat) == "table" and numbers[chat]
  if not id then
    raise("validation", "`chat:" .. method .. "` is called with a colon, on a conversation")
  end
  return id
end

local class = { __name = "conversation", __metatable = false }

-- `messages` are those of the moment; all else are methods.
function class.__index(chat, key)
  if key == "messages" then
    return ask("chat:messages", numbers[chat])
  end
  local method = methods[key]
  if method == nil then
    host.missing("chat", methods, key)
  end
  return method
end

function class.__newindex(chat, key, value)
  if key == "messages" then
    raise("validation", "`chat.messages` cannot be set", "`chat:reset()` forgets them; `Agent.chat_from` takes others")
  end
  rawset(chat, key, value)
end

local function made(id)
  local chat = {}
  numbers[chat] = id
  return setmetatable(chat, class)
end

--- What the agent says to that.
function methods.send(chat, input)
  return host.agent_output(host.call_lending("chat:send", need(chat, "send"), input))
end

--- The same as it comes; read to its end, or left, it is in `chat.messages`.
function methods.stream(chat, input)
  return host.open_stream(ask_json("chat:stream", need(chat, "stream"), input))
end

--- Forgets what was said.
function methods.reset(chat)
  ask("chat:reset", need(chat, "reset"))
end

--- A plain table of it, for `Agent.chat_from`, `JSON.stringify` and `State.save`.
function methods.save(chat)
  return ask("chat:save", need(chat, "save"))
end

--- Puts a summary in the place of all but the last `keep` turns (4); whether there was something to shorten.
---@param options? {keep: integer}
---@return boolean
function methods.compact(chat, options)
  return host.call("chat:compact", need(chat, "compact"), options or {})
end

return { made = made }
