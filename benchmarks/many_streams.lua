-- Reads the streams of a model at once, each in a plain `for`, and prints how many texts came.
local model, streams = ARGS[1], tonumber(ARGS[2])
local agent = Agent.create({ model = "bench/" .. model })
local list, n = {}, 0
for i = 1, streams do
  list[i] = i
end
Async.map(list, function()
  for chunk in agent:stream_execute("go") do
    if chunk.content.type == "text" then
      n = n + 1
    end
  end
end)
print(n)
