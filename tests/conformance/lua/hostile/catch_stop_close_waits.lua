-- Tries to wait in what is closed at the end: for ever, and for tasks that start tasks.
-- Ends: timeout
local function again()
  Async.spawn(again)
  Async.sleep(0)
end
local x <close> = setmetatable({}, { __close = function()
  pcall(Async.all, { again, again })
  while true do
    pcall(Async.sleep, 1e9)
  end
end })
again()
