local agent = Agent.create({
  modle = "openai/gpt-4o-mini",
  temperature = "hot",
  tools = { "calculatr" },
})
print(agent:execut("Hello"))
Async.slep(1)
Async.sleep()
print(reslut)
