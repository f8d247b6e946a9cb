-- Tries to write to standard error without end.
-- Ends: output
local s = ("x"):rep(10000)
warn("@on")
while true do
  pcall(warn, s)
  pcall(io.stderr.write, io.stderr, s)
end
