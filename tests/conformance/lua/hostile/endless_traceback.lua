-- Tries tracebacks of functions without names: Lua looks each up in all there is, and that is much.
-- Ends: timeout
for i = 1, 50000 do _G["name" .. i] = i end
local function deep(n)
  if n > 0 then deep(n - 1) end
  while true do debug.traceback() end
end
deep(30)
