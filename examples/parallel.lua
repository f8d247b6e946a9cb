-- Two answers at once, each in a plain `for`; their words come interleaved.

local function ask(name, question)
  local agent = Agent.create { name = name, max_tokens = 30 }
  return function()
    local words = {}
    for chunk in agent:stream_execute(question) do
      if chunk.content.type == "text" then
        words[#words + 1] = chunk.content.text
        io.stderr:write(name, " ")
      end
    end
    return table.concat(words)
  end
end

local answers = Async.all {
  ask("north", "Name three cold things."),
  ask("south", "Name three warm things."),
}
io.stderr:write("\n")

for i, name in ipairs { "north", "south" } do
  print(name .. ": " .. answers[i])
end
