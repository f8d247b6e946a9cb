-- Coroutines may be called, stand in a `for`, and have the methods of streams: a stream is a plain coroutine.

local host = ...
local public = host.public
local type, error, concat, setmetatable = type, error, host.globals.table.concat, host.globals.setmetatable
local resume, status, close = public.resume, public.status, public.close

-- What `Agent` knows of a stream: coroutine → { collect = function() … end, cancel = function() … end }
local streams = setmetatable({}, { __mode = "k" })
host.streams = streams

local function need(co, method)
  if type(co) ~= "thread" then
    host.raise("validation", "`stream:" .. method .. "` is called with a colon, on a stream")
  end
end

local methods = {}

-- What a resume gave; its error as it is, without a place of ours before it.
local function passed_on(co, ok, ...)
  if ok then
    return ...
  end
  local e = (...)
  if status(co) == "dead" then
    local closed, other = close(co) -- of its `<close>` variables, else the same
    if not closed then
      e = other
    end
  end
  error(e, 0)
end

local function next_of(co)
  if status(co) == "dead" then
    return nil
  end
  return passed_on(co, resume(co))
end

--- The next chunk, or nil after the last.
function methods.next(co)
  need(co, "next")
  return next_of(co)
end

--- The rest of the answer's text, joined.
function methods.text(co)
  need(co, "text")
  local parts = {}
  for item in next_of, co do
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
  for item in next_of, co do
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
    close(co)
  end
  if stream then
    stream.cancel()
  end
end

host.thread_methods(methods)
