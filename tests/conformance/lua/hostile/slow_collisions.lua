-- Tries keys that all have the same place in a table.
-- Ends: timeout
local t, step = {}, ((1 << 15) - 1) * ((1 << 14) - 1) * ((1 << 13) - 1)
for i = 1, 1 << 13 do t[i * step] = i end
local last = (1 << 13) * step
while true do t[last] = t[last] end
