-- Which branch runs is decided by a function; the state goes from step to step.

local function answer(ctx)
  return ("%s: %s"):format(ctx.params, ctx.state.length)
end

local route = Workflow.conditional {
  name = "route",
  branches = {
    { name = "long", condition = function(ctx) return ctx.state.length > 10 end,
      steps = { { name = "say", run = answer, input = "long" } } },
    { name = "short", default = true,
      steps = { { name = "say", run = answer, input = "short" } } },
  },
}

local flow = Workflow.builder():sequential():name("measure")
  :step("length", function(ctx) ctx.state.length = #ctx.input.text end)
  :add_step { name = "route", workflow = route }
  :build()

for _, text in ipairs { "hello", "hello, hello, hello" } do
  print(flow:execute { text = text }.text)
end
