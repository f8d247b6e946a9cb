-- Tries to catch the end of memory with a coroutine.
-- Ends: memory
while true do
  coroutine.resume(coroutine.create(function()
    local s = "x"
    while true do s = s .. s end
  end))
end
