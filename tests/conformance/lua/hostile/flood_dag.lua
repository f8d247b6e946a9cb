-- Tries to have a small table grow to 2^40 values on its way out.
-- Ends: done
local d = {}
for i = 1, 40 do d = { d, d } end
local ok, e = pcall(JSON.stringify, d)
assert(not ok and e.kind == "validation" and e.message:find("values"), e)
return true
