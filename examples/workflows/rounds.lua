-- A loop over a list, and one that goes on until it is good enough.

local squares = Workflow.loop()
  :name("squares")
  :with_collection("{{input.numbers}}")
  :step("square", { run = function(_, n) return n * n end, input = "{{loop.item}}" })
  :build()

print(table.concat(squares:execute { numbers = { 1, 2, 3 } }.result, " "))

local root = Workflow.loop {
  name = "root",
  ["while"] = function(ctx) return math.abs((ctx.state.x or 1) ^ 2 - ctx.input) > 1e-9 end,
  max_iterations = 50,
  steps = {
    { name = "closer", run = function(ctx)
      local x = ctx.state.x or 1
      ctx.state.x = (x + ctx.input / x) / 2
    end },
  },
}

local done = root:execute(2)
print(("%.6f after %d rounds"):format(done.state.x, done.iterations))
