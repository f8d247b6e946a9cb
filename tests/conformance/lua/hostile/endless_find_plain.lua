-- Tries a plain search for a megabyte in megabytes, nearly found at each place.
-- Ends: timeout
-- Only: compiled
local s, p = ("a"):rep(4000000), ("a"):rep(2000000) .. "b"
while true do pcall(string.find, s, p, 1, true) end
