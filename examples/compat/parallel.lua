-- Steps that run together: functions that report, as older scripts write them, beside a tool.
-- llmspell run examples/compat/parallel.lua

local function counting(name, n)
  return {
    name = name,
    type = "custom",
    execute = function(context)
      local sum = 0
      for i = 1, n do
        sum = sum + i
      end
      return { success = true, output = sum }
    end,
  }
end

local workflow = Workflow.builder()
    :name("sums")
    :parallel()
    :max_concurrency(2)
    :add_step(counting("ten", 10))
    :add_step(counting("hundred", 100))
    :add_step({ name = "tool", type = "tool", tool = "calculator", input = { operation = "evaluate", input = "1 + 1" } })
    :build()

local result = workflow:execute({})
assert(result.success, "the workflow failed")
print("ten: " .. tostring(result.steps.ten.result))
print("hundred: " .. tostring(result.steps.hundred.result))
print("steps: " .. (result.steps.tool.success and "all done" or "one failed"))
