-- Tries to hide from the stop in coroutines in pcalls in coroutines.
-- Ends: timeout
local function hide(n)
  local co = coroutine.create(function()
    if n > 0 then
      pcall(hide, n - 1)
    end
    while true do end
  end)
  coroutine.resume(co)
  coroutine.close(co)
  coroutine.resume(co)
  while true do end
end
hide(20)
