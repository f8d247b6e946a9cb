-- Tries to go on after an exit in a replacement, in a handler, in a metamethod.
-- Ends: exit 4
xpcall(string.gsub, function() while true do end end, "x", ".", function()
  local t = setmetatable({}, { __index = function()
    xpcall(error, function() pcall(os.exit, 4) while true do end end)
    while true do end
  end })
  while true do pcall(function() return t.x end) end
end)
while true do end
