-- Tries to look for the first key of a large table that is empty.
-- Ends: timeout
local t = {}
for i = 1, 40000 do t["key" .. i] = true end
for k in next, t do t[k] = nil end
while true do
  next(t)
  for _ in pairs(t) do end
end
