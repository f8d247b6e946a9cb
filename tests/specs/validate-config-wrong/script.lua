print(Agent.list())
