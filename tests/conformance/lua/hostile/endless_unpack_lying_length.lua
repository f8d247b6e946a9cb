-- Tries to unpack, pack and spell more values than there are.
-- Ends: timeout
local lying = setmetatable({}, { __len = function() return 1 << 60 end })
while true do
  assert(not pcall(table.unpack, lying))
  assert(not pcall(table.unpack, {}, 1, 1 << 30))
  assert(not pcall(table.unpack, {}, math.mininteger, math.maxinteger))
  assert(select("#", table.unpack({}, 1, 200)) == 200)
  pcall(table.pack, table.unpack({}, 1, 100000))
  pcall(string.char, table.unpack({}, 1, 100000))
  pcall(string.byte, ("x"):rep(2000000), 1, -1)
  pcall(utf8.codepoint, ("x"):rep(2000000), 1, -1)
end
