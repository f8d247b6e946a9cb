-- Tries to fill the memory with a replacement, a thousand bytes for each.
-- Ends: memory
local s, r = ("x"):rep(1000000), ("y"):rep(1000)
while true do
  pcall(string.gsub, s, ".", r)
  pcall(string.gsub, s, "", r)
end
