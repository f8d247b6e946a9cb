-- Tries to fill the memory with one long string joined from one short one.
-- Ends: memory
local s, t = ("x"):rep(1000000), {}
for i = 1, 1000 do t[i] = s end
while true do
  pcall(table.concat, t)
  pcall(function() return s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s end)
end
