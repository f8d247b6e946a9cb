-- Tries to make each concatenation slow, where little memory is left.
-- Ends: timeout
for i = 1, 1e6 do end
local s = ("x"):rep(14000000)
while true do
  local t = s .. "a"
end
