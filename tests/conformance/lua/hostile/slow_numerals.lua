-- Tries numerals of megabytes.
-- Ends: timeout
local s = ("9"):rep(3000000)
while true do
  tonumber(s)
  tonumber("0x" .. s)
  tonumber(s, 36)
  math.tointeger(s)
  load("return " .. s)
end
