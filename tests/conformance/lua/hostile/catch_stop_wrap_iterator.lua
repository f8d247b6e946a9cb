-- Tries to run on in an iterator that never ends.
-- Ends: timeout
for _ in coroutine.wrap(function()
  while true do
    coroutine.yield(1)
  end
end) do
end
