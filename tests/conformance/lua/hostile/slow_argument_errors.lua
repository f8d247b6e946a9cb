-- Tries to have Lua look for a function's name in all there is, for each wrong argument.
-- Ends: timeout
for i = 1, 50000 do _G["name" .. i] = i end
while true do
  pcall(rawlen)
  pcall(string.byte)
end
