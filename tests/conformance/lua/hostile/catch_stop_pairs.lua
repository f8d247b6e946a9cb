-- Tries iterators that never end, from `__pairs`, and `next` in a table that grows under it.
-- Ends: timeout
local t = setmetatable({}, { __pairs = function(t)
  return function(_, k) return (k or 0) + 1 end, t, nil
end })
for k in pairs(t) do
  if k > 1000 then
    pcall(function()
      for key in pairs(t) do rawset(t, key % 50, key) end
    end)
  end
end
