-- Tries to make each instruction slow, after ticks have become rare.
-- Ends: timeout
for i = 1, 1e6 do end
local s = ("x"):rep(12000000)
while true do
  local t = s:upper()
end
