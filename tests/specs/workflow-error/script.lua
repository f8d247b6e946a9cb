local inner = Workflow.sequential{ name = "inner", steps = {
  { name = "ask", run = function(ctx) return ctx.params end, input = "About {{input.topc}}" },
} }
local outer = Workflow.sequential{ name = "outer", steps = { { name = "first", workflow = inner } } }
outer:execute{ topic = "rivers" }
