-- The tools by their older names, with a hyphen.
-- llmspell run examples/compat/tools.lua

local function show(label, tool, params, field)
  local result = Tool.execute(tool, params)
  if not result.success then
    print(label .. " failed")
    os.exit(1)
  end
  print(string.format("%-10s %s", label, tostring(result.result[field])))
  return result.result[field]
end

local id = show("uuid", "uuid-generator", { operation = "generate", version = "v4" }, "uuid")
assert(#id == 36)

show("id", "uuid-generator", { operation = "component_id", prefix = "task" }, "id")
local hash = show("hash", "hash-calculator", { operation = "hash", algorithm = "sha256", input = "hello" }, "hash")
assert(hash:sub(1, 8) == "2cf24dba")

local encoded = show("encoded", "base64-encoder", { operation = "encode", input = "hello" }, "encoded")
show("decoded", "base64-encoder", { operation = "decode", input = encoded }, "decoded")
show("upper", "text-manipulator", { operation = "uppercase", input = "hello" }, "result")
show("replaced", "text-manipulator", { operation = "replace", input = "hello", options = { from = "l", to = "L" } }, "result")
show("sum", "calculator", { operation = "evaluate", input = "2 + 3 * 4" }, "result")
