-- One agent, one streamed answer. With OPENAI_API_KEY set it is OpenAI's; without any key, the embedded model's.
--
--   llmspell run --stream examples/haiku.lua -- "a rainy street"

local subject = ARGS[1] or "the sea at night"

local poet = Agent.create {
  name = "poet",
  system_prompt = "You are a poet. You answer with one short poem of three lines and nothing else.",
  max_tokens = 60,
}

for chunk in poet:stream_execute { text = "Write a haiku about " .. subject .. "." } do
  if chunk.content.type == "text" then
    io.write(chunk.content.text)
  end
end
print()
