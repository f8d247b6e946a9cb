-- Tries one full collection after the other, of all that fits.
-- Ends: timeout
local t = {}
for i = 1, 100000 do t[i] = { i } end
while true do collectgarbage() end
