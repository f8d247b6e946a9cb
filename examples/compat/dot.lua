-- A tool that was looked up, called with a dot, and its schema.
-- llmspell run examples/compat/dot.lua

if not Tool.exists("calculator") then
  print("there is no calculator")
  os.exit(1)
end

local calculator = Tool.get("calculator")
local result = calculator.execute({ operation = "evaluate", input = "6 * 7" })
print("6 * 7 = " .. tostring(result.result.result))

local schema = calculator:get_schema()
print("it takes " .. schema.type)

local names = {}
for _, tool in ipairs(Tool.list()) do
  names[#names + 1] = tool.name
end
print(#names .. " tools, " .. #Tool.categories() .. " categories")
