-- Tries to fill the memory with tasks that wait for ever.
-- Ends: memory or limit
while true do
  for i = 1, 100 do
    Async.spawn(function()
      local s = ("x"):rep(20000) .. i
      Async.sleep(1e9)
      return s
    end)
  end
  Async.sleep(0)
end
