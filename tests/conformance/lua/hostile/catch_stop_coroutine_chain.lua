-- Tries to loop at the end of a chain of coroutines, each of which resumes the next when it was stopped.
-- Ends: timeout
local function link(n)
  return coroutine.create(function()
    while true do
      local following = n > 0 and link(n - 1)
      while following and coroutine.status(following) ~= "dead" do
        coroutine.resume(following)
      end
      if n == 0 then
        while true do end
      end
    end
  end)
end
while true do
  coroutine.resume(link(120))
end
