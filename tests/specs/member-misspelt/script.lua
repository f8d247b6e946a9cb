local agent = Agent.craete { model = "openai/gpt-4o-mini" }
