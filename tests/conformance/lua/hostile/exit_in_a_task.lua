-- Tries to leave from a task among others that catch everything.
-- Ends: exit 9
local function stubborn()
  while true do
    pcall(Async.sleep, 0)
  end
end
Async.all({ stubborn, stubborn, function()
  Async.sleep(0)
  pcall(coroutine.wrap(function() pcall(os.exit, 9) end))
  stubborn()
end })
