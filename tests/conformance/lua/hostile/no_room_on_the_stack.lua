-- Tries to run on so deep in Lua calls that the stack has no room for the hook.
-- Ends: timeout or memory
local function burn()
  while true do end
end
local function deep()
  local ok = pcall(burn)
  return 1 + deep()
end
local function fall()
  return 1 + fall()
end
while true do
  pcall(fall)
  pcall(deep)
end
