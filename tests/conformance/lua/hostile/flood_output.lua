-- Tries to write without end.
-- Ends: output
local s = ("x"):rep(10000)
while true do
  pcall(print, s)
  pcall(io.write, s)
end
