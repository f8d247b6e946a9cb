-- Tries to find the other end of a million brackets that have none.
-- Ends: timeout
-- Only: compiled
local s = ("("):rep(1000000)
while true do pcall(string.find, s, "%b()") end
