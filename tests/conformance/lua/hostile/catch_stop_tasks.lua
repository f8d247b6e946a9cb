-- Tries to loop in each of a hundred tasks, and in what is closed when they are cancelled.
-- Ends: timeout
local function spin()
  local x <close> = setmetatable({}, { __close = spin })
  Async.sleep(0)
  while true do end
end
local list = {}
for i = 1, 100 do list[i] = spin end
while true do
  pcall(Async.race, list)
  pcall(Async.timeout, 0, spin)
end
