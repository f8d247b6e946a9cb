-- Tries to compare what differs in its last byte, megabytes on.
-- Ends: timeout
for i = 1, 1e6 do end
local s = ("x"):rep(12000000)
local a, b = s .. "a", s .. "b"
while true do
  local x = a < b or a == b or rawequal(a, b)
end
