-- Tries to fill the memory with a quoted string, four bytes for each.
-- Ends: memory
local s = ("\0"):rep(20000000)
while true do
  local ok, quoted = pcall(string.format, "%q", s)
end
