-- Coroutines may be called, stand in a `for`, and have the methods of streams: a stream is a plain coroutine.

local host = ...
local public = host.public
local type, concat, status, setmetatable = type, host.globals.table.concat, public.status, host.globals.setmetatable
local call_coroutine = host.call_coroutine

-- What `Agent` knows of a stream: coroutine → { collect = function() … end, cancel = function() … end }
local streams = setmetatable({}, { __mode = "k" })
host.streams = streams

local function need(co, method)
  if type(co) ~= "thread" then
    host.raise("validation", "`stream:" .. method .. "` is called with a colon, on a stream")
  end
end

local methods = {}

--- The next chunk, or nil after the last.
function methods.next(co)
  need(co, "next")
  if status(co) == "dead" then
    return nil
  end
  return call_coroutine(co)
end

--- The rest of the answer's text, joined.
function methods.text(co)
  need(co, "text")
  local parts = {}
  for item in co do
    if type(item) == "string" then
      parts[#parts + 1] = item
    elseif type(item) == "table" and type(item.content) == "table" then
      local content = item.content
      if content.type == "text" then
        parts[#parts + 1] = content.text
      elseif content.message == "retry" then
        parts = {} -- what came before is void
      end
    end
  end
  return concat(parts)
end

--- The rest of the answer, as `agent:execute` gives it; of a coroutine that is no stream, a list of what it yields.
function methods.collect(co)
  need(co, "collect")
  local items = {}
  for item in co do
    items[#items + 1] = item
  end
  local stream = streams[co]
  if stream then
    return stream.collect()
  end
  return items
end

--- Ends it; a stream's connection is closed.
function methods.cancel(co)
  need(co, "cancel")
  local stream = streams[co]
  if status(co) == "suspended" then
    public.close(co)
  end
  if stream then
    stream.cancel()
  end
end

host.thread_methods(methods)
