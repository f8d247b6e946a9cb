local poet = Agent.create({ name = "poet", system_prompt = "You write haiku." })

local function verse(about)
  local answer = poet:execute("A haiku about " .. about)
  return answer.text
end

print(verse("the sea"))
