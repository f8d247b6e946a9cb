-- Tries arithmetic with a string of megabytes that is a number: it makes nothing, so that no collection is seen.
-- Ends: timeout
-- Only: compiled
local s = (" "):rep(14000000) .. "1"
for i = 1, 1e6 do end
while true do local n = s + 1 end
