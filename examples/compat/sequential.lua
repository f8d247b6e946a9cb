-- A workflow of tools, one after the other; a step reads what the one before it gave.
-- llmspell run examples/compat/sequential.lua

local workflow = Workflow.builder()
    :name("prepare")
    :description("Makes an id and a line with it")
    :sequential()
    :add_step({
      name = "make_id",
      type = "tool",
      tool = "uuid-generator",
      input = { operation = "generate", version = "v4" },
    })
    :add_step({
      name = "upper",
      type = "tool",
      tool = "text-manipulator",
      input = { operation = "uppercase", input = "id of {{who}}: {{step.make_id.result.uuid}}" },
    })
    :build()

local result = workflow:execute({ who = "ada" })
if not result or not result.success then
  print("the workflow failed")
  os.exit(1)
end
print(result.steps.upper.success, result.duration_ms ~= nil)
print(result.steps.upper.result.result)
