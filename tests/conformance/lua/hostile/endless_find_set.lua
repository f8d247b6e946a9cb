-- Tries to match each of a million bytes against a set of a million.
-- Ends: timeout
-- Only: compiled
local s, p = ("a"):rep(1000000), "[" .. ("b"):rep(1000000) .. "]"
while true do pcall(string.find, s, p) end
