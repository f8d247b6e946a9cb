local agent = Agent.create {
  model = "openai/gpt-4o-mini",
  temprature = 1,
}
