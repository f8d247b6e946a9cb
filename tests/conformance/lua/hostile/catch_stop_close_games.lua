-- Tries to close coroutines from the closing of coroutines, errors in each, without end.
-- Ends: timeout
local function guarded(depth)
  return coroutine.create(function()
    local x <close> = setmetatable({}, { __close = function(_, e)
      local inner = guarded(depth + 1)
      coroutine.resume(inner)
      if depth < 100 then
        coroutine.close(inner)
      end
      error(e or "closed")
    end })
    coroutine.yield()
  end)
end
while true do
  local co = guarded(1)
  coroutine.resume(co)
  coroutine.close(co)
  coroutine.close(co)
  pcall(coroutine.close, coroutine.running())
  pcall(coroutine.resume, co)
end
