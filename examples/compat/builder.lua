-- An agent by the builder, as scripts for the original llmspell make one.
-- llmspell run examples/compat/builder.lua

local agent = Agent.builder()
    :name("greeter")
    :description("Says hello")
    :type("llm")
    :model("openai/gpt-4o-mini")
    :temperature(0.3)
    :max_tokens(60)
    :custom_config({ system_prompt = "You greet people in one short line." })
    :resource_limits({ max_execution_time_secs = 60 })
    :build()

local ok, result = pcall(function()
  return agent:execute({ prompt = "Greet Ada." })
end)

if ok and result then
  print("Answer: " .. (result.response or result.content or result.text or "none"))
else
  print("It failed: " .. tostring(result))
  os.exit(1)
end
