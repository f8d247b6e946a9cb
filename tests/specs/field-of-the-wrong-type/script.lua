Agent.create { model = "openai/gpt-4o-mini", max_tokens = "many" }
