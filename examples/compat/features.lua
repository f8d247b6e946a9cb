-- A script that asks what there is, times itself, logs, and reads its arguments, in the older manner.
-- llmspell run examples/compat/features.lua -- --name Ada

local function have(name, global)
  print(string.format("%-8s %s", name, global and "here" or "not here"))
end

have("Agent", Agent)
have("Tool", Tool)
have("Workflow", Workflow)
have("RAG", RAG)
have("Memory", Memory)
have("Context", Context)
have("Session", Session)
have("Hook", Hook)
have("Event", Event)

local name = (ARGS and ARGS.name) or "nobody"
Debug.info("called by " .. name)
print("hello " .. name)

local started = os.clock()
local text = JSON.stringify({ list = { 1, 2, 3 }, ok = true })
print(#JSON.parse(text).list, os.clock() >= started)

-- An older word for a wait: milliseconds.
local wait = Workflow.builder()
    :name("wait")
    :sequential()
    :add_step({ name = "step", type = "custom", timeout_ms = 5000, execute = function() return { success = true, output = "done" } end })
    :build()
print(wait:execute({}).steps.step.result)
