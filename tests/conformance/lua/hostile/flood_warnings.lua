-- Tries to warn in a hundred thousand pieces, without end.
-- Ends: output
warn("@on")
local pieces = {}
for i = 1, 100 do pieces[i] = ("x"):rep(100) end
while true do
  pcall(warn, table.unpack(pieces))
  warn("@off", "")
  warn("@on")
end
