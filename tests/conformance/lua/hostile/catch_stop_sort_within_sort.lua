-- Tries to sort a table in the comparator that sorts it, by an order that is none.
-- Ends: timeout
local t = {}
for i = 1, 100 do t[i] = i end
local function order(a, b)
  pcall(table.sort, t, order)
  t[#t + 1] = a
  t[1] = nil
  return true
end
while true do
  pcall(table.sort, t, order)
  while #t > 100 do t[#t] = nil end
  for i = 1, 100 do t[i] = i end
end
