-- Files by the tool, below a folder that was granted.
-- llmspell run --allow-read=target/compat --allow-write=target/compat examples/compat/files.lua

local folder = "target/compat"
local path = folder .. "/notes.txt"

if not Config.isFileAccessAllowed(folder) then
  print("run it with --allow-read=" .. folder .. " --allow-write=" .. folder)
  return
end

local function op(params)
  local result = Tool.execute("file-operations", params)
  if not result.success then
    error(params.operation .. " failed")
  end
  return result.result
end

op({ operation = "write", path = path, input = "first line\n" })
op({ operation = "append", path = path, input = "second line\n" })
io.write(op({ operation = "read", path = path }).content)
print("exists: " .. tostring(op({ operation = "exists", path = path }).exists))
op({ operation = "delete", path = path })
print("exists: " .. tostring(op({ operation = "exists", path = path }).exists))
