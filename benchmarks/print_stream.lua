-- Streams one answer and prints it: what `processes.py` compares with `minimal_httpx.py`.
-- ARGS[1]: the model, which tells `server.py` how to answer.

local agent = Agent.create { model = "bench/" .. ARGS[1] }
for chunk in agent:stream_execute("go") do
  if chunk.content.type == "text" then
    io.write(chunk.content.text)
  end
end
