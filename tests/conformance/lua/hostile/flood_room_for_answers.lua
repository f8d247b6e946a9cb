-- Tries to be answered with forty thousand values where the stack has no room for them.
-- Ends: done or memory
local list = "[" .. ("1,"):rep(40000) .. "1]"
local function ask()
  local ok, got = pcall(JSON.parse, list)
  return ok and #got
end
for n = 900000, 999000, 9000 do
  pcall(function()
    local function held(...) return ask(), ... end
    return held(table.unpack({}, 1, n))
  end)
end
local function deep(n)
  if n > 0 then
    return 1 + deep(n - 1)
  end
  return ask()
end
for n = 10000, 160000, 30000 do pcall(deep, n) end
