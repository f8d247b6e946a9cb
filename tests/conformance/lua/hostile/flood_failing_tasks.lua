-- Tries to have the host keep what tasks fail with.
-- Ends: timeout
local s = ("x"):rep(100000)
while true do
  Async.spawn(error, s .. os.clock())
  Async.sleep(0)
end
