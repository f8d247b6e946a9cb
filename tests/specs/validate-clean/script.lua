local text = require("text")
local agent = Agent.create({ name = "poet", model = "openai/gpt-4o-mini", tools = { "calculator" } })
for chunk in agent:stream(text.question) do
  io.write(chunk.content.text or "")
end
