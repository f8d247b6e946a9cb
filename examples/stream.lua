-- What a stream is made of: every kind of chunk, leaving early, and the rest at once.

local agent = Agent.create { name = "counter", max_tokens = 40 }

local texts = 0
for chunk in agent:stream_execute("Count from one to ten in words.") do
  local content = chunk.content
  if content.type == "text" then
    io.write(content.text)
    texts = texts + 1
    if texts == 12 then
      break -- leaving the loop closes the connection: the model stops working
    end
  elseif content.type == "control" then
    io.stderr:write("[", content.message, "]\n")
  end
end
print()

-- A stream is a plain Lua coroutine. Kept in a variable, `<close>` closes it at the end of its block.
do
  local stream <close> = agent:stream_execute("Say hello.")
  print(type(stream), coroutine.status(stream))
  local ok, first = coroutine.resume(stream)
  print(ok, first.content.type, first.content.message)
end

-- The whole answer, as `agent:execute` gives it, or its text alone.
local whole = agent:stream_execute("Say hello."):collect()
print(#whole.text > 0, whole.finish_reason ~= nil, whole.usage.output_tokens > 0)
print(#agent:stream_execute("Say hello."):text() > 0)
