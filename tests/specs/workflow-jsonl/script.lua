local flow = Workflow.sequential{ name = "w", on_error = "continue", steps = {
  { name = "one", run = function() print("at work") return 1 end },
  { name = "none", run = print, condition = "{{input.wanted}}" },
  { name = "bad", run = function() error("no luck") end },
} }
return flow:execute{ wanted = false }.text
