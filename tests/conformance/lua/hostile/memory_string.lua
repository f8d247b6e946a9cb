-- Tries to fill the memory with one string.
-- Ends: memory
while true do
  pcall(string.rep, "x", 1 << 30)
end
