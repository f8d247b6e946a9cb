-- One of two branches, and a loop over a range.
-- llmspell run examples/compat/branches.lua

local choose = Workflow.builder()
    :name("choose")
    :conditional()
    :condition(function(context)
      return (context.input and context.input.value or 0) > 10
    end)
    :add_then_step({ name = "large", type = "custom", execute = function() return { success = true, output = "large" } end })
    :add_else_step({ name = "small", type = "custom", execute = function() return { success = true, output = "small" } end })
    :build()

for _, value in ipairs({ 5, 50 }) do
  local result = choose:execute({ value = value })
  print(value, result.steps.large and result.steps.large.result or result.steps.small.result)
end

local count = Workflow.builder()
    :name("count")
    :loop()
    :with_range({ start = 1, ["end"] = 3, step = 1 })
    :add_step({
      name = "square",
      type = "tool",
      tool = "calculator",
      input = { operation = "evaluate", input = "{{loop.index}} * {{loop.index}}" },
    })
    :build()

local result = count:execute({})
print("rounds: " .. tostring(result.iterations))
