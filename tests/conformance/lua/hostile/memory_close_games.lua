-- Tries to hide the end of memory behind an error of a `<close>` variable, in coroutines that are closed.
-- Ends: memory or timeout
local function fill()
  local x <close> = setmetatable({}, { __close = function() error("something else") end })
  local t = {}
  while true do t[#t + 1] = ("x"):rep(1000) .. #t end
end
while true do
  local co = coroutine.create(fill)
  coroutine.resume(co)
  coroutine.close(co)
  pcall(coroutine.wrap(fill))
end
