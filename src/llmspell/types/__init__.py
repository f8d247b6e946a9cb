"""Values that pass between the parts of llmspell. No I/O, and nothing of Lua."""
