-- Tries the same with a capture that is matched again.
-- Ends: timeout
-- Only: compiled
while true do pcall(string.match, ("a"):rep(3000), "(a*)(a*)(a*)%1%2%3b") end
