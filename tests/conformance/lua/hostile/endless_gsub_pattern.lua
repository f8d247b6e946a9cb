-- Tries the same in a replacement.
-- Ends: timeout
-- Only: compiled
while true do pcall(string.gsub, ("a"):rep(100), ("(a*)"):rep(20) .. "b", "%1") end
