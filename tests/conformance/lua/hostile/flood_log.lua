-- Tries to write lines of the log without end, long ones and many.
-- Ends: timeout
local s, t = ("x"):rep(1000000), {}
for i = 1, 1000 do t["field" .. i] = i end
while true do
  pcall(Log.info, s)
  pcall(Log.error, "x", t)
  for i = 1, 100 do Log.debug(i) end
  Log.timer(s).stop()
end
