-- Tries to count the characters of megabytes: nothing is made, so that no collection is seen.
-- Ends: timeout
-- Only: compiled
local s = ("é"):rep(7000000)
for i = 1, 1e6 do end
while true do utf8.len(s) end
