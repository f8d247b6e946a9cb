-- Tries to make coroutines faster than they are collected, each left in the middle of something.
-- Ends: timeout or memory
while true do
  for i = 1, 1000 do
    local co = coroutine.create(function(s)
      local x <close> = setmetatable({}, { __close = function() while true do end end })
      pcall(coroutine.yield, s)
    end)
    coroutine.resume(co, i)
  end
end
