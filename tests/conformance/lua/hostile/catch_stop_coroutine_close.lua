-- Tries to run on in the `<close>` variables of a coroutine that the stop has killed.
-- Ends: timeout
local co = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function()
    while true do end
  end })
  while true do end
end)
coroutine.resume(co)
coroutine.close(co)
while true do end
