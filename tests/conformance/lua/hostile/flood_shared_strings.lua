-- Tries to have one string copied to the host a thousand times.
-- Ends: done
local s, t = ("x"):rep(10000000), {}
for i = 1, 1000 do t[i] = s end
local ok, e = pcall(JSON.stringify, t)
assert(not ok and e.kind == "validation" and e.message:find("64 MB"), e)
return true
