-- A draft, then two opinions on it at once, then a last version.

local writer = Agent.create { name = "writer", system_prompt = "Write two sentences.", max_tokens = 80 }
local critic = Agent.create { name = "critic", system_prompt = "Answer with one short remark.", max_tokens = 40 }

local opinions = Workflow.parallel {
  name = "opinions",
  steps = {
    { name = "style", agent = critic, input = "Is this well written? {{input.draft}}" },
    { name = "facts", agent = critic, input = "Is this true? {{input.draft}}", on_error = "skip" },
  },
}

local report = Workflow.sequential {
  name = "report",
  steps = {
    { name = "draft", agent = writer, input = "Write about {{input.topic}}.", retry = 2, timeout = 120 },
    { name = "opinions", workflow = opinions, input = { draft = "{{step.draft.result}}" } },
    { name = "final", agent = writer, input = "Rewrite: {{draft}}\nRemarks: {{step.opinions.result}}" },
  },
}

local done = report:execute { topic = ARGS[1] or "rivers" }
print(done.text)
for _, name in ipairs(report:get_info().steps) do
  io.stderr:write(("%-10s %8.1f ms\n"):format(name, done.steps[name].duration_ms))
end
