-- Tries to nest tables deeper than any stack.
-- Ends: done
local d = {}
for i = 1, 100000 do d = { d } end
local ok, e = pcall(JSON.stringify, d)
assert(not ok and e.kind == "validation" and e.message:find("deep"), e)
ok, e = pcall(JSON.parse, ("["):rep(100000))
assert(not ok and e.kind == "validation", e)
return true
