-- Tries to go on after os.exit.
-- Ends: exit 7
pcall(function()
  coroutine.wrap(function()
    local x <close> = setmetatable({}, { __close = function()
      pcall(os.exit, 3)
      while true do end
    end })
    xpcall(os.exit, function() while true do end end, 7)
  end)()
end)
while true do end
