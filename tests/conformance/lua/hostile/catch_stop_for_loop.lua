-- Tries to count to the end of the numbers, without a call.
-- Ends: timeout
for i = math.mininteger, math.maxinteger do end
for i = 1, math.huge do end
for x = 1.0, 2.0, 1e-300 do end
