-- An agent with tools: the model calls them, llmspell runs them and tells it what they gave, until it answers.

-- A tool is a function with a description and a schema of its arguments. It may wait, and ask models itself.
local rates = { EUR = 1, USD = 1.08, JPY = 163 }
local convert = Tool.register {
  name = "convert",
  description = "Converts an amount of money from one currency to another.",
  parameters = {
    type = "object",
    properties = {
      amount = { type = "number" },
      from = { type = "string", enum = { "EUR", "USD", "JPY" } },
      to = { type = "string", enum = { "EUR", "USD", "JPY" } },
    },
    required = { "amount", "from", "to" },
  },
  execute = function(given)
    return { amount = given.amount / rates[given.from] * rates[given.to], currency = given.to }
  end,
}

-- An agent may be a tool of another.
local historian = Agent.create {
  name = "historian",
  description = "Knows the history of money.",
  max_tokens = 60,
}

local clerk = Agent.create {
  name = "clerk",
  system_prompt = "You work at an exchange office. Use your tools; be brief.",
  tools = { convert, historian },
  max_tool_rounds = 5,
  max_tokens = 100,
  approve = function(call)
    if call.name == "convert" and call.arguments.amount > 1000000 then
      return "so much has to be done at the counter"
    end
    return true
  end,
}

for chunk in clerk:stream "How much are 20 dollars in yen, and since when is there the yen?" do
  local content = chunk.content
  if content.type == "text" then
    io.write(content.text)
  elseif content.type == "tool_call_complete" then
    io.stderr:write(content.name, " ", JSON.stringify(content.result or content.error), "\n")
  end
end
print()

local done = clerk:get_metrics()
print(done.rounds .. " answers, " .. done.tool_calls .. " calls of tools")
