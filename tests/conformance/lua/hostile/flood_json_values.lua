-- Tries to have the host make millions of objects of a short text.
-- Ends: done
local ok, e = pcall(JSON.parse, "[" .. ("[],"):rep(3000000) .. "[]]")
assert(not ok and e.kind == "validation", e)
return true
