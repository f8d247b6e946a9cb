-- Agents that are registered with a table for the model, found by name, and used as tools.
-- llmspell run examples/compat/agents.lua

Agent.register({
  name = "summarizer",
  description = "Puts a text in one line",
  model = { provider = "openai", model_id = "gpt-4o-mini", temperature = 0.2, max_tokens = 80 },
  system_prompt = "You put texts in one line.",
})

local names = Agent.list()
print("agents: " .. table.concat(names, ", "))

local agent = Agent.get("summarizer")
if not agent then
  print("no such agent")
  os.exit(1)
end

local info = Agent.get_info("summarizer")
print(info.name .. " asks " .. info.model)

local result = agent:execute({ text = "A long text." })
print(result.text ~= nil and "answered" or "no answer")
