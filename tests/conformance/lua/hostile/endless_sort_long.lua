-- Tries to sort so many numbers that it takes long without a comparator.
-- Ends: timeout
local t = {}
for i = 1, 1500000 do t[i] = (i * 7919) % 1500007 end
while true do
  for i = 1, 1500000 do t[i] = (t[i] * 7919) % 1500007 end
  table.sort(t)
end
