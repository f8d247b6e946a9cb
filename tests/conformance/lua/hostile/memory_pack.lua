-- Tries to fill the memory by packing, and by reading what was packed.
-- Ends: memory
local s = ("x"):rep(12000000)
while true do
  pcall(string.pack, "s4s4s4z", s, s, s, s)
  pcall(string.unpack, "c12000000c12000000", s .. s)
end
