-- The smallest script: no model is called, so nothing but Lua is loaded.
print("Hello from llmspell, " .. (ARGS[1] or "world") .. "!")
