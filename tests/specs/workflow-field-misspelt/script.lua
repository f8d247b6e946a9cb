Workflow.parallel{ steps = {
  { name = "a", run = print },
  { name = "b", rnu = print },
} }
