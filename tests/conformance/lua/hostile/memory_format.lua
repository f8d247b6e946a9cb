-- Tries to fill the memory with formats.
-- Ends: memory
local s = ("x"):rep(1000000)
while true do
  local ok, longer = pcall(string.format, "%s%s", s, s)
  s = longer
end
