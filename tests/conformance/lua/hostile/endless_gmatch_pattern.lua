-- Tries the same in an iterator.
-- Ends: timeout
-- Only: compiled
for _ in string.gmatch(("a"):rep(100), (".-"):rep(20) .. "b") do
end
while true do end
