-- Tries to sort a short list by a C function that takes long for each pair.
-- Ends: timeout
local s, t = ("x"):rep(10000000), {}
for i = 1, 1000 do t[i] = s end
while true do pcall(table.sort, t, string.upper) end
