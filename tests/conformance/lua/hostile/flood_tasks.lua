-- Tries to keep the loop busy with tasks that end at once.
-- Ends: timeout
while true do
  Async.spawn(function() end)
  Async.sleep(0)
end
