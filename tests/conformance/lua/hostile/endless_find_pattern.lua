-- Tries a pattern that goes back over its steps without end.
-- Ends: timeout
-- Only: compiled
while true do pcall(string.find, ("a"):rep(100), (".*"):rep(20) .. "b") end
