-- Tries to fill the memory with a million coroutines, some of them caught at it.
-- Ends: memory
local all = {}
for i = 1, 1000000 do
  local co = coroutine.create(function(s)
    coroutine.yield()
    return s
  end)
  pcall(coroutine.resume, co, ("x"):rep(2000) .. i)
  all[i] = co
end
