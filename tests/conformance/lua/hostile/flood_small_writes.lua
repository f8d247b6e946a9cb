-- Tries to have the host keep an object for each two bytes that are written.
-- Ends: output
for i = 1, 2000000 do io.write("xy") end
