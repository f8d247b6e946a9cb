-- Sorts letters of customers, all at once. Asks no model when it is replayed: README.md, next to this file.
--   llmspell run --replay examples/recorded/triage.tape examples/recorded/triage.lua

local LETTERS = {
  "The parcel came on Tuesday, but the lamp in it is broken.",
  "Could you tell me whether the blue one is in stock again?",
  "Thank you, the new handle fits perfectly!",
}

local sorter = Agent.create {
  model = "openai/gpt-4o-mini",
  system_prompt = "Answer with one word: complaint, question or praise.",
  temperature = 0,
}

local asked = {}
for i, letter in ipairs(LETTERS) do
  asked[i] = Async.spawn(function()
    return sorter:execute(letter).text
  end)
end

local counts = {}
for i, letter in ipairs(LETTERS) do
  local kind = asked[i]:await():lower():match("%a+") or "unclear"
  counts[kind] = (counts[kind] or 0) + 1
  print(("%-10s %s"):format(kind, letter))
end

local usage = Run.usage()
print(("%s: %d calls, %d tokens"):format(os.date("!%Y-%m-%d", os.time()), usage.calls, usage.total_tokens))
return counts
