print(Agent.create{}:execute("hi").text)
